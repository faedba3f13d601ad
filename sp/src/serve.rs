//! The message loop: waits for a message, has it answered, sends the answer, for ever.
use crate::contexts::{self, MAX_CONTEXTS};
use crate::{ffa, interrupts};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use remoteproc_sp::message::{self, Dead, Identity, Registers, Service};

/// After this many errors in a row the loop lets the processor rest between calls.
const PATIENCE: u32 = 3;

/// The endpoint ids: the partition's in bits 31:16, the SPMC's in bits 15:0. Known after boot's first calls.
static IDENTITY: AtomicU32 = AtomicU32::new(0);

/// x0 to x3 of the request that each execution context is answering, which is all that the answer of the dead needs to know; zero
/// if there is none.
static PENDING: [[AtomicU64; 4]; MAX_CONTEXTS] = [const { [const { AtomicU64::new(0) }; 4] }; MAX_CONTEXTS];

/// Remembers the endpoint ids.
pub fn set_identity(identity: Identity) {
    let both = u32::from(identity.partition) << 16 | u32::from(identity.spmc);
    IDENTITY.store(both, Ordering::Relaxed);
}

/// Returns the endpoint ids.
fn identity() -> Identity {
    let both = IDENTITY.load(Ordering::Relaxed);
    Identity { partition: (both >> 16) as u16, spmc: (both & 0xFFFF) as u16 }
}

/// Serves requests.
pub fn serve<S: Service>(service: &mut S) -> ! {
    serve_from(message::wait(), service)
}

/// The request that this execution context is answering.
fn pending() -> &'static [AtomicU64; 4] {
    // A place is always less than the array's length.
    let [first, ..] = &PENDING;
    PENDING.get(contexts::place()).unwrap_or(first)
}

/// Answers the request at hand, if there is one, and all later ones, with TARGET_DEAD.
pub fn dead() -> ! {
    let mut pending = [0; 18];
    for (register, value) in pending.iter_mut().zip(self::pending()) {
        *register = value.load(Ordering::Relaxed);
    }
    let first = message::answer_of_the_dead(identity(), &pending).unwrap_or_else(message::wait);
    serve_from(first, &mut Dead)
}

/// The loop, from a first call on.
fn serve_from<S: Service>(first: Registers, service: &mut S) -> ! {
    let identity = identity();
    let mut next = first;
    let mut errors = 0u32;
    // The answer at hand was sent before, and may have been taken.
    let mut repeated = false;
    loop {
        service.waits();
        let received = ffa::call(&next);
        if message::is_interrupt(&received) {
            interrupts::take();
            let wait = message::answer(identity, &received, service);
            // Where an interrupt can come in place of an answer's delivery, nothing tells that from one that came after it, and
            // another one may come in place of the next.
            repeated = interrupts::come_instead_of_answers() && next != wait;
            if !repeated {
                next = wait;
            }
            continue;
        }
        if core::mem::take(&mut repeated) && message::error_status(&received).is_some() {
            // It had been taken.
            next = message::wait();
            continue;
        }
        if let Some(status) = message::error_status(&received) {
            // The SPMC took neither an answer nor a wait. There is nobody else to tell; wait again, but never in a tight loop.
            if errors == 0 {
                log::error!("call {:#x} refused: FF-A status {status}", next[0]);
            }
            errors = errors.saturating_add(1);
            if errors > PATIENCE {
                aarch64_cpu::asm::wfi();
            }
        } else {
            errors = 0;
        }
        set_pending(&received);
        next = message::answer(identity, &received, service);
        // An answer that may have to be given again is still owed.
        if !interrupts::come_instead_of_answers() {
            set_pending(&[0; 18]);
        }
    }
}

/// Remembers the request being answered.
fn set_pending(received: &Registers) {
    for (value, register) in pending().iter().zip(received) {
        value.store(*register, Ordering::Relaxed);
    }
}
