//! Any bytes as a resource table: the only segment of an ELF file that is otherwise in order.
#![no_main]
#![allow(missing_docs)]

use libfuzzer_sys::fuzz_target;
use remoteproc_fuzz::{Bench, SHARED, SIGNATURE, SIGNATURE_TYPE};
use remoteproc_image::write::{RawContainer, hash_table};
use std::cell::RefCell;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::default();
}

/// Names of the sections: none, `.resource_table`, `.shstrtab`.
const NAMES: &[u8] = b"\0.resource_table\0.shstrtab\0";
const HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;
const SECTION_HEADER: u16 = 40;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// An ELF file with the table at the beginning of shared memory.
fn elf(table: &[u8]) -> Vec<u8> {
    let start = HEADER + PROGRAM_HEADER;
    let size = table.len() as u32;
    let names = start + size.next_multiple_of(4);
    let sections = (names + NAMES.len() as u32).next_multiple_of(4);
    let mut elf = b"\x7fELF\x01\x01\x01".to_vec();
    elf.resize(16, 0);
    for half in [2u16, 40] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(words(&[1, 0, HEADER, sections, 0]));
    for half in [HEADER as u16, PROGRAM_HEADER as u16, 1, SECTION_HEADER, 3, 2] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(words(&[1, start, SHARED, SHARED, size, size, 6, 4]));
    elf.extend(table);
    elf.resize(names as usize, 0);
    elf.extend(NAMES);
    elf.resize(sections as usize, 0);
    elf.extend(words(&[0; 10]));
    elf.extend(words(&[1, 1, 3, SHARED, start, size, 0, 0, 4, 0]));
    elf.extend(words(&[17, 3, 0, 0, names, NAMES.len() as u32, 0, 0, 1, 0]));
    elf.resize(elf.len().next_multiple_of(8), 0);
    elf
}

fuzz_target!(|table: &[u8]| {
    if table.len() > 0x1000 {
        return;
    }
    let elf = elf(table);
    let Ok(hashes) = hash_table(&elf) else { unreachable!("the file is in order") };
    let tlvs = [
        (0x01, vec![SIGNATURE_TYPE]),
        (0x03, vec![1]),
        (0x04, vec![1]),
        (0x05, (elf.len() as u32).to_le_bytes().to_vec()),
        (0x10, hashes),
        // Code is not in the image, so it can't start; the table counts.
    ];
    let Ok(container) = RawContainer::new(&tlvs, elf).with_signature(&SIGNATURE) else { return };
    BENCH.with_borrow_mut(|bench| {
        let outcome = bench.load(&container);
        if let Ok(loaded) = &outcome {
            assert!(loaded.resource_table.is_some() || table.is_empty(), "the table was not found");
        }
    });
});
