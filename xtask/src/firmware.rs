//! Builds the bare-metal programs and turns them into raw images.
use crate::elf::{self, Raw};
use crate::process::{self, Stream};
use crate::progress;
use crate::toolchain::{AARCH64, CORTEX_M4, CORTEX_M33, Toolchain};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// A bare-metal program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Cargo package.
    pub package: &'static str,
    /// Target triple.
    pub target: &'static str,
    /// Physical address that the raw image has to begin at.
    pub base: u64,
    /// Whether the first byte is the entry point: nobody reads the ELF header of a raw image.
    pub entry_first: bool,
}

/// The partition; position independent, linked at 0.
pub const PARTITION: Program =
    Program { package: "remoteproc-sp", target: AARCH64, base: 0, entry_first: true };
/// The EL3 firmware of the tests; runs from the secure flash.
pub const EL3_SPMC: Program = Program { package: "el3-spmc", target: AARCH64, base: 0, entry_first: true };
/// The normal world.
pub const PAYLOAD: Program =
    Program { package: "payload", target: AARCH64, base: 0x6000_0000, entry_first: true };
/// What the Cortex-M33 runs. It is signed as an ELF file; the partition loads it.
pub const REMOTE_FIRMWARE: Program =
    Program { package: "remote-core-firmware", target: CORTEX_M33, base: 0x8000_0000, entry_first: false };
/// What the Cortex-M4 runs, with its device addresses.
pub const REMOTE_FIRMWARE_M4: Program =
    Program { package: "remote-core-firmware", target: CORTEX_M4, base: 0x21d0_0000, entry_first: false };
/// What the Cortex-M33 runs before.
pub const BOOT_ROM: Program =
    Program { package: "remote-core-boot-rom", target: CORTEX_M33, base: 0x1000_0000, entry_first: false };

/// All of them.
pub const ALL: [Program; 6] = [PARTITION, EL3_SPMC, PAYLOAD, REMOTE_FIRMWARE, REMOTE_FIRMWARE_M4, BOOT_ROM];

/// A built program.
#[derive(Clone, Debug)]
pub struct Built {
    /// The ELF file's path.
    pub path: PathBuf,
    /// The ELF file.
    pub elf: Vec<u8>,
}

impl Built {
    /// The raw image, checked to begin where `program` has to.
    pub fn raw(&self, program: &Program) -> Result<Raw> {
        let raw = elf::to_raw(&self.elf).with_context(|| format!("in {}", self.path.display()))?;
        if raw.base != program.base {
            bail!("{} begins at {:#x} instead of {:#x}", program.package, raw.base, program.base);
        }
        if program.entry_first && raw.entry != raw.base {
            bail!("{} is entered at {:#x}, not at its first byte", program.package, raw.entry);
        }
        Ok(raw)
    }
}

/// Features of the partition for the tests' controls: a guard is taken out on request, and hardware fails on request.
pub const CONTROL: &str = "control,fault-injection";

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct Images {
    /// The partition, raw.
    pub partition: Vec<u8>,
    /// The EL3 firmware, raw.
    pub el3_spmc: Vec<u8>,
    /// The payload, raw.
    pub payload: Vec<u8>,
    /// The Cortex-M33's firmware, ELF.
    pub remote_firmware: Vec<u8>,
    /// The Cortex-M4's firmware, ELF.
    pub remote_firmware_m4: Vec<u8>,
    /// The Cortex-M33's boot ROM: its file.
    pub boot_rom: PathBuf,
}

/// Builds all programs.
pub fn build_all(workspace: &Workspace, toolchain: &Toolchain) -> Result<Images> {
    let output = workspace.output()?;
    let raw = |program: &Program| -> Result<Vec<u8>> {
        let bytes = build(workspace, toolchain, program)?.raw(program)?.bytes;
        fs::write(output.join(format!("{}.bin", program.package)), &bytes)?;
        Ok(bytes)
    };
    let partition = raw(&PARTITION)?;
    let el3_spmc = raw(&EL3_SPMC)?;
    let payload = raw(&PAYLOAD)?;
    let remote_firmware = build(workspace, toolchain, &REMOTE_FIRMWARE)?.elf;
    let remote_firmware_m4 = build(workspace, toolchain, &REMOTE_FIRMWARE_M4)?.elf;
    raw(&BOOT_ROM)?;
    let boot_rom = output.join(format!("{}.bin", BOOT_ROM.package));
    Ok(Images { partition, el3_spmc, payload, remote_firmware, remote_firmware_m4, boot_rom })
}

/// Builds one program.
pub fn build(workspace: &Workspace, toolchain: &Toolchain, program: &Program) -> Result<Built> {
    build_in(workspace, toolchain, program, &workspace.target, &[])
}

/// Builds the partition with other features than the usual ones, apart from the one that is built to be used.
pub fn build_variant(workspace: &Workspace, toolchain: &Toolchain, arguments: &[&str]) -> Result<Built> {
    build_in(workspace, toolchain, &PARTITION, &workspace.target.join("variants"), arguments)
}

/// Builds the partition with a feature that only tests have a use for, apart from the one that is built to be used. Returns the
/// raw image.
pub fn build_test_partition(workspace: &Workspace, toolchain: &Toolchain, feature: &str) -> Result<Vec<u8>> {
    let target = workspace.target.join("test-partitions");
    let built = build_in(workspace, toolchain, &PARTITION, &target, &["--features", feature])?;
    Ok(built.raw(&PARTITION)?.bytes)
}

fn build_in(
    workspace: &Workspace,
    toolchain: &Toolchain,
    program: &Program,
    target: &Path,
    arguments: &[&str],
) -> Result<Built> {
    let step = progress::step([&["building", program.package], arguments].concat().join(" "));
    let mut command = toolchain.cargo("build", program.target, target)?;
    command.current_dir(&workspace.root).args(arguments);
    command.args(["--package", program.package, "--bins", "--message-format=json-render-diagnostics"]);
    command.args(["--color", if std::io::stderr().is_terminal() { "always" } else { "never" }]);
    let (mut messages, mut diagnostics) = (String::new(), String::new());
    let status = process::run(command, BUILD_LIMIT, |stream, line| {
        let text = if stream == Stream::Output { &mut messages } else { &mut diagnostics };
        text.push_str(line);
        text.push('\n');
        if stream == Stream::Error {
            step.detail(line);
        }
        Ok(())
    })?;
    drop(step);
    if !status.success() {
        bail!("{} does not build with {}:\n{diagnostics}", program.package, toolchain.name());
    }
    if diagnostics.contains("warning") {
        eprint!("{diagnostics}");
    }
    let path =
        executable(&messages).with_context(|| format!("cargo named no file for {}", program.package))?;
    let elf = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Built { path, elf })
}

/// Finds the executable in cargo's JSON messages. Cargo builds only one when asked for one package's program.
pub fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_in_cargo_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"executable\":null}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"executable\":\"/target/payload\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/target/payload")));
        assert_eq!(executable("{\"reason\":\"build-finished\"}"), None);
    }
}
