//! Pieces of any size give the same answer, and nothing makes the reader panic: arbitrary bytes, broken and re-signed vectors.
use crate::board::{
    BOARD, Believer, Driver, Memory, Refused, Success, answer, load, public_key, trusted, vector,
};
use crate::elf::{File, memory, resource_table, trace, vdev};
use crate::forge::Forge;
use proptest::prelude::*;
use remoteproc_image::provider::{CipherKey, TrustedKey};
use remoteproc_image::target::Target;

/// Loads, believing every signature.
fn believe(container: &[u8], pieces: &[usize], budget: usize) -> Result<Success, Refused> {
    let keys = trusted();
    let cipher = vector("keys/aes256.bin");
    let target = Target { decryption_key: Some(CipherKey::Bytes(&cipher)), ..BOARD };
    let Driver { keys, memory, .. } = Driver::new(&keys);
    Driver { provider: Believer, keys, target, pieces, budget, memory }.load(container)
}

/// Everything that a load tells, in a comparable form. A refusal leaves memory behind that is cleared, so it does not count.
fn told(result: &Result<Success, Refused>) -> (String, Option<u64>, Option<&Memory>, String) {
    match result {
        Ok(success) => (
            "load".into(),
            None,
            Some(&success.memory),
            format!("{:?}{:?}", success.loaded, success.segments),
        ),
        Err(refused) => (answer(result), refused.rejection.offset, None, String::new()),
    }
}

fn same(one: &Result<Success, Refused>, other: &Result<Success, Refused>) -> Result<(), TestCaseError> {
    let (one, other) = (told(one), told(other));
    prop_assert_eq!(one.0, other.0);
    prop_assert_eq!(one.1, other.1);
    prop_assert_eq!(one.3, other.3);
    if let (Some(one), Some(other)) = (one.2, other.2) {
        prop_assert!(one.same_contents(other));
    }
    Ok(())
}

#[test]
fn golden_containers_load_in_pieces_of_every_size() {
    let files = [
        ("01-rsa2048-m4.sig", "rsa2048"),
        ("02-rsa4096-multi-m33.sig", "rsa4096"),
        ("03-ecdsa-p256-m4.sig", "p256"),
    ];
    for (file, key) in files {
        let container = vector(file);
        let key = public_key(key);
        let keys = [TrustedKey::new("test", key.as_key())];
        let whole = load(&container, &key);
        for size in (1..=70).chain([512, 1000, 4095, 4096, 4097, container.len() - 1]) {
            let pieces = [size];
            let driver = Driver { pieces: &pieces, budget: size, ..Driver::new(&keys) };
            same(&whole, &driver.load(&container)).unwrap();
        }
    }
}

#[test]
fn segments_may_share_file_bytes_with_headers_and_each_other() {
    let mut file = File::with_table(&resource_table(&[trace()]));
    let size = file.build().len() as u32;
    let whole = |address| crate::elf::Part {
        offset: Some(0),
        file_size: Some(size),
        memory_size: size + 100,
        ..crate::elf::Part::load(address, crate::elf::R, b"")
    };
    file.parts.push(whole(0x8030_0000));
    file.parts.insert(0, whole(0x8020_0000));
    for program_headers_last in [false, true] {
        for headers_first in [false, true] {
            let file = File { program_headers_last, headers_first, ..file.clone() };
            let forge = Forge::new(&[file]);
            let image = &forge.images[0];
            let container = forge.sign();
            for size in [1, 3, 51, 52, 53, usize::MAX] {
                let success = Driver { pieces: &[size], ..Driver::new(&trusted()) }.load(&container).unwrap();
                for address in [0x8020_0000, 0x8030_0000] {
                    let loaded = success.memory.bytes(address, size_of_part(&success, address));
                    assert!(loaded == image[..loaded.len()], "{address:#x} in pieces of {size}");
                }
            }
        }
    }
}

fn size_of_part(success: &Success, address: u64) -> u32 {
    success.segments.iter().find(|segment| segment.physical_address == address).unwrap().file_size
}

#[test]
fn of_two_defects_the_first_in_the_file_is_told() {
    let mut file = File { program_headers_last: true, ..File::simple() };
    file.filler = b".resource_table\0".repeat(65);
    let mut names_first = Forge::new(&[file.clone()]);
    let last = names_first.images[0].iter().rposition(|byte| *byte != 0).unwrap();
    names_first.patch(last, &[0xff]);
    file.program_headers_last = false;
    let mut headers_first = Forge::new(&[file]);
    headers_first.patch(52, &[0xff]);
    for size in [1, 100, usize::MAX] {
        assert_eq!(answer(&believe(&names_first.unsigned(), &[size], 64)), "after:TOO_MANY_SECTIONS");
        assert_eq!(
            answer(&believe(&headers_first.unsigned(), &[size], 64)),
            "after:PROGRAM_HEADERS_MISMATCH"
        );
    }
    // Names, and a section header that says that its names lie outside.
    for (headers_first, expected) in
        [(false, "after:TOO_MANY_SECTIONS"), (true, "after:SECTION_HEADERS_MALFORMED")]
    {
        let names = b".resource_table\0".repeat(65);
        let mut file = File { headers_first, ..File::simple() };
        if !headers_first {
            file.filler = names.clone();
        }
        let mut image = file.build();
        if headers_first {
            image.extend(&names);
        }
        let mut forge = Forge::of_bytes(vec![image]);
        let headers = u32::from_le_bytes(forge.images[0][32..36].try_into().unwrap()) as usize;
        forge.patch(headers + 40 + 16, &[0xff; 4]);
        for size in [1, 100, usize::MAX] {
            assert_eq!(answer(&believe(&forge.unsigned(), &[size], 64)), expected);
        }
    }
}

/// Sizes of pieces: many small ones, some large.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..64usize, 1..5000usize], 1..12)
}

/// Containers that are nearly good: two images, a table with all kinds of entries.
fn nearly_good() -> Forge {
    let table = resource_table(&[trace(), memory(0), vdev(2, 8)]);
    let mut other = File { program_headers_last: true, ..File::simple() };
    for (part, address) in other.parts.iter_mut().zip([0x8020_0000, 0x8020_1000, 0x8020_2000]) {
        part.address = address;
    }
    Forge::new(&[File { headers_first: true, ..File::with_table(&table) }, other])
}

/// A place to change, as a fraction of the length, and what to put there.
fn changes() -> impl Strategy<Value = Vec<(f64, u8)>> {
    let byte = prop_oneof![any::<u8>(), Just(0), Just(1), Just(0xff)];
    prop::collection::vec((0.0..1.0f64, byte), 0..6)
}

fn change(bytes: &mut [u8], changes: &[(f64, u8)]) {
    for (place, value) in changes {
        let at = (place * bytes.len() as f64) as usize;
        bytes[at] = *value;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), sizes in pieces()) {
        let whole = believe(&bytes, &[usize::MAX], 1 << 20);
        prop_assert!(whole.is_err());
        same(&whole, &believe(&bytes, &sizes, 64))?;
    }

    #[test]
    fn arbitrary_bytes_behind_a_good_header_are_refused(
        tlvs in prop::collection::vec(any::<u8>(), 1..400),
        images in prop::collection::vec(any::<u8>(), 0..400),
        sizes in pieces(),
    ) {
        let mut forge = nearly_good();
        forge.tlvs.truncate(2);
        let mut raw = forge.raw();
        raw.tlv_area.extend(tlvs);
        raw.images = images;
        raw.images.resize(raw.images.len().next_multiple_of(8), 0);
        let container = raw.with_signature(&[0; 256]).unwrap();
        let whole = believe(&container, &[usize::MAX], 1 << 20);
        prop_assert!(whole.is_err());
        same(&whole, &believe(&container, &sizes, 64))?;
    }

    #[test]
    fn changed_containers_get_one_answer(in_tlvs in changes(), in_images in changes(), sizes in pieces(), budget in 1..3000usize) {
        let mut raw = nearly_good().raw();
        change(&mut raw.tlv_area, &in_tlvs);
        change(&mut raw.images, &in_images);
        let container = raw.with_signature(&[0; 256]).unwrap();
        let whole = believe(&container, &[usize::MAX], 1 << 20);
        same(&whole, &believe(&container, &sizes, budget))?;
    }

    #[test]
    fn changed_vectors_get_one_answer(which in 0..5usize, everywhere in changes(), sizes in pieces()) {
        let files = ["01-rsa2048-m4.sig", "04-rsa2048-platTLV-keyinfo.sig", "05-st-rsa2048-bootaddr-sec.sig",
            "06-st-enc-aes256cbc-rsa2048.sig", "03-ecdsa-p256-m4.sig"];
        let mut container = vector(files[which]);
        change(&mut container, &everywhere);
        let whole = believe(&container, &[usize::MAX], 1 << 20);
        same(&whole, &believe(&container, &sizes, 100))?;
    }

    #[test]
    fn changed_tables_never_panic(changes in changes(), cut in 0..200usize) {
        let mut table = resource_table(&[trace(), memory(1), vdev(2, 8), vec![0x80, 0, 0, 0]]);
        change(&mut table, &changes);
        table.truncate(table.len().saturating_sub(cut).max(1));
        let container = Forge::new(&[File::with_table(&table)]).unsigned();
        let whole = believe(&container, &[usize::MAX], 1 << 20);
        same(&whole, &believe(&container, &[13], 9))?;
    }
}
