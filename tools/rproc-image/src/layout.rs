//! A container taken apart for people to look at. Nothing in it is verified, and nothing is taken for more than it is: only
//! `check`, which is the partition's own reader, says whether a file is good.
use crate::sections;
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
/// Bytes of zero fill that are laid out at most, beside twice the file's size: whatever a file says of its segments, showing it
/// takes no more.
const MOST_ZEROS: usize = 64 << 20;

/// What may still be spent on what a file says of itself.
struct Budget {
    /// Bytes to hash: segments of an honest file don't share bytes, so all of them together are no more than the file.
    hashed: usize,
    /// Bytes of memory to lay out.
    shown: usize,
}

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
    /// The initialization vector, if it is encrypted.
    vector: Option<[u8; 16]>,
    /// Where its image ends in the file.
    image_end: usize,
    /// What its memory holds once loaded: zero fill included, decrypted if there was a key. Nothing if the file does not have
    /// the bytes, or they are encrypted and there is no key.
    pub loaded: Option<Vec<u8>>,
    /// Whether the file's bytes have the signed hash; nothing if that was not looked at.
    pub hash_matches: Option<bool>,
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
    /// SHA-256 over header and TLV area with its pad; zeros in an outline.
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
    /// Takes a container apart whose header has passed the reader, with its segments' contents. Hashes each byte of the file
    /// once at most.
    pub fn read(bytes: &[u8], key: Option<&[u8]>) -> Option<Self> {
        let mut layout = Self::outline(bytes)?;
        layout.signed_digest = Sha256::digest(bytes.get(..layout.signature_offset)?).into();
        let shown = bytes.len().saturating_mul(2).saturating_add(MOST_ZEROS);
        layout.read_contents(bytes, key, Budget { hashed: bytes.len(), shown });
        Some(layout)
    }

    /// Takes a container apart without looking into its segments: hashes nothing.
    pub fn outline(bytes: &[u8]) -> Option<Self> {
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
        let mut layout = Self {
            header,
            signature_offset,
            images_offset,
            signed_digest: [0; 32],
            tlvs: Vec::new(),
            images: Vec::new(),
            segments: Vec::new(),
            resource_table: None,
            notes: Vec::new(),
        };
        layout.read_tlvs(area);
        layout.read_images(bytes);
        layout.read_segments(bytes);
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

    fn read_segments(&mut self, bytes: &[u8]) {
        let (kind, entry_size) = if self.is_encrypted() { (ENCRYPTION_TABLE, 80) } else { (HASH_TABLE, 64) };
        let table = self.value(kind).unwrap_or_default().to_vec();
        let mut entries = table.chunks_exact(entry_size);
        let images = self.images.clone();
        for (image, (start, size)) in images.iter().enumerate() {
            let elf = &bytes[*start..*start + *size];
            // e_phnum stands elsewhere in a 64-bit file.
            let count = half(elf, if elf.get(4) == Some(&2) { 56 } else { 44 }).unwrap_or(0);
            let is_last = image + 1 == images.len();
            let count = if is_last { entries.len() } else { usize::from(count) };
            for entry in entries.by_ref().take(count) {
                if word(entry, 0) == Some(PT_LOAD) {
                    self.segments.extend(segment((image, *start..*start + *size), entry));
                }
            }
        }
    }

    /// Hashes and lays out the segments, as far as the budget goes.
    fn read_contents(&mut self, bytes: &[u8], key: Option<&[u8]>, mut budget: Budget) {
        for segment in &mut self.segments {
            let (image, address) = (segment.image, segment.device_address);
            segment.look_into(bytes, key, &mut budget);
            let what = match segment.hash_matches {
                Some(true) => continue,
                Some(false) => "do not have the signed hash",
                None => "were not looked at: the segments together have more bytes than the file",
            };
            self.notes.push(format!("image {image}: the bytes of the segment at {address:#010x} {what}"));
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
            let Ok(section) = sections::resource_table(&bytes[*start..*start + *size]) else {
                self.notes.push(format!("image {image} is no ELF file that can be read"));
                continue;
            };
            let place = section.and_then(|(address, size)| {
                let (device_address, size) = (address.try_into().ok()?, size.try_into().ok()?);
                Some(TablePlace { image: Some(image), device_address, size, signed: false })
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

/// Reads one entry of the signed table. `place`: its image's place in the file.
fn segment((image, place): (usize, Range<usize>), entry: &[u8]) -> Option<Segment> {
    let at = |index: usize| word(entry, index * 4);
    Some(Segment {
        image,
        offset: place.start.checked_add(at(1)? as usize)?,
        device_address: at(3)?,
        file_size: at(4)?,
        memory_size: at(5)?,
        flags: at(6)?,
        digest: *entry.get(32..)?.first_chunk()?,
        vector: entry.get(64..).and_then(|vector| vector.first_chunk()).copied(),
        image_end: place.end,
        loaded: None,
        hash_matches: None,
    })
}

impl Segment {
    /// Hashes the segment's bytes, and lays its memory out.
    fn look_into(&mut self, bytes: &[u8], key: Option<&[u8]>, budget: &mut Budget) {
        let (file_size, memory_size) = (self.file_size as usize, self.memory_size as usize);
        let end = self.offset.checked_add(file_size).filter(|end| *end <= self.image_end);
        // An empty segment's offset means nothing.
        let stored =
            if file_size == 0 { Some(&[][..]) } else { end.and_then(|end| bytes.get(self.offset..end)) };
        let Some(stored) = stored else {
            self.hash_matches = Some(false);
            return;
        };
        let Some(rest) = budget.hashed.checked_sub(file_size) else { return };
        budget.hashed = rest;
        self.hash_matches = Some(Sha256::digest(stored)[..] == self.digest);
        let Some(rest) = budget.shown.checked_sub(memory_size).filter(|_| memory_size >= file_size) else {
            return;
        };
        let mut memory = stored.to_vec();
        if let Some(vector) = &self.vector {
            let decryption = key.and_then(|key| Software.decryption(&CipherKey::Bytes(key)));
            if !decryption.is_some_and(|mut decryption| decryption.decrypt(vector, &mut memory)) {
                return;
            }
        }
        memory.resize(memory_size, 0);
        budget.shown = rest;
        self.loaded = Some(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container of `count` segments that all are the same `size` bytes.
    fn same_bytes(count: usize, size: usize) -> Vec<u8> {
        let entry: Vec<u8> =
            [PT_LOAD, 0, 0, 0, size as u32, size as u32, 4, 4].map(u32::to_le_bytes).concat();
        let entry = [entry, vec![0; 32]].concat();
        let tlvs = [(0x05, (size as u32).to_le_bytes().to_vec()), (HASH_TABLE, entry.repeat(count))];
        remoteproc_image::write::RawContainer::new(&tlvs, vec![0; size]).with_signature(&[1; 64]).unwrap()
    }

    #[test]
    fn no_more_bytes_are_hashed_than_the_file_has() {
        let size = 1 << 20;
        let layout = Layout::read(&same_bytes(200, size), None).unwrap();
        assert_eq!(layout.segments.len(), 200);
        let hashed = layout.segments.iter().filter(|segment| segment.hash_matches.is_some()).count();
        assert_eq!(hashed, 1, "the second time would exceed the file");
        let shown: usize =
            layout.segments.iter().filter_map(|segment| Some(segment.loaded.as_ref()?.len())).sum();
        assert!(shown <= size);
        assert!(layout.notes.iter().any(|note| note.contains("more bytes than the file")));
    }

    #[test]
    fn an_outline_hashes_nothing() {
        let layout = Layout::outline(&same_bytes(3, 64)).unwrap();
        assert_eq!(layout.segments.len(), 3);
        assert!(
            layout.segments.iter().all(|segment| segment.hash_matches.is_none() && segment.loaded.is_none())
        );
        assert_eq!(layout.signed_digest, [0; 32]);
    }
}
