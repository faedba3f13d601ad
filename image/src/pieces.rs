//! Pieces of a stream: what of them lies in a window, and records put together from them.
use core::ops::Range;

/// One record of a table, put together from pieces. Records of a table have one size, at most `MOST` bytes.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Record<const MOST: usize> {
    bytes: [u8; MOST],
    size: usize,
    filled: usize,
}

impl<const MOST: usize> Record<MOST> {
    /// Nothing taken, and no size known: it takes nothing. All zeros, like everything in an idle reader.
    pub const fn new() -> Self {
        Self { bytes: [0; MOST], size: 0, filled: 0 }
    }

    /// Forgets what was taken, and expects records of a size.
    pub const fn reset(&mut self, size: usize) {
        self.filled = 0;
        self.size = size;
    }

    /// Takes what it lacks from the front of `part`; yields the record when it is complete, in the first bytes of what is
    /// returned, and starts the next one.
    pub fn fill(&mut self, part: &mut &[u8]) -> Option<[u8; MOST]> {
        let rest = self.bytes.get_mut(self.filled..self.size).filter(|rest| !rest.is_empty())?;
        let count = rest.len().min(part.len());
        let (now, later) = part.split_at_checked(count)?;
        rest.get_mut(..count)?.copy_from_slice(now);
        *part = later;
        self.filled = self.filled.saturating_add(count);
        if self.filled < self.size {
            return None;
        }
        self.filled = 0;
        Some(self.bytes)
    }
}

/// The same range in 64 bits.
pub fn wide(range: &Range<u32>) -> Range<u64> {
    range.start.into()..range.end.into()
}

/// The part of `bytes`, which start at `from`, that lies in `window`, and its offset in the window.
pub fn overlap(bytes: &[u8], from: u64, window: Range<u64>) -> Option<(&[u8], u64)> {
    let to = from.saturating_add(bytes.len() as u64).min(window.end);
    let start = from.max(window.start);
    if start >= to {
        return None;
    }
    let range =
        usize::try_from(start.checked_sub(from)?).ok()?..usize::try_from(to.checked_sub(from)?).ok()?;
    Some((bytes.get(range)?, start.checked_sub(window.start)?))
}
