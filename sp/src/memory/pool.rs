//! The pages that translation tables are made of: a fixed number, all inside the image.
use aarch64_paging::descriptor::{El1Attributes, PhysicalAddress};
use aarch64_paging::paging::{PageTable, Translation};
use core::cell::UnsafeCell;
use core::ptr::NonNull;

/// Number of tables. The image takes at most six, a processor's region or register window usually one.
const TABLES: usize = 24;

/// Most tables that one range of addresses can add: two at each level below the root, for its two ends.
pub const WORST_CASE: usize = 6;

struct Tables(UnsafeCell<[PageTable<El1Attributes>; TABLES]>);

// SAFETY: only the one `Pool` hands out pointers into the array, each table once.
unsafe impl Sync for Tables {}

// SAFETY: zeroed memory like all of its kind; the linker script only puts what is aligned to pages together.
#[unsafe(link_section = ".bss.pages")]
static TABLES_MEMORY: Tables = Tables(UnsafeCell::new([const { PageTable::EMPTY }; TABLES]));

/// Hands out the tables.
pub struct Pool {
    used: [bool; TABLES],
}

impl Pool {
    /// Makes the pool.
    ///
    /// # Safety
    /// There may be one pool only: a second one would hand out the same memory.
    pub const unsafe fn new() -> Self {
        Self { used: [false; TABLES] }
    }

    /// Returns how many tables are left.
    pub fn left(&self) -> usize {
        self.used.iter().filter(|used| !**used).count()
    }

    /// Returns a pointer to table `index`, which must exist.
    fn table(index: usize) -> NonNull<PageTable<El1Attributes>> {
        let first: *mut PageTable<El1Attributes> = TABLES_MEMORY.0.get().cast();
        // Not null: inside a static; wrapping arithmetic only because nothing is dereferenced here.
        NonNull::new(first.wrapping_add(index)).unwrap_or(NonNull::dangling())
    }
}

impl Translation<El1Attributes> for Pool {
    fn allocate_table(&mut self) -> (NonNull<PageTable<El1Attributes>>, PhysicalAddress) {
        // Callers ask for room first (`left`), so the pool is never empty here.
        let index = self.used.iter().position(|used| !used).expect("the map asked for room before");
        self.used[index] = true;
        let table = Self::table(index);
        // SAFETY: the pointer is to an element of the static array that nothing else refers to: it was not in use.
        unsafe { table.write(PageTable::EMPTY) };
        (table, PhysicalAddress(table.addr().get()))
    }

    unsafe fn deallocate_table(&mut self, table: NonNull<PageTable<El1Attributes>>) {
        if let Some(index) = (0..TABLES).find(|index| Self::table(*index) == table) {
            self.used[index] = false;
        }
    }

    fn physical_to_virtual(&self, address: PhysicalAddress) -> NonNull<PageTable<El1Attributes>> {
        // Only addresses that `allocate_table` returned come back; the image's physical and virtual addresses are the same.
        (0..TABLES)
            .map(Self::table)
            .find(|table| table.addr().get() == address.0)
            .expect("a table of this pool")
    }
}
