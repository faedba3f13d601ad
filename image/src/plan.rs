//! From the signed TLVs and the target alone: which bytes go where, and how the processor boots. All rules about segments.
//!
//! The file's own program headers have no say here. They only tell, later, which image an entry of the signed table belongs
//! to, and must be the same bytes.
use crate::container::{Tlv, first};
use crate::format::{
    self, BLOCK_SIZE, ELF_HEADER_SIZE, ENCRYPTED_ENTRY_SIZE, PF_X, PT_LOAD, ProgramHeader, TABLE_ENTRY_SIZE,
    TableEntry,
};
use crate::metadata::Metadata;
use crate::own::{self, OwnTlvs, SignedTable};
use crate::rejection::Rejection;
use crate::target::{Access, BootSecurity, Target};
use core::ops::Range;
use heapless::Vec;
use remoteproc_refusal::Refusal;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

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

    /// NUM_IMG, IMGTYPE and IMGSIZE.
    fn plan_images(&mut self, metadata: &Metadata) -> Result<(), Rejection> {
        let tlvs = metadata.tlvs();
        let count = present(first(&tlvs, format::TLV_IMAGE_COUNT), Refusal::ImageCountMissing)?;
        let [images] = *count.value else {
            return Err(Rejection::at(Refusal::ImageCountMalformed, count.offset));
        };
        let images = usize::from(images);
        if images == 0 {
            return Err(Rejection::at(Refusal::ImageCountMissing, count.value_offset()));
        }
        if images > MAX_IMAGES {
            return Err(Rejection::at(Refusal::TooManyImages, count.value_offset()));
        }
        let types = present(first(&tlvs, format::TLV_IMAGE_TYPE), Refusal::ImageTypeMissing)?;
        if types.value.len() != images {
            return Err(Rejection::at(Refusal::ImageTypeMalformed, types.offset));
        }
        let known = [format::IMAGE_ELF, format::IMAGE_ENCRYPTED_ELF];
        if types.value.iter().any(|kind| !known.contains(kind)) {
            return Err(Rejection::at(Refusal::ImageTypeUnknown, types.value_offset()));
        }
        if types.value.iter().any(|kind| (*kind == format::IMAGE_ENCRYPTED_ELF) != self.encrypted) {
            return Err(Rejection::at(Refusal::EncryptionMixed, types.value_offset()));
        }
        let sizes = present(first(&tlvs, format::TLV_IMAGE_SIZE), Refusal::ImageSizeMissing)?;
        let malformed = Rejection::at(Refusal::ImageSizeMalformed, sizes.offset);
        let words = <[U32]>::ref_from_bytes(sizes.value).map_err(|_| malformed)?;
        if words.len() != images || words.iter().any(|size| size.get() & 7 != 0) {
            return Err(malformed);
        }
        let sum = words.iter().fold(0u64, |sum, size| sum.saturating_add(size.get().into()));
        if metadata.header().is_none_or(|header| u64::from(header.image_length) != sum) {
            return Err(Rejection::at(Refusal::ImageSizesMismatch, sizes.value_offset()));
        }
        for size in words {
            if u64::from(size.get()) < ELF_HEADER_SIZE as u64 {
                return Err(Rejection::at(Refusal::ElfMalformed, sizes.value_offset()));
            }
            self.image_sizes.push(size.get()).map_err(|_| malformed)?;
        }
        Ok(())
    }

    /// Finds HASHTABLE or ENCTABLE and remembers where it is.
    fn find_table(&mut self, metadata: &Metadata) -> Result<(), Rejection> {
        let tlvs = metadata.tlvs();
        let hashes = first(&tlvs, format::TLV_HASH_TABLE);
        let encrypted = first(&tlvs, format::TLV_ENCRYPTION_TABLE);
        let (own, other, missing, malformed) = if self.encrypted {
            (encrypted, hashes, Refusal::EncryptionTableMissing, Refusal::EncryptionTableMalformed)
        } else {
            (hashes, encrypted, Refusal::HashTableMissing, Refusal::HashTableMalformed)
        };
        if let Some(other) = other {
            return Err(Rejection::at(Refusal::EncryptionMixed, other.offset));
        }
        let table = present(own, missing)?;
        let entry_size = self.entry_size();
        if !table.value.len().is_multiple_of(entry_size) {
            return Err(Rejection::at(malformed, table.offset));
        }
        let count = table.value.len().checked_div(entry_size).unwrap_or_default();
        if count > MAX_PROGRAM_HEADERS {
            return Err(Rejection::at(Refusal::TooManySegments, table.offset));
        }
        self.table_offset = table.value_offset();
        self.table_count = count;
        Ok(())
    }

    /// An ENCTABLE holds PT_LOAD entries of whole blocks, and zeros that count the other program headers.
    fn check_encrypted(
        &self,
        metadata: &Metadata,
        offset: u64,
        header: &ProgramHeader,
    ) -> Result<(), Refusal> {
        let bytes = metadata.range(offset, offset.saturating_add(ENCRYPTED_ENTRY_SIZE as u64));
        if header.kind.get() != PT_LOAD && bytes.iter().any(|byte| *byte != 0) {
            return Err(Refusal::EncryptionTableMalformed);
        }
        if !header.file_size.get().is_multiple_of(BLOCK_SIZE as u32) {
            return Err(Refusal::EncryptedSegmentSize);
        }
        Ok(())
    }

    /// The own TLVs, as far as they say whether and how the image may be loaded here.
    fn plan_own(&mut self, metadata: &Metadata, target: &Target<'_>) -> Result<(), Rejection> {
        let OwnTlvs { security_counter, target: wanted, resource_table, coredump, .. } = own::read(metadata)?;
        let fits = wanted.is_none_or(|wanted| {
            let board = wanted.board.is_empty() || wanted.board == target.board;
            wanted.processor.is_none_or(|processor| processor == target.processor) && board
        });
        let tlvs = metadata.tlvs();
        let reject = |refusal, kind| Rejection { refusal, offset: first(&tlvs, kind).map(|tlv| tlv.offset) };
        if !fits {
            return Err(reject(Refusal::TargetMismatch, format::TLV_TARGET));
        }
        self.security_counter = security_counter.unwrap_or(0);
        if self.security_counter < target.security_counter {
            return Err(reject(Refusal::CounterTooLow, format::TLV_SECURITY_COUNTER));
        }
        if self.security_counter > target.most_security_counter {
            return Err(reject(Refusal::CounterTooHigh, format::TLV_SECURITY_COUNTER));
        }
        self.signed_table = resource_table;
        self.coredump = !self.encrypted || coredump == Some(true);
        Ok(())
    }

    /// One entry of the signed table: nothing if it loads nothing, else a segment that keeps all rules.
    fn plan_segment(
        &mut self,
        header: &ProgramHeader,
        index: usize,
        target: &Target<'_>,
    ) -> Result<(), Refusal> {
        if header.kind.get() != PT_LOAD {
            return Ok(());
        }
        let (file_size, memory_size) = (header.file_size.get(), header.memory_size.get());
        if file_size > memory_size {
            return Err(Refusal::SegmentSizes);
        }
        if memory_size == 0 {
            return Ok(());
        }
        let device_address = header.physical_address.get();
        // The last byte's address has to exist; one past it need not.
        if device_address.checked_add(memory_size.saturating_sub(1)).is_none() {
            return Err(Refusal::SegmentAddressOverflow);
        }
        let (physical_address, access) = target
            .regions
            .iter()
            .find_map(|region| Some((region.translate(device_address, memory_size)?, region.access)))
            .ok_or(Refusal::SegmentOutsideRegions)?;
        if header.flags.get() & PF_X != 0 && access != Access::Private {
            return Err(Refusal::ExecutableInShared);
        }
        let end = physical_address.saturating_add(memory_size.into());
        let overlaps = |other: &Segment| {
            let other_end = other.physical_address.saturating_add(other.memory_size.into());
            physical_address < other_end && other.physical_address < end
        };
        if self.segments.iter().any(overlaps) {
            return Err(Refusal::SegmentsOverlap);
        }
        let entry = u8::try_from(index).map_err(|_| Refusal::TooManySegments)?;
        self.entries.push(entry).map_err(|_| Refusal::TooManySegments)?;
        self.segments
            .push(Segment {
                image: 0,
                container_offset: 0,
                device_address,
                physical_address,
                file_size,
                memory_size,
                flags: header.flags.get(),
            })
            .map_err(|_| Refusal::TooManySegments)
    }

    /// The boot address, and what BOOTSEC means on this target.
    fn plan_boot(
        &mut self,
        address: Option<(u32, u64)>,
        security: Option<(u32, u64)>,
        target: &Target<'_>,
    ) -> Result<(), Rejection> {
        self.asks_secure = security.is_some_and(|(value, _)| value != 0);
        if self.asks_secure && target.boot_security == BootSecurity::Refused {
            return Err(Rejection {
                refusal: Refusal::BootSecurityUnsupported,
                offset: security.map(|(_, offset)| offset),
            });
        }
        if let Some((address, offset)) = address {
            self.check_boot(address, target).map_err(|refusal| Rejection::at(refusal, offset))?;
            self.boot_address = Some(address);
        } else {
            // The manifest's address is a guess for images that name none: if it does not fit this image, the image can be
            // loaded all the same, and START has no address to go to.
            self.boot_address =
                target.default_boot_address.filter(|address| self.check_boot(*address, target).is_ok());
        }
        Ok(())
    }

    /// A boot address lies in what a segment loads from the file, in private memory, at a multiple of [`BOOT_ALIGNMENT`].
    fn check_boot(&self, address: u32, target: &Target<'_>) -> Result<(), Refusal> {
        let inside = |segment: &Segment| {
            address.checked_sub(segment.device_address).is_some_and(|at| at < segment.file_size)
        };
        if !self.segments.iter().any(inside) {
            return Err(Refusal::BootAddressOutside);
        }
        if address & BOOT_ALIGNMENT.saturating_sub(1) != 0 {
            return Err(Refusal::BootAddressMisaligned);
        }
        if target.access(address) != Some(Access::Private) {
            return Err(Refusal::BootAddressInShared);
        }
        Ok(())
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

/// What concerns the TLVs as a whole: their framing, the hash, and platform TLVs that nobody knows.
fn check_tlvs(metadata: &Metadata, target: &Target<'_>) -> Result<(), Rejection> {
    let tlvs = metadata.tlvs();
    for tlv in tlvs.clone() {
        let tlv = tlv?;
        let known = matches!(tlv.kind, format::TLV_BOOT_ADDRESS | format::TLV_BOOT_SECURITY);
        if target.strict_platform_tlvs && tlv.kind >= format::TLV_PLATFORM_FIRST && !known {
            return Err(Rejection::at(Refusal::PlatformTlvUnknown, tlv.offset));
        }
    }
    // The signer always writes HASHTYPE, OP-TEE never reads it; absent means the only hash there is.
    if let Some(hash) = first(&tlvs, format::TLV_HASH_TYPE) {
        match *hash.value {
            [format::HASH_SHA256] => {}
            [_] => return Err(Rejection::at(Refusal::HashTypeUnknown, hash.value_offset())),
            _ => return Err(Rejection::at(Refusal::HashTypeMissing, hash.offset)),
        }
    }
    Ok(())
}

/// Tells whether the image is encrypted, by a cipher that is known and with a key that the platform has.
fn is_encrypted(metadata: &Metadata, target: &Target<'_>) -> Result<bool, Rejection> {
    let Some(cipher) = first(&metadata.tlvs(), format::TLV_ENCRYPTION_TYPE) else { return Ok(false) };
    if *cipher.value != [format::ENCRYPTION_AES_CBC] {
        return Err(Rejection::at(Refusal::EncryptionTypeUnknown, cipher.offset));
    }
    if target.decryption_key.is_none() {
        return Err(Rejection::at(Refusal::NoDecryptionKey, cipher.offset));
    }
    Ok(true)
}

/// A TLV that has to be there and not to be empty.
fn present(tlv: Option<Tlv<'_>>, missing: Refusal) -> Result<Tlv<'_>, Rejection> {
    let tlv = tlv.ok_or(Rejection::whole(missing))?;
    if tlv.value.is_empty() { Err(Rejection::at(missing, tlv.offset)) } else { Ok(tlv) }
}

/// The value and value offset of a TLV that holds one 32-bit word, if there is such a TLV.
fn word(metadata: &Metadata, kind: u32, malformed: Refusal) -> Result<Option<(u32, u64)>, Rejection> {
    let Some(tlv) = first(&metadata.tlvs(), kind) else { return Ok(None) };
    let value = U32::read_from_bytes(tlv.value).map_err(|_| Rejection::at(malformed, tlv.offset))?;
    Ok(Some((value.get(), tlv.value_offset())))
}
