//! A container taken apart for people to look at. Nothing in it is verified, and nothing is taken for more than it is: only
//! `check`, which is the partition's own reader, says whether a file is good.
use object::{Object, ObjectSection};
use remoteproc_image::provider::{BlockDecryption, CipherKey, Provider};
use remoteproc_image::software::Software;
use sha2::{Digest, Sha256};
use std::ops::Range;

const HEADER_SIZE: usize = 20;
const HASH_TABLE: u32 = 0x10;
const ENCRYPTION_TABLE: u32 = 0x12;
/// Own TLV: place and hash of the resource table.
const RESOURCE_TABLE: u32 = 0x8003;
const PT_LOAD: u32 = 1;
/// Bytes of memory that are laid out at most: whatever a file says of its segments, showing it takes no more.
const MAX_SHOWN: usize = 256 << 20;

/// Reads a little-endian word.
pub fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

/// The header's numbers.
#[derive(Debug)]
pub struct Header {
    /// First word.
    pub magic: u32,
    /// Version.
    pub version: u32,
    /// Bytes of TLVs.
    pub tlv_length: u32,
    /// Bytes of the signature.
    pub signature_length: u32,
    /// Bytes of the images.
    pub image_length: u32,
}

/// One TLV.
#[derive(Debug)]
pub struct Tlv {
    /// Type.
    pub kind: u32,
    /// Offset of the type word in the file.
    pub offset: usize,
    /// Value.
    pub value: Vec<u8>,
}

/// One PT_LOAD of the signed table.
#[derive(Debug)]
pub struct Segment {
    /// Index of its image.
    pub image: usize,
    /// Offset of its bytes in the file.
    pub offset: usize,
    /// Device address.
    pub device_address: u32,
    /// Bytes in the file.
    pub file_size: u32,
    /// Bytes in memory.
    pub memory_size: u32,
    /// ELF p_flags.
    pub flags: u32,
    /// The signed hash of its file bytes.
    pub digest: [u8; 32],
    /// What its memory holds once loaded: zero fill included, decrypted if there was a key. Nothing if the file does not have
    /// the bytes, or they are encrypted and there is no key.
    pub loaded: Option<Vec<u8>>,
    /// The file's bytes have the signed hash.
    pub hash_matches: bool,
}

/// Where the resource table is.
#[derive(Debug)]
pub struct TablePlace {
    /// Index of its image, if a section header names it.
    pub image: Option<usize>,
    /// Device address.
    pub device_address: u32,
    /// Bytes.
    pub size: u32,
    /// A signed TLV says so, not only a section header.
    pub signed: bool,
}

/// A container.
#[derive(Debug)]
pub struct Layout {
    /// The header.
    pub header: Header,
    /// Offset of the signature.
    pub signature_offset: usize,
    /// Offset of the images.
    pub images_offset: usize,
    /// SHA-256 over header and TLV area with its pad.
    pub signed_digest: [u8; 32],
    /// The TLVs, up to the first that does not fit.
    pub tlvs: Vec<Tlv>,
    /// Offset and size of each image.
    pub images: Vec<(usize, usize)>,
    /// What would be loaded.
    pub segments: Vec<Segment>,
    /// The resource table, if there is one.
    pub resource_table: Option<TablePlace>,
    /// What is odd.
    pub notes: Vec<String>,
}

impl Layout {
    /// Takes a container apart whose header has passed the reader.
    pub fn read(bytes: &[u8], key: Option<&[u8]>) -> Option<Self> {
        let header = Header {
            magic: word(bytes, 0)?,
            version: word(bytes, 4)?,
            tlv_length: word(bytes, 8)?,
            signature_length: word(bytes, 12)?,
            image_length: word(bytes, 16)?,
        };
        let padded = |length: u32| usize::try_from(length).ok()?.checked_next_multiple_of(8);
        let signature_offset = padded(header.tlv_length)?.checked_add(HEADER_SIZE)?;
        let images_offset = signature_offset.checked_add(padded(header.signature_length)?)?;
        let area = bytes.get(..HEADER_SIZE.checked_add(header.tlv_length as usize)?)?;
        let signed_digest = Sha256::digest(bytes.get(..signature_offset)?).into();
        let mut layout = Self {
            header,
            signature_offset,
            images_offset,
            signed_digest,
            tlvs: Vec::new(),
            images: Vec::new(),
            segments: Vec::new(),
            resource_table: None,
            notes: Vec::new(),
        };
        layout.read_tlvs(area);
        layout.read_images(bytes);
        layout.read_segments(bytes, key);
        layout.find_resource_table(bytes);
        Some(layout)
    }

    /// The value of the first TLV of a type.
    pub fn value(&self, kind: u32) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| tlv.value.as_slice())
    }

    /// The images are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.value(ENCRYPTION_TABLE).is_some()
    }

    fn read_tlvs(&mut self, area: &[u8]) {
        let mut offset = HEADER_SIZE;
        while offset < area.len() {
            let value = word(area, offset).zip(word(area, offset + 4)).and_then(|(kind, length)| {
                let start = offset + 8;
                Some((kind, length, area.get(start..start.checked_add(length as usize)?)?))
            });
            let Some((kind, length, value)) = value else {
                self.notes.push(format!("the TLV at offset {offset} does not fit the TLV area"));
                return;
            };
            self.tlvs.push(Tlv { kind, offset, value: value.to_vec() });
            offset += 8 + (length as usize).next_multiple_of(8);
        }
    }

    fn read_images(&mut self, bytes: &[u8]) {
        let sizes = self.value(0x05).unwrap_or_default();
        let mut offset = self.images_offset;
        let mut images = Vec::new();
        for size in sizes.chunks_exact(4) {
            let size = word(size, 0).unwrap_or_default() as usize;
            if offset.checked_add(size).is_none_or(|end| end > bytes.len()) {
                self.notes.push(format!("image {} exceeds the file", images.len()));
                break;
            }
            images.push((offset, size));
            offset += size;
        }
        self.images = images;
    }

    fn read_segments(&mut self, bytes: &[u8], key: Option<&[u8]>) {
        let (kind, entry_size) = if self.is_encrypted() { (ENCRYPTION_TABLE, 80) } else { (HASH_TABLE, 64) };
        let table = self.value(kind).unwrap_or_default().to_vec();
        let mut entries = table.chunks_exact(entry_size);
        let images = self.images.clone();
        let mut budget = MAX_SHOWN;
        for (image, (start, size)) in images.iter().enumerate() {
            let elf = &bytes[*start..*start + *size];
            // e_phnum stands elsewhere in a 64-bit file.
            let count = half(elf, if elf.get(4) == Some(&2) { 56 } else { 44 }).unwrap_or(0);
            let is_last = image + 1 == images.len();
            let count = if is_last { entries.len() } else { usize::from(count) };
            for entry in entries.by_ref().take(count) {
                if word(entry, 0) == Some(PT_LOAD)
                    && let Some(segment) = segment(bytes, (image, *start..*start + *size), entry, key, budget)
                {
                    if !segment.hash_matches {
                        let (image, address) = (segment.image, segment.device_address);
                        self.notes.push(format!(
                            "image {image}: the bytes of the segment at {address:#010x} do not have the signed hash"
                        ));
                    }
                    budget -= segment.loaded.as_ref().map_or(0, Vec::len);
                    self.segments.push(segment);
                }
            }
        }
    }

    fn find_resource_table(&mut self, bytes: &[u8]) {
        if let Some(value) = self.value(RESOURCE_TABLE)
            && let (Some(device_address), Some(size)) = (word(value, 0), word(value, 4))
        {
            let place = TablePlace { image: None, device_address, size, signed: true };
            self.resource_table = (size != 0).then_some(place);
            return;
        }
        let mut places = Vec::new();
        for (image, (start, size)) in self.images.iter().enumerate() {
            let Ok(file) = object::File::parse(&bytes[*start..*start + *size]) else {
                self.notes.push(format!("image {image} is no ELF file that can be read"));
                continue;
            };
            let section = file.section_by_name(".resource_table").filter(|section| section.size() > 0);
            let place = section.and_then(|section| {
                Some(TablePlace {
                    image: Some(image),
                    device_address: section.address().try_into().ok()?,
                    size: section.size().try_into().ok()?,
                    signed: false,
                })
            });
            places.extend(place);
        }
        if places.len() > 1 {
            self.notes.push("more than one image has a resource table".into());
        }
        self.resource_table = places.into_iter().next();
    }

    /// The resource table's bytes once loaded.
    pub fn resource_table_bytes(&self) -> Option<&[u8]> {
        let place = self.resource_table.as_ref()?;
        self.segments.iter().find_map(|segment| {
            let inside = place.device_address.checked_sub(segment.device_address)? as usize;
            segment.loaded.as_ref()?.get(inside..inside.checked_add(place.size as usize)?)
        })
    }
}

/// Reads one entry of the signed table. `image`: its index and its place in the file; `budget`: bytes of memory that may be
/// laid out.
fn segment(
    bytes: &[u8],
    (image, place): (usize, Range<usize>),
    entry: &[u8],
    key: Option<&[u8]>,
    budget: usize,
) -> Option<Segment> {
    let at = |index: usize| word(entry, index * 4);
    let (offset, file_size, memory_size) = (at(1)? as usize, at(4)?, at(5)?);
    let digest: [u8; 32] = *entry.get(32..)?.first_chunk()?;
    let vector: Option<[u8; 16]> = entry.get(64..).and_then(|vector| vector.first_chunk()).copied();
    let elf = bytes.get(place.clone())?;
    let end = offset.checked_add(file_size as usize)?;
    // An empty segment's offset means nothing.
    let stored = if file_size == 0 { Some(&[][..]) } else { elf.get(offset..end) };
    let hash_matches = stored.is_some_and(|stored| Sha256::digest(stored)[..] == digest);
    let loaded = stored.and_then(|stored| {
        if memory_size as usize > budget || memory_size < file_size {
            return None;
        }
        let mut memory = stored.to_vec();
        if let Some(vector) = vector {
            let decrypted = Software.decryption(&CipherKey::Bytes(key?))?.decrypt(&vector, &mut memory);
            decrypted.then_some(())?;
        }
        memory.resize(memory_size as usize, 0);
        Some(memory)
    });
    Some(Segment {
        image,
        offset: place.start.checked_add(offset)?,
        device_address: at(3)?,
        file_size,
        memory_size,
        flags: at(6)?,
        digest,
        loaded,
        hash_matches,
    })
}
