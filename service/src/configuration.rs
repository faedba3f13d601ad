//! The board as the service sees it: processors, keys and memory. Read from the partition's manifest by `platform`.
use crate::client_memory::{EndpointId, PhysicalRange};
use heapless::Vec;
use remoteproc_image::provider::{CipherKey, TrustedKey};
use remoteproc_image::target::{BootSecurity, Region};

/// Most processors of a board.
pub const MAX_PROCESSORS: usize = 8;
/// Most regions of a processor.
pub const MAX_REGIONS: usize = 8;
/// Most trusted keys.
pub const MAX_KEYS: usize = 4;
/// Most entries of a list of physical ranges.
pub const MAX_MEMORY_RANGES: usize = 8;
/// Most endpoints that may load in one request.
pub const MAX_ONE_CALL_ENDPOINTS: usize = 8;
/// Most endpoints that a processor may be given to.
pub const MAX_PROCESSOR_ENDPOINTS: usize = 8;
/// Idle time after which a load may be given up, unless the manifest says otherwise, milliseconds.
pub const DEFAULT_IDLE_CLAIM_MS: u32 = 5_000;

/// One remote processor.
#[derive(Clone, Debug)]
pub struct Processor<'a> {
    /// The id that clients use.
    pub id: u32,
    /// For people.
    pub name: &'a str,
    /// Chooses the driver.
    pub compatible: &'a str,
    /// The processor's memory.
    pub regions: Vec<Region, MAX_REGIONS>,
    /// Register windows and control pages of the driver; never client memory.
    pub registers: Vec<PhysicalRange, MAX_REGIONS>,
    /// Boot address (device address) of images that name none.
    pub default_boot_address: Option<u32>,
    /// What BOOTSEC means here.
    pub boot_security: BootSecurity,
    /// The endpoints that may use it; empty: all. Everybody may ask for its state.
    pub endpoints: Vec<EndpointId, MAX_PROCESSOR_ENDPOINTS>,
    /// The endpoints that may take it over while it runs, once for each start.
    pub attach_endpoints: Vec<EndpointId, MAX_PROCESSOR_ENDPOINTS>,
    /// Its security counter rises when its owner confirms the firmware that runs, not when that starts.
    pub counter_on_confirm: bool,
}

impl Processor<'_> {
    /// Tells whether an endpoint may load, start, stop and release it.
    #[must_use]
    pub fn is_for(&self, endpoint: EndpointId) -> bool {
        self.endpoints.is_empty() || self.endpoints.contains(&endpoint)
    }
}

/// The board.
#[derive(Clone, Debug)]
pub struct Board<'a> {
    /// The board's name, which images may be signed for; empty: none.
    pub name: &'a str,
    /// In the order of their driver indices.
    pub processors: Vec<Processor<'a>, MAX_PROCESSORS>,
    /// Keys that images are trusted by.
    pub keys: Vec<TrustedKey<'a>, MAX_KEYS>,
    /// Normal-world RAM: client memory must lie in it.
    pub normal_memory: Vec<PhysicalRange, MAX_MEMORY_RANGES>,
    /// Devices inside or beside that: client memory must not touch them.
    pub devices: Vec<PhysicalRange, MAX_MEMORY_RANGES>,
    /// The partition's and the SPMC's own memory.
    pub reserved: Vec<PhysicalRange, MAX_MEMORY_RANGES>,
    /// The integrator accepts that private regions are not enforced by hardware.
    pub accept_no_isolation: bool,
    /// The integrator accepts encrypted images, although their plaintext is not kept from the normal world by hardware.
    pub accept_no_isolation_encrypted: bool,
    /// What encrypted images are decrypted with.
    pub decryption_key: Option<CipherKey<'a>>,
    /// Refuse platform TLVs that are not understood.
    pub strict_platform_tlvs: bool,
    /// A load that its client does not go on with for longer than this may be given up for another client's, milliseconds.
    pub idle_claim_ms: u32,
    /// Endpoints whose LOAD_FW may finish in one request, however long that takes.
    pub one_call_endpoints: Vec<EndpointId, MAX_ONE_CALL_ENDPOINTS>,
}
