//! The processors' memory: mapped since boot, Normal Non-cacheable, at its physical addresses.
//!
//! The normal world may have written it through its caches before it was closed, and lines that are written back later would land on
//! verified firmware. All of it is cleared between closing and loading, so clearing is where they are driven out.
use crate::memory::foreign::{self, Abort};
use crate::memory::map::{MapFailure, map_remote};
use aarch64_cpu::asm::barrier;
use heapless::Vec;
use remoteproc_image::provider::{Destination, Fault};
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::{MAX_PROCESSORS, MAX_REGIONS};
use remoteproc_service::hardware::RemoteMemory;
use remoteproc_sp::ranges::contain;

/// The regions of all processors.
const MAX_MAPPED: usize = MAX_PROCESSORS * MAX_REGIONS;

/// The mapped regions.
pub struct MappedMemory {
    regions: Vec<PhysicalRange, MAX_MAPPED>,
}

impl MappedMemory {
    /// Makes it with nothing mapped.
    pub const fn new() -> Self {
        Self { regions: Vec::new() }
    }

    /// Maps a region, for good.
    ///
    /// # Errors
    /// Says why not; then the region is not usable.
    pub fn add(&mut self, region: PhysicalRange) -> Result<(), MapFailure> {
        map_remote(region)?;
        self.regions.push(region).map_err(|_| MapFailure::NoTables)
    }

    /// Returns the virtual address of `size` bytes, if they lie in one region.
    fn locate(&self, physical_address: u64, size: u64) -> Result<usize, Fault> {
        if !contain(&self.regions, physical_address, size) {
            return Err(Fault);
        }
        usize::try_from(physical_address).map_err(|_| Fault)
    }
}

impl Destination for MappedMemory {
    fn write(&mut self, physical_address: u64, bytes: &[u8]) -> Result<(), Fault> {
        #[cfg(feature = "fault-injection")]
        crate::fault::reach(crate::fault::Point::RemoteWrite);
        let address = self.locate(physical_address, bytes.len() as u64)?;
        // SAFETY: the bytes lie in a region that `map_remote` has mapped, so outside the partition's own memory.
        unsafe { foreign::write(address, bytes) }.map_err(|Abort| Fault)
    }

    fn read(&mut self, physical_address: u64, into: &mut [u8]) -> Result<(), Fault> {
        #[cfg(feature = "fault-injection")]
        crate::fault::reach(crate::fault::Point::RemoteRead);
        let address = self.locate(physical_address, into.len() as u64)?;
        foreign::read(address, into).map_err(|Abort| Fault)
    }
}

impl RemoteMemory for MappedMemory {
    fn clear(&mut self, physical_address: u64, size: u64) -> Result<(), Fault> {
        let address = self.locate(physical_address, size)?;
        let size = usize::try_from(size).map_err(|_| Fault)?;
        foreign::clean(address, size).map_err(|Abort| Fault)?;
        // SAFETY: the bytes lie in a region that `map_remote` has mapped, so outside the partition's own memory.
        unsafe { foreign::clear(address, size) }.map_err(|Abort| Fault)
    }

    fn complete_writes(&mut self) {
        // Non-cacheable: once the stores have completed, every bus master sees them.
        barrier::dsb(barrier::SY);
    }
}
