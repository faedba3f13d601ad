//! From the signed TLVs and the target alone: which bytes go where, and how the processor boots.
//!
//! The file's own program headers have no say here. They only tell, later, which image an entry of the signed table belongs
//! to, and must be the same bytes.
mod segments;
mod tlvs;

use crate::format::{self, BLOCK_SIZE, ENCRYPTED_ENTRY_SIZE, ProgramHeader, TABLE_ENTRY_SIZE, TableEntry};
use crate::metadata::Metadata;
use crate::own::SignedTable;
use crate::rejection::Rejection;
use crate::target::Target;
use core::ops::Range;
use heapless::Vec;
use remoteproc_refusal::Refusal;
use tlvs::{check_tlvs, is_encrypted, word};
use zerocopy::FromBytes;

/// Most images in a container.
pub const MAX_IMAGES: usize = 8;
/// Most program headers, of all images together.
pub const MAX_PROGRAM_HEADERS: usize = 128;
/// How often the bytes of an image may be loaded, on average: segments may share bytes of the file, as with its headers, but what a
/// load costs stays a small multiple of the image.
pub const MOST_LOADED: u64 = 4;
/// A vector table lies at a multiple of this (lowest bits of VTOR).
pub const BOOT_ALIGNMENT: u32 = 128;

/// One segment of the plan, for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Image index. With several images it is 0 until the image's ELF header was taken.
    pub image: u8,
    /// Offset of the first byte in the container. With several images it is 0 until the image's ELF header was taken.
    pub container_offset: u64,
    /// As the remote processor sees it.
    pub device_address: u32,
    /// As this processor sees it.
    pub physical_address: u64,
    /// Bytes in the file.
    pub file_size: u32,
    /// Bytes in memory; what the file does not give is zero.
    pub memory_size: u32,
    /// ELF p_flags.
    pub flags: u32,
}

/// The plan.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Plan {
    /// Sizes of the images in bytes, pads included, in the order of the file.
    pub image_sizes: Vec<u32, MAX_IMAGES>,
    /// Container offset of the signed table, which stays in the metadata.
    table_offset: u64,
    /// Entries of the signed table.
    table_count: usize,
    /// The segments are encrypted: the table is an ENCTABLE.
    pub encrypted: bool,
    /// Where the resource table is, if the signer says so.
    pub signed_table: Option<SignedTable>,
    /// The image's security counter.
    pub security_counter: u32,
    /// Its memory may be read for a dump.
    pub coredump: bool,
    /// What is loaded, in the order of the signed table.
    segments: Vec<Segment, MAX_PROGRAM_HEADERS>,
    /// For each segment its index in the signed table.
    entries: Vec<u8, MAX_PROGRAM_HEADERS>,
    /// The segments of the image that is taken now.
    current: Range<usize>,
    /// Device address of the vector table.
    pub boot_address: Option<u32>,
    /// The image asks for a secure boot.
    pub asks_secure: bool,
}

impl Plan {
    /// An empty plan.
    pub const fn new() -> Self {
        Self {
            image_sizes: Vec::new(),
            table_offset: 0,
            table_count: 0,
            encrypted: false,
            signed_table: None,
            security_counter: 0,
            coredump: false,
            segments: Vec::new(),
            entries: Vec::new(),
            current: 0..0,
            boot_address: None,
            asks_secure: false,
        }
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.image_sizes.clear();
        self.table_offset = 0;
        self.table_count = 0;
        self.encrypted = false;
        self.signed_table = None;
        self.security_counter = 0;
        self.coredump = false;
        self.segments.clear();
        self.entries.clear();
        self.current = 0..0;
        self.boot_address = None;
        self.asks_secure = false;
    }

    /// The segments that load or clear at least one byte.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Entries of the signed table.
    pub const fn table_count(&self) -> usize {
        self.table_count
    }

    /// Makes the plan. Only for authenticated metadata.
    pub fn make(&mut self, metadata: &Metadata, target: &Target<'_>) -> Result<(), Rejection> {
        self.reset();
        check_tlvs(metadata, target)?;
        self.encrypted = is_encrypted(metadata, target)?;
        self.plan_own(metadata, target)?;
        self.plan_images(metadata)?;
        self.find_table(metadata)?;
        let boot_address = word(metadata, format::TLV_BOOT_ADDRESS, Refusal::BootAddressMalformed)?;
        let boot_security = word(metadata, format::TLV_BOOT_SECURITY, Refusal::BootSecurityMalformed)?;
        for index in 0..self.table_count {
            let offset = self.entry_offset(index);
            let reject = |refusal| Rejection::at(refusal, offset);
            let entry = entry_at(metadata, offset).ok_or(reject(Refusal::TlvMalformed))?;
            if self.encrypted {
                self.check_encrypted(metadata, offset, &entry.program_header).map_err(reject)?;
            }
            self.plan_segment(&entry.program_header, index, target).map_err(reject)?;
        }
        if self.segments.is_empty() {
            return Err(Rejection::at(Refusal::NothingToLoad, self.table_offset));
        }
        if let [size] = *self.image_sizes.as_slice() {
            let start = metadata.header().map_or(0, |header| header.images_offset());
            self.assign(metadata, 0, 0..self.table_count, start, size)?;
        }
        self.plan_boot(boot_address, boot_security, target)
    }

    /// Says that these entries of the signed table belong to an image that starts at a container offset and has a size.
    pub fn assign(
        &mut self,
        metadata: &Metadata,
        image: u8,
        entries: Range<usize>,
        start: u64,
        size: u32,
    ) -> Result<(), Rejection> {
        // The segments stand in the order of the table, so those of an image are neighbors.
        let before =
            |limit: usize| self.entries.iter().take_while(|entry| usize::from(**entry) < limit).count();
        self.current = before(entries.start)..before(entries.end);
        let (table, entry_size) = (self.table_offset, self.entry_size());
        let indices = self.entries.get(self.current.clone()).unwrap_or_default();
        let segments = self.segments.get_mut(self.current.clone()).unwrap_or_default();
        let mut loaded = 0u64;
        for (segment, index) in segments.iter_mut().zip(indices) {
            let place = entry_offset(table, entry_size, usize::from(*index));
            let outside = Rejection::at(Refusal::SegmentOutsideImage, place);
            let entry = entry_at(metadata, place).ok_or(outside)?;
            let offset = u64::from(entry.program_header.offset.get());
            // Without file bytes the offset means nothing.
            if segment.file_size != 0 && offset.saturating_add(segment.file_size.into()) > u64::from(size) {
                return Err(outside);
            }
            loaded = loaded.saturating_add(segment.file_size.into());
            if loaded > MOST_LOADED.saturating_mul(size.into()) {
                return Err(Rejection::at(Refusal::SegmentsShareBytes, place));
            }
            segment.image = image;
            segment.container_offset = start.saturating_add(offset);
        }
        Ok(())
    }

    /// The segments of the image that is taken now.
    pub fn current_segments(&self) -> &[Segment] {
        self.segments.get(self.current.clone()).unwrap_or_default()
    }

    /// The signed program header with this index of the table.
    pub fn program_header<'a>(&self, metadata: &'a Metadata, index: usize) -> Option<&'a ProgramHeader> {
        if index >= self.table_count {
            return None;
        }
        Some(&entry_at(metadata, self.entry_offset(index))?.program_header)
    }

    /// Bytes of an entry of the signed table.
    const fn entry_size(&self) -> usize {
        if self.encrypted { ENCRYPTED_ENTRY_SIZE } else { TABLE_ENTRY_SIZE }
    }

    /// Container offset of an entry of the signed table.
    const fn entry_offset(&self, index: usize) -> u64 {
        entry_offset(self.table_offset, self.entry_size(), index)
    }

    /// The initialization vector of an encrypted segment, by its index in [`Self::segments`].
    pub fn vector(&self, metadata: &Metadata, segment: usize) -> Option<[u8; BLOCK_SIZE]> {
        let index = usize::from(*self.entries.get(segment)?);
        let offset = self.entry_offset(index).saturating_add(TABLE_ENTRY_SIZE as u64);
        let bytes = metadata.range(offset, offset.saturating_add(BLOCK_SIZE as u64));
        bytes.try_into().ok().filter(|_| self.encrypted)
    }

    /// The signed digest of a segment, by its index in [`Self::segments`].
    pub fn digest<'a>(&self, metadata: &'a Metadata, segment: usize) -> Option<&'a [u8; 32]> {
        let index = usize::from(*self.entries.get(segment)?);
        Some(&entry_at(metadata, self.entry_offset(index))?.digest)
    }
}

/// Container offset of an entry of a table.
const fn entry_offset(table_offset: u64, entry_size: usize, index: usize) -> u64 {
    table_offset.saturating_add(index.saturating_mul(entry_size) as u64)
}

/// The signed entry at a container offset.
fn entry_at(metadata: &Metadata, offset: u64) -> Option<&TableEntry> {
    let bytes = metadata.range(offset, offset.saturating_add(TABLE_ENTRY_SIZE as u64));
    TableEntry::ref_from_bytes(bytes).ok()
}
