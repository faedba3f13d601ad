//! Encrypted images and security counters: what the service allows, in which order, and what a failure leaves behind.
mod support;

use remoteproc_abi::door_d::Request;
use remoteproc_abi::status::Status;
use remoteproc_image::provider::CipherKey;
use remoteproc_refusal::Refusal;
use remoteproc_service::configuration::Board;
use remoteproc_service::lifecycle::State;
use support::{Bench, KERNEL, M33, Seen, VM, board, counting, sample, succeeded, vector};

/// The vector's key: it stays for the length of the tests.
fn key() -> CipherKey<'static> {
    CipherKey::Bytes(Box::leak(vector("keys/aes256.bin").into_boxed_slice()))
}

fn encrypted() -> Vec<u8> {
    vector("06-st-enc-aes256cbc-rsa2048.sig")
}

/// Where the vector's code lies, which is private.
const CODE: u64 = 0x8010_0000;

fn with_key(accept: bool) -> Board<'static> {
    Board { decryption_key: Some(key()), accept_no_isolation_encrypted: accept, ..board() }
}

fn isolated() -> Bench {
    Bench::with(with_key(false), |machine| {
        machine.drivers.iter_mut().for_each(|driver| driver.enforces = true)
    })
}

fn counter(bench: &mut Bench) -> u64 {
    Status::of(&bench.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap().security_counter
}

#[test]
fn an_encrypted_image_is_loaded_where_memory_is_closed() {
    let mut bench = isolated();
    succeeded(bench.load(KERNEL, M33, &encrypted()));
    let plain = {
        let mut bench = Bench::new();
        succeeded(bench.load(KERNEL, M33, &sample()));
        bench.machine().memory.at(CODE, 16).to_vec()
    };
    assert!(bench.machine().memory.at(CODE, 16) == plain, "the same firmware as the plain vector");
    succeeded(bench.start(KERNEL));
    bench.assert_nothing_left();
}

#[test]
fn without_isolation_an_encrypted_image_needs_the_manifests_leave() {
    let mut bench = Bench::with(with_key(false), |_| ());
    let answer = bench.load(KERNEL, M33, &encrypted());
    bench.refused(KERNEL, answer, Refusal::EncryptionNotAllowed);
    assert_eq!(bench.state(), State::Offline);
    bench.assert_nothing_left();
    let mut bench = Bench::with(with_key(true), |_| ());
    succeeded(bench.load(KERNEL, M33, &encrypted()));
    succeeded(bench.start(KERNEL));
}

#[test]
fn without_a_key_an_encrypted_image_is_refused() {
    let mut bench = Bench::new();
    let answer = bench.load(KERNEL, M33, &encrypted());
    bench.refused(KERNEL, answer, Refusal::NoDecryptionKey);
    assert_eq!(bench.state(), State::Offline);
}

/// The signed digests are of the ciphertext; what is sealed is the plaintext.
#[test]
fn plaintext_that_was_changed_is_not_started() {
    let mut bench = Bench::with(with_key(true), |_| ());
    succeeded(bench.load(KERNEL, M33, &encrypted()));
    let byte = bench.machine().memory.at(CODE + 7, 1)[0];
    bench.machine().memory.poke(CODE + 7, &[byte ^ 1]);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
    assert_eq!(bench.state(), State::Offline);
    assert!(bench.machine().drivers[0].releases.is_empty());
    assert_eq!(bench.machine().memory.at(CODE, 16), [0; 16]);
}

/// Whatever call of the memory or the hardware fails: no plaintext stays, nothing runs.
#[test]
fn a_failure_anywhere_in_an_encrypted_load_leaves_no_plaintext() {
    let plain = {
        let mut bench = isolated();
        succeeded(bench.load(KERNEL, M33, &encrypted()));
        bench.machine().memory.at(CODE, 16).to_vec()
    };
    for call in 0..10_000 {
        let mut bench = isolated();
        bench.machine().failure.at(call, false);
        let answer = bench.load(KERNEL, M33, &encrypted());
        if !bench.machine().failure.has_struck() {
            assert!(call > 20, "{call}");
            return;
        }
        if bench.state() != State::Loaded {
            assert_ne!(answer.result, 0, "call {call}");
            assert!(bench.machine().memory.at(CODE, 16) != plain, "call {call}");
        }
    }
    panic!("a load has no end");
}

#[test]
fn the_counter_rises_after_the_start_and_not_before() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    assert_eq!(counter(&mut bench), 0, "loaded is not run");
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    assert_eq!(counter(&mut bench), 0);
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    bench.seen.borrow_mut().clear();
    succeeded(bench.start(KERNEL));
    let order: Vec<_> = bench
        .seen
        .borrow()
        .iter()
        .filter(|seen| matches!(seen, Seen::Release(..) | Seen::RaiseCounter(..)))
        .copied()
        .collect();
    assert!(matches!(order[..], [Seen::Release(0, _), Seen::RaiseCounter(0, 5)]), "{order:?}");
    assert_eq!(counter(&mut bench), 5);
}

/// As long as the driver has not said that the processor runs, the counter stays.
#[test]
fn a_slow_start_raises_the_counter_once() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    bench.machine().drivers[0].be_slow(3);
    for _ in 0..3 {
        bench.start_once(KERNEL);
        assert_eq!(counter(&mut bench), 0);
    }
    succeeded(bench.start(KERNEL));
    assert_eq!(counter(&mut bench), 5);
    let raised = |seen: &&Seen| matches!(seen, Seen::RaiseCounter(..));
    assert_eq!(bench.seen.borrow().iter().filter(raised).count(), 1);
}

#[test]
fn older_images_are_refused_from_then_on() {
    let mut bench = Bench::with(board(), |machine| machine.drivers[0].counter.value = 5);
    let low = Refusal::CounterTooLow;
    for image in [counting(4), counting(0), sample()] {
        let answer = bench.load(KERNEL, M33, &image);
        bench.refused(KERNEL, answer, low);
        assert_eq!(bench.state(), State::Offline);
    }
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    succeeded(bench.start(KERNEL));
    assert!(!bench.seen.borrow().iter().any(|seen| matches!(seen, Seen::RaiseCounter(..))), "it stays");
    let mut bench = Bench::new();
    let answer = bench.load(KERNEL, M33, &counting(1001));
    bench.refused(KERNEL, answer, Refusal::CounterTooHigh);
    succeeded(bench.load(KERNEL, M33, &counting(1000)));
}

#[test]
fn a_counter_that_rose_after_the_load_stops_the_start() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    bench.machine().drivers[0].counter.value = 6;
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::CounterTooLow);
    assert!(bench.machine().drivers[0].releases.is_empty());
}

#[test]
fn a_counter_that_is_not_written_holds_the_processor_again() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    bench.machine().drivers[0].counter_stuck = true;
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::CounterWriteFailed);
    assert_eq!(bench.machine().drivers[0].state, remoteproc_service::hardware::Observed::Held);
    // It has run for a moment: what it left in its memory is not to be started again.
    assert_eq!((bench.state(), counter(&mut bench)), (State::Stopped, 0));
    bench.machine().drivers[0].counter_stuck = false;
    succeeded(bench.load(KERNEL, M33, &counting(5)));
    succeeded(bench.start(KERNEL));
    assert_eq!(counter(&mut bench), 5);
}
