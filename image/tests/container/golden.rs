//! The golden containers: read into exactly the memory that `expected.json` describes, and written byte for byte.
use crate::board::{BOARD, Believer, Driver, Memory, load, p256_key, private_key, public_key, vector};
use remoteproc_image::provider::TrustedKey;
use remoteproc_image::reader::ResourceTable;
use remoteproc_image::target::{BootSecurity, Target};
use remoteproc_image::write::{Container, Order, digest};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Those that a signer can write again byte for byte.
const RSA_VECTORS: [&str; 4] = [
    "01-rsa2048-m4.sig",
    "02-rsa4096-multi-m33.sig",
    "04-rsa2048-platTLV-keyinfo.sig",
    "05-st-rsa2048-bootaddr-sec.sig",
];

/// Signed with a random nonce.
pub const P256_VECTOR: &str = "03-ecdsa-p256-m4.sig";

fn expected(file: &str) -> Value {
    let all: Vec<Value> = serde_json::from_slice(&vector("expected.json")).unwrap();
    all.into_iter().find(|row| row["file"] == file).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: &Value) -> u32 {
    match value.as_str() {
        Some(text) => u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap(),
        None => value.as_u64().unwrap().try_into().unwrap(),
    }
}

#[test]
fn memory_after_load_is_as_expected() {
    for file in RSA_VECTORS.into_iter().chain([P256_VECTOR]) {
        let expected = expected(file);
        let container = vector(file);
        assert_eq!(
            hex(&Sha256::digest(&container)),
            expected["sha256"],
            "{file} is not the file that was measured"
        );
        let key = public_key(expected["key"].as_str().unwrap());
        let success = load(&container, &key).unwrap_or_else(|refused| panic!("{file}: {refused:?}"));

        let rows: Vec<&Value> =
            expected["segments"].as_array().unwrap().iter().filter(|row| number(&row["memsz"]) > 0).collect();
        assert_eq!(success.segments.len(), rows.len(), "{file}");
        for (segment, row) in success.segments.iter().zip(rows) {
            assert_eq!(u32::from(segment.image), number(&row["image"]), "{file}");
            assert_eq!(segment.device_address, number(&row["da"]), "{file}");
            assert_eq!(segment.file_size, number(&row["filesz"]), "{file}");
            assert_eq!(segment.memory_size, number(&row["memsz"]), "{file}");
            let memory = success.memory.bytes(segment.physical_address, segment.memory_size);
            assert_eq!(
                hex(&Sha256::digest(memory)),
                row["loaded_sha256_with_zero_fill"],
                "{file} {segment:x?}"
            );
            let from = segment.container_offset as usize;
            let stored = &container[from..from + segment.file_size as usize];
            assert_eq!(hex(&Sha256::digest(stored)), row["stored_sha256"], "{file} {segment:x?}");
        }

        let table = success.loaded.resource_table.unwrap();
        assert_eq!(table.device_address, number(&expected["resource_table"]["da"]), "{file}");
        assert_eq!(table.size, number(&expected["resource_table"]["size"]), "{file}");

        let images = number(&expected["offsets"]["images"]) as usize;
        assert_eq!(success.identity, <[u8; 32]>::from(Sha256::digest(&container[..images])), "{file}");
        let (header, rest) = container.split_at(number(&expected["offsets"]["tlv"]) as usize);
        let tlvs = &rest[..number(&expected["offsets"]["sign"]) as usize - header.len()];
        assert_eq!(hex(&digest(header, tlvs)), expected["signed_digest_sha256"], "{file}");
    }
}

#[test]
fn boot_and_table_of_each() {
    let load = |file: &str, key: &str| load(&vector(file), &public_key(key)).unwrap().loaded;

    // The test board's default boot address lies in nothing that an M4 image loads: loaded, but not to be started.
    let m4 = load("01-rsa2048-m4.sig", "rsa2048");
    assert_eq!((m4.boot_address, m4.secure, m4.secure_declined), (None, false, false));
    let table = ResourceTable { device_address: 0x1002_0210, physical_address: 0x80c3_0210, size: 0x90 };
    assert_eq!(m4.resource_table, Some(table));

    let two = load("02-rsa4096-multi-m33.sig", "rsa4096");
    assert_eq!((two.boot_address, two.secure, two.secure_declined), (Some(0x8000_0000), false, false));

    let named = load("04-rsa2048-platTLV-keyinfo.sig", "rsa2048");
    assert_eq!((named.boot_address, named.secure, named.secure_declined), (Some(0x8010_0000), false, false));
    let table = ResourceTable { device_address: 0x80a0_0210, physical_address: 0x80a0_0210, size: 0x90 };
    assert_eq!(named.resource_table, Some(table));

    let secure = load("05-st-rsa2048-bootaddr-sec.sig", "rsa2048");
    assert_eq!(
        (secure.boot_address, secure.secure, secure.secure_declined),
        (Some(0x8000_0000), false, true)
    );
}

#[test]
fn secure_boot_is_honoured_declined_or_refused() {
    let key = public_key("rsa2048");
    let keys = [TrustedKey::new("test", key.as_key())];
    let container = vector("05-st-rsa2048-bootaddr-sec.sig");
    let load = |boot_security| {
        let mut driver = Driver::new(&keys);
        driver.target = Target { boot_security, ..BOARD };
        driver.load(&container)
    };
    let loaded = load(BootSecurity::Honoured).unwrap().loaded;
    assert!(loaded.secure && !loaded.secure_declined);
    assert_eq!(load(BootSecurity::Refused).unwrap_err().answer(), "after:BOOT_SECURITY_UNSUPPORTED");
}

#[test]
fn any_of_several_keys_may_have_signed() {
    let owned = ["rsa4096", "rsa2048", "p256"].map(public_key);
    let keys = owned.each_ref().map(|key| TrustedKey::new("", key.as_key()));
    let signer = |file: &str| Driver::new(&keys).load(&vector(file)).unwrap().signer;
    assert_eq!(signer(RSA_VECTORS[0]).key, 1);
    assert_eq!(signer(RSA_VECTORS[1]).key, 0);
    assert_eq!(signer(RSA_VECTORS[1]).algorithm, "RSASSA-PKCS1-v1_5 with SHA-256");
    assert_eq!(signer(P256_VECTOR).key, 2);
    assert_eq!(signer(P256_VECTOR).algorithm, "ECDSA P-256 with SHA-256");
    // A key of another length is not even asked.
    let Driver { target, pieces, budget, memory, .. } = Driver::new(&keys);
    let driver = Driver { provider: Believer, keys: &keys, target, pieces, budget, memory };
    assert_eq!(driver.load(&vector(RSA_VECTORS[0])).unwrap().signer.key, 1);
}

#[test]
fn only_file_bytes_are_written() {
    let success = load(&vector(RSA_VECTORS[2]), &public_key("rsa2048")).unwrap();
    let file_bytes: u64 = success.segments.iter().map(|segment| u64::from(segment.file_size)).sum();
    assert_eq!(success.memory.written, file_bytes);
    let mut rebuilt = Memory::default();
    let container = vector(RSA_VECTORS[2]);
    for segment in &success.segments {
        let from = segment.container_offset as usize;
        let bytes = &container[from..from + segment.file_size as usize];
        remoteproc_image::provider::Destination::write(&mut rebuilt, segment.physical_address, bytes)
            .unwrap();
    }
    assert!(rebuilt.same_contents(&success.memory));
}

#[test]
fn the_writer_writes_the_golden_containers() {
    let (m4, m33_secure, m33) =
        (vector("elf/fw_m4.elf"), vector("elf/fw_m33_s.elf"), vector("elf/fw_m33_ns.elf"));
    let (rsa2048, rsa4096) = (private_key("rsa2048"), private_key("rsa4096"));
    let both = |order| Container::new(order).image(&m33_secure).image(&m33);

    let first = Container::new(Order::Mainline).image(&m4).sign(&rsa2048).unwrap();
    let second = both(Order::Mainline).sign(&rsa4096).unwrap();
    let fourth = Container::new(Order::Mainline)
        .image(&m33)
        .key_information(&vector("keys/rsa2048.pub.der"))
        .boot_address(0x8010_0000)
        .boot_security(false)
        .platform(0x1ffff, b"vendor-string")
        .unwrap()
        .sign(&rsa2048)
        .unwrap();
    let fifth = both(Order::Vendor).boot_address(0x8000_0000).boot_security(true).sign(&rsa2048).unwrap();
    for (file, written) in RSA_VECTORS.into_iter().zip([first, second, fourth, fifth]) {
        assert!(vector(file) == written, "{file} was written differently");
    }
}

#[test]
fn keys_are_read_from_pem_as_from_der() {
    use remoteproc_image::write::OwnedPublicKey;
    let pem = String::from_utf8(vector("keys/rsa2048.pub.pem")).unwrap();
    assert_eq!(OwnedPublicKey::from_pem(&pem).unwrap(), public_key("rsa2048"));
    let pem = String::from_utf8(vector("keys/p256.pub.pem")).unwrap();
    assert_eq!(OwnedPublicKey::from_pem(&pem).unwrap(), public_key("p256"));
    assert_eq!(*p256_key().public(), public_key("p256"));
    assert_eq!(*private_key("rsa2048").public(), public_key("rsa2048"));
    assert_eq!(public_key("rsa4096").as_key().bits(), 4096);
    assert!(OwnedPublicKey::from_der(&vector("keys/p256.pk8.der")).is_err(), "a private key");
    // The curve's object identifier ends in 7; with 1 at its place it names another curve.
    let mut other_curve = vector("keys/p256.pub.der");
    let name = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let at = other_curve.windows(8).position(|bytes| bytes == name).unwrap();
    other_curve[at + 7] = 1;
    let error = OwnedPublicKey::from_der(&other_curve).unwrap_err().to_string();
    assert!(error.contains("not a key on the curve P-256"), "{error}");
    let mut beside = vector("keys/p256.pub.der");
    *beside.last_mut().unwrap() ^= 1;
    assert!(OwnedPublicKey::from_der(&beside).is_err(), "a point beside the curve");
}
