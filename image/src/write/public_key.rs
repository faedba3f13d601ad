//! Public keys that own their bytes: read from DER and PEM, written as DER.
use super::WriteError;
use super::keys::bad_key;
use crate::provider::{P256_POINT_SIZE, P384_POINT_SIZE, PublicKey};
use crate::public_key::ED25519_POINT_SIZE;
use p256::ecdsa::VerifyingKey;
use p256::pkcs8::DecodePublicKey as _;
use rsa::RsaPublicKey;
use rsa::pkcs8::der::asn1::ObjectIdentifier;
use rsa::pkcs8::{DecodePublicKey, Document, SubjectPublicKeyInfoRef};
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256};

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA_OBJECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1), of any curve.
const CURVE_OBJECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `id-Ed25519` (RFC 8410, section 3).
const ED25519_OBJECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key as a manifest carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedPublicKey {
    /// RSA.
    Rsa {
        /// Big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// Public exponent.
        exponent: u32,
    },
    /// ECDSA on P-256.
    P256 {
        /// X and Y, 32 bytes each, big-endian: a point of the curve.
        point: [u8; P256_POINT_SIZE],
    },
    /// ECDSA on P-384.
    P384 {
        /// X and Y, 48 bytes each, big-endian.
        point: [u8; P384_POINT_SIZE],
    },
    /// Ed25519.
    Ed25519 {
        /// The encoded point.
        point: [u8; ED25519_POINT_SIZE],
    },
}

impl OwnedPublicKey {
    /// Reads SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`], also for a key of another algorithm or curve.
    pub fn from_der(bytes: &[u8]) -> Result<Self, WriteError> {
        let information = SubjectPublicKeyInfoRef::try_from(bytes).map_err(bad_key)?;
        match information.algorithm.oid {
            RSA_OBJECT => Self::from_rsa(&RsaPublicKey::from_public_key_der(bytes).map_err(bad_key)?),
            ED25519_OBJECT | CURVE_OBJECT => match PublicKey::from_der(bytes) {
                Some(PublicKey::Ed25519 { point }) => Ok(Self::Ed25519 { point: *point }),
                Some(PublicKey::P384 { point }) => Ok(Self::P384 { point: *point }),
                // Also compressed points.
                _ => Self::from_p256(&VerifyingKey::from_public_key_der(bytes).map_err(|error| {
                    WriteError::Key(format!("not a key on the curve P-256 or P-384: {error}"))
                })?),
            },
            other => Err(WriteError::Key(format!("neither RSA, ECDSA nor Ed25519, but algorithm {other}"))),
        }
    }

    /// Reads SubjectPublicKeyInfo, PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`WriteError::Key`], also for a key of another algorithm or curve.
    pub fn from_pem(text: &str) -> Result<Self, WriteError> {
        let (label, document) = Document::from_pem(text).map_err(bad_key)?;
        if label != "PUBLIC KEY" {
            return Err(WriteError::Key(format!("a PUBLIC KEY is wanted, not a {label}")));
        }
        Self::from_der(document.as_bytes())
    }

    /// Takes an RSA key.
    ///
    /// # Errors
    /// [`WriteError::Key`] if the public exponent exceeds 32 bits.
    pub fn from_rsa(key: &RsaPublicKey) -> Result<Self, WriteError> {
        let mut exponent = 0u32;
        for byte in key.e().to_bytes_be() {
            exponent = exponent
                .checked_mul(256)
                .ok_or_else(|| WriteError::Key("the public exponent exceeds 32 bits".into()))?
                | u32::from(byte);
        }
        Ok(Self::Rsa { modulus: key.n().to_bytes_be(), exponent })
    }

    pub(super) fn from_p256(key: &VerifyingKey) -> Result<Self, WriteError> {
        let point = key.to_sec1_point(false);
        match point.as_bytes() {
            [_, point @ ..] => {
                let point = point.try_into().map_err(|_| WriteError::Key("no point of P-256".into()))?;
                Ok(Self::P256 { point })
            }
            [] => Err(WriteError::Key("no point of P-256".into())),
        }
    }

    /// The key as the reader takes it.
    #[must_use]
    pub fn as_key(&self) -> PublicKey<'_> {
        match self {
            Self::Rsa { modulus, exponent } => PublicKey::Rsa { modulus, exponent: *exponent },
            Self::P256 { point } => PublicKey::P256 { point },
            Self::P384 { point } => PublicKey::P384 { point },
            Self::Ed25519 { point } => PublicKey::Ed25519 { point },
        }
    }

    /// Copies a key.
    #[must_use]
    pub fn of(key: &PublicKey<'_>) -> Self {
        match *key {
            PublicKey::Rsa { modulus, exponent } => Self::Rsa { modulus: modulus.to_vec(), exponent },
            PublicKey::P256 { point } => Self::P256 { point: *point },
            PublicKey::P384 { point } => Self::P384 { point: *point },
            PublicKey::Ed25519 { point } => Self::Ed25519 { point: *point },
        }
    }

    /// Writes SubjectPublicKeyInfo, DER. Empty for an RSA modulus of more than 4096 bits.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut der = Vec::new();
        if !self.as_key().write_der(|bytes| der.extend_from_slice(bytes)) {
            der.clear();
        }
        der
    }

    /// The key's id: SHA-256 over [`Self::to_der`].
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        Sha256::digest(self.to_der()).into()
    }
}
