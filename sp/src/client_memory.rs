//! Client memory over FF-A: retrieved by handle, read through the copy window, given back.
use crate::ffa::mailbox::{Mailbox, RetrieveError, SIZE};
#[cfg(feature = "control")]
use crate::guards;
use crate::memory::map::World;
use crate::memory::window::{self, WindowError};
use arm_ffa::FfaError;
use heapless::Vec;
use remoteproc_abi::memory_descriptor::{
    ATTRIBUTE_NON_SECURE, DescriptorError, RetrieveRequest, RetrieveResponse,
};
use remoteproc_abi::{FFA_PAGE_SIZE, MAX_RANGES};
use remoteproc_service::buffers::MAX_BUFFERS;
use remoteproc_service::client_memory::{
    ClientMemory, EndpointId, MemoryError, PhysicalRange, Retrieved, SharedBuffers,
};
use remoteproc_service::jobs::MAX_LOADS;
use remoteproc_sp::ranges::locate;
use spin::{Mutex, MutexGuard};

/// Memory attributes, bits 5:4: the memory type.
const MEMORY_TYPE: u16 = 0b11 << 4;
/// The memory type of normal memory.
const MEMORY_TYPE_NORMAL: u16 = 0b10 << 4;
/// Memory type that is not specified.
const MEMORY_TYPE_OPEN: u16 = 0;

/// Most ranges of a buffer of door T: those of whole images are many, these are not.
const MAX_BUFFER_RANGES: usize = 16;

/// A handle that the SPMC counts as retrieved.
struct Held<const RANGES: usize> {
    handle: u64,
    /// Who has shared it: to others it is unknown.
    owner: EndpointId,
    ranges: Vec<PhysicalRange, RANGES>,
    /// The service has looked at the ranges and wants them used.
    usable: bool,
}

/// What [`FfaMemory`] keeps. In a static of its own, so that no stack need hold it.
struct Kept {
    images: Vec<Held<MAX_RANGES>, MAX_LOADS>,
    buffers: Vec<Held<MAX_BUFFER_RANGES>, MAX_BUFFERS>,
    /// What the SPMC has told of the last retrieve.
    description: [u8; SIZE],
}

static KEPT: Mutex<Kept> =
    Mutex::new(Kept { images: Vec::new(), buffers: Vec::new(), description: [0; SIZE] });

/// Client memory: one handle for each load that can be under way, which is read, and the buffers of door T, which are written too.
pub struct FfaMemory {
    mailbox: Mailbox,
    partition: EndpointId,
    kept: &'static mut Kept,
}

impl Kept {
    /// Returns the ranges of a handle that is held, and whether they may be used.
    fn ranges(&self, handle: u64) -> Option<(&[PhysicalRange], bool)> {
        let image = self.images.iter().find(|held| held.handle == handle);
        image.map(|held| (held.ranges.as_slice(), held.usable)).or_else(|| self.buffer(handle))
    }

    /// Returns who has shared a handle that is held.
    fn owner(&self, handle: u64) -> Option<EndpointId> {
        let image = self.images.iter().find(|held| held.handle == handle).map(|held| held.owner);
        image.or_else(|| self.buffers.iter().find(|held| held.handle == handle).map(|held| held.owner))
    }

    /// The same of a buffer.
    fn buffer(&self, handle: u64) -> Option<(&[PhysicalRange], bool)> {
        let buffer = self.buffers.iter().find(|held| held.handle == handle)?;
        Some((buffer.ranges.as_slice(), buffer.usable))
    }
}

/// Keeps what was retrieved, if there is room for so many ranges.
fn keep<const RANGES: usize, const MOST: usize>(
    list: &mut Vec<Held<RANGES>, MOST>,
    (handle, owner): (u64, EndpointId),
    retrieved: &Retrieved,
) -> Result<(), MemoryError> {
    let ranges = Vec::from_slice(&retrieved.ranges).map_err(|_| MemoryError::TooManyRanges)?;
    list.push(Held { handle, owner, ranges, usable: false }).map_err(|_| MemoryError::NoRoom)
}

impl FfaMemory {
    /// Makes it from the mapped buffer pair, of which there is one.
    pub fn new(mailbox: Mailbox, partition: EndpointId) -> Self {
        Self { mailbox, partition, kept: MutexGuard::leak(KEPT.lock()) }
    }

    /// Retrieves memory, and keeps its ranges.
    fn take(&mut self, request: RetrieveRequest) -> Result<Retrieved, MemoryError> {
        let RetrieveRequest { handle, sender, writable, .. } = request;
        if let Some(owner) = self.kept.owner(handle) {
            // What another endpoint has shared is not this one's to retrieve, whether it is held or not.
            return Err(if owner == sender { MemoryError::InUse } else { MemoryError::UnknownHandle });
        }
        let is_full = if writable { self.kept.buffers.is_full() } else { self.kept.images.is_full() };
        if is_full {
            return Err(MemoryError::NoRoom);
        }
        let length = self.mailbox.retrieve(request, &mut self.kept.description).map_err(|error| {
            log::warn!("memory {handle:#x} of {sender:#06x} can't be retrieved: {error}");
            match error {
                RetrieveError::Refused(error) if error.is(FfaError::NoMemory) || error.is(FfaError::Busy) => {
                    MemoryError::Busy
                }
                RetrieveError::Refused(_) => MemoryError::UnknownHandle,
                RetrieveError::TooLong => MemoryError::TooManyRanges,
                RetrieveError::Descriptor(_) => MemoryError::Malformed,
            }
        })?;
        let kept = self.parse(&request, length).and_then(|retrieved| {
            if writable {
                keep(&mut self.kept.buffers, (handle, sender), &retrieved)?;
            } else {
                keep(&mut self.kept.images, (handle, sender), &retrieved)?;
            }
            Ok(retrieved)
        });
        if kept.is_err() {
            self.mailbox.relinquish(handle);
        }
        #[cfg(feature = "control")]
        if kept.is_ok() && !writable && guards::lets_go(handle) {
            self.mailbox.relinquish(handle);
        }
        kept
    }

    /// Returns the physical address of a byte of a handle that may be used, and how many of `most` bytes follow it in its range.
    fn place(
        &self,
        handle: u64,
        offset: u64,
        most: usize,
        to_write: bool,
    ) -> Result<(u64, usize), MemoryError> {
        let held = if to_write { self.kept.buffer(handle) } else { self.kept.ranges(handle) };
        let (ranges, true) = held.ok_or(MemoryError::UnknownHandle)? else {
            return Err(MemoryError::UnknownHandle);
        };
        let (address, available) = locate(ranges, offset).ok_or(MemoryError::OutOfBounds)?;
        Ok((address, usize::try_from(available).map_or(most, |available| available.min(most))))
    }

    /// Reads the description of a retrieve.
    fn parse(&self, request: &RetrieveRequest, length: usize) -> Result<Retrieved, MemoryError> {
        let bytes = self.kept.description.get(..length).ok_or(MemoryError::Malformed)?;
        let RetrieveRequest { handle, sender: owner, lent, writable, .. } = *request;
        let response = RetrieveResponse::parse(bytes).map_err(|error| match error {
            DescriptorError::TooManyRanges => MemoryError::TooManyRanges,
            _ => MemoryError::Malformed,
        })?;
        // The owner of lent memory has to leave its type open, and Hafnium repeats that. It is read as normal memory either way.
        let memory_type = response.attributes & MEMORY_TYPE;
        let expected = response.handle == handle
            && response.sender == owner
            && response.receiver == self.partition
            && (memory_type == MEMORY_TYPE_NORMAL || lent && memory_type == MEMORY_TYPE_OPEN)
            && (response.is_writable() || !writable);
        if !expected {
            return Err(MemoryError::Malformed);
        }
        let mut ranges = Vec::new();
        for range in response.ranges() {
            let size =
                u64::from(range.page_count).checked_mul(FFA_PAGE_SIZE).ok_or(MemoryError::Malformed)?;
            ranges
                .push(PhysicalRange { start: range.address, size })
                .map_err(|_| MemoryError::TooManyRanges)?;
        }
        Ok(Retrieved { ranges, normal_world: response.attributes & ATTRIBUTE_NON_SECURE != 0 })
    }
}

impl ClientMemory for FfaMemory {
    fn retrieve(&mut self, owner: EndpointId, handle: u64, lent: bool) -> Result<Retrieved, MemoryError> {
        let receiver = self.partition;
        self.take(RetrieveRequest { handle, sender: owner, receiver, tag: 0, lent, writable: false })
    }

    fn map(&mut self, handle: u64, retrieved: &Retrieved) -> Result<(), MemoryError> {
        let (ranges, _) = self.kept.ranges(handle).ok_or(MemoryError::UnknownHandle)?;
        // The ranges that were checked are the ranges that are used, and they are the normal world's: the window maps them so.
        if ranges != retrieved.ranges || !retrieved.normal_world {
            return Err(MemoryError::Malformed);
        }
        let images = self.kept.images.iter_mut().filter(|held| held.handle == handle);
        images.for_each(|held| held.usable = true);
        let buffers = self.kept.buffers.iter_mut().filter(|held| held.handle == handle);
        buffers.for_each(|held| held.usable = true);
        Ok(())
    }

    fn read(&mut self, handle: u64, offset: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        #[cfg(feature = "fault-injection")]
        crate::fault::reach(crate::fault::Point::ClientRead);
        let mut offset = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let (address, length) = self.place(handle, offset, rest.len(), false)?;
            let (part, tail) = rest.split_at_mut(length);
            window::read(address, World::Normal, part).map_err(error_of)?;
            offset = offset.checked_add(length as u64).ok_or(MemoryError::OutOfBounds)?;
            rest = tail;
        }
        Ok(())
    }

    fn relinquish(&mut self, handle: u64) {
        let Kept { images, buffers, .. } = &mut *self.kept;
        if let Some(index) = images.iter().position(|held| held.handle == handle) {
            images.swap_remove(index);
            #[cfg(feature = "control")]
            if guards::has_let_go(handle) {
                return;
            }
        } else if let Some(index) = buffers.iter().position(|held| held.handle == handle) {
            buffers.swap_remove(index);
        } else {
            return;
        }
        self.mailbox.relinquish(handle);
    }

    fn held(&self) -> usize {
        self.kept.images.len().saturating_add(self.kept.buffers.len())
    }
}

impl SharedBuffers for FfaMemory {
    fn retrieve_buffer(
        &mut self,
        owner: EndpointId,
        handle: u64,
        tag: u64,
    ) -> Result<Retrieved, MemoryError> {
        let receiver = self.partition;
        self.take(RetrieveRequest { handle, sender: owner, receiver, tag, lent: false, writable: true })
    }

    fn write(&mut self, handle: u64, offset: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let mut offset = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (address, length) = self.place(handle, offset, rest.len(), true)?;
            let (part, tail) = rest.split_at(length);
            window::write(address, part).map_err(error_of)?;
            offset = offset.checked_add(length as u64).ok_or(MemoryError::OutOfBounds)?;
            rest = tail;
        }
        Ok(())
    }
}

/// Why a copy has failed, as the service hears it.
fn error_of(error: WindowError) -> MemoryError {
    match error {
        WindowError::Abort => MemoryError::Abort,
        WindowError::Address => MemoryError::OutOfBounds,
    }
}
