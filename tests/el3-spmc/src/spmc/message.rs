//! Direct messages, FFA_MSG_WAIT and the console: what the partition's execution context says. For FFA_RUN see `preemption.rs`.
use super::{
    Answer, CONSOLE_LOG_64, Call, ContextState, DIRECT_REQ_32, DIRECT_REQ_64, DIRECT_REQ2_64, DIRECT_RESP_32,
    DIRECT_RESP_64, DIRECT_RESP2_64, Outcome, PARTITION_ID, Registers, Spmc, is_normal_world,
};
use crate::error::{FfaError, Refusal};
use crate::function::SMC64;
use crate::machine::{Machine, World};
use crate::manifest::{RECEIVES_DIRECT_REQUESTS, RECEIVES_DIRECT_REQUESTS_2};

/// The FF-A version that brought REQ2 and extended registers.
const VERSION_1_2: u32 = 0x0001_0002;

impl Spmc<'_> {
    /// FFA_MSG_SEND_DIRECT_REQ (32 and 64 bit) and REQ2 of the normal world.
    pub(super) fn direct_request(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        let result = match call.function() {
            DIRECT_REQ2_64 => self.check_request_2(call),
            _ => self.check_request(call),
        };
        let result = result.and_then(|()| match self.context(call.processor) {
            ContextState::Waiting => Ok(()),
            // Preempted in a request, too; or the one context is busy on another CPU.
            _ => Err(Refusal::new(FfaError::Busy, "request-busy", "the execution context is not waiting")),
        });
        if let Err(refusal) = result {
            return Outcome::Return(self.refuse(machine, call, refusal));
        }
        let state = ContextState::Serving { client: sender(call), function: call.function() };
        self.set_context(call.processor, state);
        Outcome::Switch(World::Secure, Answer { registers: message(call), count: 18 })
    }

    /// Sender and receiver of a direct request.
    fn check_parties(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if !is_normal_world(sender(call)) {
            return Err(Refusal::invalid(
                "request-sender",
                "the sender is no endpoint of the caller's world",
            ));
        }
        if call.w(1) as u16 != PARTITION_ID {
            return Err(Refusal::invalid("request-receiver", "there is no such partition"));
        }
        Ok(())
    }

    fn check_request(&self, call: &Call<'_>) -> Result<(), Refusal> {
        self.check_parties(call)?;
        if call.argument(2) != 0 {
            return Err(Refusal::invalid(
                "request-flags",
                "framework messages are not the normal world's to send",
            ));
        }
        if self.manifest.messaging & RECEIVES_DIRECT_REQUESTS == 0 {
            return Err(Refusal::denied("request-method", "the partition takes no direct requests"));
        }
        Ok(())
    }

    /// REQ2: both ends speak 1.2, the partition takes it, and has the UUID.
    fn check_request_2(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.version_of(World::Normal) < VERSION_1_2 {
            return Err(Refusal::new(FfaError::NotSupported, "request2-version", "REQ2 needs FF-A 1.2"));
        }
        self.check_parties(call)?;
        if self.manifest.messaging & RECEIVES_DIRECT_REQUESTS_2 == 0
            || self.version_of(World::Secure) < VERSION_1_2
        {
            return Err(Refusal::denied("request2-method", "the partition takes no requests of this family"));
        }
        let (low, high) = (call.x(2), call.x(3));
        let uuid = [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
        if !self.any_uuid && !self.manifest.uuids.contains(&uuid) {
            return Err(Refusal::invalid("request2-uuid", "the partition has no such UUID"));
        }
        Ok(())
    }

    /// FFA_MSG_SEND_DIRECT_RESP and RESP2 of the partition.
    pub(super) fn direct_response(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        if self.context(call.processor) == ContextState::PoweringDown {
            return self.power_response(machine, call);
        }
        if let ContextState::Told { sender, function, message } = self.context(call.processor) {
            return self.framework_response(machine, call, [sender.into(), function.into(), message]);
        }
        match self.check_response(call) {
            Err(refusal) => Outcome::Return(self.refuse(machine, call, refusal)),
            Ok(()) => {
                self.check_mappings(machine, "direct response");
                self.may_be_interrupted(machine);
                self.set_context(call.processor, ContextState::Waiting);
                // The client's x8 to x17 stay what they were, but for RESP2, which uses them.
                let count = if call.function() == DIRECT_RESP2_64 { 18 } else { 8 };
                Outcome::Switch(World::Normal, Answer { registers: message(call), count })
            }
        }
    }

    fn check_response(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let ContextState::Serving { client, function } = self.context(call.processor) else {
            return Err(Refusal::denied("response-without-request", "there is no request to answer"));
        };
        // A response's identifier is its request's plus one, in each family and width.
        if call.function() != function + 1 {
            return Err(Refusal::denied(
                "response-family",
                "the response is of another family or width than the request",
            ));
        }
        if (call.x(1) >> 16) as u16 != PARTITION_ID || call.x(1) as u16 != client || call.x(1) >> 32 != 0 {
            return Err(Refusal::invalid(
                "response-ids",
                "the sender must be the partition, the receiver the one who asked",
            ));
        }
        if call.function() == DIRECT_RESP2_64 {
            if call.x(2) != 0 || call.x(3) != 0 {
                return Err(Refusal::invalid("response2-reserved", "x2 and x3 must be zero"));
            }
            return Ok(());
        }
        if call.x(2) != 0 {
            return Err(Refusal::invalid(
                "response-flags",
                "w2 must be zero: the request was no framework message",
            ));
        }
        if call.function() == DIRECT_RESP_32 && (3..=7).any(|index| call.x(index) >> 32 != 0) {
            return Err(Refusal::invalid(
                "response-width",
                "a 32-bit response has values of more than 32 bits",
            ));
        }
        self.check_extended(call)
    }

    /// From FF-A 1.2 on, x8 to x17 of a message with eight registers must be zero.
    pub(super) fn check_extended(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.version_of(World::Secure) >= VERSION_1_2
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
                self.may_be_interrupted(machine);
                // Waiting gives the RX buffer back, unless bit 0 of w2 says to keep it.
                if call.w(2) & 1 == 0
                    && let Some(mailbox) = &mut self.partition.mailbox
                {
                    mailbox.receive_held = false;
                }
                self.set_context(call.processor, ContextState::Waiting);
                Outcome::Switch(World::Normal, Answer::NOTHING)
            }
        }
    }

    fn check_wait(&self, call: &Call<'_>) -> Result<(), Refusal> {
        match self.context(call.processor) {
            ContextState::Initializing | ContextState::Handling => {}
            ContextState::Serving { .. } | ContextState::PoweringDown | ContextState::Told { .. } => {
                return Err(Refusal::denied(
                    "wait-in-request",
                    "a request must be answered, not left with FFA_MSG_WAIT",
                ));
            }
            _ => return Err(Refusal::denied("wait-state", "the execution context is waiting already")),
        }
        let keep_allowed = self.version_of(World::Secure) >= VERSION_1_2;
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
        if self.context(call.processor) == ContextState::Initializing {
            self.log_mut(call.processor).flush(machine);
            machine.firmware_line(format_args!("partition failed to initialize, error {}", call.w(2) as i32));
            return Outcome::BootFailed;
        }
        const RULE: Refusal =
            Refusal::new(FfaError::NotSupported, "error-as-call", "FFA_ERROR only ends the initialization");
        Outcome::Return(self.refuse(machine, call, RULE))
    }

    /// FFA_CONSOLE_LOG of the partition.
    pub(super) fn console_log(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
    ) -> Result<Answer, Refusal> {
        let wide = call.function() == CONSOLE_LOG_64;
        let extended = self.version_of(World::Secure) >= VERSION_1_2;
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
        self.log_mut(call.processor).push(machine, &text[..count]);
        Ok(Answer::success(0, 0))
    }
}

/// The endpoint that a direct request comes from.
fn sender(call: &Call<'_>) -> u16 {
    (call.w(1) >> 16) as u16
}

/// The registers of a direct message as the other side gets them: only what belongs to the message, whatever else the sender
/// left in its registers.
fn message(call: &Call<'_>) -> Registers {
    let mut registers = *call.registers;
    registers[0] = call.function().into();
    registers[1] = call.w(1).into();
    if matches!(call.function(), DIRECT_REQ2_64 | DIRECT_RESP2_64) {
        return registers;
    }
    if call.function() & SMC64 == 0 {
        for register in &mut registers[1..8] {
            *register &= 0xffff_ffff;
        }
    }
    registers[8..].fill(0);
    registers
}

const _: () = assert!(DIRECT_RESP_32 == DIRECT_REQ_32 + 1);
const _: () = assert!(DIRECT_RESP_64 == DIRECT_REQ_64 + 1);
const _: () = assert!(DIRECT_RESP2_64 == DIRECT_REQ2_64 + 1);
