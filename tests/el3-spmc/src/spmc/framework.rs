//! Framework messages about virtual machines, at the tests' wish: in the SPMC's own name, or as a hypervisor sends them.
use super::{
    Answer, Call, ContextState, DIRECT_REQ_32, DIRECT_REQ_64, DIRECT_RESP_32, NORMAL_WORLD_ID, Outcome,
    PARTITION_ID, SPMC_ID, Spmc,
};
use crate::error::{FfaError, Refusal};
use crate::machine::{Machine, World};

/// Bit 31 of w2: a framework message.
const FRAMEWORK: u64 = 1 << 31;
/// A virtual machine is there; one is gone.
const CREATED: u64 = 4;
const DESTROYED: u64 = 6;

impl Spmc<'_> {
    /// The fixture's call: see [`crate::function::fixture::FRAMEWORK`].
    pub(super) fn framework_request(&mut self, call: &Call<'_>) -> Outcome {
        let [_, function, sender, message, w3, w4, w5, ..] = *call.registers;
        let (Ok(function), Ok(sender)) = (u32::try_from(function), u16::try_from(sender)) else {
            return Outcome::Return(Answer::x0(u64::MAX));
        };
        // The SPMC tells a partition what its manifest asks for, and nothing else.
        let wanted = match message {
            CREATED => self.manifest.machine_messages & 1 != 0,
            DESTROYED => self.manifest.machine_messages & 2 != 0,
            _ => false,
        };
        let known = matches!(function, DIRECT_REQ_32 | DIRECT_REQ_64) && message < 0x100;
        if !known || !(sender == NORMAL_WORLD_ID || sender == SPMC_ID && wanted) {
            return Outcome::Return(Answer::x0(u64::MAX));
        }
        if self.context(call.processor) != ContextState::Waiting {
            return Outcome::Return(Answer::error(FfaError::Busy));
        }
        self.set_context(call.processor, ContextState::Told { sender, function, message });
        let parties = u64::from(sender) << 16 | u64::from(PARTITION_ID);
        let registers = [function.into(), parties, FRAMEWORK | message, w3, w4, w5];
        Outcome::Switch(World::Secure, Answer { count: 18, ..Answer::eight(registers) })
    }

    /// The partition's answer to it: of the request's width, to its sender, a framework message with a status.
    pub(super) fn framework_response(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
        [sender, function, message]: [u64; 3],
    ) -> Outcome {
        const RULE: Refusal = Refusal::invalid(
            "framework-response",
            "a framework message is answered by one, of its width, to its sender, with a status and nothing else",
        );
        let number = call.x(2) ^ FRAMEWORK;
        let numbered = match message {
            CREATED | DESTROYED => number == message + 1,
            _ => number < 0x100,
        };
        let expected = [function + 1, u64::from(PARTITION_ID) << 16 | sender];
        let good = call.registers[..2] == expected
            && numbered
            && call.x(3) >> 32 == 0
            && call.registers[4..].iter().all(|value| *value == 0);
        if !good {
            return Outcome::Return(self.refuse(machine, call, RULE));
        }
        self.check_mappings(machine, "the answer to a framework message");
        self.may_be_interrupted(machine);
        self.set_context(call.processor, ContextState::Waiting);
        Outcome::Switch(World::Normal, Answer { registers: *call.registers, count: 8 })
    }
}

const _: () = assert!(DIRECT_RESP_32 == DIRECT_REQ_32 + 1);
