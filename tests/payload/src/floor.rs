//! What the partition's work costs bare: the same copy routines, the same hash, the same signature check, compiled with the same
//! flags and called right here, without service, translation or FF-A around them.
use crate::machine;
use crate::memory;
use core::arch::global_asm;
use remoteproc_image::provider::{Hasher, Provider, PublicKey, Signed};
use remoteproc_image::software::Software;

// The partition's own routines.
global_asm!(include_str!("../../../sp/src/copy.S"));

unsafe extern "C" {
    fn copy_from_foreign(destination: *mut u8, source: usize, size: usize) -> usize;
    fn copy_to_foreign(destination: usize, source: *const u8, size: usize) -> usize;
}

/// Bytes of a slice.
pub const SLICE: u64 = 128 << 10;
/// Bytes that go through the private buffer at once: the partition's, when it copies and when it hashes in place.
const COPIED: usize = 4096;
const HASHED: usize = 1024;

/// Ticks of the system counter.
pub type Ticks = u64;

/// Runs something, and tells how long it took.
fn timed<T>(work: impl FnOnce() -> T) -> (Ticks, T) {
    let before = machine::ticks();
    let value = work();
    (machine::ticks().wrapping_sub(before), value)
}

/// The same loop on any machine: two instructions a round. Tells what it took.
pub fn rounds(count: u64) -> Ticks {
    timed(|| {
        // SAFETY: counts a register down.
        unsafe {
            core::arch::asm!("2:", "subs {0}, {0}, #1", "b.ne 2b", inout(reg) count => _, options(nomem, nostack));
        }
    })
    .0
}

/// Copies a slice from client memory to the processor's memory, through a private buffer.
pub fn copy(from: u64, to: u64) -> Ticks {
    let mut buffer = [0; COPIED];
    timed(|| {
        for offset in (0..SLICE).step_by(COPIED) {
            read(from + offset, &mut buffer);
            write(to + offset, &buffer);
        }
    })
    .0
}

/// Hashes a slice where it is, through a private buffer. Returns the digest too.
pub fn hash(at: u64) -> (Ticks, [u8; 32]) {
    let mut buffer = [0; HASHED];
    timed(|| {
        let mut hasher = Software.sha256();
        for offset in (0..SLICE).step_by(HASHED) {
            read(at + offset, &mut buffer);
            hasher.update(&buffer);
        }
        hasher.finish()
    })
}

/// Checks one signature.
pub fn check(key: &PublicKey<'_>, digest: &[u8; 32], signature: &[u8]) -> (Ticks, bool) {
    let signed = Signed { algorithm: key.algorithm(), bytes: &[], digest, signature };
    timed(|| Software.verify(key, &signed))
}

/// Hashes bytes of the payload's own.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Software.sha256();
    hasher.update(bytes);
    hasher.finish()
}

#[track_caller]
fn read(from: u64, into: &mut [u8]) {
    assert!(memory::is_accessible(from, into.len() as u64), "the payload may not touch {from:#x}");
    // SAFETY: writes `into` only, and reads RAM outside the payload's own image.
    let aborted = unsafe { copy_from_foreign(into.as_mut_ptr(), from as usize, into.len()) };
    assert!(aborted == 0, "{from:#x} can't be read");
}

#[track_caller]
fn write(to: u64, bytes: &[u8]) {
    assert!(memory::is_accessible(to, bytes.len() as u64), "the payload may not touch {to:#x}");
    // SAFETY: reads `bytes` only, and writes RAM outside the payload's own image.
    let aborted = unsafe { copy_to_foreign(to as usize, bytes.as_ptr(), bytes.len()) };
    assert!(aborted == 0, "{to:#x} can't be written");
}
