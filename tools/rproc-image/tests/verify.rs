//! What `verify` costs before the signature is known to be good, and what it says of a decryption key that nothing shows.
mod support;

use remoteproc_image::provider::Algorithm;
use remoteproc_image::write::RawContainer;
use std::process::Command;
use support::{Answer, Scratch, answer};

/// The image of the forged file, and each of its segments.
const IMAGE: u32 = 64 << 20;
/// Segments over the same bytes.
const SEGMENTS: usize = 120;

/// A file that nobody signed, whose segments all load the same bytes: 7.5 GiB to hash and to hold.
fn forged() -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..SEGMENTS {
        // PT_LOAD, offset, two addresses, sizes, flags, alignment; then the hash.
        for word in [1, 0, 0x8000_0000, 0x8000_0000, IMAGE, IMAGE, 4, 4] {
            table.extend(u32::to_le_bytes(word));
        }
        table.extend([0; 32]);
    }
    let tlvs = [
        (0x01, vec![Algorithm::EcdsaP256Sha256.signature_type()]),
        (0x03, vec![1]),
        (0x04, vec![1]),
        (0x05, IMAGE.to_le_bytes().to_vec()),
        (0x02, vec![1]),
        (0x10, table),
    ];
    RawContainer::new(&tlvs, vec![0; IMAGE as usize]).with_signature(&[1; 64]).unwrap()
}

/// Runs the tool with two seconds of processor time, and memory for the file and little else.
fn limited(scratch: &Scratch, line: &str) -> Answer {
    let program = env!("CARGO_BIN_EXE_rproc-image");
    let kibibytes = 2 * IMAGE / 1024;
    let command = format!("ulimit -t 2; ulimit -v {kibibytes}; exec '{program}' {line}");
    answer(Command::new("sh").args(["-c", &command]).current_dir(scratch.path("")).output().unwrap())
}

#[test]
fn a_forged_file_is_refused_before_any_work_that_grows_with_it() {
    let scratch = Scratch::new();
    scratch.write("forged.sig", forged());
    let refused = limited(&scratch, "verify forged.sig --key v/keys/p256.pub.der --json");
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert_eq!(refused.json()["name"], "SIGNATURE_INVALID");
    // The limits are no more than that: they don't even let `inspect` look at the bytes once, which it may.
    scratch.run("inspect forged.sig").good();
    assert_ne!(limited(&scratch, "inspect forged.sig").code, 0);
}

#[test]
fn a_decryption_key_that_nothing_shows_is_not_called_checked() {
    const NOT_CHECKED: &str =
        "\n  not checked: whether this is the decryption key, as there is no resource table";
    let scratch = Scratch::new();
    scratch.write("other.key", [1; 32]);
    let sign = |elf: &str, more: &str| {
        scratch
            .run(&format!("sign --in v/elf/{elf}.elf --key v/keys/p256.pk8.der --out fw.sig {more}"))
            .good();
    };
    let verify = |more: &str| {
        let line = format!("verify fw.sig --key v/keys/p256.pub.der {more}");
        let json = scratch.run(&format!("{line} --json")).good().json();
        (json["decryption_key_checked"].as_bool(), scratch.run(&line).good().stdout.contains(NOT_CHECKED))
    };
    sign("fw_m33_s", "--enc_key v/keys/aes256.bin");
    assert_eq!(verify("--enc_key v/keys/aes256.bin"), (Some(false), true));
    assert_eq!(verify("--enc_key other.key"), (Some(false), true), "another key looks no different");
    sign("fw_m33_ns", "--enc_key v/keys/aes256.bin");
    assert_eq!(verify("--enc_key v/keys/aes256.bin"), (Some(true), false));
    sign("fw_m33_s", "");
    assert_eq!(verify(""), (None, false), "not encrypted");
}
