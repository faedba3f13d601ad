//! Hardware that is slow, stuck, or does not keep others out of the processor's memory; and the partition's last act.
mod support;

use remoteproc_abi::door_d::Request;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Operation, ProcessorState};
use remoteproc_refusal::Refusal;
use remoteproc_service::hardware::Observed;
use remoteproc_service::lifecycle::State;
use support::*;

#[test]
fn slow_hardware_is_polled() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    bench.machine().drivers[0].be_slow(2);
    in_progress(bench.start_once(KERNEL));
    assert_eq!(bench.state(), State::Loaded, "not before the hardware has done it");
    // Other requests do not get in between.
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    let answer = bench.release(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    in_progress(bench.start_once(KERNEL));
    succeeded(bench.start(KERNEL));
    assert_eq!(bench.state(), State::Running);

    in_progress(bench.stop_once(KERNEL));
    assert_eq!(bench.state(), State::Running);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsStopped);
    in_progress(bench.stop_once(KERNEL));
    succeeded(bench.stop(KERNEL));
    assert_eq!(bench.state(), State::Stopped);

    bench.take_seen();
    succeeded(bench.load(KERNEL, M33, &sample()));
    let holds = bench.take_seen().into_iter().filter(|seen| matches!(seen, Seen::Hold(0))).count();
    assert_eq!(holds, 3, "the claim waits for the hardware");

    in_progress(bench.release_once(KERNEL));
    assert_eq!(bench.state(), State::Loaded);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NotLoaded);
    in_progress(bench.release_once(KERNEL));
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

#[test]
fn a_start_is_stopped_while_it_is_under_way() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    bench.machine().drivers[0].be_slow(1);
    in_progress(bench.start_once(KERNEL));
    in_progress(bench.stop_once(KERNEL));
    assert_eq!(bench.state(), State::Crashed, "nobody knows what it does");
    succeeded(bench.stop(KERNEL));
    assert_eq!(bench.state(), State::Stopped, "it may have run: it has to be loaded again");
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsStopped);
}

#[test]
fn hardware_that_stays_busy_has_failed() {
    for (state, steps) in [(State::Loaded, "start"), (State::Running, "stop"), (State::Loaded, "release")] {
        let mut bench = Bench::new();
        bench.bring_to(state);
        bench.machine().drivers[0].be_slow(u32::MAX);
        let ask = |bench: &mut Bench| match steps {
            "start" => bench.start_once(KERNEL),
            "stop" => bench.stop_once(KERNEL),
            _ => bench.release_once(KERNEL),
        };
        in_progress(ask(&mut bench));
        bench.machine().now += 5_000;
        in_progress(ask(&mut bench));
        bench.machine().now += 1;
        let answer = ask(&mut bench);
        bench.refused(KERNEL, answer, Refusal::HardwareFailed);
        let expected = if steps == "start" { State::Crashed } else { state };
        assert_eq!(bench.state(), expected, "{steps}");
        // The next try has its own time.
        let home = |bench: &mut Bench| {
            if steps == "release" { bench.release_once(KERNEL) } else { bench.stop_once(KERNEL) }
        };
        in_progress(home(&mut bench));
        bench.machine().drivers[0].be_slow(0);
        succeeded(if steps == "release" { bench.release(KERNEL) } else { home(&mut bench) });
    }
}

#[test]
fn hardware_that_stays_busy_fails_a_load_before_the_claim() {
    let mut bench = Bench::new();
    bench.machine().drivers[0].be_slow(u32::MAX);
    in_progress(bench.load(KERNEL, M33, &sample()));
    assert_eq!(bench.state(), State::Offline);
    bench.machine().now += 5_001;
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    assert_eq!(bench.state(), State::Offline);
    bench.assert_untouched();
}

/// A client gives up while the hardware is asked to hold the processor for it: that is over, and the next client waits anew.
#[test]
fn a_load_that_ends_while_it_waits_for_the_hardware_leaves_no_wait() {
    let mut bench = Bench::new();
    bench.machine().drivers[0].be_slow(u32::MAX);
    let image = sample();
    let total = image.len() as u64;
    let (first, second) = (bench.share(VM, &image), bench.share(KERNEL, &image));
    let waiting = (ProcessorState::Offline, Some(Operation::HoldForLoad));
    for _ in 0..3 {
        in_progress(bench.load_once(VM, first, total, 0));
        in_progress(bench.load_once(KERNEL, second, total, 0));
    }
    assert_eq!(bench.status(), waiting);
    succeeded(bench.release(VM));
    assert_eq!(bench.status(), waiting, "the other one still waits");
    succeeded(bench.release(KERNEL));
    assert_eq!(bench.status(), (ProcessorState::Offline, None));
    bench.machine().now += 6_000;
    for _ in 0..3 {
        in_progress(bench.load_once(VM, first, total, 0));
    }
    assert_eq!(bench.status(), waiting);
    bench.machine().drivers[0].be_slow(0);
    succeeded(bench.load_handle(VM, M33, first, total));
    bench.assert_nothing_left();
}

#[test]
fn private_segments_are_hashed_again_at_start() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    bench.machine().memory.poke(0x8010_0000, &[0xff]);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
    assert_eq!(bench.state(), State::Offline);
    bench.assert_clear();
    assert!(bench.machine().drivers[0].releases.is_empty());
}

/// Of a segment of 16 bytes in the file and 528 in memory; the byte behind it is nobody's.
#[test]
fn zeros_of_private_segments_are_looked_at_again_too() {
    for (address, refuses) in [(0x8008_0010, true), (0x8008_020f, true), (0x8008_0210, false)] {
        let mut bench = Bench::new();
        succeeded(bench.load(KERNEL, M33, &second()));
        bench.machine().memory.poke(address, &[1]);
        let answer = bench.start(KERNEL);
        if refuses {
            bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
            bench.assert_clear();
        } else {
            succeeded(answer);
        }
    }
}

/// That firmware runs is said, confirmed and handed over only if the hardware says so at that moment: one look that fails and one that
/// shows a crash are no yes.
#[test]
fn what_crashed_is_not_said_to_run() {
    let mut board = board();
    board.processors[0].attach_endpoints.push(VM.endpoint).unwrap();
    board.processors[0].counter_on_confirm = true;
    let confirm = Request::Confirm { processor: M33 };
    let start = Request::Start { processor: M33 };
    for (caller, request) in [(KERNEL, start), (KERNEL, confirm), (VM, start)] {
        let mut bench = Bench::with(board.clone(), |_| ());
        succeeded(bench.load(KERNEL, M33, &counting(5)));
        succeeded(bench.start(KERNEL));
        bench.machine().drivers[0].crash();
        // The first look fails.
        bench.machine().failure.at(0, false);
        let answer = bench.ask_once(caller, request);
        bench.machine().failure.end();
        assert!(answer.tee_result() != Some(TeeResult::Success), "{request:?} of {caller:?}");
        assert_eq!((bench.owner(), bench.machine().drivers[0].counter.value), (Some(KERNEL.endpoint), 0));
        assert_eq!(bench.status().0, ProcessorState::Crashed);
    }
}

#[test]
fn where_hardware_isolates_start_hashes_nothing() {
    let mut bench = Bench::with(board(), |machine| machine.drivers[0].enforces = true);
    bench.bring_to(State::Loaded);
    succeeded(bench.start(KERNEL));
    assert!(!bench.take_seen().iter().any(|seen| matches!(seen, Seen::Read(..))));
}

#[test]
fn without_isolation_and_consent_nothing_is_served() {
    let mut board = board();
    board.accept_no_isolation = false;
    let mut bench = Bench::with(board, |machine| machine.drivers[1].enforces = true);
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::IsolationFailed);
    bench.assert_untouched();
    succeeded(bench.load(KERNEL, M4, &vector("01-rsa2048-m4.sig")));
}

#[test]
fn a_dying_partition_holds_what_is_loaded_and_leaves_what_runs() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.load(VM, M4, &vector("01-rsa2048-m4.sig")));
    bench.machine().drivers[1].be_slow(3);
    bench.machine().drivers[1].state = Observed::Running;
    bench.take_seen();
    (0..2).for_each(|index| bench.service.hold_if_loading(index));
    assert_eq!(bench.machine().drivers[0].state, Observed::Running);
    assert_eq!(bench.machine().drivers[1].state, Observed::Held);
    assert!(!bench.take_seen().contains(&Seen::Hold(0)));
    bench.machine().drivers[1].be_slow(u32::MAX);
    (0..2).for_each(|index| bench.service.hold_if_loading(index));
}
