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

/// What the check of a signature needs, whichever key it is tried with. Plain numbers only, so that its absence is all zeros, as an
/// idle reader has to be.
#[derive(Clone, Copy)]
pub struct Prepared {
    /// SHA-256 of what the signature covers.
    digest: [u8; 32],
    /// The trusted keys that could have made the signature and were not tried yet, a bit each.
    untried: u32,
}

/// The trusted keys, and what the container says of its key.
struct Search<'a, P> {
    provider: &'a P,
    keys: &'a [TrustedKey<'a>],
    algorithm: Algorithm,
    /// Container offset of SIGNTYPE's value.
    place: u64,
    /// PKEYINFO, and SHA-256 of it.
    information: Option<(Tlv<'a>, [u8; 32])>,
    /// KEY_ID, if it is 32 bytes long, and the TLV's container offset.
    selected: Option<(&'a [u8; 32], u64)>,
}

impl<'a, P: Provider> Search<'a, P> {
    /// Reads SIGNTYPE, PKEYINFO and KEY_ID.
    fn new(metadata: &'a Metadata, provider: &'a P, keys: &'a [TrustedKey<'a>]) -> Result<Self, Rejection> {
        let tlvs = metadata.tlvs();
        let kind = first(&tlvs, format::TLV_SIGNATURE_TYPE)
            .ok_or(Rejection::whole(Refusal::SignatureTypeMissing))?;
        let [number] = *kind.value else {
            return Err(Rejection::at(Refusal::SignatureTypeMissing, kind.offset));
        };
        let place = kind.value_offset();
        let algorithm = Algorithm::from_signature_type(number)
            .filter(|algorithm| provider.supports(*algorithm))
            .ok_or(Rejection::at(Refusal::SignatureTypeUnknown, place))?;
        // Where no key is known by its hash, nobody asks for it.
        let by_id = keys.iter().any(|entry| matches!(entry.material, KeyMaterial::Id(_)));
        let information = first(&tlvs, format::TLV_KEY_INFORMATION)
            .filter(|_| by_id)
            .map(|information| (information, hash(provider, information.value)));
        let selected =
            first(&tlvs, format::TLV_KEY_ID).and_then(|id| Some((id.value.try_into().ok()?, id.offset)));
        Ok(Self { provider, keys, algorithm, place, information, selected })
    }

    /// The key of an entry: its own, or the one in PKEYINFO if the entry's id is that of it.
    fn key_of(&self, entry: &TrustedKey<'a>) -> Option<PublicKey<'a>> {
        match entry.material {
            KeyMaterial::Key(key) => Some(key),
            KeyMaterial::Id(id) => {
                let (information, _) = self.information.as_ref().filter(|(_, hash)| hash == id)?;
                PublicKey::from_der(information.value)
            }
        }
    }

    /// The id of an entry's key.
    fn id_of(&self, entry: &TrustedKey<'_>) -> Option<[u8; 32]> {
        match entry.material {
            KeyMaterial::Key(key) => key.id(self.provider.sha256()),
            KeyMaterial::Id(id) => Some(*id),
        }
    }

    /// The keys that may make signatures of the algorithm and are not left out by KEY_ID, with their indices.
    fn candidates(&self) -> impl Iterator<Item = (u32, PublicKey<'a>)> {
        self.keys.iter().zip(0..u32::BITS).filter_map(|(entry, index)| {
            let key = self.key_of(entry)?;
            let fits = key.makes(self.algorithm) && key.is_acceptable();
            let selected =
                self.selected.is_none_or(|(selected, _)| self.id_of(entry).as_ref() == Some(selected));
            (fits && selected).then_some((index, key))
        })
    }

    /// Why there is no candidate at all.
    fn no_candidate(&self) -> Rejection {
        let Self { provider, keys, algorithm, place, information, .. } = *self;
        let unselected = Search { provider, keys, algorithm, place, information, selected: None };
        if let Some((_, offset)) = self.selected.filter(|_| unselected.candidates().next().is_some()) {
            // KEY_ID left out every key.
            return Rejection::at(Refusal::KeyIdUnknown, offset);
        }
        let whole = |entry: &TrustedKey<'_>| entry.key().is_some_and(|key| key.makes(algorithm));
        let ids = || keys.iter().filter(|entry| entry.key().is_none());
        if ids().next().is_none() || keys.iter().any(whole) {
            return Rejection::at(Refusal::NoTrustedKey, place);
        }
        let Some((information, hash)) = information else {
            return Rejection::whole(Refusal::KeyInformationMissing);
        };
        if !ids().any(|entry| entry.material == KeyMaterial::Id(&hash)) {
            return Rejection::at(Refusal::KeyInformationUntrusted, information.offset);
        }
        match PublicKey::from_der(information.value) {
            None => Rejection::at(Refusal::KeyInformationMalformed, information.offset),
            Some(_) => Rejection::at(Refusal::NoTrustedKey, place),
        }
    }

    /// Tells whether the platform has revoked the key with an id.
    fn is_revoked(&self, id: &[u8; 32]) -> bool {
        self.keys.iter().any(|entry| entry.revoked && self.id_of(entry).as_ref() == Some(id))
    }
}

/// SHA-256 of some bytes.
fn hash(provider: &impl Provider, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = provider.sha256();
    hasher.update(bytes);
    hasher.finish()
}

/// Picks the trusted keys that could have made the signature, and hashes what it covers: all but the check itself. Of more than
/// 32 trusted keys, the first 32 count.
pub fn prepare<P: Provider>(
    metadata: &Metadata,
    provider: &P,
    keys: &[TrustedKey<'_>],
) -> Result<Prepared, Rejection> {
    let search = Search::new(metadata, provider, keys)?;
    if search.candidates().next().is_none() {
        return Err(search.no_candidate());
    }
    let length = metadata.signature().len();
    let untried = search
        .candidates()
        .filter(|(_, key)| key.signature_length() == length)
        .fold(0u32, |set, (index, _)| set | 1u32.wrapping_shl(index));
    if untried == 0 {
        return Err(Rejection::at(Refusal::SignatureLength, place(metadata)));
    }
    Ok(Prepared { digest: hash(provider, metadata.signed()), untried })
}

/// Checks the signature against one trusted key, the next one that could have made it. `None`: it has not, but there are others.
pub fn try_next<P: Provider>(
    metadata: &Metadata,
    provider: &P,
    keys: &[TrustedKey<'_>],
    prepared: &mut Prepared,
) -> Result<Option<Signer>, Rejection> {
    let search = Search::new(metadata, provider, keys)?;
    let index = prepared.untried.trailing_zeros() as usize;
    // Without its lowest bit.
    prepared.untried &= prepared.untried.wrapping_sub(1);
    let algorithm = search.algorithm;
    let (bytes, signature) = (metadata.signed(), metadata.signature());
    let signed = Signed { algorithm, bytes, digest: &prepared.digest, signature };
    if let Some(entry) = keys.get(index)
        && let (Some(key), Some(id)) = (search.key_of(entry), search.id_of(entry))
        && provider.verify(&key, &signed)
    {
        if search.is_revoked(&id) {
            return Err(Rejection::at(Refusal::KeyRevoked, place(metadata)));
        }
        return Ok(Some(Signer { key: index, id, bits: key.bits(), algorithm: algorithm.name() }));
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
