//! Keys: private ones that sign, public ones for a manifest.
//!
//! A key in a hardware module implements [`SigningKey`]; [`RsaKey`] and [`P256Key`] are ones in a file. RSA signing in software
//! is blinded, but the arithmetic below it is not constant-time: sign release images where nobody can measure, or in hardware.
use super::WriteError;
use crate::provider::{Algorithm, P256_POINT_SIZE, P256_SIGNATURE_SIZE, PublicKey};
use crate::software::pkcs1_sha256;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey as P256Private, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::pkcs8::der::asn1::ObjectIdentifier;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, Document, SubjectPublicKeyInfoRef};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA_OBJECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1), of any curve.
const CURVE_OBJECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Something that signs digests.
pub trait SigningKey {
    /// The SIGNTYPE of its signatures.
    fn signature_type(&self) -> u8;
    /// Bytes of its signatures.
    fn signature_length(&self) -> usize;
    /// Signs SHA-256 of the signed part.
    ///
    /// # Errors
    /// [`WriteError::Signing`].
    fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, WriteError>;
}

/// What is wrong with a key file.
fn bad_key(error: impl ToString) -> WriteError {
    WriteError::Key(error.to_string())
}

/// A private RSA key: RSASSA-PKCS1-v1_5 with SHA-256.
#[derive(Clone, Debug)]
pub struct RsaKey {
    private: RsaPrivateKey,
    public: OwnedPublicKey,
}

impl RsaKey {
    /// Reads PKCS#8, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, WriteError> {
        Self::new(RsaPrivateKey::from_pkcs8_der(bytes).map_err(bad_key)?)
    }

    /// Reads PKCS#8, PEM (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, WriteError> {
        Self::new(RsaPrivateKey::from_pkcs8_pem(text).map_err(bad_key)?)
    }

    fn new(private: RsaPrivateKey) -> Result<Self, WriteError> {
        let public = OwnedPublicKey::from_rsa(&private.to_public_key())?;
        Ok(Self { private, public })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &OwnedPublicKey {
        &self.public
    }
}

impl SigningKey for RsaKey {
    fn signature_type(&self) -> u8 {
        Algorithm::RsaPkcs1Sha256.signature_type()
    }

    fn signature_length(&self) -> usize {
        self.private.size()
    }

    fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, WriteError> {
        self.private
            .sign_with_rng(&mut OsRng, pkcs1_sha256(), digest)
            .map_err(|error| WriteError::Signing(error.to_string()))
    }
}

/// A private P-256 key: ECDSA with SHA-256, the nonce derived from key and digest (RFC 6979), so that the same container is
/// signed the same way each time.
#[derive(Clone, Debug)]
pub struct P256Key {
    private: P256Private,
    public: OwnedPublicKey,
}

impl P256Key {
    /// Reads PKCS#8, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, WriteError> {
        Self::new(P256Private::from_pkcs8_der(bytes).map_err(bad_key)?)
    }

    /// Reads PKCS#8, PEM (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, WriteError> {
        Self::new(P256Private::from_pkcs8_pem(text).map_err(bad_key)?)
    }

    /// Takes the secret number itself, big-endian.
    ///
    /// # Errors
    /// [`WriteError::Key`] if it is zero or not below the curve's order.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, WriteError> {
        Self::new(P256Private::from_slice(secret).map_err(bad_key)?)
    }

    fn new(private: P256Private) -> Result<Self, WriteError> {
        let public = OwnedPublicKey::from_p256(private.verifying_key())?;
        Ok(Self { private, public })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &OwnedPublicKey {
        &self.public
    }
}

impl SigningKey for P256Key {
    fn signature_type(&self) -> u8 {
        Algorithm::EcdsaP256Sha256.signature_type()
    }

    fn signature_length(&self) -> usize {
        P256_SIGNATURE_SIZE
    }

    fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, WriteError> {
        let signature: Signature =
            self.private.sign_prehash(digest).map_err(|error| WriteError::Signing(error.to_string()))?;
        Ok(signature.to_bytes().to_vec())
    }
}

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
            CURVE_OBJECT => Self::from_p256(
                &VerifyingKey::from_public_key_der(bytes)
                    .map_err(|error| WriteError::Key(format!("not a key on the curve P-256: {error}")))?,
            ),
            other => Err(WriteError::Key(format!("neither RSA nor ECDSA P-256, but algorithm {other}"))),
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

    fn from_p256(key: &VerifyingKey) -> Result<Self, WriteError> {
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
        }
    }
}
