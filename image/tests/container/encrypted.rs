//! Encrypted images: the vector, own ones with every key length, what the table may hold, and when plaintext exists.
use crate::board::{
    BOARD, Driver, Memory, Refused, Success, answer, p256_key, public_key, test_key, trusted, vector,
};
use crate::elf::{File, Part, R, W, X, resource_table, trace};
use crate::forge::*;
use remoteproc_image::provider::{CipherKey, TrustedKey};
use remoteproc_image::reader::{Progress, Reader};
use remoteproc_image::software::{Software, SoftwareHasher};
use remoteproc_image::target::Target;
use remoteproc_image::write::{Container, EncryptionKey, Order, RawContainer, WriteError};
use serde_json::Value;
use sha2::{Digest, Sha256};

const VECTOR: &str = "06-st-enc-aes256cbc-rsa2048.sig";
const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

/// The test board with a decryption key.
fn board(key: &[u8]) -> Target<'_> {
    Target { decryption_key: Some(CipherKey::Bytes(key)), ..BOARD }
}

fn on(target: Target<'_>, container: &[u8]) -> Result<Success, Refused> {
    let keys = trusted();
    Driver { target, ..Driver::new(&keys) }.load(container)
}

/// An image of whole blocks, with a table and memory that no file byte fills.
fn blocks() -> File {
    let mut table = resource_table(&[trace()]);
    table.resize(table.len().next_multiple_of(16), 0);
    let mut file = File::with_table(&table);
    file.parts[0].bytes = (0..64).collect();
    file.parts[0].memory_size = 64;
    file.parts[1] = Part::load(0x8000_1000, R | X, &[0xbe; 2064]);
    file.parts[2] = Part { memory_size: 100, ..Part::load(0x8010_0000, R | W, &[b'd'; 16]) };
    file.parts.push(Part { kind: 0x6474_e551, ..Part::load(0, R | W, b"") });
    file.parts.push(Part { memory_size: 64, ..Part::load(0x8020_0000, R | W, b"") });
    file
}

fn encrypted(file: &File, key: &[u8]) -> Container {
    Container::new(Order::Vendor).image(&file.build()).encrypt(EncryptionKey::new(key).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_vector_is_decrypted_into_the_expected_memory() {
    let all: Vec<Value> = serde_json::from_slice(&vector("expected.json")).unwrap();
    let expected = all.into_iter().find(|row| row["file"] == VECTOR).unwrap();
    let key = vector("keys/aes256.bin");
    let success = on(board(&key), &vector(VECTOR)).unwrap();
    let number = |value: &Value| {
        let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
            None => text.parse().unwrap(),
        }
    };
    let rows: Vec<_> =
        expected["segments"].as_array().unwrap().iter().filter(|row| number(&row["memsz"]) > 0).collect();
    assert_eq!(rows.len(), success.segments.len());
    for (segment, row) in success.segments.iter().zip(rows) {
        assert_eq!(segment.device_address, number(&row["da"]));
        let memory = success.memory.bytes(segment.physical_address, segment.memory_size);
        assert_eq!(hex(&Sha256::digest(memory)), row["loaded_sha256_with_zero_fill"]);
    }
    let table = success.loaded.resource_table.unwrap();
    let row = &expected["resource_table"];
    assert_eq!((table.device_address, table.size), (number(&row["da"]), number(&row["size"])));
    assert!(success.loaded.encrypted && !success.loaded.coredump_allowed);
    // It is the plain firmware of another vector.
    let plain = on(BOARD, &vector("04-rsa2048-platTLV-keyinfo.sig")).unwrap();
    assert_eq!(plain.loaded.resource_table, success.loaded.resource_table);
    for segment in &plain.segments {
        let bytes = |memory: &Memory| memory.bytes(segment.physical_address, segment.memory_size);
        assert!(bytes(&plain.memory) == bytes(&success.memory));
    }
}

#[test]
fn the_writer_writes_the_vector_but_for_its_vectors_and_signature() {
    let golden = vector(VECTOR);
    // The initialization vectors stand in the ENCTABLE, the first TLV but two: type, length, entries of 80 bytes.
    let table = 20 + 16 + 16 + 8;
    let entries = u32::from_le_bytes(golden[table - 4..table].try_into().unwrap()) as usize / 80;
    let vectors: Vec<[u8; 16]> = (0..entries)
        .map(|entry| golden[table + entry * 80 + 64..table + entry * 80 + 80].try_into().unwrap())
        .collect();
    let key = EncryptionKey::new(&vector("keys/aes256.bin")).unwrap();
    let written = Container::new(Order::Vendor)
        .image(&vector("elf/fw_m33_ns.elf"))
        .encrypt_with_vectors(key, &vectors)
        .boot_address(0x8010_0000)
        .sign(test_key())
        .unwrap();
    assert!(written == golden);
}

#[test]
fn every_key_length_and_piece_size_gives_the_same_memory() {
    let file = blocks();
    let plain = on(BOARD, &Forge::new(std::slice::from_ref(&file)).sign()).unwrap();
    for length in [16, 24, 32] {
        let key = &KEY[..length];
        let container = encrypted(&file, key).sign(test_key()).unwrap();
        for (pieces, budget) in [(&[usize::MAX][..], 1 << 20), (&[1], 16), (&[7, 100], 33), (&[4096], 1040)] {
            let keys = trusted();
            let driver = Driver { target: board(key), pieces, budget, ..Driver::new(&keys) };
            let success = driver.load(&container).unwrap();
            for segment in &plain.segments {
                let bytes = |memory: &Memory| memory.bytes(segment.physical_address, segment.memory_size);
                assert!(bytes(&plain.memory) == bytes(&success.memory), "{length} bytes of key");
            }
            assert_eq!(success.loaded.resource_table, plain.loaded.resource_table);
        }
        let other = on(board(&[0; 32][..length]), &container);
        // Another key: the ciphertext is right, the plaintext is noise, and so is the table in it.
        assert_eq!(answer(&other), "after:RESOURCE_TABLE_MALFORMED");
    }
}

#[test]
fn several_encrypted_images_signed_with_p256_and_key_information() {
    let mut second = File::simple();
    second.parts.truncate(1);
    second.parts[0] = Part::load(0x8030_0000, R, &[7; 48]);
    second.parts.insert(0, Part { kind: 4, ..Part::load(0, R, b"note") });
    let information = public_key("p256").to_der();
    let container = Container::new(Order::Vendor)
        .image(&blocks().build())
        .image(&second.build())
        .encrypt(EncryptionKey::new(&KEY).unwrap())
        .key_information(&information)
        .coredump(true)
        .sign(&p256_key())
        .unwrap();
    let id = public_key("p256").id();
    let keys = [TrustedKey::by_id("hash", &id)];
    let success = Driver { target: board(&KEY), ..Driver::new(&keys) }.load(&container).unwrap();
    assert_eq!(success.memory.bytes(0x8030_0000, 48), [7; 48]);
    assert!(success.loaded.coredump_allowed && success.loaded.encrypted);
    assert_eq!(success.segments.iter().map(|segment| segment.image).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1]);
}

#[test]
fn without_the_right_kind_of_key_nothing_is_loaded() {
    let container = encrypted(&blocks(), &KEY).sign(test_key()).unwrap();
    let refused = on(BOARD, &container).unwrap_err();
    assert_eq!((refused.answer().as_str(), refused.memory.written), ("after:NO_DECRYPTION_KEY", 0));
    for key in [CipherKey::Slot(0), CipherKey::Bytes(&KEY[..31]), CipherKey::Bytes(&[])] {
        let target = Target { decryption_key: Some(key), ..BOARD };
        assert_eq!(answer(&on(target, &container)), "after:ENCRYPTION_UNSUPPORTED");
    }
}

/// Nothing is decrypted unless every segment's ciphertext matched.
#[test]
fn one_wrong_byte_in_the_last_segment_leaves_ciphertext_everywhere() {
    let file = blocks();
    let good = encrypted(&file, &KEY).sign(test_key()).unwrap();
    let signed = on(board(&KEY), &good).unwrap();
    let last = signed.segments[3];
    let mut container = good;
    container[last.container_offset as usize] ^= 1;
    let refused = on(board(&KEY), &container).unwrap_err();
    assert_eq!(refused.answer(), "after:SEGMENT_HASH_MISMATCH");
    for segment in &signed.segments[..3] {
        let range = segment.container_offset as usize..;
        let ciphertext = &container[range][..segment.file_size as usize];
        assert!(refused.memory.bytes(segment.physical_address, segment.file_size) == ciphertext);
    }
}

#[test]
fn decryption_is_bounded_by_its_budget_and_in_its_place() {
    let container = encrypted(&blocks(), &KEY).sign(test_key()).unwrap();
    let target = board(&KEY);
    let mut reader: Box<Reader<SoftwareHasher>> = Box::new(Reader::new());
    let mut memory = Memory::default();
    reader.begin(container.len() as u64).unwrap();
    let mut at = 0;
    while !reader.metadata_complete() {
        at += reader.push_metadata(&container[at..]).unwrap();
    }
    reader.authenticate(&Software, &trusted()).unwrap();
    reader.plan(&target).unwrap();
    assert!(reader.is_encrypted());
    reader.push(&container[at..], &mut memory).unwrap();
    assert_eq!(reader.verify_segments(&Software, &mut memory, 1 << 20), Ok(Progress::Done));
    assert_eq!(reader.verify_segments(&Software, &mut memory, 1 << 20), Ok(Progress::Done));
    for budget in [0, 1, 15] {
        let before = memory.bytes_read;
        let progress = reader.decrypt_segments(&Software, &target, &mut memory, budget);
        assert_eq!(progress, Ok(Progress::Pending));
        assert_eq!(memory.bytes_read, before);
    }
    let mut calls = 0;
    loop {
        let (read, written) = (memory.bytes_read, memory.written);
        let progress = reader.decrypt_segments(&Software, &target, &mut memory, 100).unwrap();
        assert!(memory.bytes_read - read <= 96 && memory.written - written <= 96);
        calls += 1;
        if progress == Progress::Done {
            break;
        }
    }
    assert!(calls > 20, "{calls}");
    assert_eq!(reader.decrypt_segments(&Software, &target, &mut memory, 100), Ok(Progress::Done));
    assert!(reader.finish(&Software, &target, &mut memory).is_ok());

    // Without decryption there is no finish.
    let mut skipped: Box<Reader<SoftwareHasher>> = Box::new(Reader::new());
    skipped.begin(container.len() as u64).unwrap();
    let mut at = 0;
    while !skipped.metadata_complete() {
        at += skipped.push_metadata(&container[at..]).unwrap();
    }
    skipped.authenticate(&Software, &trusted()).unwrap();
    skipped.plan(&target).unwrap();
    skipped.push(&container[at..], &mut memory).unwrap();
    assert!(skipped.decrypt_segments(&Software, &target, &mut Memory::default(), 100).is_err(), "too early");
}

#[test]
fn memory_that_faults_ends_the_decryption() {
    let container = encrypted(&blocks(), &KEY).sign(test_key()).unwrap();
    let bytes: u64 = on(board(&KEY), &container)
        .unwrap()
        .segments
        .iter()
        .map(|segment| u64::from(segment.file_size))
        .sum();
    let keys = trusted();
    let mut driver = Driver { target: board(&KEY), ..Driver::new(&keys) };
    driver.memory.read_limit = Some(bytes + 100);
    assert_eq!(answer(&driver.load(&container)), "after:DESTINATION_ABORT");
    let mut driver = Driver { target: board(&KEY), ..Driver::new(&keys) };
    driver.memory.write_limit = Some(bytes + 100);
    assert_eq!(answer(&driver.load(&container)), "after:DESTINATION_ABORT");
}

/// An encrypted container, its table and TLVs free to be changed.
fn forge(change: impl FnOnce(&mut Forge) -> &mut Forge) -> Result<Success, Refused> {
    let raw: RawContainer = encrypted(&blocks(), &KEY).layout(1).unwrap();
    let mut forge = Forge { tlvs: Vec::new(), images: vec![raw.images] };
    let mut area = &raw.tlv_area[..];
    while let Some((head, rest)) = area.split_first_chunk::<8>() {
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let length = word(4) as usize;
        forge.tlvs.push((word(0), rest[..length].to_vec()));
        area = &rest[length.next_multiple_of(8)..];
    }
    change(&mut forge);
    on(board(&KEY), &forge.sign())
}

/// The same with bytes of the table changed.
fn table(entry: usize, at: usize, bytes: &[u8]) -> String {
    answer(&forge(|forge| {
        let (_, table) = forge.tlvs.iter_mut().find(|(kind, _)| *kind == ENCRYPTION_TABLE).unwrap();
        table[entry * 80 + at..][..bytes.len()].copy_from_slice(bytes);
        forge
    }))
}

#[test]
fn the_tlvs_of_an_encrypted_image_have_to_agree() {
    let answer_to = |change: fn(&mut Forge) -> &mut Forge| answer(&forge(change));
    assert_eq!(answer_to(|forge| forge), "load");
    assert_eq!(answer_to(|forge| forge.remove(ENCRYPTION_TYPE)), "after:ENCRYPTION_MIXED");
    assert_eq!(answer_to(|forge| forge.set(ENCRYPTION_TYPE, &[0])), "after:ENCRYPTION_TYPE_UNKNOWN");
    assert_eq!(answer_to(|forge| forge.set(ENCRYPTION_TYPE, &[1, 1])), "after:ENCRYPTION_TYPE_UNKNOWN");
    assert_eq!(answer_to(|forge| forge.set(IMAGE_TYPE, &[1])), "after:ENCRYPTION_MIXED");
    assert_eq!(answer_to(|forge| forge.set(IMAGE_TYPE, &[3])), "after:IMAGE_TYPE_UNKNOWN");
    assert_eq!(answer_to(|forge| forge.set(HASH_TABLE, &[0; 64])), "after:ENCRYPTION_MIXED");
    assert_eq!(answer_to(|forge| forge.remove(ENCRYPTION_TABLE)), "after:ENCRYPTION_TABLE_MISSING");
    assert_eq!(answer_to(|forge| forge.set(ENCRYPTION_TABLE, &[])), "after:ENCRYPTION_TABLE_MISSING");
    assert_eq!(answer_to(|forge| forge.set(ENCRYPTION_TABLE, &[0; 79])), "after:ENCRYPTION_TABLE_MALFORMED");
    assert_eq!(answer_to(|forge| forge.set(ENCRYPTION_TABLE, &[0; 80 * 129])), "after:TOO_MANY_SEGMENTS");
    assert_eq!(answer_to(|forge| forge.set(ENCRYPTION_TABLE, &[0; 80 * 128])), "after:NOTHING_TO_LOAD");
}

#[test]
fn the_table_of_an_encrypted_image_holds_loads_then_zeros() {
    // blocks() has four PT_LOAD, one other header, one more PT_LOAD: five entries and a zero one.
    assert_eq!(table(0, 0, &[]), "load");
    assert_eq!(table(5, 79, &[1]), "after:ENCRYPTION_TABLE_MALFORMED");
    assert_eq!(table(5, 32, &[1]), "after:ENCRYPTION_TABLE_MALFORMED");
    assert_eq!(table(0, 0, &[6]), "after:ENCRYPTION_TABLE_MALFORMED");
    assert_eq!(table(0, 16, &[63]), "after:ENCRYPTED_SEGMENT_SIZE");
    assert_eq!(table(0, 32, &[0; 32]), "after:SEGMENT_HASH_MISMATCH");
    assert_eq!(table(1, 24, &[R as u8]), "after:PROGRAM_HEADERS_MISMATCH");
    assert_eq!(table(0, 0, &[0; 80]), "after:PROGRAM_HEADERS_MISMATCH", "a zero entry before the others");
    // A header less, or more, than there are entries.
    let length = |entries: usize| {
        answer(&forge(|forge| {
            let (_, table) = forge.tlvs.iter_mut().find(|(kind, _)| *kind == ENCRYPTION_TABLE).unwrap();
            table.resize(entries * 80, 0);
            forge
        }))
    };
    assert_eq!(length(5), "after:PROGRAM_HEADERS_MISMATCH");
    assert_eq!(length(7), "after:PROGRAM_HEADERS_MISMATCH");
    let count = |headers: u8| answer(&forge(|forge| forge.patch(44, &[headers])));
    assert_eq!(count(5), "after:PROGRAM_HEADERS_MISMATCH", "a zero entry too many");
    assert_eq!(count(4), "after:SEGMENT_NOT_IN_FILE");
    assert_eq!(count(0), "after:SEGMENT_NOT_IN_FILE");
    // What is no PT_LOAD is not signed, unless it turns into one or the other way round.
    let kind =
        |header: usize, kind: u32| answer(&forge(|forge| forge.patch(52 + header * 32, &kind.to_le_bytes())));
    assert_eq!(kind(4, 2), "load");
    assert_eq!(kind(4, 1), "after:PROGRAM_HEADERS_MISMATCH");
    assert_eq!(kind(5, 2), "after:SEGMENT_NOT_IN_FILE");
    assert_eq!(kind(0, 2), "after:PROGRAM_HEADERS_MISMATCH");
}

#[test]
fn the_writer_encrypts_only_what_can_be_decrypted_in_place() {
    let write = |file: &File| encrypted(file, &KEY).sign(test_key());
    assert!(write(&blocks()).is_ok());
    assert!(
        matches!(write(&File::simple()), Err(WriteError::Elf { image: 0, header: Some(1), .. })),
        "4 bytes"
    );
    let mut headers = blocks();
    headers.parts[0] = Part { offset: Some(0), file_size: Some(64), ..headers.parts[0].clone() };
    assert!(matches!(write(&headers), Err(WriteError::Elf { header: Some(0), .. })), "the ELF header");
    // Which program header it is, counted from 0, those that are not loaded included.
    let mut long = blocks();
    long.parts[2] = Part { memory_size: 100, ..Part::load(0x8010_0000, R | W, &[b'd'; 17]) };
    long.parts.insert(1, Part { kind: 0x6474_e551, ..Part::load(0, R | W, b"") });
    let error = write(&long).unwrap_err();
    assert!(matches!(error, WriteError::Elf { image: 0, header: Some(3), .. }), "{error}");
    assert!(error.to_string().starts_with("image 0, program header 3: a segment's size"), "{error}");
    let mut twice = blocks();
    let last = twice.parts.len();
    let shared = twice.parts[1].clone();
    twice.parts.push(Part {
        address: 0x8040_0000,
        offset: Some(52 + 32 * 7 + 64),
        file_size: Some(16),
        bytes: vec![],
        memory_size: 16,
        ..shared
    });
    let error = write(&twice).unwrap_err();
    assert!(
        matches!(error, WriteError::Elf { header, .. } if header == Some(last)),
        "another segment's bytes"
    );
    for length in [0, 15, 17, 31, 33] {
        assert!(EncryptionKey::new(&vec![0; length]).is_err());
    }
    let key = EncryptionKey::new(&KEY).unwrap();
    assert!(!format!("{key:?}").contains("48"), "a key is not printed");
    let few = Container::new(Order::Vendor).image(&blocks().build()).encrypt_with_vectors(key, &[[0; 16]; 4]);
    assert!(matches!(few.sign(test_key()), Err(WriteError::Elf { header: None, .. })));
    // Random vectors: no two files are alike.
    assert!(write(&blocks()).unwrap() != write(&blocks()).unwrap());
}
