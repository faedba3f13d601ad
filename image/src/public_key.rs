//! Public keys: the algorithms of SIGNTYPE, keys as numbers and as DER SubjectPublicKeyInfo (RFC 5280, section 4.1), their ids,
//! and which of them a platform trusts.
use crate::format;
use crate::provider::Hasher;
use pkcs1::UintRef;
use spki::der::asn1::{AnyRef, BitStringRef, Null, ObjectIdentifier};
use spki::der::{Encode, Writer};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfoRef};

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1), of any curve.
const CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1` (RFC 5480, section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `secp384r1`.
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// `id-Ed25519` (RFC 8410, section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// First byte of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// What signs containers: the algorithms of SIGNTYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2). The signature is as long as the modulus.
    RsaPkcs1Sha256,
    /// ECDSA on the curve P-256 with SHA-256 (FIPS 186-5, section 6). The signature is r and s, each 32 bytes, big-endian.
    EcdsaP256Sha256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32 bytes (RFC 8017, section 8.1). As long as the modulus.
    RsaPssSha256,
    /// ECDSA on the curve P-384 with SHA-384. The signature is r and s, each 48 bytes, big-endian.
    EcdsaP384Sha384,
    /// Ed25519 (RFC 8032, section 5.1) over the signed bytes, not over a digest of them. The signature is 64 bytes.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RsaPkcs1Sha256,
        Self::EcdsaP256Sha256,
        Self::RsaPssSha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
    ];

    /// The algorithm's SIGNTYPE.
    #[must_use]
    pub const fn signature_type(self) -> u8 {
        match self {
            Self::RsaPkcs1Sha256 => format::SIGNATURE_RSA_PKCS1_SHA256,
            Self::EcdsaP256Sha256 => format::SIGNATURE_ECDSA_P256_SHA256,
            Self::RsaPssSha256 => format::SIGNATURE_RSA_PSS_SHA256,
            Self::EcdsaP384Sha384 => format::SIGNATURE_ECDSA_P384_SHA384,
            Self::Ed25519 => format::SIGNATURE_ED25519,
        }
    }

    /// The algorithm of a SIGNTYPE, if there is one.
    #[must_use]
    pub fn from_signature_type(kind: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.signature_type() == kind)
    }

    /// The algorithm's name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1Sha256 => "RSASSA-PKCS1-v1_5 with SHA-256",
            Self::EcdsaP256Sha256 => "ECDSA P-256 with SHA-256",
            Self::RsaPssSha256 => "RSASSA-PSS with SHA-256",
            Self::EcdsaP384Sha384 => "ECDSA P-384 with SHA-384",
            Self::Ed25519 => "Ed25519",
        }
    }
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// A key of [`Algorithm::RsaPkcs1Sha256`] and [`Algorithm::RsaPssSha256`], 2048 to 4096 bit.
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
    /// A key of [`Algorithm::EcdsaP384Sha384`].
    P384 {
        /// X and Y, 48 bytes each, big-endian.
        point: &'a [u8; P384_POINT_SIZE],
    },
    /// A key of [`Algorithm::Ed25519`].
    Ed25519 {
        /// The encoded point (RFC 8032, section 5.1.2).
        point: &'a [u8; ED25519_POINT_SIZE],
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
/// Bytes of a point of P-384: X and Y.
pub const P384_POINT_SIZE: usize = 96;
/// Bytes of a signature of P-384: r and s.
pub const P384_SIGNATURE_SIZE: usize = 96;
/// Bytes of an Ed25519 public key.
pub const ED25519_POINT_SIZE: usize = 32;
/// Bytes of an Ed25519 signature.
pub const ED25519_SIGNATURE_SIZE: usize = 64;
/// Bytes that the DER form of the longest RSA key's two numbers fits into.
const MAX_RSA_DER: usize = MAX_RSA_BITS / 8 + 32;

impl<'a> PublicKey<'a> {
    /// Tells whether keys of this kind make signatures of an algorithm.
    #[must_use]
    pub const fn makes(&self, algorithm: Algorithm) -> bool {
        matches!(
            (self, algorithm),
            (Self::Rsa { .. }, Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256)
                | (Self::P256 { .. }, Algorithm::EcdsaP256Sha256)
                | (Self::P384 { .. }, Algorithm::EcdsaP384Sha384)
                | (Self::Ed25519 { .. }, Algorithm::Ed25519)
        )
    }

    /// What this key's signatures are made with, unless somebody asks for another algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::RsaPkcs1Sha256,
            Self::P256 { .. } => Algorithm::EcdsaP256Sha256,
            Self::P384 { .. } => Algorithm::EcdsaP384Sha384,
            Self::Ed25519 { .. } => Algorithm::Ed25519,
        }
    }

    /// Length in bits: of an RSA modulus, leading zeros not counted, or of the curve's order.
    #[must_use]
    pub fn bits(&self) -> usize {
        let modulus = match self {
            Self::Rsa { modulus, .. } => modulus,
            Self::P256 { .. } => return 256,
            Self::P384 { .. } => return 384,
            Self::Ed25519 { .. } => return 253,
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
            Self::P384 { .. } => P384_SIGNATURE_SIZE,
            Self::Ed25519 { .. } => ED25519_SIGNATURE_SIZE,
        }
    }

    /// Tells whether this is a key that may be trusted at all. RSA: 2048 to 4096 bits, and modulus and exponent odd and not 1.
    /// The others: always, their length being part of the type.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        let Self::Rsa { modulus, exponent } = self else { return true };
        (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&self.bits())
            && modulus.last().is_some_and(|byte| byte & 1 == 1)
            && *exponent >= 3
            && exponent & 1 == 1
    }

    /// Reads DER SubjectPublicKeyInfo; nothing if it is not one, has bytes behind it, or holds a key of another algorithm.
    /// Elliptic-curve points have to be uncompressed.
    #[must_use]
    pub fn from_der(bytes: &'a [u8]) -> Option<Self> {
        let information = SubjectPublicKeyInfoRef::try_from(bytes).ok()?;
        let parameters = information.algorithm.parameters;
        let key = information.subject_public_key.as_bytes()?;
        let point = || key.split_first().filter(|(kind, _)| **kind == UNCOMPRESSED).map(|(_, point)| point);
        match information.algorithm.oid {
            RSA if parameters.is_some_and(AnyRef::is_null) => {
                let key = pkcs1::RsaPublicKey::try_from(key).ok()?;
                let mut exponent = 0u32;
                for byte in key.public_exponent.as_bytes() {
                    exponent = exponent.checked_mul(256)? | u32::from(*byte);
                }
                Some(Self::Rsa { modulus: key.modulus.as_bytes(), exponent })
            }
            CURVE => match parameters?.decode_as().ok()? {
                P256 => Some(Self::P256 { point: point()?.try_into().ok()? }),
                P384 => Some(Self::P384 { point: point()?.try_into().ok()? }),
                _ => None,
            },
            ED25519 if parameters.is_none() => Some(Self::Ed25519 { point: key.try_into().ok()? }),
            _ => None,
        }
    }

    /// Writes DER SubjectPublicKeyInfo in pieces. Tells whether it could: not for an RSA modulus of more than 4096 bits.
    pub fn write_der(&self, write: impl FnMut(&[u8])) -> bool {
        self.encode(&mut Pieces(write)).is_ok()
    }

    fn encode(&self, writer: &mut impl Writer) -> spki::der::Result<()> {
        let mut buffer = [0; MAX_RSA_DER];
        let mut on_curve = |curve: &ObjectIdentifier, point: &[u8], writer: &mut _| {
            let length = point.len().saturating_add(1);
            let bytes = buffer.get_mut(..length).ok_or(spki::der::ErrorKind::Overlength)?;
            if let Some((kind, rest)) = bytes.split_first_mut() {
                *kind = UNCOMPRESSED;
                rest.copy_from_slice(point);
            }
            information(CURVE, Some(curve.into()), bytes, writer)
        };
        match self {
            Self::Rsa { modulus, exponent } => {
                let exponent = exponent.to_be_bytes();
                let key = pkcs1::RsaPublicKey {
                    modulus: UintRef::new(modulus)?,
                    public_exponent: UintRef::new(&exponent)?,
                };
                let bytes = key.encode_to_slice(&mut buffer)?;
                information(RSA, Some(Null.into()), bytes, writer)
            }
            Self::P256 { point } => on_curve(&P256, *point, writer),
            Self::P384 { point } => on_curve(&P384, *point, writer),
            Self::Ed25519 { point } => information(ED25519, None, *point, writer),
        }
    }

    /// The key's id: SHA-256 over its DER SubjectPublicKeyInfo. Nothing for a key that has no such form.
    #[must_use]
    pub fn id<H: Hasher>(&self, hasher: H) -> Option<[u8; 32]> {
        let mut hasher = hasher;
        self.write_der(|bytes| hasher.update(bytes)).then(|| hasher.finish())
    }
}

/// Writes SubjectPublicKeyInfo.
fn information(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
    writer: &mut impl Writer,
) -> spki::der::Result<()> {
    let algorithm = AlgorithmIdentifier { oid, parameters };
    SubjectPublicKeyInfoRef { algorithm, subject_public_key: BitStringRef::from_bytes(key)? }.encode(writer)
}

/// Hands written bytes on.
struct Pieces<F>(F);

impl<F: FnMut(&[u8])> Writer for Pieces<F> {
    fn write(&mut self, bytes: &[u8]) -> spki::der::Result<()> {
        (self.0)(bytes);
        Ok(())
    }
}

/// What a platform knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMaterial<'a> {
    /// The key itself.
    Key(PublicKey<'a>),
    /// Only its id: SHA-256 over its DER SubjectPublicKeyInfo. The key is the one in the image's PKEYINFO, if that has this id.
    Id(&'a [u8; 32]),
}

/// A key that the platform trusts, or has revoked, with the name that logs call it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey<'a> {
    /// For people.
    pub name: &'a str,
    /// The key.
    pub material: KeyMaterial<'a>,
    /// It was trusted once: its signatures are refused by name. Outweighs any other entry of the same key.
    pub revoked: bool,
}

impl<'a> TrustedKey<'a> {
    /// Trusts a key.
    #[must_use]
    pub const fn new(name: &'a str, key: PublicKey<'a>) -> Self {
        Self { name, material: KeyMaterial::Key(key), revoked: false }
    }

    /// Trusts the key with an id: images have to carry it as PKEYINFO.
    #[must_use]
    pub const fn by_id(name: &'a str, id: &'a [u8; 32]) -> Self {
        Self { name, material: KeyMaterial::Id(id), revoked: false }
    }

    /// The key itself, if the platform has it.
    #[must_use]
    pub const fn key(&self) -> Option<PublicKey<'a>> {
        match self.material {
            KeyMaterial::Key(key) => Some(key),
            KeyMaterial::Id(_) => None,
        }
    }

    /// The same key, revoked.
    #[must_use]
    pub const fn revoked(self) -> Self {
        Self { revoked: true, ..self }
    }
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
        assert_eq!(
            known,
            [
                (1, Algorithm::RsaPkcs1Sha256),
                (2, Algorithm::EcdsaP256Sha256),
                (0x81, Algorithm::RsaPssSha256),
                (0x82, Algorithm::EcdsaP384Sha384),
                (0x83, Algorithm::Ed25519)
            ]
        );
        let key = PublicKey::P256 { point: &[1; 64] };
        assert_eq!((key.algorithm().signature_type(), key.signature_length(), key.bits()), (2, 64, 256));
    }
}
