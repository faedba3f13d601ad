//! This project's own TLVs: what each means, what is refused, and that nothing of them counts before the signature.
use crate::board::{BOARD, Driver, Refused, Success, answer, test_key, trusted, vector};
use crate::elf::{File, Part, R, Section, W, X, resource_table, trace, vdev};
use crate::forge::*;
use remoteproc_image::reader::{ImageTarget, OwnTlvs, Reader, SignedTable};
use remoteproc_image::software::{Software, SoftwareHasher};
use remoteproc_image::target::Target;
use remoteproc_image::write::{Container, Order, WriteError};
use sha2::{Digest, Sha256};

fn on(target: Target<'_>, container: &[u8]) -> Result<Success, Refused> {
    let keys = trusted();
    Driver { target, ..Driver::new(&keys) }.load(container)
}

fn with(kind: u32, value: &[u8]) -> Vec<u8> {
    Forge::new(&[File::simple()]).set(kind, value).sign()
}

fn answer_to(kind: u32, value: &[u8]) -> String {
    answer(&on(BOARD, &with(kind, value)))
}

/// The own TLVs as the reader sees them once it has planned.
fn seen(container: &[u8], check: impl FnOnce(OwnTlvs<'_>)) {
    let mut reader: Box<Reader<SoftwareHasher>> = Box::new(Reader::new());
    reader.begin(container.len() as u64).unwrap();
    let mut at = 0;
    while !reader.metadata_complete() {
        at += reader.push_metadata(&container[at..]).unwrap();
        assert_eq!(reader.own_tlvs(), None);
    }
    reader.authenticate(&Software, &trusted()).unwrap();
    assert_eq!(reader.own_tlvs(), None, "before the plan");
    reader.plan(&BOARD).unwrap();
    check(reader.own_tlvs().unwrap());
}

#[test]
fn all_of_them_are_written_and_read() {
    let table = resource_table(&[trace(), vdev(2, 0)]);
    let elf = File::with_table(&table).build();
    let key_id = test_key().public().id();
    let container = Container::new(Order::Mainline)
        .image(&elf)
        .security_counter(7)
        .target(Some(0), "test-board")
        .unwrap()
        .key_id(&key_id)
        .version("1.2.3 (test)")
        .unwrap()
        .coredump(true)
        .resource_table_of_images()
        .unwrap()
        .sign(test_key())
        .unwrap();
    seen(&container, |own| {
        let digest = Sha256::digest(&table).into();
        let expected = OwnTlvs {
            security_counter: Some(7),
            target: Some(ImageTarget { processor: Some(0), board: "test-board" }),
            resource_table: Some(SignedTable {
                device_address: 0x80a0_0000,
                size: table.len() as u32,
                digest,
            }),
            key_id: Some(key_id),
            version: Some("1.2.3 (test)"),
            coredump: Some(true),
        };
        assert_eq!(own, expected);
    });
    let success = on(BOARD, &container).unwrap();
    assert_eq!(success.loaded.security_counter, 7);
    assert!(success.loaded.coredump_allowed && !success.loaded.encrypted);
    assert_eq!(success.loaded.resource_table.unwrap().size as usize, table.len());
    seen(&with(0x77, b""), |own| assert_eq!(own, OwnTlvs::default()));
}

#[test]
fn malformed_own_tlvs_are_refused() {
    let malformed = "after:OWN_TLV_MALFORMED";
    let mut long_version = vec![b'v'; 64];
    let mut long_board = vec![b'b'; 36];
    long_board[..4].fill(0xff);
    for (kind, most) in [(SECURITY_COUNTER, 4), (COREDUMP, 4), (KEY_ID, 32), (RESOURCE_TABLE, 40)] {
        for length in (0..most).chain([most + 1, most + 8]) {
            assert_eq!(answer_to(kind, &vec![0; length]), malformed, "{kind:#x}, {length} bytes");
        }
    }
    for length in 0..4 {
        assert_eq!(answer_to(TARGET, &vec![0xff; length]), malformed, "{length} bytes");
    }
    assert_eq!(answer_to(TARGET, b"\0\0\0\0board\0"), malformed, "a byte that is no character");
    assert_eq!(answer_to(TARGET, b"\0\0\0\0board\xff"), malformed, "a byte that is no ASCII");
    assert_eq!(answer_to(TARGET, &long_board), "after:TARGET_MISMATCH", "32 characters");
    long_board.push(b'b');
    assert_eq!(answer_to(TARGET, &long_board), malformed, "33 characters");
    assert_eq!(answer_to(VERSION, b""), malformed);
    assert_eq!(answer_to(VERSION, b"a\n"), malformed);
    assert_eq!(answer_to(VERSION, &long_version), "load");
    long_version.push(b'v');
    assert_eq!(answer_to(VERSION, &long_version), malformed);
    assert_eq!(answer_to(COREDUMP, &[2, 0, 0, 0]), malformed);
    assert_eq!(answer_to(COREDUMP, &[0, 0, 0, 1]), malformed);
    assert_eq!(answer_to(RESOURCE_TABLE, &[0; 40]), "load", "declares that there is none");
    for at in [0, 8, 39] {
        let mut none = [0; 40];
        none[at] = 1;
        assert_eq!(answer_to(RESOURCE_TABLE, &none), malformed, "no table, and byte {at} is not zero");
    }
}

#[test]
fn nothing_of_them_counts_without_a_signature() {
    for (kind, value) in [(SECURITY_COUNTER, &[0u8; 3][..]), (TARGET, &[9, 0, 0, 0]), (VERSION, b"\0")] {
        let forged = Forge::new(&[File::simple()]).set(kind, value).raw().with_signature(&[1; 256]).unwrap();
        assert_eq!(answer(&on(BOARD, &forged)), "before:SIGNATURE_INVALID", "{kind:#x}");
    }
}

#[test]
fn images_for_other_processors_and_boards_are_refused() {
    let any = [0xff; 4];
    let mismatch = "after:TARGET_MISMATCH";
    let named = |processor: &[u8], board: &str| answer_to(TARGET, &[processor, board.as_bytes()].concat());
    assert_eq!(named(&any, ""), "load");
    assert_eq!(named(&any, "test-board"), "load");
    assert_eq!(named(&[0; 4], ""), "load");
    assert_eq!(named(&[0; 4], "test-board"), "load");
    assert_eq!(named(&[1, 0, 0, 0], ""), mismatch);
    assert_eq!(named(&[1, 0, 0, 0], "test-board"), mismatch);
    for board in ["Test-board", "test-boar", "test-boards", "other"] {
        assert_eq!(named(&any, board), mismatch, "{board}");
    }
    let nameless = Target { board: "", processor: 1, ..BOARD };
    assert_eq!(answer(&on(nameless, &with(TARGET, b"\x01\0\0\0"))), "load");
    assert_eq!(answer(&on(nameless, &with(TARGET, b"\x01\0\0\0test-board"))), mismatch);
}

#[test]
fn images_below_the_platforms_counter_are_refused() {
    let platform =
        |security_counter, most_security_counter| Target { security_counter, most_security_counter, ..BOARD };
    let image = |counter: u32| with(SECURITY_COUNTER, &counter.to_le_bytes());
    let low = "after:COUNTER_TOO_LOW";
    for (counter, expected) in [(4, low), (5, "load"), (6, "load"), (7, "after:COUNTER_TOO_HIGH")] {
        assert_eq!(answer(&on(platform(5, 6), &image(counter))), expected, "{counter}");
    }
    let without = Forge::new(&[File::simple()]).sign();
    assert_eq!(answer(&on(platform(0, 0), &without)), "load", "missing counts as 0");
    assert_eq!(answer(&on(platform(1, 9), &without)), low, "missing counts as 0");
    assert_eq!(answer(&on(platform(u32::MAX, u32::MAX), &image(u32::MAX))), "load");
    assert_eq!(answer(&on(platform(u32::MAX, u32::MAX), &image(u32::MAX - 1))), low);
}

/// A container whose RESOURCE_TABLE names some bytes of the image.
fn naming(file: &File, address: u32, table: &[u8]) -> Forge {
    let size = (table.len() as u32).to_le_bytes();
    let value = [&address.to_le_bytes()[..], &size, &Sha256::digest(table)].concat();
    let mut forge = Forge::new(std::slice::from_ref(file));
    forge.set(RESOURCE_TABLE, &value);
    forge
}

#[test]
fn the_signed_place_of_the_table_outweighs_the_section_headers() {
    let table = resource_table(&[trace()]);
    let mut file = File::with_table(&table);
    assert_eq!(answer(&naming(&file, 0x80a0_0000, &table).load()), "load");
    // Whatever the section headers say.
    file.sections[0].address = 0x9000_0000;
    assert_eq!(answer(&Forge::new(&[file.clone()]).load()), "after:RESOURCE_TABLE_OUTSIDE");
    assert_eq!(answer(&naming(&file, 0x80a0_0000, &table).load()), "load");
    file.sections.push(Section { name: ".resource_table", address: 0x80a0_0000, size: 16 });
    assert_eq!(answer(&naming(&file, 0x80a0_0000, &table).load()), "load");
    let mut hidden = naming(&file, 0x80a0_0000, &table);
    hidden.patch(48, &[0xff; 4]);
    assert_eq!(answer(&hidden.load()), "load", "section headers outside the image");
    let loaded = Forge::new(&[File::with_table(&table)]).set(RESOURCE_TABLE, &[0; 40]).load().unwrap().loaded;
    assert_eq!(loaded.resource_table, None, "the signer says that there is none");
}

#[test]
fn a_signed_table_obeys_the_rules_and_its_hash() {
    let table = resource_table(&[trace()]);
    let file = File::with_table(&table);
    let at = |address: u32, table: &[u8]| answer(&naming(&file, address, table).load());
    assert_eq!(at(0x80a0_0004, &table[4..]), "after:RESOURCE_TABLE_MALFORMED");
    let mut other = table.clone();
    other[20] ^= 1;
    assert_eq!(at(0x80a0_0000, &other), "after:RESOURCE_TABLE_HASH_MISMATCH");
    assert_eq!(at(0x80a0_0000, &table[..table.len() - 4]), "after:RESOURCE_ENTRY_MALFORMED");
    let longer = [table.clone(), vec![0]].concat();
    assert_eq!(at(0x80a0_0000, &longer), "after:RESOURCE_TABLE_OUTSIDE");
    assert_eq!(at(0x80a0_0001, &table[1..]), "after:RESOURCE_TABLE_MISALIGNED");
    assert_eq!(at(0x8000_0000, &[0; 16]), "after:RESOURCE_TABLE_NOT_SHARED");
    assert_eq!(at(0x8000_1000, &[0; 4]), "after:RESOURCE_TABLE_OUTSIDE", "executable");
    assert_eq!(at(0xffff_fffc, &table), "after:RESOURCE_TABLE_OUTSIDE", "beyond the addresses");

    // Exactly the limit, and a byte more.
    let mut file = File::simple();
    let entry = |bytes: usize| [vec![128, 0, 0, 0], vec![0; bytes]].concat();
    let table = resource_table(&[entry(16 * 1024 - 24)]);
    assert_eq!(table.len(), 16 * 1024);
    file.parts.push(Part::load(0x80a0_0000, R | W, &[&table[..], &[0; 16]].concat()));
    assert_eq!(answer(&naming(&file, 0x80a0_0000, &table).load()), "load");
    let longer = [table, vec![0]].concat();
    assert_eq!(answer(&naming(&file, 0x80a0_0000, &longer).load()), "after:RESOURCE_TABLE_TOO_LARGE");
    let keys = trusted();
    let mut driver = Driver::new(&keys);
    driver.memory.read_limit = Some(30 * 1024);
    let aborted = driver.load(&naming(&file, 0x80a0_0000, &longer[..16 * 1024]).sign());
    assert_eq!(answer(&aborted), "after:DESTINATION_ABORT");
}

#[test]
fn the_writer_finds_the_table_or_says_why_not() {
    let write = |files: &[File]| {
        let elfs: Vec<_> = files.iter().map(File::build).collect();
        let container = elfs.iter().fold(Container::new(Order::Mainline), |all, elf| all.image(elf));
        container.resource_table_of_images()
    };
    let table = resource_table(&[trace()]);
    let file = File::with_table(&table);
    assert!(write(std::slice::from_ref(&file)).is_ok());
    assert!(matches!(write(&[file.clone(), file.clone()]), Err(WriteError::ResourceTable(_))));
    let mut outside = file.clone();
    outside.sections[0].address = 0x9000_0000;
    assert!(matches!(write(&[outside]), Err(WriteError::ResourceTable(_))));
    let none = write(&[File::simple()]).unwrap().sign(test_key()).unwrap();
    seen(&none, |own| assert_eq!(own.resource_table.unwrap().size, 0));
    let mut executable = file;
    executable.parts[3].flags |= X;
    assert_eq!(answer(&Forge::new(&[executable]).load()), "after:EXECUTABLE_IN_SHARED");
    let vector = Container::new(Order::Mainline).image(&vector("elf/fw_m4.elf"));
    let signed = vector.resource_table_of_images().unwrap().sign(test_key()).unwrap();
    let found = on(BOARD, &signed).unwrap().loaded.resource_table.unwrap();
    assert_eq!((found.device_address, found.size), (0x1002_0210, 0x90));
}

#[test]
fn the_writer_refuses_values_without_room() {
    let container = || Container::new(Order::Mainline);
    assert!(container().version("").is_err());
    assert!(container().version(&"v".repeat(65)).is_err());
    assert!(container().version("a\tb").is_err());
    assert!(container().target(Some(u32::MAX), "").is_err());
    assert!(container().target(None, &"b".repeat(33)).is_err());
    assert!(container().target(None, "b\u{e4}").is_err());
    assert!(container().target(None, &"b".repeat(32)).is_ok());
}
