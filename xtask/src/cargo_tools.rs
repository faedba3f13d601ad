//! Cargo subcommands and the nightly toolchain that the longer checks need: found, or installed with a word about it.
use crate::process::{self, run_quietly};
use crate::progress;
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(1500);

/// A cargo subcommand that a crate of the same name brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `cargo fuzz`.
    Fuzz,
    /// `cargo llvm-cov`.
    Coverage,
    /// `cargo mutants`.
    Mutants,
}

impl Tool {
    const fn package(self) -> &'static str {
        match self {
            Self::Fuzz => "cargo-fuzz",
            Self::Coverage => "cargo-llvm-cov",
            Self::Mutants => "cargo-mutants",
        }
    }

    /// Installs it if it is missing.
    pub fn ensure(self) -> Result<()> {
        let package = self.package();
        if process::find_program(package).is_some() {
            return Ok(());
        }
        let step = progress::step(format!("installing {package}"));
        let mut command = process::command(crate::toolchain::cargo());
        command.args(["install", "--locked", package]);
        run_quietly(command, LIMIT, &step).with_context(|| format!("cargo could not install {package}"))?;
        if process::find_program(package).is_none() {
            bail!("{package} is installed, but not on the search path: add cargo's bin directory to PATH");
        }
        Ok(())
    }
}

/// A command of the nightly toolchain.
pub fn nightly(program: &str) -> Command {
    let mut command = process::command("rustup");
    // They are the running toolchain's, and would lead cargo back to it.
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    command.args(["run", "nightly", program]);
    command
}

/// Makes sure that there is a nightly toolchain. Returns the host's target triple.
pub fn ensure_nightly() -> Result<String> {
    if process::find_program("rustup").is_none() {
        bail!("there is no rustup, so there is no nightly toolchain");
    }
    let triple = || {
        let mut command = nightly("rustc");
        command.arg("-vV");
        let text = process::capture(command, Duration::from_secs(60))?;
        let host = text.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned).context("rustc does not tell its host")
    };
    if let Ok(triple) = triple() {
        return Ok(triple);
    }
    let step = progress::step("installing the nightly toolchain");
    let mut command = process::command("rustup");
    command.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    run_quietly(command, LIMIT, &step).context("rustup could not install the nightly toolchain")?;
    triple()
}

/// Makes sure that the running toolchain has a component of rustup's.
pub fn ensure_component(name: &str) -> Result<()> {
    if process::find_program("rustup").is_none() {
        bail!("there is no rustup that could add {name}");
    }
    let step = progress::step(format!("rustup component {name}"));
    let mut command = process::command("rustup");
    command.args(["component", "add", name]);
    run_quietly(command, LIMIT, &step).with_context(|| format!("rustup could not add {name}"))
}
