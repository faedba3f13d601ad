//! A container as bytes and numbers, nothing checked: the layer that [`super::Container`] stands on, and what tests forge with.
use super::{SigningKey, WriteError};
use crate::format::{MAGIC, RawHeader, RawTlv, VERSION, rounded};
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

/// What is signed: SHA-256 over the header and the TLV area with its pad.
#[must_use]
pub fn digest(header: &[u8], padded_tlv_area: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(header).chain_update(padded_tlv_area).finalize().into()
}

/// A container whose every number may be wrong. Lengths are those of the contents unless overridden.
#[derive(Clone, Debug)]
pub struct RawContainer {
    /// First word.
    pub magic: u32,
    /// Version.
    pub version: u32,
    /// The TLV area as bytes; it is padded to 8 when written.
    pub tlv_area: Vec<u8>,
    /// The images' bytes, pads included.
    pub images: Vec<u8>,
    /// Writes another length of the TLV area.
    pub tlv_length: Option<u32>,
    /// Writes another length of the signature.
    pub signature_length: Option<u32>,
    /// Writes another length of the images.
    pub image_length: Option<u32>,
}

impl RawContainer {
    /// A container of these TLVs, in this order, and these images.
    #[must_use]
    pub fn new(tlvs: &[(u32, Vec<u8>)], images: Vec<u8>) -> Self {
        let mut container = Self {
            magic: MAGIC,
            version: VERSION,
            tlv_area: Vec::new(),
            images,
            tlv_length: None,
            signature_length: None,
            image_length: None,
        };
        for (kind, value) in tlvs {
            container.add_tlv(*kind, value);
        }
        container
    }

    /// Adds a TLV with its pad.
    ///
    /// # Panics
    /// If the value is longer than 4 GiB.
    pub fn add_tlv(&mut self, kind: u32, value: &[u8]) {
        #[allow(clippy::expect_used)]
        let length = u32::try_from(value.len()).expect("a TLV is shorter than 4 GiB");
        self.tlv_area.extend_from_slice(RawTlv { kind: kind.into(), length: length.into() }.as_bytes());
        self.tlv_area.extend_from_slice(value);
        self.tlv_area.resize(self.tlv_area.len().next_multiple_of(8), 0);
    }

    /// Header and padded TLV area: what is signed. `signature_length` in bytes.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`].
    pub fn signed_part(&self, signature_length: usize) -> Result<Vec<u8>, WriteError> {
        let length = |bytes: usize, written: Option<u32>| match written {
            Some(written) => Ok(written),
            None => u32::try_from(bytes).map_err(|_| WriteError::TooLarge),
        };
        let header = RawHeader {
            magic: self.magic.into(),
            version: self.version.into(),
            tlv_length: length(self.tlv_area.len(), self.tlv_length)?.into(),
            signature_length: length(signature_length, self.signature_length)?.into(),
            image_length: length(self.images.len(), self.image_length)?.into(),
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&self.tlv_area);
        bytes.resize(header.as_bytes().len() + self.tlv_area.len().next_multiple_of(8), 0);
        Ok(bytes)
    }

    /// Puts the container together with a signature made elsewhere.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`].
    pub fn with_signature(&self, signature: &[u8]) -> Result<Vec<u8>, WriteError> {
        let mut bytes = self.signed_part(signature.len())?;
        bytes.extend_from_slice(signature);
        let length = u32::try_from(signature.len()).map_err(|_| WriteError::TooLarge)?;
        let pad = rounded(length).saturating_sub(length.into());
        bytes.extend((0..pad).map(|_| 0));
        bytes.extend_from_slice(&self.images);
        Ok(bytes)
    }

    /// Signs.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`], [`WriteError::Signing`].
    pub fn sign<K: SigningKey + ?Sized>(&self, key: &K) -> Result<Vec<u8>, WriteError> {
        let signed = self.signed_part(key.signature_length())?;
        self.with_signature(&key.sign(&signed)?)
    }
}
