//! Time, from the generic timer's virtual counter.
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTVCT_EL0, Readable};

/// Tells whether the firmware has set the counter's frequency.
pub fn runs() -> bool {
    CNTFRQ_EL0.get() >= 1000
}

/// Milliseconds since some moment; never goes back.
pub fn milliseconds() -> u64 {
    // Without it the counter may be read ahead of what the program did before.
    barrier::isb(barrier::SY);
    let per_millisecond = CNTFRQ_EL0.get() / 1000;
    CNTVCT_EL0.get().checked_div(per_millisecond).unwrap_or(0)
}
