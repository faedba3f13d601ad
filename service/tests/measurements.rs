//! GET_MEASUREMENTS: what is entered and what is not, the ring, and the chain that anybody can compute again.
mod support;

use remoteproc_abi::door_d::{Answer, Request};
use remoteproc_abi::measurements::{Entry, KEPT, Part, Question, Summary, digest_of};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::provider::{Hasher, Provider};
use remoteproc_image::software::Software;
use remoteproc_image::write::{Container, Order, RsaKey};
use remoteproc_refusal::Refusal;
use remoteproc_service::Caller;
use support::{Bench, KERNEL, M33, USER, VM, sample, second, succeeded, vector};

fn ask(bench: &mut Bench, caller: Caller, part: Part, entry: u64) -> Answer {
    bench.ask_once(caller, Request::GetMeasurements(Question { part, entry }))
}

fn summary(bench: &mut Bench) -> Summary {
    Summary::of(&ask(bench, VM, Part::Summary, 0))
}

fn digest(bench: &mut Bench, part: Part) -> [u8; 32] {
    digest_of(&ask(bench, VM, part, 0))
}

fn entry(bench: &mut Bench, caller: Caller, number: u64) -> Entry {
    let parts = [Part::Signed, Part::Signer, Part::Load].map(|part| ask(bench, caller, part, number));
    for part in parts {
        succeeded(part);
    }
    Entry::of(&parts[0], &parts[1], &parts[2]).unwrap()
}

fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Software.sha256();
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finish()
}

/// What the signature of a container covers: header, and TLV area with its pad.
fn signed_part(container: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(container[8..12].try_into().unwrap()) as usize;
    &container[..20 + length.next_multiple_of(8)]
}

fn key_id() -> [u8; 32] {
    sha256(&[&vector("keys/rsa2048.pub.der")])
}

/// From the base over all entries that are kept, one gets to the chain.
fn assert_chain(bench: &mut Bench) {
    let Summary { count, first } = summary(bench);
    let mut chain = digest(bench, Part::Base);
    for number in first..count {
        let entry = entry(bench, VM, number);
        chain = sha256(&[&chain, &entry.bytes()]);
    }
    assert_eq!(chain, digest(bench, Part::Chain));
}

fn load_and_release(bench: &mut Bench, image: &[u8]) {
    succeeded(bench.load(KERNEL, M33, image));
    succeeded(bench.release(KERNEL));
}

#[test]
fn what_is_loaded_is_measured() {
    let mut bench = Bench::new();
    assert_eq!(summary(&mut bench), Summary { count: 0, first: 0 });
    assert_eq!((digest(&mut bench, Part::Chain), digest(&mut bench, Part::Base)), ([0; 32], [0; 32]));
    load_and_release(&mut bench, &sample());
    load_and_release(&mut bench, &second());
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let container = Container::new(Order::Mainline).image(&vector("elf/fw_m33_ns.elf"));
    let counting = container.boot_address(0x8010_0000).security_counter(6).sign(&key).unwrap();
    load_and_release(&mut bench, &counting);
    assert_eq!(summary(&mut bench), Summary { count: 3, first: 0 });
    for (number, (image, security_counter)) in
        [(sample(), 0), (second(), 0), (counting, 6)].iter().enumerate()
    {
        let expected = Entry {
            signed: sha256(&[signed_part(image)]),
            signer: key_id(),
            processor: M33,
            security_counter: *security_counter,
        };
        // Anybody may ask.
        for caller in [KERNEL, USER, VM] {
            assert_eq!(entry(&mut bench, caller, number as u64), expected);
        }
    }
    assert_chain(&mut bench);
    assert_eq!(digest(&mut bench, Part::Base), [0; 32], "nothing was dropped");
}

#[test]
fn what_is_not_loaded_is_not_measured() {
    let mut bench = Bench::new();
    let mut forged = sample();
    let signature = signed_part(&forged).len();
    forged[signature] ^= 1;
    let answer = bench.load(KERNEL, M33, &forged);
    bench.refused(KERNEL, answer, Refusal::SignatureInvalid);
    let mut spoilt = sample();
    let images = signature + 256;
    spoilt[images + 512..].iter_mut().step_by(64).for_each(|byte| *byte ^= 1);
    assert_ne!(bench.load(KERNEL, M33, &spoilt).tee_result(), Some(TeeResult::Success));
    assert_eq!(summary(&mut bench).count, 0);
    succeeded(bench.load(KERNEL, M33, &sample()));
    // Loaded already: no byte of it is read again.
    succeeded(bench.load(KERNEL, M33, &sample()));
    succeeded(bench.start(KERNEL));
    succeeded(bench.stop(KERNEL));
    assert_eq!(summary(&mut bench).count, 1);
    succeeded(bench.load(KERNEL, M33, &sample()));
    assert_eq!(summary(&mut bench).count, 2, "loaded again after a stop");
}

#[test]
fn the_ring_keeps_the_last_loads_and_the_chain_all() {
    let mut bench = Bench::new();
    let mut chain = [0; 32];
    for number in 0..KEPT as u64 + 3 {
        let image = if number % 3 == 0 { second() } else { sample() };
        load_and_release(&mut bench, &image);
        let entry = Entry {
            signed: sha256(&[signed_part(&image)]),
            signer: key_id(),
            processor: M33,
            security_counter: 0,
        };
        chain = sha256(&[&chain, &entry.bytes()]);
    }
    assert_eq!(summary(&mut bench), Summary { count: KEPT as u64 + 3, first: 3 });
    assert_eq!(digest(&mut bench, Part::Chain), chain);
    assert!(digest(&mut bench, Part::Base) != [0; 32]);
    assert_chain(&mut bench);
}

#[test]
fn loads_that_are_not_kept() {
    let mut bench = Bench::new();
    for _ in 0..=KEPT {
        load_and_release(&mut bench, &sample());
    }
    for (number, kept) in
        [(0, false), (1, true), (KEPT as u64, true), (KEPT as u64 + 1, false), (u64::MAX, false)]
    {
        for part in [Part::Signed, Part::Signer, Part::Load] {
            let answer = ask(&mut bench, VM, part, number);
            if kept {
                succeeded(answer);
            } else {
                bench.refused(VM, answer, Refusal::MeasurementUnknown);
            }
        }
    }
    // A part that there is not.
    let answer = bench.send(VM, &[0x14, 6, 0, 0, 0]);
    bench.refused(VM, answer, Refusal::FlagsUnknown);
}
