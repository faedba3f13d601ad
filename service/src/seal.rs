//! Private segments hashed once more at START, for processors whose private memory the hardware does not close.
//!
//! It finds what was changed between load and start. It can't find what is changed while the hash is taken or afterwards: only
//! hardware can keep the normal world out.
use crate::configuration::Processor;
use heapless::Vec;
use remoteproc_image::provider::{Destination, Fault, Hasher, Provider};
use remoteproc_image::reader::{MAX_PROGRAM_HEADERS, Reader, Segment};
use remoteproc_image::target::Access;
use remoteproc_refusal::Refusal;

/// One segment's file bytes, where they were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sealed {
    physical_address: u64,
    size: u32,
}

/// What the private segments have to hash to.
#[derive(Debug)]
pub(crate) struct Seal {
    segments: Vec<Sealed, MAX_PROGRAM_HEADERS>,
    /// Hash over the signed digests of these segments, in order: 32 bytes to keep instead of 4 KiB.
    digest: [u8; 32],
}

impl Seal {
    /// Notes which segments lie in private regions, and the signed digests of them.
    pub fn new<P: Provider>(
        processor: &Processor<'_>,
        reader: &Reader<P::Hasher>,
        provider: &P,
    ) -> Result<Self, Refusal> {
        let mut segments = Vec::new();
        let mut digests = provider.sha256();
        for (index, segment) in reader.segments().iter().enumerate() {
            if is_private(processor, segment) {
                let Segment { physical_address, file_size: size, .. } = *segment;
                segments.push(Sealed { physical_address, size }).map_err(|_| Refusal::TooManySegments)?;
                digests.update(reader.signed_digest(index).ok_or(Refusal::CallOutOfOrder)?);
            }
        }
        Ok(Self { segments, digest: digests.finish() })
    }

    /// Tells whether memory holds what was signed. Reads it through `buffer`.
    pub fn holds<P: Provider, D: Destination>(
        &self,
        (provider, memory): (&P, &mut D),
        buffer: &mut [u8],
    ) -> Result<bool, Fault> {
        let mut digests = provider.sha256();
        for segment in &self.segments {
            digests.update(&hash(segment, provider, memory, buffer)?);
        }
        Ok(digests.finish() == self.digest)
    }
}

fn is_private(processor: &Processor<'_>, segment: &Segment) -> bool {
    let holder = processor
        .regions
        .iter()
        .find(|region| region.translate(segment.device_address, segment.memory_size).is_some());
    holder.is_none_or(|region| region.access == Access::Private)
}

fn hash<P: Provider, D: Destination>(
    segment: &Sealed,
    provider: &P,
    memory: &mut D,
    buffer: &mut [u8],
) -> Result<[u8; 32], Fault> {
    let mut hasher = provider.sha256();
    let mut address = segment.physical_address;
    let mut left = segment.size as usize;
    while left > 0 {
        let size = left.min(buffer.len());
        let piece = buffer.get_mut(..size).filter(|piece| !piece.is_empty()).ok_or(Fault)?;
        memory.read(address, piece)?;
        hasher.update(piece);
        address = address.checked_add(size as u64).ok_or(Fault)?;
        left = left.saturating_sub(size);
    }
    Ok(hasher.finish())
}
