//! What the runs need of the window at 0x80000000, the memory that all emulators map from one file.
use anyhow::{Context, Result};
use remote_core_supervisor::{ControlWord, Core, create_window, read_window};
use std::path::Path;

/// What memory may hold before anybody wrote it: neither zeros nor code, so that a wipe and its absence both show.
pub const FILL: u8 = 0xa5;

/// Makes the file, every byte `fill`.
pub fn create(path: &Path, fill: u8) -> Result<()> {
    create_window(path, fill).with_context(|| format!("cannot create {}", path.display()))
}

/// Reads a word of a core's control page.
pub fn control_word(path: &Path, core: Core, word: ControlWord) -> Result<u32> {
    let bytes = read_window(path, word.physical_address(core), 4)?;
    let bytes = bytes.try_into().ok().context("a short read of the control page")?;
    Ok(u32::from_le_bytes(bytes))
}
