//! Test firmware of the emulated Cortex-M33 and, built for its target, of the Cortex-M4: counts heartbeats, writes a trace, fails in the way it is asked to, and stops by itself when it is asked for that.
//!
//! Runs in place, on the M33 non-secure, without an operating system. `tests/remote-core/README.md` has its memory map.

#![no_std]
#![no_main]

mod faults;
mod memory;
mod request;
mod resource_table;
mod startup;
mod stop;
mod system_timer;
mod trace;

use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};
use memory::{CORE, CPUID, HEARTBEAT};
use trace::Trace;

/// The heartbeat that the trace tells of next. Starts at one, so that nothing would be told if the loader had not
/// brought the initialized data.
static NEXT_TOLD: AtomicU32 = AtomicU32::new(1);

/// Runs after reset, with the stack set up.
fn main() -> ! {
    HEARTBEAT.write(0);
    trace::clear();
    say(format_args!("alive, build {}, core {:#010x}", env!("CARGO_PKG_VERSION"), CPUID.read()));
    system_timer::start();
    let mut heartbeat: u32 = 0;
    loop {
        heartbeat = heartbeat.wrapping_add(1);
        HEARTBEAT.write(heartbeat);
        let told = NEXT_TOLD.load(Ordering::Relaxed);
        if heartbeat == told {
            say(format_args!("heartbeat {heartbeat}, {} ms", system_timer::milliseconds()));
            NEXT_TOLD.store(told.wrapping_mul(2), Ordering::Relaxed);
        }
        request::serve();
        stop::look(heartbeat);
        system_timer::wait();
    }
}

/// Writes one line into the trace.
fn say(text: core::fmt::Arguments<'_>) {
    // The trace takes any text, so writing to it can't fail.
    let _ = writeln!(Trace, "{CORE}: {text}");
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    say(format_args!("{info}"));
    faults::stand_still()
}
