//! Private keys that sign.
//!
//! A key in a hardware module implements [`SigningKey`]; [`RsaKey`] and [`P256Key`] are ones in a file. RSA signing in software
//! is blinded, but the arithmetic below it is not constant-time: sign release images where nobody can measure, or in hardware.
use super::OwnedPublicKey;
use super::WriteError;
use crate::provider::{Algorithm, P256_SIGNATURE_SIZE};
use crate::software::pkcs1_sha256;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey as P256Private};
use p256::pkcs8::DecodePrivateKey as _;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256};

/// Something that signs.
pub trait SigningKey {
    /// How it signs.
    fn algorithm(&self) -> Algorithm;
    /// Bytes of its signatures.
    fn signature_length(&self) -> usize;
    /// Signs the signed part (header, and TLV area with its pad): its SHA-256, unless the algorithm says otherwise.
    ///
    /// # Errors
    /// [`WriteError::Signing`].
    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, WriteError>;
}

/// What is wrong with a key file.
pub(super) fn bad_key(error: impl ToString) -> WriteError {
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

    /// Reads PKCS#1, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs1_der(bytes: &[u8]) -> Result<Self, WriteError> {
        Self::new(RsaPrivateKey::from_pkcs1_der(bytes).map_err(bad_key)?)
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
    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaPkcs1Sha256
    }

    fn signature_length(&self) -> usize {
        self.private.size()
    }

    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, WriteError> {
        self.private
            .sign_with_rng(&mut OsRng, pkcs1_sha256(), &Sha256::digest(signed))
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
    fn algorithm(&self) -> Algorithm {
        Algorithm::EcdsaP256Sha256
    }

    fn signature_length(&self) -> usize {
        P256_SIGNATURE_SIZE
    }

    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, WriteError> {
        let signature: Signature = self
            .private
            .sign_prehash(&Sha256::digest(signed))
            .map_err(|error| WriteError::Signing(error.to_string()))?;
        Ok(signature.to_bytes().to_vec())
    }
}

/// A private RSA key: RSASSA-PSS with SHA-256. The salt is random, so each signature is another one.
#[cfg(feature = "pss")]
#[derive(Clone, Debug)]
pub struct RsaPssKey(pub RsaKey);

#[cfg(feature = "pss")]
impl SigningKey for RsaPssKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaPssSha256
    }

    fn signature_length(&self) -> usize {
        self.0.signature_length()
    }

    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, WriteError> {
        self.0
            .private
            .sign_with_rng(&mut OsRng, crate::software::pss_sha256(), &Sha256::digest(signed))
            .map_err(|error| WriteError::Signing(error.to_string()))
    }
}

/// A private P-384 key: ECDSA with SHA-384, the nonce derived from key and digest (RFC 6979).
#[cfg(feature = "p384")]
#[derive(Clone, Debug)]
pub struct P384Key {
    private: p384::ecdsa::SigningKey,
    public: OwnedPublicKey,
}

#[cfg(feature = "p384")]
impl P384Key {
    /// Reads PKCS#8, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, WriteError> {
        Self::new(p384::ecdsa::SigningKey::from_pkcs8_der(bytes).map_err(bad_key)?)
    }

    /// Takes the secret number itself, big-endian.
    ///
    /// # Errors
    /// [`WriteError::Key`] if it is zero or not below the curve's order.
    pub fn from_secret(secret: &[u8; 48]) -> Result<Self, WriteError> {
        Self::new(p384::ecdsa::SigningKey::from_slice(secret).map_err(bad_key)?)
    }

    fn new(private: p384::ecdsa::SigningKey) -> Result<Self, WriteError> {
        let point = private.verifying_key().to_sec1_point(false);
        let point = point.as_bytes().get(1..).and_then(|point| point.try_into().ok());
        let point = point.ok_or_else(|| WriteError::Key("no point of P-384".into()))?;
        Ok(Self { private, public: OwnedPublicKey::P384 { point } })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &OwnedPublicKey {
        &self.public
    }
}

#[cfg(feature = "p384")]
impl SigningKey for P384Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EcdsaP384Sha384
    }

    fn signature_length(&self) -> usize {
        crate::provider::P384_SIGNATURE_SIZE
    }

    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, WriteError> {
        let signature: p384::ecdsa::Signature = self
            .private
            .sign_prehash(&sha2::Sha384::digest(signed))
            .map_err(|error| WriteError::Signing(error.to_string()))?;
        Ok(signature.to_bytes().to_vec())
    }
}

/// A private Ed25519 key. Signs the bytes themselves; the same bytes always the same way.
#[cfg(feature = "ed25519")]
#[derive(Clone, Debug)]
pub struct Ed25519Key {
    private: ed25519_dalek::SigningKey,
    public: OwnedPublicKey,
}

#[cfg(feature = "ed25519")]
impl Ed25519Key {
    /// Reads PKCS#8, DER.
    ///
    /// # Errors
    /// [`WriteError::Key`].
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, WriteError> {
        use ed25519_dalek::pkcs8::DecodePrivateKey;
        Ok(Self::new(ed25519_dalek::SigningKey::from_pkcs8_der(bytes).map_err(bad_key)?))
    }

    /// Takes the secret seed (RFC 8032, section 5.1.5).
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self::new(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    fn new(private: ed25519_dalek::SigningKey) -> Self {
        let point = private.verifying_key().to_bytes();
        Self { private, public: OwnedPublicKey::Ed25519 { point } }
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &OwnedPublicKey {
        &self.public
    }
}

#[cfg(feature = "ed25519")]
impl SigningKey for Ed25519Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn signature_length(&self) -> usize {
        crate::public_key::ED25519_SIGNATURE_SIZE
    }

    fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, WriteError> {
        use ed25519_dalek::Signer;
        self.private
            .try_sign(signed)
            .map(|signature| signature.to_bytes().to_vec())
            .map_err(|error| WriteError::Signing(error.to_string()))
    }
}
