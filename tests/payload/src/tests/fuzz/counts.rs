//! What the fuzzer has seen, and whether that is enough.
use super::ENDPOINTS;
use super::messages::REQUEST_2;
use crate::framework::Outcome;
use crate::{expect, say};
use core::fmt;
use remoteproc_abi::command::Command;
use remoteproc_refusal::Refusal;

/// The refusals that messages provoke with the memory that the case prepares: what is not signed in it may be anything.
const REACHABLE: [Refusal; 53] = [
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
    Refusal::NotRunning,
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
    Refusal::KeyIdUnknown,
    Refusal::SegmentOutsideRegions,
    Refusal::MeasurementUnknown,
];

/// All the others, and why no message provokes them here. `refusal/tests/provoked.rs` names the tests that do.
const ELSEWHERE: [(&str, &[Refusal]); 8] = [
    (
        "only door T has these: the case that calls with buffers counts them",
        &[Refusal::RequestLength, Refusal::ChunkOutside, Refusal::BufferHeld, Refusal::BuffersFull],
    ),
    (
        "looked at behind the signature, which covers it: it takes an image that was signed with the mistake",
        &[
            Refusal::TlvMalformed,
            Refusal::ImageSizesMismatch,
            Refusal::HashTypeMissing,
            Refusal::HashTypeUnknown,
            Refusal::ImageCountMissing,
            Refusal::ImageCountMalformed,
            Refusal::TooManyImages,
            Refusal::ImageTypeMissing,
            Refusal::ImageTypeMalformed,
            Refusal::ImageTypeUnknown,
            Refusal::ImageSizeMissing,
            Refusal::ImageSizeMalformed,
            Refusal::HashTableMissing,
            Refusal::HashTableMalformed,
            Refusal::TooManySegments,
            Refusal::NothingToLoad,
            Refusal::SegmentSizes,
            Refusal::SegmentsOverlap,
            Refusal::ExecutableInShared,
            Refusal::SegmentOutsideImage,
            Refusal::PlatformTlvUnknown,
            Refusal::SegmentAddressOverflow,
            Refusal::EncryptionTypeUnknown,
            Refusal::EncryptionMixed,
            Refusal::EncryptionTableMissing,
            Refusal::EncryptionTableMalformed,
            Refusal::EncryptedSegmentSize,
            Refusal::OwnTlvMalformed,
            Refusal::TargetMismatch,
            Refusal::CounterTooLow,
            Refusal::CounterTooHigh,
            Refusal::SegmentsShareBytes,
            Refusal::ResourceTableTooLarge,
            Refusal::ResourceTableHashMismatch,
            Refusal::BootAddressMalformed,
            Refusal::BootAddressOutside,
            Refusal::BootAddressMisaligned,
            Refusal::BootSecurityMalformed,
            Refusal::BootSecurityUnsupported,
            Refusal::NoBootAddress,
            Refusal::BootAddressInShared,
        ],
    ),
    (
        "this run's manifest has no revoked key and none by its hash, has a decryption key and allows it",
        &[
            Refusal::KeyRevoked,
            Refusal::KeyInformationMissing,
            Refusal::KeyInformationUntrusted,
            Refusal::KeyInformationMalformed,
            Refusal::NoDecryptionKey,
            Refusal::EncryptionNotAllowed,
        ],
    ),
    ("a cipher that is not compiled in, which it is here", &[Refusal::EncryptionUnsupported]),
    ("a defect of the program around the reader", &[Refusal::CallOutOfOrder]),
    (
        "the signing tool's inputs, which no partition sees",
        &[
            Refusal::InputAlreadySigned,
            Refusal::InputStaticLibrary,
            Refusal::InputNotElf,
            Refusal::InputOtherArchitecture,
            Refusal::InputNotExecutable,
            Refusal::InputCannotBeSigned,
            Refusal::ResourceTableNotSignable,
            Refusal::AttachedSignatureInvalid,
            Refusal::NotToBeAttached,
        ],
    ),
    (
        "hardware that fails",
        &[
            Refusal::HardwareFailed,
            Refusal::DestinationAbort,
            Refusal::IsolationFailed,
            Refusal::CounterWriteFailed,
        ],
    ),
    (
        "an SPMC that describes memory wrongly, is busy, or delivers no notifications",
        &[Refusal::ShareMalformed, Refusal::RangeMisaligned, Refusal::SpmcBusy, Refusal::NoNotifications],
    ),
];

/// Checks that each refusal is in one of the two lists.
pub fn check_lists() -> Outcome {
    for refusal in Refusal::ALL.iter().copied() {
        let elsewhere = ELSEWHERE.iter().filter(|(_, refusals)| refusals.contains(&refusal)).count();
        let times = elsewhere + REACHABLE.iter().filter(|reachable| **reachable == refusal).count();
        expect!(times == 1, "{refusal} is {times} times among those that messages provoke, and the others");
    }
    Ok(())
}

/// Numbers of answers.
pub struct Counts {
    direct: u32,
    second: u32,
    second_other: u32,
    rpc: u32,
    by_spmc: u32,
    framework: u32,
    /// Of the partition's answers, those to valid messages with a mistake.
    mistaken: u32,
    /// Answers of the partition: by sender, of door D and of door T.
    senders: [[u32; 2]; ENDPOINTS.len()],
    commands: [u32; 0x19],
    door_t_commands: [u32; 0x19],
    framework_messages: [u32; 0x10],
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
            framework: 0,
            mistaken: 0,
            senders: [[0; 2]; ENDPOINTS.len()],
            commands: [0; 0x19],
            door_t_commands: [0; 0x19],
            framework_messages: [0; 0x10],
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

/// The commands that exist, with their numbers.
fn known(counts: [u32; 0x19]) -> impl Iterator<Item = (Command, u32)> {
    (0u16..).zip(counts).filter_map(|(id, count)| Some((Command::try_from(id).ok()?, count)))
}

impl Counts {
    /// The partition has answered a valid message with a mistake.
    pub fn had_a_mistake(&mut self) {
        self.mistaken += 1;
    }

    /// Returns the number of valid messages with a mistake that the partition has answered.
    pub fn mistaken(&self) -> u32 {
        self.mistaken
    }

    /// An answer of the SPMC.
    pub fn refused_by_spmc(&mut self) {
        self.by_spmc += 1;
    }

    /// An answer to a message of the second family that is not for door D.
    pub fn other_uuid(&mut self) {
        self.second_other += 1;
    }

    /// An answer of door T.
    pub fn rpc(&mut self, sender: u16, control: u32) {
        self.rpc += 1;
        self.sent_by(sender, 1);
        let index = match control {
            0xFF_0000..=0xFF_0003 => (control & 3) as usize,
            0..0xFF_0000 => 4,
            _ => return,
        };
        self.rpc_calls[index] += 1;
    }

    /// An answer of door D.
    pub fn command(&mut self, sender: u16, function: u32, command: u64) {
        self.sent_by(sender, 0);
        if function == REQUEST_2 {
            self.second += 1;
        } else {
            self.direct += 1;
        }
        if let Some(count) = self.commands.get_mut((command & 0xFFFF) as usize) {
            *count += 1;
        }
    }

    fn sent_by(&mut self, sender: u16, door: usize) {
        let counts = ENDPOINTS.iter().zip(&mut self.senders);
        for (_, count) in counts.filter(|(endpoint, _)| **endpoint == sender) {
            count[door] += 1;
        }
    }

    /// A command that was carried out through a buffer.
    pub fn command_by_door_t(&mut self, opcode: u16) {
        if let Some(count) = self.door_t_commands.get_mut(usize::from(opcode)) {
            *count += 1;
        }
    }

    /// An answer to a framework message.
    pub fn framework(&mut self, number: u32) {
        self.framework += 1;
        if let Some(count) = self.framework_messages.get_mut(number as usize) {
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
        self.direct + self.second + self.second_other + self.rpc + self.framework + self.by_spmc
    }

    fn of(&self, refusal: Refusal) -> u32 {
        let mut counts = Refusal::ALL.iter().zip(self.refusals);
        counts.find(|(known, _)| **known == refusal).map_or(0, |(_, count)| count)
    }

    /// The commands that exist, with their numbers.
    fn commands(&self) -> impl Iterator<Item = (Command, u32)> {
        known(self.commands)
    }

    /// Prints all numbers.
    pub fn print(&self) {
        let Self { direct, second, second_other, rpc, framework, by_spmc, mistaken, .. } = self;
        say!(
            "info fuzz answers: 64 bit {direct}, second family {second}, with door T's UUID {second_other}, 32 bit {rpc}, \
             framework {framework}, by the SPMC {by_spmc}; to valid messages with a mistake {mistaken}"
        );
        say!(
            "info fuzz commands: {}",
            List(|| self.commands().map(|(command, count)| (command.name(), count)))
        );
        for (endpoint, [direct, rpc]) in ENDPOINTS.iter().zip(self.senders) {
            say!("info fuzz answers to endpoint {endpoint}: by door D {direct}, by door T {rpc}");
        }
        say!(
            "info fuzz commands by door T: {}",
            List(|| known(self.door_t_commands).map(|(command, count)| (command.name(), count)))
        );
        say!("info fuzz framework messages 0 to 15: {:?}", self.framework_messages);
        say!("info fuzz door T: {}", List(|| RPC.into_iter().zip(self.rpc_calls)));
        let refusals = || Refusal::ALL.iter().map(|refusal| refusal.name()).zip(self.refusals);
        say!("info fuzz refusals: {}", List(|| refusals().filter(|(_, count)| *count > 0)));
    }

    /// Checks that everything was seen so often.
    pub fn check(&self, enough: u32) -> Outcome {
        for (command, count) in self.commands() {
            expect!(count >= enough, "{} was sent only {count} times", command.name());
        }
        for (command, count) in known(self.door_t_commands) {
            expect!(count >= enough, "{} was sent only {count} times by door T", command.name());
        }
        for (endpoint, counts) in ENDPOINTS.iter().zip(self.senders) {
            expect!(
                counts.iter().all(|count| *count >= enough),
                "endpoint {endpoint} has only {counts:?} answers"
            );
        }
        // A PSCI request, a virtual machine that is there, one that is gone, and later requests.
        for number in [0, 1, 4, 6, 8, 10, 12, 14] {
            let count = self.framework_messages[number];
            expect!(count >= enough, "framework message {number} was sent only {count} times");
        }
        for (name, count) in RPC.iter().zip(self.rpc_calls) {
            expect!(count >= enough, "{name} was sent only {count} times");
        }
        for (why, refusals) in ELSEWHERE {
            for refusal in refusals.iter().filter(|refusal| self.of(**refusal) > 0) {
                expect!(false, "{refusal} was answered, although: {why}");
            }
        }
        for refusal in REACHABLE {
            let count = self.of(refusal);
            expect!(count >= enough, "{refusal} was answered only {count} times");
        }
        Ok(())
    }
}
