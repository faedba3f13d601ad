//! Who signed the metadata: SIGNTYPE, the trusted keys that fit, and the check itself.
//!
//! Before the signature has verified, three more things are read of the TLVs, and none of them is believed: PKEYINFO, which
//! counts only if the platform trusts its hash, and KEY_ID, which only leaves keys out.
use crate::container::{Tlv, first};
use crate::format;
use crate::metadata::Metadata;
use crate::provider::{Algorithm, Hasher, KeyMaterial, Provider, PublicKey, Signed, TrustedKey};
use crate::rejection::Rejection;
use remoteproc_refusal::Refusal;

/// Who signed the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Index into the trusted keys.
    pub key: usize,
    /// The key's id: SHA-256 over its DER SubjectPublicKeyInfo.
    pub id: [u8; 32],
    /// Length of the key in bits.
    pub bits: usize,
    /// The algorithm's name.
    pub algorithm: &'static str,
}

/// A key that may have made the signature.
struct Candidate<'a> {
    /// Index into the trusted keys.
    index: usize,
    key: PublicKey<'a>,
    id: [u8; 32],
}

/// The trusted keys, and what the container says of its key.
struct Search<'a, P> {
    provider: &'a P,
    keys: &'a [TrustedKey<'a>],
    algorithm: Algorithm,
    /// PKEYINFO, and SHA-256 of it.
    information: Option<(Tlv<'a>, [u8; 32])>,
    /// KEY_ID, if it is 32 bytes long.
    selected: Option<&'a [u8; 32]>,
}

impl<'a, P: Provider> Search<'a, P> {
    /// The key of an entry, and its id: its own, or the one in PKEYINFO if the entry's id is that of it.
    fn key_of(&self, entry: &TrustedKey<'a>) -> Option<(PublicKey<'a>, [u8; 32])> {
        match entry.material {
            KeyMaterial::Key(key) => Some((key, key.id(self.provider.sha256())?)),
            KeyMaterial::Id(id) => {
                let (information, hash) = self.information.as_ref().filter(|(_, hash)| hash == id)?;
                Some((PublicKey::from_der(information.value)?, *hash))
            }
        }
    }

    /// The keys that may make signatures of the algorithm, and are not left out by KEY_ID.
    fn candidates(&self) -> impl Iterator<Item = Candidate<'a>> {
        self.keys.iter().enumerate().filter_map(|(index, entry)| {
            let (key, id) = self.key_of(entry)?;
            let fits = key.makes(self.algorithm) && key.is_acceptable();
            let selected = self.selected.is_none_or(|selected| *selected == id);
            (fits && selected).then_some(Candidate { index, key, id })
        })
    }

    /// Why there is no candidate at all.
    fn no_candidate(&self, place: u64) -> Rejection {
        let whole = Search { information: None, selected: None, keys: self.keys, ..*self };
        if whole.candidates().next().is_some() {
            // KEY_ID left out every key.
            return Rejection::whole(Refusal::KeyIdUnknown);
        }
        let only_ids = |id: &[u8; 32]| {
            self.keys.iter().any(|entry| matches!(entry.material, KeyMaterial::Id(own) if own == id))
        };
        let any_id = self.keys.iter().any(|entry| matches!(entry.material, KeyMaterial::Id(_)));
        match &self.information {
            None if any_id => Rejection::whole(Refusal::KeyInformationMissing),
            Some((information, hash)) if any_id && !only_ids(hash) => {
                Rejection::at(Refusal::KeyInformationUntrusted, information.offset)
            }
            Some((information, hash)) if only_ids(hash) => match PublicKey::from_der(information.value) {
                None => Rejection::at(Refusal::KeyInformationMalformed, information.offset),
                Some(key) if key.makes(self.algorithm) && key.is_acceptable() => {
                    Rejection::whole(Refusal::KeyIdUnknown)
                }
                Some(_) => Rejection::at(Refusal::NoTrustedKey, place),
            },
            _ => Rejection::at(Refusal::NoTrustedKey, place),
        }
    }

    /// Tells whether the platform has revoked the key with an id.
    fn is_revoked(&self, id: &[u8; 32]) -> bool {
        self.keys.iter().filter(|entry| entry.revoked).any(|entry| match entry.material {
            KeyMaterial::Id(own) => own == id,
            KeyMaterial::Key(key) => key.id(self.provider.sha256()).as_ref() == Some(id),
        })
    }
}

/// SHA-256 of some bytes.
fn hash(provider: &impl Provider, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = provider.sha256();
    hasher.update(bytes);
    hasher.finish()
}

/// Finds the trusted key that made the signature.
pub fn find_signer<P: Provider>(
    metadata: &Metadata,
    provider: &P,
    keys: &[TrustedKey<'_>],
) -> Result<Signer, Rejection> {
    let tlvs = metadata.tlvs();
    let kind =
        first(&tlvs, format::TLV_SIGNATURE_TYPE).ok_or(Rejection::whole(Refusal::SignatureTypeMissing))?;
    let [number] = *kind.value else {
        return Err(Rejection::at(Refusal::SignatureTypeMissing, kind.offset));
    };
    let algorithm = Algorithm::from_signature_type(number)
        .filter(|algorithm| provider.supports(*algorithm))
        .ok_or(Rejection::at(Refusal::SignatureTypeUnknown, kind.value_offset()))?;
    let place = metadata.header().map_or(0, |header| header.signature_offset());
    let signature = metadata.signature();
    let search = Search {
        provider,
        keys,
        algorithm,
        information: first(&tlvs, format::TLV_KEY_INFORMATION)
            .map(|information| (information, hash(provider, information.value))),
        selected: first(&tlvs, format::TLV_KEY_ID).and_then(|id| id.value.try_into().ok()),
    };
    if search.candidates().next().is_none() {
        return Err(search.no_candidate(kind.value_offset()));
    }
    let fits = |candidate: &Candidate<'_>| candidate.key.signature_length() == signature.len();
    if !search.candidates().any(|candidate| fits(&candidate)) {
        return Err(Rejection::at(Refusal::SignatureLength, place));
    }
    let bytes = metadata.signed();
    let signed = Signed { algorithm, bytes, digest: &hash(provider, bytes), signature };
    let signer = search
        .candidates()
        .find(|candidate| fits(candidate) && provider.verify(&candidate.key, &signed))
        .ok_or(Rejection::at(Refusal::SignatureInvalid, place))?;
    if search.is_revoked(&signer.id) {
        return Err(Rejection::at(Refusal::KeyRevoked, place));
    }
    Ok(Signer { key: signer.index, id: signer.id, bits: signer.key.bits(), algorithm: algorithm.name() })
}
