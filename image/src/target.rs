//! The processor that an image is planned for: its regions and what it can do. Comes from the manifest, never from the image.

use crate::provider::CipherKey;

/// Who may see a region while the firmware runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only the remote processor. Code goes here.
    Private,
    /// Open to the normal world once the load is done: resource table, buffers.
    Shared,
}

/// A piece of the processor's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address as the remote processor sees it.
    pub device_address: u32,
    /// First address as this processor sees it.
    pub physical_address: u64,
    /// Bytes.
    pub size: u32,
    /// Who may see it.
    pub access: Access,
}

impl Region {
    /// Translates `size` bytes at a device address into a physical address, if they lie in this region whole.
    #[must_use]
    pub fn translate(&self, device_address: u32, size: u32) -> Option<u64> {
        let offset = device_address.checked_sub(self.device_address)?;
        let end = offset.checked_add(size)?;
        if end > self.size {
            return None;
        }
        self.physical_address.checked_add(offset.into())
    }
}

/// What happens to an image that asks for a secure boot (BOOTSEC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootSecurity {
    /// The processor boots it secure.
    Honoured,
    /// The processor boots it non-secure, and the log says so.
    RunsNonSecure,
    /// It is refused.
    Refused,
}

/// Where an image may go and how it may boot.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The processor's memory.
    pub regions: &'a [Region],
    /// Boot address (device address) of images that name none.
    pub default_boot_address: Option<u32>,
    /// What BOOTSEC means here.
    pub boot_security: BootSecurity,
    /// Refuse platform TLVs that are not understood.
    pub strict_platform_tlvs: bool,
    /// The processor's id: images for another one are refused.
    pub processor: u32,
    /// The board's name: images for another one are refused. Empty: images for any named board are.
    pub board: &'a str,
    /// Images with a lower security counter are refused.
    pub security_counter: u32,
    /// The highest security counter that the platform can hold: images with a higher one are refused.
    pub most_security_counter: u32,
    /// What encrypted images are decrypted with, if the platform has a key.
    pub decryption_key: Option<CipherKey<'a>>,
}

impl Target<'_> {
    /// Who may see the byte at a device address; nothing if it lies in no region.
    #[must_use]
    pub fn access(&self, device_address: u32) -> Option<Access> {
        self.regions
            .iter()
            .find(|region| region.translate(device_address, 1).is_some())
            .map(|region| region.access)
    }
}
