//! The trace buffer: NUL-terminated text in shared memory, as Linux's remoteproc and other readers expect it.
//!
//! When the buffer is full, the older half of its lines makes room. The last byte is always NUL.

use crate::memory::{TRACE, TRACE_BYTES};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Most text that fits before the final NUL, in bytes.
const CAPACITY: usize = TRACE_BYTES - 1;
/// Bytes of text in the buffer. Kept in private memory: the buffer itself may be changed by others.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Writes text at the end of the trace. Writing never fails.
pub struct Trace;

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if USED.load(Ordering::Relaxed) >= CAPACITY {
                drop_older_half();
            }
            let used = USED.load(Ordering::Relaxed);
            set(used, byte);
            USED.store(used.wrapping_add(1), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Empties the buffer, whatever it held.
pub fn clear() {
    for index in 0..TRACE_BYTES {
        set(index, 0);
    }
    USED.store(0, Ordering::Relaxed);
}

/// Moves the newer lines to the front and clears what they leave behind.
fn drop_older_half() {
    let used = USED.load(Ordering::Relaxed).min(CAPACITY);
    let half = used / 2;
    let keep_from =
        (half..used).find(|&index| get(index) == b'\n').map_or(used, |newline| newline.saturating_add(1));
    let kept = used.saturating_sub(keep_from);
    for (to, from) in (0..kept).zip(keep_from..used) {
        set(to, get(from));
    }
    for index in kept..TRACE_BYTES {
        set(index, 0);
    }
    USED.store(kept, Ordering::Relaxed);
}

/// The byte at `index`; NUL outside the buffer.
fn get(index: usize) -> u8 {
    if index >= TRACE_BYTES {
        return 0;
    }
    // SAFETY: `index` is inside the buffer, which is plain memory without Rust objects.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u8>(TRACE).wrapping_add(index)) }
}

/// Sets the byte at `index`; does nothing outside the buffer.
fn set(index: usize, byte: u8) {
    if index >= TRACE_BYTES {
        return;
    }
    // SAFETY: `index` is inside the buffer, which is plain memory without Rust objects.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut::<u8>(TRACE).wrapping_add(index), byte) }
}
