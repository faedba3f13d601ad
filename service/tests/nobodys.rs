//! Processors that are nobody's: their virtual machine is gone, or they ran when the partition booted. And those that are handed over.
mod support;

use remoteproc_abi::door_d::{FLAG_ONE_CALL, Request};
use remoteproc_abi::status::{Operation, ProcessorState};
use remoteproc_image::write::{Container, Order, RsaKey};
use remoteproc_refusal::Refusal;
use remoteproc_service::Caller;
use remoteproc_service::hardware::{Crash, Observed};
use remoteproc_service::lifecycle::State;
use support::*;

/// The virtual machine's other door.
const VM_RPC: Caller = Caller { endpoint: 3, ..USER };

fn goes(bench: &mut Bench) {
    bench.service.forget(VM.endpoint, &mut bench.client);
}

fn runs_for_the_machine() -> Bench {
    let mut bench = Bench::new();
    succeeded(bench.load(VM, M33, &sample()));
    succeeded(bench.start(VM));
    bench
}

#[test]
fn everything_goes_with_its_machine() {
    let mut bench = runs_for_the_machine();
    succeeded(bench.ask(VM, Request::BindEvents { processor: M33, notification: 4 }));
    bench.buffer(VM.endpoint, 2);
    let image = vector("01-rsa2048-m4.sig");
    let handle = bench.share(VM, &image);
    in_progress(bench.ask_once(VM, load_request(M4, handle, image.len() as u64, 0)));
    let answer = bench.ask(VM, Request::Release { processor: 99 });
    bench.refused(VM, answer, Refusal::UnknownProcessor);
    bench.take_seen();
    goes(&mut bench);
    assert_eq!(bench.take_seen().iter().filter(|seen| **seen == Seen::Hold(0)).count(), 1, "once, at once");
    bench.assert_nothing_left();
    assert_eq!(bench.machine().drivers[0].state, Observed::Held);
    assert_eq!(bench.last_error(VM), (0, None));
    assert_eq!((bench.owner(), bench.status()), (None, (ProcessorState::Stopped, Some(Operation::Wipe))));
    for caller in [VM, VM_RPC, KERNEL] {
        let answer = bench.start(caller);
        bench.refused(caller, answer, Refusal::NotLoaded);
        let answer = bench.table(caller);
        bench.refused(caller, answer, Refusal::NotLoaded);
        let answer = bench.ask(caller, Request::BindEvents { processor: M33, notification: 1 });
        bench.refused(caller, answer, Refusal::NotLoaded);
        succeeded(bench.stop(caller));
    }
    // Another one's load clears everything before it claims.
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    while bench.state() != State::Offline {
        in_progress(bench.load_once(KERNEL, handle, image.len() as u64, 0));
    }
    bench.assert_clear();
    succeeded(bench.load_handle(KERNEL, M33, handle, image.len() as u64));
    let answer = bench.release(VM);
    bench.refused(VM, answer, Refusal::NotOwner);
}

#[test]
fn a_processor_of_each_state_is_held_and_cleared() {
    for state in [State::Loading, State::Loaded, State::Running, State::Crashed, State::Stopped] {
        let mut bench = Bench::new();
        let image = sample();
        let handle = bench.share(VM_RPC, &image);
        if state == State::Loading {
            while bench.state() != State::Loading {
                in_progress(bench.load_once(VM, handle, image.len() as u64, 0));
            }
        } else {
            succeeded(bench.load_handle(VM, M33, handle, image.len() as u64));
        }
        if matches!(state, State::Running | State::Crashed | State::Stopped) {
            succeeded(bench.start(VM));
        }
        match state {
            State::Crashed => bench.machine().drivers[0].crash(),
            State::Stopped => succeeded(bench.stop(VM)),
            _ => {}
        }
        goes(&mut bench);
        bench.assert_nothing_left();
        succeeded(bench.release(KERNEL));
        assert_eq!((bench.state(), bench.owner()), (State::Offline, None));
        bench.assert_clear();
    }
}

#[test]
fn a_state_changes_only_when_the_hardware_holds_it() {
    let mut bench = runs_for_the_machine();
    bench.machine().drivers[0].be_slow(2);
    goes(&mut bench);
    assert_eq!((bench.owner(), bench.status()), (None, (ProcessorState::Running, Some(Operation::Stop))));
    in_progress(bench.stop_once(KERNEL));
    succeeded(bench.stop_once(KERNEL));
    assert_eq!(bench.status(), (ProcessorState::Stopped, Some(Operation::Wipe)));
    // Hardware that fails is asked again by the next request.
    let mut bench = runs_for_the_machine();
    bench.machine().failure.at(0, true);
    goes(&mut bench);
    assert_eq!(bench.status(), (ProcessorState::Running, Some(Operation::Stop)));
    let answer = bench.release(KERNEL);
    bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    bench.machine().failure.end();
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

#[test]
fn others_keep_what_they_have() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    bench.buffer(KERNEL.endpoint, 1);
    goes(&mut bench);
    assert_eq!((bench.state(), bench.owner(), bench.service.buffers_held()), (State::Running, Some(0), 1));
    assert_eq!(bench.machine().drivers[0].state, Observed::Running);
}

#[test]
fn what_runs_at_boot_is_held_and_cleared() {
    for found in [Observed::Running, Observed::Crashed(Crash::Unknown)] {
        let mut bench = Bench::with(board(), |machine| machine.drivers[0].state = found);
        assert_eq!(bench.machine().drivers[0].state, Observed::Held, "ordered at once");
        assert_eq!((bench.owner(), bench.status()), (None, (ProcessorState::Stopped, Some(Operation::Wipe))));
        succeeded(bench.load(KERNEL, M33, &sample()));
        succeeded(bench.start(KERNEL));
    }
    // One that does not answer is not said to be OFFLINE.
    let mut bench = Bench::with(board(), |machine| machine.failure.at(0, true));
    let answer = bench.stop(KERNEL);
    bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    bench.machine().failure.end();
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

#[test]
fn without_a_driver_nothing_is_said_of_a_processor() {
    let mut bench = Bench::with(board(), |machine| machine.drivers.truncate(1));
    for request in [
        Request::GetStatus { processor: M4 },
        Request::Start { processor: M4 },
        Request::Release { processor: M4 },
        Request::GetResourceTable { processor: M4 },
    ] {
        let answer = bench.ask(KERNEL, request);
        bench.refused(KERNEL, answer, Refusal::HardwareFailed);
    }
}

#[test]
fn only_going_on_keeps_a_claim() {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    while bench.state() != State::Loading {
        in_progress(bench.load_once(KERNEL, handle, image.len() as u64, 0));
    }
    for _ in 0..4 {
        bench.machine().now += 2_000;
        let answer = bench.table(KERNEL);
        bench.refused(KERNEL, answer, Refusal::LoadInProgress);
    }
    succeeded(bench.load(VM, M33, &image));
}

#[test]
fn a_running_processor_is_handed_over_once_to_those_listed() {
    let mut board = board();
    board.processors[0].attach_endpoints.push(VM.endpoint).unwrap();
    let mut bench = Bench::with(board, |_| ());
    bench.bring_to(State::Loaded);
    let answer = bench.start(VM);
    bench.refused(VM, answer, Refusal::NotOwner);
    succeeded(bench.start(KERNEL));
    succeeded(bench.ask(KERNEL, Request::BindEvents { processor: M33, notification: 1 }));
    let answer = bench.start(ONE_CALLER);
    bench.refused(ONE_CALLER, answer, Refusal::NotOwner);
    // Where the hardware does not say that it runs, nothing is handed over.
    bench.machine().failure.at(0, true);
    let answer = bench.start(VM);
    bench.refused(VM, answer, Refusal::HardwareFailed);
    bench.machine().failure.end();
    assert_eq!(bench.owner(), Some(KERNEL.endpoint));
    succeeded(bench.start(VM));
    assert_eq!((bench.state(), bench.owner()), (State::Running, Some(VM.endpoint)));
    // Once: neither back, nor on to the same endpoint's other door.
    for other in [KERNEL, VM_RPC] {
        let answer = bench.start(other);
        bench.refused(other, answer, Refusal::NotOwner);
    }
    bench.machine().drivers[0].crash();
    bench.service.look_around();
    assert!(bench.machine().notifier.as_ref().unwrap().signaled.is_empty(), "the old binding has ended");
    succeeded(bench.stop(VM));
    succeeded(bench.load(VM, M33, &sample()));
    succeeded(bench.start(VM));
}

#[test]
fn who_may_not_use_a_processor_binds_nothing() {
    let mut board = board();
    board.processors[0].endpoints.push(KERNEL.endpoint).unwrap();
    let mut bench = Bench::with(board, |_| ());
    let answer = bench.ask(VM, Request::BindEvents { processor: M33, notification: 1 });
    bench.refused(VM, answer, Refusal::EndpointNotAllowed);
}

/// What a client has left of an earlier load does not end a load in one call that has to clear first.
#[test]
fn one_call_clears_first_and_then_loads() {
    let mut bench = Bench::new();
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let container =
        Container::new(Order::Mainline).image(&vector("elf/fw_m33_ns.elf")).boot_address(0x8010_0000);
    // Metadata of more than a page, of which the first share has one.
    let image = container.platform(0x1_0100, &[0; 4096]).unwrap().sign(&key).unwrap();
    let total = image.len() as u64;
    let part = bench.share(ONE_CALLER, &image[..4096]);
    while bench.reads_of(part) < 4096 {
        in_progress(bench.load_once(ONE_CALLER, part, total, 0));
    }
    assert_eq!((bench.service.loads_under_way(), bench.client_held()), (1, 0), "it waits for the next share");
    succeeded(bench.load(VM, M33, &sample()));
    goes(&mut bench);
    let handle = bench.share(ONE_CALLER, &image);
    succeeded(bench.send(ONE_CALLER, &[1 | FLAG_ONE_CALL, M33.into(), handle, total, 0]));
    assert_eq!((bench.state(), bench.owner()), (State::Loaded, Some(ONE_CALLER.endpoint)));
    bench.assert_nothing_left();
}
