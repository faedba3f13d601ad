//! Where a byte of a share is: shares are lists of physical ranges, read as if they were one.
use remoteproc_service::client_memory::PhysicalRange;

/// Returns the physical address of byte `offset` of the ranges' concatenation, and how many bytes follow it in its range
/// (at least one). `None` outside the share, or if a range does not fit 64 bits.
#[must_use]
pub fn locate(ranges: &[PhysicalRange], mut offset: u64) -> Option<(u64, u64)> {
    for range in ranges {
        match offset.checked_sub(range.size) {
            Some(beyond) => offset = beyond,
            None => {
                range.start.checked_add(range.size)?;
                return Some((range.start.checked_add(offset)?, range.size.checked_sub(offset)?));
            }
        }
    }
    None
}

/// Tells whether two ranges share a byte. A range that does not fit 64 bits is taken to reach to the end.
#[must_use]
pub fn overlap(first: PhysicalRange, second: PhysicalRange) -> bool {
    first.size != 0
        && second.size != 0
        && first.start < second.start.saturating_add(second.size)
        && second.start < first.start.saturating_add(first.size)
}

/// Tells whether `size` bytes from `address` lie in one of the ranges whole.
#[must_use]
pub fn contain(ranges: &[PhysicalRange], address: u64, size: u64) -> bool {
    ranges.iter().any(|range| {
        address
            .checked_sub(range.start)
            .and_then(|offset| offset.checked_add(size))
            .is_some_and(|end| end <= range.size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RANGES: [PhysicalRange; 3] = [
        PhysicalRange { start: 0x4000_0000, size: 0x1000 },
        PhysicalRange { start: 0x5000_0000, size: 0 },
        PhysicalRange { start: 0x4800_0000, size: 0x2000 },
    ];

    #[test]
    fn golden() {
        assert_eq!(locate(&RANGES, 0), Some((0x4000_0000, 0x1000)));
        assert_eq!(locate(&RANGES, 0xFFF), Some((0x4000_0FFF, 1)));
        assert_eq!(locate(&RANGES, 0x1000), Some((0x4800_0000, 0x2000)));
        assert_eq!(locate(&RANGES, 0x2FFF), Some((0x4800_1FFF, 1)));
        assert_eq!(locate(&RANGES, 0x3000), None);
        assert_eq!(locate(&[PhysicalRange { start: u64::MAX, size: 2 }], 0), None);
        assert!(contain(&RANGES, 0x4000_0FFF, 1) && !contain(&RANGES, 0x4000_0FFF, 2));
        assert!(!contain(&RANGES, u64::MAX, u64::MAX));
    }

    proptest! {
        #[test]
        fn located_bytes_lie_in_a_range(raw: Vec<(u64, u64)>, offset: u64) {
            let ranges: Vec<PhysicalRange> = raw.iter().map(|(start, size)| PhysicalRange { start: *start, size: *size }).collect();
            if let Some((address, size)) = locate(&ranges, offset) {
                prop_assert!(size > 0);
                prop_assert!(contain(&ranges, address, size));
            }
        }

        #[test]
        fn overlap_is_having_a_common_byte(a in 0u64..40, b in 0u64..40, size_a in 0u64..10, size_b in 0u64..10) {
            let common = (a..a + size_a).any(|byte| (b..b + size_b).contains(&byte));
            let (first, second) = (PhysicalRange { start: a, size: size_a }, PhysicalRange { start: b, size: size_b });
            prop_assert_eq!(overlap(first, second), common);
            prop_assert_eq!(overlap(second, first), common);
        }
    }
}
