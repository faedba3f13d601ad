//! Physical memory map of the test machine, and ranges of it.

/// Bytes in a page; the FF-A granule everywhere here.
pub const PAGE_SIZE: u64 = 4096;

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
}

impl Range {
    /// `length` bytes from `start`; `None` if that passes the end of the address space.
    pub const fn new(start: u64, length: u64) -> Option<Self> {
        match start.checked_add(length) {
            Some(end) => Some(Self { start, end }),
            None => None,
        }
    }

    /// `count` pages from `start`; `None` if that passes the end of the address space.
    pub const fn pages(start: u64, count: u64) -> Option<Self> {
        match count.checked_mul(PAGE_SIZE) {
            Some(length) => Self::new(start, length),
            None => None,
        }
    }

    /// Whether all of `other` lies in this range.
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether the two ranges have a byte in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `address` lies in this range.
    pub const fn holds(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// Normal-world RAM that exists.
pub const NORMAL_RAM: Range = Range { start: 0x4000_0000, end: 0x7000_0000 };
/// Normal-world memory as this firmware knows it: RAM, a part without RAM behind it (0x70000000 to 0x7fffffff, there to
/// provoke external aborts), and the window shared with the remote core.
pub const NORMAL_MEMORY: Range = Range { start: 0x4000_0000, end: 0x8100_0000 };
/// Secure memory from which partitions and their regions may come: secure SRAM without this firmware's own part.
pub const PARTITION_MEMORY: Range = Range { start: 0x0e10_0000, end: 0x0f00_0000 };
/// Devices and flash.
pub const DEVICES: Range = Range { start: 0x0000_0000, end: 0x0e00_0000 };
/// The one partition's memory.
pub const PARTITION: Range = Range { start: 0x0e30_0000, end: 0x0e40_0000 };
/// Secure flash from which the partition package is copied.
pub const PACKAGE_FLASH: Range = Range { start: 0x0010_0000, end: 0x0020_0000 };
/// Where the normal world is entered.
pub const NORMAL_ENTRY: u64 = 0x6000_0000;
/// The device tree that the emulator wrote; handed to the normal world in x0.
pub const NORMAL_DEVICE_TREE: u64 = 0x4000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_at_the_end_of_the_address_space() {
        assert_eq!(Range::pages(u64::MAX - 4095, 1), None);
        assert_eq!(Range::pages(0, u64::MAX / 2), None);
        let low = Range { start: 0, end: 4096 };
        assert!(!low.overlaps(&Range { start: 4096, end: 8192 }));
        assert!(low.overlaps(&Range { start: 4095, end: 8192 }));
        assert!(!low.contains(&Range { start: 0, end: 4097 }));
    }
}
