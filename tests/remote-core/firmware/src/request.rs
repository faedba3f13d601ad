//! What the other side can ask for through the request word.

use crate::memory::{AIRCR, REQUEST, WATCHDOG_CONTROL, WATCHDOG_LOAD};
use crate::{faults, say, stop};

/// Serves the request if there is one. The word is cleared first, so that a restarted firmware does not meet it again.
pub fn serve() {
    let request = REQUEST.read();
    if request == 0 {
        return;
    }
    REQUEST.write(0);
    match request {
        1 => {
            say(format_args!("request 1: HardFault"));
            faults::hard_fault()
        }
        2 => {
            say(format_args!("request 2: system reset"));
            // VECTKEY and SYSRESETREQ.
            AIRCR.write(0x05fa_0004);
        }
        3 => {
            say(format_args!("request 3: lockup"));
            faults::lock_up()
        }
        4 => {
            say(format_args!("request 4: watchdog"));
            // Expires twice within milliseconds; the second time asks for a reset.
            WATCHDOG_LOAD.write(20_000);
            WATCHDOG_CONTROL.write(0b11);
        }
        5 => {
            for line in 0..200 {
                say(format_args!("request 5: line {line} of a long trace"));
            }
        }
        6 => {
            say(format_args!("request 6: ignores being asked to stop"));
            stop::ignore();
        }
        _ => say(format_args!("request {request}: unknown")),
    }
}
