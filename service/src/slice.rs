//! How much one request may do. A request can't be interrupted by another one, so what it does at most is what everybody waits
//! for at most: one slice of bytes, or one signature check.

/// Bytes that one request copies and hashes at most.
pub const SLICE: usize = 128 << 10;

/// Clearing a byte costs so much less than hashing one: one request clears at most `SLICE * CLEARED_PER_HASHED` bytes.
pub const CLEARED_PER_HASHED: usize = 8;
/// Bytes hashed that take as long as one decrypted in software, on a core without instructions for either.
const HASHED_PER_DECRYPTED: usize = 8;

/// What is left of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget(usize);

impl Budget {
    /// A whole slice.
    pub const fn new() -> Self {
        Self(SLICE)
    }

    /// Bytes that may still be copied or hashed.
    pub const fn left(self) -> usize {
        self.0
    }

    /// Bytes that may still be cleared.
    pub const fn left_to_clear(self) -> u64 {
        self.0.saturating_mul(CLEARED_PER_HASHED) as u64
    }

    /// Bytes that may still be decrypted.
    pub const fn left_to_decrypt(self) -> usize {
        self.0 / HASHED_PER_DECRYPTED
    }

    /// Nothing was spent yet.
    pub const fn is_whole(self) -> bool {
        self.0 == SLICE
    }

    /// Nothing is left.
    pub const fn is_spent(self) -> bool {
        self.0 == 0
    }

    /// Bytes were copied or hashed.
    pub const fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// Bytes were cleared.
    pub fn spend_clearing(&mut self, bytes: u64) {
        self.spend(usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(CLEARED_PER_HASHED));
    }

    /// What can't be divided was done: nothing else fits.
    pub const fn spend_all(&mut self) {
        self.0 = 0;
    }
}
