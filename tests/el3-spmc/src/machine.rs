//! What the pure half needs from the machine: physical memory, the console, the partition's translation registers.
use core::fmt;

use crate::stage_one::TranslationRegisters;

/// Which world a call came from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The partition at S-EL1.
    Secure,
    /// The payload at NS-EL2 or below.
    Normal,
}

/// The machine under the SPMC. Implemented by the bare-metal half, and by a fake in the tests.
pub trait Machine {
    /// Copies physical memory at `address` into `buffer`. The caller has checked that the memory exists.
    fn read(&self, address: u64, buffer: &mut [u8]);
    /// Copies `bytes` to physical memory at `address`. The caller has checked that the memory exists.
    fn write(&mut self, address: u64, bytes: &[u8]);
    /// Prints one line as `[EL3] text`.
    fn firmware_line(&mut self, text: fmt::Arguments<'_>);
    /// Prints one line of the partition's log as `[SP] text`.
    fn partition_line(&mut self, text: fmt::Arguments<'_>);
    /// Counts one violation.
    fn count_violation(&mut self);
    /// Violations so far.
    fn violations(&self) -> u64;
    /// The EL1 translation registers as they are now; only asked while the partition's registers are live.
    fn translation(&self) -> TranslationRegisters;
    /// Makes a software-generated interrupt of the normal world pending on this CPU.
    fn raise_for_normal_world(&mut self, interrupt: u32);
    /// Keeps an interrupt of the partition from coming, or lets it come; what is pending stays so.
    fn hold_secure_interrupt(&mut self, interrupt: u32, hold: bool);
    /// Whether an interrupt was acknowledged on this CPU and not ended.
    fn secure_interrupt_is_active(&self) -> bool;
}

/// Prints and counts a violation of `rule`.
pub fn violate(machine: &mut dyn Machine, rule: &str, text: fmt::Arguments<'_>) {
    machine.count_violation();
    machine.firmware_line(format_args!("violation {rule}: {text}"));
}
