//! Builds small ELF files, regular and odd ones.

/// PT_LOAD.
pub const LOAD: u32 = 1;
/// Flags: read, write, execute.
pub const R: u32 = 4;
pub const W: u32 = 2;
pub const X: u32 = 1;

/// One program header and its bytes.
#[derive(Clone, Debug)]
pub struct Part {
    pub kind: u32,
    pub address: u32,
    pub flags: u32,
    pub bytes: Vec<u8>,
    pub memory_size: u32,
    /// File offset, where the bytes are those of something else.
    pub offset: Option<u32>,
    /// Size in the file, where it is not that of the bytes.
    pub file_size: Option<u32>,
}

impl Part {
    /// A segment that is loaded.
    pub fn load(address: u32, flags: u32, bytes: &[u8]) -> Self {
        Self {
            kind: LOAD,
            address,
            flags,
            bytes: bytes.to_vec(),
            memory_size: bytes.len() as u32,
            offset: None,
            file_size: None,
        }
    }
}

/// One section header. The name table is added by itself.
#[derive(Clone, Debug)]
pub struct Section {
    pub name: &'static str,
    pub address: u32,
    pub size: u32,
}

/// An ELF file.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub parts: Vec<Part>,
    pub sections: Vec<Section>,
    /// The section headers stand before the name table instead of behind it.
    pub headers_first: bool,
    /// The program headers stand at the file's end.
    pub program_headers_last: bool,
    /// Bytes between the segments and the section headers.
    pub filler: Vec<u8>,
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl File {
    /// A vector table, code, and data, all in private memory.
    pub fn simple() -> Self {
        Self {
            parts: vec![
                Part::load(0x8000_0000, R, &words(&[0x8010_0000, 0x8000_1001, 0, 0])),
                Part::load(0x8000_1000, R | X, &[0xfe, 0xe7, 0, 0xbf]),
                Part { memory_size: 64, ..Part::load(0x8010_0000, R | W, b"data") },
            ],
            ..Self::default()
        }
    }

    /// The same, with a resource table in shared memory.
    pub fn with_table(table: &[u8]) -> Self {
        let mut file = Self::simple();
        file.parts.push(Part::load(0x80a0_0000, R | W, table));
        file.sections.push(Section {
            name: ".resource_table",
            address: 0x80a0_0000,
            size: table.len() as u32,
        });
        file
    }

    /// The file's bytes, a multiple of 4 long.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = vec![0; 52];
        let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(4), 0);
        let table_size = self.parts.len() * 32;
        if !self.program_headers_last {
            bytes.resize(52 + table_size, 0);
        }
        let mut program_headers = Vec::new();
        for part in &self.parts {
            let offset = part.offset.unwrap_or(bytes.len() as u32);
            let file_size = part.file_size.unwrap_or(part.bytes.len() as u32);
            program_headers.extend(words(&[
                part.kind,
                offset,
                part.address,
                part.address,
                file_size,
                part.memory_size,
                part.flags,
                4,
            ]));
            bytes.extend(&part.bytes);
            pad(&mut bytes);
        }
        bytes.extend(&self.filler);
        pad(&mut bytes);

        let mut names = vec![0];
        let mut headers = vec![0; 40];
        let name_table = self.sections.len() as u32 + 1;
        let all_names = self.sections.iter().map(|section| section.name).chain([".shstrtab"]);
        let starts: Vec<u32> = all_names
            .map(|name| {
                let start = names.len() as u32;
                names.extend(name.as_bytes());
                names.push(0);
                start
            })
            .collect();
        while names.len() % 4 != 0 {
            names.push(0);
        }
        let headers_size = (self.sections.len() + 2) * 40;
        let end = bytes.len();
        let (headers_at, names_at) =
            if self.headers_first { (end, end + headers_size) } else { (end + names.len(), end) };
        for (section, start) in self.sections.iter().zip(&starts) {
            headers.extend(words(&[*start, 1, 2, section.address, 0, section.size, 0, 0, 4, 0]));
        }
        let own = *starts.last().unwrap();
        headers.extend(words(&[own, 3, 0, 0, names_at as u32, names.len() as u32, 0, 0, 1, 0]));
        if self.headers_first {
            bytes.extend(headers);
            bytes.extend(names);
        } else {
            bytes.extend(names);
            bytes.extend(headers);
        }
        let program_headers_at = if self.program_headers_last { bytes.len() } else { 52 };
        if self.program_headers_last {
            bytes.extend(&program_headers);
        } else {
            bytes[52..52 + table_size].copy_from_slice(&program_headers);
        }
        let mut header = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend([2, 0, 40, 0]);
        header.extend(words(&[1, 0x8000_1001, program_headers_at as u32, headers_at as u32, 0]));
        for half in [52, 32, self.parts.len() as u16, 40, self.sections.len() as u16 + 2, name_table as u16] {
            header.extend(half.to_le_bytes());
        }
        bytes[..52].copy_from_slice(&header);
        bytes
    }
}

/// The same ELF file in 64 bits: headers in their wide form behind everything else, everything else 16 bytes further on.
pub fn widened(elf: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let half = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    const SHIFT: u32 = 16;
    let mut bytes = elf[..16].to_vec();
    bytes[4] = 2;
    bytes.extend_from_slice(&elf[16..24]);
    bytes.resize(52 + SHIFT as usize, 0);
    bytes.extend_from_slice(&elf[52..]);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let (programs, sections) = (word(28) as usize, word(32) as usize);
    let put = |bytes: &mut Vec<u8>, value: u32| bytes.extend(u64::from(value).to_le_bytes());
    let programs_at = bytes.len() as u32;
    for at in (0..half(44)).map(|index| programs + index * 32) {
        bytes.extend_from_slice(&elf[at..at + 4]);
        bytes.extend_from_slice(&elf[at + 24..at + 28]);
        put(&mut bytes, word(at + 4) + SHIFT);
        for field in [8, 12, 16, 20, 28] {
            put(&mut bytes, word(at + field));
        }
    }
    let sections_at = bytes.len() as u32;
    for at in (0..half(48)).map(|index| sections + index * 40) {
        bytes.extend_from_slice(&elf[at..at + 8]);
        put(&mut bytes, word(at + 8));
        put(&mut bytes, word(at + 12));
        put(&mut bytes, word(at + 16) + SHIFT);
        put(&mut bytes, word(at + 20));
        bytes.extend_from_slice(&elf[at + 24..at + 32]);
        put(&mut bytes, word(at + 32));
        put(&mut bytes, word(at + 36));
    }
    bytes[24..32].copy_from_slice(&u64::from(word(24)).to_le_bytes());
    bytes[32..40].copy_from_slice(&u64::from(programs_at).to_le_bytes());
    bytes[40..48].copy_from_slice(&u64::from(sections_at).to_le_bytes());
    let sizes = [64, 56, half(44) as u16, 64, half(48) as u16, half(50) as u16];
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    bytes[52..64].copy_from_slice(&sizes);
    bytes
}

/// A resource table: `entries` are whole entries, type first.
pub fn resource_table(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut table = words(&[1, entries.len() as u32, 0, 0]);
    let mut offset = 16 + 4 * entries.len() as u32;
    for entry in entries {
        table.extend(offset.to_le_bytes());
        offset += entry.len() as u32;
    }
    table.extend(entries.concat());
    table
}

/// A trace entry.
pub fn trace() -> Vec<u8> {
    let mut entry = words(&[2, 0x80a0_1000, 0x1000, 0]);
    entry.extend([0; 32]);
    entry
}

/// A carveout (0) or devmem (1) entry.
pub fn memory(kind: u32) -> Vec<u8> {
    let mut entry = words(&[kind, 0x80a0_2000, 0xffff_ffff, 0x1000, 0, 0]);
    entry.extend([0; 32]);
    entry
}

/// A vdev entry with vrings and configuration space.
pub fn vdev(vrings: u8, configuration: u32) -> Vec<u8> {
    let mut entry = words(&[3, 7, 0, 1, 0, configuration]);
    entry.extend([0, vrings, 0, 0]);
    for index in 0..u32::from(vrings) {
        entry.extend(words(&[0x80a0_4000 + index * 0x4000, 4096, 16, index, 0]));
    }
    entry.extend(vec![0; configuration as usize]);
    entry
}
