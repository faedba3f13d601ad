//! Images made here for measurements: as large, and with as much metadata, as the partition takes.
use anyhow::{Context, Result};
use remoteproc_image::reader::MOST_LOADED;
use remoteproc_image::write::{Container, EncryptionKey, Order, SigningKey};

/// Device address of the processor's private code region, and its bytes: all of it is filled.
const CODE: u32 = 0x8000_0000;
const CODE_SIZE: usize = 0x00a0_0000;
/// Device address of its shared region.
const SHARED: u32 = 0x80a0_0000;
const SHARED_SIZE: usize = 0x1_0000;
/// Program headers of the partition's limit.
const MOST_HEADERS: usize = 128;
/// Metadata of the partition's limit, bytes, with the signature.
const MOST_METADATA: usize = 16 << 10;
/// Bytes that one request hashes.
const SLICE: usize = 128 << 10;
/// Bytes of an ELF header, and of a program header.
const ELF_HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;
/// Readable, and readable and executable.
const READ: u32 = 4;
const READ_EXECUTE: u32 = 5;

/// A PT_LOAD.
struct Segment {
    address: u32,
    flags: u32,
    bytes: Vec<u8>,
}

/// Bytes that are neither zero nor all the same.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index.wrapping_mul(31) >> 3) as u8).collect()
}

/// A vector table with a stack and an entry, and the entry's one instruction, which jumps to itself.
fn idle_program(bytes: &mut [u8]) -> Result<()> {
    let start = bytes.get_mut(..0x402).context("no room for a program")?;
    start[..4].copy_from_slice(&0x8018_0000_u32.to_le_bytes());
    start[4..8].copy_from_slice(&(CODE + 0x401).to_le_bytes());
    start[0x400..].copy_from_slice(&0xe7fe_u16.to_le_bytes());
    Ok(())
}

/// A program header's numbers.
struct Header {
    address: u32,
    flags: u32,
    offset: usize,
    size: usize,
}

/// A 32-bit Arm ELF file of these program headers, for PT_LOADs, and of what lies behind them.
fn elf(headers: &[Header], rest: &[&[u8]]) -> Result<Vec<u8>> {
    let count = u16::try_from(headers.len())?;
    let mut file = Vec::new();
    file.extend([0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // Executable, for Arm.
    for half in [2u16, 40] {
        file.extend(half.to_le_bytes());
    }
    // Version, entry, program headers behind this header, no section headers, no flags.
    for word in [1, CODE, ELF_HEADER, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [ELF_HEADER as u16, PROGRAM_HEADER as u16, count, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for Header { address, flags, offset, size } in headers {
        let (offset, size) = (u32::try_from(*offset)?, u32::try_from(*size)?);
        for word in [1, offset, *address, *address, size, size, *flags, 4] {
            file.extend(word.to_le_bytes());
        }
    }
    rest.iter().for_each(|bytes| file.extend(*bytes));
    Ok(file)
}

/// Where the bytes behind so many program headers begin.
fn body(headers: usize) -> usize {
    ELF_HEADER as usize + PROGRAM_HEADER as usize * headers
}

/// An ELF file of these segments, one behind the other.
fn elf_of(segments: &[Segment]) -> Result<Vec<u8>> {
    let mut offset = body(segments.len());
    let headers: Vec<Header> = segments
        .iter()
        .map(|Segment { address, flags, bytes }| {
            let header = Header { address: *address, flags: *flags, offset, size: bytes.len() };
            offset += bytes.len();
            header
        })
        .collect();
    let bytes: Vec<&[u8]> = segments.iter().map(|segment| segment.bytes.as_slice()).collect();
    elf(&headers, &bytes)
}

/// An image whose bytes are as laborious as can be: each of the segments' belongs to all of them, and every byte, of those that
/// are not loaded too, could be of the resource table's name. As many segments share them as an image may have loaded.
pub fn tangled(key: &impl SigningKey) -> Result<Vec<u8>> {
    let size = SLICE / 2;
    let headers: Result<Vec<Header>> = (0..MOST_HEADERS)
        .map(|index| {
            let address = CODE + u32::try_from(index * size)?;
            Ok(Header { address, flags: READ_EXECUTE, offset: body(MOST_HEADERS), size })
        })
        .collect();
    let dots = vec![b'_'; size * MOST_HEADERS / usize::try_from(MOST_LOADED)?];
    Ok(Container::new(Order::Mainline).image(&elf(&headers?, &[&dots])?).sign(key)?)
}

/// An image that fills all of the private code region, and 64 KiB of the shared one.
pub fn large(key: &impl SigningKey) -> Result<Vec<u8>> {
    Ok(Container::new(Order::Mainline).image(&large_elf()?).sign(key)?)
}

/// The same, encrypted.
pub fn large_encrypted(key: &impl SigningKey, cipher: EncryptionKey) -> Result<Vec<u8>> {
    Ok(Container::new(Order::Vendor).image(&large_elf()?).encrypt(cipher).sign(key)?)
}

fn large_elf() -> Result<Vec<u8>> {
    let mut code = pattern(CODE_SIZE);
    idle_program(&mut code)?;
    elf_of(&[
        Segment { address: CODE, flags: READ_EXECUTE, bytes: code },
        Segment { address: SHARED, flags: READ, bytes: pattern(SHARED_SIZE) },
    ])
}

/// An image with as many segments and as much metadata as the partition takes, whose bytes are whole slices.
pub fn heavy(key: &impl SigningKey) -> Result<Vec<u8>> {
    let size = SLICE * 2 / MOST_HEADERS;
    let segments: Result<Vec<Segment>> = (0..MOST_HEADERS)
        .map(|index| {
            let mut bytes = pattern(size);
            if index == 0 {
                idle_program(&mut bytes)?;
            }
            // Last address first, so that what looks for the next segment in order has to look.
            let place = if index == 0 { 0 } else { MOST_HEADERS - index };
            let address = CODE + u32::try_from(place * 2 * size)?;
            Ok(Segment { address, flags: READ_EXECUTE, bytes })
        })
        .collect();
    let container = Container::new(Order::Mainline).image(&elf_of(&segments?)?);
    let plain =
        container.layout(key.algorithm().signature_type())?.signed_part(key.signature_length())?.len();
    // Behind a TLV's head, without a pad.
    let room = (MOST_METADATA - plain - key.signature_length() - 8) / 8 * 8;
    Ok(container.key_information(&vec![0x5a; room]).sign(key)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoteproc_image::write::P256Key;

    #[test]
    fn the_heavy_image_reaches_the_limits() {
        let key = P256Key::from_secret(&[1; 32]).unwrap();
        let container = heavy(&key).unwrap();
        let images = u32::from_le_bytes(container[16..20].try_into().unwrap()) as usize;
        assert!((MOST_METADATA - 7..=MOST_METADATA).contains(&(container.len() - images)));
        assert_eq!(images, (52 + 32 * MOST_HEADERS + 2 * SLICE).next_multiple_of(8));
    }
}
