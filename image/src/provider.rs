//! What the reader needs of the platform: a hash, a signature check, a cipher, and the memory that segments go to.
use crate::format::BLOCK_SIZE;

pub use crate::public_key::{
    Algorithm, KeyMaterial, MAX_RSA_BITS, MIN_RSA_BITS, P256_POINT_SIZE, P256_SIGNATURE_SIZE,
    P384_POINT_SIZE, P384_SIGNATURE_SIZE, PublicKey, TrustedKey,
};

/// A SHA-256 computation under way.
pub trait Hasher {
    /// Adds bytes.
    fn update(&mut self, bytes: &[u8]);
    /// Ends the computation.
    fn finish(self) -> [u8; 32];
}

/// What a signature is checked over.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// Header, and TLV area with its pad.
    pub bytes: &'a [u8],
    /// SHA-256 of them, for the algorithms that sign that.
    pub digest: &'a [u8; 32],
    /// The signature.
    pub signature: &'a [u8],
}

/// The key that encrypted images are decrypted with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CipherKey<'a> {
    /// The key itself: 16, 24 or 32 bytes of AES.
    Bytes(&'a [u8]),
    /// A key that only the provider's hardware knows, by a number that the platform gave it.
    Slot(u32),
}

impl core::fmt::Debug for CipherKey<'_> {
    /// Never the key.
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Bytes(key) => write!(formatter, "Bytes({} bytes)", key.len()),
            Self::Slot(slot) => write!(formatter, "Slot({slot})"),
        }
    }
}

/// AES-CBC decryption with one key. The key is wiped when this is dropped.
pub trait BlockDecryption {
    /// Decrypts whole blocks of 16 bytes in place. `chain`: the ciphertext block before them, or the initialization vector.
    /// Tells whether it did; if not, nothing is known of the blocks.
    fn decrypt(&mut self, chain: &[u8; BLOCK_SIZE], blocks: &mut [u8]) -> bool;
}

/// Hash, signature and cipher, in software or by the platform's hardware.
pub trait Provider {
    /// This provider's hash.
    type Hasher: Hasher;
    /// This provider's cipher.
    type Decryption: BlockDecryption;

    /// Starts a SHA-256 computation.
    fn sha256(&self) -> Self::Hasher;

    /// Tells whether this provider checks signatures of an algorithm.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// Tells whether `key` made the signature.
    fn verify(&self, key: &PublicKey<'_>, signed: &Signed<'_>) -> bool;

    /// Makes ready to decrypt with a key; nothing if this provider can't decrypt, or not with that key.
    fn decryption(&self, key: &CipherKey<'_>) -> Option<Self::Decryption>;
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
