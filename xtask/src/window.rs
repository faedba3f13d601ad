//! The file that both emulators map as the window at 0x80000000.
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Physical address of the first byte.
pub const BASE: u64 = 0x8000_0000;
/// Bytes.
pub const SIZE: u64 = 16 << 20;
/// What memory holds before anybody wrote it: neither zeros nor code, so that a wipe and its absence both show.
pub const FILL: u8 = 0xa5;

const RELEASE_COUNT: u64 = 0x80ff_0028;

/// Makes the file, every byte [`FILL`].
pub fn create(path: &Path) -> Result<PathBuf> {
    let mut file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let chunk = vec![FILL; 1 << 20];
    for _ in 0..SIZE / (1 << 20) {
        file.write_all(&chunk).with_context(|| format!("cannot fill {}", path.display()))?;
    }
    Ok(path.to_path_buf())
}

/// How often the remote core was released from reset, as the control page says.
pub fn releases(path: &Path) -> Result<u32> {
    word(path, RELEASE_COUNT)
}

/// Reads a 32-bit word at a physical address.
pub fn word(path: &Path, physical_address: u64) -> Result<u32> {
    let offset = physical_address.checked_sub(BASE).context("the address lies before the window")?;
    let mut bytes = [0; 4];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut bytes, offset))
        .with_context(|| format!("cannot read {physical_address:#x} in {}", path.display()))?;
    Ok(u32::from_le_bytes(bytes))
}
