//! A fair hand-over of the one service between execution contexts: who was answered BUSY has the next turn, for a short time.
//!
//! Without it a client that asks again and again could keep all others out, because nobody waits inside the partition. A context
//! that does not come back in time loses its turn, and for a while gets no other one unless it is served meanwhile: otherwise a client
//! that asks once and goes away again could keep the others out most of the time.
use core::sync::atomic::{AtomicU64, Ordering};

/// Contexts whose losses are told apart; those of another number share a place.
const CONTEXTS: usize = 8;

/// How long a turn is kept, milliseconds: a client asks again after tens of microseconds, or after a sleep of one millisecond.
pub const KEPT: u64 = 5;
/// Bits 7:0: the context, 0 if nobody waits. Above: the millisecond in which the turn is lost.
const CONTEXT_BITS: u32 = 8;
/// For how long a context that has lost its turn gets no other one, milliseconds.
pub const FORGIVEN_AFTER: u64 = 100;

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Turn {
    waiting: AtomicU64,
    /// Of each context the millisecond in which it is forgiven that it has lost its turn.
    lost: [AtomicU64; CONTEXTS],
}

impl Turn {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: AtomicU64::new(0), lost: [const { AtomicU64::new(0) }; CONTEXTS] }
    }

    /// Tells whether a context (numbered from 1) may try now, in this millisecond.
    pub fn admits(&self, context: u32, now: u64) -> bool {
        let (waiting, until) = parts(self.waiting.load(Ordering::Acquire));
        waiting == 0 || waiting == context || now >= until
    }

    /// A context is answered BUSY: the next turn is its own, unless another one has that already or it has lost one lately.
    pub fn wait(&self, context: u32, now: u64) {
        let mut old = self.waiting.load(Ordering::Acquire);
        let (mut waiting, until) = parts(old);
        if waiting != 0 && now >= until {
            if self.waiting.compare_exchange(old, 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
                return;
            }
            self.lose(waiting, now);
            (old, waiting) = (0, 0);
        }
        if (waiting == 0 || waiting == context) && !self.has_lost(context, now) {
            let turn = now.saturating_add(KEPT) << CONTEXT_BITS | u64::from(context & 0xFF);
            // Somebody else who was quicker has the turn.
            let _ = self.waiting.compare_exchange(old, turn, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// A context has had its turn, in time or not.
    pub fn served(&self, context: u32) {
        let old = self.waiting.load(Ordering::Acquire);
        if parts(old).0 == context {
            let _ = self.waiting.compare_exchange(old, 0, Ordering::AcqRel, Ordering::Acquire);
        }
        self.lost(context).store(0, Ordering::Release);
    }

    /// When a context is forgiven.
    fn lost(&self, context: u32) -> &AtomicU64 {
        let [first, ..] = &self.lost;
        self.lost.get(context as usize % CONTEXTS).unwrap_or(first)
    }

    /// A context's turn has passed unused.
    fn lose(&self, context: u32, now: u64) {
        self.lost(context).store(now.saturating_add(FORGIVEN_AFTER), Ordering::Release);
    }

    fn has_lost(&self, context: u32, now: u64) -> bool {
        now < self.lost(context).load(Ordering::Acquire)
    }
}

/// The context that waits, and the millisecond in which it loses its turn.
const fn parts(turn: u64) -> (u32, u64) {
    ((turn & 0xFF) as u32, turn >> CONTEXT_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_busy_comes_next() {
        let turn = Turn::new();
        assert!(turn.admits(1, 100) && turn.admits(2, 100));
        turn.wait(2, 100);
        // A third one does not take the turn away.
        turn.wait(3, 101);
        assert!(!turn.admits(1, 104) && turn.admits(2, 104) && !turn.admits(3, 104));
        turn.served(1);
        assert!(!turn.admits(1, 104));
        turn.served(2);
        assert!(turn.admits(1, 104) && turn.admits(3, 104));
    }

    #[test]
    fn a_turn_is_lost_in_time() {
        let turn = Turn::new();
        turn.wait(2, 100);
        assert!(!turn.admits(1, 100 + KEPT - 1) && turn.admits(1, 100 + KEPT));
        turn.wait(3, 100 + KEPT);
        assert!(!turn.admits(2, 101 + KEPT) && turn.admits(3, 101 + KEPT));
        // Who waits and is busy once more keeps its turn for longer.
        turn.wait(3, 102 + KEPT);
        assert!(!turn.admits(1, 101 + 2 * KEPT) && turn.admits(1, 102 + 2 * KEPT));
    }

    /// Who asks once and goes away keeps the others out once, until it is served or some time has passed.
    #[test]
    fn a_lost_turn_is_not_given_again() {
        let turn = Turn::new();
        let kept_out = |from: u64, to: u64| {
            (from..to)
                .filter(|&now| {
                    // Context 2 makes itself told BUSY, and never comes back.
                    turn.wait(2, now);
                    !turn.admits(1, now)
                })
                .count() as u64
        };
        turn.wait(2, 0);
        assert!(!turn.admits(1, KEPT - 1) && turn.admits(1, KEPT));
        assert_eq!(kept_out(KEPT, KEPT + FORGIVEN_AFTER), 0);
        assert_eq!(kept_out(KEPT + FORGIVEN_AFTER, KEPT + FORGIVEN_AFTER + 1), 1);
        // Another one's turn is not touched by that.
        let now = 2 * (KEPT + FORGIVEN_AFTER);
        turn.wait(3, now);
        assert!(turn.admits(3, now) && !turn.admits(2, now) && !turn.admits(1, now));
        turn.served(3);
        turn.wait(2, now);
        assert!(turn.admits(1, now), "context 2 has a turn again too early");
        turn.served(2);
        turn.wait(2, now);
        assert!(!turn.admits(1, now), "who was served has a turn again");
    }

    /// That others lose their turns, too, makes nobody wait for longer until it is forgiven.
    #[test]
    fn each_is_forgiven_in_its_own_time() {
        let turn = Turn::new();
        turn.wait(2, 0);
        turn.wait(3, KEPT);
        turn.wait(4, 60);
        turn.wait(5, 100);
        assert!(turn.has_lost(2, KEPT + FORGIVEN_AFTER - 1) && turn.has_lost(3, 60 + FORGIVEN_AFTER - 1));
        let now = KEPT + FORGIVEN_AFTER;
        turn.wait(2, now);
        assert!(turn.admits(2, now) && !turn.admits(1, now), "context 2 is not forgiven in time");
    }

    /// A client that asks without a pause, and one that asks every third time: neither waits for long.
    #[test]
    fn nobody_starves() {
        let turn = Turn::new();
        let (mut served, mut longest, mut waits) = ([0; 2], 0, 0);
        for step in 0..3000_u64 {
            let now = step / 10;
            // The greedy one has the service whenever the other one asks, unless it is kept out.
            let greedy = turn.admits(1, now);
            if step % 3 == 0 {
                if greedy {
                    turn.wait(2, now);
                    waits += 1;
                    longest = longest.max(waits);
                } else {
                    assert!(turn.admits(2, now));
                    turn.served(2);
                    served[1] += 1;
                    waits = 0;
                }
            }
            if greedy {
                served[0] += 1;
            }
        }
        assert!(longest <= 1 && served[1] >= 400 && served[0] >= 1000, "{served:?} {longest}");
    }
}
