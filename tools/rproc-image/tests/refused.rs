//! The tool's own refusals: each has its number and its name of the catalogue, for people and for machines.
mod support;

use remoteproc_refusal::Refusal;
use serde_json::Value;
use support::{Scratch, vector};

/// An ELF file with a half word of its header replaced.
fn changed(offset: usize, value: u16) -> Vec<u8> {
    let mut elf = vector("elf/fw_m4.elf");
    elf[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    elf
}

#[test]
fn every_refusal_of_the_tool_has_its_defect() {
    let scratch = Scratch::new();
    scratch.write("library.a", b"!<arch>\nfw.o/           0           0     0     644     4         `\n1234");
    scratch.write("raw.bin", [0x55; 64]);
    scratch.write("x86.elf", changed(18, 62));
    scratch.write("object.o", changed(16, 1));
    scratch.write("empty.elf", changed(44, 0));
    // p_filesz of the second and the third program header.
    scratch.write("odd.elf", changed(52 + 32 + 16, 17));
    scratch.write("outside.elf", changed(52 + 64 + 18, 1));
    scratch.run("tbs --in v/elf/fw_m4.elf --key v/keys/p256.pub.pem --out fw.unsigned").good();
    let sign = |inputs: &str| format!("sign --key v/keys/p256.pk8.der --out out.sig {inputs}");
    let tbs = |inputs: &str| format!("tbs --key v/keys/p256.pub.pem --out out.sig {inputs}");
    let attach = |files: &str| format!("attach --key v/keys/p256.pub.pem --out out.sig {files}");
    let two_tables = "--in v/elf/fw_m4.elf --in v/elf/fw_m33_ns.elf --resource-table";
    let cases = [
        (sign("--in v/01-rsa2048-m4.sig"), Refusal::InputAlreadySigned, None),
        (sign("--in v/elf/fw_m4.elf --in library.a"), Refusal::InputStaticLibrary, None),
        (sign("--in raw.bin --no-check"), Refusal::InputNotElf, None),
        (tbs("--in raw.bin"), Refusal::InputNotElf, None),
        (
            sign("--in x86.elf"),
            Refusal::InputOtherArchitecture,
            Some("Its e_machine is 62, it should be 40."),
        ),
        (tbs("--in object.o"), Refusal::InputNotExecutable, Some("It is an object file.")),
        (
            sign("--in v/elf/fw_m4.elf --in empty.elf"),
            Refusal::InputCannotBeSigned,
            Some("No program headers: link the object files first."),
        ),
        (
            sign("--in v/elf/fw_m33_ns.elf --in odd.elf --enc_key v/keys/aes256.bin"),
            Refusal::InputCannotBeSigned,
            Some(
                "Program header 1: a segment's size in the file is not a multiple of 16: pad the sections to encrypt it.",
            ),
        ),
        (
            tbs("--in outside.elf"),
            Refusal::InputCannotBeSigned,
            Some("Program header 2: a segment lies outside the file."),
        ),
        (
            sign(two_tables),
            Refusal::ResourceTableNotSignable,
            Some("Resource table: more than one image has one."),
        ),
        (
            attach("--in fw.unsigned --signature raw.bin"),
            Refusal::AttachedSignatureInvalid,
            Some("It does not verify. It has to be made by ECDSA P-256 with SHA-256 over the .tbs file."),
        ),
        (
            attach("--in v/elf/fw_m4.elf --signature raw.bin"),
            Refusal::NotToBeAttached,
            Some(Refusal::BadMagic.sentence()),
        ),
        (
            attach("--in v/keys/aes256.bin --signature raw.bin"),
            Refusal::NotToBeAttached,
            Some(Refusal::BadMagic.sentence()),
        ),
    ];
    let before = scratch.names();
    for (line, refusal, hint) in &cases {
        let text = scratch.run(line);
        assert_eq!(text.code, 3, "{line}: {}", text.stderr);
        // The file that is the reason, then the catalogue's words.
        let file = line.split(' ').rev().find(|word| text.stderr.starts_with(&format!("{word}: "))).unwrap();
        let mut expected = format!("{file}: refused: {refusal}\n  {}\n", refusal.sentence());
        expected.extend(hint.map(|hint| format!("  {hint}\n")));
        assert_eq!((text.stdout.as_str(), text.stderr), ("", expected), "{line}");

        let answer = scratch.run(&format!("{line} --json"));
        let json = answer.json();
        assert_eq!((answer.code, answer.stderr.as_str()), (3, ""), "{line}");
        assert_eq!(json["number"], format!("{:#06x}", refusal.number()), "{line}");
        assert_eq!(json["name"], refusal.name(), "{line}");
        assert_eq!(json["sentence"], refusal.sentence(), "{line}");
        assert_eq!(json["hint"], hint.map_or(Value::Null, Value::from), "{line}");
        assert_eq!(json["file"], file, "{line}");
        assert_eq!(scratch.names(), before, "nothing was written");
    }
    for refusal in Refusal::ALL.iter().filter(|refusal| refusal.number() >> 8 == 0x09) {
        assert!(cases.iter().any(|(_, provoked, _)| provoked == refusal), "{refusal} was not provoked");
    }
}
