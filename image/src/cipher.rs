//! AES-CBC decryption in software, by the RustCrypto crates (feature `encryption`; without it there is no cipher).
use crate::format::BLOCK_SIZE;
use crate::provider::{BlockDecryption, CipherKey};

/// AES with a key of one of the three lengths. The round keys are wiped when it is dropped.
#[cfg(feature = "encryption")]
enum Cipher {
    Aes128(aes::Aes128Dec),
    Aes192(aes::Aes192Dec),
    Aes256(aes::Aes256Dec),
}

/// AES-CBC decryption in software.
#[cfg(feature = "encryption")]
pub struct SoftwareDecryption(Cipher);

#[cfg(feature = "encryption")]
impl SoftwareDecryption {
    /// Expands a key; nothing if it has no length of AES, or lies in hardware.
    pub(crate) fn new(key: &CipherKey<'_>) -> Option<Self> {
        use aes::cipher::KeyInit;
        let CipherKey::Bytes(key) = key else { return None };
        let cipher = match key.len() {
            16 => Cipher::Aes128(aes::Aes128Dec::new_from_slice(key).ok()?),
            24 => Cipher::Aes192(aes::Aes192Dec::new_from_slice(key).ok()?),
            32 => Cipher::Aes256(aes::Aes256Dec::new_from_slice(key).ok()?),
            _ => return None,
        };
        Some(Self(cipher))
    }
}

#[cfg(feature = "encryption")]
impl BlockDecryption for SoftwareDecryption {
    fn decrypt(&mut self, chain: &[u8; BLOCK_SIZE], blocks: &mut [u8]) -> bool {
        use aes::cipher::{Array, BlockModeDecrypt, InnerIvInit};
        let (blocks, rest) = Array::slice_as_chunks_mut(blocks);
        if !rest.is_empty() {
            return false;
        }
        let chain = chain.into();
        match &self.0 {
            Cipher::Aes128(cipher) => cbc::Decryptor::inner_iv_init(cipher, chain).decrypt_blocks(blocks),
            Cipher::Aes192(cipher) => cbc::Decryptor::inner_iv_init(cipher, chain).decrypt_blocks(blocks),
            Cipher::Aes256(cipher) => cbc::Decryptor::inner_iv_init(cipher, chain).decrypt_blocks(blocks),
        }
        true
    }
}

/// No cipher: there is none of these.
#[cfg(not(feature = "encryption"))]
pub enum SoftwareDecryption {}

#[cfg(not(feature = "encryption"))]
impl SoftwareDecryption {
    /// No cipher is compiled in.
    pub(crate) const fn new(_: &CipherKey<'_>) -> Option<Self> {
        None
    }
}

#[cfg(not(feature = "encryption"))]
impl BlockDecryption for SoftwareDecryption {
    fn decrypt(&mut self, _: &[u8; BLOCK_SIZE], _: &mut [u8]) -> bool {
        match *self {}
    }
}
