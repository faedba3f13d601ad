//! Copying to and from memory that others own too: an access that aborts is an error, not the end. The routines are in `copy.S`.
//! That is so of synchronous aborts. An SError stays masked: what was read or copied then is as it is, and is held against its digest;
//! clearing, which nobody looks at again, counts as failed while one is pending.
use core::arch::global_asm;

global_asm!(include_str!("../copy.S"));

unsafe extern "C" {
    fn copy_from_foreign(destination: *mut u8, source: usize, size: usize) -> usize;
    fn copy_to_foreign(destination: usize, source: *const u8, size: usize) -> usize;
    fn clean_foreign(start: usize, size: usize) -> usize;
    fn clear_foreign(destination: usize, size: usize) -> usize;
}

/// The bus aborted an access, or nothing is mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort;

/// Copies `into.len()` bytes from the virtual address `source`, reading each byte once.
///
/// # Errors
/// [`Abort`]; then `into` holds some of the bytes.
pub fn read(source: usize, into: &mut [u8]) -> Result<(), Abort> {
    // SAFETY: the routine writes `into` only. Whatever `source` is, its accesses are fixed up if they fault; it does not go
    // through Rust references, so what others do to that memory meanwhile breaks no assumption.
    done(unsafe { copy_from_foreign(into.as_mut_ptr(), source, into.len()) })
}

/// Copies bytes to the virtual address `destination`.
///
/// # Errors
/// [`Abort`]; then some of the bytes are written.
///
/// # Safety
/// No Rust object lies in the destination.
pub unsafe fn write(destination: usize, bytes: &[u8]) -> Result<(), Abort> {
    // SAFETY: the routine reads `bytes` only, and writes no Rust object, says our caller; faults are fixed up.
    done(unsafe { copy_to_foreign(destination, bytes.as_ptr(), bytes.len()) })
}

/// Clears `size` bytes from the virtual address `destination`.
///
/// # Errors
/// [`Abort`]; then some of the bytes are cleared.
///
/// # Safety
/// No Rust object lies in the destination.
pub unsafe fn clear(destination: usize, size: usize) -> Result<(), Abort> {
    // SAFETY: the routine writes no Rust object, says our caller; faults are fixed up.
    done(unsafe { clear_foreign(destination, size) })
}

/// Writes back and drops what caches hold of `size` bytes from the virtual address `start`, up to the point of coherency: what
/// somebody has left there through cacheable memory comes no later than this. It has taken effect when this returns.
///
/// # Errors
/// [`Abort`]; then caches may still hold some of it.
pub fn clean(start: usize, size: usize) -> Result<(), Abort> {
    // SAFETY: maintenance of caches changes nothing that a Rust object holds; faults are fixed up.
    done(unsafe { clean_foreign(start, size) })
}

/// Turns a routine's result into ours.
fn done(result: usize) -> Result<(), Abort> {
    #[cfg(feature = "control")]
    assert!(result == 0 || crate::guards::stands(remoteproc_service::Guard::FixUp), "an abort ends it all");
    if result == 0 { Ok(()) } else { Err(Abort) }
}
