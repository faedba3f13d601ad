//! Memory that a client shares with the partition: hostile until proven otherwise, and read once.
use heapless::Vec;
use remoteproc_abi::MAX_RANGES;

/// An FF-A endpoint id (DEN0077, section 6.1).
pub type EndpointId = u16;

/// One range of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysicalRange {
    /// First physical address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

/// What a retrieve yielded: the ranges in the order of the share, not yet looked at and not mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retrieved {
    /// In order; byte n of the share is byte n of their concatenation.
    pub ranges: Vec<PhysicalRange, MAX_RANGES>,
    /// The SPMC says that this is normal-world memory (NS bit of the memory attributes).
    pub normal_world: bool,
}

/// Why client memory can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The SPMC knows no such handle for this client and this partition.
    UnknownHandle,
    /// The SPMC's description is malformed, or has wrong attributes.
    Malformed,
    /// More than [`MAX_RANGES`] ranges.
    TooManyRanges,
    /// Reading was aborted by the bus.
    Abort,
    /// The partition has no room for another mapping.
    NoRoom,
    /// The access lies outside the share.
    OutOfBounds,
    /// The handle is held already, by another load of the same endpoint.
    InUse,
    /// The SPMC has no room or no time for it now.
    Busy,
}

/// FF-A memory sharing, as the service needs it: one handle for each load, at most [`MAX_LOADS`](crate::jobs::MAX_LOADS), and the
/// buffers of door T ([`SharedBuffers`]).
pub trait ClientMemory {
    /// Retrieves `handle` from `owner`. Maps nothing. A handle of the same owner that is held is not retrieved again:
    /// [`MemoryError::InUse`]. One that another owner's endpoint has is none of this one's: [`MemoryError::UnknownHandle`].
    ///
    /// # Errors
    /// Says why not; then nothing more is held than before.
    fn retrieve(&mut self, owner: EndpointId, handle: u64, lent: bool) -> Result<Retrieved, MemoryError>;

    /// Maps what was retrieved, after the service has checked it: normal world, never executable.
    ///
    /// # Errors
    /// Says why not; the handle stays held until [`Self::relinquish`].
    fn map(&mut self, handle: u64, retrieved: &Retrieved) -> Result<(), MemoryError>;

    /// Copies bytes in; each byte of the share is read once, whatever the owner does to it meanwhile.
    ///
    /// # Errors
    /// [`MemoryError::Abort`] if the bus aborts, [`MemoryError::OutOfBounds`] outside the share.
    fn read(&mut self, handle: u64, offset: u64, into: &mut [u8]) -> Result<(), MemoryError>;

    /// Unmaps and gives the handle back. Does nothing for a handle that is not held.
    fn relinquish(&mut self, handle: u64);

    /// Returns how many handles are held.
    fn held(&self) -> usize;
}

/// Memory that the partition and a client both read and write: door T's buffers, at most
/// [`MAX_BUFFERS`](crate::buffers::MAX_BUFFERS). Mapped, read and given back as other client memory.
pub trait SharedBuffers: ClientMemory {
    /// Retrieves `handle`, which `owner` has shared with this tag, for reading and writing. Maps nothing. A handle of the same
    /// owner that is held is not retrieved again: [`MemoryError::InUse`]. One that another owner's endpoint has is none of this
    /// one's: [`MemoryError::UnknownHandle`].
    ///
    /// # Errors
    /// Says why not; then nothing more is held than before.
    fn retrieve_buffer(&mut self, owner: EndpointId, handle: u64, tag: u64)
    -> Result<Retrieved, MemoryError>;

    /// Copies bytes out to a buffer that was retrieved for writing.
    ///
    /// # Errors
    /// [`MemoryError::Abort`] if the bus aborts, [`MemoryError::OutOfBounds`] outside the share.
    fn write(&mut self, handle: u64, offset: u64, bytes: &[u8]) -> Result<(), MemoryError>;
}
