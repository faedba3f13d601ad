//! Key files of every form that people have: PEM and DER, PKCS#1, SEC 1, PKCS#8, encrypted PKCS#8, SubjectPublicKeyInfo.
use crate::cli::PassphraseArguments;
use crate::{files, passphrase};
use anyhow::{Context, Result, anyhow, bail};
use pkcs8::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use pkcs8::der::{Decode, Encode};
use pkcs8::{AlgorithmIdentifierRef, EncryptedPrivateKeyInfo, PrivateKeyInfo, SubjectPublicKeyInfoRef};
use sec1::{EcParameters, EcPrivateKey};
use std::path::Path;
use zeroize::Zeroizing;

/// `rsaEncryption` (RFC 8017, appendix C).
pub const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1).
pub const CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// What a key file holds, brought to one form of each.
pub enum KeyFile {
    /// PKCS#8, DER.
    Private(Zeroizing<Vec<u8>>),
    /// Encrypted PKCS#8, DER.
    Encrypted(Vec<u8>),
    /// SubjectPublicKeyInfo, DER.
    Public(Vec<u8>),
}

impl KeyFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(files::read(path)?);
        Self::parse(&bytes).with_context(|| format!("{} is no key", path.display()))
    }

    /// Takes a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN ") => Self::from_pem(text),
            _ => Self::from_der(bytes),
        }
    }

    fn from_pem(text: &str) -> Result<Self> {
        let mut labels = Vec::new();
        for (start, _) in text.match_indices("-----BEGIN ") {
            let block = &text[start..];
            let label = block["-----BEGIN ".len()..].split("-----").next().unwrap_or_default();
            let end_line = format!("-----END {label}-----");
            let Some(end) = block.find(&end_line) else {
                bail!("the PEM block {label} has no end");
            };
            let block = &block[..end + end_line.len()];
            // `openssl ecparam -genkey` writes the curve's name in front of the key.
            if label == "EC PARAMETERS" {
                continue;
            }
            if block.contains("ENCRYPTED") && block.contains("Proc-Type:") {
                bail!(
                    "it is encrypted in the old form of OpenSSL: bring it to PKCS#8 with `openssl pkcs8 -topk8 -in KEY \
                     -out NEW`"
                );
            }
            let der = || {
                pem_rfc7468::decode_vec(block.as_bytes())
                    .map(|(_, der)| Zeroizing::new(der))
                    .map_err(|error| anyhow!("its PEM block {label} is malformed: {error}"))
            };
            return match label {
                "PRIVATE KEY" => Self::pkcs8(&der()?),
                "ENCRYPTED PRIVATE KEY" => Self::encrypted(&der()?),
                "PUBLIC KEY" => Self::public(&der()?),
                "RSA PRIVATE KEY" => Self::pkcs1(&der()?),
                "RSA PUBLIC KEY" => Self::pkcs1_public(&der()?),
                "EC PRIVATE KEY" => Self::sec1(&der()?),
                other => {
                    labels.push(other);
                    continue;
                }
            };
        }
        bail!("it holds {}, neither a private nor a public key", labels.join(", "))
    }

    fn from_der(bytes: &[u8]) -> Result<Self> {
        Self::pkcs8(bytes)
            .or_else(|_| Self::encrypted(bytes))
            .or_else(|_| Self::public(bytes))
            .or_else(|_| Self::sec1(bytes))
            .or_else(|_| Self::pkcs1(bytes))
            .or_else(|_| Self::pkcs1_public(bytes))
            .map_err(|_| anyhow!("neither PEM nor DER of PKCS#1, PKCS#8, SEC 1 or SubjectPublicKeyInfo"))
    }

    fn pkcs8(der: &[u8]) -> Result<Self> {
        PrivateKeyInfo::try_from(der).map_err(|error| anyhow!("malformed PKCS#8: {error}"))?;
        Ok(Self::Private(Zeroizing::new(der.to_vec())))
    }

    fn encrypted(der: &[u8]) -> Result<Self> {
        EncryptedPrivateKeyInfo::try_from(der)
            .map_err(|error| anyhow!("malformed or unknown encrypted PKCS#8: {error}"))?;
        Ok(Self::Encrypted(der.to_vec()))
    }

    fn public(der: &[u8]) -> Result<Self> {
        SubjectPublicKeyInfoRef::try_from(der)
            .map_err(|error| anyhow!("malformed SubjectPublicKeyInfo: {error}"))?;
        Ok(Self::Public(der.to_vec()))
    }

    fn pkcs1(der: &[u8]) -> Result<Self> {
        pkcs1::RsaPrivateKey::try_from(der).map_err(|error| anyhow!("malformed PKCS#1: {error}"))?;
        wrap(RSA, AnyRef::NULL, der)
    }

    fn pkcs1_public(der: &[u8]) -> Result<Self> {
        pkcs1::RsaPublicKey::try_from(der).map_err(|error| anyhow!("malformed PKCS#1: {error}"))?;
        let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
        let subject_public_key = BitStringRef::from_bytes(der)?;
        Ok(Self::Public(SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der()?))
    }

    fn sec1(der: &[u8]) -> Result<Self> {
        let key = EcPrivateKey::from_der(der).map_err(|error| anyhow!("malformed SEC 1: {error}"))?;
        match key.parameters {
            Some(EcParameters::NamedCurve(curve)) => wrap(CURVE, AnyRef::from(&curve), der),
            None => bail!("it does not name its curve: bring it to PKCS#8"),
        }
    }

    /// The private key as PKCS#8, opened with the passphrase if it needs one.
    pub fn private(self, path: &Path, arguments: &PassphraseArguments) -> Result<Zeroizing<Vec<u8>>> {
        let name = path.display().to_string();
        match self {
            Self::Private(der) => Ok(der),
            Self::Public(_) => bail!("{name} is a public key: signing needs the private one"),
            Self::Encrypted(der) => {
                let passphrase = passphrase::to_open(arguments, &name)?;
                let encrypted = EncryptedPrivateKeyInfo::try_from(der.as_slice())
                    .map_err(|error| anyhow!("{name}: {error}"))?;
                // A wrong passphrase and damaged bytes look alike.
                let document = encrypted
                    .decrypt(&passphrase)
                    .map_err(|_| anyhow!("the passphrase does not open {name}"))?;
                Ok(Zeroizing::new(document.as_bytes().to_vec()))
            }
        }
    }
}

/// Puts a private key of another form into PKCS#8.
fn wrap(oid: ObjectIdentifier, parameters: AnyRef<'_>, der: &[u8]) -> Result<KeyFile> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters: Some(parameters) };
    Ok(KeyFile::Private(Zeroizing::new(PrivateKeyInfo::new(algorithm, der).to_der()?)))
}
