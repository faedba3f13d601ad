//! `cargo xtask run`: the demo and the system tests on TF-A and Hafnium binaries that the user has.
use crate::demo;
use crate::machine::Firmware;
use crate::prebuilt::Folder;
use crate::setup;
use crate::test;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// What the run command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Folder with the binaries bl1.bin, bl2.bin, bl31.bin (TF-A) and hafnium.bin
    #[arg(long, value_name = "DIR")]
    firmware: PathBuf,
    /// Only the demo
    #[arg(long = "demo", conflicts_with = "test")]
    demo_only: bool,
    /// Only tests and containers whose name begins with or contains this, as in `sharing::` or `n10`
    #[arg(long, value_name = "FILTER")]
    test: Option<String>,
    /// What the demo shows
    #[command(flatten)]
    demo: demo::Options,
}

/// Runs it and returns the exit code.
pub fn run(options: &Options) -> Result<u8> {
    if options.demo.json() && !options.demo_only {
        bail!("--json is for the demo alone: add --demo");
    }
    // Before anything is installed or built.
    let firmware = Firmware::Prebuilt(Folder::open(&options.firmware)?);
    setup::ensure_firmware_tools()?;
    if options.demo_only {
        return demo::run(&options.demo, &firmware);
    }
    if let Some(part) = &options.test {
        return test::run_on_firmware(firmware, Some(part.clone()), None);
    }
    let shown = demo::run(&options.demo, &firmware)?;
    test::run_on_firmware(firmware, None, Some(shown))
}
