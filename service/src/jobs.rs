//! Loads under way: what a client's LOAD_FW leaves behind for its next one, and the memory that all of them live in.
use crate::client_memory::ClientMemory;
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
    /// Where the container's bytes begin in the memory.
    pub place: u64,
    /// Offset in the container of the byte at that place.
    pub offset: u64,
    /// Offset in the container behind its last byte; not beyond the container's end.
    pub end: u64,
    /// It is a buffer of door T, which its client gives back, and not the load.
    pub is_buffer: bool,
}

impl Share {
    /// The load has no more use for it.
    pub fn let_go<C: ClientMemory>(self, memory: &mut C) {
        if !self.is_buffer {
            memory.relinquish(self.handle);
        }
    }
}

/// Where LOAD_FW says that bytes of the container are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In memory that the load retrieves.
    Memory { handle: u64, lent: bool },
    /// In a buffer that is held.
    Buffer { handle: u64, place: u64, length: u64 },
}

/// One LOAD_FW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    pub source: Source,
    /// Bytes of the container.
    pub total: u64,
    /// Offset in the container of the source's first byte.
    pub offset: u64,
    /// There is no other one to come.
    pub is_all: bool,
}

impl Portion {
    /// Tells whether these are the bytes that a load takes already.
    pub fn is_of(&self, share: Share) -> bool {
        let same = match self.source {
            Source::Memory { handle, .. } => !share.is_buffer && share.handle == handle,
            Source::Buffer { handle, place, length } => {
                share.is_buffer
                    && (share.handle, share.place) == (handle, place)
                    && share.end == self.offset.saturating_add(length).min(self.total)
            }
        };
        same && share.offset == self.offset
    }
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
    /// Held from its first use until its bytes are consumed; the last one until the load ends. Its client may take a buffer away.
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
