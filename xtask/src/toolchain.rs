//! Which Rust toolchain builds the bare-metal programs: the one that runs xtask, or Debian's with its library sources.
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Target of the partition, the EL3 firmware and the payload.
pub const AARCH64: &str = "aarch64-unknown-none";
/// Target of the programs of the Cortex-M33.
pub const CORTEX_M33: &str = "thumbv8m.main-none-eabi";
/// Target of the Cortex-M4's firmware.
pub const CORTEX_M4: &str = "thumbv7em-none-eabi";
/// All targets that have to be there.
pub const TARGETS: [&str; 3] = [AARCH64, CORTEX_M33, CORTEX_M4];

/// Environment variable that names a toolchain: `rustup` or `debian`; without it xtask takes what is there.
pub const CHOICE: &str = "XTASK_TOOLCHAIN";

/// A way to build for a bare-metal target.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The toolchain that runs xtask; it has the target's libraries.
    Current,
    /// Debian's packages rustc-web, cargo-web, rust-web-src and lld: the core library is built from source.
    Debian {
        /// Debian's cargo.
        cargo: PathBuf,
        /// Debian's rustc.
        rustc: PathBuf,
    },
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// What works.
    Automatic,
    /// Only the toolchain that runs xtask.
    Rustup,
    /// Only Debian's packages.
    Debian,
}

/// Reads [`CHOICE`].
pub fn choice() -> Result<Choice> {
    match std::env::var(CHOICE).as_deref() {
        Err(_) | Ok("") => Ok(Choice::Automatic),
        Ok("rustup") => Ok(Choice::Rustup),
        Ok("debian") => Ok(Choice::Debian),
        Ok(other) => bail!("{CHOICE} is {other:?}; it takes rustup or debian"),
    }
}

/// The cargo that runs xtask.
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Tells whether the current toolchain has the core library of `target`.
pub fn has_target(target: &str) -> bool {
    let mut command = process::command("rustc");
    command.args(["--print", "target-libdir", "--target", target]);
    let Ok(output) = process::capture(command, Duration::from_secs(60)) else { return false };
    let Ok(entries) = std::fs::read_dir(output.trim()) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Debian's toolchain, if all of it is installed.
pub fn debian() -> Option<Toolchain> {
    let cargo = PathBuf::from("/usr/bin/cargo");
    let rustc = PathBuf::from("/usr/bin/rustc");
    if !cargo.is_file() || !rustc.is_file() {
        return None;
    }
    let mut command = process::command(&rustc);
    command.args(["--print", "sysroot"]);
    forget_current_toolchain(&mut command);
    let sysroot = process::capture(command, Duration::from_secs(60)).ok()?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    (sources.is_dir() && process::find_program("ld.lld").is_some())
        .then_some(Toolchain::Debian { cargo, rustc })
}

/// Takes away the variables of the toolchain that runs xtask: they would lead another one to the wrong compiler and libraries.
fn forget_current_toolchain(command: &mut Command) {
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
}

/// Finds a toolchain that can build for all targets now, if there is one.
pub fn find(choice: Choice) -> Option<Toolchain> {
    if choice != Choice::Debian && TARGETS.into_iter().all(has_target) {
        return Some(Toolchain::Current);
    }
    if choice == Choice::Rustup { None } else { debian() }
}

impl Toolchain {
    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Current => "the current toolchain",
            Self::Debian { .. } => "Debian's toolchain, core library from source",
        }
    }

    /// A cargo command (`build`, `clippy`) for a bare-metal target, without packages.
    pub fn cargo(&self, subcommand: &str, target: &str, target_directory: &Path) -> Result<Command> {
        let mut command;
        match self {
            Self::Current => {
                command = process::command(cargo());
                command.arg(subcommand).arg("--target-dir").arg(target_directory);
            }
            Self::Debian { cargo, rustc } => {
                command = process::command(cargo);
                forget_current_toolchain(&mut command);
                let linker = process::find_program("ld.lld").context("ld.lld is not installed")?;
                let variable =
                    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
                command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").env(variable, linker);
                command.arg(subcommand);
                command.args([
                    "-Zbuild-std=core,alloc,compiler_builtins",
                    "-Zbuild-std-features=compiler-builtins-mem",
                ]);
                command.arg("--target-dir").arg(target_directory.join("debian"));
            }
        }
        command.args(["--release", "--target", target]);
        Ok(command)
    }
}
