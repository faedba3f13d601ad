//! The machine as the pure half sees it.
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use el3_spmc::machine::Machine;
use el3_spmc::stage_one::TranslationRegisters;

use super::console::Console;
use super::{secure_interrupts, system_registers};

/// Violations so far; a static, so that a fault at EL3 can still name the number.
static VIOLATIONS: AtomicU64 = AtomicU64::new(0);

/// Violations so far.
pub fn violations() -> u64 {
    VIOLATIONS.load(Ordering::Relaxed)
}

/// Counts one violation.
pub fn count_violation() {
    VIOLATIONS.fetch_add(1, Ordering::Relaxed);
}

/// Memory, console, registers.
pub struct Hardware {
    console: Console,
}

impl Hardware {
    /// Takes the machine.
    ///
    /// # Safety
    /// There must be no other `Hardware` in use, and EL3's MMU must be on (see `entry.S` for the map).
    pub unsafe fn new() -> Self {
        // SAFETY: passed on to the caller.
        Self { console: unsafe { Console::new() } }
    }
}

impl Machine for Hardware {
    fn read(&self, address: u64, buffer: &mut [u8]) {
        // Volatile: another world may write this memory at any time. Whole words where that goes, because another CPU may be
        // changing translation tables.
        if (address | buffer.len() as u64).is_multiple_of(8) {
            for (index, bytes) in buffer.chunks_exact_mut(8).enumerate() {
                // SAFETY: as below, and aligned.
                let word = unsafe { ((address as usize + 8 * index) as *const u64).read_volatile() };
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            return;
        }
        for (offset, byte) in buffer.iter_mut().enumerate() {
            // SAFETY: callers read only the package flash, the partition's memory and normal-world RAM (the SPMC checks
            // an address when it accepts it), all mapped by `entry.S`, none of it memory of Rust objects at EL3.
            *byte = unsafe { ((address as usize + offset) as *const u8).read_volatile() };
        }
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            // SAFETY: callers write only the partition's memory and normal-world RAM (see `read`).
            unsafe { ((address as usize + offset) as *mut u8).write_volatile(*byte) };
        }
    }

    fn firmware_line(&mut self, text: fmt::Arguments<'_>) {
        // Writing to the UART can't fail.
        let _ = writeln!(self.console, "[EL3] {text}");
    }

    fn partition_line(&mut self, text: fmt::Arguments<'_>) {
        let _ = writeln!(self.console, "[SP] {text}");
    }

    fn count_violation(&mut self) {
        count_violation();
    }

    fn violations(&self) -> u64 {
        violations()
    }

    fn translation(&self) -> TranslationRegisters {
        system_registers::translation()
    }

    fn raise_for_normal_world(&mut self, interrupt: u32) {
        secure_interrupts::raise_for_normal_world(interrupt);
    }

    fn hold_secure_interrupt(&mut self, interrupt: u32, hold: bool) {
        secure_interrupts::hold(interrupt, hold);
    }

    fn secure_interrupt_is_active(&self) -> bool {
        secure_interrupts::is_active()
    }
}
