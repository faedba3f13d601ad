//! The end: after a panic or an exception the partition holds what it was loading in reset, and answers TARGET_DEAD, to the
//! request at hand and to all later ones, in every execution context. Firmware that runs is left alone.
use crate::backtrace::Backtrace;
use crate::{partition, serve};
use core::arch::asm;
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The execution context that ends the service, by its number; 0 while all is well. Written by `entry.S`.
#[unsafe(export_name = "dying_context")]
static DYING: AtomicU32 = AtomicU32::new(0);

/// The log has been told, or that has failed.
static TOLD: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// See `entry.S`; not called as a function.
    fn to_the_end() -> !;
}

/// Tells whether the partition has failed, in any execution context.
pub fn is_dead() -> bool {
    DYING.load(Ordering::SeqCst) != 0
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // What panicked may have used up its stack, and does not go on: the end has a stack to itself, each time.
    // SAFETY: the routine goes on in `panicked`, which takes the old stack pointer as a number, or in `bystander_main`; neither
    // returns.
    unsafe {
        asm!(
            "mov x0, sp",
            "adrp x16, {panicked}",
            "add x16, x16, :lo12:{panicked}",
            "b {to_the_end}",
            panicked = sym panicked,
            to_the_end = sym to_the_end,
            options(noreturn)
        )
    }
}

/// The panic's end, on the stack of the end.
extern "C" fn panicked(stack_pointer: usize) -> ! {
    // Text and place of the panic are left out: the backtrace tells the place, and the image is a sixth smaller.
    die(format_args!("panic"), Backtrace::from_stack(stack_pointer))
}

/// Ends the partition's service. Failing again while dying goes on behind what has failed, so that this ends: in answers.
pub fn die(reason: fmt::Arguments<'_>, backtrace: Backtrace) -> ! {
    // SAFETY: this execution context does not return to whatever it was doing with the partition's state.
    unsafe { partition::hold_all_loading() };
    if !TOLD.swap(true, Ordering::Relaxed) {
        log::error!("{reason}");
        log::error!("called from {backtrace}");
        log::error!("out of service: every request is answered TARGET_DEAD");
    }
    serve::dead()
}

/// The end of an execution context that fails while another one is ending the service, or has done so; on its own stack, which
/// `entry.S` has emptied.
#[unsafe(no_mangle)]
extern "C" fn bystander_main() -> ! {
    // SAFETY: this execution context does not return to whatever it was doing with the partition's state.
    unsafe { partition::leave_after_failing() };
    serve::dead()
}
