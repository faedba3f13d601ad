//! Boot: from the entry code to the message loop.
use crate::backtrace::Backtrace;
use crate::client_memory::FfaMemory;
use crate::ffa::mailbox::Mailbox;
use crate::ffa::notification::Notifications;
use crate::ffa::{self, CallError};
use crate::machine::Hardware;
use crate::memory::layout;
use crate::memory::map::{self, MapFailure, World};
use crate::memory::mmu;
use crate::memory::window::{self, WindowError};
use crate::partition::{self, Front, Partition};
use crate::{contexts, dead, heap, interrupts, logger, serve, time};
use arm_ffa::{FfaError, Version};
use core::arch::global_asm;
use remoteproc_platform::manifest::{self, InterruptCalls, Manifest};
use remoteproc_service::Service;
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::Board;
use remoteproc_service::hardware::Machine;
use remoteproc_sp::boot_information::{self, BootInformationError, HEADER_SIZE, MAX_SIZE};
use remoteproc_sp::message::Identity;
use spin::{Mutex, MutexGuard};

global_asm!(include_str!("entry.S"));

/// Room for a manifest, bytes: one page, as an SPMC at EL3 keeps it.
const MANIFEST_ROOM: usize = 4096;

/// The partition's own copy of its manifest. The board's names and keys point into it.
static MANIFEST: Mutex<[u8; MANIFEST_ROOM]> = Mutex::new([0; MANIFEST_ROOM]);

/// Why the partition can't serve.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("an FF-A call failed: {0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    BootInformation(#[from] BootInformationError),
    #[error("the manifest has {0} bytes: there is room for 1 to {MANIFEST_ROOM}")]
    ManifestSize(u32),
    #[error("{0:#x} can't be read: {1}")]
    Memory(u64, WindowError),
    #[error("{0}")]
    Manifest(manifest::ManifestError<'static>),
    #[error("the processors' memory can't be mapped: {0}")]
    Map(#[from] MapFailure),
    #[error("the manifest lists too many reserved ranges")]
    TooManyReserved,
    #[error("CNTFRQ_EL0 is 0: the firmware has to set it")]
    NoClock,
    #[error("boot was entered twice")]
    BootedTwice,
}

/// Called by the entry code, once, with the MMU off. `boot_information` is the physical address of the boot information.
#[unsafe(no_mangle)]
extern "C" fn partition_main(boot_information: u64) -> ! {
    // SAFETY: the entry code calls this once, at boot, with the MMU off, on the memory that the linker script lays out.
    if let Err(error) = unsafe { map::start() } {
        dead::die(format_args!("the image can't be mapped: {error}"), Backtrace::here());
    }
    heap::start();
    match start(boot_information) {
        Ok(()) => contexts::leave_boot_stack(),
        Err(error) => dead::die(format_args!("boot failed: {error}"), Backtrace::here()),
    }
}

/// Called by the entry code in every execution context, on its own stack, when the partition is ready to serve.
#[unsafe(no_mangle)]
extern "C" fn context_main() -> ! {
    if partition::is_used_by(contexts::current()) {
        // What it was doing is half done.
        log::error!("a context starts again in the middle of a request");
        panic!();
    }
    serve::serve(&mut Front)
}

/// Sets everything up that requests need. Not inlined: its frame holds the service once, and must not stay on the stack.
#[inline(never)]
fn start(boot_information: u64) -> Result<(), BootError> {
    let spmc_version = ffa::version()?;
    logger::start();
    let identity = Identity { partition: ffa::id()?, spmc: ffa::spmc_id()? };
    serve::set_identity(identity);
    if !time::runs() {
        // Nothing would ever be idle for too long, or wait for too long.
        return Err(BootError::NoClock);
    }
    let mailbox = Mailbox::map(identity.partition)?;
    let Manifest { mut board, ffa_version, doorbell, interrupts: calls, .. } =
        manifest::parse(read_manifest(boot_information)?).map_err(BootError::Manifest)?;
    if calls == InterruptCalls::Hafnium {
        time::use_virtual();
    }
    if ffa_version != u32::from(ffa::VERSION) {
        log::warn!("the manifest asks for FF-A {ffa_version:#x}, the partition speaks {}", ffa::VERSION);
    }
    // Whatever the manifest says: no client may name the partition's own memory.
    let own = layout::image();
    board
        .reserved
        .push(PhysicalRange { start: own.start as u64, size: own.len() as u64 })
        .map_err(|_| BootError::TooManyReserved)?;
    let mut hardware = Hardware::new(&board, Notifications::find(identity.partition))?;
    banner(identity, spmc_version, &board, &mut hardware);
    let memory = FfaMemory::new(mailbox, identity.partition);
    let storage = partition::storage().ok_or(BootError::BootedTwice)?;
    partition::install(|| Partition { service: Service::new(board, hardware, storage), memory });
    if let Some(doorbell) = doorbell {
        interrupts::start(doorbell, calls);
    }
    // An SPMC that has no other context to start need not know the call.
    if let Err(error) = ffa::register_contexts(contexts::entry())
        && !error.is(FfaError::NotSupported)
    {
        return Err(error.into());
    }
    // Last: no other context starts before this one waits, and none serves if the boot fails.
    mmu::publish();
    Ok(())
}

/// Says who is there.
fn banner(identity: Identity, spmc_version: Version, board: &Board<'_>, hardware: &mut Hardware) {
    let processors = board.processors.len();
    let enforced =
        (0..processors).all(|index| hardware.driver(index).is_some_and(|driver| driver.enforces_isolation()));
    log::info!(
        "remoteproc partition {:#06x}, FF-A {}, SPMC {:#06x} (FF-A {spmc_version}), keys: {}, processors: {processors}, isolation {}",
        identity.partition,
        ffa::VERSION,
        identity.spmc,
        board.keys.len(),
        match (enforced, board.accept_no_isolation) {
            (true, _) => "enforced",
            (false, true) => "not enforced by hardware, accepted by the manifest",
            (false, false) => "not enforced by hardware, not accepted by the manifest",
        }
    );
}

/// Copies the manifest that the boot information names; what is read is the copy.
fn read_manifest(boot_information: u64) -> Result<&'static [u8], BootError> {
    let read = |address, bytes: &mut [u8]| {
        window::read(address, World::Secure, bytes).map_err(|error| BootError::Memory(address, error))
    };
    let mut header = [0; HEADER_SIZE];
    read(boot_information, &mut header)?;
    let size = boot_information::size(&header)?;
    let mut copy = [0; MAX_SIZE];
    let copy = copy.get_mut(..size).ok_or(BootInformationError::TooLong)?;
    read(boot_information, copy)?;
    let manifest = boot_information::manifest(copy)?;
    let bytes = usize::try_from(manifest.size)
        .ok()
        .filter(|size| *size > 0)
        .and_then(|size| MutexGuard::leak(MANIFEST.lock()).get_mut(..size))
        .ok_or(BootError::ManifestSize(manifest.size))?;
    read(manifest.address, bytes)?;
    Ok(bytes)
}
