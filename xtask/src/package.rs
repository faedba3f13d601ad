//! The files that secure boot would authenticate: the SP package (manifest and image) and the flash that holds it.
use anyhow::{Result, bail};

/// "SPKG", little-endian.
const MAGIC: u32 = 0x474b_5053;
const VERSION: u32 = 2;
const MANIFEST_OFFSET: usize = 0x1000;
const IMAGE_OFFSET: usize = 0x4000;

/// Where the package lies in the flash; the EL3 firmware ends before.
const PACKAGE_IN_FLASH: usize = 0x10_0000;
/// Secure RAM that the package is copied to.
const PACKAGE_MAX: usize = 0x10_0000;

/// Packs manifest and raw image as sptool does: header, manifest at 0x1000, image at 0x4000.
pub fn pack(manifest: &[u8], image: &[u8]) -> Result<Vec<u8>> {
    if manifest.len() > IMAGE_OFFSET - MANIFEST_OFFSET {
        bail!(
            "the manifest has {} bytes, the package has room for {:#x}",
            manifest.len(),
            IMAGE_OFFSET - MANIFEST_OFFSET
        );
    }
    if IMAGE_OFFSET + image.len() > PACKAGE_MAX {
        bail!("the package would exceed {PACKAGE_MAX:#x} bytes");
    }
    let header = [
        MAGIC,
        VERSION,
        MANIFEST_OFFSET as u32,
        u32::try_from(manifest.len())?,
        IMAGE_OFFSET as u32,
        u32::try_from(image.len())?,
    ];
    let mut package: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    package.resize(MANIFEST_OFFSET, 0);
    package.extend_from_slice(manifest);
    package.resize(IMAGE_OFFSET, 0);
    package.extend_from_slice(image);
    Ok(package)
}

/// Puts the EL3 firmware at 0 and the package where the firmware looks for it.
pub fn flash(el3_firmware: &[u8], package: &[u8]) -> Result<Vec<u8>> {
    if el3_firmware.len() > PACKAGE_IN_FLASH {
        bail!(
            "the EL3 firmware has {} bytes, the flash has room for {PACKAGE_IN_FLASH:#x}",
            el3_firmware.len()
        );
    }
    let mut flash = el3_firmware.to_vec();
    // Erased flash reads ones.
    flash.resize(PACKAGE_IN_FLASH, 0xff);
    flash.extend_from_slice(package);
    Ok(flash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    #[test]
    fn a_package_has_the_documented_layout() {
        let package = pack(&[1; 5], &[2; 7]).unwrap();
        assert_eq!(&package[..4], b"SPKG");
        assert_eq!([4, 8, 12, 16, 20].map(|offset| word(&package, offset)), [2, 0x1000, 5, 0x4000, 7]);
        assert_eq!(&package[0x1000..0x1006], [1, 1, 1, 1, 1, 0]);
        assert_eq!(&package[0x4000..], [2; 7]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(pack(&[0; 0x3000], &[]).is_ok());
        assert!(pack(&[0; 0x3001], &[]).is_err());
        assert!(pack(&[], &[0; 0xf_c001]).is_err());
        assert!(flash(&[0; 0x10_0001], &[]).is_err());
    }

    #[test]
    fn the_flash_holds_firmware_and_package() {
        let flash = flash(&[7; 3], &[8; 2]).unwrap();
        assert_eq!((&flash[..4], &flash[0x10_0000..]), (&[7, 7, 7, 0xff][..], &[8, 8][..]));
    }
}
