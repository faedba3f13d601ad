//! What the fuzzer has seen, and whether that is enough.
use super::messages::REQUEST_2;
use crate::framework::Outcome;
use crate::{expect, say};
use core::fmt;
use remoteproc_abi::command::Command;
use remoteproc_refusal::Refusal;

/// The refusals that messages provoke with the memory that the case prepares: what is not signed in it may be anything. Of the others,
/// most need an image with a mistake inside its signature. The rest needs hardware that fails, or an SPMC that describes memory
/// wrongly or takes addresses that are none.
const REACHABLE: [Refusal; 49] = [
    Refusal::TooShort,
    Refusal::BadMagic,
    Refusal::BadVersion,
    Refusal::SizeMismatch,
    Refusal::SignatureInvalid,
    Refusal::UnknownProcessor,
    Refusal::NotLoaded,
    Refusal::AnotherImageLoaded,
    Refusal::IsRunning,
    Refusal::IsStopped,
    Refusal::HandleUnknown,
    Refusal::TooManyRanges,
    Refusal::RangeNotNormalWorld,
    Refusal::RangeOutsideNormalMemory,
    Refusal::RangeOverlapsPartition,
    Refusal::RangeOverlapsProcessor,
    Refusal::RangeOverlapsDevice,
    Refusal::MemoryAbort,
    Refusal::UnknownCommand,
    Refusal::OffsetUnexpected,
    Refusal::FlagsUnknown,
    Refusal::NotImplemented,
    Refusal::MetadataTooLarge,
    Refusal::EmptyTlvArea,
    Refusal::EmptySignature,
    Refusal::SignatureTypeMissing,
    Refusal::SignatureTypeUnknown,
    Refusal::NoTrustedKey,
    Refusal::ElfMalformed,
    Refusal::ProgramHeadersOutside,
    Refusal::ProgramHeadersMismatch,
    Refusal::SegmentNotInFile,
    Refusal::SectionHeadersMalformed,
    Refusal::SegmentHashMismatch,
    Refusal::NotOwner,
    Refusal::LoadInProgress,
    Refusal::MetadataSlotsFull,
    Refusal::EndpointNotAllowed,
    Refusal::ShareTooSmall,
    Refusal::HandleInUse,
    Refusal::SignatureLength,
    Refusal::TooManySections,
    Refusal::ResourceTableTwice,
    Refusal::ResourceTableOutside,
    Refusal::ResourceTableNotShared,
    Refusal::ResourceTableMisaligned,
    Refusal::ResourceTableMalformed,
    Refusal::ResourceEntryMalformed,
    Refusal::NotificationOutOfRange,
];

/// Numbers of answers.
pub struct Counts {
    direct: u32,
    second: u32,
    second_other: u32,
    rpc: u32,
    by_spmc: u32,
    commands: [u32; 0x18],
    rpc_calls: [u32; 5],
    refusals: [u32; Refusal::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            direct: 0,
            second: 0,
            second_other: 0,
            rpc: 0,
            by_spmc: 0,
            commands: [0; 0x18],
            rpc_calls: [0; 5],
            refusals: [0; Refusal::ALL.len()],
        }
    }
}

/// Names of door T's calls, as [`Counts::rpc`] counts them.
const RPC: [&str; 5] = ["GET_VERSION", "RETRIEVE_MEM", "RELINQ_MEM", "SERVICE_INFO", "a service's call"];

/// Names with their numbers, for a line.
struct List<F>(F);

impl<F: Fn() -> I, I: Iterator<Item = (&'static str, u32)>> fmt::Display for List<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in (self.0)().enumerate() {
            write!(formatter, "{}{name} {count}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Counts {
    /// An answer of the SPMC.
    pub fn refused_by_spmc(&mut self) {
        self.by_spmc += 1;
    }

    /// An answer to a message of the second family that is not for door D.
    pub fn other_uuid(&mut self) {
        self.second_other += 1;
    }

    /// An answer of door T.
    pub fn rpc(&mut self, control: u32) {
        self.rpc += 1;
        let index = match control {
            0xFF_0000..=0xFF_0003 => (control & 3) as usize,
            0..0xFF_0000 => 4,
            _ => return,
        };
        self.rpc_calls[index] += 1;
    }

    /// An answer of door D.
    pub fn command(&mut self, function: u32, command: u64) {
        if function == REQUEST_2 {
            self.second += 1;
        } else {
            self.direct += 1;
        }
        if let Some(count) = self.commands.get_mut((command & 0xFFFF) as usize) {
            *count += 1;
        }
    }

    /// A refusal of door D.
    pub fn refusal(&mut self, refusal: Refusal) {
        let counts = Refusal::ALL.iter().zip(&mut self.refusals);
        for (_, count) in counts.filter(|(known, _)| **known == refusal) {
            *count += 1;
        }
    }

    /// Returns the number of all answers.
    pub fn answers(&self) -> u32 {
        self.direct + self.second + self.second_other + self.rpc + self.by_spmc
    }

    fn of(&self, refusal: Refusal) -> u32 {
        let mut counts = Refusal::ALL.iter().zip(self.refusals);
        counts.find(|(known, _)| **known == refusal).map_or(0, |(_, count)| count)
    }

    /// The commands that exist, with their numbers.
    fn commands(&self) -> impl Iterator<Item = (Command, u32)> {
        (0u16..).zip(self.commands).filter_map(|(id, count)| Some((Command::try_from(id).ok()?, count)))
    }

    /// Prints all numbers.
    pub fn print(&self) {
        let Self { direct, second, second_other, rpc, by_spmc, .. } = self;
        say!(
            "info fuzz answers: 64 bit {direct}, second family {second}, with door T's UUID {second_other}, 32 bit {rpc}, \
             by the SPMC {by_spmc}"
        );
        say!(
            "info fuzz commands: {}",
            List(|| self.commands().map(|(command, count)| (command.name(), count)))
        );
        say!("info fuzz door T: {}", List(|| RPC.into_iter().zip(self.rpc_calls)));
        let refusals = || Refusal::ALL.iter().map(|refusal| refusal.name()).zip(self.refusals);
        say!("info fuzz refusals: {}", List(|| refusals().filter(|(_, count)| *count > 0)));
    }

    /// Checks that everything was seen so often.
    pub fn check(&self, enough: u32) -> Outcome {
        for (command, count) in self.commands() {
            expect!(count >= enough, "{} was sent only {count} times", command.name());
        }
        for (name, count) in RPC.iter().zip(self.rpc_calls) {
            expect!(count >= enough, "{name} was sent only {count} times");
        }
        for refusal in REACHABLE {
            let count = self.of(refusal);
            expect!(count >= enough, "{refusal} was answered only {count} times");
        }
        Ok(())
    }
}
