//! The partition's own copy of header, TLVs and signature: filled once, in pieces of any size, and only then looked at.
use crate::container::{Header, Tlvs};
use crate::format::HEADER_SIZE;
use crate::rejection::Rejection;
use remoteproc_refusal::Refusal;
use zeroize::Zeroize;

/// Most bytes of header, TLV area and signature together.
pub const MAX_METADATA: usize = 16 * 1024;

/// The copy.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Metadata {
    bytes: [u8; MAX_METADATA],
    /// Bytes filled.
    filled: usize,
    /// Once [`HEADER_SIZE`] bytes are there and have passed.
    header: Option<Header>,
}

impl Metadata {
    /// An empty copy.
    pub const fn new() -> Self {
        Self { bytes: [0; MAX_METADATA], filled: 0, header: None }
    }

    /// Forgets and wipes.
    pub fn reset(&mut self) {
        self.bytes.zeroize();
        self.filled = 0;
        self.header = None;
    }

    /// Takes what it needs of `bytes`, at most up to the first image; returns how many bytes that was.
    pub fn push(&mut self, bytes: &[u8], total: u64) -> Result<usize, Rejection> {
        let mut taken = self.fill(bytes, HEADER_SIZE);
        if self.header.is_none() {
            let Some(start) = self.bytes.first_chunk().filter(|_| self.filled >= HEADER_SIZE) else {
                return Ok(taken);
            };
            let header = Header::decode(start, total)?;
            if header.images_offset() > MAX_METADATA as u64 {
                return Err(Rejection::at(Refusal::MetadataTooLarge, 8));
            }
            self.header = Some(header);
        }
        let rest = bytes.get(taken..).unwrap_or_default();
        taken = taken.saturating_add(self.fill(rest, self.length()));
        Ok(taken)
    }

    /// Copies bytes until `limit` bytes are filled.
    fn fill(&mut self, bytes: &[u8], limit: usize) -> usize {
        let count = limit.saturating_sub(self.filled).min(bytes.len());
        let end = self.filled.saturating_add(count);
        if let (Some(to), Some(from)) = (self.bytes.get_mut(self.filled..end), bytes.get(..count)) {
            to.copy_from_slice(from);
            self.filled = end;
            return count;
        }
        0
    }

    /// Bytes of header, TLV area and signature with their pads; the header's only while nothing else is known.
    fn length(&self) -> usize {
        let length = self.header.map_or(HEADER_SIZE as u64, |header| header.images_offset());
        usize::try_from(length).unwrap_or(MAX_METADATA).min(MAX_METADATA)
    }

    /// Tells whether everything before the first image is there.
    pub fn is_complete(&self) -> bool {
        self.header.is_some() && self.filled == self.length()
    }

    /// Bytes that are still missing: of the header only, until that has told how long the rest is.
    pub fn missing(&self) -> usize {
        self.length().saturating_sub(self.filled)
    }

    /// The header, once it has passed.
    pub const fn header(&self) -> Option<Header> {
        self.header
    }

    /// All bytes taken so far.
    pub fn all(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Container bytes `from..to`, as far as they have been taken.
    pub fn range(&self, from: u64, to: u64) -> &[u8] {
        let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else { return &[] };
        self.all().get(from..to).unwrap_or_default()
    }

    /// What the signature covers: header, and TLV area with its pad.
    pub fn signed(&self) -> &[u8] {
        self.header.map_or(&[], |header| self.range(0, header.signature_offset()))
    }

    /// The signature, without pad.
    pub fn signature(&self) -> &[u8] {
        self.header.map_or(&[], |header| {
            let start = header.signature_offset();
            self.range(start, start.saturating_add(header.signature_length.into()))
        })
    }

    /// The TLVs.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(self.header.map_or(&[], |header| {
            let start = HEADER_SIZE as u64;
            self.range(start, start.saturating_add(header.tlv_length.into()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_wipes() {
        let mut metadata = Metadata::new();
        assert_eq!(metadata.push(&[0xa5; 15], 100), Ok(15));
        assert_eq!(metadata.all(), [0xa5; 15]);
        metadata.reset();
        assert!(metadata.all().is_empty());
        assert!(metadata.bytes.iter().all(|byte| *byte == 0));
    }
}
