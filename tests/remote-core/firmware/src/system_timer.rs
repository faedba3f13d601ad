//! One interrupt per millisecond from the core's own timer, so that the main loop can sleep between heartbeats.

use crate::memory::SYST;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

/// The core's clock, in ticks per millisecond (25 or 20 MHz).
const TICKS_PER_MILLISECOND: u32 = if cfg!(cortex_m4) { 25_000 } else { 20_000 };
/// Interrupts so far.
static MILLISECONDS: AtomicU32 = AtomicU32::new(0);

/// Starts the timer.
pub fn start() {
    let [control, reload, current] = SYST;
    reload.write(TICKS_PER_MILLISECOND - 1);
    current.write(0);
    // Core clock, interrupt, enable.
    control.write(0b111);
}

/// Time since `start`.
pub fn milliseconds() -> u32 {
    MILLISECONDS.load(Ordering::Relaxed)
}

/// Sleeps until the next interrupt.
pub fn wait() {
    // SAFETY: only waits; the interrupt's handler touches nothing but its counter.
    unsafe { asm!("wfi", options(nostack, preserves_flags)) };
}

/// The timer's interrupt, by name in the vector table.
#[unsafe(no_mangle)]
extern "C" fn system_tick() {
    MILLISECONDS.store(milliseconds().wrapping_add(1), Ordering::Relaxed);
}
