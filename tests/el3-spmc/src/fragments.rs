//! Descriptors in fragments (DEN0140 1.2, section 2.13): one on its way in, from the sender, and one on its way out, to the borrower.
use heapless::Vec;

use crate::descriptor::{BUFFER_SIZE, DESCRIPTOR_ROOM, Kind};

/// A descriptor that a sender transmits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Handle that the share will have.
    pub handle: u64,
    /// Shared or lent.
    pub kind: Kind,
    /// Bytes of the whole descriptor.
    pub total: usize,
}

/// A descriptor that a borrower fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Handle of the share.
    pub handle: u64,
    /// Bytes that the borrower has been given.
    pub sent: usize,
}

/// Both, with their bytes.
#[derive(Debug)]
pub struct Fragments {
    /// Bytes received.
    pub received: Vec<u8, DESCRIPTOR_ROOM>,
    /// What they will be, while some are missing.
    pub incoming: Option<Incoming>,
    /// Bytes to send.
    pub response: Vec<u8, DESCRIPTOR_ROOM>,
    /// How far they have gone, while some are left.
    pub outgoing: Option<Outgoing>,
}

impl Default for Fragments {
    fn default() -> Self {
        Self::new()
    }
}

impl Fragments {
    /// Nothing on its way.
    pub const fn new() -> Self {
        Self { received: Vec::new(), incoming: None, response: Vec::new(), outgoing: None }
    }

    /// Returns the next fragment of the response after `sent` bytes, and notes whether any are left for `handle`.
    pub fn next(&mut self, handle: u64, sent: usize) -> &[u8] {
        let end = self.response.len().min(sent.saturating_add(BUFFER_SIZE));
        self.outgoing = (end < self.response.len()).then_some(Outgoing { handle, sent: end });
        self.response.get(sent..end).unwrap_or_default()
    }
}
