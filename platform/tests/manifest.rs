//! Manifests as the partition meets them: the board's own one through `dtc`, and broken ones built node by node.
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use proptest::prelude::*;
use remoteproc_image::provider::{CipherKey, KeyMaterial, PublicKey};
use remoteproc_image::target::{Access, BootSecurity};
use remoteproc_platform::manifest::{MAX_SIZE, ManifestError, parse};
use remoteproc_service::client_memory::PhysicalRange;
use std::process::{Command, Stdio};

const PAGE: u32 = 4096;
/// The properties with a processor's memory.
const PRIVATE: &str = "private-regions";
const SHARED: &str = "shared-regions";

fn words(node: &mut DeviceTreeNode, name: &str, value: &[u32]) {
    node.add_property(DeviceTreeProperty::new(name, value).unwrap());
}

fn text(node: &mut DeviceTreeNode, name: &str, value: &str) {
    node.add_property(DeviceTreeProperty::new(name, value).unwrap());
}

fn bytes(node: &mut DeviceTreeNode, name: &str, value: &[u8]) {
    node.add_property(DeviceTreeProperty::new(name, value).unwrap());
}

fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new(name).unwrap()
}

fn processor(name: &str, id: u32, base: u32) -> DeviceTreeNode {
    let mut processor = node(name);
    words(&mut processor, "id", &[id]);
    text(&mut processor, "label", name);
    text(&mut processor, "compatible", "remoteproc-sp,qemu-remote-core");
    words(&mut processor, "registers", &[0, base + 0xf_0000, PAGE]);
    words(&mut processor, "default-boot-address", &[0x1000_0000]);
    text(&mut processor, "boot-security", "honoured");
    words(&mut processor, PRIVATE, &[0x1000_0000, 0, base, 4 * PAGE]);
    words(&mut processor, SHARED, &[0x2000_0000, 0, base + 4 * PAGE, PAGE]);
    processor
}

fn key(name: &str, modulus: &[u8], exponent: u32) -> DeviceTreeNode {
    let mut key = node(name);
    text(&mut key, "label", name);
    text(&mut key, "algorithm", "rsa");
    bytes(&mut key, "modulus", modulus);
    words(&mut key, "exponent", &[exponent]);
    key
}

/// The base point of P-256 (SP 800-186, section 3.2.1.3): X, then Y.
const POINT: [u32; 16] = [
    0x6b17_d1f2,
    0xe12c_4247,
    0xf8bc_e6e5,
    0x63a4_40f2,
    0x7703_7d81,
    0x2deb_33a0,
    0xf4a1_3945,
    0xd898_c296,
    0x4fe3_42e2,
    0xfe1a_7f9b,
    0x8ee7_eb4a,
    0x7c0f_9e16,
    0x2bce_3357,
    0x6b31_5ece,
    0xcbb6_4068,
    0x37bf_51f5,
];

fn point() -> [u8; 64] {
    POINT.map(u32::to_be_bytes).concat().try_into().unwrap()
}

fn p256_key(name: &str, point: &[u8]) -> DeviceTreeNode {
    let mut key = node(name);
    text(&mut key, "label", name);
    text(&mut key, "algorithm", "p256");
    bytes(&mut key, "point", point);
    key
}

/// A good manifest, to be spoilt by each test in its own way.
fn tree() -> DeviceTree {
    let mut tree = DeviceTree::new();
    text(&mut tree.root, "description", "remoteproc");
    words(&mut tree.root, "ffa-version", &[0x0001_0002]);
    let mut board = node("remoteproc");
    text(&mut board, "compatible", "remoteproc-sp,board-1");
    words(&mut board, "normal-memory", &[0, 0x4000_0000, 0x1000_0000, 1, 0, 0x2000_0000]);
    words(&mut board, "devices", &[0, 0x0800_0000, 0x0800_0000]);
    words(&mut board, "reserved", &[0, 0x0e00_0000, 0x0100_0000]);
    let mut keys = node("keys");
    keys.add_child(key("key-0", &[0xab; 256], 65_537));
    board.add_child(keys);
    let mut processors = node("processors");
    processors.add_child(processor("m33", 7, 0x8000_0000));
    board.add_child(processors);
    tree.root.add_child(board);
    tree
}

fn board(tree: &mut DeviceTree) -> &mut DeviceTreeNode {
    tree.root.child_mut("remoteproc").unwrap()
}

fn m33(tree: &mut DeviceTree) -> &mut DeviceTreeNode {
    board(tree).child_mut("processors").unwrap().child_mut("m33").unwrap()
}

/// What is wrong with a manifest spoilt in this way.
fn spoilt(spoil: impl FnOnce(&mut DeviceTree)) -> String {
    let mut tree = tree();
    spoil(&mut tree);
    match parse(&tree.to_dtb()) {
        Ok(_) => "nothing".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reads_every_field() {
    let mut tree = tree();
    let strict = DeviceTreeProperty::new("strict-platform-tlvs", &[] as &[u8]).unwrap();
    board(&mut tree).add_property(strict);
    let blob = tree.to_dtb();
    let manifest = parse(&blob).unwrap();
    assert_eq!((manifest.ffa_version, manifest.description), (0x0001_0002, "remoteproc"));
    let board = &manifest.board;
    assert_eq!(
        board.normal_memory.as_slice(),
        [
            PhysicalRange { start: 0x4000_0000, size: 0x1000_0000 },
            PhysicalRange { start: 0x1_0000_0000, size: 0x2000_0000 },
        ]
    );
    assert_eq!(board.devices.as_slice(), [PhysicalRange { start: 0x0800_0000, size: 0x0800_0000 }]);
    assert_eq!(board.reserved.as_slice(), [PhysicalRange { start: 0x0e00_0000, size: 0x0100_0000 }]);
    assert!(board.strict_platform_tlvs && !board.accept_no_isolation);
    let [key] = board.keys.as_slice() else { panic!("{:?}", board.keys) };
    assert_eq!(
        (key.name, key.key().unwrap()),
        ("key-0", PublicKey::Rsa { modulus: &[0xab; 256], exponent: 65_537 })
    );
    let [m33] = board.processors.as_slice() else { panic!("{:?}", board.processors) };
    assert_eq!((m33.id, m33.name, m33.compatible), (7, "m33", "remoteproc-sp,qemu-remote-core"));
    assert_eq!(m33.registers.as_slice(), [PhysicalRange { start: 0x800f_0000, size: 0x1000 }]);
    assert_eq!(m33.default_boot_address, Some(0x1000_0000));
    assert_eq!(m33.boot_security, BootSecurity::Honoured);
    let [code, shared] = m33.regions.as_slice() else { panic!("{:?}", m33.regions) };
    assert_eq!(
        (code.device_address, code.physical_address, code.size, code.access),
        (0x1000_0000, 0x8000_0000, 0x4000, Access::Private)
    );
    assert_eq!(
        (shared.device_address, shared.physical_address, shared.size, shared.access),
        (0x2000_0000, 0x8000_4000, 0x1000, Access::Shared)
    );
}

#[test]
fn a_processor_may_be_for_some_endpoints() {
    let mut tree = tree();
    words(m33(&mut tree), "endpoints", &[0, 0x7fff]);
    let blob = tree.to_dtb();
    let processor = &parse(&blob).unwrap().board.processors[0];
    assert_eq!(processor.endpoints.as_slice(), [0, 0x7fff]);
    assert_eq!([0, 1, 0x7fff].map(|endpoint| processor.is_for(endpoint)), [true, false, true]);
    let wrong = "node m33: property endpoints has a wrong length or value";
    // A list of nobody would be read as no list at all.
    assert_eq!(spoilt(|t| words(m33(t), "endpoints", &[])), wrong);
    assert_eq!(spoilt(|t| words(m33(t), "endpoints", &[0x1_0000])), wrong);
    assert_eq!(spoilt(|t| bytes(m33(t), "endpoints", &[0, 0, 1])), wrong);
    assert_eq!(spoilt(|t| words(m33(t), "endpoints", &[1; 9])), "node endpoints: more than 8 entries");
}

#[test]
fn reads_keys_by_hash_revoked_keys_and_what_decrypts() {
    let mut tree = tree();
    let mut by_hash = node("key-1");
    text(&mut by_hash, "label", "by hash");
    text(&mut by_hash, "algorithm", "hash");
    bytes(&mut by_hash, "hash", &[7; 32]);
    by_hash.add_property(DeviceTreeProperty::new("revoked", &[] as &[u8]).unwrap());
    board(&mut tree).child_mut("keys").unwrap().add_child(by_hash);
    text(board(&mut tree), "board", "some board");
    bytes(board(&mut tree), "decryption-key", &[9; 24]);
    let blob = tree.to_dtb();
    let board = parse(&blob).unwrap().board;
    let [plain, hashed] = board.keys.as_slice() else { panic!("{:?}", board.keys) };
    assert!(!plain.revoked && hashed.revoked);
    assert_eq!((hashed.name, hashed.material), ("by hash", KeyMaterial::Id(&[7; 32])));
    assert_eq!(board.name, "some board");
    assert_eq!(board.decryption_key, Some(CipherKey::Bytes(&[9; 24])));
    assert!(!board.accept_no_isolation_encrypted);
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    let malformed = "node remoteproc: property decryption-key has a wrong length or value";
    let key = |bytes_of_key: &'static [u8]| spoilt(|t| bytes(board(t), "decryption-key", bytes_of_key));
    for wrong in [&[1; 0][..], &[1; 15], &[1; 17], &[1; 33], &[0; 16], &[0; 32]] {
        assert_eq!(key(wrong), malformed, "{} bytes", wrong.len());
    }
    for right in [&[1; 16][..], &[1; 24], &[1; 32]] {
        assert_eq!(key(right), "nothing");
    }
    let hash = |length: usize| {
        spoilt(|t| {
            let key = board(t).child_mut("keys").unwrap().child_mut("key-0").unwrap();
            text(key, "algorithm", "hash");
            bytes(key, "hash", &vec![1; length]);
        })
    };
    assert_eq!(hash(32), "nothing");
    assert_eq!((hash(31), hash(33)), (hash(0), hash(0)));
    assert!(hash(31).contains("hash"), "{}", hash(31));
}

#[test]
fn bytes_after_the_blob_are_ignored_and_missing_ones_are_not() {
    let mut blob = tree().to_dtb();
    assert!(matches!(parse(&blob[..blob.len() - 1]), Err(ManifestError::NoDeviceTree(_))));
    blob.extend([0xff; 64]);
    assert!(parse(&blob).is_ok());
    assert!(matches!(parse(&[]), Err(ManifestError::NoDeviceTree(_))));
}

#[test]
fn says_which_node_or_property_is_missing() {
    assert_eq!(spoilt(|_| ()), "nothing");
    let without = |property: &'static str| spoilt(|tree| drop(board(tree).remove_property(property)));
    assert_eq!(without("normal-memory"), "node remoteproc: no property normal-memory");
    assert_eq!(without("compatible"), "node remoteproc: no property compatible");
    assert_eq!(without("devices"), "nothing");
    assert_eq!(spoilt(|t| drop(t.root.remove_child("remoteproc"))), "node /: no node remoteproc");
    assert_eq!(spoilt(|t| drop(t.root.remove_property("ffa-version"))), "node /: no property ffa-version");
    assert_eq!(spoilt(|t| drop(board(t).remove_child("keys"))), "node remoteproc: no node keys");
    assert_eq!(spoilt(|t| drop(m33(t).remove_property("id"))), "node m33: no property id");
    assert_eq!(spoilt(|t| drop(m33(t).remove_property(PRIVATE))), "node m33: no property private-regions");
    assert_eq!(spoilt(|t| drop(m33(t).remove_property(SHARED))), "nothing");
    assert_eq!(spoilt(|t| drop(m33(t).remove_property("default-boot-address"))), "nothing");
    assert_eq!(
        spoilt(|t| drop(board(t).child_mut("keys").unwrap().remove_child("key-0"))),
        "node keys: no entries"
    );
}

#[test]
fn says_which_value_makes_no_sense() {
    let wrong =
        |node: &str, property: &str| format!("node {node}: property {property} has a wrong length or value");
    assert_eq!(spoilt(|t| text(board(t), "compatible", "somebody,else")), wrong("remoteproc", "compatible"));
    assert_eq!(spoilt(|t| words(board(t), "devices", &[0, 0x1000])), wrong("remoteproc", "devices"));
    assert_eq!(spoilt(|t| words(m33(t), "id", &[0, 1])), wrong("m33", "id"));
    assert_eq!(spoilt(|t| bytes(m33(t), "label", b"no end")), wrong("m33", "label"));
    assert_eq!(spoilt(|t| text(m33(t), "label", "new\nline")), wrong("m33", "label"));
    assert_eq!(spoilt(|t| text(m33(t), "boot-security", "perhaps")), wrong("m33", "boot-security"));
    assert_eq!(
        spoilt(|t| text(board(t).child_mut("keys").unwrap().child_mut("key-0").unwrap(), "algorithm", "dsa")),
        wrong("key-0", "algorithm")
    );
    for property in [PRIVATE, SHARED] {
        assert_eq!(
            spoilt(|t| words(m33(t), property, &[0x1000_0000, 0, 0x8000_0000])),
            wrong("m33", property)
        );
        assert_eq!(spoilt(|t| bytes(m33(t), property, &[0; 17])), wrong("m33", property));
    }
    let none = spoilt(|t| {
        words(m33(t), PRIVATE, &[]);
        m33(t).remove_property(SHARED);
    });
    assert_eq!(none, "node m33: no entries");
}

#[test]
fn keys_have_2048_to_4096_bits() {
    let with_key = |modulus: &[u8], exponent| {
        spoilt(|t| board(t).child_mut("keys").unwrap().add_child(key("key-1", modulus, exponent)))
    };
    let refused = "key key-1: not an RSA key of 2048 to 4096 bit with an odd exponent above 1";
    let mut padded = [0xff; 257];
    padded[0] = 0;
    let mut short = [0xff; 256];
    short[0] = 0x7f;
    let mut even = [0xff; 256];
    even[255] = 0xfe;
    assert_eq!(with_key(&[0xff; 256], 3), "nothing");
    assert_eq!(with_key(&[0xff; 512], 65_537), "nothing");
    assert_eq!(with_key(&padded, 65_537), refused, "leading zero byte");
    assert_eq!(with_key(&short, 65_537), refused, "2047 bit");
    assert_eq!(with_key(&even, 65_537), refused);
    assert_eq!(with_key(&[0xff; 513], 65_537), refused);
    assert_eq!(with_key(&[], 65_537), refused);
    assert_eq!(with_key(&[0xff; 256], 1), refused);
    assert_eq!(with_key(&[0xff; 256], 65_536), refused);
}

#[test]
fn keys_of_p256_are_points_of_the_curve() {
    let with_key =
        |point: &[u8]| spoilt(|t| board(t).child_mut("keys").unwrap().add_child(p256_key("key-1", point)));
    let length = "node key-1: property point has a wrong length or value";
    let refused = "key key-1: the point does not lie on the curve P-256";
    assert_eq!(with_key(&point()), "nothing");
    assert_eq!(with_key(&[]), length);
    assert_eq!(with_key(&point()[..63]), length);
    assert_eq!(with_key(&[&[4], &point()[..]].concat()), length, "with SEC 1's first byte");
    assert_eq!(with_key(&[0; 64]), refused);
    assert_eq!(with_key(&[0xff; 64]), refused, "coordinates beyond the field");
    for at in [0, 31, 32, 63] {
        let mut beside = point();
        beside[at] ^= 1;
        assert_eq!(with_key(&beside), refused, "byte {at}");
    }
    let without = spoilt(|t| {
        let mut key = p256_key("key-1", &point());
        key.remove_property("point");
        board(t).child_mut("keys").unwrap().add_child(key);
    });
    assert_eq!(without, "node key-1: no property point");
}

#[test]
fn keys_of_different_algorithms_stand_side_by_side() {
    let mut tree = tree();
    board(&mut tree).child_mut("keys").unwrap().add_child(p256_key("key-1", &point()));
    board(&mut tree).child_mut("keys").unwrap().add_child(key("key-2", &[0xff; 512], 3));
    let blob = tree.to_dtb();
    let keys = parse(&blob).unwrap().board.keys;
    let names: Vec<_> = keys.iter().map(|key| (key.name, key.key().unwrap().bits())).collect();
    assert_eq!(names, [("key-0", 2048), ("key-1", 256), ("key-2", 4096)]);
    assert_eq!(keys[1].key().unwrap(), PublicKey::P256 { point: &point() });
}

#[test]
fn limits_are_kept() {
    let keys = spoilt(|t| {
        for index in 1..5 {
            let key = key(&format!("key-{index}"), &[0xff; 256], 3);
            board(t).child_mut("keys").unwrap().add_child(key);
        }
    });
    assert_eq!(keys, "node keys: more than 4 entries");
    // With the shared one.
    let regions = |count: u32, property| {
        let entry = |index| [0x9000_0000 + index * PAGE, 0, 0x9000_0000 + index * PAGE, PAGE];
        spoilt(|t| {
            m33(t).remove_property("default-boot-address");
            words(m33(t), property, &(0..count).flat_map(entry).collect::<Vec<_>>());
        })
    };
    assert_eq!(regions(7, PRIVATE), "nothing");
    assert_eq!(regions(8, PRIVATE), "node shared-regions: more than 8 entries");
    assert_eq!(regions(9, PRIVATE), "node private-regions: more than 8 entries");
    assert_eq!(regions(8, SHARED), "node shared-regions: more than 8 entries");
    let ranges = spoilt(|t| words(board(t), "devices", &[[0u32, 0x1000, 0x1000]; 9].concat()));
    assert_eq!(ranges, "node devices: more than 8 entries");
    let large = spoilt(|t| bytes(&mut t.root, "padding", &[0; MAX_SIZE]));
    assert!(large.contains("more than 3584"), "{large}");
}

#[test]
fn processors_keep_apart() {
    let add =
        |id, base| spoilt(|t| board(t).child_mut("processors").unwrap().add_child(processor("m4", id, base)));
    assert_eq!(add(8, 0x9000_0000), "nothing");
    assert_eq!(add(7, 0x9000_0000), "processor m4: the id 7 is taken");
    assert_eq!(add(8, 0x8000_0000 + 3 * PAGE), "processor m4: the range at 0x80003000 overlaps m33");
    assert_eq!(
        add(8, 0x800f_0000 - 4 * PAGE),
        "processor m4: the range at 0x800f0000 overlaps m33",
        "registers"
    );
    assert_eq!(
        add(8, 0x8000_0000 - 0xf_0000),
        "processor m4: the range at 0x80000000 overlaps m33",
        "registers over m33's code"
    );
    assert_eq!(add(8, 0x0e00_0000), "processor m4: the range at 0xe000000 overlaps reserved");
    assert_eq!(add(8, 0x0e00_0000 - 0xf_0000), "processor m4: the range at 0xe000000 overlaps reserved");
}

#[test]
fn regions_are_whole_pages_and_do_not_overlap() {
    let add = |device, physical, size| {
        spoilt(|t| {
            words(m33(t), PRIVATE, &[0x1000_0000, 0, 0x8000_0000, 4 * PAGE, device, 0, physical, size]);
        })
    };
    let bad = "is empty, not whole pages, or exceeds the address space";
    assert_eq!(add(0x3000_0000, 0x9000_0000, PAGE), "nothing");
    assert_eq!(add(0xffff_f000, 0x9000_0000, PAGE), "nothing", "the last page of the device's addresses");
    assert!(add(0x3000_0000, 0x9000_0800, PAGE).ends_with(bad));
    assert!(add(0x3000_0000, 0x9000_0000, 0x800).ends_with(bad));
    assert!(add(0x3000_0800, 0x9000_0000, PAGE).ends_with(bad));
    assert!(add(0x3000_0000, 0x9000_0000, 0).ends_with(bad));
    assert!(add(0xffff_f000, 0x9000_0000, 2 * PAGE).ends_with(bad));
    assert_eq!(add(0x3000_0000, 0x8000_0000, PAGE), "processor m33: the range at 0x80000000 overlaps m33");
    assert_eq!(add(0x1000_3000, 0x9000_0000, PAGE), "processor m33: the range at 0x10003000 overlaps m33");
    assert_eq!(
        add(0x3000_0000, 0x800f_0000, PAGE),
        "processor m33: the range at 0x800f0000 overlaps m33",
        "the control page"
    );
    let boot = spoilt(|t| words(m33(t), "default-boot-address", &[0x2000_0000]));
    assert_eq!(boot, "processor m33: the default boot address 0x20000000 lies in no private region");
}

proptest! {
    /// A manifest with bytes changed is read or refused; it never panics.
    #[test]
    fn never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut tree = tree();
        board(&mut tree).child_mut("keys").unwrap().add_child(p256_key("key-1", &point()));
        let mut blob = tree.to_dtb();
        for (index, value) in changes {
            let index = index.index(blob.len());
            blob[index] = value;
        }
        if let Err(error) = parse(&blob) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn never_panics_on_noise(noise: Vec<u8>) {
        prop_assert!(parse(&noise).is_err());
    }
}

/// The modulus of a DER SubjectPublicKeyInfo: the only INTEGER of 257 bytes in it.
fn modulus(der: &[u8]) -> &[u8] {
    let at = der.windows(5).position(|bytes| bytes == [0x02, 0x82, 0x01, 0x01, 0x00]).unwrap() + 5;
    &der[at..at + 256]
}

#[test]
fn the_qemu_board_as_dtc_compiles_it() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    if Command::new("dtc").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED the_qemu_board_as_dtc_compiles_it: dtc is not installed");
        return;
    }
    let der = std::fs::read(format!("{root}/tests/vectors/keys/rsa2048.pub.der")).unwrap();
    let digits: String = modulus(&der).iter().map(|byte| format!("{byte:02x} ")).collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("keys.dtsi"),
        format!("keys {{ key-0 {{ label = \"test\"; algorithm = \"rsa\"; modulus = [{digits}]; exponent = <65537>; }}; }};"),
    )
    .unwrap();
    let compiled = Command::new("dtc")
        .args(["-q", "-I", "dts", "-O", "dtb", "-i"])
        .arg(directory.path())
        .arg(format!("{root}/manifest/qemu.dts"))
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let manifest = parse(&compiled.stdout).unwrap();
    let board = &manifest.board;
    assert!(board.accept_no_isolation && board.accept_no_isolation_encrypted);
    let cipher = std::fs::read(format!("{root}/tests/vectors/keys/aes256.bin")).unwrap();
    assert_eq!((board.name, board.decryption_key), ("qemu-virt", Some(CipherKey::Bytes(&cipher))));
    assert_eq!(board.keys[0].key().unwrap(), PublicKey::Rsa { modulus: modulus(&der), exponent: 65_537 });
    let [m33, m4] = board.processors.as_slice() else { panic!("{:?}", board.processors) };
    assert_eq!((m33.id, m33.regions.len(), m33.default_boot_address), (0, 5, Some(0x8000_0000)));
    assert_eq!(m33.registers.as_slice(), [PhysicalRange { start: 0x80ff_0000, size: 0x1000 }]);
    assert_eq!(m33.boot_security, BootSecurity::RunsNonSecure);
    assert_eq!((m4.id, m4.regions.len(), m4.default_boot_address), (1, 2, Some(0x21d0_0000)));
    assert_eq!(m4.registers.as_slice(), [PhysicalRange { start: 0x80fe_0000, size: 0x1000 }]);
    assert!(
        m4.regions
            .iter()
            .all(|region| u64::from(region.device_address) + 0x5f00_0000 == region.physical_address)
    );
    assert!(board.processors.iter().all(|processor| processor.is_for(0) && processor.is_for(0x7fff)));
}
