//! ELF files: the raw image that a machine's memory gets, and the sizes of sections and of what lies between symbols.
use anyhow::{Context, Result, bail};
use object::elf::{FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind, Object, ObjectSection, ObjectSymbol};

/// No image of this project is larger; a larger one comes from a wrong address in a linker script.
const MAX_RAW: u64 = 16 << 20;

/// Bytes as they lie in memory, from the lowest physical address that the file fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Physical address of the first byte.
    pub base: u64,
    /// Entry point as the ELF header states it.
    pub entry: u64,
    /// The bytes; gaps are zero.
    pub bytes: Vec<u8>,
}

/// Lays the PT_LOAD segments out by physical address.
pub fn to_raw(file: &[u8]) -> Result<Raw> {
    match FileKind::parse(file)? {
        FileKind::Elf32 => lay_out::<FileHeader32<Endianness>>(file),
        FileKind::Elf64 => lay_out::<FileHeader64<Endianness>>(file),
        kind => bail!("not an ELF file: {kind:?}"),
    }
}

fn lay_out<E: FileHeader<Endian = Endianness>>(file: &[u8]) -> Result<Raw> {
    let header = E::parse(file)?;
    let endian = header.endian()?;
    let mut segments = Vec::new();
    for program_header in header.program_headers(endian, file)? {
        if program_header.p_type(endian) == PT_LOAD && program_header.p_filesz(endian).into() > 0 {
            let bytes = program_header.data(endian, file).ok().context("a segment lies outside its file")?;
            segments.push((program_header.p_paddr(endian).into(), bytes));
        }
    }
    segments.sort_by_key(|(address, _)| *address);
    let base = segments.first().context("the ELF file has no PT_LOAD segment")?.0;
    let mut bytes: Vec<u8> = Vec::new();
    for (address, segment) in segments {
        let offset = address - base;
        if offset < bytes.len() as u64 {
            bail!("two segments overlap at physical address {address:#x}");
        }
        if offset + segment.len() as u64 > MAX_RAW {
            bail!("a segment at physical address {address:#x} makes the raw image larger than {MAX_RAW:#x}");
        }
        bytes.resize(usize::try_from(offset)?, 0);
        bytes.extend_from_slice(segment);
    }
    Ok(Raw { base, entry: header.e_entry(endian).into(), bytes })
}

/// Names and values of an ELF file's symbols and sections.
#[derive(Debug)]
pub struct Layout {
    symbols: Vec<(String, u64)>,
    sections: Vec<(String, u64)>,
}

impl Layout {
    /// Reads them.
    pub fn read(file: &[u8]) -> Result<Self> {
        let file = object::File::parse(file)?;
        let symbols = file
            .symbols()
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))
            .collect();
        let sections = file
            .sections()
            .filter_map(|section| Some((section.name().ok()?.to_owned(), section.size())))
            .collect();
        Ok(Self { symbols, sections })
    }

    /// Value of a symbol.
    pub fn symbol(&self, name: &str) -> Result<u64> {
        self.symbols
            .iter()
            .find(|(symbol, _)| symbol == name)
            .map(|(_, value)| *value)
            .with_context(|| format!("the image has no symbol {name}"))
    }

    /// Bytes from one symbol to another.
    pub fn between(&self, start: &str, end: &str) -> Result<u64> {
        let (first, last) = (self.symbol(start)?, self.symbol(end)?);
        last.checked_sub(first).with_context(|| format!("{end} lies before {start}"))
    }

    /// Size of a section; zero if the file has none of this name.
    pub fn section(&self, name: &str) -> u64 {
        self.sections.iter().filter(|(section, _)| section == name).map(|(_, size)| *size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 32-bit little-endian ELF file with the given (physical address, contents, memory size) segments.
    fn elf(segments: &[(u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let half = |file: &mut Vec<u8>, value: u16| file.extend_from_slice(&value.to_le_bytes());
        let word = |file: &mut Vec<u8>, value: u32| file.extend_from_slice(&value.to_le_bytes());
        half(&mut file, 2); // ET_EXEC
        half(&mut file, 40); // EM_ARM
        word(&mut file, 1);
        word(&mut file, 0x1000); // entry
        word(&mut file, 52); // program headers
        word(&mut file, 0);
        word(&mut file, 0);
        for value in [52, 32, segments.len() as u16, 40, 0, 0] {
            half(&mut file, value);
        }
        let mut offset = 52 + 32 * segments.len() as u32;
        for (address, bytes, memory) in segments {
            for value in [1, offset, address ^ 0x8000_0000, *address, bytes.len() as u32, *memory, 5, 4] {
                word(&mut file, value);
            }
            offset += bytes.len() as u32;
        }
        for (_, bytes, _) in segments {
            file.extend_from_slice(bytes);
        }
        file
    }

    #[test]
    fn segments_are_laid_out_by_physical_address() {
        let raw = to_raw(&elf(&[(0x1008, &[3, 4], 2), (0x1000, &[1, 2], 2), (0x4000, &[], 0x100)])).unwrap();
        assert_eq!(raw, Raw { base: 0x1000, entry: 0x1000, bytes: vec![1, 2, 0, 0, 0, 0, 0, 0, 3, 4] });
    }

    #[test]
    fn what_makes_no_image_is_refused() {
        assert!(to_raw(b"no ELF file at all").is_err());
        assert!(to_raw(&elf(&[])).is_err());
        assert!(to_raw(&elf(&[(0x1000, &[1, 2], 2), (0x1001, &[3], 1)])).is_err());
        assert!(to_raw(&elf(&[(0, &[1], 1), (0x9000_0000, &[1], 1)])).is_err());
    }
}
