//! A client that changes its memory between any two reads: what is loaded is what was signed, or nothing.
mod support;

use proptest::prelude::*;
use proptest::sample::Index;
use remoteproc_abi::result::TeeResult;
use remoteproc_service::lifecycle::State;
use std::sync::OnceLock;
use support::*;

/// The window after an honest load of the sample.
fn honest() -> &'static [u8] {
    static WINDOW: OnceLock<Vec<u8>> = OnceLock::new();
    WINDOW.get_or_init(|| {
        let mut bench = Bench::new();
        succeeded(bench.load(KERNEL, M33, &sample()));
        bench.machine().memory.bytes.clone()
    })
}

/// After a load from hostile memory: either the signed firmware and nothing else, or no firmware at all.
#[track_caller]
fn assert_signed_or_nothing(bench: &mut Bench, result: Option<TeeResult>) {
    if result == Some(TeeResult::Success) {
        assert_eq!(bench.state(), State::Loaded);
        assert!(bench.machine().memory.bytes == honest(), "something is loaded that was not signed");
    } else {
        assert_eq!(bench.state(), State::Offline);
        if !bench.machine().memory.is_untouched() {
            bench.assert_clear();
        }
    }
}

/// Number of reads of an honest load.
fn reads() -> usize {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &sample()));
    bench.client.reads
}

/// What happens to the memory just before a read. The read's first byte and the byte behind its last one are known.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// All of it becomes another image that is validly signed.
    AnotherImage,
    /// Everything that was read before is spoilt: whoever looks again would notice.
    AllBehind,
    /// Everything that was not read yet is spoilt.
    AllAhead,
    /// The read's first byte, for good.
    First,
    /// The read's last byte, for good.
    Last,
    /// The read's first byte, for this read only: who compares later would see nothing.
    FirstForOnce,
    /// The same with the last byte.
    LastForOnce,
}

impl Change {
    const ALL: [Self; 7] = [
        Self::AnotherImage,
        Self::AllBehind,
        Self::AllAhead,
        Self::First,
        Self::Last,
        Self::FirstForOnce,
        Self::LastForOnce,
    ];

    /// Before read `turn` this change happens; before the next one, what was for once is undone.
    fn at(self, turn: usize, seen: Record) -> impl FnMut(usize, &mut Vec<u8>) {
        let other = second();
        let mut undo = None;
        move |read, bytes: &mut Vec<u8>| {
            if let Some((at, byte)) = undo.take() {
                bytes[at] = byte;
            }
            if read != turn {
                return;
            }
            let (start, end) = last_read(&seen);
            let mut flip = |at: usize, once: bool| {
                undo = once.then_some((at, bytes[at]));
                bytes[at] ^= 0x40;
            };
            match self {
                Self::AnotherImage => {
                    let length = other.len().min(bytes.len());
                    bytes[..length].copy_from_slice(&other[..length]);
                }
                Self::AllBehind => bytes[..start].fill(0x66),
                Self::AllAhead => bytes[start..].fill(0x66),
                Self::First => flip(start, false),
                Self::Last => flip(end - 1, false),
                Self::FirstForOnce => flip(start, true),
                Self::LastForOnce => flip(end - 1, true),
            }
        }
    }
}

/// First byte of the read that is about to be served, and the byte behind it.
fn last_read(seen: &Record) -> (usize, usize) {
    let seen = seen.borrow();
    let read = seen.iter().rev().find_map(|seen| match seen {
        Seen::ClientRead(_, offset, size) => Some((*offset as usize, *offset as usize + size)),
        _ => None,
    });
    read.expect("this is a read")
}

/// Every change at every read, in turn. Nothing is ever loaded but what was signed; and some loads do succeed, so that it was not for
/// want of loads.
#[test]
fn memory_that_changes_at_any_read() {
    let reads = reads();
    let (mut accepted, mut refused) = (0, 0);
    for turn in 0..reads {
        for change in Change::ALL {
            let mut bench = Bench::new();
            bench.client.hostility = Some(Box::new(change.at(turn, bench.seen.clone())));
            let result = bench.load(KERNEL, M33, &sample()).tee_result();
            assert_signed_or_nothing(&mut bench, result);
            let loads = result == Some(TeeResult::Success);
            match change {
                Change::AllBehind => assert!(loads, "what was read is not looked at again, at read {turn}"),
                Change::AnotherImage => assert!(!loads, "a mixture of two images, at read {turn}"),
                _ => {}
            }
            if loads {
                accepted += 1;
                succeeded(bench.start(KERNEL));
            } else {
                refused += 1;
            }
            bench.assert_nothing_left();
        }
    }
    println!(
        "{reads} reads, {} changes at each: {accepted} loads accepted, {refused} refused",
        Change::ALL.len()
    );
    assert!(accepted >= reads && refused >= reads, "{accepted} accepted, {refused} refused");
}

/// The same with a service that copies the segments once more after it has hashed them: it loads what nobody signed.
#[cfg(feature = "exploration")]
#[test]
fn control_a_second_look_is_found() {
    let mut holes = 0;
    for turn in 0..2 * reads() {
        let mut bench = Bench::new();
        bench.service.remove(Some(remoteproc_service::Guard::CopyOnce));
        bench.client.rereads = true;
        bench.client.hostility = Some(Box::new(Change::First.at(turn, bench.seen.clone())));
        let result = bench.load(KERNEL, M33, &sample()).tee_result();
        let is_signed = bench.machine().memory.bytes == honest();
        holes += usize::from(result == Some(TeeResult::Success) && !is_signed);
    }
    println!("with a second look at client memory: {holes} loads of what was not signed");
    assert!(holes > 0, "the hole is not found");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Bytes flip at any places before any reads.
    #[test]
    fn flipping_bytes(flips in prop::collection::vec((0usize..8, any::<Index>(), 1u8..), 1..4)) {
        let mut bench = Bench::new();
        let length = sample().len();
        bench.client.hostility = Some(Box::new(move |read, bytes| {
            for (at, index, change) in &flips {
                if read == *at {
                    bytes[index.index(length)] ^= change;
                }
            }
        }));
        let result = bench.load(KERNEL, M33, &sample()).tee_result();
        assert_signed_or_nothing(&mut bench, result);
    }
}

#[test]
fn every_read_is_counted() {
    let mut bench = Bench::new();
    let image = sample();
    succeeded(bench.load(KERNEL, M33, &image));
    assert_eq!(bench.service.counters().client_bytes_read, image.len() as u64, "each byte once");
}
