//! The partition's stage-1 translation: what is mapped, with which rights.
//!
//! | what | rights | memory |
//! |---|---|---|
//! | code | read, execute | secure, write-back |
//! | constants | read | secure, write-back |
//! | variables, stacks, heap | read, write | secure, write-back |
//! | processors' regions and registers | read, write | normal world, non-cacheable |
//! | devices of the partition's own | read, write | secure, device |
//! | execution contexts' stacks | read, write | secure, write-back, not at their physical addresses |
//! | copy window, while copying | read; into a client's buffer: read, write | normal world or secure, write-back |
//!
//! Nothing else is mapped: not the pages around the stacks, not the first page of the address space.
use super::mmu::{ATTRIBUTES_DEVICE, ATTRIBUTES_NON_CACHEABLE, ATTRIBUTES_WRITE_BACK};
use super::pool::{Pool, WORST_CASE};
use super::{layout, mmu};
use crate::contexts::{self, MAX_CONTEXTS};
use aarch64_paging::descriptor::{El1Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El1And0, MemoryRegion, VaRange};
use aarch64_paging::{MapError, Mapping};
use core::ops::Range;
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_sp::ranges::overlap;
use spin::{Mutex, Once};

/// Tables start at level 0: 48 bits of address.
const ROOT_LEVEL: usize = 0;
/// First address that does not fit.
const ADDRESS_END: u64 = 1 << mmu::ADDRESS_BITS;
/// Size of a page, bytes.
pub const PAGE_SIZE: u64 = 4096;

const NEVER_EXECUTE: El1Attributes = El1Attributes::PXN.union(El1Attributes::UXN);
const PRESENT: El1Attributes = El1Attributes::VALID.union(El1Attributes::ACCESSED);
const WRITE_BACK: El1Attributes = PRESENT.union(ATTRIBUTES_WRITE_BACK).union(El1Attributes::INNER_SHAREABLE);
const CODE: El1Attributes = WRITE_BACK.union(El1Attributes::READ_ONLY).union(El1Attributes::UXN);
const CONSTANTS: El1Attributes = WRITE_BACK.union(El1Attributes::READ_ONLY).union(NEVER_EXECUTE);
const VARIABLES: El1Attributes = WRITE_BACK.union(NEVER_EXECUTE);
const NORMAL_WORLD_CONSTANTS: El1Attributes = CONSTANTS.union(El1Attributes::NS);
const NORMAL_WORLD_VARIABLES: El1Attributes = VARIABLES.union(El1Attributes::NS);
const REMOTE: El1Attributes = PRESENT
    .union(ATTRIBUTES_NON_CACHEABLE)
    .union(El1Attributes::INNER_SHAREABLE)
    .union(NEVER_EXECUTE)
    .union(El1Attributes::NS);

const DEVICE: El1Attributes = PRESENT.union(ATTRIBUTES_DEVICE).union(NEVER_EXECUTE);

/// Why something can't be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapFailure {
    /// Not page aligned, empty, or beyond 48 bits.
    #[error("the range is not page aligned, empty, or beyond 48 bits")]
    Range,
    /// The range touches the partition's own addresses.
    #[error("the range overlaps the partition")]
    Overlap,
    /// There are no more translation tables.
    #[error("no translation tables left")]
    NoTables,
    /// The tables refused: no range that passed the other checks should bring this about.
    #[error("the translation tables refuse the range")]
    Tables,
}

impl From<MapError> for MapFailure {
    fn from(_: MapError) -> Self {
        Self::Tables
    }
}

/// Which memory the copy window shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The partition's and the SPMC's.
    Secure,
    /// The normal world's.
    Normal,
    /// The normal world's, to be written.
    NormalToWrite,
}

/// The translation.
struct Map {
    mapping: Mapping<Pool, El1And0>,
}

static MAP: Once<Mutex<Map>> = Once::new();

/// Maps the image and switches the MMU on. The first thing that Rust code does.
///
/// # Safety
/// Once, at boot, with the MMU off, on the memory that the linker script lays out.
pub unsafe fn start() -> Result<(), MapFailure> {
    // SAFETY: called once, says our caller.
    let pool = unsafe { Pool::new() };
    let mut map =
        Map { mapping: Mapping::with_asid_and_va_range(pool, 0, ROOT_LEVEL, El1And0, VaRange::Lower) };
    map.identity(layout::text(), CODE)?;
    map.identity(layout::rodata(), CONSTANTS)?;
    for range in [layout::data(), layout::stack(), layout::exception_stack(), layout::heap()] {
        map.identity(range, VARIABLES)?;
    }
    // Gives the window its tables, so that mapping through it never needs any.
    map.identity(layout::window(), CONSTANTS)?;
    map.unmap(layout::window())?;
    for index in 0..MAX_CONTEXTS {
        let stack = contexts::stack(index);
        let physical = PhysicalAddress(layout::context_stacks() + index * stack.len());
        let region = MemoryRegion::new(stack.start, stack.end);
        map.mapping.map_range(&region, physical, VARIABLES, Constraints::NO_BLOCK_MAPPINGS)?;
    }
    // SAFETY: the tables map the code, data and stack in use at their own addresses; the mapping goes into a static that nothing
    // drops.
    unsafe { mmu::enable(map.mapping.root_address()) };
    // From here on changes invalidate the TLB. Not before: this takes an atomic update, and those need cacheable memory.
    map.mapping.mark_active();
    MAP.call_once(|| Mutex::new(map));
    Ok(())
}

/// Maps a region of a processor, or a window of its registers, at its physical address, for good.
///
/// # Errors
/// Says why not; then nothing has changed.
pub fn map_remote(range: PhysicalRange) -> Result<(), MapFailure> {
    map_beside(range, REMOTE)
}

/// Maps a device of the partition's own at its physical address, for good.
///
/// # Errors
/// Says why not; then nothing has changed.
pub fn map_device(range: PhysicalRange) -> Result<(), MapFailure> {
    map_beside(range, DEVICE)
}

/// Maps what is not the partition's memory.
fn map_beside(range: PhysicalRange, attributes: El1Attributes) -> Result<(), MapFailure> {
    let addresses = addresses(range)?;
    let partition = layout::image().start as u64..layout::contexts().end as u64;
    if overlap(range, PhysicalRange { start: partition.start, size: partition.end - partition.start }) {
        return Err(MapFailure::Overlap);
    }
    MAP.get().ok_or(MapFailure::NoTables)?.lock().identity(addresses, attributes)
}

/// Shows a physical range in the copy window, read-only but for [`World::NormalToWrite`]. It may not be longer than the window.
///
/// # Errors
/// Says why not; then nothing has changed.
pub fn show(range: PhysicalRange, world: World) -> Result<(), MapFailure> {
    addresses(range)?;
    let window = layout::window();
    let size = usize::try_from(range.size).map_err(|_| MapFailure::Range)?;
    if size > window.len() {
        return Err(MapFailure::Range);
    }
    let attributes = match world {
        World::Secure => CONSTANTS,
        World::Normal => NORMAL_WORLD_CONSTANTS,
        World::NormalToWrite => NORMAL_WORLD_VARIABLES,
    };
    let region = MemoryRegion::new(window.start, window.start + size);
    let physical = PhysicalAddress(range.start as usize);
    let mut map = MAP.get().ok_or(MapFailure::NoTables)?.lock();
    #[cfg(feature = "fault-injection")]
    crate::fault::reach(crate::fault::Point::Tables);
    Ok(map.mapping.map_range(&region, physical, attributes, Constraints::NO_BLOCK_MAPPINGS)?)
}

/// Empties the copy window.
pub fn hide() {
    if let Some(map) = MAP.get()
        && let Err(error) = map.lock().unmap(layout::window())
    {
        // The tables of the window exist since boot, so unmapping can't fail. If it does, going on would leave foreign memory mapped.
        panic!("the copy window can't be emptied: {error}");
    }
}

/// Checks that a range has a place in the address space.
fn addresses(range: PhysicalRange) -> Result<Range<usize>, MapFailure> {
    let end = range.start.checked_add(range.size).ok_or(MapFailure::Range)?;
    let aligned = range.start.is_multiple_of(PAGE_SIZE) && range.size.is_multiple_of(PAGE_SIZE);
    if range.size == 0 || !aligned || end > ADDRESS_END {
        return Err(MapFailure::Range);
    }
    Ok(range.start as usize..end as usize)
}

impl Map {
    /// Maps addresses to themselves.
    fn identity(&mut self, range: Range<usize>, attributes: El1Attributes) -> Result<(), MapFailure> {
        if self.mapping.translation().left() < WORST_CASE {
            return Err(MapFailure::NoTables);
        }
        let physical = PhysicalAddress(range.start);
        let region = MemoryRegion::new(range.start, range.end);
        Ok(self.mapping.map_range(&region, physical, attributes, Constraints::empty())?)
    }

    /// Unmaps addresses.
    fn unmap(&mut self, range: Range<usize>) -> Result<(), MapFailure> {
        let region = MemoryRegion::new(range.start, range.end);
        let nothing = El1Attributes::empty();
        Ok(self.mapping.map_range(&region, PhysicalAddress(0), nothing, Constraints::NO_BLOCK_MAPPINGS)?)
    }
}
