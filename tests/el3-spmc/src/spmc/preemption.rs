//! The partition interrupted in a request, or giving its turn away, and FFA_RUN, which resumes it (DEN0077A 1.2, sections 8
//! and 14).
use super::{Answer, Call, ContextState, Outcome, PARTITION_ID, Spmc};
use crate::error::Refusal;
use crate::function::ffa;
use crate::machine::{Machine, World};
use crate::manifest::InterruptAction;

/// How often the partition was preempted, and in the middle of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preemptions {
    /// All.
    pub(super) all: u64,
    /// While it had something in its RX buffer.
    pub(super) receiving: u64,
    /// While it held memory of a client.
    pub(super) holding: u64,
}

impl Spmc<'_> {
    /// Whether a non-secure interrupt preempts the partition on this CPU; otherwise it waits until the partition has answered. What
    /// is no request is never preempted.
    pub fn signals_interrupts(&self, processor: usize) -> bool {
        let wanted = self.signal_interrupts || self.manifest.interrupts == InterruptAction::Signaled;
        wanted && matches!(self.context(processor), ContextState::Serving { .. })
    }

    /// A non-secure interrupt came while the partition ran. Its registers are saved by the caller and must be the same when
    /// it goes on. `None`: nothing may interrupt it now.
    pub fn interrupted(&mut self, machine: &mut dyn Machine, processor: usize) -> Option<Outcome> {
        if !self.signals_interrupts(processor) {
            return None;
        }
        let ContextState::Serving { client, function } = self.context(processor) else { return None };
        self.set_context(processor, ContextState::Preempted { client, function });
        self.preemptions.all += 1;
        if self.partition.mailbox.is_some_and(|mailbox| mailbox.receive_held) {
            self.preemptions.receiving += 1;
        }
        if self.shares.held(PARTITION_ID).next().is_some() {
            self.preemptions.holding += 1;
        }
        // What it may have mapped does not depend on what it is doing.
        self.check_mappings(machine, "a preemption");
        let target = self.execution_context(processor);
        Some(Outcome::Switch(World::Normal, Answer::eight([ffa::INTERRUPT.into(), target])))
    }

    /// FFA_YIELD of the partition: the caller of its request gets w2 and w3, a time-out, and resumes it.
    pub(super) fn give_turn_away(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        let (client, function) = match self.check_yield(call) {
            Err(refusal) => return Outcome::Return(self.refuse(machine, call, refusal)),
            Ok(request) => request,
        };
        self.check_mappings(machine, "FFA_YIELD");
        self.set_context(call.processor, ContextState::Yielded { client, function });
        let target = self.execution_context(call.processor);
        let answer = Answer::eight([ffa::YIELD.into(), target, call.w(2).into(), call.w(3).into()]);
        Outcome::Switch(World::Normal, answer)
    }

    fn check_yield(&self, call: &Call<'_>) -> Result<(u16, u32), Refusal> {
        let ContextState::Serving { client, function } = self.context(call.processor) else {
            return Err(Refusal::denied("yield-without-request", "there is no caller to yield to"));
        };
        if call.w(1) != 0 || !call.zero(4..=7) {
            return Err(Refusal::invalid("yield-registers", "w1 and w4 to w7 must be zero"));
        }
        self.check_extended(call)?;
        Ok((client, function))
    }

    /// FFA_RUN of the normal world: a partition that was interrupted goes on as if nothing had happened, one that has
    /// yielded gets its answer.
    pub(super) fn run(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        match self.resume(call) {
            Ok(answer) => Outcome::Switch(World::Secure, answer),
            Err(refusal) => Outcome::Return(self.refuse(machine, call, refusal)),
        }
    }

    fn resume(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (partition, context) = ((call.w(1) >> 16) as u16, call.w(1) & 0xffff);
        if partition != PARTITION_ID || context >= self.manifest.contexts {
            return Err(Refusal::invalid("run-target", "there is no such execution context"));
        }
        // An execution context of a partition that has one for each CPU stays on its CPU.
        if u64::from(call.w(1)) != self.execution_context(call.processor) {
            return Err(Refusal::invalid("run-processor", "the execution context belongs to another CPU"));
        }
        const RULE: Refusal = Refusal::denied("run-nothing", "the execution context is not interrupted");
        let (answer, client, function) = match self.context(call.processor) {
            ContextState::Preempted { client, function } => (Answer::NOTHING, client, function),
            ContextState::Yielded { client, function } => (Answer::success(0, 0), client, function),
            _ => return Err(RULE),
        };
        self.set_context(call.processor, ContextState::Serving { client, function });
        Ok(answer)
    }

    /// Endpoint id (bits 31:16) and number of the execution context that runs on a CPU, as FFA_INTERRUPT, FFA_YIELD and
    /// FFA_RUN carry them in w1.
    fn execution_context(&self, processor: usize) -> u64 {
        let context = self.context_index(processor) as u64;
        u64::from(PARTITION_ID) << 16 | context
    }
}
