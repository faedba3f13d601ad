//! Buffers and shares: what the SPMC is told about this client's memory (DEN0077, section 13.6; DEN0140, section 2).
use super::error::Error;
use super::transport::{BufferPair, FfaTransport, call, low};
use arm_ffa::FuncId;
use remoteproc_abi::memory_descriptor::{Constituent, write_lend, write_share};
use remoteproc_abi::{FFA_PAGE_SIZE, MAX_RANGES};

/// Longest descriptor of a share: what MAX_RANGES ranges take.
const DESCRIPTOR_LENGTH: usize = 96 + 16 * MAX_RANGES;

/// FFA_RXTX_MAP.
pub(super) fn map_buffers<T: FfaTransport, B: BufferPair>(
    transport: &mut T,
    buffers: &B,
) -> Result<(), Error> {
    let arguments = [buffers.transmit_address(), buffers.receive_address(), buffers.page_count().into()];
    call(transport, FuncId::RxTxMap64, &arguments).map(drop)
}

/// FFA_RXTX_UNMAP.
pub(super) fn unmap_buffers<T: FfaTransport>(transport: &mut T) -> Result<(), Error> {
    call(transport, FuncId::RxTxUnmap, &[]).map(drop)
}

/// The two ends of a share.
#[derive(Clone, Copy)]
pub(super) struct Parties {
    /// This client.
    pub(super) owner: u16,
    /// The partition.
    pub(super) borrower: u16,
}

/// FFA_MEM_SHARE or FFA_MEM_LEND, unfragmented, through the TX buffer. Returns the handle.
pub(super) fn share<T: FfaTransport, B: BufferPair>(
    transport: &mut T,
    buffers: &mut B,
    parties: Parties,
    lend: bool,
    ranges: &[Constituent],
) -> Result<u64, Error> {
    let mut descriptor = [0; DESCRIPTOR_LENGTH];
    let (function, length) = if lend {
        (FuncId::MemLend64, write_lend(&mut descriptor, parties.owner, parties.borrower, ranges)?)
    } else {
        (FuncId::MemShare64, write_share(&mut descriptor, parties.owner, parties.borrower, ranges)?)
    };
    if !descriptor.get(..length).is_some_and(|bytes| buffers.write(bytes)) {
        return Err(Error::Buffer);
    }
    let length = length as u64;
    let answer = call(transport, function, &[length, length])?;
    Ok(u64::from(low(answer[3])) << 32 | u64::from(low(answer[2])))
}

/// FFA_MEM_RECLAIM.
pub(super) fn reclaim<T: FfaTransport>(transport: &mut T, handle: u64) -> Result<(), Error> {
    call(transport, FuncId::MemReclaim, &[handle & 0xFFFF_FFFF, handle >> 32]).map(drop)
}

/// The part of an image that one share covers.
#[derive(Debug)]
pub(super) struct Piece {
    ranges: [Constituent; MAX_RANGES],
    count: usize,
    bytes: u64,
}

impl Piece {
    /// Returns the ranges: whole pages, 1 to MAX_RANGES of them.
    pub(super) fn ranges(&self) -> &[Constituent] {
        self.ranges.get(..self.count).unwrap_or_default()
    }

    /// Returns the bytes of the image in them.
    pub(super) fn length(&self) -> u64 {
        self.bytes
    }
}

/// Takes up to `most` ranges of the image, from byte `offset` on and no page beyond byte `total`.
pub(super) fn piece(image: &[Constituent], offset: u64, total: u64, most: usize) -> Result<Piece, Error> {
    if !offset.is_multiple_of(FFA_PAGE_SIZE) || offset >= total {
        return Err(Error::Image);
    }
    let first = offset / FFA_PAGE_SIZE;
    let end = total.div_ceil(FFA_PAGE_SIZE);
    let most = most.clamp(1, MAX_RANGES);
    let mut piece =
        Piece { ranges: [Constituent { address: 0, page_count: 0 }; MAX_RANGES], count: 0, bytes: 0 };
    // Pages of the image before the range at hand.
    let mut before = 0u64;
    for range in image {
        let pages = u64::from(range.page_count);
        let after = before.checked_add(pages).ok_or(Error::Image)?;
        let from = first.max(before);
        let to = end.min(after);
        if from < to {
            let skipped = (from - before).checked_mul(FFA_PAGE_SIZE).ok_or(Error::Image)?;
            let address = range.address.checked_add(skipped).ok_or(Error::Image)?;
            let page_count = u32::try_from(to - from).map_err(|_| Error::Image)?;
            let place = piece.ranges.get_mut(piece.count).ok_or(Error::Image)?;
            *place = Constituent { address, page_count };
            piece.count += 1;
            let covered = to.checked_mul(FFA_PAGE_SIZE).ok_or(Error::Image)?.min(total);
            piece.bytes = covered - offset;
        }
        if piece.count == most || after >= end {
            break;
        }
        before = after;
    }
    // What is left has to be there as well, or the load could not end.
    let available = image.iter().fold(0u64, |sum, range| sum.saturating_add(range.page_count.into()));
    if piece.count == 0 || available < end {
        return Err(Error::Image);
    }
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [Constituent; 3] = [
        Constituent { address: 0x5000_0000, page_count: 1 },
        Constituent { address: 0x4000_0000, page_count: 4 },
        Constituent { address: 0x6000_0000, page_count: 10 },
    ];

    fn of(offset: u64, total: u64, most: usize) -> Result<(Vec<(u64, u32)>, u64), Error> {
        let piece = piece(&IMAGE, offset, total, most)?;
        Ok((piece.ranges().iter().map(|range| (range.address, range.page_count)).collect(), piece.length()))
    }

    #[test]
    fn whole_image_without_the_pages_behind_it() {
        let ranges = vec![(0x5000_0000, 1), (0x4000_0000, 4), (0x6000_0000, 2)];
        assert_eq!(of(0, 0x6001, 200), Ok((ranges, 0x6001)));
        assert_eq!(of(0, 1, 200), Ok((vec![(0x5000_0000, 1)], 1)));
        assert_eq!(of(0, 0x1000, 200), Ok((vec![(0x5000_0000, 1)], 0x1000)));
    }

    #[test]
    fn pieces_follow_each_other() {
        assert_eq!(of(0, 0x6001, 1), Ok((vec![(0x5000_0000, 1)], 0x1000)));
        assert_eq!(of(0x1000, 0x6001, 1), Ok((vec![(0x4000_0000, 4)], 0x4000)));
        assert_eq!(of(0x5000, 0x6001, 1), Ok((vec![(0x6000_0000, 2)], 0x1001)));
        assert_eq!(of(0x3000, 0x6001, 2), Ok((vec![(0x4000_2000, 2), (0x6000_0000, 2)], 0x3001)));
    }

    #[test]
    fn images_that_are_not_there_are_refused() {
        assert_eq!(of(0, 0xf001, 200), Err(Error::Image));
        assert_eq!(of(0, 0xf001, 1), Err(Error::Image));
        assert_eq!(of(0, 0, 200), Err(Error::Image));
        assert_eq!(of(0x800, 0x6001, 200), Err(Error::Image));
        assert_eq!(of(0x7000, 0x6001, 200), Err(Error::Image));
        let last = [Constituent { address: u64::MAX - 0xfff, page_count: 2 }];
        assert_eq!(piece(&last, 0x1000, 0x2000, 1).unwrap_err(), Error::Image);
    }
}
