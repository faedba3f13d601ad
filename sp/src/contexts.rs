//! The partition's execution contexts: which one this is, its stack, and the stack of the service, which they take in turn.
//!
//! `entry.S` gives each context a place, found by MPIDR_EL1, so that one that starts again gets the same; TPIDR_EL1 holds the
//! place's number plus one. While a context waits it needs its own stack only, one page.
use crate::memory::layout;
use aarch64_cpu::registers::{Readable, TPIDR_EL1};
use core::arch::asm;
use core::ops::Range;
use core::sync::atomic::AtomicU64;

/// Most execution contexts that serve; as in `entry.S` and `linker/sp.ld`. Others answer BUSY.
pub const MAX_CONTEXTS: usize = 8;
/// Bytes of a stack.
const STACK: usize = 4096;

/// Who has which place: affinity fields of MPIDR_EL1 and bit 63, or zero. Written by `entry.S`.
#[unsafe(export_name = "context_places")]
static PLACES: [AtomicU64; MAX_CONTEXTS] = [const { AtomicU64::new(0) }; MAX_CONTEXTS];

/// Gives all places but the first away, to CPUs that there are not (bit 63 is clear), or takes them back. No other context may be on.
#[cfg(feature = "control")]
pub fn give_places_away(given: bool) {
    PLACES.iter().skip(1).for_each(|place| place.store(given.into(), core::sync::atomic::Ordering::SeqCst));
}

unsafe extern "C" {
    /// Goes on in `context_main`, on the stack of this execution context. See `entry.S`.
    fn take_place() -> !;
    /// Where a further context starts. See `entry.S`; not called as a function.
    fn context_entry() -> !;
}

/// Returns the physical address at which further contexts start.
pub fn entry() -> u64 {
    context_entry as *const () as u64
}

/// Ends the boot: from now on this context uses its own stack.
pub fn leave_boot_stack() -> ! {
    // SAFETY: what is on the boot stack is not used any more: this does not return. The MMU is on, as the routine needs it.
    unsafe { take_place() }
}

/// Returns the number of this execution context, from 1 on; 0 while the partition boots.
pub fn current() -> u32 {
    (TPIDR_EL1.get() & 0xFF) as u32
}

/// Returns the place of this context in arrays of [`MAX_CONTEXTS`].
pub fn place() -> usize {
    (current() as usize).saturating_sub(1).min(MAX_CONTEXTS - 1)
}

/// Returns the virtual addresses of the stack of a place.
pub fn stack(place: usize) -> Range<usize> {
    let end = layout::contexts().start + (place + 1) * 2 * STACK;
    end - STACK..end
}

/// Does something on the stack of the service.
///
/// # Safety
/// Nothing on that stack is used any more, and no other context uses it meanwhile.
pub unsafe fn on_service_stack(work: impl FnOnce()) {
    let mut work = Some(work);
    call_on_service_stack(&mut work);
}

fn call_on_service_stack<F: FnOnce()>(work: &mut Option<F>) {
    extern "C" fn run<F: FnOnce()>(work: &mut Option<F>) {
        if let Some(work) = work.take() {
            work();
        }
    }
    // SAFETY: `run` is a C function with one argument, which outlives the call; the new stack is aligned, mapped, and nobody
    // else's, says the caller of `on_service_stack`; the old stack pointer is in a register that `run` must keep.
    unsafe {
        asm!(
            "mov x20, sp",
            "mov sp, {stack}",
            "blr {run}",
            "mov sp, x20",
            stack = in(reg) layout::stack().end,
            run = in(reg) run::<F> as extern "C" fn(&mut Option<F>),
            in("x0") work,
            out("x20") _,
            clobber_abi("C"),
        );
    }
}
