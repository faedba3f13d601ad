//! The end: after a panic or an exception the partition holds what it was loading in reset, and answers TARGET_DEAD, to the
//! request at hand and to all later ones. Firmware that runs is left alone.
use crate::backtrace::Backtrace;
use crate::{partition, serve};
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

static DEAD: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // Text and place of the panic are left out: the backtrace tells the place, and the image is a sixth smaller.
    die(format_args!("panic"), Backtrace::here())
}

/// Ends the partition's service. Failing again while dying skips what failed.
pub fn die(reason: fmt::Arguments<'_>, backtrace: Backtrace) -> ! {
    if !DEAD.swap(true, Ordering::Relaxed) {
        log::error!("{reason}");
        log::error!("called from {backtrace}");
        // SAFETY: this execution context is the only one that serves requests, and from here on it does not return to whatever
        // it was doing with the partition's state.
        unsafe { partition::hold_all_loading() };
        log::error!("out of service: every request is answered TARGET_DEAD");
    }
    serve::dead()
}
