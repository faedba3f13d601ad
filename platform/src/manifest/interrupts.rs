//! What the manifest says of the partition's own interrupts: the doorbell among the device regions, and whose SPMC delivers.
use super::ManifestError;
use super::node::Reader;
use crate::doorbell;
use remoteproc_service::client_memory::PhysicalRange;

/// The device region "doorbell" (`arm,ffa-manifest-device-regions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorbellNode {
    /// Its registers.
    pub registers: PhysicalRange,
    /// Its interrupt's id.
    pub interrupt: u32,
}

/// How interrupts of the partition are acknowledged and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptCalls {
    /// At the interrupt controller's CPU interface, as group 1 secure: under an SPMC at EL3.
    CpuInterface,
    /// By Hafnium's paravirtual calls.
    Hafnium,
}

/// The doorbell, if there is one.
pub(super) fn doorbell<'a>(root: &Reader<'a>) -> Result<Option<DoorbellNode>, ManifestError<'a>> {
    const PAGE: u64 = 4096;
    let region = root.optional_child("device-regions").and_then(|regions| regions.optional_child("doorbell"));
    let Some(node) = region else { return Ok(None) };
    if node.string("compatible")? != doorbell::COMPATIBLE {
        return Err(node.malformed("compatible"));
    }
    let start = node.u64("base-address")?;
    let size = u64::from(node.u32("pages-count")?).saturating_mul(PAGE);
    let inside = start.is_multiple_of(PAGE) && start.checked_add(size).is_some();
    if !inside || size < doorbell::SIZE as u64 {
        return Err(ManifestError::BadRange { owner: "doorbell", start });
    }
    // Pairs of an id and its attributes, which are the SPMC's to read.
    let pairs = node.bytes("interrupts")?.as_chunks::<4>().0;
    let [id, _attributes] = pairs else { return Err(node.malformed("interrupts")) };
    Ok(Some(DoorbellNode { registers: PhysicalRange { start, size }, interrupt: u32::from_be_bytes(*id) }))
}

/// The property `spmc` of the node `remoteproc`.
pub(super) fn calls<'a>(node: &Reader<'a>) -> Result<InterruptCalls, ManifestError<'a>> {
    const PROPERTY: &str = "spmc";
    if !node.flag(PROPERTY) {
        return Ok(InterruptCalls::CpuInterface);
    }
    match node.string(PROPERTY)? {
        "hafnium" => Ok(InterruptCalls::Hafnium),
        _ => Err(node.malformed(PROPERTY)),
    }
}
