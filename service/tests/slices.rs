//! A load over many requests: slices, several handles, restarts, clients that come and go.
mod support;

use remoteproc_abi::door_d::{FLAG_ONE_CALL, Request};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{
    Features, Info, Operation, Owner, OwnerDoor, ProcessorInfo, ProcessorState, Status,
};
use remoteproc_refusal::Refusal;
use remoteproc_service::client_memory::MemoryError;
use remoteproc_service::jobs::MAX_LOADS;
use remoteproc_service::lifecycle::State;
use remoteproc_service::slice::SLICE;
use remoteproc_service::{Caller, Door};
use support::*;

/// A valid container whose one segment has this many bytes.
fn large(bytes: usize) -> Vec<u8> {
    use remoteproc_image::write::{Container, Order, RsaKey};
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let mut elf = vec![0; 88 + bytes];
    elf[..16].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut put = |at: usize, value: u32, size: usize| {
        elf[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    put(16, 2, 2);
    put(18, 40, 2);
    put(20, 1, 4);
    put(24, 0x8000_0000, 4);
    put(28, 52, 4);
    put(40, 52, 2);
    put(42, 32, 2);
    put(44, 1, 2);
    for (index, word) in
        [1, 88, 0x8000_0000, 0x8000_0000, bytes as u32, bytes as u32, 5, 4].into_iter().enumerate()
    {
        put(52 + 4 * index, word, 4);
    }
    for (index, byte) in elf[88..].iter_mut().enumerate() {
        *byte = ((index * 31) >> 3) as u8;
    }
    Container::new(Order::Mainline).image(&elf).sign(&key).unwrap()
}

/// The image in shares of so many bytes: handle, offset.
fn shares(bench: &mut Bench, caller: Caller, image: &[u8], size: usize) -> Vec<(u64, u64)> {
    let offsets = (0..).step_by(size);
    image.chunks(size).zip(offsets).map(|(part, offset)| (bench.share(caller, part), offset)).collect()
}

/// Goes on with a load until it stands at `done` bytes or more.
#[track_caller]
fn advance(bench: &mut Bench, caller: Caller, (handle, offset): (u64, u64), total: u64, done: u64) -> u64 {
    for _ in 0..100 {
        let answer = bench.load_once(caller, handle, total, offset);
        in_progress(answer);
        assert_eq!(answer.values[1], total);
        if answer.values[0] >= done && bench.state() == State::Loading {
            return answer.values[0];
        }
    }
    panic!("the load does not get on");
}

#[test]
fn a_large_image_is_loaded_in_slices() {
    let mut bench = Bench::new();
    let image = large(1 << 20);
    let total = image.len() as u64;
    let handle = bench.share(KERNEL, &image);
    let (mut done, mut calls) = (0, 0);
    loop {
        // `send` looks at what each call did.
        let answer = bench.load_once(KERNEL, handle, total, 0);
        calls += 1;
        assert!(answer.values[0] >= done, "bytes done never go back");
        done = answer.values[0];
        if answer.tee_result() == Some(TeeResult::Success) {
            break;
        }
        in_progress(answer);
    }
    assert_eq!(done, total);
    // Metadata, signature, 2.5 MiB cleared, copied, hashed.
    assert!(calls >= 2 + 3 + 2 * image.len() / SLICE, "{calls} calls");
    bench.assert_nothing_left();
    assert_eq!(bench.service.counters().client_bytes_read, total, "each byte once");
    let segment = bench.machine().memory.at(0x8000_0000, 1 << 20).to_vec();
    assert!(image.ends_with(&segment), "loaded as it was signed");

    // The seal is checked in slices too.
    let mut starts = 1;
    while bench.start_once(KERNEL).tee_result() == Some(TeeResult::InProgress) {
        starts += 1;
    }
    assert_eq!(starts, (1 << 20) / SLICE);
    assert_eq!(bench.state(), State::Running);
}

/// Each trusted key that could have made a signature has a request of its own.
#[test]
fn one_request_tries_one_key() {
    use remoteproc_image::provider::{PublicKey, TrustedKey};
    let mut board = board();
    let PublicKey::Rsa { modulus, exponent } = board.keys[0].key().unwrap() else { panic!("an RSA key") };
    let mut other = modulus.to_vec();
    other[100] ^= 1;
    let key = PublicKey::Rsa { modulus: other.leak(), exponent };
    let own = board.keys[0];
    board.keys.clear();
    for key in [key, key, own.key().unwrap()] {
        board.keys.push(TrustedKey::new("one of several", key)).unwrap();
    }
    let mut bench = Bench::with(board, |_| ());
    // `send` counts the checks of each request.
    let answer = bench.load(KERNEL, M33, &sample());
    succeeded(answer);
    assert_eq!(bench.machine().crypto.checks.get(), 3);
    succeeded(bench.release(KERNEL));

    let mut wrong = sample();
    let images = u32::from_le_bytes(wrong[16..20].try_into().unwrap()) as usize;
    let last_of_signature = wrong.len() - images - 1;
    wrong[last_of_signature] ^= 1;
    let answer = bench.load(KERNEL, M33, &wrong);
    bench.refused(KERNEL, answer, Refusal::SignatureInvalid);
    assert_eq!(bench.machine().crypto.checks.get(), 6);
    bench.assert_nothing_left();
}

/// The refusal of a signature is told by the next request; who comes back with something else has begun anew.
#[test]
fn a_refused_signature_does_not_stand_in_the_way() {
    let mut wrong = sample();
    let images = u32::from_le_bytes(wrong[16..20].try_into().unwrap()) as usize;
    let last_of_signature = wrong.len() - images - 1;
    wrong[last_of_signature] ^= 1;
    let mut bench = Bench::new();
    let (total, handle) = (wrong.len() as u64, bench.share(KERNEL, &wrong));
    while bench.machine().crypto.checks.get() == 0 {
        in_progress(bench.load_once(KERNEL, handle, total, 0));
    }
    assert_eq!((bench.client_held(), bench.service.loads_under_way()), (1, 1));
    succeeded(bench.load(KERNEL, M33, &sample()));
    bench.assert_nothing_left();
    succeeded(bench.release(KERNEL));

    while bench.machine().crypto.checks.get() < 3 {
        in_progress(bench.load_once(KERNEL, handle, total, 0));
    }
    let answer = bench.load_once(KERNEL, handle, total, 0);
    bench.refused(KERNEL, answer, Refusal::SignatureInvalid);
    bench.assert_nothing_left();
    assert_eq!(bench.state(), State::Offline);
}

#[test]
fn a_broken_seal_is_refused_when_the_memory_is_clear() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &large(1 << 20)));
    bench.machine().memory.poke(0x800f_ffff, &[0x77]);
    let mut waits = 0;
    let answer = loop {
        let answer = bench.start_once(KERNEL);
        if answer.tee_result() != Some(TeeResult::InProgress) {
            break answer;
        }
        waits += 1;
    };
    assert!(waits >= 8 + 2, "{waits}: hashed and cleared in slices");
    bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
    assert_eq!(bench.state(), State::Offline);
    bench.assert_clear();
}

#[test]
fn an_old_check_before_a_start_begins_anew() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &large(1 << 20)));
    for _ in 0..4 {
        in_progress(bench.start_once(KERNEL));
    }
    // What was hashed is changed, and the client comes back late.
    bench.machine().memory.poke(0x8000_0000, &[0x77]);
    bench.machine().now += 5_001;
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
}

#[test]
fn an_image_may_come_in_several_handles() {
    let image = large(300_000);
    let total = image.len() as u64;
    for size in [4096, 8192, 65536, 131_072, 262_144] {
        let mut bench = Bench::new();
        for (handle, offset) in shares(&mut bench, KERNEL, &image, size) {
            let end = (offset + size as u64).min(total);
            loop {
                let answer = bench.load_once(KERNEL, handle, total, offset);
                if end == total && answer.tee_result() == Some(TeeResult::Success) {
                    break;
                }
                in_progress(answer);
                if answer.values[0] == end && end < total {
                    assert_eq!(bench.client_held(), 0, "given back when its bytes are consumed");
                    break;
                }
            }
        }
        assert_eq!(bench.state(), State::Loaded);
        assert_eq!(bench.service.counters().client_bytes_read, total, "each byte once");
        bench.assert_nothing_left();
    }
}

#[test]
fn an_offset_out_of_order_leaves_the_load_alone() {
    let mut bench = Bench::new();
    let image = large(300_000);
    let total = image.len() as u64;
    let parts = shares(&mut bench, KERNEL, &image, 131_072);
    assert_eq!(advance(&mut bench, KERNEL, parts[0], total, 131_072), 131_072);
    for (handle, offset) in
        [(parts[2].0, parts[2].1), (parts[1].0, 4096), (parts[0].0, total), (77, u64::MAX)]
    {
        let answer = bench.load_once(KERNEL, handle, total, offset);
        bench.refused(KERNEL, answer, Refusal::OffsetUnexpected);
        assert_eq!(bench.state(), State::Loading);
    }
    // In the right order it goes on, and a share that is held is not disturbed by the refusal.
    in_progress(bench.load_once(KERNEL, parts[1].0, total, parts[1].1));
    let answer = bench.load_once(KERNEL, parts[1].0, total, 4096);
    bench.refused(KERNEL, answer, Refusal::OffsetUnexpected);
    let answer = bench.load_once(KERNEL, parts[2].0, total + 8, parts[2].1);
    bench.refused(KERNEL, answer, Refusal::OffsetUnexpected);
    let answer = bench.ask(KERNEL, load_request(M33, parts[2].0, total, parts[2].1));
    succeeded(answer);
    assert_eq!(bench.service.counters().client_bytes_read, total);
    bench.assert_nothing_left();
}

#[test]
fn offset_zero_with_another_handle_starts_again() {
    let mut bench = Bench::new();
    let image = large(300_000);
    let total = image.len() as u64;
    let first = bench.share(KERNEL, &image);
    advance(&mut bench, KERNEL, (first, 0), total, 1);
    let other = sample();
    let second = bench.share(KERNEL, &other);
    in_progress(bench.load_once(KERNEL, second, other.len() as u64, 0));
    assert_eq!(bench.client_held(), 1, "the first handle is given back");
    assert_eq!(bench.state(), State::Loading, "the claim stays");
    succeeded(bench.load_handle(KERNEL, M33, second, other.len() as u64));
    assert_eq!(bench.machine().memory.at(0x8000_1000, 4096), [0; 4096], "nothing of the first image is left");
    bench.assert_nothing_left();

    // A restart that is refused before its signature gives the claim up, clear.
    let mut bench = Bench::new();
    let first = bench.share(KERNEL, &image);
    advance(&mut bench, KERNEL, (first, 0), total, 200_000);
    let answer = bench.load(KERNEL, M33, &vector("negative/n09-sig-flip.sig"));
    bench.refused(KERNEL, answer, Refusal::SignatureInvalid);
    assert_eq!(bench.state(), State::Offline);
    bench.assert_clear();
    bench.assert_nothing_left();
}

#[test]
fn a_refusal_after_the_claim_is_answered_when_the_memory_is_clear() {
    let mut bench = Bench::new();
    let mut image = large(300_000);
    let last = image.len() - 1000;
    image[last] ^= 1;
    let (handle, total) = (bench.share(KERNEL, &image), image.len() as u64);
    advance(&mut bench, KERNEL, (handle, 0), total, total);
    let answer = loop {
        let answer = bench.load_once(KERNEL, handle, total, 0);
        if answer.tee_result() != Some(TeeResult::InProgress) {
            break answer;
        }
        assert_eq!(answer.values[0], total, "bytes done stand");
        assert_eq!(bench.state(), State::Loading);
        // Nobody else gets in meanwhile, and nothing starts.
        let other = bench.load_once(VM, 77, total, 0);
        bench.refused(VM, other, Refusal::NotOwner);
        let start = bench.start_once(VM);
        bench.refused(VM, start, Refusal::NotOwner);
    };
    bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
    bench.assert_clear();
    assert_eq!(bench.state(), State::Offline);
    bench.assert_nothing_left();
}

#[test]
fn memory_that_goes_away_in_mid_load() {
    let image = large(300_000);
    let total = image.len() as u64;
    // The bus aborts, or the SPMC does not know the next handle any more.
    for reclaimed in [false, true] {
        let mut bench = Bench::new();
        let parts = shares(&mut bench, KERNEL, &image, 131_072);
        advance(&mut bench, KERNEL, parts[0], total, 131_072);
        let share = bench.client.shares.get_mut(&parts[1].0).unwrap();
        let refusal = if reclaimed {
            share.retrieve_error = Some(MemoryError::UnknownHandle);
            Refusal::HandleUnknown
        } else {
            share.aborts_at = Some(10_000);
            Refusal::MemoryAbort
        };
        let answer = bench.ask(KERNEL, load_request(M33, parts[1].0, total, parts[1].1));
        bench.refused(KERNEL, answer, refusal);
        assert_eq!(bench.state(), State::Offline);
        bench.assert_clear();
        bench.assert_nothing_left();
        succeeded(bench.load(VM, M33, &sample()));
    }
}

#[test]
fn a_release_in_mid_load_aborts_and_clears() {
    let image = large(300_000);
    let total = image.len() as u64;
    let mut bench = Bench::new();
    let handle = bench.share(KERNEL, &image);
    advance(&mut bench, KERNEL, (handle, 0), total, 200_000);
    in_progress(bench.release_once(KERNEL));
    bench.assert_nothing_left();
    let (state, operation) = bench.status();
    assert_eq!((state, operation), (ProcessorState::Loading, Some(Operation::Wipe)));
    // A load in the middle of that goes on with it, and then begins.
    succeeded(bench.load(KERNEL, M33, &sample()));
    succeeded(bench.release(KERNEL));
    bench.assert_clear();

    // Before the claim, there is only the memory to let go of.
    let handle = bench.share(VM, &image);
    in_progress(bench.load_once(VM, handle, total, 0));
    assert_eq!((bench.client_held(), bench.state()), (1, State::Offline));
    succeeded(bench.release_once(VM));
    bench.assert_nothing_left();
}

#[test]
fn two_clients_interleave_metadata() {
    let mut bench = Bench::new();
    let (first, second) = (sample(), second());
    let (a, b) = (bench.share(KERNEL, &first), bench.share(VM, &second));
    let (total_a, total_b) = (first.len() as u64, second.len() as u64);
    in_progress(bench.load_once(KERNEL, a, total_a, 0));
    in_progress(bench.load_once(VM, b, total_b, 0));
    assert_eq!((bench.client_held(), bench.service.loads_under_way()), (2, 2));
    in_progress(bench.load_once(KERNEL, a, total_a, 0));
    in_progress(bench.load_once(VM, b, total_b, 0));
    assert_eq!(bench.service.counters().signature_checks, 2, "both verified, neither has claimed");
    assert_eq!(bench.state(), State::Offline);
    // Whoever claims first has it.
    in_progress(bench.load_once(VM, b, total_b, 0));
    let answer = bench.load_once(KERNEL, a, total_a, 0);
    bench.refused(KERNEL, answer, Refusal::NotOwner);
    assert_eq!(bench.client_held(), 1, "the loser's memory is given back");
    succeeded(bench.load_handle(VM, M33, b, total_b));
    bench.assert_nothing_left();
    assert_eq!(bench.service.counters().client_bytes_read, bench.reads_of(b) + bench.reads_of(a));
}

#[test]
fn one_client_loads_two_processors() {
    let mut bench = Bench::new();
    let (large, small) = (large(300_000), vector("01-rsa2048-m4.sig"));
    let a = bench.share(KERNEL, &large);
    let b = bench.share(KERNEL, &small);
    in_progress(bench.load_once(KERNEL, a, large.len() as u64, 0));
    // One load that has claimed nothing yet is enough for a client.
    let m4 = load_request(M4, b, small.len() as u64, 0);
    let answer = bench.ask(KERNEL, m4);
    bench.refused(KERNEL, answer, Refusal::MetadataSlotsFull);
    advance(&mut bench, KERNEL, (a, 0), large.len() as u64, 1);
    // One handle does not serve two loads.
    let answer = bench.ask(KERNEL, load_request(M4, a, large.len() as u64, 0));
    bench.refused(KERNEL, answer, Refusal::HandleInUse);
    assert_eq!(bench.client_held(), 1, "the load that holds it stands");
    succeeded(bench.ask(KERNEL, m4));
    succeeded(bench.load_handle(KERNEL, M33, a, large.len() as u64));
    bench.assert_nothing_left();
}

fn vm(endpoint: u16) -> Caller {
    Caller { endpoint, ..VM }
}

#[test]
fn room_is_bounded_and_idle_loads_make_way() {
    let mut bench = Bench::new();
    let image = sample();
    let total = image.len() as u64;
    let endpoints = 10..10 + MAX_LOADS as u16;
    for endpoint in endpoints.clone() {
        let handle = bench.share(vm(endpoint), &image);
        in_progress(bench.load_once(vm(endpoint), handle, total, 0));
        bench.machine().now += 1;
    }
    let handle = bench.share(KERNEL, &image);
    let answer = bench.load_once(KERNEL, handle, total, 0);
    bench.refused(KERNEL, answer, Refusal::MetadataSlotsFull);
    assert_eq!(bench.client_held(), MAX_LOADS);
    bench.machine().now += 5_000;
    in_progress(bench.load_once(KERNEL, handle, total, 0));
    assert_eq!((bench.client_held(), bench.service.loads_under_way()), (MAX_LOADS, MAX_LOADS));
    succeeded(bench.load_handle(KERNEL, M33, handle, total));
    // Those that are left are refused at their next call, and nothing of them stays.
    for endpoint in endpoints.skip(1) {
        let answer = bench.load_once(vm(endpoint), handle, total, 0);
        bench.refused(vm(endpoint), answer, Refusal::NotOwner);
    }
    bench.assert_nothing_left();
}

#[test]
fn an_endpoint_without_a_load_gets_one_of_several() {
    let mut bench = Bench::new();
    let image = sample();
    let total = image.len() as u64;
    let by = |endpoint, door| Caller { endpoint, door };
    let greedy = [by(10, Door::Direct), by(10, Door::TsRpc)];
    for caller in [greedy[0], by(11, Door::Direct), greedy[1]] {
        let handle = bench.share(caller, &image);
        in_progress(bench.load_once(caller, handle, total, 0));
        bench.machine().now += 1;
    }
    let handle = bench.share(KERNEL, &image);
    in_progress(bench.load_once(KERNEL, handle, total, 0));
    assert_eq!((bench.client_held(), bench.service.loads_under_way()), (MAX_LOADS, MAX_LOADS));
    // The one that was older is gone. Everybody has one now, so nobody gets another one's room.
    let other = bench.share(greedy[0], &image);
    for caller in [greedy[0], by(12, Door::Direct)] {
        let answer = bench.load_once(caller, other, total, 0);
        bench.refused(caller, answer, Refusal::MetadataSlotsFull);
    }
    assert_eq!(bench.client_held(), MAX_LOADS);
    succeeded(bench.load_handle(KERNEL, M33, handle, total));
}

#[test]
fn a_claim_is_no_room_for_others() {
    let mut bench = Bench::new();
    let (large, small) = (large(300_000), vector("01-rsa2048-m4.sig"));
    let total = small.len() as u64;
    let handle = bench.share(KERNEL, &large);
    in_progress(bench.load_once(KERNEL, handle, large.len() as u64, 0));
    advance(&mut bench, KERNEL, (handle, 0), large.len() as u64, 1);
    // The kernel's second load has claimed nothing yet: that is the one that goes.
    for caller in [KERNEL, vm(11), vm(12)] {
        let share = bench.share(caller, &small);
        in_progress(bench.ask_once(caller, load_request(M4, share, total, 0)));
        assert_eq!(bench.state(), State::Loading, "the claim stands");
    }
    assert_eq!((bench.client_held(), bench.service.loads_under_way()), (MAX_LOADS, MAX_LOADS));
    // The claim is what the kernel has now, and nobody's room.
    let share = bench.share(vm(13), &small);
    let answer = bench.ask_once(vm(13), load_request(M4, share, total, 0));
    bench.refused(vm(13), answer, Refusal::MetadataSlotsFull);
    succeeded(bench.load_handle(KERNEL, M33, handle, large.len() as u64));
}

#[test]
fn an_idle_claim_is_taken_over() {
    let image = large(300_000);
    let total = image.len() as u64;
    let mut bench = Bench::new();
    let handle = bench.share(KERNEL, &image);
    let done = advance(&mut bench, KERNEL, (handle, 0), total, 10_000);
    assert!(done < total);
    let other = sample();
    let mine = bench.share(VM, &other);
    let try_to = |bench: &mut Bench| bench.load_once(VM, mine, other.len() as u64, 0);
    bench.machine().now += 5_000;
    let answer = try_to(&mut bench);
    bench.refused(VM, answer, Refusal::NotOwner);
    bench.machine().now += 1;
    // Nothing is taken over before the signature has verified.
    in_progress(try_to(&mut bench));
    let answer = bench.load_once(VM, 77, 100, 0);
    bench.refused(VM, answer, Refusal::HandleUnknown);
    assert_eq!(bench.owner(), Some(0));
    in_progress(try_to(&mut bench));
    in_progress(try_to(&mut bench));
    assert_eq!(bench.owner(), Some(0), "verified, not claimed");
    in_progress(try_to(&mut bench));
    assert_eq!(bench.owner(), Some(3));
    assert_eq!(bench.client_held(), 1, "the old owner's handle is given back");
    let answer = bench.load_once(KERNEL, handle, total, 0);
    bench.refused(KERNEL, answer, Refusal::NotOwner);
    assert_eq!(answer.tee_result(), Some(TeeResult::BadState));
    succeeded(bench.load_handle(VM, M33, mine, other.len() as u64));
    assert_eq!(bench.machine().memory.at(0x8000_1000, 4096), [0; 4096], "nothing of the old image is left");
    bench.assert_nothing_left();
    let answer = bench.release(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NotOwner);
}

#[test]
fn an_owner_who_comes_back_in_time_keeps_its_claim() {
    let image = large(300_000);
    let total = image.len() as u64;
    let mut bench = Bench::new();
    let handle = bench.share(KERNEL, &image);
    advance(&mut bench, KERNEL, (handle, 0), total, 1);
    let other = sample();
    let mine = bench.share(VM, &other);
    bench.machine().now += 5_001;
    in_progress(bench.load_once(VM, mine, other.len() as u64, 0));
    in_progress(bench.load_once(KERNEL, handle, total, 0));
    let answer = bench.load_once(VM, mine, other.len() as u64, 0);
    bench.refused(VM, answer, Refusal::NotOwner);
    succeeded(bench.load_handle(KERNEL, M33, handle, total));
    bench.assert_nothing_left();
}

#[test]
fn a_wipe_that_is_left_alone_does_not_lock_the_processor() {
    let mut bench = Bench::new();
    let mut image = large(300_000);
    let last = image.len() - 1000;
    image[last] ^= 1;
    let (handle, total) = (bench.share(KERNEL, &image), image.len() as u64);
    advance(&mut bench, KERNEL, (handle, 0), total, total);
    while bench.status().1 != Some(Operation::Wipe) {
        in_progress(bench.load_once(KERNEL, handle, total, 0));
    }
    bench.machine().now += 5_001;
    succeeded(bench.load(VM, M33, &sample()));
    assert_eq!(bench.owner(), Some(3));
    assert_eq!(bench.client_held(), 0);
    bench.assert_nothing_left();
}

#[test]
fn one_call_loads_in_one_request_for_those_who_may() {
    let mut bench = Bench::new();
    let image = large(300_000);
    let total = image.len() as u64;
    let handle = bench.share(ONE_CALLER, &image);
    let registers = [1 | FLAG_ONE_CALL, M33.into(), handle, total, 0];
    let answer = bench.send(ONE_CALLER, &registers);
    succeeded(answer);
    assert_eq!(answer.values, [total, total, 0, 0]);
    succeeded(bench.release(ONE_CALLER));
    let answer = bench.send(VM, &registers);
    bench.refused(VM, answer, Refusal::FlagsUnknown);
    let answer = bench.send(ONE_CALLER, &[1 | FLAG_ONE_CALL, M33.into(), handle, total, 4096]);
    bench.refused(ONE_CALLER, answer, Refusal::OffsetUnexpected);
    // The share has to hold all of it; a refusal after the claim is answered in the same request, memory clear.
    let part = bench.share(ONE_CALLER, &image[..131_072]);
    let answer = bench.send(ONE_CALLER, &[1 | FLAG_ONE_CALL, M33.into(), part, total, 0]);
    bench.refused(ONE_CALLER, answer, Refusal::ShareTooSmall);
    bench.assert_clear();
    bench.assert_nothing_left();
}

#[test]
fn questions_are_answered_to_anybody() {
    let mut bench = Bench::new();
    let info = |bench: &mut Bench| Info::of(&bench.ask(VM, Request::GetInfo)).unwrap();
    let idle = info(&mut bench);
    let expected = Features::NO_ISOLATION | Features::SLICES | Features::ONE_CALL | Features::EVENTS;
    assert_eq!(idle.features, expected);
    assert_eq!((idle.processors, idle.load_slots, idle.loads_under_way, idle.handles_held), (2, 3, 0, 0));
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    in_progress(bench.load_once(KERNEL, handle, image.len() as u64, 0));
    let busy = info(&mut bench);
    assert_eq!((busy.loads_under_way, busy.handles_held), (1, 1));
    succeeded(bench.load_handle(KERNEL, M33, handle, image.len() as u64));

    let described = ProcessorInfo::of(&bench.ask(VM, Request::GetProcessor { index: 0 })).unwrap();
    assert_eq!((described.id, described.state, described.regions), (M33, ProcessorState::Loaded, 5));
    assert_eq!(ProcessorInfo::of(&bench.ask(VM, Request::GetProcessor { index: 1 })).unwrap().id, M4);
    let answer = bench.ask(VM, Request::GetProcessor { index: 2 });
    bench.refused(VM, answer, Refusal::UnknownProcessor);

    succeeded(bench.start(KERNEL));
    bench.machine().drivers[0].crash();
    let status = Status::of(&bench.ask(VM, Request::GetStatus { processor: M33 })).unwrap();
    assert_eq!(status.state, ProcessorState::Crashed);
    assert_eq!(status.owner, Some(Owner { endpoint: 0, door: OwnerDoor::Direct }));
    assert_eq!(u32::from(status.fault), 1);
    let answer = bench.ask(VM, Request::GetStatus { processor: 8 });
    bench.refused(VM, answer, Refusal::UnknownProcessor);
}
