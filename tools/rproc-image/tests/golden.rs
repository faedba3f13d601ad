//! Every command, its errors and its exit codes, as people see them: transcripts in `golden/`.
//!
//! `SNAPSHOTS=overwrite cargo test -p rproc-image --test golden` writes them anew.
mod support;

use remoteproc_image::write::{P256Key, SigningKey};
use snapbox::Data;
use std::path::Path;
use support::{Scratch, pem, vector};

/// Runs commands one after the other in one directory and compares what they print, and how they end.
fn transcript(name: &str, scratch: &Scratch, lines: &[&str]) {
    let mut text = String::new();
    for line in lines {
        let answer = scratch.run(line);
        let mut output = answer.stdout + &answer.stderr;
        if line.starts_with("keygen") {
            output = without_ids(&output);
        }
        text.push_str(&format!("$ rproc-image {line}\n{output}? {}\n\n", answer.code));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    snapbox::Assert::new()
        .action_env("SNAPSHOTS")
        .normalize_paths(false)
        .eq(text, Data::read_from(&path, None));
}

/// New keys have another id each time.
fn without_ids(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let id = word.trim_end();
        if id.len() == 64 { word.replace(id, "ID") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A directory with the keys as people have them.
fn with_keys() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("rsa.pem", pem("PRIVATE KEY", &vector("keys/rsa2048.pk8.der")));
    scratch.write("p256.pem", pem("PRIVATE KEY", &vector("keys/p256.pk8.der")));
    scratch.write("locked.pem", pem("ENCRYPTED PRIVATE KEY", &vector("keys/rsa2048-enc.pk8.der")));
    scratch
}

#[test]
fn help() {
    let commands = ["sign", "verify", "inspect", "keygen", "pubkey", "tbs", "attach"];
    let mut lines = vec!["--help".to_owned()];
    lines.extend(commands.iter().map(|command| format!("{command} --help")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    transcript("help", &Scratch::new(), &lines);
}

#[test]
fn usage() {
    transcript(
        "usage",
        &with_keys(),
        &[
            "",
            "load",
            "sign --in v/elf/fw_m4.elf --key rsa.pem",
            "sign --in v/elf/fw_m4.elf --key rsa.pem --out out.sig --plat-tlv BOOTADDR",
            "verify v/01-rsa2048-m4.sig",
            "verify v/01-rsa2048-m4.sig --key v/keys/rsa2048.pub.pem --processor-region 0x0:0x1000",
            "verify missing.sig --key v/keys/rsa2048.pub.pem",
        ],
    );
}

#[test]
fn sign() {
    let scratch = with_keys();
    transcript(
        "sign",
        &scratch,
        &[
            "sign --in v/elf/fw_m4.elf --key rsa.pem --out out.sig",
            "sign --in v/elf/fw_m33_s.elf --in v/elf/fw_m33_ns.elf --key p256.pem --key_type ecc --out multi.sig --json",
            "sign --in v/elf/fw_m33_ns.elf --key p256.pem --security-counter 7 --target-processor 0 --board board-1 \
             --resource-table --key-id --fw-version 1.2.3 --coredump denied --out own.sig",
            "sign --in v/elf/fw_m4.elf --key rsa.pem --key_info v/keys/rsa2048.pub.der --out out.sig",
            "sign --in v/elf/fw_m4.elf --key rsa.pem --key_info v/keys/rsa2048.pub.pem --out out.sig",
            "sign --in v/elf/fw_m4.elf --key rsa.pem --key_info v/keys/p256.pub.der --out out.sig",
            "inspect own.sig",
            "verify own.sig --key v/keys/p256.pub.pem",
            "verify own.sig --key v/keys/p256.pub.pem --target-processor 0 --board board-1 --security-counter 7",
            "verify own.sig --key v/keys/p256.pub.pem --target-processor 1",
            "verify own.sig --key v/keys/p256.pub.pem --board board-2",
            "verify own.sig --key v/keys/p256.pub.pem --security-counter 8",
            "verify own.sig --key rsa.pem",
        ],
    );
}

#[test]
fn sign_errors() {
    let scratch = with_keys();
    scratch.write("raw.bin", [0x55; 64]);
    scratch.write("wrong.txt", "not-the-passphrase\n");
    scratch.write("short.key", [7; 15]);
    scratch.write("old.pem", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n");
    let mut object = vector("elf/fw_m4.elf");
    object[44..46].copy_from_slice(&[0, 0]);
    scratch.write("object.o", object);
    let base = "sign --in v/elf/fw_m4.elf --out out.sig --key";
    let lines = [
        format!("{base} missing.pem"),
        format!("{base} raw.bin"),
        format!("{base} old.pem"),
        format!("{base} v/keys/rsa2048.pub.pem"),
        format!("{base} rsa.pem --key_type ECC"),
        format!("{base} p256.pem --pss"),
        format!("{base} locked.pem"),
        format!("{base} locked.pem --key-pwd-file wrong.txt"),
        format!("{base} rsa.pem --plat-tlv 0x11 0x0"),
        format!("{base} rsa.pem --plat-tlv bootaddr 0x0"),
        format!("{base} rsa.pem --plat-tlv BOOTADDR 0x0 --plat-tlv 0x10001 0x0"),
        format!("{base} rsa.pem --enc_key short.key"),
        format!("{base} rsa.pem --key_info rsa.pem"),
        format!("{base} rsa.pem --fw-version ä"),
        format!("{base} rsa.pem --plat-tlv BOOTADDR 0x20000000"),
        "sign --in raw.bin --key rsa.pem --out out.sig".into(),
        "sign --in v/01-rsa2048-m4.sig --key rsa.pem --out out.sig".into(),
        "sign --in object.o --key rsa.pem --out out.sig".into(),
        "sign --in v/elf/fw_m4.elf --in v/elf/fw_m4.elf --key rsa.pem --out out.sig".into(),
        "sign --in v/elf/fw_m4.elf --key rsa.pem --out missing/out.sig".into(),
        "sign --in v/elf/fw_m4.elf --key rsa.pem --out v".into(),
        "sign --in v/elf/fw_m4.elf --key rsa.pem --out rsa.pem".into(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let before = scratch.names();
    transcript("sign-errors", &scratch, &lines);
    assert_eq!(scratch.names(), before, "nothing was written");
}

#[test]
fn verify() {
    let scratch = with_keys();
    let good = vector("01-rsa2048-m4.sig");
    scratch.write("cut.sig", &good[..good.len() - 8]);
    scratch.write("tail.sig", [&good[..], &[0; 4]].concat());
    scratch.write("empty.sig", []);
    scratch.write("other.bin", [0; 32]);
    let mut old = Vec::new();
    for number in [0x3543_a468_u32, 1, 256, 64, 40, 16] {
        old.extend(number.to_le_bytes());
    }
    old.resize(24 + 256 + 64 + 40 + 16, 0);
    scratch.write("old.sig", old);
    transcript(
        "verify",
        &scratch,
        &[
            "verify v/05-st-rsa2048-bootaddr-sec.sig --key v/keys/rsa2048.pub.pem",
            "verify v/01-rsa2048-m4.sig --key rsa.pem",
            "verify v/04-rsa2048-platTLV-keyinfo.sig --key v/keys/rsa2048.pub.der --json",
            "verify v/01-rsa2048-m4.sig --key v/keys/rsa2048.pub.pem --processor-region 0x0:0x10000:private \
             --processor-region 0x10000000:0x20000:private --processor-region 0x10020000:0x40000:shared",
            "verify v/01-rsa2048-m4.sig --key v/keys/rsa2048.pub.pem --processor-region 0x0:0x10000:private",
            "verify v/06-st-enc-aes256cbc-rsa2048.sig --key v/keys/rsa2048.pub.pem --enc_key v/keys/aes256.bin",
            "verify v/06-st-enc-aes256cbc-rsa2048.sig --key v/keys/rsa2048.pub.pem",
            "verify v/06-st-enc-aes256cbc-rsa2048.sig --key v/keys/rsa2048.pub.pem --enc_key other.bin",
            "verify v/04-rsa2048-platTLV-keyinfo.sig --key v/keys/rsa4096.pub.pem",
            "verify v/01-rsa2048-m4.sig --key v/keys/p256.pub.pem --json",
            "verify v/negative/n08-tlv-tamper.sig --key v/keys/rsa2048.pub.pem",
            "verify v/negative/n10-segbyte.sig --key v/keys/rsa2048.pub.pem",
            "verify v/elf/fw_m4.elf --key v/keys/rsa2048.pub.pem",
            "verify cut.sig --key v/keys/rsa2048.pub.pem",
            "verify tail.sig --key v/keys/rsa2048.pub.pem",
            "verify old.sig --key v/keys/rsa2048.pub.pem",
            "verify empty.sig --key v/keys/rsa2048.pub.pem",
        ],
    );
}

#[test]
fn inspect() {
    let scratch = Scratch::new();
    transcript(
        "inspect",
        &scratch,
        &[
            "inspect v/02-rsa4096-multi-m33.sig",
            "inspect v/04-rsa2048-platTLV-keyinfo.sig",
            "inspect v/06-st-enc-aes256cbc-rsa2048.sig",
            "inspect v/06-st-enc-aes256cbc-rsa2048.sig --enc_key v/keys/aes256.bin --json",
            "inspect v/edge/e12-no-resource-table.sig",
            "inspect v/negative/n10-segbyte.sig",
            "inspect v/elf/fw_m4.elf",
            "inspect v/negative/n06-trunc8.sig",
            "inspect missing.sig",
            "inspect missing.sig --json",
            "inspect v",
            "inspect v/06-st-enc-aes256cbc-rsa2048.sig --enc_key missing.key",
        ],
    );
}

/// Neither command refuses anything: they end with 0 or 1.
#[test]
fn keygen_and_pubkey() {
    let scratch = with_keys();
    scratch.write("pass.txt", "a passphrase\n");
    scratch.write("wrong.txt", "another passphrase\n");
    scratch.write("empty.txt", "\n");
    // P-521, which no platform takes; as a public key.
    let mut p521 = vector("keys/p256.pub.der");
    p521.splice(13..23, [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]);
    (p521[1], p521[3]) = (p521[1] - 3, p521[3] - 3);
    scratch.write("p521.der", p521);
    transcript(
        "keys",
        &scratch,
        &[
            "keygen --out new.pem --pub-out new.pub.pem",
            "keygen --out new.pem",
            "keygen --out new.pem --force --type ed25519",
            "keygen --out new384.der --type p384 --der",
            "keygen --out new2048.pem --type rsa2048 --encrypt --key-pwd-file pass.txt",
            "keygen --out other.pem --encrypt",
            "keygen --out other.pem --encrypt --key-pwd-file empty.txt",
            "keygen --out other.pem --encrypt --key-pwd-file missing.txt",
            "keygen --out other.pem --type dsa",
            "keygen --out other.pem --pub-out other.pem",
            "keygen --out missing/other.pem --json",
            "keygen --out v --force",
            "pubkey --key rsa.pem",
            "pubkey --key p256.pem --out p256.pub.der --der",
            "pubkey --key v/keys/rsa2048.pub.der --json",
            "pubkey --key new2048.pem",
            "pubkey --key new2048.pem --key-pwd-file wrong.txt",
            "pubkey --key missing.pem",
            "pubkey --key missing.pem --json",
            "pubkey --key p521.der",
            "pubkey --key rsa.pem --out rsa.pem",
            "pubkey --key rsa.pem --out missing/rsa.pub.pem",
            "pubkey --key rsa.pem --der",
            "pubkey --key v/elf/fw_m4.elf",
        ],
    );
}

#[test]
fn tbs_and_attach() {
    let scratch = with_keys();
    scratch.write("wrong.bin", [1; 64]);
    scratch.write("short.bin", [1; 10]);
    scratch.write("raw.bin", [0x55; 64]);
    let tbs = "tbs --in v/elf/fw_m4.elf --key v/keys/p256.pub.pem --out fw.unsigned";
    let unchecked = "tbs --in v/elf/fw_m4.elf --key v/keys/p256.pub.pem --plat-tlv BOOTADDR 0x20000000 --no-check \
                     --out other.unsigned";
    // What the hardware does in between: this key signs the same bytes the same way each time.
    let hardware = P256Key::from_pkcs8_der(&vector("keys/p256.pk8.der")).unwrap();
    for (line, name) in [(tbs, "fw"), (unchecked, "other")] {
        scratch.run(line).good();
        let signature = hardware.sign(&scratch.read(&format!("{name}.unsigned.tbs"))).unwrap();
        scratch.write(&format!("{name}.bin"), signature);
    }
    transcript(
        "two-steps",
        &scratch,
        &[
            tbs,
            "tbs --in v/elf/fw_m4.elf --key v/keys/rsa2048.pub.pem --pss --out pss.unsigned --json",
            "tbs --in v/elf/fw_m4.elf --key v/keys/rsa2048.pub.pem --algorithm p384 --out x.unsigned",
            "tbs --in raw.bin --key v/keys/p256.pub.pem --out x.unsigned",
            "tbs --in v/01-rsa2048-m4.sig --key v/keys/p256.pub.pem --out x.unsigned --json",
            "tbs --in v/elf/fw_m4.elf --in v/elf/fw_m4.elf --key v/keys/p256.pub.pem --out x.unsigned",
            "tbs --in v/elf/fw_m4.elf --key v/keys/p256.pub.pem --plat-tlv BOOTADDR 0x20000000 --out x.unsigned",
            unchecked,
            "attach --in fw.unsigned --signature wrong.bin --key v/keys/p256.pub.pem --out fw.sig",
            "attach --in fw.unsigned --signature short.bin --key v/keys/p256.pub.pem --out fw.sig",
            "attach --in fw.unsigned --signature wrong.bin --key v/keys/rsa2048.pub.pem --out fw.sig",
            "attach --in fw.unsigned --signature other.bin --key v/keys/p256.pub.pem --out fw.sig",
            "attach --in v/elf/fw_m4.elf --signature wrong.bin --key v/keys/p256.pub.pem --out fw.sig",
            "attach --in other.unsigned --signature other.bin --key v/keys/p256.pub.pem --out fw.sig",
            "attach --in fw.unsigned --signature missing.bin --key v/keys/p256.pub.pem --out fw.sig",
            "attach --in missing.unsigned --signature fw.bin --key v/keys/p256.pub.pem --out fw.sig --json",
            "attach --in fw.unsigned --signature fw.bin --key fw.bin --out fw.sig",
            "attach --in fw.unsigned --signature fw.bin --key v/keys/p256.pub.pem --out fw.unsigned",
            "attach --in fw.unsigned --signature fw.bin --key v/keys/p256.pub.pem --out missing/fw.sig",
            "verify fw.unsigned --key v/keys/p256.pub.pem",
        ],
    );
    for name in ["fw.sig", "x.unsigned", "x.unsigned.tbs"] {
        assert!(!scratch.path(name).exists(), "{name}");
    }
    transcript(
        "attached",
        &scratch,
        &[
            "attach --in fw.unsigned --signature fw.bin --key v/keys/p256.pub.pem --out fw.sig",
            "verify fw.sig --key v/keys/p256.pub.pem",
            "attach --in fw.unsigned --signature fw.bin --key v/keys/p256.pub.pem --out again.sig --json",
            "attach --in other.unsigned --signature other.bin --key v/keys/p256.pub.pem --no-check --out other.sig",
        ],
    );
    assert!(scratch.read("fw.sig") == scratch.read("again.sig"));
    scratch.run("sign --in v/elf/fw_m4.elf --key p256.pem --out whole.sig").good();
    assert!(scratch.read("fw.sig") == scratch.read("whole.sig"), "two steps make what one step makes");
}
