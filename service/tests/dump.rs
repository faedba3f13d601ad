//! What a stop leaves of private memory: open for a dump, closed, or cleared where nothing closes it.
mod support;

use remoteproc_abi::door_d::Request;
use remoteproc_abi::status::{Fault, Operation, ProcessorState, Status};
use remoteproc_image::provider::CipherKey;
use remoteproc_image::write::{Container, EncryptionKey, Order, RsaKey};
use remoteproc_refusal::Refusal;
use remoteproc_service::configuration::Board;
use remoteproc_service::hardware::{Isolation, Observed};
use remoteproc_service::lifecycle::State;
use support::*;

/// Private memory in every region, and a place in a shared one; the first holds code.
const CODE: u64 = 0x8010_0000;
const PRIVATE: [u64; 4] = [CODE, 0x8000_0000, 0x80c0_fff0, 0x80c1_0000];
const SHARED: [u64; 2] = [0x80a0_8000, 0x80c3_0000];
/// What the firmware has written there.
const TRACES: [u8; 16] = [0x77; 16];
/// Isolation of the regions in the order of their addresses: private, shared, private, private, shared.
const OPEN: [Isolation; 5] =
    [Isolation::Dump, Isolation::Running, Isolation::Dump, Isolation::Dump, Isolation::Running];

/// Firmware, encrypted or plain, with a COREDUMP TLV or without.
fn firmware(encrypted: bool, coredump: Option<bool>) -> Vec<u8> {
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let mut container =
        Container::new(Order::Mainline).image(&vector("elf/fw_m33_ns.elf")).boot_address(0x8010_0000);
    if encrypted {
        container = container.encrypt(EncryptionKey::new(&vector("keys/aes256.bin")).unwrap());
    }
    if let Some(allowed) = coredump {
        container = container.coredump(allowed);
    }
    container.sign(&key).unwrap()
}

fn bench(isolates: bool) -> Bench {
    let key = CipherKey::Bytes(Box::leak(vector("keys/aes256.bin").into_boxed_slice()));
    let board = Board { decryption_key: Some(key), accept_no_isolation_encrypted: true, ..board() };
    Bench::with(board, |machine| machine.drivers[0].enforces = isolates)
}

/// Runs it; it leaves traces everywhere.
fn run(bench: &mut Bench, image: &[u8]) {
    succeeded(bench.load(KERNEL, M33, image));
    succeeded(bench.start(KERNEL));
    for address in PRIVATE.into_iter().chain(SHARED) {
        bench.machine().memory.poke(address, &TRACES);
    }
    bench.take_seen();
}

fn readable(bench: &mut Bench) -> bool {
    Status::of(&bench.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap().readable
}

fn holds(bench: &mut Bench, places: &[u64], bytes: [u8; 16]) -> bool {
    places.iter().all(|address| bench.machine().memory.at(*address, 16) == bytes)
}

fn is_private_clear(bench: &mut Bench) -> bool {
    [(0x8000_0000, 0x20_0000), (0x80c0_0000, 0x3_0000)]
        .into_iter()
        .all(|(address, size)| bench.machine().memory.at(address, size).iter().all(|byte| *byte == 0))
}

/// Recovery without a release, and the resource table at its place.
fn recovers(bench: &mut Bench, image: &[u8]) {
    let table = bench.table(KERNEL);
    bench.take_seen();
    // The fake memory refuses bytes where others could read or write them.
    succeeded(bench.load(KERNEL, M33, image));
    let seen = bench.take_seen();
    let closed = seen.iter().position(|seen| matches!(seen, Seen::Isolate(0, _, Isolation::Loading)));
    let cleared = seen.iter().position(|seen| matches!(seen, Seen::Clear(..)));
    assert!(closed < cleared && closed.is_some(), "LOAD closes before it clears");
    assert!(!readable(bench), "what is loaded is not for a dump");
    assert_eq!(bench.table(KERNEL), table);
    assert_eq!(bench.machine().isolations(), [Isolation::Running; 5]);
    succeeded(bench.start(KERNEL));
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    assert!(!readable(bench));
    bench.assert_clear();
    assert_eq!(bench.machine().isolations(), [Isolation::Normal; 5]);
}

#[test]
fn a_stop_opens_closes_or_clears_by_what_is_signed() {
    for isolates in [true, false] {
        for encrypted in [false, true] {
            for coredump in [None, Some(false), Some(true)] {
                let what = format!("isolates {isolates}, encrypted {encrypted}, {coredump:?}");
                let allowed = !encrypted || coredump == Some(true);
                let image = firmware(encrypted, coredump);
                let mut bench = bench(isolates);
                run(&mut bench, &image);
                assert!(!readable(&mut bench), "{what}: it runs");
                succeeded(bench.stop(KERNEL));
                assert_eq!(bench.state(), State::Stopped);
                assert_eq!(readable(&mut bench), allowed, "{what}");
                assert!(holds(&mut bench, &SHARED, TRACES), "{what}: shared memory stays");
                let kept = holds(&mut bench, &PRIVATE, TRACES);
                assert_eq!(kept, allowed || isolates, "{what}: private memory");
                match (isolates, allowed) {
                    (_, true) => assert_eq!(bench.machine().isolations(), OPEN, "{what}"),
                    (true, false) => {
                        assert_eq!(bench.machine().isolations(), [Isolation::Running; 5], "{what}")
                    }
                    (false, false) => assert!(is_private_clear(&mut bench), "{what}"),
                }
                let answer = bench.start(KERNEL);
                bench.refused(KERNEL, answer, Refusal::IsStopped);
                recovers(&mut bench, &image);
            }
        }
    }
}

/// Each request clears a slice; until all is clear, the stop is under way.
#[test]
fn private_memory_is_cleared_slice_by_slice() {
    let mut bench = bench(false);
    let image = firmware(true, None);
    run(&mut bench, &image);
    let mut requests = 0;
    while bench.stop_once(KERNEL) != bench_success() {
        requests += 1;
        assert_eq!(bench.machine().drivers[0].state, Observed::Held);
        assert_eq!(bench.status(), (ProcessorState::Running, Some(Operation::Stop)));
        assert!(!readable(&mut bench));
        let answer = bench.load(KERNEL, M33, &image);
        bench.refused(KERNEL, answer, Refusal::IsRunning);
        let answer = bench.release(KERNEL);
        bench.refused(KERNEL, answer, Refusal::IsRunning);
        in_progress(bench.stop_gracefully_once(KERNEL, 60_000));
        assert!(requests < 10, "it does not end");
    }
    assert!(requests >= 1, "2 MiB and more in one request");
    assert!(is_private_clear(&mut bench));
}

fn bench_success() -> remoteproc_abi::door_d::Answer {
    remoteproc_abi::door_d::Answer::of(remoteproc_abi::result::TeeResult::Success)
}

/// What has crashed is nobody's to read before it was stopped.
#[test]
fn a_crash_opens_and_clears_nothing() {
    for isolates in [true, false] {
        for encrypted in [false, true] {
            let mut bench = bench(isolates);
            run(&mut bench, &firmware(encrypted, None));
            bench.machine().drivers[0].crash();
            bench.service.look_around();
            let status = Status::of(&bench.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap();
            assert_eq!((status.state, status.fault), (ProcessorState::Crashed, Fault::Unknown));
            assert!(!status.readable);
            assert_eq!(bench.machine().isolations(), [Isolation::Running; 5]);
            let touched = |seen: &Seen| matches!(seen, Seen::Isolate(..) | Seen::Clear(..));
            assert!(!bench.take_seen().iter().any(touched));
            succeeded(bench.stop(KERNEL));
            assert_eq!(readable(&mut bench), !encrypted);
            assert_eq!(holds(&mut bench, &PRIVATE, TRACES), !encrypted || isolates);
        }
    }
}

/// Memory that can't be cleared: the stop has failed, and can be repeated.
#[test]
fn a_clear_that_fails_is_a_stop_that_fails() {
    for call in 0..40 {
        let mut bench = bench(false);
        run(&mut bench, &firmware(true, None));
        bench.machine().failure.at(call, false);
        let answer = bench.stop(KERNEL);
        if !bench.machine().failure.has_struck() {
            assert!(call > 5, "{call}");
            return;
        }
        bench.machine().failure.end();
        if answer != bench_success() {
            assert!(
                matches!(bench.state(), State::Running | State::Crashed),
                "call {call}: {}",
                bench.state()
            );
            succeeded(bench.stop(KERNEL));
        }
        assert_eq!(bench.state(), State::Stopped, "call {call}");
        assert!(is_private_clear(&mut bench), "call {call}");
    }
    panic!("a stop has no end");
}

/// Memory of which one region can't be cleared, for good: all others are, and the stop stays under way, which is no crash.
#[test]
fn what_can_be_cleared_is_cleared() {
    let mut bench = bench(false);
    run(&mut bench, &firmware(true, None));
    bench.machine().memory.broken = Some(0x8000_0000);
    for _ in 0..2 {
        let answer = bench.stop(KERNEL);
        bench.refused(KERNEL, answer, Refusal::DestinationAbort);
        bench.service.look_around();
        let status = Status::of(&bench.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap();
        assert_eq!((status.state, status.operation), (ProcessorState::Running, Some(Operation::Stop)));
        assert!(holds(&mut bench, &PRIVATE[2..], [0; 16]), "the regions behind the broken one");
    }
    bench.machine().memory.broken = None;
    succeeded(bench.stop(KERNEL));
    assert!(is_private_clear(&mut bench));
}

/// What a machine that is gone had opened for a dump is closed at once.
#[test]
fn a_dump_of_one_that_is_gone_is_closed() {
    let mut bench = bench(true);
    succeeded(bench.load(VM, M33, &firmware(false, None)));
    succeeded(bench.start(VM));
    succeeded(bench.stop(VM));
    assert_eq!(bench.machine().isolations(), OPEN);
    bench.service.forget(VM.endpoint, &mut bench.client);
    assert_eq!(bench.machine().isolations(), [Isolation::Loading; 5]);
    assert!(!readable(&mut bench));
}

/// Memory that can't be opened: the stop stands, and nobody is told that he may read.
#[test]
fn a_region_that_stays_closed_is_not_readable() {
    let mut bench = bench(true);
    run(&mut bench, &firmware(false, None));
    // The question for a crash, the hold, then the regions.
    bench.machine().failure.at(2, false);
    succeeded(bench.stop(KERNEL));
    assert!(bench.machine().failure.has_struck());
    assert_eq!(bench.state(), State::Stopped);
    assert!(!readable(&mut bench));
}

/// A start that failed may have run: what an encrypted image has left is cleared by the stop that is needed then.
#[test]
fn a_failed_start_leaves_nothing_to_read() {
    let mut bench = bench(false);
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let image = Container::new(Order::Mainline)
        .image(&vector("elf/fw_m33_ns.elf"))
        .boot_address(0x8010_0000)
        .encrypt(EncryptionKey::new(&vector("keys/aes256.bin")).unwrap())
        .security_counter(5)
        .sign(&key)
        .unwrap();
    succeeded(bench.load(KERNEL, M33, &image));
    bench.machine().drivers[0].counter_stuck = true;
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::CounterWriteFailed);
    assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Crashed, Observed::Held));
    succeeded(bench.stop(KERNEL));
    assert!(is_private_clear(&mut bench));
}

/// The control: without the guard the plaintext stays, and is open.
#[cfg(feature = "control")]
#[test]
fn control_without_the_guard() {
    for isolates in [true, false] {
        let mut bench = bench(isolates);
        run(&mut bench, &firmware(true, None));
        bench.service.remove(Some(remoteproc_service::Guard::Dump));
        succeeded(bench.stop(KERNEL));
        assert!(readable(&mut bench) && holds(&mut bench, &PRIVATE, TRACES));
        assert_eq!(bench.machine().isolations(), OPEN);
    }
}
