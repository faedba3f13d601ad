//! What is on the disk afterwards: outputs whole, inputs untouched, nothing left behind, private keys private.
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use support::{Scratch, mode, pem, vector};

const SIGN: &str = "sign --in fw.elf --key key.pem --out";

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
    scratch.write("a.bin", [0; 256]);
    for line in [
        format!("{SIGN} aes.key --enc_key aes.key"),
        format!("{SIGN} aes.key --key_info aes.key"),
        "tbs --in fw.elf --key key.pem --out fw.elf".to_owned(),
        "pubkey --key key.pem --out key.pem".to_owned(),
    ] {
        let answer = scratch.run(&line);
        assert_eq!(answer.code, 1, "{line}");
        assert!(answer.stderr.contains("inputs are never written"), "{line}: {}", answer.stderr);
    }
    for name in &before {
        assert!(scratch.path(name).exists(), "{name}");
    }
    assert_eq!(scratch.read("aes.key"), [1; 16]);
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
