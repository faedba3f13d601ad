//! Client memory over FF-A: retrieved by handle, read through the copy window, given back.
use crate::ffa::mailbox::{Mailbox, RetrieveError, SIZE};
use crate::memory::map::World;
use crate::memory::window::{self, WindowError};
use arm_ffa::FfaError;
use heapless::Vec;
use remoteproc_abi::memory_descriptor::{ATTRIBUTE_NON_SECURE, DescriptorError, RetrieveResponse};
use remoteproc_abi::{FFA_PAGE_SIZE, MAX_RANGES};
use remoteproc_service::client_memory::{ClientMemory, EndpointId, MemoryError, PhysicalRange, Retrieved};
use remoteproc_service::jobs::MAX_LOADS;
use remoteproc_sp::ranges::locate;
use spin::{Mutex, MutexGuard};

/// Memory attributes, bits 5:4: the memory type.
const MEMORY_TYPE: u16 = 0b11 << 4;
/// The memory type of normal memory.
const MEMORY_TYPE_NORMAL: u16 = 0b10 << 4;
/// Memory type that is not specified.
const MEMORY_TYPE_OPEN: u16 = 0;

/// A handle that the SPMC counts as retrieved.
struct Held {
    handle: u64,
    ranges: Vec<PhysicalRange, MAX_RANGES>,
    /// The service has looked at the ranges and wants them read.
    usable: bool,
}

/// What [`FfaMemory`] keeps. In a static of its own, so that boot's stack need not hold it.
struct Kept {
    held: Vec<Held, MAX_LOADS>,
    description: [u8; SIZE],
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { held: Vec::new(), description: [0; SIZE] });

/// Client memory; one handle for each load that can be under way.
pub struct FfaMemory {
    mailbox: Mailbox,
    partition: EndpointId,
    held: &'static mut Vec<Held, MAX_LOADS>,
    description: &'static mut [u8; SIZE],
}

impl FfaMemory {
    /// Makes it from the mapped buffer pair, of which there is one.
    pub fn new(mailbox: Mailbox, partition: EndpointId) -> Self {
        let Kept { held, description } = MutexGuard::leak(KEPT.lock());
        Self { mailbox, partition, held, description }
    }

    /// Reads the description of a retrieve.
    fn parse(
        &self,
        owner: EndpointId,
        handle: u64,
        lent: bool,
        length: usize,
    ) -> Result<Retrieved, MemoryError> {
        let bytes = self.description.get(..length).ok_or(MemoryError::Malformed)?;
        let response = RetrieveResponse::parse(bytes).map_err(|error| match error {
            DescriptorError::TooManyRanges => MemoryError::TooManyRanges,
            _ => MemoryError::Malformed,
        })?;
        // The owner of lent memory has to leave its type open, and Hafnium repeats that. It is read as normal memory either way.
        let memory_type = response.attributes & MEMORY_TYPE;
        let expected = response.handle == handle
            && response.sender == owner
            && response.receiver == self.partition
            && (memory_type == MEMORY_TYPE_NORMAL || lent && memory_type == MEMORY_TYPE_OPEN);
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
        if self.held.iter().any(|held| held.handle == handle) {
            return Err(MemoryError::InUse);
        }
        if self.held.is_full() {
            return Err(MemoryError::NoRoom);
        }
        let length = self.mailbox.retrieve(owner, handle, lent, self.description).map_err(|error| {
            log::warn!("memory {handle:#x} of {owner:#06x} can't be retrieved: {error}");
            match error {
                RetrieveError::Refused(error) if error.is(FfaError::NoMemory) || error.is(FfaError::Busy) => {
                    MemoryError::NoRoom
                }
                RetrieveError::Refused(_) => MemoryError::UnknownHandle,
                RetrieveError::TooLong => MemoryError::TooManyRanges,
                RetrieveError::Descriptor(_) => MemoryError::Malformed,
            }
        })?;
        match self.parse(owner, handle, lent, length) {
            Ok(retrieved) => {
                let held = Held { handle, ranges: retrieved.ranges.clone(), usable: false };
                // There is room: that was looked at before.
                let _ = self.held.push(held);
                Ok(retrieved)
            }
            Err(error) => {
                self.mailbox.relinquish(handle);
                Err(error)
            }
        }
    }

    fn map(&mut self, handle: u64, retrieved: &Retrieved) -> Result<(), MemoryError> {
        let held =
            self.held.iter_mut().find(|held| held.handle == handle).ok_or(MemoryError::UnknownHandle)?;
        // The ranges that were checked are the ranges that are read, and they are the normal world's: the window maps them so.
        if held.ranges != retrieved.ranges || !retrieved.normal_world {
            return Err(MemoryError::Malformed);
        }
        held.usable = true;
        Ok(())
    }

    fn read(&mut self, handle: u64, offset: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        #[cfg(feature = "fault-injection")]
        crate::fault::reach(crate::fault::Point::ClientRead);
        let held = self
            .held
            .iter()
            .find(|held| held.handle == handle && held.usable)
            .ok_or(MemoryError::UnknownHandle)?;
        let mut offset = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let (address, available) = locate(&held.ranges, offset).ok_or(MemoryError::OutOfBounds)?;
            let length = usize::try_from(available).map_or(rest.len(), |available| available.min(rest.len()));
            let (part, tail) = rest.split_at_mut(length);
            window::read(address, World::Normal, part).map_err(|error| match error {
                WindowError::Abort => MemoryError::Abort,
                WindowError::Address => MemoryError::OutOfBounds,
            })?;
            offset = offset.checked_add(length as u64).ok_or(MemoryError::OutOfBounds)?;
            rest = tail;
        }
        Ok(())
    }

    fn relinquish(&mut self, handle: u64) {
        if let Some(index) = self.held.iter().position(|held| held.handle == handle) {
            self.held.swap_remove(index);
            self.mailbox.relinquish(handle);
        }
    }

    fn held(&self) -> usize {
        self.held.len()
    }
}
