//! The front door: one request in, one answer out, whatever the request is.
use crate::buffers::Buffers;
use crate::client_memory::ClientMemory;
use crate::clients::{Caller, LastRefusals};
use crate::configuration::{Board, MAX_PROCESSORS, Processor};
use crate::counters::Counters;
use crate::guards::Guard;
use crate::hardware::{DriverProgress, Machine, ProcessorDriver};
use crate::jobs::{MAX_LOADS, Storage, Work};
use crate::lifecycle::{Ask, Input, State, Verdict, transition};
use crate::measurements::Measurements;
use crate::processor::Slot;
use crate::report;
use crate::result::Refused;
use crate::result::result_of;
use heapless::Vec;
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{Answer, DecodeError, Registers, Request};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::provider::Provider;
use remoteproc_image::reader::Reader;
use remoteproc_refusal::Refusal;

/// Bytes of client memory read in one piece, and of processor memory hashed in one.
pub const PIECE: usize = 4096;

/// How often [`Service::hold_if_loading`] asks a driver that is not done yet.
const LAST_POLLS: u32 = 1000;

/// What a request leads to: an answer, or a refusal to be logged, remembered and answered.
pub(crate) type Outcome = Result<Answer, Refused>;

/// The hash state of a machine.
pub type HasherOf<M> = <<M as Machine>::Crypto as Provider>::Hasher;

/// The service: a board, the machine under it, and what is known of processors and clients.
pub struct Service<'a, M: Machine> {
    pub(crate) board: Board<'a>,
    pub(crate) machine: M,
    pub(crate) slots: &'a mut Vec<Slot<HasherOf<M>>, MAX_PROCESSORS>,
    pub(crate) readers: &'a mut [Reader<HasherOf<M>>; MAX_LOADS],
    /// Of each reader, the load that it is used for.
    pub(crate) works: [Option<Work>; MAX_LOADS],
    pub(crate) buffer: &'a mut [u8; PIECE],
    pub(crate) measurements: &'a mut Measurements,
    pub(crate) counters: Counters,
    /// What clients of door T share.
    pub(crate) buffers: Buffers,
    pub(crate) refusals: LastRefusals,
    /// A guard that a test has taken out.
    #[cfg(feature = "control")]
    pub(crate) removed: Option<Guard>,
}

impl<'a, M: Machine> Service<'a, M> {
    /// Takes over the board's processors, and the memory to work in. Logs which of them lack isolation. What is not held in reset is
    /// nobody's: it is held, and cleared before anybody has it.
    pub fn new(board: Board<'a>, mut machine: M, storage: &'a mut Storage<HasherOf<M>>) -> Self {
        let Storage { readers, slots, buffer, measurements } = storage;
        slots.clear();
        readers.iter_mut().for_each(Reader::reset);
        measurements.forget();
        for (index, processor) in board.processors.iter().enumerate() {
            // Both lists have the same capacity.
            let _ = slots.push(Slot::new());
            let enforced = machine.driver(index).map(|driver| driver.enforces_isolation());
            report::isolation(processor, enforced, board.accept_no_isolation);
        }
        let mut service = Self {
            board,
            machine,
            slots,
            readers,
            works: [None; MAX_LOADS],
            buffer,
            measurements,
            counters: Counters::default(),
            buffers: Buffers::new(),
            refusals: LastRefusals::default(),
            #[cfg(feature = "control")]
            removed: None,
        };
        service.take_in_strays();
        service
    }

    /// Answers one request of door D, given its payload registers x3 to x7. Any registers get exactly one answer.
    pub fn handle<C: ClientMemory>(
        &mut self,
        caller: Caller,
        registers: &Registers,
        memory: &mut C,
    ) -> Answer {
        match Request::decode(registers) {
            Ok(request) => self.handle_request(caller, request, memory),
            Err(error) => {
                let [first, ..] = *registers;
                self.refuse_malformed((first & 0xFFFF) as u16, caller, error)
            }
        }
    }

    /// Answers what is no request.
    pub(crate) fn refuse_malformed(&mut self, id: u16, caller: Caller, error: DecodeError) -> Answer {
        let refusal = match error {
            DecodeError::UnknownCommand(_) => Refusal::UnknownCommand,
            DecodeError::ReservedBits | DecodeError::BadArgument => Refusal::FlagsUnknown,
        };
        let command = Command::try_from(id).map_or("a request", Command::name);
        self.refuse(command, caller, refusal.into())
    }

    /// Answers one well-formed request.
    pub fn handle_request<C: ClientMemory>(
        &mut self,
        caller: Caller,
        request: Request,
        memory: &mut C,
    ) -> Answer {
        let (command, outcome) = match request {
            Request::Load { processor, arguments } => (
                Command::LoadFirmware,
                self.find(processor).and_then(|index| self.load(caller, index, &arguments, memory)),
            ),
            Request::Start { processor } => {
                (Command::StartFirmware, self.find(processor).and_then(|index| self.start(caller, index)))
            }
            Request::Stop { processor, mode } => {
                (Command::StopFirmware, self.find(processor).and_then(|index| self.stop(caller, index, mode)))
            }
            Request::GetResourceTable { processor } => (
                Command::GetResourceTable,
                self.find(processor).and_then(|index| self.resource_table(caller, index)),
            ),
            Request::Release { processor } => (
                Command::ReleaseFirmware,
                self.find(processor).and_then(|index| self.release(caller, index, memory)),
            ),
            Request::GetInfo => (Command::GetInfo, Ok(self.info(memory))),
            Request::GetProcessor { index } => (Command::GetProcessor, self.describe(index)),
            Request::GetStatus { processor } => {
                (Command::GetStatus, self.find(processor).and_then(|index| self.status(index)))
            }
            Request::GetLastError => (Command::GetLastError, Ok(self.last_error(caller))),
            Request::BindEvents { processor, notification } => (
                Command::BindEvents,
                self.find(processor).and_then(|index| self.bind_events(caller, index, notification)),
            ),
            Request::Confirm { processor } => {
                (Command::Confirm, self.find(processor).and_then(|index| self.confirm(caller, index)))
            }
            Request::GetMeasurements(question) => (Command::GetMeasurements, self.measurements(question)),
            Request::Unimplemented(command) => (command, Err(Refusal::NotImplemented.into())),
        };
        outcome.unwrap_or_else(|refused| self.refuse(command.name(), caller, refused))
    }

    /// Holds a processor in reset, by its index of the configuration, if it is being loaded, is loaded or is nobody's, and leaves a
    /// running one alone: the partition is about to die. Waits a bounded number of polls; answers to nobody.
    pub fn hold_if_loading(&mut self, index: usize) {
        let loading = self
            .slots
            .get(index)
            .is_some_and(|slot| slot.is_nobodys() || matches!(slot.state(), State::Loading | State::Loaded));
        let Some(driver) = self.machine.driver(index).filter(|_| loading) else { return };
        for _ in 0..LAST_POLLS {
            if driver.hold() != Ok(DriverProgress::Pending) {
                break;
            }
        }
    }

    /// Returns the counts since boot.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns a processor's state, by its id.
    #[must_use]
    pub fn state(&self, id: u32) -> Option<State> {
        let index = self.find(id).ok()?;
        self.slots.get(index).map(Slot::state)
    }

    /// Returns how many loads are under way, of [`MAX_LOADS`].
    #[must_use]
    pub fn loads_under_way(&self) -> usize {
        self.works.iter().flatten().count()
    }

    /// Returns how many buffers of door T are held, of [`MAX_BUFFERS`](crate::buffers::MAX_BUFFERS).
    #[must_use]
    pub fn buffers_held(&self) -> usize {
        self.buffers.held()
    }

    /// Returns the machine.
    #[must_use]
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Returns the machine, to be changed under the service.
    pub const fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// Returns the index of the processor with this id.
    pub(crate) fn find(&self, id: u32) -> Result<usize, Refused> {
        let index = self.board.processors.iter().position(|processor| processor.id == id);
        index.ok_or(Refusal::UnknownProcessor.into())
    }

    fn last_error(&self, caller: Caller) -> Answer {
        match self.refusals.of(caller) {
            Some(Refused { refusal, offset }) => Answer::last_error(refusal.number(), offset),
            None => Answer::last_error(0, None),
        }
    }

    pub(crate) fn refuse(&mut self, command: &str, caller: Caller, refused: Refused) -> Answer {
        self.counters.refusals = self.counters.refusals.saturating_add(1);
        report::refused(command, caller, &refused);
        self.refusals.remember(caller, refused);
        Answer::of(result_of(refused.refusal))
    }

    /// Decides whether this client may ask this now: a processor that the manifest does not keep from it, its own or a free one, and a
    /// row of the table that allows it.
    pub(crate) fn admit(&mut self, index: usize, caller: Caller, ask: Ask) -> Result<Verdict, Refused> {
        self.check_endpoint(index, caller)?;
        self.driver(index)?;
        self.look_for_crash(index)?;
        let now = self.machine.milliseconds();
        let limit = u64::from(self.board.idle_claim_ms);
        let only_the_owner = self.guarded(Guard::Owner);
        let slot = self.slot(index)?;
        if only_the_owner && slot.owner.is_some_and(|owner| owner != caller) {
            // Its load stands until another one's signature has verified; that is when it is taken over.
            let may_try = ask == Ask::Load && slot.is_idle_claim(now, limit);
            return if may_try { Ok(Verdict::Proceed) } else { Err(Refusal::NotOwner.into()) };
        }
        match transition(slot.state(), slot.pending(), Input::Ask(ask)) {
            Verdict::Refuse(refusal) => Err(refusal.into()),
            verdict => Ok(verdict),
        }
    }

    /// Refuses endpoints that the manifest keeps a processor from.
    pub(crate) fn check_endpoint(&self, index: usize, caller: Caller) -> Result<(), Refused> {
        let is_for = !self.guarded(Guard::EndpointList) || self.processor(index)?.is_for(caller.endpoint);
        if is_for { Ok(()) } else { Err(Refusal::EndpointNotAllowed.into()) }
    }

    pub(crate) fn slot(&mut self, index: usize) -> Result<&mut Slot<HasherOf<M>>, Refused> {
        self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor.into())
    }

    pub(crate) fn driver(&mut self, index: usize) -> Result<&mut dyn ProcessorDriver, Refused> {
        self.machine.driver(index).ok_or(Refusal::HardwareFailed.into())
    }

    pub(crate) fn processor(&self, index: usize) -> Result<&Processor<'a>, Refused> {
        self.board.processors.get(index).ok_or(Refusal::UnknownProcessor.into())
    }
}

/// Tells whether a request of door D is to be repeated before its client hears an answer: LOAD_FW with ONE_CALL that is in progress.
/// Whoever serves the requests repeats it, so that others can be served between two slices.
#[must_use]
pub fn goes_on_by_itself(request: &Registers, answer: &Answer) -> bool {
    let one_call =
        matches!(Request::decode(request), Ok(Request::Load { arguments, .. }) if arguments.one_call);
    one_call && answer.tee_result() == Some(TeeResult::InProgress)
}

/// The answer to a call that has to be repeated.
pub(crate) fn in_progress() -> Outcome {
    Ok(Answer::of(TeeResult::InProgress))
}

/// The answer to a call that is done and has no values.
pub(crate) fn success() -> Outcome {
    Ok(Answer::of(TeeResult::Success))
}
