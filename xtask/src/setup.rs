//! Makes a fresh machine able to build and run: finds what is missing, says so, installs it.
use crate::packages;
use crate::process;
use crate::progress;
use crate::toolchain::{self, Choice, Toolchain};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;

/// A program and the Debian package that brings it.
type Program = (&'static str, &'static str);

/// Programs that all runs need.
const PROGRAMS: [Program; 3] = [
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-arm", "qemu-system-arm"),
    ("dtc", "device-tree-compiler"),
];
/// What packs prebuilt firmware.
const FIRMWARE_PROGRAMS: [Program; 1] = [("fiptool", "arm-trusted-firmware-tools")];
/// What the signing tool's tests hold it against.
const TEST_PROGRAMS: [Program; 1] = [("openssl", "openssl")];
/// What links the fuzz targets: libFuzzer is C++.
const FUZZING_PROGRAMS: [Program; 1] = [("c++", "g++")];
/// Debian's Rust toolchain, for machines whose own toolchain can't get the bare-metal targets.
const DEBIAN_TOOLCHAIN: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// The longest that an installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(1200);

/// Installs what is missing and returns the toolchain for the bare-metal programs.
pub fn ensure() -> Result<Toolchain> {
    ensure_programs(&PROGRAMS)?;
    ensure_toolchain()
}

/// Installs what packs prebuilt firmware if it is missing.
pub fn ensure_firmware_tools() -> Result<()> {
    ensure_programs(&FIRMWARE_PROGRAMS)
}

/// Installs what only tests need if it is missing.
pub fn ensure_test_tools() -> Result<()> {
    ensure_programs(&TEST_PROGRAMS)
}

/// Installs what links the fuzz targets if it is missing.
pub fn ensure_fuzzing_tools() -> Result<()> {
    ensure_programs(&FUZZING_PROGRAMS)
}

fn ensure_programs(programs: &[Program]) -> Result<()> {
    let missing = || -> Vec<Program> {
        programs.iter().copied().filter(|(program, _)| process::find_program(program).is_none()).collect()
    };
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = wanted.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    packages::install(&packages)?;
    if let Some((program, package)) = missing().first() {
        bail!("{program} is still missing after package {package} was installed");
    }
    Ok(())
}

/// Makes sure that the bare-metal targets can be built.
pub fn ensure_toolchain() -> Result<Toolchain> {
    let choice = toolchain::choice()?;
    if let Some(found) = toolchain::find(choice) {
        return Ok(found);
    }
    let mut reasons = String::new();
    if choice != Choice::Debian {
        match add_targets() {
            Ok(()) => {
                if let Some(found) = toolchain::find(Choice::Rustup) {
                    return Ok(found);
                }
                reasons.push_str("\n- rustup added the targets, but rustc does not find them");
            }
            Err(error) => reasons.push_str(&format!("\n- {error:#}")),
        }
    }
    if choice != Choice::Rustup {
        match packages::install(&DEBIAN_TOOLCHAIN) {
            Ok(()) => {
                if let Some(found) = toolchain::debian() {
                    return Ok(found);
                }
                reasons.push_str("\n- Debian's Rust packages are installed, but incomplete");
            }
            Err(error) => reasons.push_str(&format!("\n- {error:#}")),
        }
    }
    bail!(
        "no toolchain for {}:{reasons}\nEither run `rustup target add {}`, or install {}.",
        toolchain::TARGETS.join(", "),
        toolchain::TARGETS.join(" "),
        DEBIAN_TOOLCHAIN.join(", "),
    )
}

/// Adds the formatter and the linter where rustup can; the checks that need them say so if they are missing.
pub fn ensure_components() {
    let missing = |name: &str| {
        let mut command = process::command(toolchain::cargo());
        command.args([name, "--version"]);
        process::capture(command, Duration::from_secs(60)).is_err()
    };
    if process::find_program("rustup").is_none() || !(missing("fmt") || missing("clippy")) {
        return;
    }
    let step = progress::step("installing Rust components rustfmt clippy");
    let mut command = process::command("rustup");
    command.args(["component", "add", "rustfmt", "clippy"]);
    if let Err(error) = run(command, &step) {
        eprintln!("xtask: rustup could not add them: {error:#}");
    }
}

fn add_targets() -> Result<()> {
    let missing: Vec<&str> =
        toolchain::TARGETS.into_iter().filter(|target| !toolchain::has_target(target)).collect();
    let step = progress::step(format!("installing Rust targets {}", missing.join(" ")));
    let mut command = process::command("rustup");
    command.args(["target", "add"]).args(&missing);
    run(command, &step).context("rustup could not add the Rust targets")
}

fn run(command: Command, step: &progress::Step) -> Result<()> {
    process::run_quietly(command, INSTALL_LIMIT, step)
}
