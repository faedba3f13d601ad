//! The clean end: the partition asks for it, the firmware finishes what it does, says so, and stands still.

use crate::faults::stand_by;
use crate::memory::{FAREWELL, STOP_ANSWER, STOP_REQUEST};
use crate::say;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Turns of the main loop that the firmware takes to finish.
const TURNS: u32 = 30;
/// The heartbeat at which it is ready; zero while nobody has asked.
static READY_AT: AtomicU32 = AtomicU32::new(0);
/// It does not stop by itself.
static IGNORES: AtomicBool = AtomicBool::new(false);

/// From now on being asked changes nothing.
pub fn ignore() {
    IGNORES.store(true, Ordering::Relaxed);
}

/// Looks whether the firmware is asked to stop, and stops when it has finished.
pub fn look(heartbeat: u32) {
    let request = STOP_REQUEST.read();
    if request == 0 || IGNORES.load(Ordering::Relaxed) {
        return;
    }
    let ready_at = READY_AT.load(Ordering::Relaxed);
    if ready_at == 0 {
        say(format_args!("asked to stop at heartbeat {heartbeat}"));
        READY_AT.store(heartbeat.saturating_add(TURNS), Ordering::Relaxed);
    } else if heartbeat >= ready_at {
        say(format_args!("farewell at heartbeat {heartbeat}"));
        FAREWELL.write(heartbeat);
        // Last: from now on the processor may be held.
        STOP_ANSWER.write(request);
        stand_by()
    }
}
