//! Door T: buffers that come and go, calls through them, loads in chunks; and clients that do all of that wrong.
mod support;
use remoteproc_abi::door_d::{Request, StopMode};
use remoteproc_abi::door_t::{Chunk, Details, REQUEST_LENGTH};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Owner, OwnerDoor, ProcessorInfo, ProcessorState, Status};
use remoteproc_abi::ts_rpc::{self, UUID};
use remoteproc_abi::{SERVICE_UUID, ts_rpc::Request as Rpc};
use remoteproc_refusal::Refusal;
use remoteproc_service::buffers::{MAX_BUFFERS, MAX_BUFFERS_OF_ONE};
use remoteproc_service::client_memory::{MemoryError, PhysicalRange};
use remoteproc_service::lifecycle::State;
use support::door_t::{NOTHING, PLACE};
use support::{
    Bench, KERNEL, M4, M33, SAMPLE_TABLE, Seen, USER, VM, load_request, sample, second, succeeded,
};

const START: Request = Request::Start { processor: M33 };
const STOP: Request = Request::Stop { processor: M33, mode: StopMode::Forced };
const TABLE: Request = Request::GetResourceTable { processor: M33 };
const RELEASE: Request = Request::Release { processor: M33 };

/// Asserts that a call was refused so, and that GET_LAST_ERROR names it to this client.
#[track_caller]
fn refused(bench: &mut Bench, endpoint: u16, handle: u64, refusal: Refusal, result: u32) {
    let expected = u32::from(remoteproc_service::result::result_of(refusal));
    assert_eq!(result, expected, "the result, expecting {refusal}");
    last_error(bench, endpoint, handle, refusal);
}

#[track_caller]
fn last_error(bench: &mut Bench, endpoint: u16, handle: u64, refusal: Refusal) {
    let (number, _) = bench.call(endpoint, handle, &Request::GetLastError, NOTHING).as_last_error();
    assert_eq!(Refusal::from_number(number), Some(refusal), "GET_LAST_ERROR");
}

#[test]
fn the_service_is_found() {
    let mut bench = Bench::new();
    assert_eq!(bench.rpc(0, &Rpc::GetVersion), [1, 0, 0, 0]);
    assert_eq!(bench.rpc(3, &Rpc::ServiceInfo { service: SERVICE_UUID }), [0, 0, 0, 0]);
    assert_eq!(bench.status_of(0, &Rpc::ServiceInfo { service: UUID }), -3);
    for control in [0xFF_0004, 0xFF_FFFF, 0x1_0000, 0xFE_0001, 0x0100_0001, 0x8000_0001] {
        assert_eq!(bench.rpc_registers(0, &[control, 1, 2, 3, 4]), [(-2i32).cast_unsigned(), 0, 0, 0]);
    }
}

#[test]
fn a_whole_life_in_chunks() {
    for length in [1, 7, 4096, 8192, 1 << 20] {
        let mut bench = Bench::new();
        let image = sample();
        let buffer = bench.buffer(0, 257);
        let answer = bench.load_in_chunks(0, buffer, M33, &image, length);
        assert_eq!((answer.result, answer.values[0]), (0, image.len() as u64), "chunks of {length}");
        let taken: usize = bench
            .take_seen()
            .iter()
            .map(|seen| match seen {
                Seen::ClientRead(_, offset, size) if *offset >= PLACE as u64 => *size,
                _ => 0,
            })
            .sum();
        assert_eq!(taken, image.len(), "each byte once");
        let (address, size) = SAMPLE_TABLE;
        assert_eq!(bench.call(0, buffer, &TABLE, NOTHING).values, [address, size, 0, 0]);
        succeeded(bench.call_out(0, buffer, &START));
        assert_eq!(bench.state(), State::Running);
        succeeded(bench.call_out(0, buffer, &STOP));
        succeeded(bench.call_out(0, buffer, &RELEASE));
        bench.assert_clear();
        assert_eq!(bench.give_back(0, buffer), 0);
        bench.assert_nothing_left();
    }
}

#[test]
fn what_is_loaded_is_the_same_by_either_door() {
    let (image, mut by_t, mut by_d) = (second(), Bench::new(), Bench::new());
    let buffer = by_t.buffer(0, 8);
    succeeded(by_t.load_in_chunks(0, buffer, M33, &image, 4096));
    succeeded(by_d.load(KERNEL, M33, &image));
    assert!(by_t.machine().memory.bytes == by_d.machine().memory.bytes);
}

#[test]
fn a_processor_is_described_with_name_and_regions() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 1);
    let request = Request::GetProcessor { index: 1 };
    let answer = bench.call(0, buffer, &request, NOTHING);
    let info = ProcessorInfo::of(&answer).unwrap();
    assert_eq!((info.id, info.state, info.regions), (M4, ProcessorState::Offline, 3));
    let bytes = bench.client.shares[&buffer].bytes.clone();
    let details = Details::decode(&bytes[32..64 + 24 * 3]).unwrap();
    assert_eq!(details.name(), "m4");
    let regions: Vec<_> = details
        .regions()
        .iter()
        .map(|region| (region.device_address, region.physical_address, region.size, region.shared))
        .collect();
    assert_eq!(
        regions,
        [
            (0, 0x80d0_0000, 0x1_0000, false),
            (0x1000_0000, 0x80d1_0000, 0x2_0000, false),
            (0x1002_0000, 0x80d3_0000, 0x4_0000, true)
        ]
    );
    assert!(bytes[64 + 24 * 3..].iter().all(|byte| *byte == 0x5a), "nothing behind the answer is written");
    let answer = bench.call(0, buffer, &Request::GetProcessor { index: 2 }, NOTHING);
    refused(&mut bench, 0, buffer, Refusal::UnknownProcessor, answer.result);
}

#[test]
fn the_doors_are_two_clients() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 8);
    // What door D loaded, door T is refused.
    succeeded(bench.load(KERNEL, M33, &sample()));
    for request in [START, STOP, TABLE, RELEASE] {
        let answer = bench.call(0, buffer, &request, NOTHING);
        refused(&mut bench, 0, buffer, Refusal::NotOwner, answer.result);
    }
    let answer = bench.load_in_chunks(0, buffer, M33, &sample(), 8192);
    refused(&mut bench, 0, buffer, Refusal::NotOwner, answer.result);
    succeeded(bench.release(KERNEL));
    // And the other way round.
    succeeded(bench.load_in_chunks(0, buffer, M33, &sample(), 8192));
    for request in [START, STOP, TABLE, RELEASE] {
        let answer = bench.ask(KERNEL, request);
        bench.refused(KERNEL, answer, Refusal::NotOwner);
    }
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::NotOwner);
    let status = Status::of(&bench.call(0, buffer, &Request::GetStatus { processor: M33 }, NOTHING)).unwrap();
    assert_eq!(status.owner, Some(Owner { endpoint: 0, door: OwnerDoor::TsRpc }));
    assert_eq!(USER.endpoint, KERNEL.endpoint, "it is the door that tells them apart");
    succeeded(bench.call_out(0, buffer, &RELEASE));
}

#[test]
fn buffers_are_their_owners() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 1);
    // Nobody else calls with it, or gives it back.
    bench.client.fill(buffer, 0, &[0; REQUEST_LENGTH]);
    for (endpoint, handle) in [(3, buffer), (0, buffer + 1), (0, buffer | 1 << 32), (0, 0)] {
        assert_eq!(bench.call_raw(endpoint, 0x10, handle, 32), [(-3i32).cast_unsigned(), 0, 0, 0]);
        assert_eq!(bench.give_back(endpoint, handle), -3);
    }
    // Nor takes it.
    assert_eq!(bench.take_buffer(3, buffer), -5);
    assert_eq!(bench.call_raw(0, 0x10, buffer, 32)[..2], [0, 0], "it is held as before");
    // Twice.
    assert_eq!(bench.take_buffer(0, buffer), -4);
    last_error(&mut bench, 0, buffer, Refusal::BufferHeld);
    assert_eq!(bench.give_back(0, buffer), 0);
    assert_eq!(bench.give_back(0, buffer), -3);
    assert_eq!(bench.call_raw(0, 0x10, buffer, 32), [(-3i32).cast_unsigned(), 0, 0, 0]);
    assert_eq!(bench.take_buffer(0, buffer), 0, "and again");
    assert_eq!(bench.give_back(0, buffer), 0);
    bench.assert_nothing_left();
}

#[test]
fn no_endpoint_takes_all_buffers() {
    let mut bench = Bench::new();
    let mine: Vec<u64> = (0..MAX_BUFFERS_OF_ONE).map(|_| bench.buffer(0, 1)).collect();
    bench.client.share(0, 77, &[0; 4096]);
    assert_eq!(bench.take_buffer(0, 77), -3);
    last_error(&mut bench, 0, mine[0], Refusal::BuffersFull);
    for endpoint in 1..=(MAX_BUFFERS - MAX_BUFFERS_OF_ONE) as u16 {
        bench.buffer(endpoint, 1);
    }
    bench.client.share(9, 78, &[0; 4096]);
    assert_eq!(bench.take_buffer(9, 78), -3, "there is no room for anybody");
    assert_eq!(bench.give_back(0, mine[0]), 0);
    assert_eq!(bench.take_buffer(9, 78), 0);
    // Loads of door D have their own room.
    succeeded(bench.load(KERNEL, M33, &sample()));
}

#[test]
fn what_the_spmc_says_of_a_buffer() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 1);
    assert_eq!(bench.take_buffer(0, 99), -5, "never shared");
    last_error(&mut bench, 0, buffer, Refusal::HandleUnknown);
    let errors = [
        (MemoryError::Malformed, Refusal::ShareMalformed),
        (MemoryError::TooManyRanges, Refusal::TooManyRanges),
    ];
    for (error, refusal) in errors {
        bench.client.share(0, 50, &[0; 4096]).retrieve_error = Some(error);
        assert_eq!(bench.take_buffer(0, 50), -5);
        last_error(&mut bench, 0, buffer, refusal);
    }
    bench.client.share(0, 51, &[0; 4096]).map_error = Some(MemoryError::Malformed);
    assert_eq!(bench.take_buffer(0, 51), -5);
    bench.client.share(0, 52, &[0; 4096]).read_only = true;
    assert_eq!(bench.take_buffer(0, 52), -5);
    bench.client.share(0, 53, &[0; 4096]).lent = true;
    assert_eq!(bench.take_buffer(0, 53), -5);
    // The tag is the client's business, as long as it is the one of the share.
    bench.client.share(0, 54, &[0; 4096]).tag = 0x1234_5678_9abc_def0;
    assert_eq!(bench.take_buffer(0, 54), -5);
    let tagged = Rpc::RetrieveMemory { handle: 54, tag: 0x1234_5678_9abc_def0 };
    assert_eq!(bench.status_of(0, &tagged), 0);
    assert_eq!(bench.client_held(), 2, "what was refused is not held");
}

#[test]
fn buffers_that_a_client_must_not_name() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 1);
    for (start, size, refusal) in [
        (0x3fff_f000, 0x1000, Refusal::RangeOutsideNormalMemory),
        (0x0e00_0000, 0x1000, Refusal::RangeOverlapsPartition),
        (0x8000_0000, 0x1000, Refusal::RangeOverlapsProcessor),
        (0x80ff_0000, 0x1000, Refusal::RangeOverlapsProcessor),
        (0x5000_0000, 0x1000, Refusal::RangeOverlapsDevice),
        (0x4000_0800, 0x1000, Refusal::RangeMisaligned),
    ] {
        let share = bench.client.share(0, 50, &[0; 4096]);
        share.retrieved.ranges[0] = PhysicalRange { start, size };
        assert_eq!(bench.take_buffer(0, 50), -2, "{start:#x}");
        last_error(&mut bench, 0, buffer, refusal);
    }
    bench.client.share(0, 50, &[0; 4096]).retrieved.normal_world = false;
    assert_eq!(bench.take_buffer(0, 50), -2);
    last_error(&mut bench, 0, buffer, Refusal::RangeNotNormalWorld);
    assert_eq!(bench.client_held(), 1, "what was refused is not held");
    let writes = bench.take_seen().into_iter().filter(|seen| matches!(seen, Seen::ClientWrite(50, ..)));
    assert_eq!(writes.count(), 0);
}

#[test]
fn calls_that_make_no_sense_are_answered() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 1);
    let invalid_body = [(-6i32).cast_unsigned(), 0, 0, 0];
    // Without memory, whatever the length says.
    for length in [0, 32, u32::MAX] {
        let call = Rpc::Call { interface: 0, opcode: 0x10, handle: None, length, client: 0 };
        assert_eq!(bench.rpc(0, &call), invalid_body);
    }
    for length in [4097, u32::MAX] {
        assert_eq!(bench.call_raw(0, 0x10, buffer, length), invalid_body);
    }
    bench.take_seen();
    for length in [0, 1, 31, 33, 4096] {
        let [status, result, answer, _] = bench.call_raw(0, 0x10, buffer, length);
        assert_eq!((status, answer), (0, 0));
        refused(&mut bench, 0, buffer, Refusal::RequestLength, result);
    }
    let answer = bench.call_body(0, buffer, 0x99, &[0; 32]);
    refused(&mut bench, 0, buffer, Refusal::UnknownCommand, answer.result);
    let answer = bench.call_body(
        0,
        buffer,
        2,
        &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    refused(&mut bench, 0, buffer, Refusal::FlagsUnknown, answer.result);
    let answer = bench.call(0, buffer, &Request::Start { processor: 5 }, NOTHING);
    refused(&mut bench, 0, buffer, Refusal::UnknownProcessor, answer.result);
    bench.assert_untouched();
}

#[test]
fn chunks_that_do_not_fit_the_buffer() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 2);
    let image = sample();
    bench.load_chunk(0, buffer, M33, (&image, 0, 1));
    let request = load_request(M33, 0, image.len() as u64, 1);
    bench.take_seen();
    for (place, length) in
        [(0, 4096), (31, 1), (32, 8161), (8192, 1), (8191, 2), (64, 0), (u32::MAX, 1), (64, u32::MAX)]
    {
        let answer = bench.call(0, buffer, &request, Chunk { place, length });
        refused(&mut bench, 0, buffer, Refusal::ChunkOutside, answer.result);
    }
    let read = |seen: &Seen| matches!(seen, Seen::ClientRead(_, offset, _) if *offset != 0);
    assert!(!bench.take_seen().iter().any(read), "nothing of them was read");
    // The load that is under way stands.
    assert_eq!(bench.load_chunk(0, buffer, M33, (&image, 1, 3)).values[0], 3);
}

#[test]
fn chunks_come_in_order() {
    let mut bench = Bench::new();
    let image = sample();
    let buffer = bench.buffer(0, 4);
    bench.load_chunk(0, buffer, M33, (&image, 0, 8192));
    for offset in [1, 4096, 8191, 8193, image.len(), usize::MAX] {
        let chunk = bench.fill_chunk(buffer, &image[..16]);
        let answer = bench.call(0, buffer, &load_request(M33, 0, image.len() as u64, offset as u64), chunk);
        refused(&mut bench, 0, buffer, Refusal::OffsetUnexpected, answer.result);
    }
    // Another length than the one that was begun.
    let chunk = bench.fill_chunk(buffer, &image[8192..8200]);
    let answer = bench.call(0, buffer, &load_request(M33, 0, 9000, 8192), chunk);
    refused(&mut bench, 0, buffer, Refusal::OffsetUnexpected, answer.result);
    // No bytes, before the end.
    let answer =
        bench.call(0, buffer, &load_request(M33, 0, image.len() as u64, 8192), Chunk { length: 0, ..chunk });
    refused(&mut bench, 0, buffer, Refusal::ChunkOutside, answer.result);
    // The load stands all the same.
    succeeded(bench.load_chunk(0, buffer, M33, (&image, 8192, image.len())));
}

#[test]
fn a_buffer_that_is_given_back_in_mid_load_pauses_it() {
    let image = sample();
    let total = image.len() as u64;
    // At every point between two calls.
    for calls in 0..40 {
        let mut bench = Bench::new();
        let buffer = bench.buffer(0, 8);
        let chunk = bench.fill_chunk(buffer, &image);
        let mut done = 0;
        let mut finished = false;
        for _ in 0..calls {
            let answer = bench.call(0, buffer, &load_request(M33, 0, total, 0), chunk);
            finished = answer.tee_result() == Some(TeeResult::Success);
            done = answer.values[0];
            if finished {
                break;
            }
        }
        assert_eq!(bench.give_back(0, buffer), 0, "never refused");
        assert_eq!(bench.client_held(), 0);
        let again = bench.buffer(0, 8);
        if finished {
            assert!(calls > 3, "it takes more calls");
            break;
        }
        if done == total {
            // Nothing is missing but time.
            let end = Chunk { place: PLACE as u32, length: 0 };
            let request = load_request(M33, 0, total, total);
            let mut answer = bench.call(0, again, &request, end);
            while answer.tee_result() == Some(TeeResult::InProgress) {
                answer = bench.call(0, again, &request, end);
            }
            succeeded(answer);
        } else {
            let rest = (&image[..], done as usize, image.len());
            succeeded(bench.load_chunk(0, again, M33, rest));
        }
        assert_eq!(bench.state(), State::Loaded);
        assert!(calls < 39, "it ends at last");
    }
}

#[test]
fn another_chunk_takes_a_begun_ones_place() {
    let mut bench = Bench::new();
    let image = sample();
    let total = image.len() as u64;
    let (first, other) = (bench.buffer(0, 8), bench.buffer(0, 8));
    let chunk = bench.fill_chunk(first, &image);
    let answer = bench.call(0, first, &load_request(M33, 0, total, 0), chunk);
    let done = answer.values[0] as usize;
    assert!(done > 0 && done < image.len());
    succeeded(bench.load_chunk(0, other, M33, (&image, done, image.len())));
    for buffer in [first, other] {
        assert_eq!(bench.give_back(0, buffer), 0);
    }
    bench.assert_nothing_left();
}

#[test]
fn offset_zero_with_another_chunk_starts_again() {
    let mut bench = Bench::new();
    let image = sample();
    let buffer = bench.buffer(0, 8);
    bench.load_chunk(0, buffer, M33, (&second(), 0, 4096));
    succeeded(bench.load_in_chunks(0, buffer, M33, &image, 4096));
    assert_eq!(bench.service.counters().loads, 1);
}

#[test]
fn an_endpoint_without_a_buffer_asks_nothing() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 8);
    bench.load_chunk(0, buffer, M33, (&sample(), 0, 4096));
    let call = Rpc::Call { interface: 0, opcode: 1, handle: Some(buffer), length: 32, client: 0 };
    assert_eq!(bench.status_of(VM.endpoint, &call), -3);
    assert_eq!(bench.service.loads_under_way(), 1);
}

#[test]
fn the_doors_do_not_share_a_handle() {
    let mut bench = Bench::new();
    let image = sample();
    let total = image.len() as u64;
    // Held as a buffer: no load of door D takes it.
    let buffer = bench.buffer(0, 8);
    let answer = bench.load_once(KERNEL, buffer, total, 0);
    bench.refused(KERNEL, answer, Refusal::HandleInUse);
    assert_eq!(bench.call_raw(0, 0x10, buffer, 32)[0], 0, "the buffer is held as before");
    // Held by a load of door D: no buffer, and not given back by RELINQ_MEM.
    let handle = bench.share(KERNEL, &image);
    bench.load_once(KERNEL, handle, total, 0);
    assert_eq!(bench.take_buffer(0, handle), -5);
    last_error(&mut bench, 0, buffer, Refusal::HandleInUse);
    assert_eq!(bench.give_back(0, handle), -3);
    succeeded(bench.load_handle(KERNEL, M33, handle, total));
}

#[test]
fn aborts_of_the_bus_are_answered() {
    let mut bench = Bench::new();
    let (buffer, good) = (bench.buffer(0, 1), bench.buffer(0, 1));
    bench.client.shares.get_mut(&buffer).unwrap().write_aborts = true;
    bench.client.fill(buffer, 0, &[0; 32]);
    let [status, result, length, _] = bench.call_raw(0, 0x10, buffer, 32);
    assert_eq!((status, length), (0, 0));
    refused(&mut bench, 0, good, Refusal::MemoryAbort, result);
    bench.client.shares.get_mut(&buffer).unwrap().aborts_at = Some(16);
    bench.client.fill(buffer, 0, &[0; 32]);
    let [status, result, length, _] = bench.call_raw(0, 0x10, buffer, 32);
    assert_eq!((status, length), (0, 0));
    refused(&mut bench, 0, good, Refusal::MemoryAbort, result);
    assert_eq!(bench.give_back(0, buffer), 0, "a held buffer is given back, whatever it is like");
}

/// A bus that aborts in a chunk ends the load; what it had claimed is cleared first.
#[test]
fn an_abort_in_a_chunk_ends_the_load() {
    let mut bench = Bench::new();
    let image = sample();
    let (buffer, good) = (bench.buffer(0, 8), bench.buffer(0, 1));
    bench.client.shares.get_mut(&buffer).unwrap().aborts_at = Some((PLACE + image.len() - 1) as u64);
    let answer = bench.load_chunk(0, buffer, M33, (&image, 0, image.len()));
    refused(&mut bench, 0, good, Refusal::MemoryAbort, answer.result);
    bench.assert_clear();
    assert_eq!((bench.state(), bench.service.loads_under_way()), (State::Offline, 0));
}

/// The buffer changes after each read: what was read is what counts, and what is loaded are the signed bytes or nothing.
#[test]
fn a_buffer_that_changes_between_reads() {
    let image = sample();
    let loaded = |reads: Option<usize>| {
        let mut bench = Bench::new();
        let buffer = bench.buffer(0, 8);
        let from = bench.client.reads;
        bench.client.hostility = Some(Box::new(move |read, bytes| {
            // Behind the read at hand, in all that is still to come and all that was there.
            if reads.is_some_and(|at| read == from + at) {
                bytes[PLACE..].iter_mut().for_each(|byte| *byte ^= 0x80);
                bytes[..32].fill(0xff);
            }
        }));
        let answer = bench.load_in_chunks(0, buffer, M33, &image, 5000);
        let memory = bench.machine().memory.bytes.clone();
        (answer.tee_result(), memory, bench.client.reads - from)
    };
    let (result, good, reads) = loaded(None);
    assert_eq!(result, Some(TeeResult::Success));
    assert!(reads > 8);
    let mut refused = 0;
    for at in 0..reads {
        let (result, memory, _) = loaded(Some(at));
        match result {
            Some(TeeResult::Success) => assert!(memory == good, "read {at} lets something else through"),
            _ => refused += 1,
        }
    }
    assert!(refused > 0, "the changes are in time");
}

/// In LOADED, the same image is a success before its chunks are all there.
#[test]
fn the_same_image_again_needs_only_its_metadata() {
    let mut bench = Bench::new();
    let image = sample();
    let buffer = bench.buffer(0, 8);
    succeeded(bench.load_in_chunks(0, buffer, M33, &image, 8192));
    let answer = bench.load_chunk(0, buffer, M33, (&image, 0, 4096));
    assert_eq!((answer.tee_result(), answer.values[0]), (Some(TeeResult::Success), image.len() as u64));
    assert_eq!(bench.service.counters().repeated_loads, 1);
}

#[test]
fn registers_are_total() {
    let mut bench = Bench::new();
    let buffer = bench.buffer(0, 1);
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    for _ in 0..20_000 {
        let interface = [0, 0, 0xFF_0000, 0x1_0000][next() as usize % 4];
        let control = interface | (next() % 0x18);
        let handle = if next() % 3 == 0 { next() } else { buffer as u32 };
        let registers: ts_rpc::Registers = [control, handle, 0, next() % 64, 0];
        if control != 0xFF_0002 || handle != buffer as u32 {
            let body: Vec<u8> = (0..32).map(|_| if next() % 2 == 0 { 0 } else { next() as u8 }).collect();
            bench.client.fill(buffer, 0, &body);
            bench.client.fill(buffer, 32, &[0; 4064]);
            bench.rpc_registers(0, &registers);
        }
    }
    assert_eq!(bench.give_back(0, buffer), 0);
}
