//! Hashes the loaded segments where they are, a bounded number of bytes at a time, and holds them against the signed digests.
use crate::metadata::Metadata;
use crate::plan::Plan;
use crate::provider::{Destination, Hasher, Provider};
use crate::rejection::Rejection;
use remoteproc_refusal::Refusal;

/// Bytes read at a time, through a buffer on the stack.
const STEP: usize = 1024;

/// Whether a resumable step has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    Pending,
    /// Ended.
    Done,
}

/// How far it is.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Verification<H> {
    /// Index of the segment that is hashed now.
    segment: usize,
    /// Its bytes hashed so far.
    hashed: u32,
    /// Its hash.
    hasher: Option<H>,
}

impl<H: Hasher> Verification<H> {
    /// Nothing hashed.
    pub const fn new() -> Self {
        Self { segment: 0, hashed: 0, hasher: None }
    }

    /// Hashes at most `budget` bytes.
    pub fn go_on<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        provider: &P,
        destination: &mut D,
        budget: usize,
        plan: &Plan,
        metadata: &Metadata,
    ) -> Result<Progress, Rejection> {
        let mut budget = budget;
        let mut buffer = [0; STEP];
        while let Some(segment) = plan.segments().get(self.segment) {
            let hasher = self.hasher.get_or_insert_with(|| provider.sha256());
            while self.hashed < segment.file_size {
                let rest = segment.file_size.saturating_sub(self.hashed);
                let count = usize::try_from(rest).unwrap_or(STEP).min(budget).min(STEP);
                let Some(step) = buffer.get_mut(..count).filter(|step| !step.is_empty()) else {
                    return Ok(Progress::Pending);
                };
                let from = segment.physical_address.saturating_add(self.hashed.into());
                destination.read(from, step).map_err(|_| {
                    let offset = segment.container_offset.saturating_add(self.hashed.into());
                    Rejection::at(Refusal::DestinationAbort, offset)
                })?;
                hasher.update(step);
                budget = budget.saturating_sub(count);
                self.hashed = self.hashed.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            }
            let digest = self.hasher.take().map(Hasher::finish);
            // Both are public: no need to compare in constant time.
            if digest.is_none() || digest.as_ref() != plan.digest(metadata, self.segment) {
                return Err(Rejection::at(Refusal::SegmentHashMismatch, segment.container_offset));
            }
            self.segment = self.segment.saturating_add(1);
            self.hashed = 0;
        }
        Ok(Progress::Done)
    }
}
