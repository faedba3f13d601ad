//! Who signed the metadata: SIGNTYPE, the trusted keys that fit, and the check itself.
use crate::container::first;
use crate::format;
use crate::metadata::Metadata;
use crate::provider::{Algorithm, Hasher, Provider, TrustedKey};
use crate::rejection::Rejection;
use remoteproc_refusal::Refusal;

/// Who signed the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Index into the trusted keys.
    pub key: usize,
    /// The algorithm's name.
    pub algorithm: &'static str,
}

/// What the check of a signature needs, whichever key it is tried with. Plain numbers only, so that its absence is all zeros, as an
/// idle reader has to be.
#[derive(Clone, Copy)]
pub struct Prepared {
    /// SHA-256 of what the signature covers.
    digest: [u8; 32],
    /// The trusted keys that could have made the signature and were not tried yet, a bit each.
    untried: u32,
}

/// Picks the trusted keys that could have made the signature, and hashes what it covers: all but the check itself. Of more than
/// 32 trusted keys, the first 32 count.
pub fn prepare<P: Provider>(
    metadata: &Metadata,
    provider: &P,
    keys: &[TrustedKey<'_>],
) -> Result<Prepared, Rejection> {
    let kind = first(&metadata.tlvs(), format::TLV_SIGNATURE_TYPE)
        .ok_or(Rejection::whole(Refusal::SignatureTypeMissing))?;
    let [number] = *kind.value else {
        return Err(Rejection::at(Refusal::SignatureTypeMissing, kind.offset));
    };
    let algorithm = Algorithm::from_signature_type(number)
        .ok_or(Rejection::at(Refusal::SignatureTypeUnknown, kind.value_offset()))?;
    let candidates = || {
        let of_this_kind = |key: &TrustedKey<'_>| key.key.algorithm() == algorithm && key.key.is_acceptable();
        keys.iter().zip(0..u32::BITS).filter(move |(key, _)| of_this_kind(key))
    };
    if candidates().next().is_none() {
        return Err(Rejection::at(Refusal::NoTrustedKey, kind.value_offset()));
    }
    let length = metadata.signature().len();
    let untried = candidates()
        .filter(|(key, _)| key.key.signature_length() == length)
        .fold(0u32, |set, (_, index)| set | 1u32.wrapping_shl(index));
    if untried == 0 {
        return Err(Rejection::at(Refusal::SignatureLength, place(metadata)));
    }
    let mut hasher = provider.sha256();
    hasher.update(metadata.signed());
    Ok(Prepared { digest: hasher.finish(), untried })
}

/// Checks the signature against one trusted key, the next one that could have made it. `None`: it has not, but there are others.
pub fn try_next<P: Provider>(
    metadata: &Metadata,
    provider: &P,
    keys: &[TrustedKey<'_>],
    prepared: &mut Prepared,
) -> Result<Option<Signer>, Rejection> {
    let index = prepared.untried.trailing_zeros() as usize;
    // Without its lowest bit.
    prepared.untried &= prepared.untried.wrapping_sub(1);
    if let Some(key) = keys.get(index)
        && provider.verify(&key.key, &prepared.digest, metadata.signature())
    {
        return Ok(Some(Signer { key: index, algorithm: key.key.algorithm().name() }));
    }
    if prepared.untried == 0 {
        return Err(Rejection::at(Refusal::SignatureInvalid, place(metadata)));
    }
    Ok(None)
}

/// Where the signature is in the container.
fn place(metadata: &Metadata) -> u64 {
    metadata.header().map_or(0, |header| header.signature_offset())
}
