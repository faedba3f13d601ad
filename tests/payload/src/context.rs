//! What the test cases share: the connection, the images, and the checks that every case needs.
use crate::buffers::Buffers;
use crate::framework::{Failure, Outcome, Text};
use crate::machine::{self, Counts, Strictness};
use crate::parameters::{File, Parameters};
use crate::transport::Smc;
use crate::{board, expect, expect_eq, failure, memory, processors};
use core::ops::Range;
use heapless::Vec;
use remoteproc_abi::door_d::{Answer, LoadArguments, Request, StopMode};
use remoteproc_abi::memory_descriptor::{Constituent, write_lend, write_share};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::ProcessorState;
use remoteproc_refusal::{Class, Refusal};
use remoteproc_shim::ffa::{BufferPair, FfaTee, FfaTransport, Registers, Status};
use remoteproc_shim::{Error, Limits, LoadError, Remoteproc};

/// The client as the tests use it.
pub type Client = Remoteproc<FfaTee<Smc, Buffers>>;
/// What an FF-A call fails with.
pub type FfaError = remoteproc_shim::ffa::Error;

const FFA_ERROR: u32 = 0x8400_0060;
const FFA_SUCCESS_32: u32 = 0x8400_0061;
const FFA_SUCCESS_64: u32 = 0xC400_0061;
const FFA_MEM_LEND: u32 = 0xC400_0072;
const FFA_MEM_SHARE: u32 = 0xC400_0073;
const FFA_MEM_RECLAIM: u32 = 0x8400_0077;
const FFA_MEM_FRAG_RX: u32 = 0x8400_007A;
const FFA_MEM_FRAG_TX: u32 = 0x8400_007B;

/// Most shares that a case makes at once.
const MOST_SHARED: usize = 80;

/// The endpoint that the payload is.
pub const HYPERVISOR: u16 = 0;
/// Virtual machines that it may speak for.
pub const MACHINES: [u16; 3] = [1, 2, 3];

/// A busy host may let the remote core's emulator wait: the partition gives up on it before the client does.
const PATIENT: Limits = Limits { busy: 10_000, idle: 1_000_000 };

/// What the cases share.
pub struct Context {
    /// The client under test.
    pub client: Client,
    /// What the host wants.
    pub parameters: Parameters,
    /// Violations that the SPMC fixture had counted before the case.
    violations: u64,
    /// What it had counted of memory.
    counts: Option<Counts>,
    /// The case has spoken for a virtual machine.
    spoken: bool,
    /// The case has used another processor than the parameters' one.
    elsewhere: Option<u32>,
    /// What is shared: by whom, and the handle.
    shared: Vec<(u16, u64), MOST_SHARED>,
    /// The case has made the partition fail: there is nothing to release, and no clean load.
    pub dead: bool,
}

impl Context {
    /// Connects.
    pub fn new(parameters: Parameters) -> Result<Self, Text> {
        let buffers = Buffers::take().ok_or_else(|| Text::of(format_args!("the buffers are in use")))?;
        let tee = FfaTee::connect(Smc::default(), buffers)
            .map_err(|error| Text::of(format_args!("connecting: {error}")))?;
        let mut client = Remoteproc::new(tee, parameters.processor());
        client.set_limits(PATIENT);
        Ok(Self {
            client,
            parameters,
            violations: 0,
            counts: None,
            spoken: false,
            elsewhere: None,
            dead: false,
            shared: Vec::new(),
        })
    }

    /// Before a case.
    pub fn prepare(&mut self) -> Outcome {
        self.violations = machine::violations();
        self.counts = machine::counts();
        Ok(())
    }

    /// After a case that went well, before anything is cleaned up: no load is under way, no memory is held or still shared. A
    /// partition that has failed keeps what it held.
    pub fn expect_nothing_held(&mut self) -> Outcome {
        if self.dead {
            return Ok(());
        }
        self.speak_as(HYPERVISOR)?;
        self.expect_counts(0, 0)?;
        expect_eq!(self.shared.len(), 0, "the number of shares that were not taken back");
        expect_eq!(machine::counts(), self.counts, "what the SPMC counts");
        Ok(())
    }

    /// After a case: the SPMC strict again, the processor released, its memory clear, a clean load works, and no rule was broken.
    pub fn settle(&mut self) -> Outcome {
        machine::set_strictness(Strictness::Strict);
        processors::switch_all_off()?;
        if self.dead {
            return self.expect_rules_kept();
        }
        // Whatever the case has left to a virtual machine.
        let machines = if self.spoken { &MACHINES[..] } else { &[] };
        if let Some(processor) = self.elsewhere.take() {
            self.client.select(processor);
            self.give_up(machines)?;
            self.speak_as(HYPERVISOR)?;
            self.give_up(&[HYPERVISOR])?;
            let status = self.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
            expect_eq!(status.state, ProcessorState::Offline, "the other processor's state");
            self.expect_clear()?;
        }
        self.client.select(self.parameters.processor());
        self.give_up(machines)?;
        self.client.tee().transport().storm = None;
        self.speak_as(HYPERVISOR)?;
        self.spoken = false;
        // Refused where a load is under way; the release below is what counts.
        let _ = self.client.stop(StopMode::Forced);
        self.client.release().map_err(|error| failure!("release: {error}"))?;
        self.expect_counts(0, 0)?;
        // A case that went well has left none.
        while let Some((owner, handle)) = self.shared.pop() {
            self.speak_as(owner)?;
            self.reclaim(handle)?;
        }
        self.speak_as(HYPERVISOR)?;
        self.expect_clear()?;
        if let Ok(sample) = self.sample() {
            self.load(sample).map_err(|error| failure!("a clean load: {error}"))?;
            self.client.release().map_err(|error| failure!("release after a clean load: {error}"))?;
        }
        self.expect_rules_kept()
    }

    /// Stops and releases the processor in the name of each; who does not own it is refused.
    fn give_up(&mut self, endpoints: &[u16]) -> Outcome {
        for &endpoint in endpoints {
            self.speak_as(endpoint)?;
            let _ = self.client.stop(StopMode::Forced);
            let _ = self.client.release();
        }
        Ok(())
    }

    /// Checks that no rule was broken, neither one that the SPMC looks at nor one of the answers'.
    fn expect_rules_kept(&mut self) -> Outcome {
        if let Some(breach) = self.client.tee().transport().take_breach() {
            return Err(failure!("{}: x{} is {:#x}", breach.rule, breach.register, breach.value));
        }
        expect_eq!(machine::violations(), self.violations, "the SPMC's number of violations");
        if !self.dead {
            expect_eq!(machine::counts(), self.counts, "what the SPMC counts afterwards");
        }
        Ok(())
    }

    /// Returns the file behind a parameter, or skips the case.
    pub fn file(&self, key: &str) -> Outcome<File> {
        self.parameters
            .file(key)
            .ok_or_else(|| Failure::Skipped(Text::of(format_args!("no usable {key}= is given"))))
    }

    /// Sets how the fixture treats shares. False: the host has said that another SPMC is there, which has no such control.
    pub fn set_strictness(&self, strictness: Strictness) -> Outcome<bool> {
        if machine::set_strictness(strictness) {
            return Ok(true);
        }
        if self.parameters.value("spmc") == Some("prebuilt") {
            return Ok(false);
        }
        Err(failure!("the SPMC has no control for this test"))
    }

    /// Speaks in an endpoint's name from now on, until the case ends. Skips the case where the SPMC takes nothing from virtual
    /// machines that it has not been told of.
    pub fn speak_as(&mut self, endpoint: u16) -> Outcome {
        if endpoint == self.client.tee().own_id() {
            return Ok(());
        }
        if !machine::set_speaker(endpoint) {
            expect_eq!(
                self.parameters.value("spmc"),
                Some("prebuilt"),
                "the SPMC without a control for this test"
            );
            return Err(Failure::Skipped(Text::of(format_args!(
                "this SPMC knows no virtual machine {endpoint}"
            ))));
        }
        self.client.tee().speak_for(endpoint);
        self.spoken |= endpoint != HYPERVISOR;
        Ok(())
    }

    /// Skips a case that speaks for virtual machines where it can't, before it holds anything.
    pub fn needs_machines(&mut self) -> Outcome {
        self.speak_as(MACHINES[0])?;
        self.speak_as(HYPERVISOR)
    }

    /// Speaks of this processor from now on, until the case ends.
    pub fn select(&mut self, processor: u32) {
        self.client.select(processor);
        if processor != self.parameters.processor() {
            self.elsewhere = Some(processor);
        }
    }

    /// Returns a container of several MiB.
    pub fn large(&self) -> Outcome<File> {
        self.file("large")
    }

    /// Returns a container that loads.
    pub fn sample(&self) -> Outcome<File> {
        self.file("sample")
    }

    /// Returns another container that loads.
    pub fn second(&self) -> Outcome<File> {
        self.file("second")
    }

    /// Returns this project's own firmware for the Cortex-M33.
    pub fn firmware(&self) -> Outcome<File> {
        self.file("firmware")
    }

    /// Returns this project's own firmware for the Cortex-M4.
    pub fn firmware_m4(&self) -> Outcome<File> {
        self.file("firmware-m4")
    }

    /// Loads a file through the shim.
    pub fn load(&mut self, file: File) -> Result<(), LoadError<FfaError>> {
        self.client.load(&[file.range()], file.length, |_| ())
    }

    /// Makes any call.
    pub fn call(&mut self, function: u32, arguments: &[u64]) -> Registers {
        let mut registers = [0; 18];
        registers[0] = function.into();
        registers[1..=arguments.len()].copy_from_slice(arguments);
        self.client.tee().transport().call(registers)
    }

    /// Makes a call that has to be answered with FFA_SUCCESS, or with FFA_ERROR and a status.
    pub fn try_call(&mut self, function: u32, arguments: &[u64]) -> Outcome<Result<Registers, Status>> {
        let answer = self.call(function, arguments);
        match answer[0] as u32 {
            FFA_SUCCESS_32 | FFA_SUCCESS_64 => Ok(Ok(answer)),
            FFA_ERROR => Ok(Err(Status((answer[2] as u32).cast_signed()))),
            other => Err(failure!("{function:#x} is answered {other:#x}")),
        }
    }

    /// Sends payload registers of a direct request.
    pub fn ask(&mut self, payload: [u64; 5]) -> Outcome<Answer> {
        let answer = self.client.tee().direct_request(payload).map_err(|error| failure!("{error}"))?;
        Ok(Answer::decode(&answer))
    }

    /// Sends one LOAD_FW for the case's processor; follows IN_PROGRESS to its end.
    pub fn load_handle(&mut self, handle: u64, total: u64, offset: u64) -> Outcome<Answer> {
        let arguments = LoadArguments { handle, total, offset, lent: false, one_call: false };
        let processor = self.client.processor();
        for _ in 0..100_000 {
            let answer = self.ask(Request::Load { processor, arguments }.encode())?;
            if answer.tee_result() != Some(TeeResult::InProgress) {
                return Ok(answer);
            }
            machine::wait_microseconds(50);
        }
        Err(failure!("LOAD_FW does not end"))
    }

    /// Sends one LOAD_FW that has to be answered IN_PROGRESS.
    pub fn load_once(&mut self, handle: u64, total: u64, offset: u64) -> Outcome<Answer> {
        let arguments = LoadArguments { handle, total, offset, lent: false, one_call: false };
        let processor = self.client.processor();
        let answer = self.ask(Request::Load { processor, arguments }.encode())?;
        expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result");
        expect_eq!(answer.values[1], total, "the bytes in total");
        Ok(answer)
    }

    /// Goes on with a load until this many bytes are done, which may not be the last.
    pub fn load_until(&mut self, handle: u64, total: u64, offset: u64, done: u64) -> Outcome<Answer> {
        for _ in 0..100_000 {
            let answer = self.load_once(handle, total, offset)?;
            if answer.values[0] >= done {
                return Ok(answer);
            }
        }
        Err(failure!("LOAD_FW does not get to {done:#x}"))
    }

    /// Checks what GET_INFO counts: loads under way and handles held.
    pub fn expect_counts(&mut self, loads: u16, handles: u16) -> Outcome {
        let info = self.client.info().map_err(|error| failure!("GET_INFO: {error}"))?;
        expect_eq!((info.loads_under_way, info.handles_held), (loads, handles), "loads and handles");
        Ok(())
    }

    /// Shares any ranges, without the shim's own checks.
    pub fn share(&mut self, ranges: &[Constituent]) -> Outcome<Result<u64, Status>> {
        let mut descriptor = [0; 4096];
        let (owner, borrower) = (self.client.tee().own_id(), self.client.tee().service().partition);
        let length =
            write_share(&mut descriptor, owner, borrower, ranges).map_err(|error| failure!("{error}"))?;
        self.share_descriptor(&descriptor[..length])
    }

    /// Shares by a descriptor as it stands.
    pub fn share_descriptor(&mut self, descriptor: &[u8]) -> Outcome<Result<u64, Status>> {
        self.transfer(FFA_MEM_SHARE, descriptor)
    }

    /// FFA_MEM_SHARE or FFA_MEM_LEND with a descriptor in one piece.
    fn transfer(&mut self, function: u32, descriptor: &[u8]) -> Outcome<Result<u64, Status>> {
        expect!(self.client.tee().buffers().write(descriptor), "the descriptor exceeds the TX buffer");
        let length = descriptor.len() as u64;
        let answer = self.try_call(function, &[length, length])?;
        let handle = answer.map(|answer| answer[3] << 32 | answer[2] & 0xFFFF_FFFF);
        if let Ok(handle) = handle {
            let owner = self.client.tee().own_id();
            self.shared.push((owner, handle)).map_err(|_| failure!("more than {MOST_SHARED} shares"))?;
        }
        Ok(handle)
    }

    /// Shares ranges that the SPMC has to take.
    pub fn share_good(&mut self, ranges: &[Constituent]) -> Outcome<u64> {
        self.share(ranges)?.map_err(|status| failure!("FFA_MEM_SHARE is answered {status}"))
    }

    /// Shares one range more than the shim's descriptors can have; the SPMC has to take them.
    pub fn share_surplus(&mut self, ranges: &[Constituent]) -> Outcome<u64> {
        let (last, most) = ranges.split_last().ok_or_else(|| failure!("no ranges"))?;
        let mut descriptor = [0; 4096];
        let (owner, borrower) = (self.client.tee().own_id(), self.client.tee().service().partition);
        let length =
            write_share(&mut descriptor, owner, borrower, most).map_err(|error| failure!("{error}"))?;
        // The composite descriptor is at 80: total pages and number of ranges.
        let pages: u32 = ranges.iter().map(|range| range.page_count).sum();
        descriptor[80..84].copy_from_slice(&pages.to_le_bytes());
        descriptor[84..88].copy_from_slice(&(ranges.len() as u32).to_le_bytes());
        descriptor[length..length + 8].copy_from_slice(&last.address.to_le_bytes());
        descriptor[length + 8..length + 12].copy_from_slice(&last.page_count.to_le_bytes());
        let shared = self.share_descriptor(&descriptor[..length + 16])?;
        shared.map_err(|status| failure!("FFA_MEM_SHARE is answered {status}"))
    }

    /// Shares single pages, `stride` bytes apart, by a descriptor in fragments of at most one buffer; the SPMC has to take them.
    pub fn share_in_fragments(&mut self, first: u64, count: u32, stride: u64) -> Outcome<u64> {
        let mut fragment = [0; 4096];
        let (owner, borrower) = (self.client.tee().own_id(), self.client.tee().service().partition);
        let page = Constituent { address: first, page_count: 1 };
        let front =
            write_share(&mut fragment, owner, borrower, &[page]).map_err(|error| failure!("{error}"))? - 16;
        // The composite descriptor is at 80: total pages and number of ranges.
        fragment[80..84].copy_from_slice(&count.to_le_bytes());
        fragment[84..88].copy_from_slice(&count.to_le_bytes());
        let total = front as u64 + u64::from(count) * 16;
        let mut call = [total, 0, 0, 0];
        let mut function = FFA_MEM_SHARE;
        let mut place = front;
        for index in 0..u64::from(count) {
            fragment[place..place + 8].copy_from_slice(&(first + index * stride).to_le_bytes());
            fragment[place + 8..place + 16].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
            place += 16;
            let last = index + 1 == count.into();
            if place < fragment.len() && !last {
                continue;
            }
            expect!(
                self.client.tee().buffers().write(&fragment[..place]),
                "the fragment exceeds the TX buffer"
            );
            call[if function == FFA_MEM_SHARE { 1 } else { 2 }] = place as u64;
            let answer = self.call(function, &call);
            let (expected, handle) = if last {
                (FFA_SUCCESS_32, [answer[2], answer[3]])
            } else {
                (FFA_MEM_FRAG_RX, [answer[1], answer[2]])
            };
            expect_eq!(answer[0] as u32, expected, "the answer to a fragment");
            if last {
                return Ok(handle[1] << 32 | handle[0] & 0xFFFF_FFFF);
            }
            expect_eq!(answer[3], front as u64 + (index + 1) * 16, "the bytes that the SPMC has");
            function = FFA_MEM_FRAG_TX;
            call = [handle[0], handle[1], 0, 0];
            place = 0;
        }
        Err(failure!("no ranges"))
    }

    /// Lends ranges; the SPMC has to take them.
    pub fn lend_good(&mut self, ranges: &[Constituent]) -> Outcome<u64> {
        let mut descriptor = [0; 4096];
        let (owner, borrower) = (self.client.tee().own_id(), self.client.tee().service().partition);
        let length =
            write_lend(&mut descriptor, owner, borrower, ranges).map_err(|error| failure!("{error}"))?;
        let handle = self.transfer(FFA_MEM_LEND, &descriptor[..length])?;
        handle.map_err(|status| failure!("FFA_MEM_LEND is answered {status}"))
    }

    /// Asks for memory back.
    pub fn try_reclaim(&mut self, handle: u64) -> Outcome<Result<(), Status>> {
        let answer = self.try_call(FFA_MEM_RECLAIM, &[handle & 0xFFFF_FFFF, handle >> 32])?;
        if answer.is_ok() {
            self.shared.retain(|(_, shared)| *shared != handle);
        }
        Ok(answer.map(drop))
    }

    /// Takes memory back; the partition must not hold it any more.
    pub fn reclaim(&mut self, handle: u64) -> Outcome {
        self.try_reclaim(handle)?.map_err(|status| failure!("FFA_MEM_RECLAIM is answered {status}"))
    }

    /// Checks an answer: the result that belongs to the refusal, no values, and the refusal's number from GET_LAST_ERROR.
    pub fn expect_refusal(&mut self, answer: Answer, refusal: Refusal) -> Outcome {
        let expected = result_of(refusal.class());
        expect!(
            answer.result == u32::from(expected),
            "the result is {:#x}, not {expected}, expecting {refusal}",
            answer.result
        );
        expect_eq!(answer.values, [0; 4], "the values of a refused request");
        self.expect_last_error(refusal)
    }

    /// Checks that a load through the shim was refused so.
    pub fn expect_load_refused(
        &mut self,
        outcome: Result<(), LoadError<FfaError>>,
        refusal: Refusal,
    ) -> Outcome {
        match outcome {
            Ok(()) => Err(failure!("it loads; expected {refusal}")),
            Err(LoadError { error: Error::Refused { result, .. }, not_reclaimed: None }) => {
                self.expect_refusal(Answer { result, values: [0; 4] }, refusal)
            }
            Err(LoadError { not_reclaimed: Some(error), .. }) => Err(failure!("not given back: {error}")),
            Err(other) => Err(failure!("{other}; expected {refusal}")),
        }
    }

    /// Checks that a command through the shim was refused so.
    pub fn expect_command_refused<T>(
        &mut self,
        outcome: Result<T, Error<FfaError>>,
        refusal: Refusal,
    ) -> Outcome {
        match outcome {
            Ok(_) => Err(failure!("it succeeds; expected {refusal}")),
            Err(Error::Refused { result, .. }) => {
                self.expect_refusal(Answer { result, values: [0; 4] }, refusal)
            }
            Err(other) => Err(failure!("{other}; expected {refusal}")),
        }
    }

    fn expect_last_error(&mut self, refusal: Refusal) -> Outcome {
        let last = self.client.last_error().map_err(|error| failure!("GET_LAST_ERROR: {error}"))?;
        let number = last.map_or(0, |last| last.number);
        match Refusal::from_number(number) {
            Some(actual) if actual == refusal => Ok(()),
            Some(actual) => Err(failure!("GET_LAST_ERROR tells {actual}, not {refusal}")),
            None => Err(failure!("GET_LAST_ERROR tells {number:#06x}, not {refusal}")),
        }
    }

    /// Checks that the processor's memory reads zero.
    pub fn expect_clear(&mut self) -> Outcome {
        self.expect_filled(0)
    }

    /// All memory of the processor that the client speaks of: physical addresses.
    pub fn processor_memory(&self) -> Outcome<Range<u64>> {
        let processor = self.client.processor();
        let board = board::processor(processor).ok_or_else(|| failure!("no processor {processor}"))?;
        Ok(board.memory.clone())
    }

    /// Checks that every byte of the processor's memory is this one.
    pub fn expect_filled(&mut self, byte: u8) -> Outcome {
        match memory::first_other(self.processor_memory()?, byte) {
            None => Ok(()),
            Some(address) => Err(failure!(
                "the memory at {address:#x} is {:#010x}, not {byte:#04x} throughout",
                memory::read_word(address)
            )),
        }
    }
}

/// The result that belongs to a class of refusals (docs/abi.md); not taken from the partition's code, so that a mistake shows.
fn result_of(class: Class) -> TeeResult {
    match class {
        Class::BadParameters => TeeResult::BadParameters,
        Class::BadFormat => TeeResult::BadFormat,
        Class::NoData => TeeResult::NoData,
        Class::NotSupported => TeeResult::NotSupported,
        Class::NotImplemented => TeeResult::NotImplemented,
        Class::SignatureInvalid => TeeResult::SignatureInvalid,
        Class::Security => TeeResult::Security,
        Class::AccessDenied => TeeResult::AccessDenied,
        Class::BadState => TeeResult::BadState,
        Class::OutOfMemory => TeeResult::OutOfMemory,
        Class::Generic => TeeResult::Generic,
        Class::CorruptObject => TeeResult::CorruptObject,
    }
}
