//! Decrypts the loaded segments where they are, a bounded number of bytes at a time. Only for segments whose ciphertext was hashed.
//!
//! Between two calls only a ciphertext block is kept, nothing of the key and nothing of the plaintext.
use crate::format::BLOCK_SIZE;
use crate::metadata::Metadata;
use crate::plan::Plan;
use crate::provider::{BlockDecryption, CipherKey, Destination, Provider};
use crate::rejection::Rejection;
use crate::verification::Progress;
use remoteproc_refusal::Refusal;
use zeroize::Zeroizing;

/// Bytes read at a time, through a buffer on the stack: whole blocks.
const STEP: usize = 1024;

/// How far it is.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Decryption {
    /// Index of the segment that is decrypted now.
    segment: usize,
    /// Its bytes decrypted so far.
    decrypted: u32,
    /// The ciphertext block before the next one.
    chain: [u8; BLOCK_SIZE],
}

impl Decryption {
    /// Nothing decrypted.
    pub const fn new() -> Self {
        Self { segment: 0, decrypted: 0, chain: [0; BLOCK_SIZE] }
    }

    /// Decrypts at most `budget` bytes, in whole blocks.
    pub fn go_on<P: Provider, D: Destination>(
        &mut self,
        (provider, key): (&P, &CipherKey<'_>),
        destination: &mut D,
        budget: usize,
        plan: &Plan,
        metadata: &Metadata,
    ) -> Result<Progress, Rejection> {
        let unsupported = Rejection::whole(Refusal::EncryptionUnsupported);
        let mut cipher = provider.decryption(key).ok_or(unsupported)?;
        let mut budget = budget;
        let mut buffer = Zeroizing::new([0; STEP]);
        while let Some(segment) = plan.segments().get(self.segment) {
            if self.decrypted == 0 {
                self.chain = plan.vector(metadata, self.segment).ok_or(unsupported)?;
            }
            while self.decrypted < segment.file_size {
                let rest = segment.file_size.saturating_sub(self.decrypted);
                let count = usize::try_from(rest).unwrap_or(STEP).min(budget).min(STEP);
                // The plan has only segments of whole blocks.
                let count = count & !(BLOCK_SIZE - 1);
                let Some(step) = buffer.get_mut(..count).filter(|step| !step.is_empty()) else {
                    return Ok(Progress::Pending);
                };
                let place = segment.container_offset.saturating_add(self.decrypted.into());
                let abort = Rejection::at(Refusal::DestinationAbort, place);
                let address = segment.physical_address.saturating_add(self.decrypted.into());
                destination.read(address, step).map_err(|_| abort)?;
                let chain = self.chain;
                self.chain = step.last_chunk().copied().unwrap_or_default();
                if !cipher.decrypt(&chain, step) {
                    return Err(unsupported);
                }
                destination.write(address, step).map_err(|_| abort)?;
                budget = budget.saturating_sub(count);
                self.decrypted = self.decrypted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            }
            self.segment = self.segment.saturating_add(1);
            self.decrypted = 0;
        }
        Ok(Progress::Done)
    }
}
