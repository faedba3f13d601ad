//! Encryption of segments: AES-CBC without padding.
use super::WriteError;
use crate::format::BLOCK_SIZE;
use cbc::cipher::{Array, BlockModeEncrypt, KeyIvInit};
use rsa::rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

/// The key that segments are encrypted with: 16, 24 or 32 bytes. Wiped when it is dropped.
#[derive(Clone)]
pub struct EncryptionKey(Zeroizing<Vec<u8>>);

impl EncryptionKey {
    /// Takes a key.
    ///
    /// # Errors
    /// [`WriteError::Key`] for another length.
    pub fn new(bytes: &[u8]) -> Result<Self, WriteError> {
        if !matches!(bytes.len(), 16 | 24 | 32) {
            let length = bytes.len();
            return Err(WriteError::Key(format!("an AES key has 16, 24 or 32 bytes, not {length}")));
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Encrypts whole blocks in place.
    pub(super) fn encrypt(&self, vector: &[u8; BLOCK_SIZE], bytes: &mut [u8]) {
        let (blocks, _) = Array::slice_as_chunks_mut(bytes);
        macro_rules! with {
            ($cipher:ty) => {
                if let Ok(mut cipher) = cbc::Encryptor::<$cipher>::new_from_slices(&self.0, vector) {
                    cipher.encrypt_blocks(blocks);
                }
            };
        }
        // `new` let no other length pass.
        match self.0.len() {
            16 => with!(aes::Aes128Enc),
            24 => with!(aes::Aes192Enc),
            _ => with!(aes::Aes256Enc),
        }
    }
}

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "EncryptionKey({} bytes)", self.0.len())
    }
}

/// Where the initialization vectors come from.
pub(super) enum Vectors<'a> {
    /// The operating system's random numbers.
    Random,
    /// Given ones, for tests that compare bytes.
    Given(std::slice::Iter<'a, [u8; BLOCK_SIZE]>),
}

impl Vectors<'_> {
    /// The next one.
    pub fn next(&mut self) -> Result<[u8; BLOCK_SIZE], &'static str> {
        match self {
            Self::Random => {
                let mut vector = [0; BLOCK_SIZE];
                OsRng.try_fill_bytes(&mut vector).map_err(|_| "the system gives no random numbers")?;
                Ok(vector)
            }
            Self::Given(vectors) => {
                vectors.next().copied().ok_or("fewer initialization vectors than segments")
            }
        }
    }
}
