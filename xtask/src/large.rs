//! A large image: this project's own firmware, and so many bytes beside it that 10 MiB are loaded.
//!
//! The bytes look random and are always the same. They fill what the firmware leaves free of its private region; what is still
//! missing goes into the shared region. On demand the file holds more that is not loaded: a section that no segment covers.
use anyhow::{Context, Result, ensure};
use object::LittleEndian as Le;
use object::elf::{
    FileHeader32, PF_R, PT_LOAD, ProgramHeader32, SHT_NULL, SHT_PROGBITS, SHT_STRTAB, SectionHeader32,
};
use object::pod::{bytes_of, from_bytes, slice_from_bytes};
use object::{U16, U32};
use std::ops::Range;

/// Bytes that are loaded.
pub const LOADED: u32 = 10 << 20;

/// The firmware's private region, device addresses (`manifest/qemu.dts`).
const PRIVATE: Range<u32> = 0x8000_0000..0x80a0_0000;
/// The part of its shared region that the firmware does not use.
const SHARED: Range<u32> = 0x80a1_0000..0x80c0_0000;
const PAGE: u32 = 0x1000;
/// Name of the section that is not loaded, behind the names that are there.
const FILLER: &[u8] = b".filler\0";

type FileHeader = FileHeader32<Le>;
type ProgramHeader = ProgramHeader32<Le>;
type SectionHeader = SectionHeader32<Le>;

/// Makes the ELF file from the firmware's, with a section of `filler` bytes that is not loaded. The firmware's own bytes stay where
/// they are in the file, but for the header; everything else comes behind them.
pub fn elf(firmware: &[u8], filler: usize) -> Result<Vec<u8>> {
    let damaged = |()| anyhow::anyhow!("the firmware's ELF file is damaged");
    let part = |offset: u32| firmware.get(offset as usize..).context("the firmware's ELF file is damaged");
    let (header, _) = from_bytes::<FileHeader>(firmware).map_err(damaged)?;
    let mut header = *header;
    let count = usize::from(header.e_phnum.get(Le));
    let (segments, _) =
        slice_from_bytes::<ProgramHeader>(part(header.e_phoff.get(Le))?, count).map_err(damaged)?;
    let mut segments = segments.to_vec();
    let count = usize::from(header.e_shnum.get(Le));
    let (sections, _) =
        slice_from_bytes::<SectionHeader>(part(header.e_shoff.get(Le))?, count).map_err(damaged)?;
    let mut sections = sections.to_vec();

    let mut file = firmware.to_vec();
    let mut random = Random(0x10ad);
    for range in gaps(&segments)? {
        file.resize(file.len().next_multiple_of(4), 0);
        segments.push(segment(u32::try_from(file.len())?, &range));
        random.extend(&mut file, range.len());
    }

    let names = usize::from(header.e_shstrndx.get(Le).0);
    let name_section = sections.get_mut(names).filter(|section| section.sh_type.get(Le) == SHT_STRTAB);
    let name_section = name_section.context("the firmware's sections have no names")?;
    let old_names =
        name_section.sh_offset.get(Le)..name_section.sh_offset.get(Le) + name_section.sh_size.get(Le);
    let old_names = firmware.get(old_names.start as usize..old_names.end as usize).context("no names")?;
    let name = u32::try_from(old_names.len())?;
    name_section.sh_offset = u32_of(file.len())?;
    name_section.sh_size = u32_of(old_names.len() + FILLER.len())?;
    file.extend_from_slice(old_names);
    file.extend_from_slice(FILLER);
    let mut section: SectionHeader = *sections.first().context("the firmware has no sections")?;
    ensure!(section.sh_type.get(Le) == SHT_NULL, "the firmware's first section is none");
    section.sh_name = U32::new(Le, name);
    section.sh_type = U32::new(Le, SHT_PROGBITS);
    section.sh_offset = u32_of(file.len())?;
    section.sh_size = u32_of(filler)?;
    section.sh_addralign = U32::new(Le, 1);
    sections.push(section);
    random.extend(&mut file, filler);

    file.resize(file.len().next_multiple_of(4), 0);
    header.e_phoff = u32_of(file.len())?;
    header.e_phnum = U16::new(Le, u16::try_from(segments.len())?);
    segments.iter().for_each(|segment| file.extend_from_slice(bytes_of(segment)));
    header.e_shoff = u32_of(file.len())?;
    header.e_shnum = U16::new(Le, u16::try_from(sections.len())?);
    sections.iter().for_each(|section| file.extend_from_slice(bytes_of(section)));
    let header = bytes_of(&header);
    file.get_mut(..header.len()).context("no header")?.copy_from_slice(header);
    Ok(file)
}

/// Where bytes are needed so that [`LOADED`] are loaded: between the firmware's segments, then in the shared region.
fn gaps(segments: &[ProgramHeader]) -> Result<Vec<Range<u32>>> {
    let loaded = segments.iter().filter(|segment| segment.p_type.get(Le) == PT_LOAD);
    let mut used: Vec<Range<u32>> = Vec::new();
    let mut missing = LOADED;
    for segment in loaded {
        let start = segment.p_paddr.get(Le);
        used.push(start..start + segment.p_memsz.get(Le));
        missing = missing.checked_sub(segment.p_filesz.get(Le)).context("the firmware is too large")?;
    }
    used.sort_by_key(|range| range.start);
    used.push(PRIVATE.end..PRIVATE.end);
    let mut gaps = Vec::new();
    let mut next = PRIVATE.start;
    for range in used.iter().filter(|range| range.start <= PRIVATE.end) {
        let gap = next..range.start.min(next.saturating_add(missing));
        if !gap.is_empty() {
            missing -= gap.end - gap.start;
            gaps.push(gap);
        }
        next = next.max(range.end.next_multiple_of(PAGE));
    }
    ensure!(SHARED.start + missing <= SHARED.end, "the firmware leaves too few gaps");
    if missing > 0 {
        gaps.push(SHARED.start..SHARED.start + missing);
    }
    Ok(gaps)
}

fn segment(offset: u32, range: &Range<u32>) -> ProgramHeader {
    let word = |value: u32| U32::new(Le, value);
    let size = range.end - range.start;
    ProgramHeader {
        p_type: U32::new(Le, PT_LOAD),
        p_offset: word(offset),
        p_vaddr: word(range.start),
        p_paddr: word(range.start),
        p_filesz: word(size),
        p_memsz: word(size),
        p_flags: U32::new(Le, PF_R),
        p_align: word(4),
    }
}

fn u32_of(value: usize) -> Result<U32<Le>> {
    Ok(U32::new(Le, u32::try_from(value)?))
}

/// Bytes that look random (xorshift64*), the same each time.
struct Random(u64);

impl Random {
    fn extend(&mut self, file: &mut Vec<u8>, count: usize) {
        let end = file.len() + count;
        while file.len() < end {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            file.extend_from_slice(&self.0.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
        }
        file.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::elf::{ElfFile32, FileHeader as _, ProgramHeader as _};
    use object::{Object, ObjectSection};

    /// A firmware with two segments and a resource table: the last segment of the vector's shape, written by hand.
    fn small() -> Vec<u8> {
        let word = |value| U32::new(Le, value);
        let names = b"\0.resource_table\0.shstrtab\0";
        let mut file = vec![0; 52];
        let (data, name_offset) = (52, 52 + 64);
        file.extend_from_slice(&[0x5a; 64]);
        file.extend_from_slice(names);
        file.resize(file.len().next_multiple_of(4), 0);
        let phoff = file.len();
        for (address, memory) in [(0x8000_0000, 64), (0x8010_0000, 0x2010), (0x80a0_0000, 64)] {
            let mut segment = segment(data, &(address..address + 64));
            segment.p_memsz = word(memory);
            file.extend_from_slice(bytes_of(&segment));
        }
        let shoff = file.len();
        for (name, kind, address, offset, size) in
            [(0, 0, 0, 0, 0), (1, 1, 0x80a0_0000, data, 64), (17, 3, 0, name_offset, names.len() as u32)]
        {
            for value in [name, kind, 0, address, offset, size, 0, 0, 1, 0_u32] {
                file.extend_from_slice(&value.to_le_bytes());
            }
        }
        let ident = [0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file[..16].copy_from_slice(&ident);
        let words = [0x0028_0002, 1, 0, phoff as u32, shoff as u32, 0, 0x0020_0034, 0x0028_0003, 0x0002_0003];
        for (place, value) in file[16..52].chunks_mut(4).zip(words) {
            place.copy_from_slice(&u32::to_le_bytes(value));
        }
        file
    }

    #[test]
    fn ten_mebibytes_are_loaded_and_nothing_overlaps() {
        let firmware = small();
        let file = elf(&firmware, 1000).unwrap();
        let header = FileHeader::parse(&*file).unwrap();
        let segments = header.program_headers(Le, &*file).unwrap();
        let mut ranges: Vec<_> = segments
            .iter()
            .map(|segment| {
                assert_eq!(segment.data(Le, &*file).unwrap().len() as u32, segment.p_filesz(Le));
                segment.p_paddr(Le)..segment.p_paddr(Le) + segment.p_memsz(Le)
            })
            .collect();
        assert_eq!(segments.iter().map(|segment| segment.p_filesz(Le)).sum::<u32>(), LOADED);
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:x?}");
        // What was there is there, and the sections are found by their names.
        assert_eq!(file[52..firmware.len()], firmware[52..]);
        let parsed = ElfFile32::<Le>::parse(&*file).unwrap();
        assert_eq!(parsed.section_by_name(".resource_table").unwrap().address(), 0x80a0_0000);
        let filler = parsed.section_by_name(".filler").unwrap().data().unwrap();
        assert_eq!(filler.len(), 1000);
        assert!(filler.chunks_exact(8).collect::<std::collections::HashSet<_>>().len() > 120);
        assert_eq!(elf(&firmware, 1000).unwrap(), file, "the same each time");
    }

    #[test]
    fn what_is_no_firmware_is_refused() {
        assert!(elf(b"no ELF file", 0).is_err());
        let firmware = small();
        assert!(elf(&firmware[..firmware.len() - 1], 0).is_err());
    }
}
