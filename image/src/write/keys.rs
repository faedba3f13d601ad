//! Keys: private ones that sign, public ones for a manifest.
//!
//! A key in a hardware module implements [`SigningKey`]; [`RsaKey`] is one in a file. Signing in software is blinded, but the
//! arithmetic below it is not constant-time: sign release images where nobody can measure, or in hardware.
use super::WriteError;
use crate::format::SIGNATURE_RSA_PKCS1_SHA256;
use crate::provider::PublicKey;
use crate::software::pkcs1_sha256;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};

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
        Self::new(RsaPrivateKey::from_pkcs8_der(bytes).map_err(|error| WriteError::Key(error.to_string()))?)
    }

    /// Reads PKCS#8, PEM (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, WriteError> {
        Self::new(RsaPrivateKey::from_pkcs8_pem(text).map_err(|error| WriteError::Key(error.to_string()))?)
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
        SIGNATURE_RSA_PKCS1_SHA256
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

/// A public RSA key as a manifest carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPublicKey {
    /// Big-endian, without leading zeros.
    pub modulus: Vec<u8>,
    /// Public exponent.
    pub exponent: u32,
}

impl OwnedPublicKey {
    /// Reads SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, WriteError> {
        let key =
            RsaPublicKey::from_public_key_der(bytes).map_err(|error| WriteError::Key(error.to_string()))?;
        Self::from_rsa(&key)
    }

    /// Reads SubjectPublicKeyInfo, PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pem(text: &str) -> Result<Self, WriteError> {
        let key =
            RsaPublicKey::from_public_key_pem(text).map_err(|error| WriteError::Key(error.to_string()))?;
        Self::from_rsa(&key)
    }

    fn from_rsa(key: &RsaPublicKey) -> Result<Self, WriteError> {
        let mut exponent = 0u32;
        for byte in key.e().to_bytes_be() {
            exponent = exponent
                .checked_mul(256)
                .ok_or_else(|| WriteError::Key("the public exponent exceeds 32 bits".into()))?
                | u32::from(byte);
        }
        Ok(Self { modulus: key.n().to_bytes_be(), exponent })
    }

    /// The key as the reader takes it.
    #[must_use]
    pub fn as_key(&self) -> PublicKey<'_> {
        PublicKey::Rsa { modulus: &self.modulus, exponent: self.exponent }
    }
}
