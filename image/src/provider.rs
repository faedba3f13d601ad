//! What the reader needs of the platform: a hash, a signature check, and the memory that segments go to.

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

/// A public key of a supported algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2), 2048 to 4096 bit.
    Rsa {
        /// Big-endian, without leading zeros.
        modulus: &'a [u8],
        /// Public exponent.
        exponent: u32,
    },
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
