//! Builds and signs containers of version 1. For the host: needs std, and allocates as it likes.
//!
//! [`Container`] signs ELF files the way OP-TEE's signing script does, byte for byte. [`RawContainer`] is the layer below: any
//! TLVs, any lengths, any contents. Whoever tests a reader forges with it what no honest signer writes.
#![allow(clippy::arithmetic_side_effects)] // Sizes of vectors that are in memory; overflow-checks are on.

mod elf;
mod keys;
mod raw;

pub use elf::hash_table;
pub use keys::{OwnedPublicKey, P256Key, RsaKey, SigningKey};
pub use raw::{RawContainer, digest};

use crate::format;

/// Why a container can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file is not an ELF file that the format can carry.
    #[error("image {image}: {reason}")]
    Elf {
        /// Index of the image.
        image: usize,
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
    /// The key file can't be read.
    #[error("key: {0}")]
    Key(String),
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

    /// Lays the container out, everything but the signature.
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
        for (image, elf) in self.images.iter().enumerate() {
            table.extend(hash_table(elf).map_err(|reason| WriteError::Elf { image, reason })?);
            let mut padded = elf.clone();
            padded.resize(elf.len().next_multiple_of(8), 0);
            let size = u32::try_from(padded.len()).map_err(|_| WriteError::TooLarge)?;
            sizes.extend(size.to_le_bytes());
            images.extend(padded);
        }
        let table = (format::TLV_HASH_TABLE, table);
        let of_images = [
            (format::TLV_IMAGE_COUNT, vec![count]),
            (format::TLV_IMAGE_TYPE, vec![format::IMAGE_ELF; self.images.len()]),
            (format::TLV_IMAGE_SIZE, sizes),
            (format::TLV_HASH_TYPE, vec![format::HASH_SHA256]),
        ];
        let mut tlvs = vec![(format::TLV_SIGNATURE_TYPE, vec![signature_type])];
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
        tlvs.extend(self.platform.iter().cloned());
        Ok(RawContainer::new(&tlvs, images))
    }

    /// Lays the container out and signs it.
    ///
    /// # Errors
    /// Those of [`Self::layout`], and [`WriteError::Signing`].
    pub fn sign(&self, key: &impl SigningKey) -> Result<Vec<u8>, WriteError> {
        self.layout(key.signature_type())?.sign(key)
    }
}
