//! Events: who is told, of what, and until when.
mod support;

use remoteproc_abi::door_d::Request;
use remoteproc_abi::status::{Fault, Features, Info, Status};
use remoteproc_refusal::Refusal;
use remoteproc_service::hardware::{Crash, Observed};
use remoteproc_service::lifecycle::State;
use support::*;

fn bind(notification: u64) -> Request {
    Request::BindEvents { processor: M33, notification }
}

fn signaled(bench: &mut Bench) -> Vec<(u16, u8)> {
    std::mem::take(&mut bench.machine().notifier.as_mut().unwrap().signaled)
}

fn fault(bench: &mut Bench) -> Fault {
    Status::of(&bench.ask(VM, Request::GetStatus { processor: M33 })).unwrap().fault
}

/// Stop, load, start, as an owner recovers.
fn recover(bench: &mut Bench) {
    succeeded(bench.stop(KERNEL));
    succeeded(bench.load(KERNEL, M33, &sample()));
    succeeded(bench.start(KERNEL));
}

#[test]
fn an_event_is_signaled_once_to_the_owner_and_has_a_reason() {
    let reasons = [
        (Crash::Unknown, Fault::Unknown),
        (Crash::Reset, Fault::Reset),
        (Crash::Watchdog, Fault::Watchdog),
        (Crash::HardFault, Fault::HardFault),
        (Crash::Lockup, Fault::Lockup),
        (Crash::Gone, Fault::Gone),
    ];
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.ask(KERNEL, bind(7)));
    for (crash, reason) in reasons {
        bench.service.look_around();
        assert_eq!(signaled(&mut bench), [], "nothing has happened");
        bench.machine().drivers[0].crash_of(crash);
        bench.service.look_around();
        bench.service.look_around();
        assert_eq!(signaled(&mut bench), [(KERNEL.endpoint, 7)]);
        assert_eq!((bench.state(), fault(&mut bench)), (State::Crashed, reason));
        // The binding outlives the recovery.
        recover(&mut bench);
        assert_eq!(fault(&mut bench), Fault::None);
        assert_eq!(signaled(&mut bench), []);
    }
}

#[test]
fn a_request_finds_what_no_interrupt_told() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.ask(KERNEL, bind(0)));
    bench.machine().drivers[0].crash_of(Crash::Watchdog);
    assert_eq!(fault(&mut bench), Fault::Watchdog);
    assert_eq!(signaled(&mut bench), [(KERNEL.endpoint, 0)], "another client's question found it");
}

/// The event's interrupt can come while the start is not noted yet.
#[test]
fn a_crash_right_after_its_release_is_signaled_with_the_start() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    succeeded(bench.ask(KERNEL, bind(1)));
    bench.machine().drivers[0].crash_at_release = Some(Crash::Lockup);
    succeeded(bench.start(KERNEL));
    assert_eq!(signaled(&mut bench), [(KERNEL.endpoint, 1)]);
    assert_eq!(fault(&mut bench), Fault::Lockup);
}

#[test]
fn only_the_owner_binds_one_notification_at_a_time() {
    let mut bench = Bench::new();
    let answer = bench.ask(KERNEL, bind(1));
    bench.refused(KERNEL, answer, Refusal::NotLoaded);
    bench.bring_to(State::Running);
    for other in [USER, VM] {
        let answer = bench.ask(other, bind(1));
        bench.refused(other, answer, Refusal::NotOwner);
    }
    for id in [64, 0x100, 1 << 32, u64::MAX] {
        let answer = bench.ask(KERNEL, bind(id));
        bench.refused(KERNEL, answer, Refusal::NotificationOutOfRange);
    }
    let answer = bench.ask(KERNEL, Request::BindEvents { processor: 8, notification: 1 });
    bench.refused(KERNEL, answer, Refusal::UnknownProcessor);
    succeeded(bench.ask(KERNEL, bind(5)));
    succeeded(bench.ask(KERNEL, bind(63)));
    bench.machine().drivers[0].crash();
    bench.service.look_around();
    assert_eq!(signaled(&mut bench), [(KERNEL.endpoint, 63)], "the later one counts");
}

#[test]
fn a_binding_ends_with_the_release() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.ask(KERNEL, bind(3)));
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    bench.bring_to(State::Running);
    bench.machine().drivers[0].crash();
    bench.service.look_around();
    assert_eq!(signaled(&mut bench), [], "it has not been bound again");
    assert_eq!(bench.state(), State::Crashed);
}

#[test]
fn a_binding_does_not_pass_to_whoever_takes_over() {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    let mut offset = 0;
    while bench.state() != State::Loading {
        offset = bench.load_once(KERNEL, handle, image.len() as u64, 0).values[0];
    }
    assert!(offset < image.len() as u64);
    succeeded(bench.ask(KERNEL, bind(9)));
    bench.machine().now += 10_000;
    succeeded(bench.load(VM, M33, &image));
    succeeded(bench.start(VM));
    bench.machine().drivers[0].crash();
    bench.service.look_around();
    assert_eq!(signaled(&mut bench), []);
    succeeded(bench.ask(VM, bind(2)));
    succeeded(bench.stop(VM));
    succeeded(bench.load(VM, M33, &image));
    succeeded(bench.start(VM));
    bench.machine().drivers[0].crash();
    bench.service.look_around();
    assert_eq!(signaled(&mut bench), [(VM.endpoint, 2)]);
}

#[test]
fn each_processor_has_its_own_owner_to_tell() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.load(VM, M4, &vector("01-rsa2048-m4.sig")));
    succeeded(bench.ask(VM, Request::Start { processor: M4 }));
    succeeded(bench.ask(KERNEL, bind(1)));
    succeeded(bench.ask(VM, Request::BindEvents { processor: M4, notification: 1 }));
    bench.machine().drivers[1].crash_of(Crash::Reset);
    bench.service.look_around();
    assert_eq!(signaled(&mut bench), [(VM.endpoint, 1)]);
    assert_eq!(bench.state(), State::Running);
    bench.machine().drivers[0].state = Observed::Held;
    bench.service.look_around();
    assert_eq!(signaled(&mut bench), [(KERNEL.endpoint, 1)]);
}

#[test]
fn without_notifications_the_status_tells() {
    let mut bench = Bench::new();
    let features = |bench: &mut Bench| Info::of(&bench.ask(KERNEL, Request::GetInfo)).unwrap().features;
    assert!(features(&mut bench).contains(Features::EVENTS));
    bench.machine().notifier = None;
    assert!(!features(&mut bench).contains(Features::EVENTS));
    bench.bring_to(State::Running);
    let answer = bench.ask(KERNEL, bind(1));
    bench.refused(KERNEL, answer, Refusal::NoNotifications);
    bench.machine().drivers[0].crash_of(Crash::Reset);
    bench.service.look_around();
    assert_eq!(fault(&mut bench), Fault::Reset);
}

#[test]
fn a_notification_that_the_spmc_refuses_changes_nothing_else() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.ask(KERNEL, bind(1)));
    bench.machine().notifier.as_mut().unwrap().refuses = true;
    bench.machine().drivers[0].crash_of(Crash::HardFault);
    bench.service.look_around();
    assert_eq!((bench.state(), fault(&mut bench)), (State::Crashed, Fault::HardFault));
    recover(&mut bench);
}
