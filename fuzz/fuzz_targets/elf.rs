//! Any bytes as an ELF file, in a container whose signed table fits its program headers, or misses them by little.
#![no_main]
#![allow(missing_docs)]

use libfuzzer_sys::fuzz_target;
use remoteproc_fuzz::{Bench, SIGNATURE, SIGNATURE_TYPE};
use remoteproc_image::write::{RawContainer, hash_table};
use std::cell::RefCell;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::default();
}

// The first three bytes say where the file is changed after it was signed, and how.
fuzz_target!(|bytes: &[u8]| {
    let Some(([low, high, change], elf)) = bytes.split_first_chunk::<3>() else { return };
    let Ok(table) = hash_table(elf) else { return };
    let mut elf = elf.to_vec();
    if let Some(byte) = elf.get_mut(usize::from(u16::from_le_bytes([*low, *high]))) {
        *byte ^= change;
    }
    elf.resize(elf.len().next_multiple_of(8), 0);
    let Ok(size) = u32::try_from(elf.len()) else { return };
    let tlvs = [
        (0x01, vec![SIGNATURE_TYPE]),
        (0x03, vec![1]),
        (0x04, vec![1]),
        (0x05, size.to_le_bytes().to_vec()),
        (0x02, vec![1]),
        (0x10, table),
    ];
    let Ok(container) = RawContainer::new(&tlvs, elf).with_signature(&SIGNATURE) else { return };
    BENCH.with_borrow_mut(|bench| {
        let _ = bench.load(&container);
    });
});
