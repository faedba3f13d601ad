//! The system tests on prebuilt TF-A and Hafnium binaries, where somebody has them.
use super::{Suite, demos, emulated};
use crate::machine::Firmware;
use crate::prebuilt::{self, Folder};
use crate::setup;
use anyhow::{Context, Result};
use std::path::Path;

/// Environment variable that names the folder.
const FOLDER: &str = "REMOTEPROC_FIRMWARE";

/// Everything on the firmware of the folder, or a word about why not.
pub fn run(suite: &mut Suite) -> Result<()> {
    let Some(folder) = std::env::var_os(FOLDER).filter(|value| !value.is_empty()) else {
        let reason = format!("{FOLDER} names no folder with {}", prebuilt::wanted());
        suite.tally.skipped("prebuilt firmware", &reason);
        return Ok(());
    };
    let folder = Folder::open(Path::new(&folder)).with_context(|| format!("{FOLDER} is set"))?;
    setup::ensure_firmware_tools()?;
    suite.firmware = Firmware::Prebuilt(folder);
    let outcome = demos::run(suite).and_then(|()| tests(suite));
    suite.firmware = Firmware::Fixture;
    outcome
}

/// The payload's tests and the containers, on the suite's firmware.
pub fn tests(suite: &mut Suite) -> Result<()> {
    let only_containers = suite.part.as_deref().and_then(|part| part.strip_prefix("vectors::"));
    if let Some(part) = only_containers {
        suite.part = Some(part.to_owned());
    } else {
        emulated::system(suite)?;
    }
    emulated::vectors(suite)
}
