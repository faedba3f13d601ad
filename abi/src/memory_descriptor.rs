//! FF-A memory transaction descriptors, as the two endpoints of a share need them (DEN0140, section 1.11 "Descriptors").
//!
//! Our own codec, because arm-ffa 0.5 can neither write a retrieve request without a composite descriptor, nor read endpoint
//! descriptors of 32 bytes. Layouts of FF-A 1.2: a header of 48 bytes, endpoint descriptors of 32, one borrower. All addresses
//! are physical, all lengths are bytes unless a name says pages (4 KiB).
use crate::{FFA_PAGE_SIZE, MAX_RANGES};
use core::mem::size_of;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Memory attributes: the memory is the normal world's. Only the SPMC sets it.
pub const ATTRIBUTE_NON_SECURE: u16 = 1 << 6;
/// Memory attributes: normal memory, write-back, inner shareable.
const ATTRIBUTES_NORMAL: u16 = 2 << 4 | 3 << 2 | 3;
/// Permissions: the bits of data access.
const DATA_ACCESS: u8 = 0b11;
/// Permissions: data access read-write.
const DATA_READ_WRITE: u8 = 2;
/// Permissions: data access read-only.
const DATA_READ_ONLY: u8 = 1;
/// Permissions: instruction access not executable. A borrower of lent memory has to say it, one of shared memory must not.
const NOT_EXECUTABLE: u8 = 1 << 2;
/// Flags of a retrieve: the memory was shared.
const TYPE_SHARE: u32 = 1 << 3;
/// Flags of a retrieve: the memory was lent.
const TYPE_LEND: u32 = 2 << 3;
/// Endpoint descriptors are multiples of this, and start at a multiple of it.
const ENDPOINT_DESCRIPTOR_STEP: usize = 16;
/// The composite descriptor starts at a multiple of this.
const COMPOSITE_ALIGNMENT: usize = 8;

/// Memory transaction descriptor.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    sender: U16,
    attributes: U16,
    flags: U32,
    handle: U64,
    tag: U64,
    endpoint_size: U32,
    endpoint_count: U32,
    endpoint_offset: U32,
    reserved: [u8; 12],
}

/// Endpoint memory access descriptor: the part that all versions have.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EndpointStart {
    receiver: U16,
    permissions: u8,
    flags: u8,
    composite_offset: U32,
}

/// Endpoint memory access descriptor of FF-A 1.2.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Endpoint {
    start: EndpointStart,
    implementation_defined: [u8; 16],
    reserved: [u8; 8],
}

/// Composite memory region descriptor; its ranges follow.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Composite {
    total_pages: U32,
    range_count: U32,
    reserved: [u8; 8],
}

/// Constituent memory region descriptor.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawConstituent {
    address: U64,
    page_count: U32,
    reserved: [u8; 4],
}

/// Memory relinquish descriptor with one endpoint.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Relinquish {
    handle: U64,
    flags: U32,
    endpoint_count: U32,
    endpoint: U16,
}

/// One range of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constituent {
    /// Physical address of the first page.
    pub address: u64,
    /// Length, pages of 4 KiB.
    pub page_count: u32,
}

/// Why a descriptor can't be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// The buffer to write into is shorter than the descriptor.
    #[error("the buffer is shorter than the descriptor")]
    BufferTooSmall,
    /// The bytes to read end before the descriptor does.
    #[error("the descriptor is cut off")]
    Truncated,
    /// A field has a value that the specification does not allow, or that a share with one borrower can't have.
    #[error("a field of the descriptor is malformed")]
    Malformed,
    /// More than [`MAX_RANGES`] ranges.
    #[error("the descriptor has more than 200 ranges")]
    TooManyRanges,
    /// Offsets or page counts exceed their type.
    #[error("the descriptor's offsets or page counts overflow")]
    Overflow,
}

/// Writes `value` at the start of `buffer` and returns what is left of it.
fn put<'a, T: IntoBytes + Immutable>(
    buffer: &'a mut [u8],
    value: &T,
) -> Result<&'a mut [u8], DescriptorError> {
    let (place, rest) = buffer.split_at_mut_checked(size_of::<T>()).ok_or(DescriptorError::BufferTooSmall)?;
    place.copy_from_slice(value.as_bytes());
    Ok(rest)
}

/// Returns the bytes of `bytes` from `offset` on.
fn from_offset(bytes: &[u8], offset: usize) -> Result<&[u8], DescriptorError> {
    bytes.get(offset..).ok_or(DescriptorError::Truncated)
}

/// Returns a header for one borrower, its endpoint descriptor right behind it.
fn header(sender: u16, attributes: u16, flags: u32, handle: u64) -> Header {
    Header {
        sender: sender.into(),
        attributes: attributes.into(),
        flags: flags.into(),
        handle: handle.into(),
        tag: U64::ZERO,
        endpoint_size: U32::new(size_of::<Endpoint>() as u32),
        endpoint_count: U32::new(1),
        endpoint_offset: U32::new(size_of::<Header>() as u32),
        reserved: [0; 12],
    }
}

/// Returns an endpoint descriptor.
fn endpoint(receiver: u16, permissions: u8, composite_offset: u32) -> Endpoint {
    Endpoint {
        start: EndpointStart {
            receiver: receiver.into(),
            permissions,
            flags: 0,
            composite_offset: composite_offset.into(),
        },
        implementation_defined: [0; 16],
        reserved: [0; 8],
    }
}

/// Writes the descriptor of an FFA_MEM_SHARE with one borrower: tag 0, flags 0, read-write, instruction access left open, normal
/// write-back inner shareable memory. Returns its length in bytes.
///
/// # Errors
/// [`DescriptorError::Malformed`] for no range, an empty one or one that is not page aligned; [`DescriptorError::TooManyRanges`];
/// [`DescriptorError::Overflow`] if the pages do not fit 32 bits; [`DescriptorError::BufferTooSmall`].
pub fn write_share(
    buffer: &mut [u8],
    sender: u16,
    receiver: u16,
    constituents: &[Constituent],
) -> Result<usize, DescriptorError> {
    write_transaction(buffer, ATTRIBUTES_NORMAL, sender, receiver, constituents)
}

/// Writes the descriptor of an FFA_MEM_LEND with one borrower: as [`write_share`], but with the memory attributes left to the
/// borrower, which a lender has to do. Returns its length in bytes.
///
/// # Errors
/// As [`write_share`].
pub fn write_lend(
    buffer: &mut [u8],
    sender: u16,
    receiver: u16,
    constituents: &[Constituent],
) -> Result<usize, DescriptorError> {
    write_transaction(buffer, 0, sender, receiver, constituents)
}

/// Writes the descriptor of a transaction that makes memory known to the SPMC.
fn write_transaction(
    buffer: &mut [u8],
    attributes: u16,
    sender: u16,
    receiver: u16,
    constituents: &[Constituent],
) -> Result<usize, DescriptorError> {
    if constituents.len() > MAX_RANGES {
        return Err(DescriptorError::TooManyRanges);
    }
    if constituents.is_empty() {
        return Err(DescriptorError::Malformed);
    }
    let mut total_pages = 0u32;
    for range in constituents {
        if range.page_count == 0 || !range.address.is_multiple_of(FFA_PAGE_SIZE) {
            return Err(DescriptorError::Malformed);
        }
        total_pages = total_pages.checked_add(range.page_count).ok_or(DescriptorError::Overflow)?;
    }
    let length = buffer.len();
    let composite_offset = (size_of::<Header>() + size_of::<Endpoint>()) as u32;
    let rest = put(buffer, &header(sender, attributes, 0, 0))?;
    let rest = put(rest, &endpoint(receiver, DATA_READ_WRITE, composite_offset))?;
    let mut rest = put(
        rest,
        &Composite {
            total_pages: total_pages.into(),
            // At most MAX_RANGES.
            range_count: U32::new(constituents.len() as u32),
            reserved: [0; 8],
        },
    )?;
    for range in constituents {
        rest = put(
            rest,
            &RawConstituent {
                address: range.address.into(),
                page_count: range.page_count.into(),
                reserved: [0; 4],
            },
        )?;
    }
    Ok(length.saturating_sub(rest.len()))
}

/// What a borrower says to retrieve memory (FFA_MEM_RETRIEVE_REQ), and has to say right: the SPMC compares it with the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrieveRequest {
    /// The handle that the owner got from the SPMC.
    pub handle: u64,
    /// The owner's endpoint id.
    pub sender: u16,
    /// The borrower's endpoint id.
    pub receiver: u16,
    /// The tag that the owner has given.
    pub tag: u64,
    /// The memory was lent rather than shared.
    pub lent: bool,
    /// The borrower writes, too.
    pub writable: bool,
}

impl RetrieveRequest {
    /// Writes the descriptor and returns its length in bytes, which the request has to give exactly. The memory type is left to the
    /// SPMC; no composite descriptor; read-only, which every share grants, unless it is to be writable; lent memory not executable.
    ///
    /// # Errors
    /// [`DescriptorError::BufferTooSmall`].
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, DescriptorError> {
        let data = if self.writable { DATA_READ_WRITE } else { DATA_READ_ONLY };
        let (flags, permissions) =
            if self.lent { (TYPE_LEND, data | NOT_EXECUTABLE) } else { (TYPE_SHARE, data) };
        let length = buffer.len();
        let header = Header { tag: self.tag.into(), ..header(self.sender, 0, flags, self.handle) };
        let rest = put(buffer, &header)?;
        let rest = put(rest, &endpoint(self.receiver, permissions, 0))?;
        Ok(length.saturating_sub(rest.len()))
    }
}

/// What the SPMC tells a borrower (FFA_MEM_RETRIEVE_RESP). Every offset and count was checked against the bytes; the addresses
/// were not looked at.
#[derive(Clone, Copy)]
pub struct RetrieveResponse<'a> {
    /// The handle.
    pub handle: u64,
    /// The owner's endpoint id.
    pub sender: u16,
    /// The borrower's endpoint id.
    pub receiver: u16,
    /// Memory attributes; see [`ATTRIBUTE_NON_SECURE`].
    pub attributes: u16,
    /// Data (bits 1:0) and instruction (bits 3:2) access.
    pub permissions: u8,
    /// Flags of the transaction.
    pub flags: u32,
    total_pages: u32,
    ranges: &'a [RawConstituent],
}

impl<'a> RetrieveResponse<'a> {
    /// Reads the descriptor at the start of `bytes`, a private copy of the RX buffer.
    ///
    /// # Errors
    /// [`DescriptorError::Truncated`] if a part lies outside `bytes`; [`DescriptorError::Malformed`] for another number of
    /// borrowers than one, impossible sizes or offsets, no range, an empty range, or ranges that do not add up to the total;
    /// [`DescriptorError::TooManyRanges`]; [`DescriptorError::Overflow`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DescriptorError> {
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| DescriptorError::Truncated)?;
        let endpoint_size = header.endpoint_size.get() as usize;
        let endpoint_offset = header.endpoint_offset.get() as usize;
        if header.endpoint_count.get() != 1
            || endpoint_size < ENDPOINT_DESCRIPTOR_STEP
            || !endpoint_size.is_multiple_of(ENDPOINT_DESCRIPTOR_STEP)
            || endpoint_offset < size_of::<Header>()
            || !endpoint_offset.is_multiple_of(ENDPOINT_DESCRIPTOR_STEP)
        {
            return Err(DescriptorError::Malformed);
        }
        let endpoint_end = endpoint_offset.checked_add(endpoint_size).ok_or(DescriptorError::Overflow)?;
        let endpoint_bytes = bytes.get(endpoint_offset..endpoint_end).ok_or(DescriptorError::Truncated)?;
        let (endpoint, _) =
            EndpointStart::read_from_prefix(endpoint_bytes).map_err(|_| DescriptorError::Truncated)?;
        let composite_offset = endpoint.composite_offset.get() as usize;
        if composite_offset < endpoint_end || !composite_offset.is_multiple_of(COMPOSITE_ALIGNMENT) {
            return Err(DescriptorError::Malformed);
        }
        let (composite, rest) = Composite::read_from_prefix(from_offset(bytes, composite_offset)?)
            .map_err(|_| DescriptorError::Truncated)?;
        let range_count = composite.range_count.get() as usize;
        if range_count == 0 {
            return Err(DescriptorError::Malformed);
        }
        if range_count > MAX_RANGES {
            return Err(DescriptorError::TooManyRanges);
        }
        let (ranges, _) = <[RawConstituent]>::ref_from_prefix_with_elems(rest, range_count)
            .map_err(|_| DescriptorError::Truncated)?;
        let mut pages = 0u32;
        for range in ranges {
            if range.page_count.get() == 0 {
                return Err(DescriptorError::Malformed);
            }
            pages = pages.checked_add(range.page_count.get()).ok_or(DescriptorError::Overflow)?;
        }
        if pages != composite.total_pages.get() {
            return Err(DescriptorError::Malformed);
        }
        Ok(Self {
            handle: header.handle.get(),
            sender: header.sender.get(),
            receiver: endpoint.receiver.get(),
            attributes: header.attributes.get(),
            permissions: endpoint.permissions,
            flags: header.flags.get(),
            total_pages: pages,
            ranges,
        })
    }

    /// Tells whether the borrower may write.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.permissions & DATA_ACCESS == DATA_READ_WRITE
    }

    /// Returns the number of ranges: 1 to [`MAX_RANGES`].
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Returns the length of all ranges, pages.
    #[must_use]
    pub fn total_pages(&self) -> u32 {
        self.total_pages
    }

    /// Returns the ranges, in the order of the share. Their addresses may be anything.
    pub fn ranges(&self) -> impl Iterator<Item = Constituent> + '_ {
        self.ranges
            .iter()
            .map(|range| Constituent { address: range.address.get(), page_count: range.page_count.get() })
    }
}

/// Writes the descriptor of an FFA_MEM_RELINQUISH by one endpoint, flags 0. Returns its length in bytes.
///
/// # Errors
/// [`DescriptorError::BufferTooSmall`].
pub fn write_relinquish(buffer: &mut [u8], handle: u64, endpoint: u16) -> Result<usize, DescriptorError> {
    let length = buffer.len();
    let rest = put(
        buffer,
        &Relinquish {
            handle: handle.into(),
            flags: U32::ZERO,
            endpoint_count: U32::new(1),
            endpoint: endpoint.into(),
        },
    )?;
    Ok(length.saturating_sub(rest.len()))
}

#[cfg(test)]
mod tests;
