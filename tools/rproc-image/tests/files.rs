//! What is on the disk afterwards: outputs whole, inputs untouched, nothing left behind, private keys private.
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use support::{Scratch, mode, pem, vector};

const SIGN: &str = "sign --in fw.elf --key key.pem --out";
const ATTACH: &str =
    "attach --in fw.unsigned --signature a.bin --key locked.pem --key-pwd-file pass.txt --out";

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("fw.elf", vector("elf/fw_m4.elf"));
    scratch.write("key.pem", pem("PRIVATE KEY", &vector("keys/rsa2048.pk8.der")));
    scratch
}

#[test]
fn an_output_that_is_an_input_is_refused_through_every_link() {
    let scratch = scratch();
    let elf = scratch.read("fw.elf");
    symlink("fw.elf", scratch.path("soft.elf")).unwrap();
    fs::hard_link(scratch.path("fw.elf"), scratch.path("hard.elf")).unwrap();
    symlink("key.pem", scratch.path("soft.pem")).unwrap();
    let before = scratch.names();
    for out in ["fw.elf", "./fw.elf", "soft.elf", "hard.elf", "key.pem", "soft.pem"] {
        let answer = scratch.run(&format!("{SIGN} {out}"));
        assert_eq!(answer.code, 1, "{out}");
        assert!(answer.stderr.contains("inputs are never written"), "{out}: {}", answer.stderr);
        assert!(scratch.read("fw.elf") == elf, "{out}");
    }
    // The other commands that write, and the other inputs.
    scratch.write("aes.key", [1; 16]);
    scratch.run("tbs --in fw.elf --key key.pem --out fw.unsigned").good();
    scratch.write("locked.pem", pem("ENCRYPTED PRIVATE KEY", &vector("keys/rsa2048-enc.pk8.der")));
    scratch.write("pass.txt", "golden-pass\n");
    let signed = vector("01-rsa2048-m4.sig");
    scratch.write("a.bin", &signed[364..364 + 256]);
    let all = scratch.names();
    let contents =
        || all.iter().filter(|name| *name != "v").map(|name| scratch.read(name)).collect::<Vec<_>>();
    let before_all = contents();
    for line in [
        format!("{SIGN} aes.key --enc_key aes.key"),
        format!("{SIGN} aes.key --key_info aes.key"),
        "tbs --in fw.elf --key key.pem --out fw.elf".to_owned(),
        "pubkey --key key.pem --out key.pem".to_owned(),
        "pubkey --key locked.pem --key-pwd-file pass.txt --out pass.txt".to_owned(),
        format!("{SIGN} pass.txt --key-pwd-file pass.txt"),
        "tbs --in fw.elf --key locked.pem --key-pwd-file pass.txt --out pass.txt".to_owned(),
        "tbs --in fw.elf --key key.pem --key_info fw.unsigned.tbs --out fw.unsigned".to_owned(),
        format!("{ATTACH} pass.txt"),
        format!("{ATTACH} a.bin"),
        format!("{ATTACH} fw.unsigned"),
        format!("{ATTACH} locked.pem"),
        "keygen --force --encrypt --key-pwd-file pass.txt --out pass.txt".to_owned(),
        "keygen --force --encrypt --key-pwd-file pass.txt --out other.pem --pub-out pass.txt".to_owned(),
    ] {
        let answer = scratch.run(&line);
        assert_eq!(answer.code, 1, "{line}");
        assert!(answer.stderr.contains("inputs are never written"), "{line}: {}", answer.stderr);
    }
    for name in &before {
        assert!(scratch.path(name).exists(), "{name}");
    }
    assert!(contents() == before_all, "no input changed");
    assert_eq!(scratch.names(), all);
    // With another name the last ones go through.
    scratch.run(&format!("{ATTACH} fw.sig")).good();
    assert!(scratch.read("fw.sig") == signed);
}

#[test]
fn a_key_pair_is_written_whole_or_not_at_all() {
    let scratch = Scratch::new();
    scratch.run("keygen --out old.pem --pub-out old.pub.pem").good();
    let old = (scratch.read("old.pem"), scratch.read("old.pub.pem"));
    let before = scratch.names();
    for (line, reason) in [
        ("keygen --force --out old.pem --pub-out missing/x", "no directory missing"),
        ("keygen --force --out missing/x --pub-out old.pub.pem", "no directory missing"),
        ("keygen --force --out old.pem --pub-out v", "not a regular file"),
        ("keygen --out new.pem --pub-out missing/x", "no directory missing"),
        ("keygen --out new.pem --pub-out new.pem", "the same file"),
        ("keygen --out new.pem --pub-out ./new.pem", "the same file"),
        ("keygen --force --out old.pem --pub-out old.pem", "the same file"),
        ("keygen --out new.pem --pub-out old.pub.pem", "old.pub.pem exists"),
        ("keygen --out new.pem --pub-out old.pem", "old.pem exists"),
        ("keygen --out old.pem --pub-out new.pub.pem", "old.pem exists"),
    ] {
        let answer = scratch.run(line);
        assert_eq!(answer.code, 1, "{line}");
        assert!(answer.stderr.contains(reason), "{line}: {}", answer.stderr);
        assert!((scratch.read("old.pem"), scratch.read("old.pub.pem")) == old, "{line}");
        assert_eq!(scratch.names(), before, "{line}");
    }
    scratch.run("keygen --force --out old.pem --pub-out old.pub.pem").good();
    assert!(scratch.read("old.pem") != old.0 && scratch.read("old.pub.pem") != old.1);
    let id = |key: &str| scratch.run(&format!("pubkey --json --key {key}")).good().json()["key_id"].clone();
    assert_eq!(id("old.pem"), id("old.pub.pem"));
}

#[test]
fn a_digest_of_other_bytes_is_not_left_beside_new_ones() {
    let scratch = scratch();
    scratch.run("tbs --in fw.elf --key key.pem --out fw.unsigned").good();
    assert!(scratch.path("fw.unsigned.digest").exists());
    scratch.run("keygen --type ed25519 --out ed.pem").good();
    // An input of that name stays, and nothing is written.
    let bytes = scratch.read("fw.unsigned.tbs");
    let line = "tbs --in fw.elf --key ed.pem --out fw.unsigned";
    let answer = scratch.run(&format!("{line} --key_info fw.unsigned.digest"));
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(scratch.path("fw.unsigned.digest").exists() && scratch.read("fw.unsigned.tbs") == bytes);
    scratch.run(line).good();
    assert!(!scratch.path("fw.unsigned.digest").exists());
    assert!(scratch.read("fw.unsigned.tbs") != bytes);
}

#[test]
fn an_output_is_replaced_whole_and_nothing_else_is_left() {
    let scratch = scratch();
    scratch.write("out.sig", "what was there before");
    fs::hard_link(scratch.path("out.sig"), scratch.path("kept")).unwrap();
    scratch.run(&format!("{SIGN} out.sig")).good();
    assert!(scratch.read("out.sig") == vector("01-rsa2048-m4.sig"));
    assert_eq!(scratch.read("kept"), b"what was there before", "the old file itself was not written");
    assert_eq!(scratch.names(), ["fw.elf", "kept", "key.pem", "out.sig", "v"]);
}

#[test]
fn a_refusal_leaves_the_old_output_and_no_other_file() {
    let scratch = scratch();
    scratch.write("out.sig", "old");
    scratch.write("bad.elf", [0x55; 64]);
    let before = scratch.names();
    for line in [
        "sign --in bad.elf --key key.pem --out out.sig",
        "sign --in fw.elf --in fw.elf --key key.pem --out out.sig",
        "sign --in fw.elf --key key.pem --out out.sig --resource-table --plat-tlv BOOTADDR 0x4",
        "tbs --in bad.elf --key key.pem --out out.sig",
    ] {
        assert_eq!(scratch.run(line).code, 3, "{line}");
        assert_eq!((scratch.read("out.sig"), scratch.names()), (b"old".to_vec(), before.clone()), "{line}");
    }
}

#[test]
fn an_output_in_a_directory_that_takes_none_fails_cleanly() {
    let scratch = scratch();
    fs::create_dir(scratch.path("closed")).unwrap();
    scratch.write("closed/out.sig", "old");
    // A directory in the output's place can't be replaced, not even by root.
    fs::create_dir(scratch.path("closed/taken")).unwrap();
    let answer = scratch.run(&format!("{SIGN} closed/taken"));
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("not a regular file"), "{}", answer.stderr);
    let left: Vec<_> = fs::read_dir(scratch.path("closed")).unwrap().collect();
    assert_eq!(left.len(), 2);
    assert_eq!(scratch.run(&format!("{SIGN} /dev/full")).code, 1);
}

#[test]
fn private_keys_are_for_their_owner_only() {
    let scratch = Scratch::new();
    scratch.write("old.pem", "an old key");
    fs::set_permissions(scratch.path("old.pem"), Permissions::from_mode(0o644)).unwrap();
    scratch.run("keygen --out new.pem --pub-out new.pub.pem").good();
    scratch.run("keygen --out old.pem --force").good();
    for key in ["new.pem", "old.pem"] {
        assert_eq!(mode(&scratch.path(key)), 0o600, "{key}");
    }
    assert_ne!(mode(&scratch.path("new.pub.pem")), 0o600, "anybody may have the public key");
    // A key is not replaced by accident.
    let key = scratch.read("new.pem");
    assert_eq!(scratch.run("keygen --out new.pem").code, 1);
    assert!(scratch.read("new.pem") == key);
}

#[test]
fn a_passphrase_comes_from_option_file_or_environment() {
    let scratch = Scratch::new();
    scratch.write("fw.elf", vector("elf/fw_m33_ns.elf"));
    scratch.write("right.txt", "golden-pass\r\nsecond line\n");
    scratch.write("wrong.txt", "golden\n");
    let line = "sign --in fw.elf --key v/keys/rsa2048-enc.pk8.der --out out.sig";
    let run = |more: &str, variable: Option<&str>| {
        let mut command = scratch.command(&format!("{line} {more}"));
        command.envs(variable.map(|value| ("RPROC_IMAGE_KEY_PWD", value)));
        support::answer(command.output().unwrap())
    };
    for (more, variable, code) in [
        ("--key_pwd golden-pass", None, 0),
        ("--key-pwd-file right.txt", None, 0),
        ("", Some("golden-pass"), 0),
        ("--key-pwd-file right.txt", Some("wrong"), 0),
        ("--key-pwd-file wrong.txt", Some("golden-pass"), 1),
        ("--key_pwd wrong", None, 1),
        ("", Some("wrong"), 1),
        ("", None, 1),
    ] {
        let answer = run(more, variable);
        assert_eq!(answer.code, code, "{more} {variable:?}: {}", answer.stderr);
        assert!(!answer.stderr.contains("golden-pass"), "{}", answer.stderr);
    }
}
