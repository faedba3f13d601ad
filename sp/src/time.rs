//! Time, from the generic timer.
//!
//! It is the physical counter, the same on all CPUs: the virtual one is the physical one less CNTVOFF_EL2, and where the secure world
//! has no EL2 that register is the normal world's, which may set another value for each of its machines. Hafnium keeps the
//! physical counter to itself, and the offset zero.
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, CNTVCT_EL0, Readable};
use core::sync::atomic::{AtomicBool, Ordering};

/// The virtual counter is the one to read.
static IS_VIRTUAL: AtomicBool = AtomicBool::new(false);

/// Tells whether the firmware has set the counter's frequency.
pub fn runs() -> bool {
    CNTFRQ_EL0.get() >= 1000
}

/// The SPMC is at S-EL2, and the virtual counter its own. To be said before anybody asks for the time.
pub fn use_virtual() {
    IS_VIRTUAL.store(true, Ordering::Relaxed);
}

/// Milliseconds since some moment, the same for all CPUs; never goes back.
pub fn milliseconds() -> u64 {
    // Without it the counter may be read ahead of what the program did before.
    barrier::isb(barrier::SY);
    let per_millisecond = CNTFRQ_EL0.get() / 1000;
    let is_virtual = IS_VIRTUAL.load(Ordering::Relaxed);
    #[cfg(feature = "control")]
    let is_virtual = is_virtual || !crate::guards::stands(remoteproc_service::Guard::Clock);
    let ticks = if is_virtual { CNTVCT_EL0.get() } else { CNTPCT_EL0.get() };
    ticks.checked_div(per_millisecond).unwrap_or(0)
}
