//! FF-A boot information (DEN0077A 1.2, section 5.4): one descriptor that tells the partition where its manifest is.

/// Bytes of the blob: 32-byte header and one 32-byte descriptor.
pub const SIZE: usize = 64;

/// Encodes the blob. `version` is the partition's FF-A version, `manifest` the physical address and `size` the bytes
/// of its manifest.
pub fn encode(version: u32, manifest: u64, size: u32) -> [u8; SIZE] {
    let mut blob = [0; SIZE];
    let mut put = |offset: usize, bytes: &[u8]| blob[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, &0x0ffa_u32.to_le_bytes());
    put(4, &version.to_le_bytes());
    put(8, &(SIZE as u32).to_le_bytes());
    // Descriptor size, count and offset.
    put(12, &0x20_u32.to_le_bytes());
    put(16, &1_u32.to_le_bytes());
    put(20, &0x20_u32.to_le_bytes());
    // The descriptor: name (16 bytes), type 0 (standard, device tree), flags 0 (contents are an address).
    put(32, b"FDT");
    put(52, &size.to_le_bytes());
    put(56, &manifest.to_le_bytes());
    blob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let blob = encode(0x10002, 0x0e30_1000, 0x416);
        let words: Vec<u32> =
            blob.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words[..8], [0xffa, 0x10002, 64, 32, 1, 32, 0, 0]);
        assert_eq!(words[12..], [0, 0x416, 0x0e30_1000, 0]);
    }
}
