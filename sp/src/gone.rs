//! Virtual machines that are gone and whose things are not taken away yet: one bit for each id that there can be, so that any number
//! of them finds room while another execution context has the service. And whose requests are under way: what such a machine asked
//! before must not be done afterwards, because its id may be another one's by then.
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Ids of virtual machines have 15 bits.
const WORDS: usize = (1 << 15) / 64;

/// Execution contexts at most.
const CONTEXTS: usize = 8;

/// In place of an endpoint's id: its request is to be dropped.
const STALE: u32 = u32::MAX;
/// In its place, too: the execution context is at the SPMC. It may have come back, and may have been stopped before it could say for
/// whom.
const WAITS: u32 = u32::MAX - 1;
/// The same, and several endpoints have gone meanwhile.
const WAITS_FOR_ANY: u32 = u32::MAX - 2;
/// Bit of an id: the same, and this one has gone meanwhile.
const WAITS_FOR: u32 = 1 << 31;

/// The ids.
#[derive(Debug)]
pub struct Gone {
    /// There may be a bit that is set.
    due: AtomicBool,
    ids: [AtomicU64; WORDS],
    /// Of each execution context the endpoint, plus one, whose request it serves, or one of the values above; 0 if it never was at
    /// the SPMC.
    clients: [AtomicU32; CONTEXTS],
}

impl Gone {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            due: AtomicBool::new(false),
            ids: [const { AtomicU64::new(0) }; WORDS],
            clients: [const { AtomicU32::new(0) }; CONTEXTS],
        }
    }

    /// An execution context, by its place, goes to the SPMC.
    pub fn wait(&self, place: usize) {
        if let Some(client) = self.clients.get(place) {
            client.store(WAITS, Ordering::SeqCst);
        }
    }

    /// An execution context, by its place, begins with an endpoint's request. Where the endpoint was gone since the context went to
    /// the SPMC, nobody knows whether it had asked before that. Then the request is dropped, if whoever has the id now
    /// `asks_again`.
    pub fn begin(&self, place: usize, id: u16, asks_again: bool) {
        let Some(client) = self.clients.get(place) else { return };
        let whose = u32::from(id).saturating_add(1);
        let begun = |old: u32| {
            let in_doubt = [WAITS_FOR_ANY, WAITS_FOR | whose].contains(&old);
            Some(if in_doubt && asks_again { STALE } else { whose })
        };
        let _ = client.fetch_update(Ordering::SeqCst, Ordering::SeqCst, begun);
    }

    /// Tells whether the endpoint whose request an execution context serves is gone since that began. Only who has the service may
    /// rely on a no: whoever is noted later is taken by the next one.
    pub fn is_stale(&self, place: usize) -> bool {
        self.clients.get(place).is_none_or(|client| client.load(Ordering::SeqCst) == STALE)
    }

    /// Notes an id. False: it is no virtual machine's.
    pub fn note(&self, id: u16) -> bool {
        let Some(word) = self.ids.get(usize::from(id / 64)) else { return false };
        // Before the bit: once that is taken, none of these requests may be served any more.
        let whose = u32::from(id).saturating_add(1);
        let gone = |old: u32| match old {
            WAITS => Some(WAITS_FOR | whose),
            STALE | WAITS_FOR_ANY => None,
            _ if old == whose => Some(STALE),
            _ if old & WAITS_FOR != 0 && old != WAITS_FOR | whose => Some(WAITS_FOR_ANY),
            _ => None,
        };
        for client in &self.clients {
            let _ = client.fetch_update(Ordering::SeqCst, Ordering::SeqCst, gone);
        }
        word.fetch_or(1 << (id % 64), Ordering::SeqCst);
        // After the bit: whoever finds this unset has found the bit, or leaves both to the next one.
        self.due.store(true, Ordering::SeqCst);
        true
    }

    /// Tells whether there may be somebody.
    pub fn is_due(&self) -> bool {
        self.due.load(Ordering::SeqCst)
    }

    /// Takes all that are noted, one by one.
    pub fn take(&self, mut work: impl FnMut(u16)) {
        if !self.due.swap(false, Ordering::SeqCst) {
            return;
        }
        for (first, word) in (0..).step_by(64).zip(&self.ids) {
            // Most are empty, and a load costs less than a swap.
            if word.load(Ordering::SeqCst) == 0 {
                continue;
            }
            let bits = word.swap(0, Ordering::SeqCst);
            (0..64_u16).filter(|bit| bits >> bit & 1 != 0).for_each(|bit| work(first | bit));
        }
    }
}

impl Default for Gone {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(gone: &Gone) -> Vec<u16> {
        let mut taken = Vec::new();
        gone.take(|id| taken.push(id));
        taken
    }

    #[test]
    fn each_that_is_noted_is_taken_once() {
        let gone = Gone::new();
        assert!(!gone.is_due() && taken(&gone).is_empty());
        for id in [7, 1, 0x7FFF, 63, 64, 1] {
            assert!(gone.note(id));
        }
        assert!(gone.is_due());
        assert_eq!(taken(&gone), [1, 7, 63, 64, 0x7FFF]);
        assert!(!gone.is_due() && taken(&gone).is_empty());
    }

    #[test]
    fn there_is_room_for_all_of_them() {
        let gone = Gone::new();
        assert!((0..1 << 15).all(|id| gone.note(id)));
        assert_eq!(taken(&gone), (0..1 << 15).collect::<Vec<_>>());
        assert!(!gone.note(1 << 15) && !gone.note(0xFFFF), "no virtual machines");
    }

    #[test]
    fn who_is_noted_meanwhile_is_left_to_the_next_one_at_the_latest() {
        let gone = Gone::new();
        gone.note(5);
        let mut taken_first = Vec::new();
        gone.take(|id| {
            taken_first.push(id);
            gone.note(3);
        });
        assert!(gone.is_due());
        assert_eq!((taken_first, taken(&gone)), (vec![5], vec![3]));
    }

    #[test]
    fn what_was_asked_before_is_dropped() {
        let gone = Gone::new();
        gone.begin(0, 7, true);
        gone.begin(3, 8, true);
        gone.begin(7, 7, true);
        assert!(!gone.is_stale(0) && !gone.is_stale(3) && !gone.is_stale(7));
        gone.note(7);
        assert!(gone.is_stale(0) && !gone.is_stale(3) && gone.is_stale(7));
        // The next one with this id is another machine.
        gone.begin(0, 7, true);
        assert!(!gone.is_stale(0) && gone.is_stale(7));
        gone.begin(8, 7, true);
        assert!(gone.is_stale(8), "there are eight places");
    }

    /// A request that came in before its machine was gone, in a context that was stopped before it could say so.
    #[test]
    fn what_may_have_been_asked_before_is_dropped_once() {
        let gone = Gone::new();
        (0..3).for_each(|place| gone.wait(place));
        gone.note(7);
        gone.note(7);
        gone.begin(0, 7, true);
        gone.begin(1, 8, true);
        assert!(gone.is_stale(0) && !gone.is_stale(1));
        gone.wait(0);
        gone.note(7);
        gone.begin(0, 7, false);
        assert!(!gone.is_stale(0), "who does not ask again is served");
        // One that has gone to the SPMC since then has come back with what was asked later.
        gone.wait(0);
        gone.begin(0, 7, true);
        assert!(!gone.is_stale(0));
        // Two are gone: it may be either's.
        gone.note(9);
        gone.begin(2, 11, true);
        assert!(gone.is_stale(2));
        gone.wait(2);
        gone.begin(2, 0x7FFF, true);
        assert!(!gone.is_stale(2));
        gone.note(0x7FFF);
        assert!(gone.is_stale(2) && !gone.is_stale(0));
    }
}
