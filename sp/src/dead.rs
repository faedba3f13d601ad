//! The end: after a panic or an exception the partition holds what it was loading in reset, and answers TARGET_DEAD, to the
//! request at hand and to all later ones. Firmware that runs is left alone.
use crate::{partition, serve};
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

static DEAD: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => {
            die(format_args!("panic at {}:{}: {}", location.file(), location.line(), info.message()))
        }
        None => die(format_args!("panic: {}", info.message())),
    }
}

/// Ends the partition's service. Failing again while dying skips what failed.
pub fn die(reason: fmt::Arguments<'_>) -> ! {
    if !DEAD.swap(true, Ordering::Relaxed) {
        log::error!("{reason}");
        // SAFETY: this execution context is the only one that serves requests, and from here on it does not return to whatever
        // it was doing with the partition's state.
        unsafe { partition::hold_all_loading() };
        log::error!("out of service: every request is answered TARGET_DEAD");
    }
    serve::dead()
}
