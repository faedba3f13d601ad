//! Clients' memory: shares that can be wrong in every way, whose bytes are read once, and which may change at any moment.
use super::{Record, Seen};
use remoteproc_service::buffers::MAX_BUFFERS;
use remoteproc_service::client_memory::{
    ClientMemory, EndpointId, MemoryError, PhysicalRange, Retrieved, SharedBuffers,
};
use remoteproc_service::jobs::MAX_LOADS;
use std::collections::BTreeMap;

/// One share.
#[derive(Clone, Debug)]
pub struct Share {
    pub owner: EndpointId,
    pub lent: bool,
    pub tag: u64,
    pub read_only: bool,
    pub retrieved: Retrieved,
    pub bytes: Vec<u8>,
    /// What the retrieve answers instead.
    pub retrieve_error: Option<MemoryError>,
    /// What mapping answers instead.
    pub map_error: Option<MemoryError>,
    /// Reading a byte at or after this offset aborts.
    pub aborts_at: Option<u64>,
    /// Writing aborts.
    pub write_aborts: bool,
}

struct Held {
    owner: EndpointId,
    handle: u64,
    mapped: bool,
    writable: bool,
    read: Vec<bool>,
}

/// What a hostile client does to its memory before each read: number of the read, and the bytes.
type Hostility = Box<dyn FnMut(usize, &mut Vec<u8>)>;

pub struct FakeClient {
    pub shares: BTreeMap<u64, Share>,
    pub hostility: Option<Hostility>,
    pub reads: usize,
    /// A byte may be read twice: for the control of those who must not.
    pub rereads: bool,
    held: Vec<Held>,
    seen: Record,
}

impl FakeClient {
    pub fn new(seen: Record) -> Self {
        Self { shares: BTreeMap::new(), hostility: None, reads: 0, rereads: false, held: Vec::new(), seen }
    }

    /// Shares bytes at a place that is normal memory on the fake board.
    pub fn share(&mut self, owner: EndpointId, handle: u64, bytes: &[u8]) -> &mut Share {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4096), 0xee);
        let mut retrieved = Retrieved { normal_world: true, ..Retrieved::default() };
        let range = PhysicalRange { start: 0x4100_0000, size: bytes.len() as u64 };
        if range.size > 0 {
            retrieved.ranges.push(range).unwrap();
        }
        let share = Share {
            owner,
            lent: false,
            tag: 0,
            read_only: false,
            retrieved,
            bytes,
            retrieve_error: None,
            map_error: None,
            aborts_at: None,
            write_aborts: false,
        };
        self.shares.insert(handle, share);
        self.shares.get_mut(&handle).unwrap()
    }

    /// What a client writes into its own memory: those bytes may be read again.
    pub fn fill(&mut self, handle: u64, offset: usize, bytes: &[u8]) {
        let range = offset..offset + bytes.len();
        self.shares.get_mut(&handle).unwrap().bytes[range.clone()].copy_from_slice(bytes);
        if let Some(held) = self.held.iter_mut().find(|held| held.handle == handle) {
            held.read[range].fill(false);
        }
    }

    fn find(&mut self, handle: u64) -> &mut Held {
        self.held.iter_mut().find(|held| held.handle == handle).expect("the handle is held")
    }
}

impl ClientMemory for FakeClient {
    fn retrieve(&mut self, owner: EndpointId, handle: u64, lent: bool) -> Result<Retrieved, MemoryError> {
        self.seen.borrow_mut().push(Seen::Retrieve(handle));
        if let Some(held) = self.held.iter().find(|held| held.handle == handle) {
            return Err(if held.owner == owner { MemoryError::InUse } else { MemoryError::UnknownHandle });
        }
        let loads = self.held.iter().filter(|held| !held.writable).count();
        assert!(loads < MAX_LOADS, "one handle for each load");
        let share = self.shares.get(&handle).ok_or(MemoryError::UnknownHandle)?;
        if share.owner != owner || share.lent != lent {
            return Err(MemoryError::UnknownHandle);
        }
        if let Some(error) = share.retrieve_error {
            return Err(error);
        }
        self.held.push(Held {
            owner,
            handle,
            mapped: false,
            writable: false,
            read: vec![false; share.bytes.len()],
        });
        Ok(share.retrieved.clone())
    }

    fn map(&mut self, handle: u64, retrieved: &Retrieved) -> Result<(), MemoryError> {
        self.seen.borrow_mut().push(Seen::Map(handle));
        let share = self.shares[&handle].clone();
        assert_eq!(*retrieved, share.retrieved);
        let held = self.find(handle);
        assert!(!held.mapped, "mapped twice");
        held.mapped = share.map_error.is_none();
        share.map_error.map_or(Ok(()), Err)
    }

    fn read(&mut self, handle: u64, offset: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        self.seen.borrow_mut().push(Seen::ClientRead(handle, offset, into.len()));
        assert!(into.len() <= 4096, "pieces of at most 4 KiB");
        let (start, end) = (offset as usize, offset as usize + into.len());
        let held = self.find(handle);
        assert!(held.mapped, "read before it is mapped");
        let read_before = held.read[start..end].contains(&true);
        held.read[start..end].fill(true);
        assert!(self.rereads || !read_before, "a byte at {start}..{end} is read twice");
        let share = self.shares.get_mut(&handle).unwrap();
        if let Some(hostility) = &mut self.hostility {
            hostility(self.reads, &mut share.bytes);
        }
        self.reads += 1;
        if share.aborts_at.is_some_and(|at| (end as u64) > at) {
            return Err(MemoryError::Abort);
        }
        into.copy_from_slice(&share.bytes[start..end]);
        Ok(())
    }

    fn relinquish(&mut self, handle: u64) {
        self.seen.borrow_mut().push(Seen::Relinquish(handle));
        self.held.retain(|held| held.handle != handle);
    }

    fn held(&self) -> usize {
        self.held.len()
    }
}

impl SharedBuffers for FakeClient {
    fn retrieve_buffer(
        &mut self,
        owner: EndpointId,
        handle: u64,
        tag: u64,
    ) -> Result<Retrieved, MemoryError> {
        let share = self.shares.get(&handle).ok_or(MemoryError::UnknownHandle)?;
        if share.tag != tag || share.read_only {
            return Err(MemoryError::UnknownHandle);
        }
        let buffers = self.held.iter().filter(|held| held.writable).count();
        assert!(buffers < MAX_BUFFERS, "more buffers than there is room for");
        let retrieved = self.retrieve(owner, handle, false)?;
        self.find(handle).writable = true;
        Ok(retrieved)
    }

    fn write(&mut self, handle: u64, offset: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.seen.borrow_mut().push(Seen::ClientWrite(handle, offset, bytes.len()));
        let held = self.find(handle);
        assert!(held.mapped && held.writable, "written without leave");
        let share = self.shares.get_mut(&handle).unwrap();
        if share.write_aborts {
            return Err(MemoryError::Abort);
        }
        let start = offset as usize;
        share.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
