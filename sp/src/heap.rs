//! The heap: one fixed area, for the big numbers of a signature check. Everything else is static.
use crate::memory::layout;
use buddy_system_allocator::LockedHeap;

/// Largest block: 2^16 bytes, the whole heap.
const ORDER: usize = 17;

#[global_allocator]
static HEAP: LockedHeap<ORDER> = LockedHeap::empty();

/// Gives the heap its memory. Once, before the first allocation.
pub fn start() {
    let area = layout::heap();
    // SAFETY: the linker script sets the area aside for this, boot maps it read-write, and this runs once, at boot.
    unsafe { HEAP.lock().init(area.start, area.len()) };
}

/// Bytes that are in use, with what is lost to the sizes of blocks.
#[cfg(feature = "fault-injection")]
pub fn in_use() -> usize {
    HEAP.lock().stats_alloc_actual()
}
