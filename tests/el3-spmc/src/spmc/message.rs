//! Direct messages, FFA_MSG_WAIT, FFA_RUN, the console: what moves the partition's execution context.
use super::{
    Answer, CONSOLE_LOG_64, Call, ContextState, DIRECT_RESP_64, NORMAL_WORLD_ID, Outcome, PARTITION_ID, Spmc,
};
use crate::error::{FfaError, Refusal};
use crate::function::{SMC64, ffa};
use crate::machine::{Machine, World};
use crate::manifest::RECEIVES_DIRECT_REQUESTS;

impl Spmc<'_> {
    /// FFA_MSG_SEND_DIRECT_REQ (64 bit) of the normal world.
    pub(super) fn direct_request(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        let (sender, receiver) = ((call.w(1) >> 16) as u16, call.w(1) as u16);
        let result = if sender != NORMAL_WORLD_ID {
            Err(Refusal::invalid("request-sender", "the sender is not the caller"))
        } else if receiver != PARTITION_ID {
            Err(Refusal::invalid("request-receiver", "there is no such partition"))
        } else if call.x(2) != 0 {
            Err(Refusal::invalid("request-flags", "framework messages are not the normal world's to send"))
        } else if self.manifest.messaging & RECEIVES_DIRECT_REQUESTS == 0 {
            Err(Refusal::denied("request-method", "the partition takes no direct requests"))
        } else if self.contexts.get(call.processor) != Some(&ContextState::Waiting) {
            Err(Refusal::new(FfaError::Busy, "request-busy", "the execution context is not waiting"))
        } else {
            Ok(())
        };
        if let Err(refusal) = result {
            return Outcome::Return(self.refuse(machine, call, refusal));
        }
        if let Some(state) = self.contexts.get_mut(call.processor) {
            *state = ContextState::Serving { client: sender, function: call.function() };
        }
        // x8 to x17 are not part of this message: the partition gets zeros, whatever the client left there.
        let mut answer = Answer { registers: *call.registers, count: 18 };
        answer.registers[0] = call.function().into();
        answer.registers[1] = call.w(1).into();
        answer.registers[8..].fill(0);
        Outcome::Switch(World::Secure, answer)
    }

    /// FFA_MSG_SEND_DIRECT_RESP and RESP2 of the partition.
    pub(super) fn direct_response(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        match self.check_response(call) {
            Err(refusal) => Outcome::Return(self.refuse(machine, call, refusal)),
            Ok(()) => {
                self.check_mappings(machine, "direct response");
                if let Some(state) = self.contexts.get_mut(call.processor) {
                    *state = ContextState::Waiting;
                }
                // The client's x8 to x17 stay what they were.
                Outcome::Switch(World::Normal, Answer { registers: *call.registers, count: 8 })
            }
        }
    }

    fn check_response(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let Some(ContextState::Serving { client, function }) = self.contexts.get(call.processor).copied()
        else {
            return Err(Refusal::denied("response-without-request", "there is no request to answer"));
        };
        // REQ 64 is the only request delivered; RESP is its identifier plus one, in both widths.
        if call.function() != function + 1 {
            return Err(Refusal::denied(
                "response-family",
                "the response is of another family or width than the request",
            ));
        }
        debug_assert_eq!(call.function(), DIRECT_RESP_64);
        if (call.x(1) >> 16) as u16 != PARTITION_ID || call.x(1) as u16 != client || call.x(1) >> 32 != 0 {
            return Err(Refusal::invalid(
                "response-ids",
                "the sender must be the partition, the receiver the one who asked",
            ));
        }
        if call.x(2) != 0 {
            return Err(Refusal::invalid(
                "response-flags",
                "w2 must be zero: the request was no framework message",
            ));
        }
        self.check_extended(call)
    }

    /// From FF-A 1.2 on, x8 to x17 of a message with eight registers must be zero.
    fn check_extended(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.version_of(World::Secure) >= 0x0001_0002
            && call.registers[8..].iter().any(|&value| value != 0)
        {
            return Err(Refusal::invalid("extended-registers", "x8 to x17 must be zero"));
        }
        Ok(())
    }

    /// FFA_MSG_WAIT of the partition.
    pub(super) fn wait(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        match self.check_wait(call) {
            Err(refusal) => Outcome::Return(self.refuse(machine, call, refusal)),
            Ok(()) => {
                self.check_mappings(machine, "FFA_MSG_WAIT");
                // Waiting gives the RX buffer back, unless bit 0 of w2 says to keep it.
                if call.w(2) & 1 == 0
                    && let Some(mailbox) = &mut self.partition.mailbox
                {
                    mailbox.receive_held = false;
                }
                if let Some(state) = self.contexts.get_mut(call.processor) {
                    *state = ContextState::Waiting;
                }
                Outcome::Switch(World::Normal, Answer::NOTHING)
            }
        }
    }

    fn check_wait(&self, call: &Call<'_>) -> Result<(), Refusal> {
        match self.contexts.get(call.processor) {
            Some(ContextState::Initializing) => {}
            Some(ContextState::Serving { .. }) => {
                return Err(Refusal::denied(
                    "wait-in-request",
                    "a request must be answered, not left with FFA_MSG_WAIT",
                ));
            }
            _ => return Err(Refusal::denied("wait-state", "the execution context is waiting already")),
        }
        let keep_allowed = self.version_of(World::Secure) >= 0x0001_0002;
        if call.w(1) != 0 || call.w(2) > u32::from(keep_allowed) || !call.zero(3..=7) {
            return Err(Refusal::invalid(
                "wait-registers",
                "w1 and w3 to w7 must be zero, w2 has one flag from 1.2 on",
            ));
        }
        self.check_extended(call)
    }

    /// FFA_ERROR of the partition: ends its initialization, and is nothing else.
    pub(super) fn partition_error(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        if self.contexts.get(call.processor) == Some(&ContextState::Initializing) {
            self.log.flush(machine);
            machine.firmware_line(format_args!("partition failed to initialize, error {}", call.w(2) as i32));
            return Outcome::BootFailed;
        }
        const RULE: Refusal =
            Refusal::new(FfaError::NotSupported, "error-as-call", "FFA_ERROR only ends the initialization");
        Outcome::Return(self.refuse(machine, call, RULE))
    }

    /// FFA_RUN of the normal world: no execution context is ever left interrupted, so there is nothing to run.
    pub(super) fn run(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (partition, context) = ((call.w(1) >> 16) as u16, call.w(1) & 0xffff);
        if partition != PARTITION_ID || context >= self.manifest.contexts {
            return Err(Refusal::invalid("run-target", "there is no such execution context"));
        }
        Err(Refusal::denied("run-nothing", "the execution context is not interrupted"))
    }

    /// FFA_CONSOLE_LOG of the partition.
    pub(super) fn console_log(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
    ) -> Result<Answer, Refusal> {
        let wide = call.function() == CONSOLE_LOG_64;
        let extended = self.version_of(World::Secure) >= 0x0001_0002;
        // w2 to w7 with four bytes each, x2 to x7 with eight, or x2 to x17 from 1.2 on.
        let (width, last) = match (wide, extended) {
            (false, _) => (4, 7),
            (true, false) => (8, 7),
            (true, true) => (8, 17),
        };
        let mut text = [0; 128];
        let limit = (last - 1) * width;
        let count = call.argument(1) as usize;
        if count == 0 || count > limit {
            return Err(Refusal::invalid("log-length", "the number of characters is zero or more than fit"));
        }
        for (bytes, value) in text.chunks_exact_mut(width).zip(&call.registers[2..=last]) {
            bytes.copy_from_slice(&value.to_le_bytes()[..width]);
        }
        self.log.push(machine, &text[..count]);
        Ok(Answer::success(0, 0))
    }
}

const _: () = assert!(DIRECT_RESP_64 == (ffa::MSG_SEND_DIRECT_REQ | SMC64) + 1);
