//! Hash, signature and cipher in software, by the RustCrypto crates.
//!
//! An RSA check allocates about ten times the modulus; a P-256 check allocates nothing and uses about 12 KiB of stack.
//!
//! ECDSA: of each signature (r, s) there is a second one, (r, n - s), that anybody can make and that verifies as well. Both are
//! accepted, as FIPS 186-5 has it: signers, OP-TEE's among them, write either. Nothing here takes a signature for a name; a
//! container with the other form is another container with the same signed contents.
pub use crate::cipher::SoftwareDecryption;
use crate::provider::{
    Algorithm, CipherKey, Hasher, P256_POINT_SIZE, P256_SIGNATURE_SIZE, Provider, PublicKey, Signed,
};
use p256::AffinePoint;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::point::AffineCoordinates;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256};

/// `DigestInfo` of SHA-256 up to the digest (RFC 8017, section 9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// RSASSA-PKCS1-v1_5 with SHA-256, independent of which digest crate computed the digest.
pub(crate) fn pkcs1_sha256() -> Pkcs1v15Sign {
    Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_DIGEST_INFO.into() }
}

/// Reads a point X, Y; nothing if it does not lie on the curve.
fn p256_key(point: &[u8; P256_POINT_SIZE]) -> Option<VerifyingKey> {
    // By coordinates rather than from SEC 1 bytes, which would bring the code for compressed points along.
    let (x, y) = (point.first_chunk::<32>()?, point.last_chunk::<32>()?);
    let affine: Option<AffinePoint> = AffinePoint::from_coordinates(&(*x).into(), &(*y).into()).into();
    VerifyingKey::from_affine(affine?).ok()
}

/// Tells whether X, Y (32 bytes each, big-endian) is a point of the curve P-256.
#[must_use]
pub fn is_on_p256(point: &[u8; P256_POINT_SIZE]) -> bool {
    p256_key(point).is_some()
}

/// Verifies r, s. Either being zero, or not below the curve's order, makes it no signature.
fn verify_p256(point: &[u8; P256_POINT_SIZE], digest: &[u8; 32], signature: &[u8]) -> bool {
    let signature = <&[u8; P256_SIGNATURE_SIZE]>::try_from(signature)
        .ok()
        .and_then(|signature| Signature::from_slice(signature).ok());
    match (p256_key(point), signature) {
        (Some(key), Some(signature)) => key.verify_prehash(digest, &signature).is_ok(),
        _ => false,
    }
}

/// Verifies RSASSA-PKCS1-v1_5.
fn verify_rsa(modulus: &[u8], exponent: u32, digest: &[u8; 32], signature: &[u8]) -> bool {
    RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from(exponent))
        .is_ok_and(|key| key.verify(pkcs1_sha256(), digest, signature).is_ok())
}

/// Verifies RSASSA-PSS.
#[cfg(feature = "pss")]
fn verify_pss(modulus: &[u8], exponent: u32, digest: &[u8; 32], signature: &[u8]) -> bool {
    RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from(exponent))
        .is_ok_and(|key| key.verify(pss_sha256(), digest, signature).is_ok())
}

/// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
#[cfg(feature = "pss")]
pub(crate) fn pss_sha256() -> rsa::Pss {
    rsa::Pss::new_with_salt::<rsa::sha2::Sha256>(32)
}

/// Verifies ECDSA P-384 over SHA-384 of the bytes.
#[cfg(feature = "p384")]
fn verify_p384(point: &[u8; crate::provider::P384_POINT_SIZE], bytes: &[u8], signature: &[u8]) -> bool {
    use p384::elliptic_curve::point::AffineCoordinates;
    let (Some(x), Some(y)) = (point.first_chunk::<48>(), point.last_chunk::<48>()) else { return false };
    let affine: Option<p384::AffinePoint> =
        p384::AffinePoint::from_coordinates(&(*x).into(), &(*y).into()).into();
    let key = affine.and_then(|affine| p384::ecdsa::VerifyingKey::from_affine(affine).ok());
    match (key, p384::ecdsa::Signature::from_slice(signature)) {
        (Some(key), Ok(signature)) => key.verify_prehash(&sha2::Sha384::digest(bytes), &signature).is_ok(),
        _ => false,
    }
}

/// Verifies Ed25519, without the leeway of RFC 8032 for keys and signatures of small order.
#[cfg(feature = "ed25519")]
fn verify_ed25519(point: &[u8; 32], bytes: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
    ed25519_dalek::VerifyingKey::from_bytes(point)
        .is_ok_and(|key| key.verify_strict(bytes, &signature).is_ok())
}

/// Hash, signature and cipher in software.
#[derive(Clone, Copy, Debug, Default)]
pub struct Software;

/// SHA-256 in software, or by the CPU's instructions where they are compiled in or detected.
#[derive(Clone, Debug)]
pub struct SoftwareHasher(Sha256);

impl Hasher for SoftwareHasher {
    fn update(&mut self, bytes: &[u8]) {
        Digest::update(&mut self.0, bytes);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl Provider for Software {
    type Hasher = SoftwareHasher;
    type Decryption = SoftwareDecryption;

    fn sha256(&self) -> SoftwareHasher {
        SoftwareHasher(Sha256::new())
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::RsaPkcs1Sha256 | Algorithm::EcdsaP256Sha256 => true,
            Algorithm::RsaPssSha256 => cfg!(feature = "pss"),
            Algorithm::EcdsaP384Sha384 => cfg!(feature = "p384"),
            Algorithm::Ed25519 => cfg!(feature = "ed25519"),
        }
    }

    fn verify(&self, key: &PublicKey<'_>, signed: &Signed<'_>) -> bool {
        let Signed { algorithm, digest, signature, .. } = *signed;
        key.is_acceptable()
            && match (*key, algorithm) {
                (PublicKey::Rsa { modulus, exponent }, Algorithm::RsaPkcs1Sha256) => {
                    verify_rsa(modulus, exponent, digest, signature)
                }
                (PublicKey::P256 { point }, Algorithm::EcdsaP256Sha256) => {
                    verify_p256(point, digest, signature)
                }
                #[cfg(feature = "pss")]
                (PublicKey::Rsa { modulus, exponent }, Algorithm::RsaPssSha256) => {
                    verify_pss(modulus, exponent, digest, signature)
                }
                #[cfg(feature = "p384")]
                (PublicKey::P384 { point }, Algorithm::EcdsaP384Sha384) => {
                    verify_p384(point, signed.bytes, signature)
                }
                #[cfg(feature = "ed25519")]
                (PublicKey::Ed25519 { point }, Algorithm::Ed25519) => {
                    verify_ed25519(point, signed.bytes, signature)
                }
                _ => false,
            }
    }

    fn decryption(&self, key: &CipherKey<'_>) -> Option<SoftwareDecryption> {
        SoftwareDecryption::new(key)
    }
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;
    use rsa::RsaPrivateKey;
    use rsa::rand_core::OsRng;
    use rsa::traits::PublicKeyParts;

    fn own_signature_verifies(bits: usize) -> bool {
        let private = RsaPrivateKey::new(&mut OsRng, bits).unwrap();
        let digest = [7; 32];
        let signature = private.sign(pkcs1_sha256(), &digest).unwrap();
        let modulus = private.n().to_bytes_be();
        let key = PublicKey::Rsa { modulus: &modulus, exponent: 65537 };
        assert_eq!(key.bits(), bits);
        assert_eq!(key.signature_length(), bits.div_ceil(8));
        let verify = |digest| {
            let algorithm = Algorithm::RsaPkcs1Sha256;
            Software.verify(&key, &Signed { algorithm, bytes: &[], digest, signature: &signature })
        };
        assert!(!verify(&[8; 32]), "another digest");
        verify(&digest)
    }

    #[test]
    fn short_keys_are_not_believed() {
        assert!(own_signature_verifies(2048));
        assert!(!own_signature_verifies(1024));
        assert!(!own_signature_verifies(2040));
    }

    #[test]
    fn only_points_of_the_curve_are_keys() {
        // The base point and its opposite (FIPS 186-5; SP 800-186, section 3.2.1.3), as words of 32 bits.
        let x = [
            0x6b17_d1f2u32,
            0xe12c_4247,
            0xf8bc_e6e5,
            0x63a4_40f2,
            0x7703_7d81,
            0x2deb_33a0,
            0xf4a1_3945,
            0xd898_c296,
        ];
        let y = [
            0x4fe3_42e2u32,
            0xfe1a_7f9b,
            0x8ee7_eb4a,
            0x7c0f_9e16,
            0x2bce_3357,
            0x6b31_5ece,
            0xcbb6_4068,
            0x37bf_51f5,
        ];
        let bytes: Vec<u8> = x.iter().chain(&y).flat_map(|word| word.to_be_bytes()).collect();
        let base: [u8; 64] = bytes.try_into().unwrap();
        assert!(is_on_p256(&base));
        for at in 0..64 {
            let mut beside = base;
            beside[at] ^= 1;
            assert!(!is_on_p256(&beside), "byte {at}");
        }
        for all in [0, 1, 0xff] {
            assert!(!is_on_p256(&[all; 64]));
        }
        let mut swapped = base;
        swapped.rotate_left(32);
        assert!(!is_on_p256(&swapped));
    }
}
