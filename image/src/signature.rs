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

/// Finds the trusted key that made the signature.
pub fn find_signer<P: Provider>(
    metadata: &Metadata,
    provider: &P,
    keys: &[TrustedKey<'_>],
) -> Result<Signer, Rejection> {
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
    let mut hasher = provider.sha256();
    hasher.update(metadata.signed());
    let digest = hasher.finish();
    candidates()
        .find(|(_, key)| fits(key) && provider.verify(&key.key, &digest, signature))
        .map(|(index, _)| Signer { key: index, algorithm: algorithm.name() })
        .ok_or(Rejection::at(Refusal::SignatureInvalid, place))
}
