//! The order of hardware calls: what has to come before what.
mod support;

use remoteproc_service::hardware::Isolation;
use remoteproc_service::lifecycle::State;
use support::*;

/// Position of the first call that matches.
#[track_caller]
fn first(seen: &[Seen], what: impl Fn(&Seen) -> bool) -> usize {
    seen.iter().position(what).expect("it happened")
}

/// Position of the last call that matches.
#[track_caller]
fn last(seen: &[Seen], what: impl Fn(&Seen) -> bool) -> usize {
    seen.iter().rposition(what).expect("it happened")
}

fn isolates(to: Isolation) -> impl Fn(&Seen) -> bool {
    move |seen| matches!(seen, Seen::Isolate(0, _, isolation) if *isolation == to)
}

fn count(seen: &[Seen], what: impl Fn(&Seen) -> bool) -> usize {
    seen.iter().filter(|seen| what(seen)).count()
}

const IS_HOLD: fn(&Seen) -> bool = |seen| matches!(seen, Seen::Hold(0));
const IS_CLEAR: fn(&Seen) -> bool = |seen| matches!(seen, Seen::Clear(..));
const IS_WRITE: fn(&Seen) -> bool = |seen| matches!(seen, Seen::Write(..));
const IS_READ: fn(&Seen) -> bool = |seen| matches!(seen, Seen::Read(..));
const IS_COMPLETE: fn(&Seen) -> bool = |seen| matches!(seen, Seen::CompleteWrites);
const IS_RELEASE: fn(&Seen) -> bool = |seen| matches!(seen, Seen::Release(..));

#[test]
fn a_load_holds_closes_clears_writes_hashes_completes_opens() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &sample()));
    let seen = bench.take_seen();
    assert!(first(&seen, IS_HOLD) < first(&seen, isolates(Isolation::Loading)));
    assert!(last(&seen, isolates(Isolation::Loading)) < first(&seen, IS_CLEAR));
    assert!(last(&seen, IS_CLEAR) < first(&seen, IS_WRITE));
    assert!(last(&seen, IS_WRITE) < first(&seen, IS_READ), "hashed in place, after the last write");
    assert!(last(&seen, IS_WRITE) < first(&seen, IS_COMPLETE));
    assert!(last(&seen, IS_COMPLETE) < first(&seen, isolates(Isolation::Running)));
    assert!(last(&seen, IS_READ) < first(&seen, isolates(Isolation::Running)), "opened after the last check");
    for isolation in [Isolation::Loading, Isolation::Running] {
        assert_eq!(count(&seen, isolates(isolation)), 5, "every region, once");
    }
    let metadata = |seen: &Seen| matches!(seen, Seen::ClientRead(_, 0 | 20, _));
    assert!(last(&seen, metadata) < first(&seen, IS_HOLD), "the claim comes after the signature");
    assert!(matches!(seen.last(), Some(Seen::Relinquish(_))), "the handle goes back before the answer");
    let cleared: u64 = seen.iter().map(|seen| if let Seen::Clear(_, size) = seen { *size } else { 0 }).sum();
    assert_eq!(cleared, 0x0028_0000, "all regions, each byte once");
}

#[test]
fn clearing_and_hashing_are_sliced() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &sample()));
    for seen in bench.take_seen() {
        match seen {
            Seen::Clear(_, size) => assert!(size <= 1 << 20),
            Seen::Read(_, size) | Seen::Write(_, size) | Seen::ClientRead(_, _, size) => {
                assert!(size <= 4096)
            }
            _ => {}
        }
    }
}

#[test]
fn a_start_completes_writes_before_it_releases() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    succeeded(bench.start(KERNEL));
    let seen = bench.take_seen();
    assert!(last(&seen, IS_READ) < first(&seen, IS_RELEASE), "hashed again before");
    assert!(last(&seen, IS_COMPLETE) < first(&seen, IS_RELEASE));
    assert_eq!(count(&seen, IS_RELEASE), 1);
}

#[test]
fn a_stop_holds_and_then_opens_for_a_dump() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.stop(KERNEL));
    let seen = bench.take_seen();
    assert_eq!(seen[..2], [Seen::Observe(0), Seen::Hold(0)]);
    // A plain image's private memory may be read; nothing of it is touched.
    assert_eq!((seen.len(), count(&seen, isolates(Isolation::Dump))), (5, 3));
}

#[test]
fn a_release_holds_closes_clears_completes_gives_back() {
    for state in [State::Loaded, State::Stopped] {
        let mut bench = Bench::new();
        bench.bring_to(state);
        succeeded(bench.release(KERNEL));
        let seen = bench.take_seen();
        assert!(first(&seen, IS_HOLD) < first(&seen, isolates(Isolation::Loading)));
        assert!(last(&seen, isolates(Isolation::Loading)) < first(&seen, IS_CLEAR));
        assert!(last(&seen, IS_CLEAR) < last(&seen, IS_COMPLETE));
        assert!(last(&seen, IS_COMPLETE) < first(&seen, isolates(Isolation::Normal)));
        assert_eq!(count(&seen, isolates(Isolation::Normal)), 5);
        assert_eq!(count(&seen, |seen| IS_WRITE(seen) || IS_READ(seen)), 0);
    }
}

#[test]
fn a_load_refused_after_the_claim_is_wiped_before_it_is_given_back() {
    let mut bench = Bench::new();
    bench.load(KERNEL, M33, &vector("negative/n10-segbyte.sig"));
    let seen = bench.take_seen();
    assert!(last(&seen, IS_WRITE) < last(&seen, IS_CLEAR));
    assert!(last(&seen, IS_CLEAR) < last(&seen, IS_COMPLETE));
    assert!(last(&seen, IS_COMPLETE) < first(&seen, isolates(Isolation::Normal)));
    assert_eq!(count(&seen, isolates(Isolation::Running)), 0, "never opened");
    assert_eq!(count(&seen, IS_RELEASE), 0);
    bench.assert_clear();
}

#[test]
fn a_load_refused_before_the_signature_tells_the_hardware_nothing() {
    for name in [
        "negative/n01-magic.sig",
        "negative/n08-tlv-tamper.sig",
        "negative/n09-sig-flip.sig",
        "03-ecdsa-p256-m4.sig",
    ] {
        let mut bench = Bench::new();
        bench.load(KERNEL, M33, &vector(name));
        let seen = bench.take_seen();
        let harmless = |seen: &Seen| {
            matches!(seen, Seen::Retrieve(_) | Seen::Map(_) | Seen::ClientRead(..) | Seen::Relinquish(_))
        };
        assert!(seen.iter().all(harmless), "{name}: {seen:?}");
        bench.assert_untouched();
        assert_eq!(bench.machine().isolations(), [Isolation::Normal; 5]);
    }
}
