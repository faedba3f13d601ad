//! The partition package: header, manifest, image, as TF-A's sptool lays them out.
use crate::memory_map::{PAGE_SIZE, Range};

/// Bytes of the header.
pub const HEADER_SIZE: usize = 24;
/// "SPKG", little endian.
const MAGIC: u32 = 0x474b_5053;
/// The package version that has page-aligned offsets.
const VERSION: u32 = 2;
/// The manifest lies here in every package of this project.
const MANIFEST_OFFSET: u32 = 0x1000;
/// The image lies here.
const IMAGE_OFFSET: u32 = 0x4000;

/// A checked package header. Offsets and sizes in bytes from the start of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// Offset of the manifest (a flattened device tree).
    pub manifest_offset: u64,
    /// Bytes of the manifest.
    pub manifest_size: u64,
    /// Offset of the raw image.
    pub image_offset: u64,
    /// Bytes of the raw image.
    pub image_size: u64,
}

impl Package {
    /// Checks a header against the room there is for the whole package.
    pub fn decode(header: &[u8; HEADER_SIZE], room: u64) -> Result<Self, &'static str> {
        let word = |index: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&header[index * 4..index * 4 + 4]);
            u32::from_le_bytes(bytes)
        };
        if word(0) != MAGIC {
            return Err("no partition package (wrong magic)");
        }
        if word(1) != VERSION {
            return Err("package version is not 2");
        }
        let (manifest_offset, manifest_size, image_offset, image_size) = (word(2), word(3), word(4), word(5));
        if manifest_offset != MANIFEST_OFFSET || image_offset != IMAGE_OFFSET {
            return Err("package offsets are not 0x1000 and 0x4000");
        }
        if manifest_size == 0 || manifest_size > IMAGE_OFFSET - MANIFEST_OFFSET {
            return Err("manifest is empty or reaches into the image");
        }
        if image_size == 0 || u64::from(image_offset) + u64::from(image_size) > room {
            return Err("image is empty or larger than the partition's memory");
        }
        Ok(Self {
            manifest_offset: manifest_offset.into(),
            manifest_size: manifest_size.into(),
            image_offset: image_offset.into(),
            image_size: image_size.into(),
        })
    }

    /// Bytes of the whole package.
    pub const fn size(&self) -> u64 {
        self.image_offset + self.image_size
    }

    /// Checks that the package fits at `load_address` inside `memory`.
    pub fn fits(&self, load_address: u64, memory: &Range) -> Result<(), &'static str> {
        if !load_address.is_multiple_of(PAGE_SIZE) {
            return Err("load-address is not page aligned");
        }
        match Range::new(load_address, self.size()) {
            Some(range) if memory.contains(&range) => Ok(()),
            _ => Err("package does not fit into the partition's memory at load-address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(words: [u32; 6]) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        for (index, word) in words.into_iter().enumerate() {
            bytes[index * 4..index * 4 + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    const GOOD: [u32; 6] = [MAGIC, 2, 0x1000, 0x500, 0x4000, 0x2000];

    #[test]
    fn a_good_header() {
        let package = Package::decode(&header(GOOD), 0x6000).unwrap();
        assert_eq!(package.size(), 0x6000);
        assert!(package.fits(0x0e30_0000, &crate::memory_map::PARTITION).is_ok());
        assert!(package.fits(0x0e30_0800, &crate::memory_map::PARTITION).is_err());
        assert!(package.fits(0x0e3f_b000, &crate::memory_map::PARTITION).is_err());
        assert!(package.fits(0xffff_ffff_ffff_f000, &crate::memory_map::PARTITION).is_err());
    }

    #[test]
    fn each_wrong_word_is_refused() {
        for (index, value) in [
            (0, 0),
            (1, 1),
            (2, 0x2000),
            (3, 0),
            (3, 0x3001),
            (4, 0x5000),
            (5, 0),
            (5, 0x2001),
            (5, u32::MAX),
        ] {
            let mut words = GOOD;
            words[index] = value;
            assert!(Package::decode(&header(words), 0x6000).is_err(), "word {index} = {value:#x}");
        }
    }
}
