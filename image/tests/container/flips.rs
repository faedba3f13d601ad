//! One flipped bit anywhere: what is authenticated never loads, and what is not never changes what is loaded.
use crate::board::{Driver, Memory, answer, trusted, vector};
use remoteproc_image::reader::Reader;
use std::ops::Range;

const FILE: &str = "04-rsa2048-platTLV-keyinfo.sig";
/// Offsets of the TLVs, the signature and the image in that file, and the size of its ELF header.
const TLVS: usize = 20;
const SIGNATURE: usize = 724;
const IMAGE: usize = 980;
const ELF_HEADER: usize = 52;

/// Flips every bit of some bytes, one at a time, and tells the answers.
fn flip_all(bytes: Range<usize>, mut judge: impl FnMut(usize, &str, &Memory)) {
    let keys = trusted();
    let mut container = vector(FILE);
    let mut reader = Box::new(Reader::new());
    for at in bytes {
        for bit in 0..8 {
            container[at] ^= 1 << bit;
            let result = Driver::new(&keys).load_with(&mut reader, &container);
            let memory = match &result {
                Ok(success) => &success.memory,
                Err(refused) => &refused.memory,
            };
            judge(at, &answer(&result), memory);
            container[at] ^= 1 << bit;
        }
    }
}

fn untouched(range: Range<usize>, allowed: &[&str]) {
    flip_all(range, |at, answer, memory| {
        assert!(allowed.contains(&answer), "byte {at}: {answer}");
        assert_eq!(memory.written, 0, "byte {at}: {answer}");
    });
}

#[test]
fn a_flipped_bit_in_the_header_never_loads() {
    let allowed = ["before:BAD_MAGIC", "before:BAD_VERSION", "before:SIZE_MISMATCH"];
    // A length may change without changing its sum with the pads; then the signature does not verify, or has another length.
    let lengths = ["before:EMPTY_SIGNATURE", "before:SIGNATURE_LENGTH", "before:SIGNATURE_INVALID"];
    untouched(0..TLVS, &[&allowed[..], &lengths].concat());
}

#[test]
fn a_flipped_bit_in_the_tlvs_never_loads() {
    let signature_type =
        ["before:SIGNATURE_TYPE_MISSING", "before:SIGNATURE_TYPE_UNKNOWN", "before:SIGNATURE_INVALID"];
    untouched(TLVS..TLVS + 16, &signature_type);
    untouched(TLVS + 16..SIGNATURE, &["before:SIGNATURE_INVALID"]);
}

#[test]
fn a_flipped_bit_in_the_signature_never_loads() {
    untouched(SIGNATURE..IMAGE, &["before:SIGNATURE_INVALID"]);
}

#[test]
fn a_flipped_bit_in_the_program_headers_never_loads() {
    flip_all(IMAGE + ELF_HEADER..IMAGE + ELF_HEADER + 4 * 32, |at, answer, _| {
        assert_eq!(answer, "after:PROGRAM_HEADERS_MISMATCH", "byte {at}");
    });
}

#[test]
fn a_flipped_bit_in_a_segment_never_loads() {
    let segments = Driver::new(&trusted()).load(&vector(FILE)).unwrap().segments;
    assert_eq!(segments.len(), 4);
    for segment in segments {
        let start = segment.container_offset as usize;
        flip_all(start..start + segment.file_size as usize, |at, answer, _| {
            assert_eq!(answer, "after:SEGMENT_HASH_MISMATCH", "byte {at}");
        });
    }
}

/// ELF header, section headers, names and gaps are not signed: a flip there is refused, or loads the very same bytes, and
/// reports a resource table only where one lies in an authenticated, shared segment.
#[test]
fn a_flipped_bit_elsewhere_changes_nothing_that_is_loaded() {
    let keys = trusted();
    let reference = Driver::new(&keys).load(&vector(FILE)).unwrap();
    let mut container = vector(FILE);
    let mut reader = Box::new(Reader::new());
    let (mut loaded, mut refused) = (0, 0);
    let unsigned = (IMAGE..IMAGE + ELF_HEADER).chain(IMAGE + 0x3000 + 0x210..container.len());
    for at in unsigned {
        let bit = 1 << (at % 8);
        container[at] ^= bit;
        match Driver::new(&keys).load_with(&mut reader, &container) {
            Ok(success) => {
                assert!(success.memory.same_contents(&reference.memory), "byte {at}");
                assert_eq!(success.loaded.boot_address, reference.loaded.boot_address);
                let table = success.loaded.resource_table;
                assert!(table.is_none() || table == reference.loaded.resource_table, "byte {at}: {table:x?}");
                loaded += 1;
            }
            Err(_) => refused += 1,
        }
        container[at] ^= bit;
    }
    assert!(loaded > 0 && refused > 0, "{loaded} {refused}");
}
