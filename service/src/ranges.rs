//! Judges the memory that a client names, after the retrieve and before anything is mapped. Pure: it touches no memory.
use crate::client_memory::{PhysicalRange, Retrieved};
use crate::configuration::{Board, Processor};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_refusal::Refusal;

/// Checks every range of a share against the board.
///
/// # Errors
/// The first rule that is broken, in this order: the share is normal-world memory; then, range by range: whole pages inside the
/// address space; clear of the partition and the SPMC, of every processor's regions and registers, of devices; inside the
/// normal memory that the manifest lists.
pub fn check(board: &Board<'_>, retrieved: &Retrieved) -> Result<(), Refusal> {
    if !retrieved.normal_world {
        return Err(Refusal::RangeNotNormalWorld);
    }
    retrieved.ranges.iter().try_for_each(|range| check_range(board, range))
}

/// Returns the bytes of all ranges together.
#[must_use]
pub fn total_size(retrieved: &Retrieved) -> u64 {
    retrieved.ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.size))
}

fn check_range(board: &Board<'_>, range: &PhysicalRange) -> Result<(), Refusal> {
    let aligned = range.start.is_multiple_of(FFA_PAGE_SIZE) && range.size.is_multiple_of(FFA_PAGE_SIZE);
    let end = range.start.checked_add(range.size);
    let (true, true, Some(end)) = (aligned, range.size != 0, end) else {
        return Err(Refusal::RangeMisaligned);
    };
    if touches_any(&board.reserved, range) {
        return Err(Refusal::RangeOverlapsPartition);
    }
    if board.processors.iter().any(|processor| touches_processor(processor, range)) {
        return Err(Refusal::RangeOverlapsProcessor);
    }
    if touches_any(&board.devices, range) {
        return Err(Refusal::RangeOverlapsDevice);
    }
    if !covered(&board.normal_memory, range.start, end) {
        return Err(Refusal::RangeOutsideNormalMemory);
    }
    Ok(())
}

fn touches_processor(processor: &Processor<'_>, range: &PhysicalRange) -> bool {
    let regions = processor
        .regions
        .iter()
        .map(|region| PhysicalRange { start: region.physical_address, size: region.size.into() });
    regions.into_iter().any(|region| region.overlaps(range)) || touches_any(&processor.registers, range)
}

fn touches_any(list: &[PhysicalRange], range: &PhysicalRange) -> bool {
    list.iter().any(|entry| entry.overlaps(range))
}

/// Tells whether the list covers start..end, where neighbors in the list count as one.
fn covered(list: &[PhysicalRange], start: u64, end: u64) -> bool {
    let mut reached = start;
    while reached < end {
        let holder = list.iter().find(|entry| entry.start <= reached && reached < entry.saturating_end());
        let Some(holder) = holder else { return false };
        reached = holder.saturating_end();
    }
    true
}

impl PhysicalRange {
    /// Returns the first address after the range; a range that exceeds the address space ends at its end.
    #[must_use]
    pub const fn saturating_end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Tells whether the two ranges have a byte in common.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.saturating_end() && other.start < self.saturating_end()
    }
}
