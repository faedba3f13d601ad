//! Decodes the container's header and its TLVs. Works on the partition's own copy only, never on memory of others.
use crate::format::{self, HEADER_SIZE, RawHeader, RawTlv, rounded};
use crate::rejection::Rejection;
use remoteproc_refusal::Refusal;
use zerocopy::FromBytes;

/// A header whose lengths add up to the length of the file. Lengths in bytes, as written (not rounded).
#[derive(Clone, Copy)]
pub struct Header {
    pub tlv_length: u32,
    pub signature_length: u32,
    pub image_length: u32,
}

impl Header {
    /// Decodes a header and holds its lengths against `total`, the length of the file.
    pub fn decode(bytes: &[u8; HEADER_SIZE], total: u64) -> Result<Self, Rejection> {
        let raw = RawHeader::read_from_bytes(bytes).map_err(|_| Rejection::at(Refusal::TooShort, 0))?;
        if raw.magic.get() != format::MAGIC {
            return Err(Rejection::at(Refusal::BadMagic, 0));
        }
        if raw.version.get() != format::VERSION {
            return Err(Rejection::at(Refusal::BadVersion, 4));
        }
        let header = Self {
            tlv_length: raw.tlv_length.get(),
            signature_length: raw.signature_length.get(),
            image_length: raw.image_length.get(),
        };
        if header.tlv_length == 0 {
            return Err(Rejection::at(Refusal::EmptyTlvArea, 8));
        }
        if header.signature_length == 0 {
            return Err(Rejection::at(Refusal::EmptySignature, 12));
        }
        // Four 33-bit numbers at most: 64 bits hold their sum, whatever the header says.
        if header.images_offset().saturating_add(rounded(header.image_length)) != total {
            return Err(Rejection::at(Refusal::SizeMismatch, 8));
        }
        Ok(header)
    }

    /// Offset of the signature: everything before it is signed.
    pub const fn signature_offset(&self) -> u64 {
        rounded(self.tlv_length).saturating_add(HEADER_SIZE as u64)
    }

    /// Offset of the first image: everything before it is metadata.
    pub const fn images_offset(&self) -> u64 {
        self.signature_offset().saturating_add(rounded(self.signature_length))
    }
}

/// One TLV.
#[derive(Clone, Copy)]
pub struct Tlv<'a> {
    /// Its type.
    pub kind: u32,
    /// Its value, without pad.
    pub value: &'a [u8],
    /// Offset of its first byte (the type word) in the container.
    pub offset: u64,
}

impl Tlv<'_> {
    /// Offset of the value in the container.
    pub fn value_offset(&self) -> u64 {
        self.offset.saturating_add(size_of::<RawTlv>() as u64)
    }
}

/// Goes through the TLVs of an area in their order.
///
/// A TLV whose value ends behind the area, and a rest of 1 to 7 bytes behind a padded TLV, are errors, after which the
/// iteration ends. The last TLV's pad may be cut off by the area's end.
#[derive(Clone)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Tlvs<'a> {
    /// `area` without the pad of the area itself.
    pub const fn new(area: &'a [u8]) -> Self {
        Self { rest: area, offset: HEADER_SIZE as u64 }
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, Rejection>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let offset = self.offset;
        let malformed = Some(Err(Rejection::at(Refusal::TlvMalformed, offset)));
        let Ok((raw, behind)) = RawTlv::read_from_prefix(rest) else { return malformed };
        let length = raw.length.get();
        let Some(value) = usize::try_from(length).ok().and_then(|length| behind.get(..length)) else {
            return malformed;
        };
        let step = rounded(length);
        self.rest = usize::try_from(step).ok().and_then(|step| behind.get(step..)).unwrap_or_default();
        self.offset = offset.saturating_add(size_of::<RawTlv>() as u64).saturating_add(step);
        Some(Ok(Tlv { kind: raw.kind.get(), value, offset }))
    }
}

/// Finds the first TLV of a type; what stands behind a malformed TLV is not found.
pub fn first<'a>(tlvs: &Tlvs<'a>, kind: u32) -> Option<Tlv<'a>> {
    tlvs.clone().map_while(Result::ok).find(|tlv| tlv.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vector(file: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn golden_headers_and_tlvs_are_as_expected() {
        let expected: Vec<Value> = serde_json::from_slice(&vector("expected.json")).unwrap();
        assert!(expected.len() >= 6);
        for row in expected {
            let file = row["file"].as_str().unwrap();
            let bytes = vector(file);
            let header = Header::decode(bytes.first_chunk().unwrap(), bytes.len() as u64).ok().unwrap();
            assert_eq!(row["header"]["tlv_len"], header.tlv_length, "{file}");
            assert_eq!(row["header"]["sign_len"], header.signature_length, "{file}");
            assert_eq!(row["header"]["img_len"], header.image_length, "{file}");
            assert_eq!(row["offsets"]["sign"], header.signature_offset(), "{file}");
            assert_eq!(row["offsets"]["images"], header.images_offset(), "{file}");

            let area = &bytes[HEADER_SIZE..HEADER_SIZE + header.tlv_length as usize];
            let tlvs: Vec<_> = Tlvs::new(area).map(|tlv| tlv.ok().unwrap()).collect();
            let rows = row["tlvs"].as_array().unwrap();
            assert_eq!(tlvs.len(), rows.len(), "{file}");
            for (tlv, row) in tlvs.iter().zip(rows) {
                assert_eq!(row["type"], format!("{:#x}", tlv.kind), "{file}");
                assert_eq!(row["offset"], tlv.offset, "{file}");
                assert_eq!(row["len"], tlv.value.len(), "{file}");
                let hex: String = tlv.value.iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(row["hex"].is_null() || row["hex"] == hex, "{file}");
            }
        }
    }
}
