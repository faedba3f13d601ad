//! Keys that sign, and public keys: from any key file to what the image crate takes.
use crate::cli::PassphraseArguments;
use crate::key_file::{CURVE, KeyFile, RSA};
use crate::values::{AlgorithmName, KeyType};
use anyhow::{Context, Result, anyhow, bail};
use pkcs8::PrivateKeyInfo;
use pkcs8::der::asn1::ObjectIdentifier;
use remoteproc_image::provider::Algorithm;
use remoteproc_image::write::{Ed25519Key, OwnedPublicKey, P256Key, P384Key, RsaKey, RsaPssKey, SigningKey};
use std::path::Path;

/// `secp256r1`.
pub const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `secp384r1`.
pub const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// `id-Ed25519` (RFC 8410, section 3).
pub const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A private key and its public half.
pub struct PrivateKey {
    /// What signs.
    pub signer: Box<dyn SigningKey>,
    /// Its public half.
    pub public: OwnedPublicKey,
}

impl PrivateKey {
    /// Reads a key file. RSA keys sign with PSS if `algorithm` says so.
    pub fn read(
        path: &Path,
        passphrase: &PassphraseArguments,
        algorithm: Option<AlgorithmName>,
    ) -> Result<Self> {
        let der = KeyFile::read(path)?.private(path, passphrase)?;
        Self::from_pkcs8(&der, algorithm).with_context(|| format!("key {}", path.display()))
    }

    /// Takes PKCS#8, DER.
    pub fn from_pkcs8(der: &[u8], algorithm: Option<AlgorithmName>) -> Result<Self> {
        let information = PrivateKeyInfo::try_from(der).map_err(|error| anyhow!("PKCS#8: {error}"))?;
        let curve = information.algorithm.parameters_oid().ok();
        let public: OwnedPublicKey;
        let signer: Box<dyn SigningKey> = match (information.algorithm.oid, curve) {
            (RSA, _) => {
                let key = RsaKey::from_pkcs8_der(der)?;
                public = key.public().clone();
                if algorithm == Some(AlgorithmName::Pss) { Box::new(RsaPssKey(key)) } else { Box::new(key) }
            }
            (CURVE, Some(P256)) => {
                let key = P256Key::from_pkcs8_der(der)?;
                public = key.public().clone();
                Box::new(key)
            }
            (CURVE, Some(P384)) => {
                let key = P384Key::from_pkcs8_der(der)?;
                public = key.public().clone();
                Box::new(key)
            }
            (ED25519, _) => {
                let key = Ed25519Key::from_pkcs8_der(der)?;
                public = key.public().clone();
                Box::new(key)
            }
            _ => bail!("of an unknown algorithm: use RSA (2048 to 4096 bit), P-256, P-384 or Ed25519"),
        };
        algorithm_of(&public, algorithm)?;
        Ok(Self { signer, public })
    }
}

/// The algorithm that a key signs with: the one asked for, if the key can, else its own.
pub fn algorithm_of(key: &OwnedPublicKey, asked: Option<AlgorithmName>) -> Result<Algorithm> {
    let public = key.as_key();
    if !public.is_acceptable() {
        bail!("the key has {} bits: the partition takes RSA keys of 2048 to 4096 bits", public.bits());
    }
    let algorithm = asked.map_or(public.algorithm(), Algorithm::from);
    if !public.makes(algorithm) {
        bail!("the key is {}: it can't sign by {}", kind(key), algorithm.name());
    }
    Ok(algorithm)
}

/// Holds `--key_type` against the key.
pub fn check_type(key: &OwnedPublicKey, wanted: Option<KeyType>) -> Result<()> {
    let fits = match wanted {
        None => true,
        Some(KeyType::Rsa) => matches!(key, OwnedPublicKey::Rsa { .. }),
        Some(KeyType::Ecc) => matches!(key, OwnedPublicKey::P256 { .. } | OwnedPublicKey::P384 { .. }),
    };
    if !fits {
        bail!(
            "--key_type does not fit: the key is {}. Leave the option out, the type is read from the key",
            kind(key)
        );
    }
    Ok(())
}

/// Reads a public key, of a public or a private key file.
pub fn read_public(path: &Path, passphrase: &PassphraseArguments) -> Result<OwnedPublicKey> {
    match KeyFile::read(path)? {
        KeyFile::Public(der) => {
            OwnedPublicKey::from_der(&der).with_context(|| format!("key {}", path.display()))
        }
        private => {
            let der = private.private(path, passphrase)?;
            let key = PrivateKey::from_pkcs8(&der, None);
            Ok(key.with_context(|| format!("key {}", path.display()))?.public)
        }
    }
}

/// What kind of key it is, for people.
pub fn kind(key: &OwnedPublicKey) -> String {
    match key {
        OwnedPublicKey::Rsa { .. } => format!("RSA-{}", key.as_key().bits()),
        OwnedPublicKey::P256 { .. } => "P-256".into(),
        OwnedPublicKey::P384 { .. } => "P-384".into(),
        OwnedPublicKey::Ed25519 { .. } => "Ed25519".into(),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
