//! Who a client is, and the last refusal of each.
use crate::client_memory::EndpointId;
use crate::result::Refused;
use heapless::Vec;

/// Most clients whose last refusal is remembered.
pub const MAX_CLIENTS: usize = 16;

/// The way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// TS-RPC over a shared buffer (door T).
    TsRpc,
    /// Registers of a direct message (door D).
    Direct,
}

/// A client. Endpoint 0 is the kernel and its user space alike; user space can't reach door D, so the door tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The FF-A endpoint that the SPMC says the request came from.
    pub endpoint: EndpointId,
    /// The way it came in.
    pub door: Door,
}

/// One remembered refusal.
#[derive(Clone, Copy, Debug)]
struct Entry {
    caller: Caller,
    refused: Refused,
    /// When it was entered, counted in refusals.
    order: u64,
}

/// The last refusal of up to [`MAX_CLIENTS`] clients. When the table is full, the client whose last refusal is the oldest is
/// forgotten: it then gets the answer "none".
#[derive(Clone, Debug, Default)]
pub struct LastRefusals {
    entries: Vec<Entry, MAX_CLIENTS>,
    next: u64,
}

impl LastRefusals {
    /// Remembers a refusal, in the place of this client's earlier one.
    pub fn remember(&mut self, caller: Caller, refused: Refused) {
        let entry = Entry { caller, refused, order: self.next };
        self.next = self.next.saturating_add(1);
        if let Some(own) = self.entries.iter_mut().find(|old| old.caller == caller) {
            *own = entry;
        } else if self.entries.push(entry).is_err()
            && let Some(oldest) = self.entries.iter_mut().min_by_key(|old| old.order)
        {
            *oldest = entry;
        }
    }

    /// Forgets the refusals of an endpoint, by either door.
    pub fn forget(&mut self, endpoint: EndpointId) {
        self.entries.retain(|entry| entry.caller.endpoint != endpoint);
    }

    /// Returns this client's last refusal.
    #[must_use]
    pub fn of(&self, caller: Caller) -> Option<Refused> {
        self.entries.iter().find(|entry| entry.caller == caller).map(|entry| entry.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoteproc_refusal::Refusal;

    fn client(endpoint: u16) -> Caller {
        Caller { endpoint, door: Door::Direct }
    }

    fn refused(refusal: Refusal) -> Refused {
        Refused { refusal, offset: None }
    }

    #[test]
    fn each_client_sees_its_own_last_refusal() {
        let mut table = LastRefusals::default();
        let user = Caller { endpoint: 0, door: Door::TsRpc };
        table.remember(client(0), refused(Refusal::NotLoaded));
        table.remember(user, refused(Refusal::BadMagic));
        table.remember(client(0), refused(Refusal::IsRunning));
        assert_eq!(table.of(client(0)), Some(refused(Refusal::IsRunning)));
        assert_eq!(table.of(user), Some(refused(Refusal::BadMagic)));
        assert_eq!(table.of(client(1)), None);
    }

    #[test]
    fn a_full_table_forgets_the_oldest_refusal() {
        let mut table = LastRefusals::default();
        for endpoint in 0..MAX_CLIENTS as u16 {
            table.remember(client(endpoint), refused(Refusal::NotLoaded));
        }
        table.remember(client(0), refused(Refusal::BadMagic));
        table.remember(client(999), refused(Refusal::TooShort));
        assert_eq!(table.of(client(1)), None, "the oldest goes");
        assert_eq!(table.of(client(0)), Some(refused(Refusal::BadMagic)));
        assert_eq!(table.of(client(999)), Some(refused(Refusal::TooShort)));
        assert_eq!(table.of(client(2)), Some(refused(Refusal::NotLoaded)));
    }
}
