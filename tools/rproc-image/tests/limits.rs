//! What the tool refuses although the bytes could be written, what it warns of, and what lies just within the limits.
mod support;

use support::{Scratch, pem, vector};

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("fw.elf", vector("elf/fw_m4.elf"));
    scratch.write("rsa4096.pem", pem("PRIVATE KEY", &vector("keys/rsa4096.pk8.der")));
    scratch.write("p256.pem", pem("PRIVATE KEY", &vector("keys/p256.pk8.der")));
    scratch
}

#[test]
fn tbs_counts_the_signature_that_the_key_makes() {
    let scratch = scratch();
    // With PKEYINFO so long, the metadata takes 16 KiB: first with a signature of 512 bytes, then with one of 64.
    let fixed = 20 + scratch_area(&scratch);
    for (length, fits) in [(16384 - 512 - fixed - 8, true), (16384 - 512 - fixed, false)] {
        scratch.write("info.bin", vec![0x55; length]);
        let recipe = "--in fw.elf --key_info info.bin --out out";
        let tbs = scratch.run(&format!("tbs {recipe} --key rsa4096.pem"));
        assert_eq!(tbs.code, if fits { 0 } else { 3 }, "{length}: {}", tbs.stderr);
        assert!(fits || tbs.stderr.contains("METADATA_TOO_LARGE"), "{}", tbs.stderr);
        let sign = scratch.run(&format!("sign {recipe} --key rsa4096.pem"));
        assert_eq!(sign.code, tbs.code, "both say the same: {}", sign.stderr);
        scratch.run(&format!("tbs {recipe} --key p256.pem")).good();
    }
}

/// Bytes of the TLV area without PKEYINFO, and with its type and length.
fn scratch_area(scratch: &Scratch) -> usize {
    scratch.write("none.bin", []);
    scratch.run("sign --in fw.elf --key p256.pem --key_info none.bin --out small.sig").good();
    let shown = scratch.run("inspect small.sig --json").good().json();
    shown["header"]["tlv_len"].as_u64().unwrap() as usize
}

#[test]
fn no_private_key_is_published_and_another_public_key_is_warned_of() {
    let scratch = scratch();
    scratch.write("p256.key.der", vector("keys/p256.pk8.der"));
    scratch.write("locked.der", vector("keys/rsa2048-enc.pk8.der"));
    let public = |key: &str, out: &str| {
        let der = if out.ends_with("der") { " --der" } else { "" };
        scratch.run(&format!("pubkey --key {key} --out {out}{der}")).good();
    };
    public("p256.pem", "p256.pub.der");
    public("p256.pem", "p256.pub.pem");
    public("rsa4096.pem", "rsa.pub.der");
    public("rsa4096.pem", "rsa.pub.pem");
    let mut p521 = scratch.read("p256.pub.der");
    p521.splice(13..23, [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]);
    (p521[1], p521[3]) = (p521[1] - 3, p521[3] - 3);
    scratch.write("p521.pub.der", p521);
    scratch.write("info.bin", "whatever the platform wants");
    let before = scratch.names();
    let recipe = "--in fw.elf --key p256.pem --out out";
    for command in ["sign", "tbs", "sign --no-check", "tbs --no-check"] {
        for info in ["p256.pem", "rsa4096.pem", "p256.key.der", "locked.der"] {
            let answer = scratch.run(&format!("{command} {recipe} --key_info {info}"));
            assert_eq!(answer.code, 1, "{command} {info}");
            assert!(answer.stderr.contains("is a private key"), "{command} {info}: {}", answer.stderr);
            assert_eq!(scratch.names(), before);
        }
    }
    for (info, warning) in [
        ("p256.pub.der", None),
        ("info.bin", None),
        ("p256.pub.pem", Some("not as DER SubjectPublicKeyInfo")),
        ("rsa.pub.der", Some("is another public key")),
        ("rsa.pub.pem", Some("is another public key")),
        ("p521.pub.der", Some("of a kind that does not sign here")),
    ] {
        for command in ["sign", "tbs"] {
            let answer = scratch.run(&format!("{command} {recipe} --key_info {info} --json")).good();
            answer.json();
            match warning {
                None => assert_eq!(answer.stderr, "", "{command} {info}"),
                Some(warning) => {
                    assert!(answer.stderr.starts_with("warning: --key_info"), "{}", answer.stderr);
                    assert!(answer.stderr.contains(warning), "{command} {info}: {}", answer.stderr);
                }
            }
            let written = scratch.read("out");
            let bytes = scratch.read(info);
            assert!(written.windows(bytes.len()).any(|window| window == bytes), "{command} {info}");
        }
    }
}

#[test]
fn what_tbs_did_not_check_attach_need_not_either() {
    let scratch = scratch();
    let recipe = "--in fw.elf --plat-tlv BOOTADDR 0x20000000 --key p256.pem";
    let refused = scratch.run(&format!("tbs {recipe} --out fw.unsigned"));
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    scratch.run(&format!("tbs {recipe} --no-check --out fw.unsigned")).good();
    scratch.run(&format!("sign {recipe} --no-check --out whole.sig")).good();
    let (whole, place) = (scratch.read("whole.sig"), scratch.read("fw.unsigned.tbs").len());
    scratch.write("a.bin", &whole[place..place + 64]);
    let attach = "attach --in fw.unsigned --signature a.bin --key p256.pem --out fw.sig";
    let refused = scratch.run(attach);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("BOOT_ADDRESS_OUTSIDE") && refused.stderr.contains("--no-check"));
    scratch.run(&format!("{attach} --no-check")).good();
    assert!(scratch.read("fw.sig") == whole);
    // The signature itself is always checked.
    scratch.write("a.bin", [1; 64]);
    assert_eq!(scratch.run(&format!("{attach} --no-check")).code, 3);
    assert!(scratch.read("fw.sig") == whole);
}

#[test]
fn only_executables_for_arm_are_signed_unless_nothing_is_checked() {
    let scratch = scratch();
    let elf = vector("elf/fw_m4.elf");
    // e_type and e_machine: x86-64, RISC-V, AArch64 in a 32-bit file, an object file, a position-independent one.
    for (kind, machine, what) in [
        (2_u16, 62_u16, "e_machine is 62"),
        (2, 243, "e_machine is 243"),
        (2, 183, "e_machine is 183"),
        (1, 40, "an object file"),
        (3, 40, "position-independent"),
        (4, 40, "e_type is 4"),
    ] {
        let mut other = elf.clone();
        other[16..18].copy_from_slice(&kind.to_le_bytes());
        other[18..20].copy_from_slice(&machine.to_le_bytes());
        scratch.write("other.elf", other);
        for command in ["sign", "tbs"] {
            let line = format!("{command} --in other.elf --key p256.pem --out other.sig");
            let answer = scratch.run(&line);
            assert_eq!(answer.code, 3, "{line} {what}");
            assert!(
                answer.stderr.contains(what) && answer.stderr.contains("--no-check"),
                "{}",
                answer.stderr
            );
            assert!(!scratch.path("other.sig").exists());
        }
        scratch.run("sign --in other.elf --key p256.pem --out other.sig --no-check").good();
        std::fs::remove_file(scratch.path("other.sig")).unwrap();
    }
}
