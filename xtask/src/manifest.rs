//! The partition's manifest: public keys become devicetree nodes, dtc compiles it, and what the partition would refuse at boot is refused
//! here.
use crate::process;
use crate::workspace::{RunDirectory, Workspace};
use anyhow::{Context, Result, anyhow, bail};
use dtoolkit::Node as _;
use dtoolkit::fdt::Fdt;
use remoteproc_image::write::OwnedPublicKey;
use remoteproc_platform::manifest::{MAX_SIZE, parse};
use remoteproc_service::configuration::MAX_KEYS;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most memory regions, and most device regions, that a partition asks its SPMC for.
const MAX_FFA_REGIONS: usize = 8;

/// A key that the partition is to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name that logs call it by.
    pub label: String,
    /// The key.
    pub key: OwnedPublicKey,
    /// The manifest has only the key's hash.
    by_hash: bool,
    /// The manifest says that its images are to be refused.
    revoked: bool,
}

impl Key {
    /// A key that is trusted, and stands in the manifest itself.
    pub fn new(label: &str, key: OwnedPublicKey) -> Self {
        Self { label: label.to_owned(), key, by_hash: false, revoked: false }
    }

    /// The same, known by its hash.
    pub fn by_hash(self) -> Self {
        Self { by_hash: true, ..self }
    }

    /// The same, revoked.
    pub fn revoked(self) -> Self {
        Self { revoked: true, ..self }
    }

    /// Reads a public key file, PEM: SubjectPublicKeyInfo of RSA or P-256, or PKCS#1. The label is the file's name.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))?;
        let name = path.file_name().map_or_else(|| "key".into(), |name| name.to_string_lossy());
        Self::parse(&label_of(&name), &text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(label: &str, pem: &str) -> Result<Self> {
        let pem = pem.trim();
        let key = if pem.contains("BEGIN RSA PUBLIC KEY") {
            let key = RsaPublicKey::from_pkcs1_pem(pem).context("not an RSA public key in PKCS#1 form")?;
            OwnedPublicKey::from_rsa(&key)?
        } else if pem.contains("BEGIN PUBLIC KEY") {
            OwnedPublicKey::from_pem(pem).context("only RSA and P-256 keys can be trusted here")?
        } else if pem.contains("PRIVATE KEY") {
            bail!("this is a private key; give the public one")
        } else {
            bail!("not a public key in PEM form")
        };
        if matches!(key, OwnedPublicKey::P384 { .. } | OwnedPublicKey::Ed25519 { .. }) {
            bail!("only RSA and P-256 keys can be trusted here");
        }
        if !key.as_key().is_acceptable() {
            bail!("the RSA key has {} bits; 2048 to 4096 are supported", key.as_key().bits());
        }
        Ok(Self::new(label, key))
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
        if key.revoked {
            text.push_str("\t\trevoked;\n");
        }
        match &key.key {
            key_itself if key.by_hash => {
                let _ = writeln!(text, "\t\talgorithm = \"hash\";");
                render_bytes(&mut text, "hash", &key_itself.id());
            }
            OwnedPublicKey::Rsa { modulus, exponent } => {
                let _ = writeln!(text, "\t\talgorithm = \"rsa\";");
                render_bytes(&mut text, "modulus", modulus);
                let _ = writeln!(text, "\t\texponent = <{exponent}>;");
            }
            OwnedPublicKey::P256 { point } => {
                let _ = writeln!(text, "\t\talgorithm = \"p256\";");
                render_bytes(&mut text, "point", point);
            }
            // For partitions that are built with these algorithms.
            OwnedPublicKey::P384 { point } => {
                let _ = writeln!(text, "\t\talgorithm = \"p384\";");
                render_bytes(&mut text, "point", point);
            }
            OwnedPublicKey::Ed25519 { point } => {
                let _ = writeln!(text, "\t\talgorithm = \"ed25519\";");
                render_bytes(&mut text, "point", point);
            }
        }
        text.push_str("\t};\n");
    }
    text.push_str("};\n");
    text
}

fn render_bytes(text: &mut String, property: &str, bytes: &[u8]) {
    let _ = write!(text, "\t\t{property} = [");
    for (index, byte) in bytes.iter().enumerate() {
        if index % 32 == 0 {
            text.push_str("\n\t\t\t");
        }
        let _ = write!(text, "{byte:02x} ");
    }
    text.push_str("];\n");
}

/// Compiles the manifest of `board` with these keys, and further properties of the node `remoteproc`, into a devicetree blob; with
/// one execution context instead of the manifest's number, if that is wanted.
pub fn compile(
    workspace: &Workspace,
    run: &RunDirectory,
    board: &str,
    keys: &[Key],
    properties: &str,
    one_context: bool,
) -> Result<Vec<u8>> {
    if keys.is_empty() || keys.len() > MAX_KEYS {
        bail!("a manifest takes 1 to {MAX_KEYS} keys, not {}", keys.len());
    }
    run.write("keys.dtsi", render_keys(keys).as_bytes())?;
    let source = workspace.root.join(format!("manifest/{board}.dts"));
    let source = if properties.is_empty() && !one_context {
        source
    } else {
        // Nodes of the same name are one node.
        let root = if one_context { "execution-ctx-count = <1>; " } else { "" };
        let text =
            format!("/include/ \"{}\"\n/ {{ {root}remoteproc {{ {properties} }}; }};\n", source.display());
        run.write("with-properties.dts", text.as_bytes())?
    };
    let blob = fs::read(compile_file(run, board, &source)?)?;
    check(&blob).with_context(|| format!("the manifest {} is no good", source.display()))?;
    Ok(blob)
}

/// Compiles `manifest/NAME.dts` into a devicetree blob among the run's files, and returns its path.
pub fn compile_source(workspace: &Workspace, run: &RunDirectory, name: &str) -> Result<PathBuf> {
    compile_file(run, name, &workspace.root.join(format!("manifest/{name}.dts")))
}

fn compile_file(run: &RunDirectory, name: &str, source: &Path) -> Result<PathBuf> {
    let output = run.path().join(format!("{name}.dtb"));
    let mut command = process::command("dtc");
    command.args(["-q", "-I", "dts", "-O", "dtb", "-i"]).arg(run.path());
    command.arg("-o").arg(&output).arg(source);
    process::capture(command, Duration::from_secs(30))
        .with_context(|| format!("the manifest {} does not compile", source.display()))?;
    Ok(output)
}

/// Refuses what the partition refuses at boot, and more regions than an SPMC need give it.
fn check(blob: &[u8]) -> Result<()> {
    if blob.len() > MAX_SIZE {
        let size = blob.len();
        bail!("compiled it has {size} bytes, the limit is {MAX_SIZE}: name fewer or shorter keys");
    }
    parse(blob).map_err(|error| anyhow!("{error}"))?;
    let tree = Fdt::new(blob).map_err(|error| anyhow!("{error}"))?;
    for name in ["memory-regions", "device-regions"] {
        let count = tree.root().child(name).map_or(0, |regions| regions.children().count());
        if count > MAX_FFA_REGIONS {
            bail!("node {name} has {count} regions, the limit is {MAX_FFA_REGIONS}");
        }
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
        for (label, length) in [("rsa2048", 256), ("rsa4096", 512)] {
            let key = vector_key(&format!("{label}.pub.pem")).unwrap();
            let OwnedPublicKey::Rsa { modulus, exponent } = &key.key else { panic!("{key:?}") };
            assert_eq!((key.label.as_str(), modulus.len(), *exponent), (label, length, 65537));
            assert!(modulus[0] >= 0x80);
        }
        let key = vector_key("p256.pub.pem").unwrap();
        let OwnedPublicKey::P256 { point } = &key.key else { panic!("{key:?}") };
        assert_eq!(key.label, "p256");
        // In the DER form the point stands at the end.
        let der = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys/p256.pub.der");
        assert!(fs::read(der).unwrap().ends_with(point));
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        // X25519.
        let other = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VuAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let error = format!("{:#}", Key::parse("x", other).unwrap_err());
        assert!(error.contains("only RSA and P-256") && error.contains("1.3.101.110"), "{error}");
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
        let key: RsaPublicKey = rsa::pkcs8::DecodePublicKey::from_public_key_pem(text.trim()).unwrap();
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
        let key = |key| Key::new("k", key);
        let rsa = key(OwnedPublicKey::Rsa { modulus: vec![0xab, 0x01], exponent: 3 });
        let p256 = key(OwnedPublicKey::P256 { point: [0xcd; 64] });
        let text = render_keys(&[rsa, p256]);
        let (first, second) = text.split_once("key-1 {").unwrap();
        assert!(first.contains("key-0 {") && first.contains("algorithm = \"rsa\";"), "{text}");
        assert!(first.contains("ab 01 ];") && first.contains("exponent = <3>;"), "{text}");
        assert!(second.contains("algorithm = \"p256\";") && second.contains("point = ["), "{text}");
        assert_eq!(second.matches("cd ").count(), 64, "{text}");
        assert!(!second.contains("exponent"), "{text}");
    }

    #[test]
    fn keys_are_rendered_by_hash_and_revoked() {
        let key = Key::new("k", OwnedPublicKey::P256 { point: [0xcd; 64] });
        let text = render_keys(&[key.clone().by_hash(), key.clone().revoked(), key]);
        let (first, rest) = text.split_once("key-1 {").unwrap();
        let (second, third) = rest.split_once("key-2 {").unwrap();
        assert!(first.contains("algorithm = \"hash\";") && first.contains("hash = ["), "{text}");
        assert!(!first.contains("point") && !first.contains("revoked;"), "{text}");
        assert!(second.contains("point = [") && second.contains("revoked;"), "{text}");
        assert!(third.contains("point = [") && !third.contains("revoked;"), "{text}");
    }

    /// Compiles the board's manifest with other lines added, at the root and in the node `remoteproc`.
    fn compiled_with(root: &str, properties: &str) -> Result<Vec<u8>> {
        let workspace = Workspace::find()?;
        let run = RunDirectory::create(&workspace)?;
        let base = workspace.root.join("manifest/qemu.dts");
        run.write("keys.dtsi", render_keys(&[vector_key("rsa2048.pub.pem")?]).as_bytes())?;
        let text =
            format!("/include/ \"{}\"\n/ {{ {root} remoteproc {{ {properties} }}; }};\n", base.display());
        let source = run.write("changed.dts", text.as_bytes())?;
        Ok(fs::read(compile_file(&run, "changed", &source)?)?)
    }

    fn regions(kind: &str, count: usize) -> String {
        let nodes: String = (0..count).map(|number| format!("more-{number} {{}}; ")).collect();
        format!("{kind} {{ {nodes} }};")
    }

    #[test]
    fn what_the_partition_would_refuse_is_refused_before() {
        check(&compiled_with("", "").unwrap()).unwrap();
        // There is one of each.
        check(&compiled_with(&regions("memory-regions", 7), "").unwrap()).unwrap();
        check(&compiled_with(&regions("device-regions", 7), "").unwrap()).unwrap();
        let processors: String = (0..7).map(|number| format!("more-{number} {{}}; ")).collect();
        for (root, properties, says) in [
            (
                regions("memory-regions", 8),
                String::new(),
                "node memory-regions has 9 regions, the limit is 8",
            ),
            (
                regions("device-regions", 8),
                String::new(),
                "node device-regions has 9 regions, the limit is 8",
            ),
            (String::new(), format!("padding = \"{}\";", "x".repeat(MAX_SIZE)), "bytes, the limit is 3584"),
            (String::new(), "normal-memory = <0 1>;".to_owned(), "normal-memory"),
            (String::new(), "spmc = \"somebody's\";".to_owned(), "spmc"),
            (String::new(), format!("processors {{ {processors} }};"), "no property"),
        ] {
            let error = check(&compiled_with(&root, &properties).unwrap()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
