//! Finds the partition package in flash, checks it, copies it to its load address and writes its boot information.
use core::arch::asm;
use core::fmt;

use el3_spmc::boot_information;
use el3_spmc::machine::Machine;
use el3_spmc::manifest::{Manifest, ManifestError};
use el3_spmc::memory_map::{PACKAGE_FLASH, PARTITION, Range};
use el3_spmc::package::{HEADER_SIZE, Package};

use super::hardware::Hardware;
use super::system_registers::read_register;

/// Largest manifest a package can hold.
const MANIFEST_LIMIT: usize = 0x3000;
/// What the partition's memory holds outside its package, so that forgetting to clear .bss shows.
const FILL: u8 = 0xa5;

/// A partition that is ready to be entered.
pub struct Partition {
    /// Its manifest.
    pub manifest: Manifest,
    /// Physical address of its first instruction.
    pub entry: u64,
    /// Register that gets the address of the boot information.
    pub boot_register: Option<u32>,
    /// That address.
    pub boot_information: u64,
}

/// Why a package was refused.
pub enum Problem {
    /// The package itself.
    Package(&'static str),
    /// Its manifest.
    Manifest(ManifestError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(text) => f.write_str(text),
            Self::Manifest(error) => write!(f, "manifest: {}: {}", error.property, error.problem),
        }
    }
}

/// Checks and copies the package, for a machine with so many CPUs.
pub fn load_partition(machine: &mut Hardware, processors: usize) -> Result<Partition, Problem> {
    let mut header = [0; HEADER_SIZE];
    machine.read(PACKAGE_FLASH.start, &mut header);
    let room = PACKAGE_FLASH.end - PACKAGE_FLASH.start;
    let package = Package::decode(&header, room).map_err(Problem::Package)?;
    let mut blob = [0; MANIFEST_LIMIT];
    let blob = blob
        .get_mut(..package.manifest_size as usize)
        .ok_or(Problem::Package("manifest is larger than its place"))?;
    machine.read(PACKAGE_FLASH.start + package.manifest_offset, blob);
    let manifest = Manifest::decode(blob, processors as u32).map_err(Problem::Manifest)?;
    let load_address = manifest.load_address.unwrap_or(PARTITION.start);
    package.fits(load_address, &PARTITION).map_err(Problem::Package)?;
    let image = Range { start: package.image_offset, end: package.size() };
    if !image.holds(manifest.entry_offset) || !manifest.entry_offset.is_multiple_of(4) {
        return Err(Problem::Package("entrypoint-offset is not in the image"));
    }
    if manifest.memory.iter().any(|region| region.range.overlaps(&PARTITION)) {
        return Err(Problem::Package("a memory region overlaps the partition's own memory"));
    }
    let mut page = [0; 4096];
    for address in (PARTITION.start..PARTITION.end).step_by(page.len()) {
        page.fill(FILL);
        if let Some(offset) = address.checked_sub(load_address)
            && offset < package.size()
        {
            let length = (package.size() - offset).min(page.len() as u64) as usize;
            if let Some(part) = page.get_mut(..length) {
                machine.read(PACKAGE_FLASH.start + offset, part);
            }
        }
        machine.write(address, &page);
    }
    let information = boot_information::encode(
        manifest.version,
        load_address + package.manifest_offset,
        package.manifest_size as u32,
    );
    if manifest.boot_register.is_some() {
        machine.write(load_address, &information);
    }
    clean_data_cache(PARTITION);
    machine.firmware_line(format_args!(
        "partition {} bytes at {load_address:#x}, FF-A {}.{}, {} memory regions, {} execution contexts on {processors} CPUs",
        package.size(),
        manifest.version >> 16,
        manifest.version & 0xffff,
        manifest.memory.len(),
        manifest.contexts
    ));
    Ok(Partition {
        entry: load_address + manifest.entry_offset,
        boot_register: manifest.boot_register,
        boot_information: load_address,
        manifest,
    })
}

/// Cleans a range to the point of coherency and drops old instructions: the partition starts with its MMU off.
fn clean_data_cache(range: Range) {
    let line = 4_u64 << ((read_register!("ctr_el0") >> 16) & 0xf);
    let mut address = range.start;
    while address < range.end {
        // SAFETY: the range is mapped, and cleaning a line changes no value in it.
        unsafe { asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags)) };
        address += line;
    }
    // SAFETY: barriers, and dropping cached instructions, change nothing that a program can see.
    unsafe { asm!("dsb sy", "ic iallu", "dsb sy", "isb", options(nostack, preserves_flags)) };
}
