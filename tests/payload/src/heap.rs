//! A heap, for what is measured bare: the signature check of `floor.rs` allocates, nothing else does.
use buddy_system_allocator::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

/// Largest block: 2^16 bytes, the whole heap.
const ORDER: usize = 17;
/// Bytes.
const SIZE: usize = 1 << (ORDER - 1);

#[repr(C, align(4096))]
struct Area(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the heap below reaches it.
unsafe impl Sync for Area {}

static AREA: Area = Area(UnsafeCell::new([0; SIZE]));

struct OneCpu {
    heap: UnsafeCell<Heap<ORDER>>,
    started: AtomicBool,
}

// SAFETY: there is one CPU, interrupts are masked, and an exception never returns, so no two calls overlap.
unsafe impl Sync for OneCpu {}

#[global_allocator]
static HEAP: OneCpu = OneCpu { heap: UnsafeCell::new(Heap::empty()), started: AtomicBool::new(false) };

// SAFETY: blocks come from the buddy allocator, which gives out each byte of the area once and aligned as asked.
unsafe impl GlobalAlloc for OneCpu {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no two calls overlap, see above.
        let heap = unsafe { &mut *self.heap.get() };
        // A load and a store, not an exchange: exclusive accesses do not work with the MMU off.
        if !self.started.load(Ordering::Relaxed) {
            self.started.store(true, Ordering::Relaxed);
            // SAFETY: the area is the heap's alone, for good, and this runs once.
            unsafe { heap.init(AREA.0.get().addr(), SIZE) };
        }
        heap.alloc(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: no two calls overlap, see above.
        let heap = unsafe { &mut *self.heap.get() };
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller had it from `alloc` with this layout.
            unsafe { heap.dealloc(block, layout) };
        }
    }
}
