//! The signed table of one ELF file.
use crate::format::{ELF_IDENT, PROGRAM_HEADER_SIZE, ProgramHeader, RawElfHeader};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

/// Makes the table's entries for a little-endian 32-bit ELF file: every program header as it stands in the file, each with
/// SHA-256 of its file bytes.
///
/// # Errors
/// Says what is wrong with the file.
pub fn hash_table(elf: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (header, _) = RawElfHeader::read_from_prefix(elf).map_err(|_| "shorter than an ELF header")?;
    if !header.ident.starts_with(&ELF_IDENT) {
        return Err("not a little-endian 32-bit ELF file of version 1");
    }
    if header.program_header_count.get() == 0 {
        return Err("no program headers: link the object files first");
    }
    if usize::from(header.program_header_size.get()) != PROGRAM_HEADER_SIZE {
        return Err("program headers of an unknown size");
    }
    let start = header.program_headers_offset.get() as usize;
    let count = usize::from(header.program_header_count.get());
    let outside = "the program headers lie outside the file";
    let (program_headers, _) =
        <[ProgramHeader]>::ref_from_prefix_with_elems(elf.get(start..).ok_or(outside)?, count)
            .map_err(|_| outside)?;
    let mut table = Vec::new();
    for program_header in program_headers {
        let start = program_header.offset.get() as usize;
        let size = program_header.file_size.get() as usize;
        // An empty segment's offset means nothing.
        let bytes =
            if size == 0 { Some(&[][..]) } else { elf.get(start..).and_then(|rest| rest.get(..size)) };
        table.extend_from_slice(program_header.as_bytes());
        table.extend(Sha256::digest(bytes.ok_or("a segment lies outside the file")?));
    }
    Ok(table)
}
