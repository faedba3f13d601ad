//! The two steps with OpenSSL in the hardware module's place, and OpenSSL's own files as keys.
mod support;

use std::process::{Command, ExitCode, Stdio};
use support::{Answer, Scratch, answer, pem, run_or_skip, vector};

type Test = (&'static str, fn());

const TESTS: [Test; 7] = [
    ("rsa_over_the_bytes_and_over_the_digest", rsa),
    ("pss", pss),
    ("p256_in_der_and_in_r_s", p256),
    ("p384", p384),
    ("ed25519", ed25519),
    ("openssl_verifies_what_the_tool_signed", openssl_verifies),
    ("keys_in_every_form_that_openssl_writes", key_forms),
];

fn main() -> ExitCode {
    let mut version = Command::new("openssl");
    let version = version.arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let missing = version.err().map(|error| format!("the command openssl can't be run: {error}"));
    run_or_skip("openssl", &TESTS, missing)
}

/// Runs OpenSSL in the scratch directory.
fn openssl(scratch: &Scratch, line: &str) -> Answer {
    let mut command = Command::new("openssl");
    command.args(line.split_whitespace()).current_dir(scratch.path("")).stdin(Stdio::null());
    answer(command.output().unwrap())
}

const IMAGES: &str =
    "--in v/elf/fw_m33_s.elf --in v/elf/fw_m33_ns.elf --security-counter 3 --resource-table --key-id";

/// Writes what is to be signed by the key whose public half is `pub.pem`.
fn prepare(scratch: &Scratch, more: &str) {
    scratch.run(&format!("tbs {IMAGES} --key pub.pem --out fw.unsigned {more}")).good();
}

/// Attaches a signature, and has the result verified.
fn attach(scratch: &Scratch, signature: &str) {
    scratch
        .run(&format!("attach --in fw.unsigned --signature {signature} --key pub.pem --out fw.sig"))
        .good();
    scratch.run("verify fw.sig --key pub.pem").good();
}

fn generate(scratch: &Scratch, arguments: &str) {
    openssl(scratch, &format!("genpkey {arguments} -out key.pem")).good();
    openssl(scratch, "pkey -in key.pem -pubout -out pub.pem").good();
}

fn rsa() {
    let scratch = Scratch::new();
    scratch.write("key.pem", pem("PRIVATE KEY", &vector("keys/rsa2048.pk8.der")));
    scratch.write("pub.pem", vector("keys/rsa2048.pub.pem"));
    prepare(&scratch, "");
    openssl(&scratch, "dgst -sha256 -sign key.pem -out a.bin fw.unsigned.tbs").good();
    openssl(
        &scratch,
        "pkeyutl -sign -inkey key.pem -pkeyopt digest:sha256 -in fw.unsigned.digest -out b.bin",
    )
    .good();
    attach(&scratch, "a.bin");
    let signed = scratch.read("fw.sig");
    attach(&scratch, "b.bin");
    assert!(signed == scratch.read("fw.sig"));
    scratch.run(&format!("sign {IMAGES} --key key.pem --out whole.sig")).good();
    assert!(signed == scratch.read("whole.sig"), "two steps make what one step makes");
    // Of other bytes.
    openssl(&scratch, "dgst -sha256 -sign key.pem -out c.bin fw.sig").good();
    let refused = scratch.run("attach --in fw.unsigned --signature c.bin --key pub.pem --out other.sig");
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(!scratch.path("other.sig").exists());
}

fn pss() {
    let scratch = Scratch::new();
    generate(&scratch, "-algorithm RSA -pkeyopt rsa_keygen_bits:3072");
    prepare(&scratch, "--pss");
    let options = "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32";
    let sign = format!("pkeyutl -sign -inkey key.pem {options} -in fw.unsigned.digest -out a.bin");
    openssl(&scratch, &sign).good();
    attach(&scratch, "a.bin");
}

fn p256() {
    let scratch = Scratch::new();
    generate(&scratch, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    prepare(&scratch, "");
    openssl(&scratch, "dgst -sha256 -sign key.pem -out a.bin fw.unsigned.tbs").good();
    attach(&scratch, "a.bin");
    let signed = scratch.read("fw.sig");
    let place = scratch.read("fw.unsigned.tbs").len();
    scratch.write("raw.bin", &signed[place..place + 64]);
    attach(&scratch, "raw.bin");
    assert!(signed == scratch.read("fw.sig"));
}

fn p384() {
    let scratch = Scratch::new();
    generate(&scratch, "-algorithm EC -pkeyopt ec_paramgen_curve:P-384");
    prepare(&scratch, "");
    openssl(&scratch, "pkeyutl -sign -inkey key.pem -in fw.unsigned.digest -out a.bin").good();
    attach(&scratch, "a.bin");
    openssl(&scratch, "dgst -sha384 -sign key.pem -out b.bin fw.unsigned.tbs").good();
    attach(&scratch, "b.bin");
}

fn ed25519() {
    let scratch = Scratch::new();
    generate(&scratch, "-algorithm ED25519");
    prepare(&scratch, "");
    assert!(!scratch.path("fw.unsigned.digest").exists(), "there is no digest to sign");
    openssl(&scratch, "pkeyutl -sign -inkey key.pem -rawin -in fw.unsigned.tbs -out a.bin").good();
    attach(&scratch, "a.bin");
}

fn openssl_verifies() {
    let scratch = Scratch::new();
    for kind in ["rsa2048", "p256", "p384", "ed25519"] {
        scratch.run(&format!("keygen --type {kind} --out key.pem --pub-out pub.pem --force")).good();
        scratch.run(&format!("sign {IMAGES} --key key.pem --out fw.sig")).good();
        prepare(&scratch, "");
        let (signed, place) = (scratch.read("fw.sig"), scratch.read("fw.unsigned.tbs").len());
        assert!(signed.starts_with(&scratch.read("fw.unsigned.tbs")), "{kind}");
        let json = scratch.run(&format!("tbs {IMAGES} --key pub.pem --out fw.unsigned --json")).good().json();
        let length = json["signature_length"].as_u64().unwrap() as usize;
        let signature = &signed[place..place + length];
        let digest = match kind {
            "rsa2048" => "-pkeyopt digest:sha256 -in fw.unsigned.digest",
            "ed25519" => "-rawin -in fw.unsigned.tbs",
            _ => "-in fw.unsigned.digest",
        };
        let bytes = if kind.starts_with('p') { der(signature) } else { signature.to_vec() };
        scratch.write("a.bin", bytes);
        openssl(&scratch, &format!("pkeyutl -verify -pubin -inkey pub.pem {digest} -sigfile a.bin")).good();
    }
}

/// r and s as OpenSSL wants them: a sequence of two integers.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap();
        let mut value = bytes[start..].to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [&[2, value.len() as u8], &value[..]].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, both.len() as u8], &both[..]].concat()
}

fn key_forms() {
    let scratch = Scratch::new();
    let sign = |scratch: &Scratch, key: &str, more: &str| {
        scratch.run(&format!("sign --in v/elf/fw_m4.elf --key {key} --out out.sig {more}")).good();
        scratch.read("out.sig")
    };
    for (name, pkcs8) in [("rsa", "keys/rsa2048.pk8.der"), ("ec", "keys/p256.pk8.der")] {
        scratch.write("key.pem", pem("PRIVATE KEY", &vector(pkcs8)));
        let expected = sign(&scratch, "key.pem", "");
        let plain = [
            format!("{name} -in key.pem -out t.pem{}", if name == "rsa" { " -traditional" } else { "" }),
            format!(
                "{name} -in key.pem -outform DER -out t.pem{}",
                if name == "rsa" { " -traditional" } else { "" }
            ),
            "pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out t.pem".to_owned(),
        ];
        for command in plain {
            openssl(&scratch, &command).good();
            assert!(sign(&scratch, "t.pem", "") == expected, "{command}");
        }
        for cipher in ["-v2 aes-256-cbc", "-v2 aes-128-cbc", "-v2 des3"] {
            openssl(&scratch, &format!("pkcs8 -topk8 {cipher} -passout pass:secret -in key.pem -out t.pem"))
                .good();
            assert!(sign(&scratch, "t.pem", "--key_pwd secret") == expected, "{cipher}");
        }
        // Public keys: SubjectPublicKeyInfo in both forms, and for RSA also PKCS#1.
        let mut forms = vec![
            format!("{name} -in key.pem -pubout -out t.pub"),
            format!("{name} -in key.pem -pubout -outform DER -out t.pub"),
        ];
        if name == "rsa" {
            forms.push("rsa -in key.pem -RSAPublicKey_out -out t.pub".into());
            forms.push("rsa -in key.pem -RSAPublicKey_out -outform DER -out t.pub".into());
        }
        for command in forms {
            openssl(&scratch, &command).good();
            scratch.run("verify out.sig --key t.pub").good();
        }
    }
    // What `openssl ecparam -genkey` writes begins with the curve's name.
    openssl(&scratch, "ecparam -name prime256v1 -genkey -out t.pem").good();
    sign(&scratch, "t.pem", "");
    scratch.run("verify out.sig --key t.pem").good();
    // And a key that the tool encrypted, OpenSSL opens.
    scratch.write("pass.txt", "secret\n");
    scratch.run("keygen --out t.pem --force --encrypt --key-pwd-file pass.txt").good();
    openssl(&scratch, "pkey -in t.pem -passin pass:secret -noout").good();
}
