//! The RX/TX buffer pair: two static pages, which the SPMC reads and writes between the payload's calls.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use remoteproc_shim::ffa::BufferPair;

/// Bytes of a buffer.
const SIZE: usize = 4096;

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; SIZE]>);

// SAFETY: only `Buffers` reaches the contents, of which there is one, on the one CPU.
unsafe impl Sync for Page {}

static TRANSMIT: Page = Page(UnsafeCell::new([0; SIZE]));
static RECEIVE: Page = Page(UnsafeCell::new([0; SIZE]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The one pair of buffers.
pub struct Buffers(());

impl Buffers {
    /// Returns the pair, once.
    pub fn take() -> Option<Self> {
        // A load and a store, not an exchange: exclusive accesses do not work with the MMU off, and there is one CPU.
        if TAKEN.load(Ordering::Relaxed) {
            return None;
        }
        TAKEN.store(true, Ordering::Relaxed);
        Some(Self(()))
    }
}

impl BufferPair for Buffers {
    fn transmit_address(&self) -> u64 {
        TRANSMIT.0.get() as u64
    }

    fn receive_address(&self) -> u64 {
        RECEIVE.0.get() as u64
    }

    fn page_count(&self) -> u8 {
        1
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > SIZE {
            return false;
        }
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: the index lies in the page; nobody holds a reference into it; the access is volatile.
            unsafe { TRANSMIT.0.get().cast::<u8>().add(index).write_volatile(*byte) }
        }
        true
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        if offset.checked_add(into.len()).is_none_or(|end| end > SIZE) {
            return false;
        }
        for (index, byte) in into.iter_mut().enumerate() {
            // SAFETY: offset and index lie in the page; nobody holds a reference into it; the access is volatile.
            *byte = unsafe { RECEIVE.0.get().cast::<u8>().add(offset + index).read_volatile() };
        }
        true
    }
}
