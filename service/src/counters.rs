//! Counts of what was done since boot: evidence for tests and measurements, never an input to a decision.

/// Counts since boot. They saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Firmware loaded from its bytes.
    pub loads: u64,
    /// LOAD_FW answered at once because the same image was loaded already.
    pub repeated_loads: u64,
    /// Requests refused.
    pub refusals: u64,
    /// Signatures checked, good and bad.
    pub signature_checks: u64,
    /// Processors released from reset.
    pub starts: u64,
    /// Bytes read from clients' memory, metadata and images together.
    pub client_bytes_read: u64,
    /// Bytes of the images among them.
    pub segment_bytes_read: u64,
}
