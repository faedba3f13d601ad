//! What the reader needs of the platform: a hash, a signature check, and the memory that segments go to.

use crate::format;

/// A SHA-256 computation under way.
pub trait Hasher {
    /// Adds bytes.
    fn update(&mut self, bytes: &[u8]);
    /// Ends the computation.
    fn finish(self) -> [u8; 32];
}

/// Hash and signature, in software or by the platform's hardware.
pub trait Provider {
    /// This provider's hash.
    type Hasher: Hasher;

    /// Starts a SHA-256 computation.
    fn sha256(&self) -> Self::Hasher;

    /// Tells whether `signature` is `key`'s signature over `digest` (SHA-256 of the signed bytes).
    fn verify(&self, key: &PublicKey<'_>, digest: &[u8; 32], signature: &[u8]) -> bool;
}

/// What signs containers: the algorithms of SIGNTYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2). The signature is as long as the modulus.
    RsaPkcs1Sha256,
    /// ECDSA on the curve P-256 with SHA-256 (FIPS 186-5, section 6). The signature is r and s, each 32 bytes, big-endian.
    EcdsaP256Sha256,
}

impl Algorithm {
    /// The algorithm's SIGNTYPE.
    #[must_use]
    pub const fn signature_type(self) -> u8 {
        match self {
            Self::RsaPkcs1Sha256 => format::SIGNATURE_RSA_PKCS1_SHA256,
            Self::EcdsaP256Sha256 => format::SIGNATURE_ECDSA_P256_SHA256,
        }
    }

    /// The algorithm of a SIGNTYPE, if there is one.
    #[must_use]
    pub fn from_signature_type(kind: u8) -> Option<Self> {
        [Self::RsaPkcs1Sha256, Self::EcdsaP256Sha256].into_iter().find(|own| own.signature_type() == kind)
    }

    /// The algorithm's name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1Sha256 => "RSASSA-PKCS1-v1_5 with SHA-256",
            Self::EcdsaP256Sha256 => "ECDSA P-256 with SHA-256",
        }
    }
}

/// A public key of a supported algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// A key of [`Algorithm::RsaPkcs1Sha256`], 2048 to 4096 bit.
    Rsa {
        /// Big-endian, without leading zeros.
        modulus: &'a [u8],
        /// Public exponent.
        exponent: u32,
    },
    /// A key of [`Algorithm::EcdsaP256Sha256`].
    P256 {
        /// The affine coordinates X and Y, 32 bytes each, big-endian: an uncompressed point of SEC 1 without its first byte.
        /// Whether it lies on the curve is for whoever takes a key in to ask (`software::is_on_p256`); a provider believes no
        /// signature of one that does not.
        point: &'a [u8; P256_POINT_SIZE],
    },
}

/// Shortest RSA modulus that is believed, bits.
pub const MIN_RSA_BITS: usize = 2048;
/// Longest RSA modulus that is believed, bits.
pub const MAX_RSA_BITS: usize = 4096;
/// Bytes of a point of P-256: X and Y.
pub const P256_POINT_SIZE: usize = 64;
/// Bytes of a signature of P-256: r and s.
pub const P256_SIGNATURE_SIZE: usize = 64;

impl PublicKey<'_> {
    /// What this key's signatures are made with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::RsaPkcs1Sha256,
            Self::P256 { .. } => Algorithm::EcdsaP256Sha256,
        }
    }

    /// Length in bits: of an RSA modulus, leading zeros not counted, or of the curve's order.
    #[must_use]
    pub fn bits(&self) -> usize {
        let modulus = match self {
            Self::Rsa { modulus, .. } => modulus,
            Self::P256 { .. } => return 256,
        };
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        let first = modulus.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
        modulus.len().saturating_sub(zeros).saturating_mul(8).saturating_sub(first)
    }

    /// Length of this key's signatures in bytes.
    #[must_use]
    pub fn signature_length(&self) -> usize {
        match self {
            Self::Rsa { .. } => self.bits().div_ceil(8),
            Self::P256 { .. } => P256_SIGNATURE_SIZE,
        }
    }

    /// Tells whether this is a key that may be trusted at all. RSA: 2048 to 4096 bits, and modulus and exponent odd and not 1.
    /// P-256: always, its length being part of the type.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        let (modulus, exponent) = match self {
            Self::Rsa { modulus, exponent } => (modulus, exponent),
            Self::P256 { .. } => return true,
        };
        (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&self.bits())
            && modulus.last().is_some_and(|byte| byte & 1 == 1)
            && *exponent >= 3
            && exponent & 1 == 1
    }
}

/// A key that the platform trusts, with the name that logs call it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey<'a> {
    /// For people.
    pub name: &'a str,
    /// The key.
    pub key: PublicKey<'a>,
}

/// The processor's memory did not take or give the bytes (a bus abort).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// The memory that segments are loaded to. Addresses are physical.
pub trait Destination {
    /// Writes bytes.
    ///
    /// # Errors
    /// [`Fault`] if the memory does not take them.
    fn write(&mut self, physical_address: u64, bytes: &[u8]) -> Result<(), Fault>;

    /// Reads bytes back.
    ///
    /// # Errors
    /// [`Fault`] if the memory does not give them.
    fn read(&mut self, physical_address: u64, into: &mut [u8]) -> Result<(), Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_acceptable_within_its_limits() {
        let acceptable = |modulus: &[u8], exponent| PublicKey::Rsa { modulus, exponent }.is_acceptable();
        let modulus = |first: u8, length: usize, last: u8| {
            let mut modulus = vec![first; length];
            *modulus.last_mut().unwrap() = last;
            modulus
        };
        for exponent in [3, 17, 65537, u32::MAX] {
            assert!(acceptable(&modulus(0x80, 256, 1), exponent), "{exponent}");
        }
        for exponent in [0, 1, 2, 4, 65536] {
            assert!(!acceptable(&modulus(0x80, 256, 1), exponent), "{exponent}");
        }
        assert!(acceptable(&modulus(0xff, 512, 0xff), 3), "4096 bit");
        assert!(!acceptable(&modulus(0x7f, 256, 1), 3), "2047 bit");
        assert!(!acceptable(&modulus(0x01, 513, 1), 3), "4097 bit");
        assert!(!acceptable(&modulus(0x80, 256, 2), 3), "even modulus");
        assert!(!acceptable(&[], 3), "no modulus");
        assert!(!acceptable(&[0; 256], 3), "a modulus of 0");
        let padded = [vec![0; 3], modulus(0x80, 256, 1)].concat();
        assert_eq!(PublicKey::Rsa { modulus: &padded, exponent: 3 }.signature_length(), 256, "leading zeros");
    }

    #[test]
    fn each_algorithm_has_its_signature_type() {
        let known: Vec<_> =
            (0..=255).filter_map(|kind| Some((kind, Algorithm::from_signature_type(kind)?))).collect();
        assert_eq!(known, [(1, Algorithm::RsaPkcs1Sha256), (2, Algorithm::EcdsaP256Sha256)]);
        let key = PublicKey::P256 { point: &[1; 64] };
        assert_eq!((key.algorithm().signature_type(), key.signature_length(), key.bits()), (2, 64, 256));
    }
}
