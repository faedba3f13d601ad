//! Signing in two steps, for keys that never leave their hardware: what is to be signed goes out, the signature comes back.
use super::{Container, OwnedPublicKey, WriteError};
use crate::container::{Header, Tlvs, first};
use crate::format::{self, HEADER_SIZE};
use crate::provider::{Algorithm, Provider, Signed};
use crate::software::Software;
use sha2::{Digest, Sha256};

/// A container that lacks nothing but its signature.
#[derive(Clone, Debug)]
pub struct Unsigned {
    algorithm: Algorithm,
    signature_length: usize,
    /// Header, and TLV area with its pad.
    signed: Vec<u8>,
    images: Vec<u8>,
}

impl Container {
    /// Lays the container out for a signature that is made elsewhere, by the private half of `key`.
    ///
    /// # Errors
    /// Those of [`Self::layout`]; [`WriteError::Key`] if keys of this kind don't sign by this algorithm, or this build can't
    /// verify it.
    pub fn to_be_signed(&self, key: &OwnedPublicKey, algorithm: Algorithm) -> Result<Unsigned, WriteError> {
        let key = key.as_key();
        if !key.makes(algorithm) || !key.is_acceptable() || !Software.supports(algorithm) {
            return Err(WriteError::Key(format!("this key can't be used for {}", algorithm.name())));
        }
        let raw = self.layout(algorithm.signature_type())?;
        let signature_length = key.signature_length();
        let signed = raw.signed_part(signature_length)?;
        Ok(Unsigned { algorithm, signature_length, signed, images: raw.images })
    }
}

impl Unsigned {
    /// What is to be signed: header, and TLV area with its pad. Ed25519 and P-384 sign these bytes (P-384 their SHA-384).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.signed
    }

    /// SHA-256 of the bytes, which is what RSA and P-256 sign.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.signed).into()
    }

    /// How it is to be signed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The container with zeros for a signature, to be kept until the signature is there. No reader takes it.
    #[must_use]
    pub fn container(&self) -> Vec<u8> {
        self.assemble(&vec![0; self.signature_length])
    }

    /// Reads what [`Self::container`] wrote; whatever signature it holds is dropped.
    ///
    /// # Errors
    /// [`WriteError::Unsigned`].
    pub fn from_container(bytes: &[u8]) -> Result<Self, WriteError> {
        let head = bytes.first_chunk::<HEADER_SIZE>().ok_or(WriteError::Unsigned("shorter than a header"))?;
        let header = Header::decode(head, bytes.len() as u64)
            .map_err(|rejection| WriteError::Unsigned(rejection.refusal.sentence()))?;
        // The lengths add up to that of `bytes`: none of these is cut short.
        let signed = bytes.get(..header.signature_offset() as usize).unwrap_or_default();
        let images = bytes.get(header.images_offset() as usize..).unwrap_or_default();
        let area = signed.get(HEADER_SIZE..).unwrap_or_default();
        let area = area.get(..header.tlv_length as usize).unwrap_or_default();
        let algorithm = first(&Tlvs::new(area), format::TLV_SIGNATURE_TYPE)
            .and_then(|kind| Algorithm::from_signature_type(*kind.value.first()?))
            .ok_or(WriteError::Unsigned("no SIGNTYPE that is known"))?;
        Ok(Self {
            algorithm,
            signature_length: header.signature_length as usize,
            signed: signed.to_vec(),
            images: images.to_vec(),
        })
    }

    /// Adds the signature, if it is one of this key over these bytes, and yields the container. ECDSA signatures may be r and s
    /// or, as OpenSSL writes them, DER.
    ///
    /// # Errors
    /// [`WriteError::Attach`].
    pub fn attach(&self, signature: &[u8], key: &OwnedPublicKey) -> Result<Vec<u8>, WriteError> {
        let key = key.as_key();
        if !key.makes(self.algorithm) {
            return Err(WriteError::Attach("the key is of another algorithm than SIGNTYPE says"));
        }
        let converted = match self.algorithm {
            Algorithm::EcdsaP256Sha256 if signature.len() != self.signature_length => {
                p256::ecdsa::Signature::from_der(signature).ok().map(|pair| pair.to_bytes().to_vec())
            }
            #[cfg(feature = "p384")]
            Algorithm::EcdsaP384Sha384 if signature.len() != self.signature_length => {
                p384::ecdsa::Signature::from_der(signature).ok().map(|pair| pair.to_bytes().to_vec())
            }
            _ => None,
        };
        let signature = converted.unwrap_or_else(|| signature.to_vec());
        if signature.len() != self.signature_length || signature.len() != key.signature_length() {
            return Err(WriteError::Attach("its length is another"));
        }
        let digest = self.digest();
        let signed =
            Signed { algorithm: self.algorithm, bytes: &self.signed, digest: &digest, signature: &signature };
        if !Software.verify(&key, &signed) {
            return Err(WriteError::Attach("it does not verify"));
        }
        Ok(self.assemble(&signature))
    }

    fn assemble(&self, signature: &[u8]) -> Vec<u8> {
        let mut bytes = self.signed.clone();
        bytes.extend_from_slice(signature);
        bytes.resize(self.signed.len() + signature.len().next_multiple_of(8), 0);
        bytes.extend_from_slice(&self.images);
        bytes
    }
}
