//! The supervisor with the real emulator, boot ROM and firmware. What is missing is named and the tests are skipped;
//! with `REMOTE_CORE_REQUIRED=1` a skipped test is a failed one.
//!
//! `REMOTE_CORE_QEMU`, `REMOTE_CORE_BOOT_ROM`, `REMOTE_CORE_FIRMWARE` and `REMOTE_CORE_FIRMWARE_M4` name the files. Otherwise the
//! emulator comes from the search path, and the others from the target directory (built with
//! `cargo build --release -p remote-core-boot-rom -p remote-core-firmware --target thumbv8m.main-none-eabi` and
//! `cargo build --release -p remote-core-firmware --target thumbv7em-none-eabi`).
//! An argument that is no option chooses the tests whose name contains it.

mod common;
mod real;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The files that the tests work with.
struct Files {
    qemu: PathBuf,
    boot_rom: PathBuf,
    firmware: PathBuf,
    /// The same firmware, built for the Cortex-M4.
    firmware_m4: PathBuf,
    /// Another firmware: starts at 0x80100000, counts in the word at 0x80a00010.
    other_firmware: PathBuf,
}

impl Files {
    fn find() -> Result<Self, String> {
        let qemu = match env::var_os("REMOTE_CORE_QEMU") {
            Some(path) => PathBuf::from(path),
            None => env::split_paths(&env::var_os("PATH").unwrap_or_default())
                .map(|directory| directory.join("qemu-system-arm"))
                .find(|path| path.is_file())
                .ok_or("no qemu-system-arm in the search path")?,
        };
        let built = |variable: &str, file: &str| match env::var_os(variable) {
            Some(path) => PathBuf::from(path),
            None => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(file),
        };
        let files = Self {
            qemu,
            boot_rom: built("REMOTE_CORE_BOOT_ROM", "thumbv8m.main-none-eabi/release/remote-core-boot-rom"),
            firmware: built("REMOTE_CORE_FIRMWARE", "thumbv8m.main-none-eabi/release/remote-core-firmware"),
            firmware_m4: built("REMOTE_CORE_FIRMWARE_M4", "thumbv7em-none-eabi/release/remote-core-firmware"),
            other_firmware: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/elf/fw_m33_ns.elf"),
        };
        let Self { qemu, boot_rom, firmware, firmware_m4, other_firmware } = &files;
        for path in [qemu, boot_rom, firmware, firmware_m4, other_firmware] {
            if !path.is_file() {
                return Err(format!("there is no {}", path.display()));
            }
        }
        Ok(files)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [role, directory] = arguments.as_slice()
        && role == real::VICTIM
    {
        real::victim(Path::new(directory));
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let files = Files::find();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, test) in real::TESTS.iter().filter(|(name, _)| chosen(name)) {
        match &files {
            Err(reason) => {
                println!("test {name} ... SKIPPED: {reason}");
                skipped += 1;
            }
            Ok(files) => match catch_unwind(AssertUnwindSafe(|| test(files))) {
                Ok(note) => {
                    println!("test {name} ... ok{}{note}", if note.is_empty() { "" } else { ": " });
                    passed += 1;
                }
                Err(_) => {
                    println!("test {name} ... FAILED");
                    failed += 1;
                }
            },
        }
    }
    println!("real core: {passed} passed, {failed} failed, {skipped} skipped");
    let required = env::var("REMOTE_CORE_REQUIRED").is_ok_and(|value| value == "1");
    if failed > 0 || (required && skipped > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
