//! Private segments hashed once more at START, for processors whose private memory the hardware does not close.
//!
//! Of a plain image the signed digests say what they have to hash to. Of an encrypted one those are of the ciphertext, so the
//! plaintext is hashed once, right after it was decrypted.
//!
//! It finds what was changed between load and start. It can't find what is changed while the hash is taken or afterwards: only
//! hardware can keep the normal world out.
use crate::configuration::Processor;
use crate::slice::Budget;
use heapless::Vec;
use remoteproc_image::provider::{Destination, Fault, Hasher, Provider};
use remoteproc_image::reader::{MAX_PROGRAM_HEADERS, Reader, Segment};
use remoteproc_image::target::Access;
use remoteproc_refusal::Refusal;
use zeroize::Zeroize;

/// One segment, where it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sealed {
    /// High and low half: there are a thousand of these, and a u64 would be padded.
    physical_address: [u32; 2],
    /// Bytes of the file.
    size: u32,
    /// Zeros behind them.
    zeros: u32,
}

impl Sealed {
    const fn new(segment: &Segment) -> Self {
        let Segment { physical_address, file_size: size, memory_size, .. } = *segment;
        let zeros = memory_size.saturating_sub(size);
        Self { physical_address: [(physical_address >> 32) as u32, physical_address as u32], size, zeros }
    }

    /// Bytes of all of it.
    const fn memory_size(&self) -> u32 {
        self.size.saturating_add(self.zeros)
    }

    fn physical_address(&self) -> u64 {
        let [high, low] = self.physical_address;
        u64::from(high) << 32 | u64::from(low)
    }
}

/// What the private segments have to hash to.
#[cfg_attr(feature = "exploration", derive(Clone, Hash))]
pub(crate) struct Seal {
    segments: Vec<Sealed, MAX_PROGRAM_HEADERS>,
    /// Hash over the signed digests of these segments, in order: 32 bytes to keep instead of 4 KiB.
    digest: [u8; 32],
}

impl Seal {
    /// Notes which segments lie in private regions, and the signed digests of them; or, of an encrypted image, `digest`, what
    /// [`Check::go_on`] has found.
    pub fn new<P: Provider>(
        processor: &Processor<'_>,
        reader: &Reader<P::Hasher>,
        provider: &P,
        digest: Option<[u8; 32]>,
    ) -> Result<Self, Refusal> {
        let mut segments = Vec::new();
        let mut digests = provider.sha256();
        for (index, segment) in reader.segments().iter().enumerate() {
            if is_private(processor, segment) {
                segments.push(Sealed::new(segment)).map_err(|_| Refusal::TooManySegments)?;
                digests.update(reader.signed_digest(index).ok_or(Refusal::CallOutOfOrder)?);
            }
        }
        Ok(Self { segments, digest: digest.unwrap_or_else(|| digests.finish()) })
    }

    /// Tells whether memory that hashes to this is as it was loaded.
    pub fn holds(&self, digest: &[u8; 32]) -> bool {
        self.digest == *digest
    }
}

fn is_private(processor: &Processor<'_>, segment: &Segment) -> bool {
    let holder = processor
        .regions
        .iter()
        .find(|region| region.translate(segment.device_address, segment.memory_size).is_some());
    holder.is_none_or(|region| region.access == Access::Private)
}

/// A check of a seal under way.
#[cfg_attr(feature = "exploration", derive(Clone))]
pub(crate) struct Check<H> {
    /// Over the digests of the segments hashed so far.
    digests: Option<H>,
    segment: usize,
    /// Bytes of that segment looked at so far, and the hash of those that are of the file.
    hashed: u32,
    hasher: Option<H>,
    /// When it was last gone on with, milliseconds: what was hashed long ago says little.
    pub touched: u64,
}

#[cfg(feature = "exploration")]
impl<H> Check<H> {
    /// Tells how far it is.
    pub fn place(&self) -> (usize, u32, bool) {
        (self.segment, self.hashed, self.digests.is_some())
    }
}

impl<H: Hasher> Check<H> {
    /// Begins.
    pub fn new<P: Provider<Hasher = H>>(provider: &P, now: u64) -> Self {
        Self { digests: Some(provider.sha256()), segment: 0, hashed: 0, hasher: None, touched: now }
    }

    /// Hashes as much as the budget has, reading memory through `buffer`, which holds nothing of it afterwards. Tells, after the last
    /// byte, what the segments hash to; `None`: there is more to do.
    pub fn go_on<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        seal: &Seal,
        parts: (&P, &mut D),
        buffer: &mut [u8],
        budget: &mut Budget,
    ) -> Result<Option<[u8; 32]>, Fault> {
        let outcome = self.hash(seal, parts, buffer, budget);
        // It may have been decrypted.
        buffer.zeroize();
        outcome
    }

    fn hash<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        seal: &Seal,
        (provider, memory): (&P, &mut D),
        buffer: &mut [u8],
        budget: &mut Budget,
    ) -> Result<Option<[u8; 32]>, Fault> {
        while let Some(segment) = seal.segments.get(self.segment) {
            let hasher = self.hasher.get_or_insert_with(|| provider.sha256());
            while self.hashed < segment.memory_size() {
                let of_file = segment.size.saturating_sub(self.hashed);
                let rest =
                    if of_file > 0 { of_file } else { segment.memory_size().saturating_sub(self.hashed) };
                let size = (rest as usize).min(buffer.len()).min(budget.left());
                let Some(piece) = buffer.get_mut(..size).filter(|piece| !piece.is_empty()) else {
                    return Ok(None);
                };
                let address = segment.physical_address().checked_add(self.hashed.into()).ok_or(Fault)?;
                memory.read(address, piece)?;
                // Zeros are no part of what was signed; other bytes are, and change the hash.
                if of_file > 0 || piece.iter().any(|byte| *byte != 0) {
                    hasher.update(piece);
                }
                budget.spend(size);
                self.hashed = self.hashed.saturating_add(u32::try_from(size).map_err(|_| Fault)?);
            }
            if let (Some(hasher), Some(digests)) = (self.hasher.take(), &mut self.digests) {
                digests.update(&hasher.finish());
            }
            self.segment = self.segment.saturating_add(1);
            self.hashed = 0;
        }
        self.digests.take().map(Hasher::finish).map(Some).ok_or(Fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoteproc_image::software::Software;

    /// Memory that holds a secret everywhere, up to an address.
    struct Secret {
        end: u64,
    }

    impl Destination for Secret {
        fn write(&mut self, _: u64, _: &[u8]) -> Result<(), Fault> {
            Err(Fault)
        }

        fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
            into.fill(0x5A);
            if address < self.end { Ok(()) } else { Err(Fault) }
        }
    }

    fn looked_at(end: u64, size: u32) -> (Result<Option<[u8; 32]>, Fault>, [u8; 64]) {
        let mut seal = Seal { segments: Vec::new(), digest: [0; 32] };
        assert!(seal.segments.push(Sealed { physical_address: [0, 0x1000], size, zeros: 0 }).is_ok());
        let (mut buffer, mut memory) = ([0; 64], Secret { end });
        let mut check = Check::new(&Software, 0);
        let outcome = check.go_on(&seal, (&Software, &mut memory), &mut buffer, &mut Budget::new());
        (outcome, buffer)
    }

    #[test]
    fn what_was_looked_at_does_not_stay_in_the_buffer() {
        let (done, buffer) = looked_at(u64::MAX, 100);
        assert!(matches!(done, Ok(Some(_))), "{done:?}");
        assert_eq!(buffer, [0; 64]);
        // In the middle of it.
        let (pending, buffer) = looked_at(u64::MAX, 1 << 20);
        assert_eq!(pending, Ok(None));
        assert_eq!(buffer, [0; 64]);
        // After a read that has failed, and left something.
        let (failed, buffer) = looked_at(0x1040, 100);
        assert_eq!(failed, Err(Fault));
        assert_eq!(buffer, [0; 64]);
    }
}
