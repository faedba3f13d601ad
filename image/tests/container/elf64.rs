//! ELF files of 64 bits: carried with 32-bit values, compared field by field, loaded to the same memory.
use crate::board::{BOARD, Driver, Memory, Refused, Success, answer, test_key, trusted};
use crate::elf::{File, Part, R, resource_table, trace, widened};
use crate::forge::Forge;
use remoteproc_image::provider::CipherKey;
use remoteproc_image::target::Target;
use remoteproc_image::write::{Container, EncryptionKey, Order, WriteError, hash_table};

fn file() -> File {
    let mut table = resource_table(&[trace()]);
    table.resize(table.len().next_multiple_of(16), 0);
    let mut file = File::with_table(&table);
    for part in &mut file.parts {
        part.bytes.resize(part.bytes.len().next_multiple_of(16), 0xa5);
        part.memory_size = part.memory_size.max(part.bytes.len() as u32);
    }
    file
}

fn load(forge: &Forge, pieces: &[usize]) -> Result<Success, Refused> {
    let keys = trusted();
    Driver { pieces, ..Driver::new(&keys) }.load(&forge.sign())
}

fn same(one: &Success, other: &Success) {
    assert_eq!(one.loaded.resource_table, other.loaded.resource_table);
    assert_eq!(one.segments.len(), other.segments.len());
    for segment in &one.segments {
        let bytes = |memory: &Memory| memory.bytes(segment.physical_address, segment.memory_size);
        assert!(bytes(&one.memory) == bytes(&other.memory));
    }
}

#[test]
fn a_file_of_64_bits_loads_like_its_32_bit_form() {
    let narrow = file().build();
    let wide = widened(&narrow);
    let narrow = Forge::of_bytes(vec![narrow]).load().unwrap();
    for pieces in [&[usize::MAX][..], &[1], &[7, 64], &[52], &[53]] {
        same(&narrow, &load(&Forge::of_bytes(vec![wide.clone()]), pieces).unwrap());
    }
    let key = *b"0123456789abcdef";
    let container = Container::new(Order::Vendor).image(&wide).encrypt(EncryptionKey::new(&key).unwrap());
    let container = container.resource_table_of_images().unwrap().sign(test_key()).unwrap();
    let keys = trusted();
    let target = Target { decryption_key: Some(CipherKey::Bytes(&key)), ..BOARD };
    same(&narrow, &Driver { target, ..Driver::new(&keys) }.load(&container).unwrap());
}

#[test]
fn values_beyond_32_bits_are_not_carried() {
    let wide = widened(&file().build());
    let start = u64::from_le_bytes(wide[32..40].try_into().unwrap()) as usize;
    // Offset, virtual and physical address, sizes, alignment; of the second program header.
    for field in [8, 16, 24, 32, 40, 48] {
        let at = start + 56 + field + 4;
        let mut large = wide.clone();
        large[at] = 1;
        let error = Container::new(Order::Mainline).image(&large).sign(test_key()).unwrap_err();
        assert!(matches!(error, WriteError::Elf { image: 0, header: Some(1), .. }), "byte {field}: {error}");
        // Nor taken, if somebody adds them behind the signer's back.
        let mut forge = Forge::of_bytes(vec![wide.clone()]);
        forge.patch(at, &[1]);
        assert_eq!(answer(&forge.load()), "after:PROGRAM_HEADERS_MISMATCH", "byte {field}");
    }
    for byte in 0..56 {
        let mut forge = Forge::of_bytes(vec![wide.clone()]);
        forge.patch(start + byte, &[wide[start + byte] ^ 1]);
        assert_eq!(answer(&forge.load()), "after:PROGRAM_HEADERS_MISMATCH", "byte {byte}");
    }
}

#[test]
fn headers_of_64_bits_that_lie_outside_are_refused() {
    let wide = widened(&file().build());
    let patched = |at: usize, bytes: &[u8]| {
        let mut forge = Forge::of_bytes(vec![wide.clone()]);
        forge.patch(at, bytes);
        answer(&forge.load())
    };
    assert_eq!(patched(36, &[1]), "after:PROGRAM_HEADERS_OUTSIDE");
    assert_eq!(patched(32, &[0xff; 8]), "after:PROGRAM_HEADERS_OUTSIDE");
    assert_eq!(patched(44, &[1]), "after:SECTION_HEADERS_MALFORMED");
    assert_eq!(patched(40, &[0xff; 8]), "after:SECTION_HEADERS_MALFORMED");
    assert_eq!(patched(54, &[32]), "after:ELF_MALFORMED", "program headers of another size");
    assert_eq!(patched(58, &[40]), "after:SECTION_HEADERS_MALFORMED", "section headers of another size");
    assert_eq!(
        patched(4, &[1]),
        "after:SEGMENT_NOT_IN_FILE",
        "as a file of 32 bits, without program headers"
    );
    assert_eq!(patched(4, &[3]), "after:ELF_MALFORMED");
    // A section whose address exceeds 32 bits, and the name table beyond the file.
    let sections = u64::from_le_bytes(wide[40..48].try_into().unwrap()) as usize;
    assert_eq!(patched(sections + 64 + 20, &[1]), "after:RESOURCE_TABLE_OUTSIDE");
    assert_eq!(patched(sections + 128 + 28, &[1]), "after:SECTION_HEADERS_MALFORMED");

    // A 64-bit header in an image that has no room for one.
    let zeros = Part { memory_size: 16, ..Part::load(0x8000_0000, R, b"") };
    let mut forge = Forge::new(&[File { parts: vec![zeros], ..File::default() }]);
    forge.images[0].truncate(56);
    forge.patch(4, &[2]);
    forge.set(crate::forge::IMAGE_SIZE, &56u32.to_le_bytes());
    assert_eq!(answer(&forge.load()), "after:ELF_MALFORMED");
}

#[test]
fn the_writer_says_what_it_can_not_carry() {
    let wide = widened(&file().build());
    let with = |at: usize, bytes: &[u8]| {
        let mut elf = wide.clone();
        elf[at..at + bytes.len()].copy_from_slice(bytes);
        hash_table(&elf).is_err()
    };
    assert!(!with(0, &[0x7f]));
    assert!(with(32, &[0xff; 8]), "program headers outside");
    assert!(with(54, &[32]), "program headers of another size");
    assert!(with(56, &[0, 0]), "no program headers");
    assert!(hash_table(&wide[..63]).is_err());
    assert!(hash_table(&wide[..40]).is_err());
}
