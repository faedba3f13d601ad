//! Secure boot ROM of the emulated Cortex-M33 (QEMU's mps2-an505): opens the window to the non-secure state and
//! enters the firmware there, in place, the way the reset logic of a real system would.
//!
//! Whatever is wrong here ends in a lockup, which stops the emulator and is seen by the supervisor.

#![no_std]
#![no_main]

mod registers;

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;
use registers::{Register, WINDOW_FIRST, WINDOW_LAST, control_page, core_registers};

// The secure vector table: initial stack pointer (secure alias of the board's internal SRAM), reset, and the same
// end for every exception that could be taken to the secure state.
global_asm!(
    ".section .vectors, \"a\", %progbits",
    ".balign 128",
    ".word 0x38001000",
    ".word reset",
    ".rept 14",
    ".word fail",
    ".endr",
    ".text",
);

/// Makes the window non-secure, hands faults and resets to the non-secure state, and jumps to the firmware.
#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    open_to_non_secure(0, WINDOW_FIRST, WINDOW_LAST);
    // Peripherals that the board gives to the non-secure state (its watchdog); the board's own filters still hold.
    open_to_non_secure(1, 0x4000_0000, 0x4fff_ffff);
    core_registers::SAU_CTRL.write(core_registers::SAU_CTRL_ENABLE);
    core_registers::NSACR.write(core_registers::NSACR_FPU);
    // SYSRESETREQS stays clear: the firmware may ask for a reset.
    core_registers::AIRCR.write(core_registers::AIRCR_KEY | core_registers::AIRCR_BFHFNMINS);
    // SAFETY: barriers have no operands; the settings above take effect before anything that follows.
    unsafe { asm!("dsb", "isb", options(nostack, preserves_flags)) };

    if control_page::MAGIC.read() != control_page::MAGIC_VALUE {
        fail();
    }
    let boot_address = control_page::BOOT_ADDRESS.read();
    // VTOR ignores the low seven bits, so another address would silently start from another table.
    if !boot_address.is_multiple_of(128) {
        fail();
    }
    let (Some(stack), Some(entry)) =
        (Register::in_window(boot_address), Register::in_window(boot_address | 4))
    else {
        fail();
    };
    let (stack, entry) = (stack.read(), entry.read());
    // Without the Thumb bit the core could not execute its first instruction.
    if entry & 1 == 0 {
        fail();
    }
    core_registers::VTOR_NS.write(boot_address);
    enter_non_secure(stack, entry & !1)
}

/// Adds the addresses from `first` to `last` (both included, multiples of 32 bytes) to the non-secure ones.
fn open_to_non_secure(region: u32, first: u32, last: u32) {
    core_registers::SAU_RNR.write(region);
    core_registers::SAU_RBAR.write(first);
    core_registers::SAU_RLAR.write((last & !0x1f) | core_registers::SAU_RLAR_ENABLE);
}

/// Leaves the secure state for good (no secure gateway leads back).
fn enter_non_secure(stack: u32, entry: u32) -> ! {
    // SAFETY: changes only the non-secure stack pointer and control flow; the secure state keeps nothing that the
    // non-secure code could damage. BXNS with bit 0 of the address clear is the architected way out.
    unsafe {
        asm!("msr msp_ns, {stack}", "isb", "bxns {entry}",
            stack = in(reg) stack, entry = in(reg) entry, options(noreturn, nostack))
    }
}

/// Ends in a lockup: the undefined instruction raises a HardFault, whose handler is this function again.
#[unsafe(no_mangle)]
extern "C" fn fail() -> ! {
    // SAFETY: raises an exception and does not return.
    unsafe { asm!("udf #0", options(noreturn, nostack)) }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    fail()
}
