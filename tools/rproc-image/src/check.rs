//! The complete check of a container, by the partition's own reader: what passes here passes there, except for what only a board
//! knows (its memory, its keys, its counter).
use crate::diagnosis::wanted;
use crate::layout::Layout;
use crate::memory::Memory;
use remoteproc_image::provider::{CipherKey, Destination, TrustedKey};
use remoteproc_image::reader::{Loaded, Progress, Reader, Rejection, Segment, Signer};
use remoteproc_image::software::{Software, SoftwareHasher};
use remoteproc_image::target::{Access, BootSecurity, Region, Target};
use remoteproc_image::write::OwnedPublicKey;
use remoteproc_refusal::Refusal;
use sha2::{Digest, Sha256};

/// ELF program header flag: executable.
const PF_X: u32 = 1;
/// Bytes hashed or decrypted in one call of the reader.
const STEP: usize = 1 << 20;

/// What a good container holds.
pub struct Checked {
    /// Who signed.
    pub signer: Signer,
    /// The segments, each with SHA-256 of its memory once loaded, zero fill included.
    pub segments: Vec<(Segment, [u8; 32])>,
    /// Boot address, resource table, security counter.
    pub loaded: Loaded,
    /// The processor and the board that it is for: nothing and empty for any.
    pub wanted: (Option<u32>, String),
    /// The firmware's version, if the signer named one.
    pub version: Option<String>,
}

/// What the check needs besides the file and the key.
#[derive(Default)]
pub struct Board<'a> {
    /// Key that the segments are encrypted with.
    pub decryption_key: Option<&'a [u8]>,
    /// The processor's memory; empty: any memory will do.
    pub regions: &'a [Region],
    /// The processor's id; nothing: whatever the file is for.
    pub processor: Option<u32>,
    /// The board's name; nothing: whatever the file is for.
    pub name: Option<&'a str>,
    /// The platform's security counter.
    pub security_counter: u32,
}

/// Takes in header, TLVs and signature, and says what is wrong with the framing.
pub fn framing(bytes: &[u8]) -> Result<Box<Reader<SoftwareHasher>>, Rejection> {
    let mut reader = Box::new(Reader::new());
    reader.begin(bytes.len() as u64)?;
    let mut rest = bytes;
    while !reader.metadata_complete() {
        let taken = reader.push_metadata(rest)?;
        rest = rest.get(taken..).unwrap_or_default();
        if taken == 0 {
            return Err(Rejection { refusal: Refusal::SizeMismatch, offset: None });
        }
    }
    Ok(reader)
}

/// Checks a container.
pub fn check(bytes: &[u8], key: &OwnedPublicKey, board: &Board<'_>) -> Result<Checked, Rejection> {
    let mut reader = framing(bytes)?;
    let provider = Software;
    // First of all: until then, what the file says of itself costs no work that grows with it.
    let signer = reader.authenticate(&provider, &[TrustedKey::new("key", key.as_key())])?;
    let layout = Layout::outline(bytes);
    let any_memory = layout.as_ref().map(any_memory).unwrap_or_default();
    let (processor, wanted_board) = layout.as_ref().map(wanted).unwrap_or_default();
    let target = Target {
        regions: if board.regions.is_empty() { &any_memory } else { board.regions },
        default_boot_address: None,
        boot_security: BootSecurity::Honoured,
        strict_platform_tlvs: false,
        processor: board.processor.or(processor).unwrap_or(0),
        board: board.name.unwrap_or(&wanted_board),
        security_counter: board.security_counter,
        most_security_counter: u32::MAX,
        decryption_key: board.decryption_key.map(CipherKey::Bytes),
    };
    let mut memory = Memory::default();
    reader.plan(&target)?;
    let images = usize::try_from(reader.position()).ok().and_then(|position| bytes.get(position..));
    reader.push(images.unwrap_or_default(), &mut memory)?;
    while reader.verify_segments(&provider, &mut memory, STEP)? == Progress::Pending {}
    while reader.decrypt_segments(&provider, &target, &mut memory, STEP)? == Progress::Pending {}
    let loaded = reader.finish(&provider, &target, &mut memory)?;
    let version = reader.own_tlvs().and_then(|own| own.version).map(str::to_owned);
    let segments = reader.segments().iter().map(|segment| (*segment, digest(&mut memory, segment))).collect();
    Ok(Checked { signer, segments, loaded, wanted: (processor, wanted_board), version })
}

/// SHA-256 of what a segment's memory holds.
fn digest(memory: &mut Memory, segment: &Segment) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 4096];
    let mut done = 0;
    while done < segment.memory_size {
        let count = buffer.len().min((segment.memory_size - done) as usize);
        let piece = &mut buffer[..count];
        // This memory takes any address, so that it never faults.
        let _ = memory.read(segment.physical_address + u64::from(done), piece);
        hasher.update(piece);
        done += u32::try_from(count).unwrap_or(u32::MAX);
    }
    hasher.finalize().into()
}

/// Regions that take whatever the image wants: the segment with the resource table is shared, as it would have to be; everything
/// else is private.
fn any_memory(layout: &Layout) -> Vec<Region> {
    let region = |device_address: u32, size, access| Region {
        device_address,
        physical_address: device_address.into(),
        size,
        access,
    };
    let shared = layout.resource_table.as_ref().and_then(|table| {
        layout.segments.iter().find(|segment| {
            let inside = table.device_address.checked_sub(segment.device_address);
            segment.flags & PF_X == 0 && inside.is_some_and(|inside| inside < segment.memory_size)
        })
    });
    let shared = shared.map(|segment| region(segment.device_address, segment.memory_size, Access::Shared));
    // Two, because the size of one can't count all 32-bit addresses.
    let rest = [region(0, u32::MAX, Access::Private), region(1, u32::MAX, Access::Private)];
    shared.into_iter().chain(rest).collect()
}
