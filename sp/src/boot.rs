//! Boot: from the entry code to the message loop.
use crate::memory::map::{self, World};
use crate::memory::window::{self, WindowError};
use crate::{dead, ffa, heap, logger, serve};
use core::arch::global_asm;
use remoteproc_sp::boot_information::{self, BootInformationError, HEADER_SIZE, MAX_SIZE};
use remoteproc_sp::message::Identity;

global_asm!(include_str!("entry.S"));

/// Called by the entry code, once, with the MMU off. `boot_information` is the physical address of the boot information.
#[unsafe(no_mangle)]
extern "C" fn partition_main(boot_information: u64) -> ! {
    // SAFETY: the entry code calls this once, at boot, with the MMU off.
    if unsafe { map::start() }.is_err() {
        dead::die(format_args!("the image can't be mapped"));
    }
    heap::start();
    let spmc_version = match ffa::version() {
        Ok(version) => version,
        Err(error) => dead::die(format_args!("FF-A {} is not spoken: {error}", ffa::VERSION)),
    };
    logger::start();
    let mut b = [0; 4096];
    let m = read_manifest(boot_information, &mut b);
    match m { Ok(m) => log::info!("manifest {} {:x?}", m.len(), m.get(..4)), Err(e) => log::error!("{e}") };
    log::info!("hello {spmc_version} {:?} {:?}", ffa::id(), ffa::spmc_id());
    let _ = serve::set_identity;
    let _ = Identity{partition:0,spmc:0};
    unsafe { core::ptr::read_volatile(0x0e200000 as *const u32) };
    serve::serve(&mut remoteproc_sp::message::Dead)
}

/// Longest manifest, bytes: one page, as an SPMC at EL3 keeps it.
const MAX_MANIFEST: usize = 4096;

/// Why there is no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum ManifestError {
    #[error("{0}")]
    BootInformation(#[from] BootInformationError),
    #[error("the manifest has {0} bytes: there is room for 1 to {MAX_MANIFEST}")]
    Size(u32),
    #[error("reading {0:#x} failed: {1:?}")]
    Memory(u64, WindowError),
}

/// Copies the manifest that the boot information names.
fn read_manifest(boot_information: u64, into: &mut [u8; MAX_MANIFEST]) -> Result<&[u8], ManifestError> {
    let read = |address, bytes: &mut [u8]| {
        window::read(address, World::Secure, bytes).map_err(|error| ManifestError::Memory(address, error))
    };
    let mut header = [0; HEADER_SIZE];
    read(boot_information, &mut header)?;
    let mut blob = [0; MAX_SIZE];
    let size = boot_information::size(&header)?;
    let blob = blob.get_mut(..size).ok_or(BootInformationError::TooLong)?;
    read(boot_information, blob)?;
    let manifest = boot_information::manifest(blob)?;
    let bytes = usize::try_from(manifest.size)
        .ok()
        .filter(|size| *size > 0)
        .and_then(|size| into.get_mut(..size))
        .ok_or(ManifestError::Size(manifest.size))?;
    read(manifest.address, bytes)?;
    Ok(bytes)
}
