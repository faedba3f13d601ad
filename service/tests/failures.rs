//! Every hardware call fails in turn: nothing that was not authenticated ever runs, and nothing of it stays behind.
mod support;

use remoteproc_abi::door_d::Answer;
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;
use remoteproc_service::hardware::{Isolation, Observed};
use remoteproc_service::lifecycle::State;
use support::*;

/// A whole life: load, start, stop, recover with another image, start, stop, release.
const LIFE: [fn(&mut Bench) -> Answer; 7] = [
    |bench| bench.load(KERNEL, M33, &sample()),
    |bench| bench.start(KERNEL),
    |bench| bench.stop(KERNEL),
    |bench| bench.load(KERNEL, M33, &second()),
    |bench| bench.start(KERNEL),
    |bench| bench.stop(KERNEL),
    |bench| bench.release(KERNEL),
];

/// What has to hold at any time.
#[track_caller]
fn assert_safe(bench: &mut Bench) {
    let state = bench.state();
    let observed = bench.machine().drivers[0].state;
    if !matches!(state, State::Running | State::Crashed) {
        assert_eq!(observed, Observed::Held, "{state}, but it runs");
    }
    if state == State::Offline && !bench.machine().memory.is_untouched() {
        bench.assert_clear();
    }
    let open = bench.machine().isolations().contains(&Isolation::Running);
    assert_ne!(state, State::Loading, "a load is left under way");
    assert!(!open || state != State::Offline, "offline, and opened for a firmware");
}

/// Runs a whole life with one call failing, for every call; `for_good` lets all later calls of that request fail too. Returns how
/// many calls made a request fail.
fn fail_each(for_good: bool) -> usize {
    let mut failures = 0;
    for call in 0.. {
        let mut bench = Bench::new();
        bench.machine().failure.at(call, for_good);
        let mut fired = false;
        let mut refused = false;
        for request in LIFE {
            let answer = request(&mut bench);
            refused |= answer.tee_result() != Some(TeeResult::Success);
            fired |= bench.machine().failure.has_struck();
            if fired {
                bench.machine().failure.end();
            }
            assert_safe(&mut bench);
        }
        let releases = bench.machine().drivers[0].releases.clone();
        for boot in releases {
            assert!([0x8010_0000, 0x8000_0000].contains(&boot.address));
        }
        bench.machine().failure.end();
        // With the hardware in order again, everything can be given back, and loaded anew.
        succeeded(bench.stop(KERNEL));
        succeeded(bench.release(KERNEL));
        assert_eq!(bench.state(), State::Offline);
        assert_safe(&mut bench);
        assert_eq!(bench.machine().isolations(), [Isolation::Normal; 5]);
        for request in LIFE {
            succeeded(request(&mut bench));
        }
        bench.assert_clear();
        if !fired {
            assert!(!refused, "the control run is not refused anything");
            break;
        }
        failures += usize::from(refused);
    }
    failures
}

#[test]
fn each_hardware_call_fails_once() {
    let failures = fail_each(false);
    assert!(failures > 100, "only {failures} calls were seen to fail");
}

#[test]
fn from_each_hardware_call_on_all_fail() {
    let failures = fail_each(true);
    assert!(failures > 100, "only {failures} calls were seen to fail");
}

#[test]
fn memory_that_can_not_be_cleared_stays_closed_and_owned() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    // hold, five regions closed, then the first clear.
    bench.machine().failure.at(6, true);
    let answer = bench.release(KERNEL);
    bench.refused(KERNEL, answer, Refusal::DestinationAbort);
    assert_eq!(bench.state(), State::Stopped);
    bench.machine().failure.end();
    assert_eq!(bench.machine().isolations(), [Isolation::Loading; 5]);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsStopped);
    let answer = bench.table(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NotLoaded);
    let answer = bench.load(VM, M33, &sample());
    bench.refused(VM, answer, Refusal::NotOwner);
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

#[test]
fn a_start_that_fails_is_held_again() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    // The seal reads; then the release is the call that fails.
    let reads = {
        let mut control = Bench::new();
        control.bring_to(State::Loaded);
        succeeded(control.start(KERNEL));
        control.take_seen().iter().filter(|seen| matches!(seen, Seen::Read(..))).count()
    };
    bench.machine().failure.at(reads, false);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    assert_eq!(bench.take_seen().last(), Some(&Seen::Hold(0)));
    assert_eq!(bench.state(), State::Stopped, "it may have run: it has to be loaded again");
    bench.machine().failure.end();
    succeeded(bench.load(KERNEL, M33, &sample()));
    succeeded(bench.start(KERNEL));
}
