//! STOP_FW, graceful: firmware that obeys, ignores, crashes or can't be asked, and whoever has no time for it.
mod support;

use remoteproc_abi::door_d::{Request, StopMode};
use remoteproc_abi::status::{Capabilities, Operation, ProcessorInfo, ProcessorState};
use remoteproc_refusal::Refusal;
use remoteproc_service::hardware::{Crash, GRACEFUL_LIMIT_MS, Observed};
use remoteproc_service::lifecycle::State;
use support::machine::Manners;
use support::*;

/// The M33 runs firmware with such manners.
fn running(manners: Manners) -> Bench {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    bench.machine().drivers[0].manners = manners;
    bench
}

fn asked(bench: &mut Bench) -> usize {
    bench.take_seen().into_iter().filter(|seen| *seen == Seen::AskToStop(0)).count()
}

const WAITS: (ProcessorState, Option<Operation>) = (ProcessorState::Running, Some(Operation::GracefulStop));

#[test]
fn firmware_that_obeys_is_held_when_it_is_ready() {
    let mut bench = running(Manners::Obeys(3));
    for _ in 0..3 {
        in_progress(bench.stop_gracefully_once(KERNEL, 1_000));
        assert_eq!(bench.machine().drivers[0].state, Observed::Running, "nobody holds it");
        assert_eq!(bench.status(), WAITS);
        bench.machine().now += 300;
    }
    succeeded(bench.stop_gracefully_once(KERNEL, 1_000));
    assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Stopped, Observed::Held));
    assert_eq!(asked(&mut bench), 4);
    succeeded(bench.stop_gracefully_once(KERNEL, 1_000));
    assert_eq!(asked(&mut bench), 0, "it is stopped already");
}

/// The state follows the reset line, not the firmware's word.
#[test]
fn ready_is_not_held() {
    let mut bench = running(Manners::Obeys(0));
    bench.machine().drivers[0].be_slow(2);
    for _ in 0..2 {
        in_progress(bench.stop_gracefully_once(KERNEL, 1_000));
        assert_eq!(bench.status(), (ProcessorState::Running, Some(Operation::Stop)));
    }
    succeeded(bench.stop_gracefully_once(KERNEL, 1_000));
    assert_eq!(asked(&mut bench), 1, "it is not asked again while it is being held");
    assert_eq!(bench.state(), State::Stopped);
}

#[test]
fn firmware_that_ignores_it_is_held_at_the_limit() {
    let mut bench = running(Manners::Ignores);
    in_progress(bench.stop_gracefully_once(KERNEL, 1_000));
    bench.machine().now += 999;
    in_progress(bench.stop_gracefully_once(KERNEL, 1_000));
    assert_eq!(bench.status(), WAITS);
    bench.machine().now += 1;
    succeeded(bench.stop_gracefully_once(KERNEL, 1_000));
    assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Stopped, Observed::Held));
}

#[test]
fn the_limit_has_a_limit() {
    let mut bench = running(Manners::Ignores);
    in_progress(bench.stop_gracefully_once(KERNEL, u64::MAX));
    bench.machine().now += GRACEFUL_LIMIT_MS - 1;
    in_progress(bench.stop_gracefully_once(KERNEL, u64::MAX));
    bench.machine().now += 1;
    succeeded(bench.stop_gracefully_once(KERNEL, u64::MAX));
}

#[test]
fn a_limit_of_zero_is_a_forced_stop() {
    let mut bench = running(Manners::Obeys(0));
    succeeded(bench.stop_gracefully_once(KERNEL, 0));
    assert_eq!((bench.state(), asked(&mut bench)), (State::Stopped, 0));
}

#[test]
fn a_forced_stop_overtakes_a_graceful_one() {
    let mut bench = running(Manners::Ignores);
    in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
    succeeded(bench.stop_once(KERNEL));
    assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Stopped, Observed::Held));
    // And a graceful one does not go back to asking.
    let mut bench = running(Manners::Ignores);
    bench.machine().drivers[0].be_slow(2);
    in_progress(bench.stop_once(KERNEL));
    in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
    assert_eq!(asked(&mut bench), 0);
    succeeded(bench.stop_gracefully_once(KERNEL, 60_000));
    // Nor does it keep a limit that was longer before.
    let mut bench = running(Manners::Ignores);
    in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
    bench.machine().now += 10;
    succeeded(bench.stop_gracefully_once(KERNEL, 10));
}

#[test]
fn a_crash_meanwhile_is_a_crash_and_the_stop_goes_on() {
    let mut bench = running(Manners::Ignores);
    succeeded(bench.ask(KERNEL, Request::BindEvents { processor: M33, notification: 9 }));
    in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
    bench.machine().drivers[0].crash_of(Crash::Watchdog);
    bench.service.look_around();
    assert_eq!(bench.machine().notifier.as_ref().unwrap().signaled, [(KERNEL.endpoint, 9)]);
    assert_eq!(bench.status(), (ProcessorState::Crashed, None));
    succeeded(bench.stop_gracefully_once(KERNEL, 60_000));
    assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Stopped, Observed::Held));
    // The same where nobody has looked before the next request.
    let mut bench = running(Manners::Ignores);
    in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
    bench.machine().drivers[0].crash();
    succeeded(bench.stop_gracefully_once(KERNEL, 60_000));
    assert_eq!(asked(&mut bench), 1, "a processor that has crashed is asked nothing");
    assert_eq!(bench.machine().drivers[0].state, Observed::Held);
}

#[test]
fn what_can_not_be_asked_is_held_at_once() {
    for manners in [Manners::Deaf, Manners::Broken] {
        let mut bench = running(manners);
        succeeded(bench.stop_gracefully_once(KERNEL, 60_000));
        assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Stopped, Observed::Held));
    }
    let mut bench = running(Manners::Deaf);
    for (manners, can) in [(Manners::Deaf, false), (Manners::Ignores, true)] {
        bench.machine().drivers[0].manners = manners;
        let info = ProcessorInfo::of(&bench.ask(VM, Request::GetProcessor { index: 0 })).unwrap();
        assert_eq!(info.capabilities.contains(Capabilities::GRACEFUL_STOP), can);
    }
}

/// Only what runs can be asked.
#[test]
fn other_states_are_stopped_as_ever() {
    for state in [State::Offline, State::Loaded, State::Stopped, State::Crashed] {
        let mut bench = Bench::new();
        bench.bring_to(state);
        bench.machine().drivers[0].manners = Manners::Ignores;
        succeeded(bench.stop_gracefully_once(KERNEL, 60_000));
        assert_eq!(asked(&mut bench), 0, "{state}");
        let expected = if state == State::Crashed { State::Stopped } else { state };
        assert_eq!(bench.state(), expected);
    }
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    bench.machine().drivers[0].manners = Manners::Ignores;
    bench.machine().drivers[0].be_slow(1);
    in_progress(bench.start_once(KERNEL));
    in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
    succeeded(bench.stop_gracefully_once(KERNEL, 60_000));
    assert_eq!((bench.state(), asked(&mut bench)), (State::Stopped, 0));
}

/// A client that gives up leaves a processor that runs; others get no say in it.
#[test]
fn whoever_never_asks_again_leaves_it_running() {
    let mut bench = running(Manners::Ignores);
    in_progress(bench.stop_gracefully_once(KERNEL, 10));
    bench.machine().now += 10_000_000;
    bench.service.look_around();
    assert_eq!(bench.machine().drivers[0].state, Observed::Running);
    assert_eq!(bench.status(), WAITS);
    succeeded(bench.table(KERNEL));
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsStopped);
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    let answer = bench.release(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    let answer = bench.stop_gracefully_once(VM, 10);
    bench.refused(VM, answer, Refusal::NotOwner);
    succeeded(
        bench.ask_once(
            KERNEL,
            Request::Stop { processor: M33, mode: StopMode::Graceful { milliseconds: 10 } },
        ),
    );
    assert_eq!(bench.state(), State::Stopped);
}

/// Hardware that fails to hold it: the processor runs, and may be stopped again.
#[test]
fn a_failed_hold_leaves_no_wait() {
    let mut bench = running(Manners::Obeys(0));
    bench.machine().drivers[0].be_slow(u32::MAX);
    in_progress(bench.stop_gracefully_once(KERNEL, 1_000));
    bench.machine().now += 5_001;
    let answer = bench.stop_gracefully_once(KERNEL, 1_000);
    bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    assert_eq!(bench.status(), (ProcessorState::Running, None));
    bench.machine().drivers[0].be_slow(0);
    succeeded(bench.stop_gracefully_once(KERNEL, 1_000));
}
