//! The ELF header and program headers of a file of 32 or 64 bits, read into one form.
use crate::format::{
    ELF_HEADER_SIZE, ELF_IDENT, ELF64_HEADER_SIZE, ELF64_IDENT, PROGRAM_HEADER_SIZE, PROGRAM_HEADER64_SIZE,
    ProgramHeader, ProgramHeader64, RawElfHeader, RawElfHeader64, SECTION_HEADER_SIZE, SECTION_HEADER64_SIZE,
};
use core::ops::Range;
use zerocopy::FromBytes;

/// What is needed of an ELF header, as it stands there.
pub struct Header {
    /// The file is one of 64 bits.
    pub wide: bool,
    pub program_headers_offset: u64,
    pub program_header_size: u16,
    pub program_header_count: u16,
    pub section_headers_offset: u64,
    pub section_header_size: u16,
    pub section_header_count: u16,
    pub name_section: u16,
}

impl Header {
    /// Reads a header; nothing if the file is not a little-endian ELF file of version 1.
    pub fn read(bytes: &[u8; ELF64_HEADER_SIZE]) -> Option<Self> {
        if bytes.starts_with(&ELF64_IDENT) {
            let raw = RawElfHeader64::read_from_bytes(bytes).ok()?;
            return Some(Self {
                wide: true,
                program_headers_offset: raw.program_headers_offset.get(),
                program_header_size: raw.program_header_size.get(),
                program_header_count: raw.program_header_count.get(),
                section_headers_offset: raw.section_headers_offset.get(),
                section_header_size: raw.section_header_size.get(),
                section_header_count: raw.section_header_count.get(),
                name_section: raw.name_section.get(),
            });
        }
        let raw = RawElfHeader::read_from_bytes(bytes.get(..ELF_HEADER_SIZE)?).ok()?;
        raw.ident.starts_with(&ELF_IDENT).then(|| Self {
            wide: false,
            program_headers_offset: raw.program_headers_offset.get().into(),
            program_header_size: raw.program_header_size.get(),
            program_header_count: raw.program_header_count.get(),
            section_headers_offset: raw.section_headers_offset.get().into(),
            section_header_size: raw.section_header_size.get(),
            section_header_count: raw.section_header_count.get(),
            name_section: raw.name_section.get(),
        })
    }

    /// Bytes of a program header of such a file.
    pub const fn own_program_header_size(&self) -> u16 {
        header_size(self.wide) as u16
    }

    /// Bytes of a section header of such a file.
    pub const fn own_section_header_size(&self) -> u16 {
        (if self.wide { SECTION_HEADER64_SIZE } else { SECTION_HEADER_SIZE }) as u16
    }

    /// Offsets in the file of e_phoff, e_shoff and e_phnum, for refusals.
    pub const fn places(&self) -> [u32; 3] {
        if self.wide { [32, 40, 56] } else { [28, 32, 44] }
    }

    /// `count` records of `size` bytes at an offset, if they lie in an image of `image_size` bytes.
    pub fn window(&self, offset: u64, count: u16, size: u16, image_size: u32) -> Option<Range<u32>> {
        let bytes = u32::from(count).checked_mul(size.into())?;
        if bytes == 0 {
            return Some(0..0);
        }
        let offset = u32::try_from(offset).ok()?;
        let end = offset.checked_add(bytes).filter(|end| *end <= image_size)?;
        Some(offset..end)
    }
}

/// Bytes of a program header.
pub const fn header_size(wide: bool) -> u32 {
    (if wide { PROGRAM_HEADER64_SIZE } else { PROGRAM_HEADER_SIZE }) as u32
}

/// Reads a program header, as the signed table carries it; nothing if a value exceeds 32 bits.
pub fn program_header(bytes: &[u8; PROGRAM_HEADER64_SIZE], wide: bool) -> Option<ProgramHeader> {
    if wide {
        return ProgramHeader64::read_from_bytes(bytes).ok()?.narrow();
    }
    ProgramHeader::read_from_prefix(bytes).ok().map(|(header, _)| header)
}
