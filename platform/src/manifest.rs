//! The partition's manifest: a device tree blob, read once at boot. The node `remoteproc` describes the board.
//!
//! The blob is trusted as far as secure boot authenticates the package it came in. A malformed one is an error, never a panic.
mod check;
mod interrupts;
mod node;

use dtoolkit::fdt::Fdt;
use heapless::Vec;
pub use interrupts::{DoorbellNode, InterruptCalls};
use node::Reader;
use remoteproc_image::provider::{CipherKey, PublicKey, TrustedKey};
use remoteproc_image::software::is_on_p256;
use remoteproc_image::target::{Access, BootSecurity, Region};
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::{
    Board, DEFAULT_IDLE_CLAIM_MS, MAX_MEMORY_RANGES, MAX_REGIONS, Processor,
};
use thiserror::Error;

/// `compatible` of the node `remoteproc`.
pub const COMPATIBLE: &str = "remoteproc-sp,board-1";
/// Largest manifest, bytes: an EL3 SPMC gives it one page together with its own header.
pub const MAX_SIZE: usize = 3584;

/// What the partition needs of its manifest.
#[derive(Clone, Debug)]
pub struct Manifest<'a> {
    /// The FF-A version that the manifest asks for: 31:16 major, 15:0 minor.
    pub ffa_version: u32,
    /// The partition's name, for people.
    pub description: &'a str,
    /// The board.
    pub board: Board<'a>,
    /// The device whose interrupt tells of events, if there is one.
    pub doorbell: Option<DoorbellNode>,
    /// How interrupts are acknowledged and ended.
    pub interrupts: InterruptCalls,
}

/// What is wrong with a manifest. Names are those of the nodes and properties in its source.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError<'a> {
    /// Not a device tree blob.
    #[error("the manifest is no device tree blob: {0}")]
    NoDeviceTree(dtoolkit::error::FdtParseError),
    /// Larger than [`MAX_SIZE`].
    #[error("the manifest has {0} bytes, more than {MAX_SIZE}")]
    TooLarge(usize),
    /// A node is not there.
    #[error("node {parent}: no node {child}")]
    NodeMissing {
        /// The node that should hold it.
        parent: &'a str,
        /// The node that is missing.
        child: &'static str,
    },
    /// A property is not there.
    #[error("node {node}: no property {property}")]
    PropertyMissing {
        /// The node that should hold it.
        node: &'a str,
        /// The property that is missing.
        property: &'static str,
    },
    /// A property has a value that can't be read or has no meaning.
    #[error("node {node}: property {property} has a wrong length or value")]
    PropertyMalformed {
        /// The node that holds it.
        node: &'a str,
        /// The property.
        property: &'static str,
    },
    /// A list has more entries than this implementation keeps.
    #[error("node {node}: more than {limit} entries")]
    TooMany {
        /// The node or property with the list.
        node: &'a str,
        /// The limit.
        limit: usize,
    },
    /// A list has no entry.
    #[error("node {0}: no entries")]
    Empty(&'a str),
    /// Two processors have one id.
    #[error("processor {processor}: the id {id} is taken")]
    DuplicateId {
        /// The second one's name.
        processor: &'a str,
        /// The id.
        id: u32,
    },
    /// A range is empty, not whole pages of 4 KiB, or exceeds its address space.
    #[error("{owner}: the range at {start:#x} is empty, not whole pages, or exceeds the address space")]
    BadRange {
        /// The processor or list that it belongs to.
        owner: &'a str,
        /// First physical address.
        start: u64,
    },
    /// Two ranges have a byte in common and must not.
    #[error("processor {processor}: the range at {start:#x} overlaps {other}")]
    Overlap {
        /// The processor with the range.
        processor: &'a str,
        /// First physical address of the range, or first device address of a region.
        start: u64,
        /// What it overlaps.
        other: &'a str,
    },
    /// An RSA key is not one that signatures are checked with: 2048 to 4096 bit.
    #[error("key {0}: not an RSA key of 2048 to 4096 bit with an odd exponent above 1")]
    BadKey(&'a str),
    /// A P-256 key is no point of the curve.
    #[error("key {0}: the point does not lie on the curve P-256")]
    BadPoint(&'a str),
    /// The default boot address lies in no private region.
    #[error("processor {processor}: the default boot address {address:#010x} lies in no private region")]
    BadBootAddress {
        /// The processor's name.
        processor: &'a str,
        /// The device address.
        address: u32,
    },
}

/// Reads a manifest. Bytes after the blob's own length are ignored.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Manifest<'_>, ManifestError<'_>> {
    let blob = trim(bytes);
    if blob.len() > MAX_SIZE {
        return Err(ManifestError::TooLarge(blob.len()));
    }
    let tree = Fdt::new(blob).map_err(ManifestError::NoDeviceTree)?;
    let root = Reader::new(tree.root(), "/");
    let node = root.child("remoteproc")?;
    if node.string("compatible")? != COMPATIBLE {
        return Err(node.malformed("compatible"));
    }
    let board = Board {
        name: if node.flag("board") { node.string("board")? } else { "" },
        processors: node.child("processors")?.list(read_processor)?,
        keys: node.child("keys")?.list(read_key)?,
        normal_memory: node.required_ranges("normal-memory")?,
        devices: node.ranges("devices")?,
        reserved: node.ranges("reserved")?,
        accept_no_isolation: node.flag("accept-no-isolation"),
        accept_no_isolation_encrypted: node.flag("accept-no-isolation-encrypted"),
        decryption_key: read_decryption_key(&node)?,
        strict_platform_tlvs: node.flag("strict-platform-tlvs"),
        idle_claim_ms: node.optional_u32("idle-claim-ms")?.unwrap_or(DEFAULT_IDLE_CLAIM_MS),
        one_call_endpoints: node.endpoints("one-call-endpoints")?,
    };
    check::board(&board)?;
    Ok(Manifest {
        ffa_version: root.u32("ffa-version")?,
        description: root.string("description")?,
        board,
        doorbell: interrupts::doorbell(&root)?,
        interrupts: interrupts::calls(&node)?,
    })
}

/// Cuts off what follows the blob; leaves the bytes as they are if its length makes no sense.
fn trim(bytes: &[u8]) -> &[u8] {
    let total = bytes.get(4..8).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes);
    total.and_then(|total| bytes.get(..total as usize)).unwrap_or(bytes)
}

/// An AES key, if there is one. All zeros is what unprogrammed storage reads as: no key.
fn read_decryption_key<'a>(node: &Reader<'a>) -> Result<Option<CipherKey<'a>>, ManifestError<'a>> {
    const PROPERTY: &str = "decryption-key";
    if !node.flag(PROPERTY) {
        return Ok(None);
    }
    let key = node.bytes(PROPERTY)?;
    if !matches!(key.len(), 16 | 24 | 32) || key.iter().all(|byte| *byte == 0) {
        return Err(node.malformed(PROPERTY));
    }
    Ok(Some(CipherKey::Bytes(key)))
}

fn read_key<'a>(node: &Reader<'a>) -> Result<TrustedKey<'a>, ManifestError<'a>> {
    let name = node.string("label")?;
    let revoke = |key: TrustedKey<'a>| if node.flag("revoked") { key.revoked() } else { key };
    let key = match node.string("algorithm")? {
        "hash" => {
            let hash = node.bytes("hash")?.try_into().map_err(|_| node.malformed("hash"))?;
            return Ok(revoke(TrustedKey::by_id(name, hash)));
        }
        "rsa" => {
            let (modulus, exponent) = (node.bytes("modulus")?, node.u32("exponent")?);
            let key = PublicKey::Rsa { modulus, exponent };
            if !key.is_acceptable() || modulus.first() == Some(&0) {
                return Err(ManifestError::BadKey(name));
            }
            key
        }
        "p256" => {
            let point = node.bytes("point")?.try_into().map_err(|_| node.malformed("point"))?;
            if !is_on_p256(point) {
                return Err(ManifestError::BadPoint(name));
            }
            PublicKey::P256 { point }
        }
        #[cfg(feature = "p384")]
        "p384" => {
            PublicKey::P384 { point: node.bytes("point")?.try_into().map_err(|_| node.malformed("point"))? }
        }
        #[cfg(feature = "ed25519")]
        "ed25519" => PublicKey::Ed25519 {
            point: node.bytes("point")?.try_into().map_err(|_| node.malformed("point"))?,
        },
        _ => return Err(node.malformed("algorithm")),
    };
    Ok(revoke(TrustedKey::new(name, key)))
}

fn read_processor<'a>(node: &Reader<'a>) -> Result<Processor<'a>, ManifestError<'a>> {
    let boot_security = match node.string("boot-security")? {
        "honoured" => BootSecurity::Honoured,
        "runs-non-secure" => BootSecurity::RunsNonSecure,
        "refused" => BootSecurity::Refused,
        _ => return Err(node.malformed("boot-security")),
    };
    Ok(Processor {
        id: node.u32("id")?,
        name: node.string("label")?,
        compatible: node.string("compatible")?,
        regions: read_regions(node)?,
        registers: node.ranges("registers")?,
        default_boot_address: node.optional_u32("default-boot-address")?,
        boot_security,
        endpoints: node.some_endpoints("endpoints")?,
        attach_endpoints: node.endpoints("attach-endpoints")?,
        counter_on_confirm: node.flag("counter-on-confirm"),
    })
}

/// A processor's memory: at least one region; the property with the private ones has to be there.
fn read_regions<'a>(node: &Reader<'a>) -> Result<Vec<Region, MAX_REGIONS>, ManifestError<'a>> {
    let mut regions = Vec::new();
    for (property, access) in [("private-regions", Access::Private), ("shared-regions", Access::Shared)] {
        if access == Access::Shared && !node.flag(property) {
            continue;
        }
        for [device_address, high, low, size] in node.entries::<4>(property)? {
            let physical_address = u64::from(high) << 32 | u64::from(low);
            let region = Region { device_address, physical_address, size, access };
            let too_many = |_| ManifestError::TooMany { node: property, limit: MAX_REGIONS };
            regions.push(region).map_err(too_many)?;
        }
    }
    if regions.is_empty() { Err(ManifestError::Empty(node.name())) } else { Ok(regions) }
}

/// A list of physical ranges.
type Ranges = Vec<PhysicalRange, MAX_MEMORY_RANGES>;
