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

#[test]
fn memory_that_turns_into_another_signed_image() {
    // The other image is valid too: any mixture of the two must be refused, the pure ones load.
    let other = second();
    for turn in 0..=reads() {
        let mut bench = Bench::new();
        let image = other.clone();
        bench.client.hostility = Some(Box::new(move |read, bytes| {
            if read == turn {
                let length = image.len().min(bytes.len());
                bytes[..length].copy_from_slice(&image[..length]);
            }
        }));
        let result = bench.load(KERNEL, M33, &sample()).tee_result();
        assert_signed_or_nothing(&mut bench, result);
        assert!(turn == reads() || result != Some(TeeResult::Success), "turned at read {turn}");
    }
}

#[test]
fn memory_that_changes_after_each_byte_was_read_does_not_matter() {
    // Everything behind the reader is spoilt at once; a second look anywhere would meet it.
    let mut bench = Bench::new();
    let seen = bench.seen.clone();
    bench.client.hostility = Some(Box::new(move |_, bytes| {
        let offset = seen.borrow().iter().rev().find_map(|seen| match seen {
            Seen::ClientRead(_, offset, _) => Some(*offset as usize),
            _ => None,
        });
        bytes[..offset.unwrap()].fill(0x66);
    }));
    succeeded(bench.load(KERNEL, M33, &sample()));
    assert_signed_or_nothing(&mut bench, Some(TeeResult::Success));
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
