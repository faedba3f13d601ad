//! CONFIRM: where the manifest says so, the security counter rises by the owner's word, and at no other moment.
mod support;

use remoteproc_abi::door_d::Request;
use remoteproc_abi::status::{Capabilities, ProcessorInfo, Status};
use remoteproc_refusal::Refusal;
use remoteproc_service::configuration::Board;
use remoteproc_service::hardware::{Crash, Observed};
use remoteproc_service::lifecycle::State;
use support::{Bench, KERNEL, M33, Seen, VM, board, counting, succeeded};

fn waits_for_it() -> Board<'static> {
    let mut board = board();
    board.processors[0].counter_on_confirm = true;
    board
}

fn counter(bench: &mut Bench) -> u64 {
    Status::of(&bench.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap().security_counter
}

fn confirm(bench: &mut Bench) -> remoteproc_abi::door_d::Answer {
    bench.ask_once(KERNEL, Request::Confirm { processor: M33 })
}

fn started(board: Board<'static>) -> Bench {
    let mut bench = Bench::with(board, |_| {});
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    succeeded(bench.start(KERNEL));
    bench
}

#[test]
fn the_counter_rises_when_the_owner_says_so() {
    let mut bench = started(waits_for_it());
    assert_eq!(counter(&mut bench), 0, "a start is no confirmation");
    succeeded(confirm(&mut bench));
    assert_eq!(counter(&mut bench), 5);
    // Once more changes nothing.
    succeeded(confirm(&mut bench));
    let raised = |seen: &&Seen| matches!(seen, Seen::RaiseCounter(..));
    assert_eq!(bench.seen.borrow().iter().filter(raised).count(), 1);
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    let answer = bench.load(KERNEL, M33, &counting(4));
    bench.refused(KERNEL, answer, Refusal::CounterTooLow);
}

/// What it is for: firmware that does not work is replaced by what was there before.
#[test]
fn what_is_not_confirmed_can_be_gone_back_from() {
    let mut bench = started(waits_for_it());
    bench.machine().drivers[0].state = Observed::Crashed(Crash::HardFault);
    let answer = confirm(&mut bench);
    bench.refused(KERNEL, answer, Refusal::NotRunning);
    succeeded(bench.stop(KERNEL));
    let answer = confirm(&mut bench);
    bench.refused(KERNEL, answer, Refusal::NotRunning);
    succeeded(bench.load(KERNEL, M33, &counting(4)));
    let answer = confirm(&mut bench);
    bench.refused(KERNEL, answer, Refusal::NotRunning);
    succeeded(bench.start(KERNEL));
    succeeded(confirm(&mut bench));
    assert_eq!(counter(&mut bench), 4);
}

#[test]
fn only_the_owner_confirms() {
    let mut bench = Bench::with(waits_for_it(), |_| {});
    let answer = confirm(&mut bench);
    bench.refused(KERNEL, answer, Refusal::NotLoaded);
    let mut bench = started(waits_for_it());
    let answer = bench.ask_once(VM, Request::Confirm { processor: M33 });
    bench.refused(VM, answer, Refusal::NotOwner);
    assert_eq!(counter(&mut bench), 0);
}

/// The firmware runs on, and may be confirmed again.
#[test]
fn a_counter_that_is_not_written_is_told() {
    let mut bench = started(waits_for_it());
    bench.machine().drivers[0].counter_stuck = true;
    let answer = confirm(&mut bench);
    bench.refused(KERNEL, answer, Refusal::CounterWriteFailed);
    assert_eq!((bench.state(), counter(&mut bench)), (State::Running, 0));
    bench.machine().drivers[0].counter_stuck = false;
    succeeded(confirm(&mut bench));
    assert_eq!(counter(&mut bench), 5);
}

/// A counter never sinks again: it rises only if the hardware says that the firmware runs.
#[test]
fn what_may_not_run_is_not_confirmed() {
    let mut bench = started(waits_for_it());
    bench.machine().failure.at(0, true);
    let answer = confirm(&mut bench);
    bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    bench.machine().failure.end();
    assert_eq!(counter(&mut bench), 0);
    succeeded(confirm(&mut bench));
}

/// Each processor has a counter of its own, and a rule of its own for it.
#[test]
fn elsewhere_the_start_has_raised_it_already() {
    let mut bench = started(board());
    assert_eq!(counter(&mut bench), 5);
    succeeded(confirm(&mut bench));
    assert_eq!(counter(&mut bench), 5);
    let mut bench = started(waits_for_it());
    succeeded(confirm(&mut bench));
    assert_eq!(bench.machine().drivers[1].counter.value, 0, "the other processor's counter");
    for (index, waits) in [(0, true), (1, false)] {
        let answer = bench.ask_once(VM, Request::GetProcessor { index });
        let capabilities = ProcessorInfo::of(&answer).unwrap().capabilities;
        assert_eq!(capabilities.contains(Capabilities::COUNTER_ON_CONFIRM), waits);
    }
}
