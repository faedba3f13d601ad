//! The partition's manifest: public keys become devicetree nodes, dtc compiles it.
use crate::process;
use crate::workspace::{RunDirectory, Workspace};
use anyhow::{Context, Result, bail};
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A manifest has to fit one page together with the boot information under every SPMC.
pub const MAX_SIZE: usize = 3584;
/// The partition reads this many keys.
pub const MAX_KEYS: usize = 4;

/// An RSA key that the partition is to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name that logs call it by.
    pub label: String,
    /// Big-endian, without leading zeros.
    pub modulus: Vec<u8>,
    /// Public exponent.
    pub exponent: u32,
}

impl Key {
    /// Reads a public key file, PEM, SubjectPublicKeyInfo or PKCS#1. The label is the file's name.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))?;
        let name = path.file_name().map_or_else(|| "key".into(), |name| name.to_string_lossy());
        Self::parse(&label_of(&name), &text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(label: &str, pem: &str) -> Result<Self> {
        let pem = pem.trim();
        let key = if pem.contains("BEGIN RSA PUBLIC KEY") {
            RsaPublicKey::from_pkcs1_pem(pem).context("not an RSA public key in PKCS#1 form")?
        } else if pem.contains("BEGIN PUBLIC KEY") {
            RsaPublicKey::from_public_key_pem(pem)
                .context("not an RSA public key; only RSA keys can be trusted here")?
        } else if pem.contains("PRIVATE KEY") {
            bail!("this is a private key; give the public one")
        } else {
            bail!("not a public key in PEM form")
        };
        let modulus = key.n().to_bytes_be();
        if !(256..=512).contains(&modulus.len()) {
            bail!("the key has {} bits; 2048 to 4096 are supported", modulus.len() * 8);
        }
        let exponent: u32 =
            key.e().to_string().parse().context("the public exponent does not fit 32 bits")?;
        Ok(Self { label: label.to_owned(), modulus, exponent })
    }
}

/// `rsa2048.pub.pem` becomes `rsa2048`; only what needs no escape in a devicetree string stays.
fn label_of(file_name: &str) -> String {
    let stem = file_name.strip_suffix(".pem").unwrap_or(file_name);
    let stem = stem.strip_suffix(".pub").unwrap_or(stem);
    let label: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' })
        .take(32)
        .collect();
    if label.is_empty() { "key".to_owned() } else { label }
}

/// The devicetree source that `/include/ "keys.dtsi"` stands for.
pub fn render_keys(keys: &[Key]) -> String {
    let mut text = String::from("keys {\n");
    for (number, key) in keys.iter().enumerate() {
        let _ = writeln!(text, "\tkey-{number} {{");
        let _ = writeln!(text, "\t\tlabel = \"{}\";", key.label);
        let _ = writeln!(text, "\t\talgorithm = \"rsa\";");
        text.push_str("\t\tmodulus = [");
        for (index, byte) in key.modulus.iter().enumerate() {
            if index % 32 == 0 {
                text.push_str("\n\t\t\t");
            }
            let _ = write!(text, "{byte:02x} ");
        }
        text.push_str("];\n");
        let _ = writeln!(text, "\t\texponent = <{}>;", key.exponent);
        text.push_str("\t};\n");
    }
    text.push_str("};\n");
    text
}

/// Compiles the manifest of `board` with these keys into a devicetree blob.
pub fn compile(workspace: &Workspace, run: &RunDirectory, board: &str, keys: &[Key]) -> Result<Vec<u8>> {
    if keys.is_empty() || keys.len() > MAX_KEYS {
        bail!("a manifest takes 1 to {MAX_KEYS} keys, not {}", keys.len());
    }
    run.write("keys.dtsi", render_keys(keys).as_bytes())?;
    let blob = fs::read(compile_source(workspace, run, board)?)?;
    check_size(blob.len())?;
    Ok(blob)
}

/// Compiles `manifest/NAME.dts` into a devicetree blob among the run's files, and returns its path.
pub fn compile_source(workspace: &Workspace, run: &RunDirectory, name: &str) -> Result<PathBuf> {
    let source = workspace.root.join(format!("manifest/{name}.dts"));
    let output = run.path().join(format!("{name}.dtb"));
    let mut command = process::command("dtc");
    command.args(["-q", "-I", "dts", "-O", "dtb", "-i"]).arg(run.path());
    command.arg("-o").arg(&output).arg(&source);
    process::capture(command, Duration::from_secs(30))
        .with_context(|| format!("manifest/{name}.dts does not compile"))?;
    Ok(output)
}

fn check_size(size: usize) -> Result<()> {
    if size > MAX_SIZE {
        bail!("the compiled manifest has {size} bytes, the limit is {MAX_SIZE}: name fewer or shorter keys");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector_key(name: &str) -> Result<Key> {
        Key::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys").join(name))
    }

    #[test]
    fn public_keys_are_read() {
        let small = vector_key("rsa2048.pub.pem").unwrap();
        assert_eq!((small.label.as_str(), small.modulus.len(), small.exponent), ("rsa2048", 256, 65537));
        assert!(small.modulus[0] >= 0x80);
        let large = vector_key("rsa4096.pub.pem").unwrap();
        assert_eq!((large.label.as_str(), large.modulus.len(), large.exponent), ("rsa4096", 512, 65537));
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let error = format!("{:#}", vector_key("p256.pub.pem").unwrap_err());
        assert!(error.contains("only RSA keys"), "{error}");
        assert!(vector_key("rsa2048.pub.der").is_err());
        let error = Key::parse("x", "-----BEGIN PRIVATE KEY-----").unwrap_err();
        assert!(error.to_string().contains("private"));
    }

    #[test]
    fn pkcs1_and_spki_give_the_same_key() {
        use rsa::pkcs1::EncodeRsaPublicKey;
        let text = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys/rsa2048.pub.pem"),
        )
        .unwrap();
        let key = RsaPublicKey::from_public_key_pem(text.trim()).unwrap();
        let pkcs1 = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        assert_eq!(Key::parse("k", &pkcs1).unwrap(), Key::parse("k", &text).unwrap());
    }

    #[test]
    fn labels_come_from_file_names() {
        for (name, label) in
            [("rsa2048.pub.pem", "rsa2048"), ("a\"b;.pem", "a_b_"), (".pem", "key"), ("plain", "plain")]
        {
            assert_eq!(label_of(name), label);
        }
    }

    #[test]
    fn keys_are_rendered_byte_by_byte() {
        let key = Key { label: "k".to_owned(), modulus: vec![0xab, 0x01], exponent: 3 };
        let text = render_keys(&[key.clone(), key]);
        assert!(text.contains("key-0 {") && text.contains("key-1 {"), "{text}");
        assert!(text.contains("ab 01 ];") && text.contains("exponent = <3>;"), "{text}");
    }

    #[test]
    fn a_large_manifest_is_refused() {
        assert!(check_size(MAX_SIZE).is_ok());
        assert!(check_size(MAX_SIZE + 1).is_err());
    }
}
