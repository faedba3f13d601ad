//! Registers of devices: 32-bit accesses, each exactly once, complete before the next.
use crate::memory::map::{MapFailure, map_device, map_remote};
use aarch64_cpu::asm::barrier;
use remoteproc_platform::registers::Registers;
use remoteproc_service::client_memory::PhysicalRange;

/// Bytes of a register.
const WIDTH: usize = 4;

/// A mapped window of registers.
#[derive(Debug)]
pub struct Mmio {
    start: usize,
    size: usize,
}

impl Mmio {
    /// Maps a window of a processor's registers, for good.
    pub fn map(range: PhysicalRange) -> Option<Self> {
        Self::mapped(range, map_remote(range))
    }

    /// Maps the registers of a device of the partition's own, for good.
    pub fn map_device(range: PhysicalRange) -> Option<Self> {
        Self::mapped(range, map_device(range))
    }

    fn mapped(range: PhysicalRange, outcome: Result<(), MapFailure>) -> Option<Self> {
        if let Err(error) = outcome {
            log::error!("registers at {:#x} can't be mapped: {error}", range.start);
            return None;
        }
        Some(Self { start: usize::try_from(range.start).ok()?, size: usize::try_from(range.size).ok()? })
    }

    /// Returns the address of a register.
    fn register(&self, offset: usize) -> *mut u32 {
        let inside = offset.checked_add(WIDTH).is_some_and(|end| end <= self.size);
        // Offsets are constants of drivers, which asked for a window of this size.
        assert!(inside && offset.is_multiple_of(WIDTH), "no register at {offset:#x}");
        (self.start + offset) as *mut u32
    }
}

impl Registers for Mmio {
    fn read32(&mut self, offset: usize) -> u32 {
        let register = self.register(offset);
        // SAFETY: aligned and inside a window that is mapped for good, outside the partition's own memory.
        let value = unsafe { register.read_volatile() };
        // Where the window is normal memory, only a barrier keeps accesses in order.
        barrier::dsb(barrier::SY);
        value
    }

    fn write32(&mut self, offset: usize, value: u32) {
        let register = self.register(offset);
        // SAFETY: aligned and inside a window that is mapped for good, outside the partition's own memory.
        unsafe { register.write_volatile(value) };
        barrier::dsb(barrier::SY);
    }
}
