//! What the service knows of one processor: its state, its owner, what is loaded.
use crate::clients::Caller;
use crate::events::Binding;
use crate::hardware::Crash;
use crate::lifecycle::{Event, Input, Pending, State, Verdict, transition};
use crate::regions::Clearing;
use crate::result::Refused;
use crate::seal::{Check, Seal};
use remoteproc_image::provider::Hasher;
use remoteproc_image::reader::ResourceTable;

/// The firmware that a processor's memory holds.
#[cfg_attr(feature = "exploration", derive(Clone))]
pub(crate) struct Firmware {
    /// Digest of header, TLVs and signature.
    pub identity: [u8; 32],
    /// Device address to boot at, if there is one.
    pub boot_address: Option<u32>,
    /// Boot secure.
    pub secure: bool,
    /// Where the resource table is.
    pub resource_table: Option<ResourceTable>,
    /// The image's security counter: the platform's is raised to it once the processor runs.
    pub security_counter: u32,
    /// After a stop, its private memory may be read for a dump.
    pub dump_allowed: bool,
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
#[cfg_attr(feature = "exploration", derive(Clone))]
pub(crate) struct Slot<H: Hasher> {
    state: State,
    pub wait: Option<Wait>,
    pub owner: Option<Caller>,
    pub firmware: Option<Firmware>,
    /// Its memory is being cleared, to be given back.
    pub wipe: Option<Clearing>,
    /// Its private memory is being cleared as a part of a stop: it is held, and nothing else keeps others from reading.
    pub purge: Option<Clearing>,
    /// All of its memory may be read for a dump.
    pub readable: bool,
    /// Why, if a start is what it was found out by: the answer to that start, once the memory is clear.
    pub start_refused: Option<Refused>,
    /// The check before a start, under way.
    pub check: Option<Check<H>>,
    /// When the owner last went on with its load, milliseconds.
    pub touched: u64,
    /// Whom its events are signaled to.
    pub events: Option<Binding>,
    /// Why it does not run any more, if it has crashed.
    pub crash: Crash,
    /// Since its start, another client has become its owner already.
    pub handed_over: bool,
}

impl<H: Hasher> Slot<H> {
    pub const fn new() -> Self {
        Self {
            state: State::Offline,
            wait: None,
            owner: None,
            firmware: None,
            wipe: None,
            purge: None,
            readable: false,
            start_refused: None,
            check: None,
            touched: 0,
            events: None,
            crash: Crash::Unknown,
            handed_over: false,
        }
    }

    pub const fn state(&self) -> State {
        self.state
    }

    /// Tells whether it is nobody's and not clear yet: held, or to be held, and then cleared before anybody has it.
    pub fn is_nobodys(&self) -> bool {
        self.owner.is_none() && self.state != State::Offline
    }

    pub fn pending(&self) -> Option<Pending> {
        if self.is_nobodys() {
            return Some(if self.wipe.is_some() { Pending::Clear } else { Pending::Hold });
        }
        let wipe = self.wipe.is_some().then_some(Pending::Wipe);
        let purge = self.purge.is_some().then_some(Pending::Stop);
        self.wait.map(|wait| wait.pending).or(wipe).or(purge)
    }

    /// Puts the processor into the state that the table gives. What belongs to the old state goes with it. False: this can't happen
    /// here, and nothing has changed.
    pub fn happened(&mut self, event: Event) -> bool {
        let Verdict::Become(state) = transition(self.state, self.pending(), Input::Event(event)) else {
            log::error!("an event makes no sense in {}", self.state);
            return false;
        };
        self.state = state;
        self.wait = None;
        self.wipe = None;
        self.purge = None;
        self.readable = false;
        self.check = None;
        self.crash = Crash::Unknown;
        match event {
            Event::Claimed | Event::ClaimedAgain | Event::WipeFailed => self.firmware = None,
            Event::Wiped | Event::OwnerGone => {
                self.firmware = None;
                self.owner = None;
                self.start_refused = None;
            }
            Event::Started => self.handed_over = false,
            _ => {}
        }
        self.end_foreign_binding();
        true
    }

    /// It has another owner from now on.
    pub fn belongs_to(&mut self, owner: Caller) {
        self.owner = Some(owner);
        self.end_foreign_binding();
    }

    /// What somebody has bound ends with the claim.
    fn end_foreign_binding(&mut self) {
        self.events = self.events.filter(|events| self.owner == Some(events.owner));
    }

    /// From now on the memory is being cleared.
    pub fn begin_wipe(&mut self, start_refused: Option<Refused>) {
        self.wipe = Some(Clearing::default());
        self.readable = false;
        self.start_refused = start_refused;
        self.check = None;
    }

    /// Tells whether this is a load that its owner has not gone on with for more than `limit` milliseconds.
    pub fn is_idle_claim(&self, now: u64, limit: u64) -> bool {
        self.state == State::Loading && now.saturating_sub(self.touched) > limit
    }

    /// Notes that the hardware is busy with `pending`. Tells whether it has been for longer than `limit` milliseconds.
    pub fn waits_too_long(&mut self, pending: Pending, now: u64, limit: u64) -> bool {
        let since = match self.wait {
            Some(wait) if wait.pending == pending => wait.since,
            _ => now,
        };
        self.wait = Some(Wait { pending, since });
        now.saturating_sub(since) > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Door;
    use remoteproc_image::software::SoftwareHasher;

    /// Everything of a slot that an event may change.
    fn all(slot: &Slot<SoftwareHasher>) -> impl PartialEq + core::fmt::Debug + use<> {
        let Slot { wait, owner, firmware, wipe, check, touched, events, crash, .. } = slot;
        (
            slot.state,
            *wait,
            *owner,
            firmware.is_some(),
            wipe.is_some(),
            check.is_some(),
            *touched,
            *events,
            *crash,
        )
    }

    #[test]
    fn what_can_not_happen_changes_nothing() {
        let owner = Caller { endpoint: 3, door: Door::Direct };
        for state in State::ALL {
            for event in Event::ALL {
                let mut slot = Slot::<SoftwareHasher>::new();
                slot.state = state;
                slot.owner = Some(owner);
                slot.events = Some(Binding { owner, notification: 1 });
                slot.wait = Some(Wait { pending: Pending::Stop, since: 5 });
                slot.wipe = Some(Clearing::default());
                slot.crash = Crash::Lockup;
                let identity = [7; 32];
                slot.firmware = Some(Firmware {
                    identity,
                    boot_address: None,
                    secure: false,
                    resource_table: None,
                    dump_allowed: true,
                    security_counter: 0,
                    seal: None,
                });
                let before = all(&slot);
                let possible = transition(state, slot.pending(), Input::Event(event)) != Verdict::Impossible;
                assert_eq!(slot.happened(event), possible, "{state} {event:?}");
                assert_eq!(all(&slot) == before, !possible, "{state} {event:?}");
            }
        }
    }
}
