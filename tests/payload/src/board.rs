//! The remote processors as the normal world knows them: where their memory and their control pages are.
use crate::memory;
use core::ops::Range;

/// Id of the Cortex-M33.
pub const M33: u32 = 0;
/// Id of the Cortex-M4.
pub const M4: u32 = 1;

/// One remote processor.
pub struct Processor {
    /// Device address, physical address and size of each region.
    regions: &'static [(u64, u64, u64)],
    /// All regions, which lie side by side in the window: physical addresses.
    pub memory: Range<u64>,
    /// The word of its control page that counts releases from reset: physical address.
    pub releases: u64,
}

static PROCESSORS: [Processor; 2] = [
    Processor {
        regions: &[
            (0x8000_0000, 0x8000_0000, 0x00a0_0000),
            (0x80a0_0000, 0x80a0_0000, 0x0020_0000),
            (0x0000_0000, 0x80c0_0000, 0x0001_0000),
            (0x1000_0000, 0x80c1_0000, 0x0002_0000),
            (0x1002_0000, 0x80c3_0000, 0x0004_0000),
        ],
        memory: memory::REGIONS,
        releases: memory::RELEASES,
    },
    Processor {
        regions: &[(0x21d0_0000, 0x80d0_0000, 0x0010_0000), (0x21e0_0000, 0x80e0_0000, 0x0004_0000)],
        memory: 0x80d0_0000..0x80e4_0000,
        releases: 0x80fe_0028,
    },
];

/// Returns the processor with this id, if the board has it.
pub fn processor(id: u32) -> Option<&'static Processor> {
    PROCESSORS.get(usize::try_from(id).ok()?)
}

impl Processor {
    /// Translates device addresses to physical ones; `None` outside the processor's regions.
    pub fn physical(&self, device_address: u32, length: u32) -> Option<u64> {
        let start = u64::from(device_address);
        let end = start + u64::from(length);
        let region = self.regions.iter().find(|(device, _, size)| *device <= start && end <= device + size);
        region.map(|(device, physical, _)| physical + (start - device))
    }
}
