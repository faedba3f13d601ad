//! Firmware for the tests: read from ELF files, or a few instructions made here.

use object::read::elf::ElfFile32;
use object::{Endianness, Object, ObjectSection, ObjectSegment, SegmentFlags};
use remote_core_supervisor::{Core, WINDOW, write_window};
use std::path::Path;

/// A PT_LOAD of an ELF file.
#[derive(Debug)]
pub struct Segment {
    pub device: u64,
    pub virtual_address: u64,
    pub memory: u64,
    pub bytes: Vec<u8>,
    pub writable: bool,
    pub executable: bool,
}

/// The segments to load.
pub fn segments(path: &Path) -> Vec<Segment> {
    let file = std::fs::read(path).unwrap();
    let elf = ElfFile32::<Endianness>::parse(&*file).unwrap();
    let segments = elf.segments().map(|segment| {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { panic!("not an ELF segment") };
        Segment {
            device: segment.elf_program_header().p_paddr.get(elf.endian()).into(),
            virtual_address: segment.address(),
            memory: segment.size(),
            bytes: segment.data().unwrap().to_vec(),
            writable: p_flags & object::elf::PF_W != object::elf::ProgramFlags(0),
            executable: p_flags & object::elf::PF_X != object::elf::ProgramFlags(0),
        }
    });
    segments.collect()
}

/// Address and bytes of the resource table.
pub fn resource_table(path: &Path) -> (u64, Vec<u8>) {
    let file = std::fs::read(path).unwrap();
    let elf = ElfFile32::<Endianness>::parse(&*file).unwrap();
    let section = elf.section_by_name(".resource_table").unwrap();
    (section.address(), section.data().unwrap().to_vec())
}

/// Loads an ELF file as the partition does: device addresses become physical ones, with zeros behind each segment's bytes.
pub fn load_for(core: Core, window: &Path, path: &Path) {
    for segment in segments(path) {
        let mut bytes = segment.bytes;
        bytes.resize(usize::try_from(segment.memory).unwrap(), 0);
        write_window(window, WINDOW + segment.device - u64::from(core.window()), &bytes).unwrap();
    }
}

/// The same for the Cortex-M33.
pub fn load(window: &Path, path: &Path) {
    load_for(Core::CortexM33, window, path);
}

/// Instructions, as halfwords.
pub struct Program(Vec<u16>);

/// Stores a word and stays in a loop.
pub fn store_and_stay(address: u32, value: u8) -> Program {
    let [low, high] = [address as u16, (address >> 16) as u16];
    Program(vec![
        0x4801,                    // ldr r0, [pc, #4]
        0x2100 | u16::from(value), // movs r1, #value
        0x6001,                    // str r1, [r0]
        0xe7fe,                    // b .
        low,
        high,
    ])
}

/// Nothing that a core could execute.
pub fn undefined_instruction() -> Program {
    Program(vec![0xde00])
}

/// A vector table with a stack and an entry only (every fault locks up), and the program behind it, for this device address.
pub fn assemble(boot_address: u32, stack: u32, program: &Program) -> Vec<u8> {
    let start = boot_address + 0x400;
    let mut bytes = vec![0; 0x400];
    bytes[..4].copy_from_slice(&stack.to_le_bytes());
    bytes[4..8].copy_from_slice(&(start | 1).to_le_bytes());
    bytes.extend(program.0.iter().flat_map(|halfword| halfword.to_le_bytes()));
    bytes
}

/// Writes it for the Cortex-M33.
pub fn write_program(window: &Path, boot_address: u32, program: &Program) {
    write_window(window, boot_address.into(), &assemble(boot_address, 0x8018_0000, program)).unwrap();
}
