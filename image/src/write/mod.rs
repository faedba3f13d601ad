//! Builds and signs containers of version 1. For the host: needs std, and allocates as it likes.
//!
//! [`Container`] signs ELF files the way OP-TEE's signing script does, byte for byte. [`RawContainer`] is the layer below: any
//! TLVs, any lengths, any contents. Whoever tests a reader forges with it what no honest signer writes.
#![allow(clippy::arithmetic_side_effects)] // Sizes of vectors that are in memory; overflow-checks are on.

mod elf;
mod encrypt;
mod keys;
mod own;
mod public_key;
mod raw;
mod unsigned;

pub use elf::hash_table;
pub use encrypt::EncryptionKey;
#[cfg(feature = "ed25519")]
pub use keys::Ed25519Key;
#[cfg(feature = "p384")]
pub use keys::P384Key;
#[cfg(feature = "pss")]
pub use keys::RsaPssKey;
pub use keys::{P256Key, RsaKey, SigningKey};
pub use public_key::OwnedPublicKey;
pub use raw::{RawContainer, digest};
pub use unsigned::Unsigned;

use crate::format;
use encrypt::Vectors;

/// Why a container can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file is not an ELF file that the format can carry.
    #[error("image {image}{}: {reason}", .header.map_or(String::new(), |header| format!(", program header {header}")))]
    Elf {
        /// Index of the image.
        image: usize,
        /// Index of the program header, if it is one that is wrong.
        header: Option<usize>,
        /// What is wrong.
        reason: &'static str,
    },
    /// No image, or more than NUM_IMG can count.
    #[error("a container holds 1 to 255 images, not {0}")]
    ImageCount(usize),
    /// A length does not fit the header.
    #[error("the container exceeds 32-bit lengths")]
    TooLarge,
    /// The type is not in the platforms' range.
    #[error("platform TLV types go from 0x10000 to 0x1ffff, not {0:#x}")]
    PlatformType(u32),
    /// A value of an own TLV that the format has no room for.
    #[error("{0}")]
    Value(String),
    /// The images name no resource table, or more than one, or one that no segment holds.
    #[error("resource table: {0}")]
    ResourceTable(&'static str),
    /// The key file can't be read.
    #[error("key: {0}")]
    Key(String),
    /// A signature that was made elsewhere is none of this key over these bytes.
    #[error("the signature is not one of this key over these bytes: {0}")]
    Attach(&'static str),
    /// The bytes are no container that could be signed.
    #[error("not an unsigned container: {0}")]
    Unsigned(&'static str),
    /// The key did not sign.
    #[error("signing failed: {0}")]
    Signing(String),
}

/// In which order the TLVs stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// SIGNTYPE, NUM_IMG, IMGTYPE, IMGSIZE, HASHTYPE, HASHTABLE: OP-TEE.
    #[default]
    Mainline,
    /// SIGNTYPE, HASHTABLE, NUM_IMG, IMGTYPE, IMGSIZE, HASHTYPE: the vendor's variant, which also encrypts.
    Vendor,
}

/// What is to be signed.
#[derive(Clone, Debug, Default)]
pub struct Container {
    order: Order,
    images: Vec<Vec<u8>>,
    key_information: Option<Vec<u8>>,
    platform: Vec<(u32, Vec<u8>)>,
    /// Own TLVs, in the order of their types.
    own: std::collections::BTreeMap<u32, Vec<u8>>,
    encryption: Option<(EncryptionKey, Option<Vec<[u8; format::BLOCK_SIZE]>>)>,
}

impl Container {
    /// An empty container.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// Adds an ELF file behind those added before.
    #[must_use]
    pub fn image(mut self, elf: &[u8]) -> Self {
        self.images.push(elf.to_vec());
        self
    }

    /// Adds PKEYINFO: what a platform wants to know of the key, uninterpreted.
    #[must_use]
    pub fn key_information(mut self, bytes: &[u8]) -> Self {
        self.key_information = Some(bytes.to_vec());
        self
    }

    /// Adds a platform TLV.
    ///
    /// # Errors
    /// [`WriteError::PlatformType`] outside the platforms' range.
    pub fn platform(mut self, kind: u32, value: &[u8]) -> Result<Self, WriteError> {
        if !(format::TLV_PLATFORM_FIRST..=format::TLV_PLATFORM_LAST).contains(&kind) {
            return Err(WriteError::PlatformType(kind));
        }
        self.platform.push((kind, value.to_vec()));
        Ok(self)
    }

    /// Adds BOOTADDR: the device address of the vector table.
    #[must_use]
    pub fn boot_address(mut self, device_address: u32) -> Self {
        self.platform.push((format::TLV_BOOT_ADDRESS, device_address.to_le_bytes().to_vec()));
        self
    }

    /// Adds BOOTSEC: whether the image wants to boot secure.
    #[must_use]
    pub fn boot_security(mut self, secure: bool) -> Self {
        self.platform.push((format::TLV_BOOT_SECURITY, u32::from(secure).to_le_bytes().to_vec()));
        self
    }

    /// Encrypts the segments of all images, each with a random initialization vector. What is signed is the ciphertext.
    #[must_use]
    pub fn encrypt(mut self, key: EncryptionKey) -> Self {
        self.encryption = Some((key, None));
        self
    }

    /// The same with given initialization vectors, one for each PT_LOAD: for tests that compare bytes. A vector used twice with
    /// one key tells which segments begin alike.
    #[must_use]
    pub fn encrypt_with_vectors(mut self, key: EncryptionKey, vectors: &[[u8; format::BLOCK_SIZE]]) -> Self {
        self.encryption = Some((key, Some(vectors.to_vec())));
        self
    }

    /// Lays the container out, everything but the signature. With random initialization vectors each layout is another one.
    ///
    /// # Errors
    /// [`WriteError::Elf`], [`WriteError::ImageCount`], [`WriteError::TooLarge`].
    pub fn layout(&self, signature_type: u8) -> Result<RawContainer, WriteError> {
        let count = match u8::try_from(self.images.len()) {
            Ok(count) if count > 0 => count,
            _ => return Err(WriteError::ImageCount(self.images.len())),
        };
        let mut table = Vec::new();
        let mut sizes = Vec::new();
        let mut images = Vec::new();
        let mut vectors = match &self.encryption {
            Some((_, Some(vectors))) => Vectors::Given(vectors.iter()),
            _ => Vectors::Random,
        };
        for (image, elf) in self.images.iter().enumerate() {
            let mut padded = elf.clone();
            let entries = match &self.encryption {
                Some((key, _)) => elf::encrypt(&mut padded, key, &mut vectors),
                None => elf::table(elf),
            };
            table.extend(entries.map_err(|defect| defect.of(image))?);
            padded.resize(elf.len().next_multiple_of(8), 0);
            let size = u32::try_from(padded.len()).map_err(|_| WriteError::TooLarge)?;
            sizes.extend(size.to_le_bytes());
            images.extend(padded);
        }
        let (table_kind, image_kind) = match self.encryption {
            Some(_) => (format::TLV_ENCRYPTION_TABLE, format::IMAGE_ENCRYPTED_ELF),
            None => (format::TLV_HASH_TABLE, format::IMAGE_ELF),
        };
        let table = (table_kind, table);
        let of_images = [
            (format::TLV_IMAGE_COUNT, vec![count]),
            (format::TLV_IMAGE_TYPE, vec![image_kind; self.images.len()]),
            (format::TLV_IMAGE_SIZE, sizes),
            (format::TLV_HASH_TYPE, vec![format::HASH_SHA256]),
        ];
        let mut tlvs = vec![(format::TLV_SIGNATURE_TYPE, vec![signature_type])];
        if self.encryption.is_some() {
            tlvs.push((format::TLV_ENCRYPTION_TYPE, vec![format::ENCRYPTION_AES_CBC]));
        }
        match self.order {
            Order::Mainline => {
                tlvs.extend(of_images);
                tlvs.push(table);
            }
            Order::Vendor => {
                tlvs.push(table);
                tlvs.extend(of_images);
            }
        }
        tlvs.extend(self.key_information.iter().map(|bytes| (format::TLV_KEY_INFORMATION, bytes.clone())));
        tlvs.extend(self.own.iter().map(|(kind, value)| (*kind, value.clone())));
        tlvs.extend(self.platform.iter().cloned());
        Ok(RawContainer::new(&tlvs, images))
    }

    /// Lays the container out and signs it.
    ///
    /// # Errors
    /// Those of [`Self::layout`], and [`WriteError::Signing`].
    pub fn sign<K: SigningKey + ?Sized>(&self, key: &K) -> Result<Vec<u8>, WriteError> {
        self.layout(key.algorithm().signature_type())?.sign(key)
    }
}
