//! Firmware that others built, TF-A and Hafnium, from a folder: packed with the partition and the payload into a flash image.
use crate::console::{Line, Message, Speaker};
use crate::manifest;
use crate::process;
use crate::workspace::{RunDirectory, Workspace};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Service UUID of the partition: the package's name in the FIP, as `manifest/qemu-boot.dts` says it to BL2.
const PACKAGE_UUID: &str = "80a4c275-0a47-4905-8285-1486a9771a08";
/// The package among the run's files.
const PACKAGE_FILE: &str = "partition.pkg";
/// Where TF-A's BL1 for QEMU looks for the FIP in the flash.
const FIP_IN_FLASH: usize = 0x4_0000;
/// The emulator's secure flash.
const FLASH_MAX: usize = 64 << 20;

/// First stage, executed from the flash.
const BL1: Binary = Binary { name: "bl1.bin", what: "TF-A's first stage, PLAT=qemu" };
/// Second stage: loads all others.
const BL2: Binary = Binary { name: "bl2.bin", what: "TF-A's second stage, PLAT=qemu" };
/// EL3 at run time.
const BL31: Binary =
    Binary { name: "bl31.bin", what: "TF-A's EL3 firmware, PLAT=qemu SPD=spmd SPMD_SPM_AT_SEL2=1" };
/// The SPMC.
const HAFNIUM: Binary =
    Binary { name: "hafnium.bin", what: "Hafnium, the SPMC at S-EL2, for secure QEMU (AArch64)" };
const BINARIES: [Binary; 4] = [BL1, BL2, BL31, HAFNIUM];

/// A file that the folder has to hold.
#[derive(Clone, Copy, Debug)]
struct Binary {
    name: &'static str,
    what: &'static str,
}

/// What the folder has to hold, for people.
pub fn wanted() -> String {
    BINARIES.map(|binary| binary.name).join(", ")
}

/// A folder that holds all binaries.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Looks into a folder.
    ///
    /// # Errors
    /// Names every file that is missing or empty, and what it is.
    pub fn open(path: &Path) -> Result<Self> {
        let mut missing = String::new();
        for Binary { name, what } in BINARIES {
            match fs::metadata(path.join(name)) {
                Ok(found) if found.is_file() && found.len() > 0 => {}
                Ok(found) if found.is_file() => missing.push_str(&format!("\n  {name} is empty: {what}")),
                _ => missing.push_str(&format!("\n  {name} is missing: {what}")),
            }
        }
        if !missing.is_empty() {
            bail!("{} does not hold all firmware:{missing}", path.display());
        }
        Ok(Self { path: std::path::absolute(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Packs everything: BL1, and behind it the FIP with the other stages, their configuration, the partition's package and the
    /// payload as the normal world's first program.
    pub fn flash(
        &self,
        workspace: &Workspace,
        run: &RunDirectory,
        package: &[u8],
        payload: &Path,
    ) -> Result<Vec<u8>> {
        let boot = manifest::compile_source(workspace, run, "qemu-boot")?;
        let spmc = manifest::compile_source(workspace, run, "qemu-hafnium")?;
        run.write(PACKAGE_FILE, package)?;
        let fip = run.path().join("fip.bin");
        let mut command = process::command("fiptool");
        command.current_dir(run.path()).arg("create");
        for (image, file) in [
            ("--tb-fw", &self.path.join(BL2.name)),
            ("--soc-fw", &self.path.join(BL31.name)),
            ("--tos-fw", &self.path.join(HAFNIUM.name)),
            ("--nt-fw", &payload.to_path_buf()),
            ("--tb-fw-config", &boot),
            ("--tos-fw-config", &spmc),
        ] {
            command.arg(image).arg(file);
        }
        // A name without a directory, because a comma in it could not be escaped.
        command.arg("--blob").arg(format!("uuid={PACKAGE_UUID},file={PACKAGE_FILE}"));
        command.arg(&fip);
        process::capture(command, Duration::from_secs(60)).context("the FIP can't be packed")?;
        join(&fs::read(self.path.join(BL1.name))?, &fs::read(fip)?)
    }
}

/// The flash: BL1 at 0, the FIP where BL1 looks for it.
fn join(bl1: &[u8], fip: &[u8]) -> Result<Vec<u8>> {
    if bl1.len() > FIP_IN_FLASH {
        bail!("{} has {} bytes, the flash has room for {FIP_IN_FLASH}", BL1.name, bl1.len());
    }
    if fip.len() > FLASH_MAX - FIP_IN_FLASH {
        bail!("the FIP has {} bytes, the flash has room for {}", fip.len(), FLASH_MAX - FIP_IN_FLASH);
    }
    let mut flash = bl1.to_vec();
    // Erased flash reads ones.
    flash.resize(FIP_IN_FLASH, 0xff);
    flash.extend_from_slice(fip);
    Ok(flash)
}

/// What this firmware says when it gives up, or when something is wrong.
const ALARMS: [&str; 6] = ["ERROR:", "Panic:", "PANIC", "ASSERT:", "Unhandled ", "BACKTRACE"];

/// An alarm that says nothing against a run.
struct Exception {
    /// In the line.
    text: &'static str,
    /// While a test whose name begins so runs; empty: at any time.
    test: &'static str,
}

/// The only alarms that a good run may have.
const EXCEPTIONS: [Exception; 3] = [
    // TF-A announces the power-off that the payload asks for with its highest level.
    Exception { text: "QEMU System Power off: with GPIO.", test: "" },
    // Hafnium tells of clients' handles that nobody shared, which these tests make up.
    Exception { text: "Invalid FF-A memory handle.", test: "sharing::" },
    Exception { text: "Invalid FF-A memory handle.", test: "door_t::" },
];

/// What the firmware's lines say against the run.
pub fn problems(lines: &[Line]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut running = None;
    for line in lines {
        match line.speaker {
            Speaker::Payload => match Message::parse(&line.text) {
                Some(Message::TestBegin(name)) => running = Some(name),
                Some(Message::TestEnd { .. }) => running = None,
                _ => {}
            },
            Speaker::Firmware if ALARMS.iter().any(|alarm| line.text.starts_with(alarm)) => {
                let test = running.as_deref().unwrap_or_default();
                let excepted = EXCEPTIONS
                    .iter()
                    .any(|exception| line.text.ends_with(exception.text) && test.starts_with(exception.test));
                if !excepted {
                    let place = if test.is_empty() { String::new() } else { format!(" in {test}") };
                    problems.push(format!("the firmware says{place}: {}", line.text));
                }
            }
            _ => {}
        }
    }
    problems
}

/// Whether a line is the firmware's last one: it would stand still until the time limit.
pub fn is_panic(line: &Line) -> bool {
    line.speaker == Speaker::Firmware && line.text.starts_with("Panic:")
}

/// Whether a line begins as this firmware's lines do.
pub fn is_firmware_line(line: &str) -> bool {
    ["NOTICE:", "WARNING:", "INFO:", "VERBOSE:"].iter().chain(&ALARMS).any(|mark| line.starts_with(mark))
}

/// Whether a line of this firmware is of use to somebody who wants to know how a run went.
pub fn is_worth_showing(text: &str) -> bool {
    !text.starts_with("INFO:") && !text.starts_with("VERBOSE:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &[&str]) -> Vec<String> {
        problems(&lines.iter().map(|line| Line::parse(line)).collect::<Vec<_>>())
    }

    #[test]
    fn missing_binaries_are_named_one_by_one() {
        let directory = std::env::temp_dir().join(format!("xtask-prebuilt-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for name in ["bl1.bin", "bl2.bin"] {
            fs::write(directory.join(name), [1]).unwrap();
        }
        fs::write(directory.join("bl31.bin"), []).unwrap();
        let error = Folder::open(&directory).unwrap_err().to_string();
        fs::write(directory.join("bl31.bin"), [1]).unwrap();
        fs::write(directory.join("hafnium.bin"), [1]).unwrap();
        let opened = Folder::open(&directory);
        fs::remove_dir_all(&directory).unwrap();
        assert!(error.contains("bl31.bin is empty") && error.contains("hafnium.bin is missing"), "{error}");
        assert!(!error.contains("bl1.bin") && !error.contains("bl2.bin"), "{error}");
        assert!(opened.is_ok());
        assert!(Folder::open(&directory).unwrap_err().to_string().contains("bl1.bin is missing"));
    }

    #[test]
    fn the_flash_has_the_fip_at_256_kib() {
        let flash = join(&[1; 3], &[2; 5]).unwrap();
        assert_eq!((&flash[..4], &flash[0x4_0000..]), (&[1, 1, 1, 0xff][..], &[2; 5][..]));
        assert!(join(&[0; 0x4_0001], &[]).is_err());
        assert!(join(&[], &vec![0; FLASH_MAX - 0x4_0000 + 1]).is_err());
    }

    #[test]
    fn alarms_fail_a_run() {
        for alarm in
            ["ERROR:   BL2: Failed", "Panic: oops", "PANIC at PC : 0x1", "Unhandled Exception in EL3."]
        {
            assert_eq!(judged(&["INFO:    fine", alarm]).len(), 1, "{alarm}");
            assert!(is_firmware_line(alarm));
        }
        assert!(is_panic(&Line::parse("Panic: EL2 exception")));
        assert!(!is_panic(&Line::parse("[NS] Panic: EL2 exception")));
        // Only the firmware's own lines count.
        assert_eq!(judged(&["[NS] ERROR: x", "[8001 0] ERROR: x", "[SP] Panic: x"]), [""; 0]);
    }

    #[test]
    fn exceptions_hold_for_their_tests_only() {
        let handle = "ERROR: Invalid FF-A memory handle.";
        assert_eq!(judged(&["[NS] test sharing::reclaimed begin", handle]), [""; 0]);
        assert_eq!(judged(&[handle]).len(), 1);
        assert_eq!(judged(&["[NS] test flips::x begin", handle]).len(), 1);
        let after = ["[NS] test sharing::reclaimed begin", "[NS] test sharing::reclaimed pass", handle];
        assert_eq!(judged(&after).len(), 1);
        assert_eq!(judged(&["ERROR:   QEMU System Power off: with GPIO."]), [""; 0]);
    }
}
