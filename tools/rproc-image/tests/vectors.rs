//! The tool against the golden and broken vectors: it signs them byte for byte, and says of each what has to be said.
mod support;

use serde_json::Value;
use support::{Scratch, rows, vector};

const KEYS: [&str; 3] = ["rsa2048", "rsa4096", "p256"];

/// The commands of the vectors' README, and what they made.
const SIGNED: [(&str, &str); 4] = [
    ("01-rsa2048-m4.sig", "--in v/elf/fw_m4.elf --key v/keys/rsa2048.pk8.der"),
    (
        "02-rsa4096-multi-m33.sig",
        "--in v/elf/fw_m33_s.elf --in v/elf/fw_m33_ns.elf --key v/keys/rsa4096.pk8.der",
    ),
    (
        "04-rsa2048-platTLV-keyinfo.sig",
        "--in v/elf/fw_m33_ns.elf --key v/keys/rsa2048-enc.pk8.der --key_pwd golden-pass --key_info v/keys/rsa2048.pub.der \
         --plat-tlv 0x10001 0x80100000 --plat-tlv 0x10002 0x0 --plat-tlv 0x1ffff vendor-string",
    ),
    (
        "05-st-rsa2048-bootaddr-sec.sig",
        "--in v/elf/fw_m33_s.elf --in v/elf/fw_m33_ns.elf --key v/keys/rsa2048.pk8.der --plat-tlv BOOTADDR 0x80000000 \
         --plat-tlv BOOTSEC 0x1",
    ),
];

/// The command of vector 06.
const ENCRYPTED: &str = "sign --in v/elf/fw_m33_ns.elf --key v/keys/rsa2048.pk8.der --enc_key v/keys/aes256.bin --plat-tlv \
                         BOOTADDR 0x80100000 --out out.sig";

/// What a file needs besides its key.
fn more(file: &str) -> &'static str {
    if file.starts_with("06") { " --enc_key v/keys/aes256.bin" } else { "" }
}

#[test]
fn signs_byte_for_byte_like_the_reference() {
    let scratch = Scratch::new();
    for (file, arguments) in SIGNED {
        scratch.run(&format!("sign {arguments} --out out.sig")).good();
        assert!(scratch.read("out.sig") == vector(file), "{file}");
        // The other spelling of the options.
        let dashed = arguments.replace("key_pwd", "key-pwd").replace("key_info", "key-info");
        let dashed = dashed.replace("plat-tlv", "plat_tlv");
        scratch.run(&format!("sign {dashed} --out out2.sig")).good();
        assert!(scratch.read("out2.sig") == vector(file), "{file}");
    }
}

#[test]
fn signs_the_other_two_with_the_same_layout() {
    let scratch = Scratch::new();
    let ecdsa = "sign --in v/elf/fw_m4.elf --key v/keys/p256.pk8.der --key_type ECC --out out.sig";
    for (file, command, random) in
        [("03-ecdsa-p256-m4.sig", ecdsa, 364..428), ("06-st-enc-aes256cbc-rsa2048.sig", ENCRYPTED, 0..0)]
    {
        scratch.run(command).good();
        let key = if file.starts_with("03") { "p256" } else { "rsa2048" };
        scratch.run(&format!("verify out.sig --key v/keys/{key}.pub.der{}", more(file))).good();
        let (made, golden) = (scratch.read("out.sig"), vector(file));
        if random.is_empty() {
            // The initialization vectors are random, and with them the ciphertext and its hashes: same TLVs, same places.
            let shape = |name: &str| {
                let json = scratch.run(&format!("inspect {name} --json")).good().json();
                let tlvs = json["tlvs"].as_array().unwrap().iter();
                let tlvs: Vec<_> = tlvs
                    .map(|tlv| {
                        let value = if tlv["name"] == "ENCTABLE" { &Value::Null } else { &tlv["hex"] };
                        (tlv["type"].clone(), tlv["offset"].clone(), tlv["len"].clone(), value.clone())
                    })
                    .collect();
                (json["header"].clone(), json["offsets"].clone(), tlvs)
            };
            assert_eq!(shape("out.sig"), shape(&format!("v/{file}")));
            assert_ne!(made, golden);
        } else {
            assert_eq!(
                (&made[..random.start], &made[random.end..]),
                (&golden[..random.start], &golden[random.end..])
            );
        }
    }
}

#[test]
fn verify_accepts_the_right_key_and_no_other() {
    let scratch = Scratch::new();
    for row in rows("expected.json") {
        let file = row["file"].as_str().unwrap();
        for key in KEYS {
            let right = row["key"] == key;
            let answer = scratch.run(&format!("verify v/{file} --key v/keys/{key}.pub.pem{}", more(file)));
            assert_eq!(
                answer.code,
                if right { 0 } else { 3 },
                "{file} {key}: {}{}",
                answer.stdout,
                answer.stderr
            );
        }
    }
}

/// A key of the same kind and length as the right one: only the signature itself tells them apart.
#[test]
fn verify_refuses_another_key_of_the_same_kind() {
    let scratch = Scratch::new();
    for key in KEYS {
        scratch.run(&format!("keygen --type {key} --out {key}.pem --pub-out other-{key}.pem")).good();
    }
    for row in rows("expected.json") {
        let (file, key) = (row["file"].as_str().unwrap(), row["key"].as_str().unwrap());
        let answer = scratch.run(&format!("verify v/{file} --key other-{key}.pem{}", more(file)));
        assert_eq!(answer.code, 3, "{file}: {}{}", answer.stdout, answer.stderr);
        assert!(answer.stderr.contains("SIGNATURE_INVALID"), "{file}: {}", answer.stderr);
    }
}

#[test]
fn inspect_agrees_with_what_is_expected() {
    let scratch = Scratch::new();
    for row in rows("expected.json") {
        let file = row["file"].as_str().unwrap();
        let shown = scratch.run(&format!("inspect v/{file} --json{}", more(file))).good().json();
        for (field, expected) in row.as_object().unwrap() {
            // `key` is the name of a key file, of which a container knows nothing: see the test above.
            if field != "key" {
                agree(expected, &shown[field], &format!("{file}: {field}"));
            }
        }
    }
}

/// Every field of `expected` is in `shown`, which may have more. Long TLV values are not spelled out in the expectation.
fn agree(expected: &Value, shown: &Value, place: &str) {
    match expected {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, value)| *name != "hex" || !value.is_null()) {
                agree(value, &shown[name], &format!("{place}.{name}"));
            }
        }
        Value::Array(values) => {
            assert_eq!(Some(values.len()), shown.as_array().map(Vec::len), "{place}");
            for (index, value) in values.iter().enumerate() {
                agree(value, &shown[index], &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(expected, shown, "{place}"),
    }
}

#[test]
fn what_the_reader_loads_is_what_is_expected() {
    let scratch = Scratch::new();
    for row in rows("expected.json") {
        let (file, key) = (row["file"].as_str().unwrap(), row["key"].as_str().unwrap());
        let command = format!("verify v/{file} --key v/keys/{key}.pub.pem --json{}", more(file));
        let loaded = scratch.run(&command).good().json();
        // The plan leaves out what loads no byte.
        let expected = row["segments"].as_array().unwrap().iter().filter(|segment| segment["memsz"] != 0);
        let expected: Vec<_> = expected.collect();
        let loaded_segments = loaded["segments"].as_array().unwrap();
        assert_eq!(loaded_segments.len(), expected.len(), "{file}");
        for (loaded, expected) in loaded_segments.iter().zip(expected) {
            for field in ["image", "da", "filesz", "memsz", "loaded_sha256_with_zero_fill"] {
                assert_eq!(loaded[field], expected[field], "{file} {field}");
            }
        }
        for field in ["da", "size"] {
            assert_eq!(loaded["resource_table"][field], row["resource_table"][field], "{file}");
        }
    }
}

#[test]
fn an_encrypted_file_needs_its_key() {
    let scratch = Scratch::new();
    scratch.write("other.key", [1; 32]);
    scratch.write("short.key", [1; 15]);
    let verify = "verify v/06-st-enc-aes256cbc-rsa2048.sig --key v/keys/rsa2048.pub.der --json";
    for (more, name) in [
        ("", "NO_DECRYPTION_KEY"),
        ("--enc_key short.key", "ENCRYPTION_UNSUPPORTED"),
        // CBC has no check of its own: what comes out is no resource table.
        ("--enc_key other.key", "RESOURCE_TABLE_MALFORMED"),
    ] {
        let answer = scratch.run(&format!("{verify} {more}"));
        assert_eq!((answer.code, &answer.json()["name"]), (3, &Value::from(name)), "{more}");
    }
}

#[test]
fn every_vector_gets_its_answer() {
    let scratch = Scratch::new();
    let answers = rows("answers.json");
    for list in ["negative.json", "edge.json"] {
        for row in rows(list) {
            assert!(
                answers.iter().any(|answer| answer["file"] == row["file"]),
                "{} has no answer",
                row["file"]
            );
        }
    }
    for row in answers {
        let (file, key) = (row["file"].as_str().unwrap(), row["key"].as_str().unwrap());
        let expect = row["expect"].as_str().unwrap();
        let answer = scratch.run(&format!("verify v/{file} --key v/keys/{key}.pub.der --json{}", more(file)));
        match expect.split_once(':') {
            None => assert_eq!((answer.code, &answer.json()["result"]), (0, &Value::from("good")), "{file}"),
            Some((_, name)) => {
                assert_eq!((answer.code, &answer.json()["name"]), (3, &Value::from(name)), "{file}");
            }
        }
    }
}

#[test]
fn every_algorithm_signs_and_verifies_with_all_own_tlvs() {
    let scratch = Scratch::new();
    for (kind, more) in [("rsa2048", ""), ("rsa2048", " --pss"), ("p256", ""), ("p384", ""), ("ed25519", "")]
    {
        scratch.run(&format!("keygen --type {kind} --out key.pem --pub-out pub.pem --force")).good();
        scratch.run("keygen --type p256 --out other.pem --force").good();
        for cipher in ["", " --enc_key v/keys/aes256.bin"] {
            let sign = format!(
                "sign --in v/elf/fw_m33_s.elf --in v/elf/fw_m33_ns.elf --key key.pem --out out.sig --security-counter 0x10 \
                 --target-processor 1 --board board-1 --resource-table --key-id --fw-version 1.2.3-rc1 --coredump allowed \
                 --plat-tlv BOOTADDR 0x80000000{more}{cipher}"
            );
            scratch.run(&sign).good();
            scratch.run(&format!("verify out.sig --key pub.pem{cipher}")).good();
            let answer = scratch.run(&format!("verify out.sig --key other.pem{cipher}"));
            assert_eq!(answer.code, 3, "{kind}{more}: {}", answer.stdout);
            let shown = scratch.run(&format!("inspect out.sig --json{cipher}")).good().json();
            let tlv = |name: &str| {
                let tlvs = shown["tlvs"].as_array().unwrap();
                tlvs.iter().find(|tlv| tlv["name"] == name).unwrap()["meaning"].clone()
            };
            assert_eq!(tlv("SECURITY_COUNTER"), "16");
            assert_eq!(tlv("TARGET"), "processor 1, board \"board-1\"");
            assert_eq!(tlv("RESOURCE_TABLE"), "0x80a00210, 144 bytes");
            assert_eq!(tlv("VERSION"), "\"1.2.3-rc1\"");
            assert_eq!(tlv("COREDUMP"), "allowed");
            let id = scratch.run("pubkey --key pub.pem --json").good().json()["key_id"].clone();
            assert_eq!(tlv("KEY_ID"), id);
            assert_eq!(
                (&shown["resource_table"]["signed"], &shown["resource_table"]["image"]),
                (&true.into(), &1.into())
            );
        }
    }
}

#[test]
fn inspect_shows_or_refuses_whatever_it_is_given() {
    let scratch = Scratch::new();
    for file in ["05-st-rsa2048-bootaddr-sec.sig", "06-st-enc-aes256cbc-rsa2048.sig"] {
        let good = vector(file);
        // Every word of the TLVs, and of the ELF files' headers, once with the highest and once with a large number.
        let headers = [20..660, 716..800, 908..992, good.len() - 400..good.len()];
        for (index, offset) in headers.into_iter().flat_map(|range| range.step_by(12)).enumerate() {
            let mut bytes = good.clone();
            let number = if index % 2 == 0 { u32::MAX } else { 0x7fff_fff0 };
            bytes[offset..][..4].copy_from_slice(&number.to_le_bytes());
            scratch.write("changed.sig", bytes);
            let answer = scratch.run(&format!(
                "inspect changed.sig --enc_key v/keys/aes256.bin{}",
                ["", " --json"][index % 2]
            ));
            assert!(matches!(answer.code, 0 | 3), "{file} {offset}: {} {}", answer.code, answer.stderr);
        }
    }
}
