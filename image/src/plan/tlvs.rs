//! What the TLVs say for the image as a whole: framing, hash, cipher, own TLVs, images, and where the signed table is.
use super::{MAX_IMAGES, MAX_PROGRAM_HEADERS, Plan};
use crate::container::{Tlv, first};
use crate::format::{self, ELF_HEADER_SIZE};
use crate::metadata::Metadata;
use crate::own::{self, OwnTlvs};
use crate::rejection::Rejection;
use crate::target::Target;
use remoteproc_refusal::Refusal;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

impl Plan {
    /// NUM_IMG, IMGTYPE and IMGSIZE.
    pub(super) fn plan_images(&mut self, metadata: &Metadata) -> Result<(), Rejection> {
        let tlvs = metadata.tlvs();
        let count = present(first(&tlvs, format::TLV_IMAGE_COUNT), Refusal::ImageCountMissing)?;
        let [images] = *count.value else {
            return Err(Rejection::at(Refusal::ImageCountMalformed, count.offset));
        };
        let images = usize::from(images);
        if images == 0 {
            return Err(Rejection::at(Refusal::ImageCountMissing, count.value_offset()));
        }
        if images > MAX_IMAGES {
            return Err(Rejection::at(Refusal::TooManyImages, count.value_offset()));
        }
        let types = present(first(&tlvs, format::TLV_IMAGE_TYPE), Refusal::ImageTypeMissing)?;
        if types.value.len() != images {
            return Err(Rejection::at(Refusal::ImageTypeMalformed, types.offset));
        }
        let known = [format::IMAGE_ELF, format::IMAGE_ENCRYPTED_ELF];
        if types.value.iter().any(|kind| !known.contains(kind)) {
            return Err(Rejection::at(Refusal::ImageTypeUnknown, types.value_offset()));
        }
        if types.value.iter().any(|kind| (*kind == format::IMAGE_ENCRYPTED_ELF) != self.encrypted) {
            return Err(Rejection::at(Refusal::EncryptionMixed, types.value_offset()));
        }
        let sizes = present(first(&tlvs, format::TLV_IMAGE_SIZE), Refusal::ImageSizeMissing)?;
        let malformed = Rejection::at(Refusal::ImageSizeMalformed, sizes.offset);
        let words = <[U32]>::ref_from_bytes(sizes.value).map_err(|_| malformed)?;
        if words.len() != images || words.iter().any(|size| size.get() & 7 != 0) {
            return Err(malformed);
        }
        let sum = words.iter().fold(0u64, |sum, size| sum.saturating_add(size.get().into()));
        if metadata.header().is_none_or(|header| u64::from(header.image_length) != sum) {
            return Err(Rejection::at(Refusal::ImageSizesMismatch, sizes.value_offset()));
        }
        for size in words {
            if u64::from(size.get()) < ELF_HEADER_SIZE as u64 {
                return Err(Rejection::at(Refusal::ElfMalformed, sizes.value_offset()));
            }
            self.image_sizes.push(size.get()).map_err(|_| malformed)?;
        }
        Ok(())
    }

    /// Finds HASHTABLE or ENCTABLE and remembers where it is.
    pub(super) fn find_table(&mut self, metadata: &Metadata) -> Result<(), Rejection> {
        let tlvs = metadata.tlvs();
        let hashes = first(&tlvs, format::TLV_HASH_TABLE);
        let encrypted = first(&tlvs, format::TLV_ENCRYPTION_TABLE);
        let (own, other, missing, malformed) = if self.encrypted {
            (encrypted, hashes, Refusal::EncryptionTableMissing, Refusal::EncryptionTableMalformed)
        } else {
            (hashes, encrypted, Refusal::HashTableMissing, Refusal::HashTableMalformed)
        };
        if let Some(other) = other {
            return Err(Rejection::at(Refusal::EncryptionMixed, other.offset));
        }
        let table = present(own, missing)?;
        let entry_size = self.entry_size();
        if !table.value.len().is_multiple_of(entry_size) {
            return Err(Rejection::at(malformed, table.offset));
        }
        let count = table.value.len().checked_div(entry_size).unwrap_or_default();
        if count > MAX_PROGRAM_HEADERS {
            return Err(Rejection::at(Refusal::TooManySegments, table.offset));
        }
        self.table_offset = table.value_offset();
        self.table_count = count;
        Ok(())
    }

    /// The own TLVs, as far as they say whether and how the image may be loaded here.
    pub(super) fn plan_own(&mut self, metadata: &Metadata, target: &Target<'_>) -> Result<(), Rejection> {
        let OwnTlvs { security_counter, target: wanted, resource_table, coredump, .. } = own::read(metadata)?;
        let fits = wanted.is_none_or(|wanted| {
            let board = wanted.board.is_empty() || wanted.board == target.board;
            wanted.processor.is_none_or(|processor| processor == target.processor) && board
        });
        let tlvs = metadata.tlvs();
        let reject = |refusal, kind| Rejection { refusal, offset: first(&tlvs, kind).map(|tlv| tlv.offset) };
        if !fits {
            return Err(reject(Refusal::TargetMismatch, format::TLV_TARGET));
        }
        self.security_counter = security_counter.unwrap_or(0);
        if self.security_counter < target.security_counter {
            return Err(reject(Refusal::CounterTooLow, format::TLV_SECURITY_COUNTER));
        }
        if self.security_counter > target.most_security_counter {
            return Err(reject(Refusal::CounterTooHigh, format::TLV_SECURITY_COUNTER));
        }
        self.signed_table = resource_table;
        self.coredump = !self.encrypted || coredump == Some(true);
        Ok(())
    }
}

/// What concerns the TLVs as a whole: their framing, the hash, and platform TLVs that nobody knows.
pub(super) fn check_tlvs(metadata: &Metadata, target: &Target<'_>) -> Result<(), Rejection> {
    let tlvs = metadata.tlvs();
    for tlv in tlvs.clone() {
        let tlv = tlv?;
        let known = matches!(tlv.kind, format::TLV_BOOT_ADDRESS | format::TLV_BOOT_SECURITY);
        if target.strict_platform_tlvs && tlv.kind >= format::TLV_PLATFORM_FIRST && !known {
            return Err(Rejection::at(Refusal::PlatformTlvUnknown, tlv.offset));
        }
    }
    // The signer always writes HASHTYPE, OP-TEE never reads it; absent means the only hash there is.
    if let Some(hash) = first(&tlvs, format::TLV_HASH_TYPE) {
        match *hash.value {
            [format::HASH_SHA256] => {}
            [_] => return Err(Rejection::at(Refusal::HashTypeUnknown, hash.value_offset())),
            _ => return Err(Rejection::at(Refusal::HashTypeMissing, hash.offset)),
        }
    }
    Ok(())
}

/// Tells whether the image is encrypted, by a cipher that is known and with a key that the platform has.
pub(super) fn is_encrypted(metadata: &Metadata, target: &Target<'_>) -> Result<bool, Rejection> {
    let Some(cipher) = first(&metadata.tlvs(), format::TLV_ENCRYPTION_TYPE) else { return Ok(false) };
    if *cipher.value != [format::ENCRYPTION_AES_CBC] {
        return Err(Rejection::at(Refusal::EncryptionTypeUnknown, cipher.offset));
    }
    if target.decryption_key.is_none() {
        return Err(Rejection::at(Refusal::NoDecryptionKey, cipher.offset));
    }
    Ok(true)
}

/// A TLV that has to be there and not to be empty.
fn present(tlv: Option<Tlv<'_>>, missing: Refusal) -> Result<Tlv<'_>, Rejection> {
    let tlv = tlv.ok_or(Rejection::whole(missing))?;
    if tlv.value.is_empty() { Err(Rejection::at(missing, tlv.offset)) } else { Ok(tlv) }
}

/// The value and value offset of a TLV that holds one 32-bit word, if there is such a TLV.
pub(super) fn word(
    metadata: &Metadata,
    kind: u32,
    malformed: Refusal,
) -> Result<Option<(u32, u64)>, Rejection> {
    let Some(tlv) = first(&metadata.tlvs(), kind) else { return Ok(None) };
    let value = U32::read_from_bytes(tlv.value).map_err(|_| Rejection::at(malformed, tlv.offset))?;
    Ok(Some((value.get(), tlv.value_offset())))
}
