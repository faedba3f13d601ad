//! The boot information that the SPMC hands over (DEN0077, section 5.4): where the partition's manifest is.
//!
//! arm-ffa's reader wants contents inside the blob and one exact version; here the contents are only located, and copied by
//! the caller.

/// Length of the header, bytes.
pub const HEADER_SIZE: usize = 32;
/// Longest array of descriptors that is looked at, bytes, header included.
pub const MAX_SIZE: usize = 1024;

const SIGNATURE: u32 = 0x0FFA;
const MAJOR_VERSION: u32 = 1;
/// Length of the part of a descriptor that is known here, bytes.
const DESCRIPTOR_SIZE: usize = 32;
/// Type: standard (bit 7 clear), flattened devicetree.
const TYPE_DEVICE_TREE: u8 = 0;
/// Flags, bits 3:2: how the contents field is meant; 0 = as an address.
const CONTENTS_FORMAT: u16 = 0b1100;

/// Why there is no manifest to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootInformationError {
    /// Bytes end before the structure does.
    #[error("the boot information is cut off")]
    Truncated,
    /// Another signature than 0x0FFA, or another major version than 1.
    #[error("the boot information's signature or version is unknown")]
    Unknown,
    /// Sizes, offsets or counts contradict the format.
    #[error("the boot information is malformed")]
    Malformed,
    /// More descriptors than [`MAX_SIZE`] holds.
    #[error("the boot information has too many descriptors")]
    TooLong,
    /// No descriptor names a devicetree by its address.
    #[error("the boot information names no manifest")]
    NoManifest,
}

/// Where the manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u32,
}

/// Returns how many bytes hold the header and all descriptors: at least [`HEADER_SIZE`], at most [`MAX_SIZE`].
///
/// # Errors
/// Returns what is wrong with the header.
pub fn size(header: &[u8; HEADER_SIZE]) -> Result<usize, BootInformationError> {
    let field = |offset| word(header, offset);
    if field(0)? != SIGNATURE || field(4)? >> 16 != MAJOR_VERSION {
        return Err(BootInformationError::Unknown);
    }
    let (descriptor_size, count, offset) = (field(12)?, field(16)?, field(20)?);
    if (descriptor_size as usize) < DESCRIPTOR_SIZE || (offset as usize) < HEADER_SIZE {
        return Err(BootInformationError::Malformed);
    }
    let size = descriptor_size
        .checked_mul(count)
        .and_then(|array| array.checked_add(offset))
        .ok_or(BootInformationError::Malformed)? as usize;
    if size > MAX_SIZE { Err(BootInformationError::TooLong) } else { Ok(size) }
}

/// Finds the manifest in `bytes`, a copy of the boot information of the length that [`size`] told.
///
/// # Errors
/// Returns why there is none.
pub fn manifest(bytes: &[u8]) -> Result<Manifest, BootInformationError> {
    let header = bytes.first_chunk().ok_or(BootInformationError::Truncated)?;
    let array =
        bytes.get(word(header, 20)? as usize..size(header)?).ok_or(BootInformationError::Truncated)?;
    // Not zero: checked by `size`.
    for descriptor in array.chunks_exact(word(header, 12)?.max(1) as usize) {
        let (Some(kind), Some(flags)) = (descriptor.get(16), half_word(descriptor, 18)) else {
            return Err(BootInformationError::Truncated);
        };
        if *kind == TYPE_DEVICE_TREE && flags & CONTENTS_FORMAT == 0 {
            let address = u64::from(word(descriptor, 24)?) | u64::from(word(descriptor, 28)?) << 32;
            return Ok(Manifest { address, size: word(descriptor, 20)? });
        }
    }
    Err(BootInformationError::NoManifest)
}

/// Reads a little-endian word.
fn word(bytes: &[u8], offset: usize) -> Result<u32, BootInformationError> {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .map(|field| u32::from_le_bytes(*field))
        .ok_or(BootInformationError::Truncated)
}

/// Reads a little-endian half word.
fn half_word(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|field| u16::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arm_ffa::Version;
    use arm_ffa::boot_info::{
        BootInfo, BootInfoContents, BootInfoImpdefId, BootInfoName, BootInfoStdId, BootInfoType,
    };
    use proptest::prelude::*;

    /// Boot information as arm-ffa writes it: something else first, then a devicetree of 100 bytes.
    fn blob() -> Vec<u8> {
        let other = BootInfo {
            name: BootInfoName::NullTermString(c"other"),
            typ: BootInfoType::Impdef(BootInfoImpdefId(0)),
            contents: BootInfoContents::Value { val: 1, len: 8 },
        };
        let by_value = BootInfo {
            name: BootInfoName::NullTermString(c"value"),
            typ: BootInfoType::Std(BootInfoStdId::Fdt),
            contents: BootInfoContents::Value { val: 1, len: 8 },
        };
        let device_tree = BootInfo {
            name: BootInfoName::NullTermString(c"manifest"),
            typ: BootInfoType::Std(BootInfoStdId::Fdt),
            contents: BootInfoContents::Address { content_buf: &[0; 100] },
        };
        let mut bytes = vec![0; 512];
        BootInfo::pack(Version(1, 2), &[other, by_value, device_tree], &mut bytes, Some(0xE30_0000));
        bytes
    }

    fn copy(bytes: &[u8]) -> Result<Manifest, BootInformationError> {
        let size = size(bytes.first_chunk().unwrap())?;
        manifest(&bytes[..size])
    }

    #[test]
    fn finds_what_arm_ffa_writes() {
        assert_eq!(copy(&blob()), Ok(Manifest { address: 0xE30_0000 + 128, size: 100 }));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let with = |offset: usize, value: u32| {
            let mut bytes = blob();
            bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            copy(&bytes)
        };
        assert_eq!(with(0, 0x0FFB), Err(BootInformationError::Unknown));
        assert_eq!(with(4, 0x2_0000), Err(BootInformationError::Unknown));
        assert_eq!(with(12, 31), Err(BootInformationError::Malformed));
        assert_eq!(with(16, 1), Err(BootInformationError::NoManifest));
        assert_eq!(with(16, 0x1000), Err(BootInformationError::TooLong));
        assert_eq!(with(16, u32::MAX), Err(BootInformationError::Malformed));
        assert_eq!(with(20, 16), Err(BootInformationError::Malformed));
        assert_eq!(manifest(&blob()[..31]), Err(BootInformationError::Truncated));
        assert_eq!(manifest(&blob()[..127]), Err(BootInformationError::Truncated));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes: Vec<u8>, descriptor_size in 0u32..80, count in 0u32..20, offset in 0u32..80) {
            let _ = manifest(&bytes);
            let header = [SIGNATURE, 0x1_0002, 0, descriptor_size, count, offset, 0, 0];
            let header: Vec<u8> = header.iter().flat_map(|value| value.to_le_bytes()).collect();
            bytes.splice(0..0, header);
            let _ = manifest(&bytes);
        }
    }
}
