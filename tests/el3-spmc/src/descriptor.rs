//! Memory transaction descriptors (DEN0140 1.2, chapter 1), by the specification's offsets.
//!
//! Written for this fixture alone, so that a mistake in the partition's or the shim's codec is not repeated here.
//! Every function works on a private copy of the other side's buffer.
use heapless::Vec;

use crate::error::Refusal;
use crate::memory_map::{PAGE_SIZE, Range};

/// Bytes of the transaction descriptor from FF-A 1.1 on.
pub const HEADER_SIZE: usize = 48;
/// Bytes of a composite descriptor without its ranges.
pub const COMPOSITE_SIZE: usize = 16;
/// Bytes of one constituent range.
pub const CONSTITUENT_SIZE: usize = 16;
/// Bytes of an FF-A buffer, and of a fragment at most.
pub const BUFFER_SIZE: usize = 4096;
/// Fragments of one descriptor, as many as Hafnium takes.
pub const MAXIMUM_FRAGMENTS: usize = 20;
/// Bytes of the longest descriptor that a sender may transmit.
pub const MAXIMUM_DESCRIPTOR: usize = MAXIMUM_FRAGMENTS * BUFFER_SIZE;
/// Bytes of the longest descriptor here: a borrower's endpoint descriptor may be 16 bytes longer than the sender's.
pub const DESCRIPTOR_ROOM: usize = MAXIMUM_DESCRIPTOR + 16;

/// Memory attributes of shared RAM: Normal, write-back, inner shareable.
pub const NORMAL_WRITE_BACK: u16 = 0x2f;
/// NS bit of the memory attributes.
pub const ATTRIBUTE_NON_SECURE: u16 = 1 << 6;
/// Data access: read only.
pub const READ_ONLY: u8 = 1;
/// Data access: read and write.
pub const READ_WRITE: u8 = 2;
/// Instruction access: not executable.
pub const NOT_EXECUTABLE: u8 = 1 << 2;
/// Flags: the transaction is a share.
pub const TYPE_SHARE: u32 = 1 << 3;
/// Flags: the transaction is a lend.
pub const TYPE_LEND: u32 = 2 << 3;

/// Bytes of an endpoint memory access descriptor for a caller that negotiated `version`.
pub const fn endpoint_descriptor_size(version: u32) -> usize {
    if version >= 0x0001_0002 { 32 } else { 16 }
}

/// The transaction descriptor's fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Owner of the memory.
    pub sender: u16,
    /// Memory attributes.
    pub attributes: u16,
    /// Flags.
    pub flags: u32,
    /// Handle; 0 in a share.
    pub handle: u64,
    /// Tag.
    pub tag: u64,
    /// Bytes of one endpoint memory access descriptor.
    pub entry_size: u32,
    /// Number of them.
    pub entry_count: u32,
    /// Offset of the first, from the start.
    pub entry_offset: u32,
}

/// One endpoint memory access descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Borrower.
    pub receiver: u16,
    /// Permissions: data access in bits 1:0, instruction access in bits 3:2.
    pub permissions: u8,
    /// Flags.
    pub flags: u8,
    /// Offset of the composite descriptor, from the start.
    pub composite_offset: u32,
    /// Implementation defined bytes (zero where the format has none).
    pub implementation: [u8; 16],
}

/// One constituent range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constituent {
    /// Physical address of the first page.
    pub address: u64,
    /// Number of pages.
    pub pages: u32,
}

impl Constituent {
    /// The bytes it covers; `None` if they pass the end of the address space.
    pub fn range(&self) -> Option<Range> {
        Range::pages(self.address, self.pages.into())
    }
}

/// How memory is given to a borrower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The owner keeps access.
    Share,
    /// The owner has none while it is lent.
    Lend,
}

impl Kind {
    /// The transaction type in the flags of a retrieve.
    pub const fn flags(self) -> u32 {
        match self {
            Self::Share => TYPE_SHARE,
            Self::Lend => TYPE_LEND,
        }
    }
}

/// A share or a lend as its sender described it, all rules of the format checked.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Shared or lent.
    pub kind: Kind,
    /// Fixed part.
    pub header: Header,
    /// The one borrower.
    pub entry: Entry,
    /// Offset of the first range in the descriptor.
    ranges: usize,
    /// Number of ranges.
    count: usize,
}

impl Share {
    /// The memory, from the bytes that were decoded.
    pub fn constituents<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = Constituent> + 'b {
        ranges(bytes.get(self.ranges..).unwrap_or_default(), self.count).flatten()
    }

    /// Number of ranges.
    pub fn range_count(&self) -> usize {
        self.count
    }
}

/// The first `count` ranges in `bytes`; `None` for one that is cut off or has reserved bytes set.
fn ranges(bytes: &[u8], count: usize) -> impl Iterator<Item = Option<Constituent>> + '_ {
    bytes.chunks(CONSTITUENT_SIZE).take(count).map(|range| {
        let constituent = Constituent { address: u64_at(range, 0)?, pages: u32_at(range, 8)? };
        (u32_at(range, 12)? == 0).then_some(constituent)
    })
}

fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes_at(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes_at(bytes, offset).map(u64::from_le_bytes)
}

fn decode_header(bytes: &[u8]) -> Option<(Header, bool)> {
    let header = Header {
        sender: u16_at(bytes, 0)?,
        attributes: u16_at(bytes, 2)?,
        flags: u32_at(bytes, 4)?,
        handle: u64_at(bytes, 8)?,
        tag: u64_at(bytes, 16)?,
        entry_size: u32_at(bytes, 24)?,
        entry_count: u32_at(bytes, 28)?,
        entry_offset: u32_at(bytes, 32)?,
    };
    let reserved: [u8; 12] = bytes_at(bytes, 36)?;
    Some((header, reserved == [0; 12]))
}

fn decode_entry(bytes: &[u8], offset: usize, size: usize) -> Option<(Entry, bool)> {
    let entry = bytes.get(offset..offset.checked_add(size)?)?;
    let (implementation, reserved_offset) = if size == 32 { (bytes_at(entry, 8)?, 24) } else { ([0; 16], 8) };
    let decoded = Entry {
        receiver: u16_at(entry, 0)?,
        permissions: *entry.get(2)?,
        flags: *entry.get(3)?,
        composite_offset: u32_at(entry, 4)?,
        implementation,
    };
    Some((decoded, u64_at(entry, reserved_offset)? == 0))
}

/// Decodes the fixed part and the one endpoint descriptor that both shares and retrieve requests carry.
fn decode_front(bytes: &[u8], entry_size: usize) -> Result<(Header, Entry, usize), Refusal> {
    const SHORT: Refusal = Refusal::invalid("descriptor-length", "the descriptor ends before its fields do");
    let (header, reserved_zero) = decode_header(bytes).ok_or(SHORT)?;
    if !reserved_zero {
        return Err(Refusal::invalid("descriptor-reserved", "reserved bytes of the header are not zero"));
    }
    if header.entry_size as usize != entry_size {
        return Err(Refusal::invalid(
            "descriptor-entry-size",
            "endpoint descriptors don't have the size of the caller's FF-A version (32 from 1.2, 16 before)",
        ));
    }
    if header.entry_count != 1 {
        return Err(Refusal::invalid("descriptor-receiver-count", "there must be exactly one receiver"));
    }
    let offset = header.entry_offset as usize;
    if offset < HEADER_SIZE || !offset.is_multiple_of(16) {
        return Err(Refusal::invalid(
            "descriptor-entry-offset",
            "the endpoint descriptor overlaps the header or is not 16-byte aligned",
        ));
    }
    let (entry, reserved_zero) = decode_entry(bytes, offset, entry_size).ok_or(SHORT)?;
    if !reserved_zero {
        return Err(Refusal::invalid(
            "descriptor-reserved",
            "reserved bytes of the endpoint descriptor are not zero",
        ));
    }
    // No overflow: the entry lies inside `bytes`.
    Ok((header, entry, offset + entry_size))
}

/// Decodes and checks the descriptor of an FFA_MEM_SHARE or FFA_MEM_LEND. `entry_size` belongs to the sender's FF-A version.
pub fn decode_share(bytes: &[u8], entry_size: usize, kind: Kind) -> Result<Share, Refusal> {
    let (header, entry, front) = decode_front(bytes, entry_size)?;
    if header.handle != 0 {
        return Err(Refusal::invalid("share-handle", "the handle of a share must be zero"));
    }
    if header.flags != 0 {
        return Err(Refusal::invalid("share-flags", "the flags of a share must be zero"));
    }
    match kind {
        Kind::Share if header.attributes != NORMAL_WRITE_BACK => {
            return Err(Refusal::denied("share-attributes", "only Normal write-back inner shareable memory"));
        }
        Kind::Lend if header.attributes != 0 => {
            return Err(Refusal::invalid(
                "lend-attributes",
                "with one borrower the lender leaves the attributes to it: they must be zero",
            ));
        }
        _ => {}
    }
    if entry.flags != 0 {
        return Err(Refusal::invalid("share-entry-flags", "flags of the endpoint descriptor must be zero"));
    }
    if entry.permissions != READ_ONLY && entry.permissions != READ_WRITE {
        return Err(Refusal::invalid(
            "share-permissions",
            "data access must be read only or read-write, instruction access not specified",
        ));
    }
    let composite = entry.composite_offset as usize;
    if composite < front || !composite.is_multiple_of(8) {
        return Err(Refusal::invalid(
            "share-composite-offset",
            "the composite descriptor overlaps or is not aligned",
        ));
    }
    const SHORT: Refusal = Refusal::invalid("descriptor-length", "the descriptor ends before its fields do");
    let total_pages = u32_at(bytes, composite).ok_or(SHORT)?;
    let count = u32_at(bytes, composite + 4).ok_or(SHORT)? as usize;
    if u64_at(bytes, composite + 8).ok_or(SHORT)? != 0 {
        return Err(Refusal::invalid("descriptor-reserved", "reserved bytes of the composite are not zero"));
    }
    if count == 0 {
        return Err(Refusal::invalid("share-no-ranges", "a share needs at least one range"));
    }
    let first = composite + COMPOSITE_SIZE;
    let rest = bytes.get(first..).ok_or(SHORT)?;
    if count.checked_mul(CONSTITUENT_SIZE) != Some(rest.len()) {
        return Err(Refusal::invalid("descriptor-length", "the length is not that of the ranges it counts"));
    }
    let mut pages = 0_u64;
    // Ranges in ascending order, the usual case, need no second look.
    let mut highest = 0_u64;
    for (index, constituent) in ranges(rest, count).enumerate() {
        let constituent = constituent
            .ok_or(Refusal::invalid("descriptor-reserved", "reserved bytes of a range are not zero"))?;
        if constituent.pages == 0 || !constituent.address.is_multiple_of(PAGE_SIZE) {
            return Err(Refusal::invalid("share-range", "a range is empty or not page aligned"));
        }
        let range = constituent
            .range()
            .ok_or(Refusal::invalid("share-range", "a range passes the end of the address space"))?;
        let mut earlier = ranges(rest, index).flatten();
        if range.start < highest
            && earlier.any(|other| other.range().is_some_and(|other| other.overlaps(&range)))
        {
            return Err(Refusal::invalid("share-overlap", "two ranges of the share overlap"));
        }
        highest = highest.max(range.end);
        pages += u64::from(constituent.pages);
    }
    if pages != u64::from(total_pages) {
        return Err(Refusal::invalid("share-total-pages", "the total is not the sum of the ranges' pages"));
    }
    Ok(Share { kind, header, entry, ranges: first, count })
}

/// Decodes a retrieve request: exact length, no composite descriptor. What it asks for is checked against the share by
/// [`crate::share_table`].
pub fn decode_retrieve_request(bytes: &[u8], entry_size: usize) -> Result<(Header, Entry), Refusal> {
    let (header, entry, front) = decode_front(bytes, entry_size)?;
    if front != bytes.len() {
        return Err(Refusal::invalid(
            "retrieve-length",
            "the length must be that of the header and the one endpoint descriptor",
        ));
    }
    if entry.composite_offset != 0 {
        return Err(Refusal::invalid(
            "retrieve-composite",
            "the composite offset of a retrieve request must be zero",
        ));
    }
    Ok((header, entry))
}

/// What a retrieve response tells the borrower.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Shared or lent.
    pub kind: Kind,
    /// Owner of the memory.
    pub sender: u16,
    /// Borrower.
    pub receiver: u16,
    /// Memory attributes, with the NS bit.
    pub attributes: u16,
    /// Permissions granted.
    pub permissions: u8,
    /// Handle.
    pub handle: u64,
    /// Tag.
    pub tag: u64,
    /// Implementation defined bytes of the sender.
    pub implementation: [u8; 16],
    /// The memory.
    pub constituents: &'a [Constituent],
}

/// Whether a first fragment of `length` bytes ends between two ranges, its endpoint and composite descriptors whole.
pub fn is_first_fragment(length: usize, entry_size: usize) -> bool {
    length >= HEADER_SIZE + entry_size + COMPOSITE_SIZE && length.is_multiple_of(CONSTITUENT_SIZE)
}

/// Encodes a retrieve response with endpoint descriptors of `entry_size` bytes; `None` if there is no room.
pub fn encode_retrieve_response(
    response: &Response<'_>,
    entry_size: usize,
    buffer: &mut Vec<u8, DESCRIPTOR_ROOM>,
) -> Option<()> {
    let composite = HEADER_SIZE + entry_size;
    buffer.clear();
    buffer.resize_default(composite + COMPOSITE_SIZE).ok()?;
    let mut put = |offset: usize, bytes: &[u8]| buffer[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, &response.sender.to_le_bytes());
    put(2, &response.attributes.to_le_bytes());
    put(4, &response.kind.flags().to_le_bytes());
    put(8, &response.handle.to_le_bytes());
    put(16, &response.tag.to_le_bytes());
    put(24, &(entry_size as u32).to_le_bytes());
    put(28, &1_u32.to_le_bytes());
    put(32, &(HEADER_SIZE as u32).to_le_bytes());
    put(48, &response.receiver.to_le_bytes());
    put(50, &[response.permissions]);
    put(52, &(composite as u32).to_le_bytes());
    if entry_size == 32 {
        put(56, &response.implementation);
    }
    let total = response.constituents.iter().fold(0_u32, |sum, range| sum.saturating_add(range.pages));
    put(composite, &total.to_le_bytes());
    put(composite + 4, &(response.constituents.len() as u32).to_le_bytes());
    for constituent in response.constituents {
        buffer.extend_from_slice(&constituent.address.to_le_bytes()).ok()?;
        buffer.extend_from_slice(&constituent.pages.to_le_bytes()).ok()?;
        buffer.extend_from_slice(&[0; 4]).ok()?;
    }
    Some(())
}

/// Decodes an FFA_MEM_RELINQUISH descriptor of `endpoint`; returns the handle.
pub fn decode_relinquish(bytes: &[u8], endpoint: u16) -> Result<u64, Refusal> {
    const SHORT: Refusal = Refusal::invalid("relinquish-length", "the descriptor ends before its fields do");
    let handle = u64_at(bytes, 0).ok_or(SHORT)?;
    if u32_at(bytes, 8).ok_or(SHORT)? != 0 {
        return Err(Refusal::invalid("relinquish-flags", "the flags must be zero"));
    }
    if u32_at(bytes, 12).ok_or(SHORT)? != 1 {
        return Err(Refusal::invalid("relinquish-count", "there must be exactly one endpoint"));
    }
    if u16_at(bytes, 16).ok_or(SHORT)? != endpoint {
        return Err(Refusal::invalid("relinquish-endpoint", "the endpoint must be the caller"));
    }
    Ok(handle)
}

#[cfg(test)]
pub(crate) mod tests;
