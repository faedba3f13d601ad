//! What the service knows of one processor: its state, its owner, what is loaded.
use crate::clients::Caller;
use crate::lifecycle::{Event, Input, Pending, State, Verdict, transition};
use crate::seal::Seal;
use remoteproc_image::reader::ResourceTable;

/// Longest that the hardware may be busy with one thing before it counts as failed, milliseconds.
pub const HARDWARE_LIMIT_MS: u64 = 5_000;

/// The firmware that a processor's memory holds.
#[derive(Debug)]
pub(crate) struct Firmware {
    /// Digest of header, TLVs and signature.
    pub identity: [u8; 32],
    /// Device address to boot at, if there is one.
    pub boot_address: Option<u32>,
    /// Boot secure.
    pub secure: bool,
    /// Where the resource table is.
    pub resource_table: Option<ResourceTable>,
    /// What the private segments have to hash to, where the hardware does not keep others out of them.
    pub seal: Option<Seal>,
}

/// Something that the hardware has been told and has not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub pending: Pending,
    /// When it was told, milliseconds.
    pub since: u64,
}

/// One processor, as the service sees it.
#[derive(Debug)]
pub(crate) struct Slot {
    state: State,
    pub wait: Option<Wait>,
    pub owner: Option<Caller>,
    pub firmware: Option<Firmware>,
}

impl Slot {
    pub const fn new() -> Self {
        Self { state: State::Offline, wait: None, owner: None, firmware: None }
    }

    pub const fn state(&self) -> State {
        self.state
    }

    pub fn pending(&self) -> Option<Pending> {
        self.wait.map(|wait| wait.pending)
    }

    /// Puts the processor into the state that the table gives. What belongs to the old state goes with it.
    pub fn happened(&mut self, event: Event) {
        match transition(self.state, self.pending(), Input::Event(event)) {
            Verdict::Become(state) => self.state = state,
            _ => log::error!("an event makes no sense in {}", self.state),
        }
        self.wait = None;
        match event {
            Event::Claimed | Event::WipeFailed => self.firmware = None,
            Event::Wiped => {
                self.firmware = None;
                self.owner = None;
            }
            _ => {}
        }
    }

    /// Notes that the hardware is busy with `pending`. Tells whether it has been for too long.
    pub fn waits_too_long(&mut self, pending: Pending, now: u64) -> bool {
        let since = match self.wait {
            Some(wait) if wait.pending == pending => wait.since,
            _ => now,
        };
        self.wait = Some(Wait { pending, since });
        now.saturating_sub(since) > HARDWARE_LIMIT_MS
    }
}
