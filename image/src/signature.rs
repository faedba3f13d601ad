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

/// Hashes what the signature covers.
pub fn hash_signed<P: Provider>(metadata: &Metadata, provider: &P) -> [u8; 32] {
    let mut hasher = provider.sha256();
    hasher.update(metadata.signed());
    hasher.finish()
}

/// Checks the signature against one trusted key: the next one, from index `next` on, that could have made it. `None`: it has
/// not, but there are others left; `next` then is behind it.
pub fn try_next<P: Provider>(
    metadata: &Metadata,
    digest: &[u8; 32],
    provider: &P,
    keys: &[TrustedKey<'_>],
    next: &mut usize,
) -> Result<Option<Signer>, Rejection> {
    let kind = first(&metadata.tlvs(), format::TLV_SIGNATURE_TYPE)
        .ok_or(Rejection::whole(Refusal::SignatureTypeMissing))?;
    let [number] = *kind.value else {
        return Err(Rejection::at(Refusal::SignatureTypeMissing, kind.offset));
    };
    let algorithm = Algorithm::from_signature_type(number)
        .ok_or(Rejection::at(Refusal::SignatureTypeUnknown, kind.value_offset()))?;
    let place = metadata.header().map_or(0, |header| header.signature_offset());
    let signature = metadata.signature();
    let candidates = || {
        let of_this_kind = |key: &TrustedKey<'_>| key.key.algorithm() == algorithm && key.key.is_acceptable();
        keys.iter().enumerate().filter(move |(_, key)| of_this_kind(key))
    };
    if candidates().next().is_none() {
        return Err(Rejection::at(Refusal::NoTrustedKey, kind.value_offset()));
    }
    let fits = |key: &TrustedKey<'_>| key.key.signature_length() == signature.len();
    if !candidates().any(|(_, key)| fits(key)) {
        return Err(Rejection::at(Refusal::SignatureLength, place));
    }
    let from = *next;
    let mut fitting = candidates().filter(|(index, key)| *index >= from && fits(key));
    if let Some((index, key)) = fitting.next() {
        if provider.verify(&key.key, digest, signature) {
            return Ok(Some(Signer { key: index, algorithm: algorithm.name() }));
        }
        *next = index.saturating_add(1);
        if fitting.next().is_some() {
            return Ok(None);
        }
    }
    Err(Rejection::at(Refusal::SignatureInvalid, place))
}
