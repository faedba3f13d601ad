//! Loads under way: what a client's LOAD_FW leaves behind for its next one, and the memory that all of them live in.
use crate::clients::Caller;
use crate::configuration::MAX_PROCESSORS;
use crate::measurements::Measurements;
use crate::processor::Slot;
use crate::result::Refused;
use crate::service::PIECE;
use crate::steps::Step;
use heapless::Vec;
use remoteproc_image::provider::Hasher;
use remoteproc_image::reader::Reader;

/// Most loads under way at once, of all clients together: each has its own copy of the metadata and its own plan.
pub const MAX_LOADS: usize = 3;

/// The client memory that a load reads now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    pub handle: u64,
    /// Offset in the container of its first byte.
    pub offset: u64,
    /// Offset in the container behind its last byte; not beyond the container's end.
    pub end: u64,
}

/// One load under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub caller: Caller,
    /// Index of the processor.
    pub index: usize,
    /// Bytes of the container.
    pub total: u64,
    pub step: Step,
    /// Bytes of the container that are consumed, as the client was told.
    pub done: u64,
    /// Held from its first use until its bytes are consumed; the last one until the load ends.
    pub share: Option<Share>,
    /// Only the image that is loaded already will do.
    pub only_the_same: bool,
    /// The load has failed: this is the answer to its next request, or once the processor's memory is clear.
    pub refused: Option<Refused>,
    /// Id of the key that signed the image, once it has verified.
    pub signer: [u8; 32],
    /// When the client was last heard of, milliseconds.
    pub touched: u64,
}

/// The memory that the service works in: about 100 KiB, so it belongs into a static. All zeros when it is new.
pub struct Storage<H: Hasher> {
    /// One for each load.
    pub(crate) readers: [Reader<H>; MAX_LOADS],
    pub(crate) slots: Vec<Slot<H>, MAX_PROCESSORS>,
    pub(crate) buffer: [u8; PIECE],
    pub(crate) measurements: Measurements,
}

impl<H: Hasher> Storage<H> {
    /// Makes it, empty.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            readers: [const { Reader::new() }; MAX_LOADS],
            slots: Vec::new(),
            buffer: [0; PIECE],
            measurements: Measurements::new(),
        }
    }
}

impl<H: Hasher> Default for Storage<H> {
    fn default() -> Self {
        Self::new()
    }
}
