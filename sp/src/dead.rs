//! The end: after a panic or an exception the partition holds what it was loading in reset, and answers TARGET_DEAD, to the
//! request at hand and to all later ones. Firmware that runs is left alone.
use crate::backtrace::Backtrace;
use crate::memory::layout;
use crate::{partition, serve};
use core::arch::asm;
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

/// The log has been told, or that has failed.
static TOLD: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // What panicked may have used up its stack, and does not go on: the end has the exceptions' stack to itself, each time.
    // SAFETY: an exception or a panic that used that stack before does not go on either. The callee takes the old stack pointer
    // as a number, finds the new one aligned, and does not return.
    unsafe {
        asm!(
            "mov x0, sp",
            "msr spsel, #1",
            "mov sp, x1",
            "b {panicked}",
            in("x1") layout::exception_stack().end,
            panicked = sym panicked,
            options(noreturn)
        )
    }
}

/// The panic's end, on the exceptions' stack.
extern "C" fn panicked(stack_pointer: usize) -> ! {
    // Text and place of the panic are left out: the backtrace tells the place, and the image is a sixth smaller.
    die(format_args!("panic"), Backtrace::from_stack(stack_pointer))
}

/// Ends the partition's service. Failing again while dying goes on behind what has failed, so that this ends: in answers.
pub fn die(reason: fmt::Arguments<'_>, backtrace: Backtrace) -> ! {
    // SAFETY: this execution context is the only one that serves requests, and from here on it does not return to whatever
    // it was doing with the partition's state.
    unsafe { partition::hold_all_loading() };
    if !TOLD.swap(true, Ordering::Relaxed) {
        log::error!("{reason}");
        log::error!("called from {backtrace}");
        log::error!("out of service: every request is answered TARGET_DEAD");
    }
    serve::dead()
}
