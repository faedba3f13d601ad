//! Vector table and reset. Code and data lie where they run and the loader cleared the rest, so nothing is copied.

use core::arch::global_asm;

// A stack overflow raises a fault instead of running into the data below: that is the stack limit register's work. Armv7-M has none.
#[cfg(not(cortex_m4))]
macro_rules! limit_stack {
    () => {
        "ldr r0, =__stack_limit\nmsr msplim, r0"
    };
}
#[cfg(cortex_m4)]
macro_rules! limit_stack {
    () => {
        ""
    };
}

global_asm!(
    ".section .vectors, \"a\", %progbits",
    ".balign 128",
    ".word __stack_top",
    ".word reset",
    ".word non_maskable_interrupt",
    ".rept 5", // HardFault, MemManage, BusFault, UsageFault, SecureFault
    ".word fault",
    ".endr",
    ".word 0, 0, 0",
    ".word fault", // SVCall
    ".word fault", // DebugMonitor
    ".word 0",
    ".word fault", // PendSV
    ".word system_tick",
    ".text",
    ".thumb_func",
    ".global reset",
    "reset:",
    limit_stack!(),
    "bl {enter}",
    // The faulting context is the frame that the exception entry pushed.
    ".thumb_func",
    ".global non_maskable_interrupt",
    "non_maskable_interrupt:",
    ".thumb_func",
    ".global fault",
    "fault:",
    "mrs r0, msp",
    "ldr r0, [r0, #24]",
    "b {faulted}",
    enter = sym enter,
    faulted = sym crate::faults::faulted,
);

/// The first Rust code.
extern "C" fn enter() -> ! {
    crate::main()
}
