//! The buffers that clients of door T share: retrieved once, used for any number of calls, and given back when their owner says so.
use crate::client_memory::EndpointId;

/// Most buffers that are held at once.
pub const MAX_BUFFERS: usize = 4;
/// Most of them that one endpoint has.
pub const MAX_BUFFERS_OF_ONE: usize = 3;

/// One buffer. Its ranges have passed the address check; `sp` keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Buffer {
    owner: EndpointId,
    handle: u64,
    /// Bytes.
    size: u64,
}

/// Those that are held, known by owner and handle.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Buffers([Option<Buffer>; MAX_BUFFERS]);

impl Buffers {
    pub const fn new() -> Self {
        Self([None; MAX_BUFFERS])
    }

    /// Returns how many there are.
    pub fn held(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Returns the size of this owner's buffer, bytes; `None`: it has none with this handle.
    pub fn size(&self, owner: EndpointId, handle: u64) -> Option<u64> {
        let mut all = self.0.iter().flatten();
        all.find(|buffer| (buffer.owner, buffer.handle) == (owner, handle)).map(|buffer| buffer.size)
    }

    /// Tells whether there is room for another one of this owner's.
    pub fn has_room(&self, owner: EndpointId) -> bool {
        let own = self.0.iter().flatten().filter(|buffer| buffer.owner == owner).count();
        own < MAX_BUFFERS_OF_ONE && self.0.iter().any(Option::is_none)
    }

    /// Adds one. False: there is no room.
    pub fn add(&mut self, owner: EndpointId, handle: u64, size: u64) -> bool {
        let place = self.0.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some(Buffer { owner, handle, size })).is_some()
    }

    /// Returns the handle of one of this owner's buffers.
    pub fn any_of(&self, owner: EndpointId) -> Option<u64> {
        self.0.iter().flatten().find(|buffer| buffer.owner == owner).map(|buffer| buffer.handle)
    }

    /// Removes this owner's buffer. False: it has none with this handle.
    pub fn remove(&mut self, owner: EndpointId, handle: u64) -> bool {
        let is_it = |buffer: &Buffer| (buffer.owner, buffer.handle) == (owner, handle);
        let place = self.0.iter_mut().find(|place| place.as_ref().is_some_and(is_it));
        place.and_then(Option::take).is_some()
    }
}
