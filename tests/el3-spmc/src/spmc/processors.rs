//! CPUs and the partition's execution contexts: PSCI's CPU_ON, CPU_OFF and AFFINITY_INFO (DEN0022, chapter 5),
//! FFA_SECONDARY_EP_REGISTER, and the framework message that tells a context of its CPU's end (DEN0077A 1.2, chapter 18).
use super::{
    Answer, Call, ContextState, DIRECT_REQ_32, DIRECT_RESP_32, MAXIMUM_PROCESSORS, Outcome, PARTITION_ID,
    SPMC_ID, Spmc,
};
use crate::console_log::ConsoleLog;
use crate::error::{FfaError, Refusal};
use crate::function::psci;
use crate::machine::{Machine, World};
use crate::manifest::POWER_OFF_MESSAGE;
use crate::memory_map::{NORMAL_RAM, PARTITION};

/// PSCI results.
const SUCCESS: u64 = 0;
const INVALID_PARAMETERS: u64 = u64::MAX - 1;
const DENIED: u64 = u64::MAX - 2;
const ALREADY_ON: u64 = u64::MAX - 3;
const ON_PENDING: u64 = u64::MAX - 4;
const INVALID_ADDRESS: u64 = u64::MAX - 8;
/// Framework messages in w2: a PSCI request, and its response.
const FRAMEWORK_PSCI_REQUEST: u64 = 1 << 31;
const FRAMEWORK_PSCI_RESPONSE: u64 = 1 << 31 | 2;

/// A CPU, as PSCI's AFFINITY_INFO tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    On,
    Off,
    /// Woken; it has not begun yet.
    Pending {
        entry: u64,
        context: u64,
    },
}

/// What a CPU does that was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Address at which the normal world wants it.
    pub entry: u64,
    /// x0 there.
    pub context: u64,
    /// The partition has an execution context for this CPU, which runs first, from here; `Some(None)`: from the image's entry.
    pub partition: Option<Option<u64>>,
}

impl Spmc<'_> {
    /// Whether the partition has one execution context, which runs wherever it is called.
    pub fn wanders(&self) -> bool {
        self.manifest.contexts == 1
    }

    /// The execution context that a CPU calls.
    pub(super) fn context_index(&self, processor: usize) -> usize {
        if self.wanders() { 0 } else { processor.min(MAXIMUM_PROCESSORS - 1) }
    }

    /// The state of the execution context that a CPU calls.
    pub(super) fn context(&self, processor: usize) -> ContextState {
        self.contexts.get(self.context_index(processor)).copied().unwrap_or(ContextState::Off)
    }

    pub(super) fn set_context(&mut self, processor: usize, state: ContextState) {
        let index = self.context_index(processor);
        if let Some(context) = self.contexts.get_mut(index) {
            *context = state;
        }
    }

    /// The log of the execution context that a CPU calls.
    pub(super) fn log_mut(&mut self, processor: usize) -> &mut ConsoleLog {
        &mut self.logs[self.context_index(processor)]
    }

    /// The CPU that an affinity names: they are numbered from 0 in its lowest field, all others are zero.
    fn target(&self, affinity: u64) -> Option<usize> {
        usize::try_from(affinity).ok().filter(|index| *index < self.processors)
    }

    /// CPU_ON.
    pub(super) fn processor_on(&mut self, call: &Call<'_>) -> Outcome {
        let (entry, context) = (call.argument(2), call.argument(3));
        let result = match self.target(call.argument(1)) {
            None => INVALID_PARAMETERS,
            Some(_) if !NORMAL_RAM.holds(entry) || !entry.is_multiple_of(4) => INVALID_ADDRESS,
            Some(target) => match self.power.get_mut(target) {
                Some(power @ Power::Off) => {
                    *power = Power::Pending { entry, context };
                    return Outcome::Wake(target, Answer::x0(SUCCESS));
                }
                Some(Power::Pending { .. }) => ON_PENDING,
                _ => ALREADY_ON,
            },
        };
        Outcome::Return(Answer::x0(result))
    }

    /// A CPU that [`Outcome::Wake`] has named begins. `None`: nobody has asked for it.
    pub fn started(&mut self, processor: usize) -> Option<Start> {
        let power = self.power.get_mut(processor)?;
        let Power::Pending { entry, context } = *power else { return None };
        *power = Power::On;
        let partition = (!self.wanders()).then_some(self.secondary_entry);
        if partition.is_some() {
            self.set_context(processor, ContextState::Initializing);
        }
        Some(Start { entry, context, partition })
    }

    /// CPU_OFF. A context that wants to know is told first.
    pub(super) fn processor_off(&mut self, call: &Call<'_>) -> Outcome {
        if self.wanders() {
            return self.off(call.processor);
        }
        match self.context(call.processor) {
            ContextState::Waiting if self.manifest.power_messages & POWER_OFF_MESSAGE != 0 => {
                self.set_context(call.processor, ContextState::PoweringDown);
                let parties = u64::from(SPMC_ID) << 16 | u64::from(PARTITION_ID);
                let message = [DIRECT_REQ_32.into(), parties, FRAMEWORK_PSCI_REQUEST, psci::CPU_OFF.into()];
                let mut answer = Answer::eight(message);
                answer.count = 18;
                Outcome::Switch(World::Secure, answer)
            }
            ContextState::Waiting => self.off(call.processor),
            // In the middle of a request: its CPU can't go.
            _ => Outcome::Return(Answer::x0(DENIED)),
        }
    }

    fn off(&mut self, processor: usize) -> Outcome {
        if let Some(power) = self.power.get_mut(processor) {
            *power = Power::Off;
        }
        if !self.wanders() {
            self.set_context(processor, ContextState::Off);
        }
        Outcome::ProcessorOff
    }

    /// The partition's answer to the message that its CPU goes off. It goes, whatever that is.
    pub(super) fn power_response(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        const RULE: Refusal =
            Refusal::invalid("power-response", "CPU_OFF is answered with a PSCI response that says success");
        let parties = u64::from(PARTITION_ID) << 16 | u64::from(SPMC_ID);
        let expected = [DIRECT_RESP_32.into(), parties, FRAMEWORK_PSCI_RESPONSE, SUCCESS];
        if call.registers[..4] != expected || call.registers[4..].iter().any(|value| *value != 0) {
            self.refuse(machine, call, RULE);
        }
        self.check_mappings(machine, "the answer to CPU_OFF");
        self.off(call.processor)
    }

    /// AFFINITY_INFO of one CPU: 0 on, 1 off, 2 about to be on.
    pub(super) fn affinity_info(&self, call: &Call<'_>) -> u64 {
        let power = self.target(call.argument(1)).and_then(|target| self.power.get(target));
        match power {
            Some(power) if call.argument(2) == 0 => match power {
                Power::On => 0,
                Power::Off => 1,
                Power::Pending { .. } => 2,
            },
            _ => INVALID_PARAMETERS,
        }
    }

    /// FFA_SECONDARY_EP_REGISTER: where the other execution contexts start. Only before the first one waits.
    pub(super) fn register_secondary_entry(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if self.wanders() {
            // Nothing to start; the partition need not know.
            return Ok(Answer::error(FfaError::NotSupported));
        }
        if call.processor != 0 || self.context(0) != ContextState::Initializing {
            return Err(Refusal::denied(
                "secondary-late",
                "the entry point is registered by the first context, before it waits",
            ));
        }
        let entry = call.argument(1);
        if !PARTITION.holds(entry) || !entry.is_multiple_of(4) || !call.zero(2..=7) {
            return Err(Refusal::invalid(
                "secondary-entry",
                "the entry point is no instruction of the partition, or a reserved register is not zero",
            ));
        }
        self.secondary_entry = Some(entry);
        Ok(Answer::success(0, 0))
    }
}
