//! GET_INFO, GET_PROCESSOR and GET_STATUS: questions that anybody may ask, and that change nothing.
use crate::client_memory::ClientMemory;
use crate::clients::Door;
use crate::hardware::{Crash, Machine};
use crate::jobs::MAX_LOADS;
use crate::lifecycle::{Pending, State};
use crate::service::{Outcome, Service};
use remoteproc_abi::door_d::Answer;
use remoteproc_abi::status::{
    Capabilities, Fault, Features, Info, Operation, Owner, OwnerDoor, ProcessorInfo, ProcessorState, Status,
    VERSION,
};
use remoteproc_image::target::BootSecurity;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// GET_INFO.
    pub(crate) fn info<C: ClientMemory>(&mut self, memory: &C) -> Answer {
        let mut features = Features::SLICES;
        let enforces = |driver: Option<bool>| driver == Some(true);
        let unprotected = (0..self.board.processors.len())
            .any(|index| !enforces(self.machine.driver(index).map(|driver| driver.enforces_isolation())));
        features.set(Features::NO_ISOLATION, unprotected);
        features.set(Features::ONE_CALL, !self.board.one_call_endpoints.is_empty());
        features.set(Features::EVENTS, self.machine.notifier().is_some());
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let info = Info {
            version: VERSION,
            processors: u32::try_from(self.board.processors.len()).unwrap_or(u32::MAX),
            features,
            load_slots: count(MAX_LOADS),
            loads_under_way: count(self.loads_under_way()),
            handles_held: count(memory.held()),
        };
        info.answer()
    }

    /// GET_PROCESSOR.
    pub(crate) fn describe(&mut self, index: u32) -> Outcome {
        let index = usize::try_from(index).map_err(|_| Refusal::UnknownProcessor)?;
        self.look_for_crash(index)?;
        let state = wire_state(self.slot(index)?.state());
        let (isolates, can_be_asked) = self
            .machine
            .driver(index)
            .map_or((false, false), |driver| (driver.enforces_isolation(), driver.can_ask_to_stop()));
        let processor = self.processor(index)?;
        let mut capabilities = Capabilities::empty();
        capabilities.set(Capabilities::ISOLATION, isolates);
        capabilities.set(Capabilities::SECURE_BOOT, processor.boot_security == BootSecurity::Honoured);
        capabilities.set(Capabilities::DEFAULT_BOOT_ADDRESS, processor.default_boot_address.is_some());
        capabilities.set(Capabilities::GRACEFUL_STOP, can_be_asked);
        capabilities.set(Capabilities::COUNTER_ON_CONFIRM, processor.counter_on_confirm);
        let regions = u32::try_from(processor.regions.len()).unwrap_or(u32::MAX);
        Ok(ProcessorInfo { id: processor.id, state, capabilities, regions }.answer())
    }

    /// GET_STATUS.
    pub(crate) fn status(&mut self, index: usize) -> Outcome {
        // Of a processor without a driver nobody knows what it does.
        self.driver(index)?;
        self.look_for_crash(index)?;
        let slot = self.slot(index)?;
        let owner = slot.owner.map(|owner| Owner {
            endpoint: owner.endpoint,
            door: match owner.door {
                Door::Direct => OwnerDoor::Direct,
                Door::TsRpc => OwnerDoor::TsRpc,
            },
        });
        let crashed = slot.state() == State::Crashed;
        let fault = if crashed { wire_fault(slot.crash) } else { Fault::None };
        let operation = slot.pending().map(wire_operation);
        let state = wire_state(slot.state());
        let counter = self.machine.driver(index).and_then(|driver| driver.security_counter().ok());
        let security_counter = counter.map_or(0, |counter| counter.value.into());
        let readable = self.slot(index)?.readable;
        Ok(Status { state, operation, owner, fault, security_counter, readable }.answer())
    }
}

const fn wire_state(state: State) -> ProcessorState {
    match state {
        State::Offline => ProcessorState::Offline,
        State::Loading => ProcessorState::Loading,
        State::Loaded => ProcessorState::Loaded,
        State::Running => ProcessorState::Running,
        State::Crashed => ProcessorState::Crashed,
        State::Stopped => ProcessorState::Stopped,
    }
}

const fn wire_fault(crash: Crash) -> Fault {
    match crash {
        Crash::Unknown => Fault::Unknown,
        Crash::Reset => Fault::Reset,
        Crash::Watchdog => Fault::Watchdog,
        Crash::HardFault => Fault::HardFault,
        Crash::Lockup => Fault::Lockup,
        Crash::Gone => Fault::Gone,
    }
}

const fn wire_operation(pending: Pending) -> Operation {
    match pending {
        Pending::Load => Operation::HoldForLoad,
        Pending::Start => Operation::Start,
        Pending::GracefulStop => Operation::GracefulStop,
        Pending::Stop | Pending::Hold => Operation::Stop,
        Pending::Release => Operation::HoldForRelease,
        Pending::Wipe | Pending::Clear => Operation::Wipe,
    }
}
