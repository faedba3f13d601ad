//! The signed table of one ELF file, its encryption, and the resource table in it.
use super::WriteError;
use super::encrypt::{EncryptionKey, Vectors};
use crate::format::{
    BLOCK_SIZE, ELF_HEADER_SIZE, ELF_IDENT, ELF64_HEADER_SIZE, ELF64_IDENT, PROGRAM_HEADER_SIZE,
    PROGRAM_HEADER64_SIZE, PT_LOAD, ProgramHeader, ProgramHeader64, RawElfHeader, RawElfHeader64,
};
use sha2::{Digest, Sha256};
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

/// What is wrong with a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defect {
    /// Index of the program header, if it is one that is wrong.
    header: Option<usize>,
    reason: &'static str,
}

impl Defect {
    /// Of this image of a container.
    pub(super) const fn of(self, image: usize) -> WriteError {
        WriteError::Elf { image, header: self.header, reason: self.reason }
    }
}

impl From<&'static str> for Defect {
    fn from(reason: &'static str) -> Self {
        Self { header: None, reason }
    }
}

/// Adds which program header it is.
const fn at(header: usize) -> impl Fn(&'static str) -> Defect {
    move |reason| Defect { header: Some(header), reason }
}

/// Reads the program headers of a little-endian ELF file of 32 or 64 bits, as the signed table carries them: those of a 64-bit
/// file narrowed to 32 bits.
pub(super) fn program_headers(elf: &[u8]) -> Result<Vec<ProgramHeader>, Defect> {
    Ok(read(elf)?.headers)
}

/// The program headers, and what must stay readable of a file.
struct Headers {
    headers: Vec<ProgramHeader>,
    /// The ELF header and the program headers, offsets in the file.
    places: Vec<Range<usize>>,
}

/// Reads the program headers and notes where they are.
fn read(elf: &[u8]) -> Result<Headers, Defect> {
    let outside = "the program headers lie outside the file";
    let (offset, size, count, wide) = if elf.starts_with(&ELF64_IDENT) {
        let (header, _) = RawElfHeader64::read_from_prefix(elf).map_err(|_| "shorter than an ELF header")?;
        let offset = usize::try_from(header.program_headers_offset.get()).map_err(|_| outside)?;
        (offset, header.program_header_size.get(), header.program_header_count.get(), true)
    } else {
        let (header, _) = RawElfHeader::read_from_prefix(elf).map_err(|_| "shorter than an ELF header")?;
        if !header.ident.starts_with(&ELF_IDENT) {
            return Err("not a little-endian ELF file of version 1".into());
        }
        let offset = header.program_headers_offset.get() as usize;
        (offset, header.program_header_size.get(), header.program_header_count.get(), false)
    };
    if count == 0 {
        return Err("no program headers: link the object files first".into());
    }
    if usize::from(size) != if wide { PROGRAM_HEADER64_SIZE } else { PROGRAM_HEADER_SIZE } {
        return Err("program headers of an unknown size".into());
    }
    let bytes = elf.get(offset..).ok_or(outside)?;
    let count = usize::from(count);
    let (headers, header_size): (Vec<_>, _) = if wide {
        let (headers, _) =
            <[ProgramHeader64]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| outside)?;
        let beyond = "a program header of the 64-bit file holds a value of more than 32 bits";
        let narrow = |(index, header): (usize, &ProgramHeader64)| header.narrow().ok_or(at(index)(beyond));
        (headers.iter().enumerate().map(narrow).collect::<Result<_, _>>()?, ELF64_HEADER_SIZE)
    } else {
        let (headers, _) =
            <[ProgramHeader]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| outside)?;
        (headers.to_vec(), ELF_HEADER_SIZE)
    };
    let end = offset + usize::from(size) * count;
    Ok(Headers { headers, places: vec![0..header_size, offset..end] })
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
    table(elf).map_err(|defect| defect.reason)
}

/// The same, and says where something is wrong.
pub(super) fn table(elf: &[u8]) -> Result<Vec<u8>, Defect> {
    let mut table = Vec::new();
    for (index, header) in program_headers(elf)?.iter().enumerate() {
        table.extend_from_slice(header.as_bytes());
        let bytes = elf.get(file_bytes(elf, header).map_err(at(index))?).unwrap_or_default();
        table.extend(Sha256::digest(bytes));
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
) -> Result<Vec<u8>, Defect> {
    // What must stay readable: the ELF header, the program headers, and the segments encrypted so far.
    let Headers { headers, places: mut taken } = read(elf)?;
    let mut table = Vec::new();
    let loaded: Vec<_> =
        headers.iter().enumerate().filter(|(_, header)| header.kind.get() == PT_LOAD).collect();
    for (index, header) in &loaded {
        let refuse = at(*index);
        let range = file_bytes(elf, header).map_err(&refuse)?;
        if !range.len().is_multiple_of(BLOCK_SIZE) {
            return Err(refuse(
                "a segment's size in the file is not a multiple of 16: pad the sections to encrypt it",
            ));
        }
        if taken.iter().any(|other| range.start < other.end && other.start < range.end) {
            return Err(refuse(
                "a segment shares file bytes with the headers or another segment: it can't be encrypted",
            ));
        }
        let vector = vectors.next()?;
        let bytes = elf.get_mut(range.clone()).unwrap_or_default();
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
