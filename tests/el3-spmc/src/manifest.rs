//! The partition's FF-A manifest, checked as Hafnium checks it.
//!
//! Binding: `arm,ffa-manifest-1.0`. What Hafnium insists on is mandatory here, what it rejects is rejected, each with
//! its own text. Properties that neither knows are ignored.
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use heapless::Vec;

use crate::memory_map::{DEVICES, NORMAL_MEMORY, PAGE_SIZE, PARTITION_MEMORY, Range};
use crate::spmc::MAXIMUM_PROCESSORS;

/// Highest FF-A version spoken here.
pub const VERSION: u32 = 0x0001_0002;
/// Power management message: CPU_OFF.
pub const POWER_OFF_MESSAGE: u32 = 1;
/// Memory region or device region may be read.
pub const READ: u32 = 1;
/// Memory region or device region may be written.
pub const WRITE: u32 = 2;
/// Memory region may be executed.
pub const EXECUTE: u32 = 4;
/// Memory region belongs to the normal world.
pub const NON_SECURE: u32 = 8;

/// Messaging method: receives direct requests.
pub const RECEIVES_DIRECT_REQUESTS: u32 = 1;
/// Messaging method: receives direct requests of the second family.
pub const RECEIVES_DIRECT_REQUESTS_2: u32 = 1 << 9;
const SENDS_DIRECT_REQUESTS: u32 = 1 << 1;
const INDIRECT: u32 = 1 << 2;
const SENDS_DIRECT_REQUESTS_2: u32 = 1 << 10;
/// UUIDs of a partition, at most.
pub const MAXIMUM_UUIDS: usize = 4;
const MAXIMUM_REGIONS: usize = 8;
const MAXIMUM_INTERRUPTS: usize = 8;
/// Attributes of a device region's interrupt: bits 7:0 priority, bit 8 secure, bit 9 level-triggered, bits 11:10 type, 2 = shared.
const INTERRUPT_PRIORITY: u32 = 0xff;
const SECURE_EDGE_SHARED: u32 = 1 << 8 | 2 << 10;

/// What a non-secure interrupt does while the partition runs (`ns-interrupts-action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptAction {
    /// It waits until the partition has answered.
    Queued,
    /// The partition is preempted, and the normal world resumes it with FFA_RUN.
    Signaled,
}

/// A memory or device region that the manifest gives to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Physical range.
    pub range: Range,
    /// Attribute bits, see the constants of this module.
    pub attributes: u32,
}

/// What the firmware needs to know from a manifest that passed.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// FF-A version of the partition.
    pub version: u32,
    /// UUIDs, each as four words in the order of the property (bytes of the UUID packed little endian).
    pub uuids: Vec<[u32; 4], MAXIMUM_UUIDS>,
    /// Number of execution contexts.
    pub contexts: u32,
    /// Power management messages that it wants.
    pub power_messages: u32,
    /// Messages about virtual machines that it wants: bit 0 created, bit 1 destroyed.
    pub machine_messages: u32,
    /// Messaging method bits.
    pub messaging: u32,
    /// What a non-secure interrupt does.
    pub interrupts: InterruptAction,
    /// Physical address that the package is copied to, if the manifest names one.
    pub load_address: Option<u64>,
    /// Entry point, bytes from the load address.
    pub entry_offset: u64,
    /// Number of the register that gets the boot information's address; `None`: no boot information.
    pub boot_register: Option<u32>,
    /// Memory regions.
    pub memory: Vec<Region, MAXIMUM_REGIONS>,
    /// Device regions.
    pub devices: Vec<Region, MAXIMUM_REGIONS>,
    /// Interrupts of the device regions: shared, secure, edge-triggered ones.
    pub secure_interrupts: Vec<u32, MAXIMUM_INTERRUPTS>,
    /// The partition takes part in notifications.
    pub notifications: bool,
}

/// Why a manifest was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The property or node.
    pub property: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

const fn wrong(property: &'static str, problem: &'static str) -> ManifestError {
    ManifestError { property, problem }
}

/// A number of one cell, or of two.
fn number(node: &FdtNode<'_>, name: &'static str) -> Result<Option<u64>, ManifestError> {
    let Some(property) = node.property(name) else { return Ok(None) };
    if let Ok(value) = property.value_as::<u32>() {
        Ok(Some(value.into()))
    } else if let Ok(value) = property.value_as::<u64>() {
        Ok(Some(value))
    } else {
        Err(wrong(name, "is not one number"))
    }
}

fn word(node: &FdtNode<'_>, name: &'static str) -> Result<Option<u32>, ManifestError> {
    match node.property(name) {
        Some(property) => Ok(Some(property.value_as::<u32>().map_err(|_| wrong(name, "is not one cell"))?)),
        None => Ok(None),
    }
}

fn mandatory(node: &FdtNode<'_>, name: &'static str) -> Result<u32, ManifestError> {
    word(node, name)?.ok_or(wrong(name, "Property not found"))
}

fn compatible(node: &FdtNode<'_>, value: &str) -> bool {
    node.property("compatible").is_some_and(|property| property.value_as::<&str>() == Ok(value))
}

impl Manifest {
    /// Checks the manifest `blob`. `processors` is the number of CPUs of the machine.
    pub fn decode(blob: &[u8], processors: u32) -> Result<Self, ManifestError> {
        let tree = Fdt::new(blob).map_err(|_| wrong("manifest", "is no valid flattened device tree"))?;
        let root = tree.root();
        if !compatible(&root, "arm,ffa-manifest-1.0") {
            return Err(wrong("compatible", "not compatible"));
        }
        let version = mandatory(&root, "ffa-version")?;
        if !(0x0001_0001..=VERSION).contains(&version) {
            return Err(wrong("ffa-version", "is not 1.1 or 1.2"));
        }
        let uuids = uuids(&root)?;
        let contexts = mandatory(&root, "execution-ctx-count")?;
        if contexts != 1 && !(processors..=MAXIMUM_PROCESSORS as u32).contains(&contexts) {
            return Err(wrong("execution-ctx-count", "is neither 1 nor enough for the CPUs"));
        }
        if mandatory(&root, "exception-level")? != 2 {
            return Err(wrong("exception-level", "is not 2 (S-EL1)"));
        }
        if mandatory(&root, "execution-state")? != 0 {
            return Err(wrong("execution-state", "is not 0 (AArch64)"));
        }
        let messaging = messaging(&root, version)?;
        let power_messages = word(&root, "power-management-messages")?.unwrap_or(0);
        let machine_messages = word(&root, "vm-availability-messages")?.unwrap_or(0);
        if machine_messages > 3 {
            return Err(wrong("vm-availability-messages", "has a bit above 1"));
        }
        let entry_offset =
            number(&root, "entrypoint-offset")?.ok_or(wrong("entrypoint-offset", "Property not found"))?;
        if word(&root, "xlat-granule")?.is_some_and(|granule| granule != 0) {
            return Err(wrong("xlat-granule", "is not 0 (4 KiB)"));
        }
        if word(&root, "boot-order")?.is_some_and(|order| order > 0xffff) {
            return Err(wrong("boot-order", "is above 0xffff"));
        }
        let action = match word(&root, "ns-interrupts-action")? {
            None | Some(0) => InterruptAction::Queued,
            Some(1) => {
                return Err(wrong("ns-interrupts-action", "is 1 (managed exit), which is not done here"));
            }
            Some(2) => InterruptAction::Signaled,
            Some(_) => return Err(wrong("ns-interrupts-action", "is above 2")),
        };
        let boot_register = word(&root, "gp-register-num")?;
        if boot_register.is_some_and(|register| register > 3) {
            return Err(wrong("gp-register-num", "is above 3"));
        }
        let boot_information = match root.child("boot-info") {
            Some(node) => {
                if !compatible(&node, "arm,ffa-manifest-boot-info") {
                    return Err(wrong("boot-info", "not compatible"));
                }
                if boot_register.is_none() {
                    return Err(wrong("boot-info", "needs gp-register-num"));
                }
                node.property("ffa_manifest").is_some()
            }
            None => false,
        };
        let load_address = number(&root, "load-address")?;
        let memory = match root.child("memory-regions") {
            Some(node) if !compatible(&node, "arm,ffa-manifest-memory-regions") => {
                return Err(wrong("memory-regions", "not compatible"));
            }
            Some(node) => regions(&node, "memory-regions", load_address, memory_allowed)?,
            None => Vec::new(),
        };
        let mut secure_interrupts = Vec::new();
        let devices = match root.child("device-regions") {
            Some(node) if !compatible(&node, "arm,ffa-manifest-device-regions") => {
                return Err(wrong("device-regions", "not compatible"));
            }
            Some(node) => {
                secure_interrupts = interrupts(&node)?;
                regions(&node, "device-regions", None, device_allowed)?
            }
            None => Vec::new(),
        };
        Ok(Self {
            version,
            uuids,
            contexts,
            power_messages,
            machine_messages,
            messaging,
            interrupts: action,
            load_address,
            entry_offset,
            boot_register: boot_register.filter(|_| boot_information),
            memory,
            devices,
            secure_interrupts,
            notifications: root.property("notification-support").is_some(),
        })
    }
}

fn uuids(root: &FdtNode<'_>) -> Result<Vec<[u32; 4], MAXIMUM_UUIDS>, ManifestError> {
    let property = root.property("uuid").ok_or(wrong("uuid", "Property not found"))?;
    let bytes = property.value();
    if bytes.is_empty() || !bytes.len().is_multiple_of(16) {
        return Err(wrong("uuid", "is not a list of UUIDs of four cells"));
    }
    let mut uuids = Vec::new();
    for uuid in bytes.chunks_exact(16) {
        let mut words = [0; 4];
        for (word, cell) in words.iter_mut().zip(uuid.chunks_exact(4)) {
            *word = cell.iter().fold(0, |value, &byte| (value << 8) | u32::from(byte));
        }
        if words == [0; 4] {
            return Err(wrong("uuid", "is nil"));
        }
        uuids.push(words).map_err(|_| wrong("uuid", "has more than four UUIDs"))?;
    }
    Ok(uuids)
}

fn messaging(root: &FdtNode<'_>, version: u32) -> Result<u32, ManifestError> {
    const DIRECT_2: u32 = RECEIVES_DIRECT_REQUESTS_2 | SENDS_DIRECT_REQUESTS_2;
    let method = mandatory(root, "messaging-method")?;
    if method == 0 || method & !(RECEIVES_DIRECT_REQUESTS | SENDS_DIRECT_REQUESTS | INDIRECT | DIRECT_2) != 0
    {
        return Err(wrong("messaging-method", "is zero or has unknown bits"));
    }
    if method & DIRECT_2 != 0 && version < 0x0001_0002 {
        return Err(wrong("messaging-method", "direct request 2 needs FF-A 1.2"));
    }
    Ok(method)
}

fn memory_allowed(range: &Range, attributes: u32) -> bool {
    let home = if attributes & NON_SECURE != 0 { NORMAL_MEMORY } else { PARTITION_MEMORY };
    home.contains(range)
}

fn device_allowed(range: &Range, _attributes: u32) -> bool {
    DEVICES.contains(range)
}

fn regions(
    parent: &FdtNode<'_>,
    name: &'static str,
    load_address: Option<u64>,
    allowed: fn(&Range, u32) -> bool,
) -> Result<Vec<Region, MAXIMUM_REGIONS>, ManifestError> {
    let mut regions: Vec<Region, MAXIMUM_REGIONS> = Vec::new();
    for node in parent.children() {
        let pages = mandatory(&node, "pages-count")?;
        let attributes = mandatory(&node, "attributes")?;
        let base = match (number(&node, "base-address")?, number(&node, "load-address-relative-offset")?) {
            (Some(base), None) => base,
            (None, Some(offset)) => load_address
                .and_then(|load| load.checked_add(offset))
                .ok_or(wrong(name, "has a relative region without a load-address"))?,
            _ => return Err(wrong(name, "needs base-address or load-address-relative-offset, not both")),
        };
        if pages == 0 {
            return Err(wrong(name, "has a region of 0 pages"));
        }
        if !base.is_multiple_of(PAGE_SIZE) {
            return Err(wrong(name, "has a region that is not page aligned"));
        }
        if attributes & !(READ | WRITE | EXECUTE | NON_SECURE) != 0 {
            return Err(wrong(name, "has unknown attribute bits"));
        }
        if attributes & READ == 0 {
            return Err(wrong(name, "has a region that can't be read"));
        }
        if attributes & EXECUTE != 0 && attributes & (WRITE | NON_SECURE) != 0 {
            return Err(wrong(name, "has an executable region that is writable or non-secure"));
        }
        let range =
            Range::pages(base, pages.into()).ok_or(wrong(name, "passes the end of the address space"))?;
        if !allowed(&range, attributes) {
            return Err(wrong(name, "has a region outside the memory it may name"));
        }
        if regions.iter().any(|other| other.range.overlaps(&range)) {
            return Err(wrong(name, "has regions that overlap"));
        }
        regions.push(Region { range, attributes }).map_err(|_| wrong(name, "has more than eight regions"))?;
    }
    Ok(regions)
}

/// Pairs of an interrupt's id and its attributes. Level-triggered ones are refused, because they bring Hafnium to a standstill.
fn interrupts(parent: &FdtNode<'_>) -> Result<Vec<u32, MAXIMUM_INTERRUPTS>, ManifestError> {
    const NAME: &str = "device-regions";
    let mut interrupts = Vec::new();
    for node in parent.children() {
        let Some(property) = node.property("interrupts") else { continue };
        let (pairs, rest) = property.value().as_chunks::<8>();
        if !rest.is_empty() {
            return Err(wrong(NAME, "has an interrupt without attributes"));
        }
        for pair in pairs {
            let both = u64::from_be_bytes(*pair);
            let (id, attributes) = ((both >> 32) as u32, both as u32);
            if attributes & !INTERRUPT_PRIORITY != SECURE_EDGE_SHARED {
                return Err(wrong(NAME, "has an interrupt that is not secure, shared and edge-triggered"));
            }
            if !(32..1020).contains(&id) || interrupts.contains(&id) {
                return Err(wrong(NAME, "has an interrupt that is no shared one, or has it twice"));
            }
            interrupts.push(id).map_err(|_| wrong(NAME, "has more than eight interrupts"))?;
        }
    }
    Ok(interrupts)
}

#[cfg(test)]
mod tests;
