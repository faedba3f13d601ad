//! Guards taken out on request, only in a partition built with the feature `control`, for the tests' controls.
//!
//! Command 0xFA18 of door D, which is none of the ABI's: x4 = number of the guard that is out from now on
//! (`service/src/guards.rs`), or 0 for none. Answered with 0, or with all ones for a number that means nothing. Command 0xFA19: x4 = 1
//! gives the places of all execution contexts but the first away, 0 takes them back.
use crate::contexts;
use crate::machine::Hardware;
use core::sync::atomic::{AtomicU64, Ordering};
use remoteproc_abi::door_d::Registers;
use remoteproc_service::{Guard, Service};

/// The command.
const COMMAND: u64 = 0xFA18;
/// The command about places.
const PLACES: u64 = 0xFA19;

/// Number of the guard that is out, or 0.
static OUT: AtomicU64 = AtomicU64::new(0);

/// Tells whether a guard of the partition itself stands.
pub fn stands(guard: Guard) -> bool {
    OUT.load(Ordering::Relaxed) != guard as u64
}

/// The handle that was given back too early, or 0.
static LET_GO: AtomicU64 = AtomicU64::new(0);

/// Tells whether client memory is to be given back as soon as it was retrieved, and notes that.
pub fn lets_go(handle: u64) -> bool {
    let lets_go = !stands(Guard::HoldMemory);
    if lets_go {
        LET_GO.store(handle, Ordering::Relaxed);
    }
    lets_go
}

/// Tells whether the SPMC has this memory back already; forgets that.
pub fn has_let_go(handle: u64) -> bool {
    LET_GO.compare_exchange(handle, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Takes the command; `None` for other requests.
pub fn command(request: &Registers, service: &mut Service<'_, Hardware>) -> Option<Registers> {
    let [command, number, ..] = *request;
    if command == PLACES {
        contexts::give_places_away(number == 1);
        return Some([0; 5]);
    }
    if command != COMMAND {
        return None;
    }
    let guard = Guard::ALL.into_iter().find(|guard| *guard as u64 == number);
    if guard.is_none() && number != 0 {
        return Some([u64::MAX, 0, 0, 0, 0]);
    }
    log::warn!("guard that is out: {guard:?}");
    service.remove(guard);
    OUT.store(number, Ordering::Relaxed);
    Some([0; 5])
}
