//! The lines of the partition's log. One place, so that a refusal reads the same everywhere.
use crate::clients::Caller;
use crate::configuration::{Board, Processor};
use crate::result::Refused;
use core::fmt;
use remoteproc_image::reader::{Loaded, OwnTlvs, Segment, Signer};

/// Most segments of an image that are logged: everybody waits while a line is printed.
const MOST_SEGMENTS: usize = 8;

/// A place in the container, for a log line.
struct Place(Option<u64>);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(formatter, " at byte {offset}"),
            None => Ok(()),
        }
    }
}

/// ELF p_flags, as readelf prints them.
struct Flags(u32);

impl fmt::Display for Flags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(4, "r"), (2, "w"), (1, "x")] {
            formatter.write_str(if self.0 & bit != 0 { letter } else { "-" })?;
        }
        Ok(())
    }
}

/// Logs a refused request. The catalogue's sentence is for the client and the tools to say: here it would cost 9 KiB of image.
pub(crate) fn refused(command: &str, caller: Caller, refused: &Refused) {
    let Refused { refusal, offset } = refused;
    log::warn!("refused {command} for {:#06x}: {refusal}{}", caller.endpoint, Place(*offset));
}

/// Logs who signed the image that is being loaded.
pub(crate) fn signature_verified(processor: &Processor<'_>, board: &Board<'_>, signer: &Signer) {
    let Some(key) = board.keys.get(signer.key) else { return };
    log::info!(
        "{}: signature verified: {} by key \"{}\" ({} bit)",
        processor.name,
        signer.algorithm,
        key.name,
        signer.bits
    );
}

/// Logs what was loaded.
pub(crate) fn loaded(
    processor: &Processor<'_>,
    caller: Caller,
    total: u64,
    segments: &[Segment],
    loaded: &Loaded,
) {
    let name = processor.name;
    for segment in segments.iter().take(MOST_SEGMENTS) {
        log::info!(
            "{name}: segment {:#010x} at {:#x}: {} bytes, {} in the file, {}",
            segment.device_address,
            segment.physical_address,
            segment.memory_size,
            segment.file_size,
            Flags(segment.flags)
        );
    }
    if let Some(more) = segments.len().checked_sub(MOST_SEGMENTS).filter(|more| *more > 0) {
        log::info!("{name}: and {more} more segments");
    }
    match loaded.resource_table {
        Some(table) => log::info!(
            "{name}: resource table {:#010x} at {:#x}, {} bytes",
            table.device_address,
            table.physical_address,
            table.size
        ),
        None => log::info!("{name}: no resource table"),
    }
    if loaded.secure_declined {
        log::warn!("{name}: asks for a secure boot (BOOTSEC), runs non-secure");
    }
    log::info!("{name}: loaded {total} bytes for {:#06x}, {} segments", caller.endpoint, segments.len());
}

/// Logs what the signer says of the firmware, for people.
pub(crate) fn signed(processor: &Processor<'_>, tlvs: Option<OwnTlvs<'_>>) {
    let Some(OwnTlvs { version, coredump, .. }) = tlvs else { return };
    if let Some(version) = version {
        log::info!("{}: version {version}", processor.name);
    }
    if let Some(allowed) = coredump {
        log::info!("{}: dump {}", processor.name, if allowed { "allowed" } else { "denied" });
    }
}

/// Logs at start who keeps others out of a processor's private memory.
pub(crate) fn isolation(processor: &Processor<'_>, enforced: Option<bool>, accepted: bool) {
    let Processor { id, name, compatible, .. } = processor;
    match (enforced, accepted) {
        (None, _) => log::error!("processor {id} ({name}): no driver for \"{compatible}\"; not served"),
        (Some(true), _) => log::info!("processor {id} ({name}): private memory is closed by hardware"),
        (Some(false), true) => log::warn!(
            "processor {id} ({name}): NO ISOLATION: the normal world can reach its private memory; the manifest accepts that, \
             and private segments are hashed again at each start"
        ),
        (Some(false), false) => log::error!(
            "processor {id} ({name}): NO ISOLATION: not served, because the manifest has no accept-no-isolation"
        ),
    }
}
