//! What was loaded since boot: the last loads one by one, all of them in a digest. For whoever wants to know what runs here, and for
//! whoever vouches for it.
use crate::hardware::Machine;
use crate::service::{Outcome, Service};
use remoteproc_abi::measurements::{Entry, KEPT, Part, Question, Summary, digest_answer};
use remoteproc_image::provider::{Hasher, Provider};
use remoteproc_refusal::Refusal;

/// The last loads, and the chain over all. All zeros when it is new.
pub(crate) struct Measurements {
    /// Load number n is entry n modulo [`KEPT`].
    ring: [Entry; KEPT],
    /// Loads since boot.
    count: u64,
    /// Over all loads.
    chain: [u8; 32],
    /// Over those that are not kept any more.
    base: [u8; 32],
}

/// The chain with another entry.
fn next<P: Provider>(provider: &P, chain: &[u8; 32], entry: &Entry) -> [u8; 32] {
    let mut hasher = provider.sha256();
    hasher.update(chain);
    hasher.update(&entry.bytes());
    hasher.finish()
}

/// Where an entry is kept.
const fn place(number: u64) -> usize {
    // Less than 64.
    (number % KEPT as u64) as usize
}

impl Measurements {
    pub const fn new() -> Self {
        Self { ring: [Entry::EMPTY; KEPT], count: 0, chain: [0; 32], base: [0; 32] }
    }

    /// Begins anew. What the entries hold does not matter.
    pub const fn forget(&mut self) {
        (self.count, self.chain, self.base) = (0, [0; 32], [0; 32]);
    }

    /// Enters a load. The oldest one makes room if there is none.
    pub fn enter<P: Provider>(&mut self, provider: &P, entry: Entry) {
        self.chain = next(provider, &self.chain, &entry);
        if let Some(kept) = self.ring.get_mut(place(self.count)) {
            if self.count >= KEPT as u64 {
                self.base = next(provider, &self.base, kept);
            }
            *kept = entry;
        }
        self.count = self.count.saturating_add(1);
    }

    const fn summary(&self) -> Summary {
        Summary { count: self.count, first: self.count.saturating_sub(KEPT as u64) }
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        let Summary { count, first } = self.summary();
        if number < first || number >= count {
            return None;
        }
        self.ring.get(place(number))
    }
}

impl<M: Machine> Service<'_, M> {
    /// GET_MEASUREMENTS. Anybody may ask.
    pub(crate) fn measurements(&self, question: Question) -> Outcome {
        let Question { part, entry } = question;
        Ok(match part {
            Part::Summary => self.measurements.summary().answer(),
            Part::Chain => digest_answer(&self.measurements.chain),
            Part::Base => digest_answer(&self.measurements.base),
            Part::Signed | Part::Signer | Part::Load => {
                let entry = self.measurements.entry(entry);
                entry.and_then(|entry| entry.answer(part)).ok_or(Refusal::MeasurementUnknown)?
            }
        })
    }
}
