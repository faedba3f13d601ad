//! GET_MEASUREMENTS as a client wants it: the log's summary with its digests, and entry by entry.
use crate::remoteproc::{Error, Failure, Remoteproc};
use crate::tee::Tee;
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{Answer, Request};
use remoteproc_abi::measurements::{Entry, Part, Question, Summary, digest_of};

/// What was loaded since boot, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// How many loads there were, and which are kept.
    pub summary: Summary,
    /// The chain's digest over all of them.
    pub chain: [u8; 32],
    /// The chain's digest over those that are not kept: the digest to begin with who wants to compute `chain` from the entries.
    pub base: [u8; 32],
}

impl<T: Tee> Remoteproc<T> {
    /// Reads the log's summary and digests, all of the same moment: if something is loaded meanwhile, it begins anew.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn measurements(&mut self) -> Result<Log, Failure<T>> {
        for _ in 0..=self.patience() {
            let summary = Summary::of(&self.measurement_part(Part::Summary, 0)?);
            let chain = digest_of(&self.measurement_part(Part::Chain, 0)?);
            let base = digest_of(&self.measurement_part(Part::Base, 0)?);
            if Summary::of(&self.measurement_part(Part::Summary, 0)?) == summary {
                return Ok(Log { summary, chain, base });
            }
        }
        Err(Error::Stalled(Command::GetMeasurements))
    }

    /// Reads one load, counted from 0, from boot on.
    ///
    /// # Errors
    /// See [`Error`]; a load that is not kept is refused.
    pub fn measurement(&mut self, entry: u64) -> Result<Entry, Failure<T>> {
        let signed = self.measurement_part(Part::Signed, entry)?;
        let signer = self.measurement_part(Part::Signer, entry)?;
        let load = self.measurement_part(Part::Load, entry)?;
        Entry::of(&signed, &signer, &load).ok_or(Error::BadAnswer(Command::GetMeasurements))
    }

    fn measurement_part(&mut self, part: Part, entry: u64) -> Result<Answer, Failure<T>> {
        let request = Request::GetMeasurements(Question { part, entry });
        self.question(&request, Command::GetMeasurements, |answer| Some(*answer))
    }
}
