//! What happens at a fault: a line in the trace, a word to the supervisor, then the heartbeat stands.

use crate::memory::{CFSR, HFSR, REPORT};
use crate::say;
use core::arch::asm;

/// Handles HardFault and everything else that should not happen; `address` is where it happened.
pub extern "C" fn faulted(address: u32) -> ! {
    say(format_args!("fault at {address:#010x}, CFSR {:#010x}, HFSR {:#010x}", CFSR.read(), HFSR.read()));
    stand_still()
}

/// The report of a fault: the number of its event on the control page.
const HARD_FAULT: u32 = 3;

/// Reports that the firmware gives up, and never returns.
pub fn stand_still() -> ! {
    REPORT.write(HARD_FAULT);
    stand_by()
}

/// Does nothing any more; every interrupt is masked.
pub fn stand_by() -> ! {
    // SAFETY: masks interrupts for good; nobody is left to be harmed by that.
    unsafe { asm!("cpsid i", options(nomem, nostack, preserves_flags)) };
    loop {
        // SAFETY: only waits.
        unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
    }
}

/// Raises a HardFault by an undefined instruction.
pub fn hard_fault() -> ! {
    // SAFETY: raises an exception and does not return.
    unsafe { asm!("udf #1", options(noreturn, nostack)) }
}

/// Raises a fault where HardFault can't be taken (FAULTMASK is set): the core locks up.
pub fn lock_up() -> ! {
    // SAFETY: does not return.
    unsafe { asm!("cpsid f", "udf #2", options(noreturn, nostack)) }
}
