//! The signed table of one ELF file, its encryption, and the resource table in it.
use super::encrypt::{EncryptionKey, Vectors};
use crate::format::{
    BLOCK_SIZE, ELF_IDENT, ELF64_IDENT, PROGRAM_HEADER_SIZE, PROGRAM_HEADER64_SIZE, PT_LOAD, ProgramHeader,
    ProgramHeader64, RawElfHeader, RawElfHeader64,
};
use sha2::{Digest, Sha256};
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

/// Reads the program headers of a little-endian ELF file of 32 or 64 bits, as the signed table carries them: those of a 64-bit
/// file narrowed to 32 bits.
pub(super) fn program_headers(elf: &[u8]) -> Result<Vec<ProgramHeader>, &'static str> {
    let outside = "the program headers lie outside the file";
    let (offset, size, count, wide) = if elf.starts_with(&ELF64_IDENT) {
        let (header, _) = RawElfHeader64::read_from_prefix(elf).map_err(|_| "shorter than an ELF header")?;
        let offset = usize::try_from(header.program_headers_offset.get()).map_err(|_| outside)?;
        (offset, header.program_header_size.get(), header.program_header_count.get(), true)
    } else {
        let (header, _) = RawElfHeader::read_from_prefix(elf).map_err(|_| "shorter than an ELF header")?;
        if !header.ident.starts_with(&ELF_IDENT) {
            return Err("not a little-endian ELF file of version 1");
        }
        let offset = header.program_headers_offset.get() as usize;
        (offset, header.program_header_size.get(), header.program_header_count.get(), false)
    };
    if count == 0 {
        return Err("no program headers: link the object files first");
    }
    if usize::from(size) != if wide { PROGRAM_HEADER64_SIZE } else { PROGRAM_HEADER_SIZE } {
        return Err("program headers of an unknown size");
    }
    let bytes = elf.get(offset..).ok_or(outside)?;
    let count = usize::from(count);
    if wide {
        let (headers, _) =
            <[ProgramHeader64]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| outside)?;
        let narrow = headers.iter().map(ProgramHeader64::narrow).collect::<Option<_>>();
        narrow.ok_or("a program header of the 64-bit file holds a value of more than 32 bits")
    } else {
        let (headers, _) =
            <[ProgramHeader]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| outside)?;
        Ok(headers.to_vec())
    }
}

/// Where a segment's bytes stand in the file; an empty segment's offset means nothing.
fn file_bytes(elf: &[u8], header: &ProgramHeader) -> Result<Range<usize>, &'static str> {
    let (start, size) = (header.offset.get() as usize, header.file_size.get() as usize);
    if size == 0 {
        return Ok(0..0);
    }
    let end = start.checked_add(size).filter(|end| *end <= elf.len());
    Ok(start..end.ok_or("a segment lies outside the file")?)
}

/// Makes the table's entries for a little-endian ELF file of 32 or 64 bits: every program header, each with SHA-256 of its file
/// bytes.
///
/// # Errors
/// Says what is wrong with the file.
pub fn hash_table(elf: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut table = Vec::new();
    for header in program_headers(elf)? {
        table.extend_from_slice(header.as_bytes());
        table.extend(Sha256::digest(&elf[file_bytes(elf, &header)?]));
    }
    Ok(table)
}

/// Encrypts the segments of an ELF file in place, and makes the table's entries: every PT_LOAD with SHA-256 of its ciphertext and
/// its initialization vector, then a zero entry for each other program header.
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn encrypt(
    elf: &mut [u8],
    key: &EncryptionKey,
    vectors: &mut Vectors<'_>,
) -> Result<Vec<u8>, &'static str> {
    let headers = program_headers(elf)?;
    let wide = elf.starts_with(&ELF64_IDENT);
    let (place, step) = if wide { (32..40, PROGRAM_HEADER64_SIZE) } else { (28..32, PROGRAM_HEADER_SIZE) };
    let mut start = [0; 8];
    start[..place.len()].copy_from_slice(&elf[place]);
    let start = u64::from_le_bytes(start) as usize;
    // What must stay readable: the ELF header, the program headers, and the segments encrypted so far.
    let header_size = if wide { size_of::<RawElfHeader64>() } else { size_of::<RawElfHeader>() };
    let mut taken = vec![0..header_size, start..start + step * headers.len()];
    let mut table = Vec::new();
    let loaded: Vec<_> = headers.iter().filter(|header| header.kind.get() == PT_LOAD).collect();
    for header in &loaded {
        let range = file_bytes(elf, header)?;
        if !range.len().is_multiple_of(BLOCK_SIZE) {
            return Err(
                "a segment's size in the file is not a multiple of 16: pad the sections to encrypt it",
            );
        }
        if taken.iter().any(|other| range.start < other.end && other.start < range.end) {
            return Err(
                "a segment shares file bytes with the headers or another segment: it can't be encrypted",
            );
        }
        let vector = vectors.next()?;
        let bytes = &mut elf[range.clone()];
        key.encrypt(&vector, bytes);
        table.extend_from_slice(header.as_bytes());
        table.extend(Sha256::digest(&*bytes));
        table.extend(vector);
        if !range.is_empty() {
            taken.push(range);
        }
    }
    let others = headers.len() - loaded.len();
    table.resize(table.len() + others * crate::format::ENCRYPTED_ENTRY_SIZE, 0);
    Ok(table)
}
