//! Framework messages among the others: from the SPMC or the hypervisor, with any number and anything in the registers.
use super::Fuzzer;
use super::messages::{REQUEST_32, REQUEST_64, State};
use crate::context::HYPERVISOR;
use crate::framework::Outcome;
use crate::{expect, failure, machine};

/// Endpoint id of the test bench's SPMC.
const SPMC: u16 = 0x8000;
/// A virtual machine is there; one is gone.
const CREATED: u32 = 4;
const DESTROYED: u32 = 6;
/// What the SPMC is told of both: they are the hypervisor's to send.
const DENIED: u64 = 0xFFFF_FFFA;
/// Bit 31 of w2.
const FRAMEWORK: u64 = 1 << 31;

impl Fuzzer<'_> {
    /// Has the SPMC send one, and looks at the answer.
    pub fn framework(&mut self) -> Outcome {
        let function = self.random.pick(&[REQUEST_32, REQUEST_64]);
        let number = match self.random.below(4) {
            0 => self.random.pick(&[CREATED, DESTROYED]),
            1 => self.random.below(256) as u32,
            _ => self.random.below(16) as u32,
        };
        // In its own name the test bench's SPMC sends what the manifest asks for; all else comes from the hypervisor.
        let in_its_own = number == DESTROYED && self.random.once_in(2);
        let sender = if in_its_own { SPMC } else { HYPERVISOR };
        let mut payload = [0; 3].map(|_: u64| self.random.register());
        if self.random.once_in(2) {
            payload[2] = self.random.below(8);
        }
        if self.state != State::Offline && payload[2] & 0xFFFF == u64::from(self.owner) {
            // Whoever owns the processor stays: its state is followed. Those who own nothing come and go.
            payload[2] ^= 0x4000;
        }
        if function == REQUEST_32 {
            payload = payload.map(|value| value & 0xFFFF_FFFF);
        }
        let begun = machine::ticks();
        let answer = machine::framework_message(function, sender, number, payload);
        let took = machine::ticks().wrapping_sub(begun);
        self.longest = self.longest.max(took);
        super::is_no_stall(took, (function, number, payload))?;
        let answer = answer.ok_or_else(|| failure!("the SPMC does not send framework message {number}"))?;
        let parties = 0x8001_0000 | u64::from(sender);
        let good = answer[0] == u64::from(function) + 1
            && answer[1] == parties
            && answer[2] & !0xFF == FRAMEWORK
            && answer[4..] == [0; 4]
            // Success, or an error of FF-A or PSCI.
            && (answer[3] == 0 || (answer[3] as u32).cast_signed() < 0 && answer[3] >> 32 == 0);
        expect!(good, "framework message {number} with {payload:x?} is answered {answer:x?}");
        expect!(!in_its_own || answer[3] == DENIED, "the SPMC is told {:#x}", answer[3]);
        self.counts.framework(number);
        // What a virtual machine that is gone had as a buffer is not held any more.
        if number == DESTROYED && answer[3] == 0 {
            self.buffers.gone(payload[2] as u16);
        }
        Ok(())
    }
}
