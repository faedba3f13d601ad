//! Hash and signature in software, by the RustCrypto crates. The signature check allocates (about ten times the modulus).
use crate::provider::{Hasher, Provider, PublicKey};
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

/// Hash and signature in software.
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

    fn sha256(&self) -> SoftwareHasher {
        SoftwareHasher(Sha256::new())
    }

    fn verify(&self, key: &PublicKey<'_>, digest: &[u8; 32], signature: &[u8]) -> bool {
        if !key.is_acceptable() {
            return false;
        }
        let PublicKey::Rsa { modulus, exponent } = key;
        RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from(*exponent))
            .is_ok_and(|key| key.verify(pkcs1_sha256(), digest, signature).is_ok())
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
        assert!(!Software.verify(&key, &[8; 32], &signature), "another digest");
        Software.verify(&key, &digest, &signature)
    }

    #[test]
    fn short_keys_are_not_believed() {
        assert!(own_signature_verifies(2048));
        assert!(!own_signature_verifies(1024));
        assert!(!own_signature_verifies(2040));
    }
}
