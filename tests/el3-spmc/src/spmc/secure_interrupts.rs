//! The partition's own interrupts, those of its manifest's device regions.
//!
//! They are group 1 secure: an FIQ to EL3 while the normal world runs, and an IRQ of the partition's, which it masks, while it
//! runs itself. A waiting partition is entered with FFA_INTERRUPT, acknowledges and ends the interrupt at the GIC's CPU interface
//! (ICC_IAR1_EL1, ICC_EOIR1_EL1), and says FFA_MSG_WAIT; then the normal world goes on. That is how an SPMC at EL3 does it (DEN0077A
//! 1.2, section 9). An interrupt that comes at another time stays pending until the partition waits.
use super::{Answer, ContextState, Outcome, Spmc};
use crate::function::ffa;
use crate::machine::{Machine, World, violate};

/// Entries in a row, without a call of the normal world between them, after which the partition has not ended its interrupt.
const STORM: u32 = 1000;

/// What is going on.
#[derive(Debug, Default)]
pub(super) struct SecureInterrupts {
    /// They are held at the interrupt controller until the partition waits.
    held: bool,
    /// Entries since the last call of the normal world.
    in_a_row: u32,
    /// Entries so far.
    delivered: u64,
}

impl SecureInterrupts {
    /// The normal world has made a call.
    pub(super) fn normal_world_called(&mut self) {
        self.in_a_row = 0;
    }

    /// Entries so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }
}

impl Spmc<'_> {
    /// A secure interrupt came while the normal world ran on this CPU.
    pub fn secure_interrupt(&mut self, machine: &mut dyn Machine, processor: usize) -> Outcome {
        if self.context(processor) != ContextState::Waiting {
            // The partition is in the middle of a request, here or on another CPU, or has not begun to wait.
            self.hold_secure_interrupts(machine, true);
            return Outcome::Return(Answer::NOTHING);
        }
        self.secure_interrupts.in_a_row += 1;
        if self.secure_interrupts.in_a_row > STORM {
            violate(
                machine,
                "interrupt-not-acknowledged",
                format_args!("the partition was entered {STORM} times and has not ended its interrupt"),
            );
            self.hold_secure_interrupts(machine, true);
            return Outcome::Return(Answer::NOTHING);
        }
        self.set_context(processor, ContextState::Handling);
        self.secure_interrupts.delivered += 1;
        let mut answer = Answer::eight([ffa::INTERRUPT.into()]);
        answer.count = 18;
        Outcome::Switch(World::Secure, answer)
    }

    /// The partition says FFA_MSG_WAIT or has answered: it can be entered again.
    pub(super) fn may_be_interrupted(&mut self, machine: &mut dyn Machine) {
        if machine.secure_interrupt_is_active() {
            violate(
                machine,
                "interrupt-not-ended",
                format_args!("the partition has acknowledged an interrupt and not ended it"),
            );
        }
        if self.secure_interrupts.held {
            self.hold_secure_interrupts(machine, false);
        }
    }

    fn hold_secure_interrupts(&mut self, machine: &mut dyn Machine, hold: bool) {
        for interrupt in &self.manifest.secure_interrupts {
            machine.hold_secure_interrupt(*interrupt, hold);
        }
        self.secure_interrupts.held = hold;
    }
}
