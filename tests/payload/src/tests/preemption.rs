//! Interrupts of the normal world while the partition serves a request: with the default manifest they wait, and where they
//! preempt it, it goes on as if nothing had happened.
use super::flips::{PROGRAM_HEADER, PT_LOAD, headers, metadata_length, word};
use crate::context::Context;
use crate::framework::{Failure, Outcome, Text};
use crate::interrupts::{Delays, Storm};
use crate::machine::{self, Preemptions, Strictness};
use crate::observe;
use crate::parameters::File;
use crate::transport::call_with_vectors;
use crate::{expect, expect_eq, failure, memory, say};
use remoteproc_abi::door_d::{Answer, LoadArguments, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;
use remoteproc_shim::ffa::{Error as FfaError, FfaTransport, Options, Registers, Status};
use remoteproc_shim::{Error, LoadError, TableLocation};

crate::cases! { "preemption":
    interrupts_wait_by_default
    load_start_stop_release
    every_request_of_a_large_life
    all_of_the_retrieve
    all_of_the_signature_check
    refused_images_stay_refused
    everybody_else_waits
    given_up_requests_let_go
    vector_registers_stay_apart
}

const FFA_ERROR: u32 = 0x8400_0060;
const FFA_INTERRUPT: u32 = 0x8400_0062;
const FFA_RUN: u32 = 0x8400_006D;
const REQUEST_32: u32 = 0x8400_006F;
const REQUEST_64: u32 = 0xC400_006F;
const RESPONSE_64: u32 = 0xC400_0070;
const REQUEST_2: u32 = 0xC400_008D;
const MEM_RECLAIM: u32 = 0x8400_0077;

/// Preemptions that a case wants to see.
const ENOUGH: u32 = 100;
/// Rounds to get there, at most.
const ROUNDS: u32 = 200;
/// From the shortest delay, in which hardly more is done than changing the world, to more than most requests take.
const ANYWHERE: Delays = Delays { first: 500, step: 997, last: 40_000 };

/// Has interrupts preempt the partition, or skips the case.
fn preempting(context: &Context) -> Outcome {
    if context.set_strictness(Strictness::Preempting)? {
        return Ok(());
    }
    let why =
        format_args!("only the test bench's SPMC lets interrupts preempt the partition against its manifest");
    Err(Failure::Skipped(Text::of(why)))
}

fn begin(context: &mut Context, delays: Delays, most: u32) {
    context.client.tee().transport().storm = Some(Storm::new(delays, most));
}

/// The interrupts, while they go on.
fn storm(context: &mut Context) -> Outcome<&mut Storm> {
    context.client.tee().transport().storm.as_mut().ok_or_else(|| failure!("there are no interrupts"))
}

/// Ends the interrupts. Returns how many preempted the partition, and how many waited for it.
fn end(context: &mut Context) -> Outcome<(u32, u32)> {
    let storm = context.client.tee().transport().storm.take();
    storm.map(|storm| (storm.preempted, storm.waited)).ok_or_else(|| failure!("there are no interrupts"))
}

/// FFA_RUN's argument: the partition's first execution context.
fn target(context: &mut Context) -> u64 {
    u64::from(context.client.tee().service().partition) << 16
}

/// Checks the FFA_ERROR that a call is answered with.
fn expect_error(answer: &Registers, status: Status, what: &str) -> Outcome {
    expect_eq!(answer[0] as u32, FFA_ERROR, what);
    expect_eq!(Status((answer[2] as u32).cast_signed()), status, what);
    Ok(())
}

/// Nothing is left to be resumed.
fn nothing_to_resume(context: &mut Context) -> Outcome {
    let target = target(context);
    let answer = context.call(FFA_RUN, &[target]);
    expect_error(&answer, Status::DENIED, "FFA_RUN when all is answered")
}

/// What is in the processor's memory, in one number.
fn digest() -> u64 {
    memory::REGIONS.step_by(4).fold(0, |digest: u64, address| {
        (digest.rotate_left(5) ^ u64::from(memory::read_word(address))).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Loads the firmware, has it run, stops and releases it.
fn whole_life(context: &mut Context, firmware: File, heart: bool) -> Outcome<(u64, Option<TableLocation>)> {
    context.load(firmware).map_err(|error| failure!("load: {error}"))?;
    let digest = digest();
    let table = context.client.resource_table().map_err(|error| failure!("table: {error}"))?;
    let location = table.ok_or_else(|| failure!("no resource table"))?;
    let processor = context.client.processor();
    let copy = observe::copy_table(processor, location);
    let heartbeat = copy.and_then(|table| observe::signs(processor, &table).heartbeat);
    let heartbeat = heartbeat.ok_or_else(|| failure!("the resource table names no heartbeat"))?;
    if heart {
        context.client.start().map_err(|error| failure!("start: {error}"))?;
        observe::wait_for_move(heartbeat, 0).ok_or_else(|| failure!("no heartbeat"))?;
    }
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    observe::stands(heartbeat).map_err(|moved| failure!("the heartbeat moves after stop: {moved:?}"))?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    Ok((digest, table))
}

/// The manifest says that interrupts are queued.
fn interrupts_wait_by_default(context: &mut Context) -> Outcome {
    let firmware = context.firmware()?;
    let before = machine::preemptions();
    begin(context, ANYWHERE, u32::MAX);
    for _ in 0..ROUNDS {
        whole_life(context, firmware, false)?;
        expect_eq!(storm(context)?.preempted, 0, "FFA_INTERRUPTs");
        if storm(context)?.waited >= ENOUGH {
            break;
        }
    }
    let (_, waited) = end(context)?;
    say!("info {waited} interrupts waited");
    expect!(waited >= ENOUGH, "only {waited} interrupts came while a request was served");
    expect!(machine::preemptions() == before, "the SPMC has preempted the partition");
    Ok(())
}

/// Every request is answered right, once, wherever the interrupts fall.
fn load_start_stop_release(context: &mut Context) -> Outcome {
    preempting(context)?;
    let firmware = context.firmware()?;
    let quiet = whole_life(context, firmware, true)?;
    let before = machine::preemptions();
    begin(context, ANYWHERE, u32::MAX);
    for round in 0..ROUNDS {
        let stormy = whole_life(context, firmware, round < 3)?;
        expect!(stormy == quiet, "round {round}: the memory or the resource table differs");
        if round >= 3 && storm(context)?.preempted >= ENOUGH {
            break;
        }
    }
    let (preempted, waited) = end(context)?;
    let Preemptions { all, receiving, holding } = since(before);
    say!(
        "info {preempted} preemptions, {receiving} with the RX buffer held, {holding} with memory held; {waited} too late"
    );
    expect!(preempted >= ENOUGH, "only {preempted} preemptions");
    expect_eq!(all, preempted.into(), "preemptions that the SPMC has counted");
    expect!(holding > 0, "no preemption while the partition held memory");
    nothing_to_resume(context)?;
    context.expect_counts(0, 0)?;
    context.expect_clear()
}

/// Delays with which each request is preempted, once at its beginning and again while it goes on.
const EVERYWHERE: Delays = Delays { first: 200, step: 2_311, last: 60_000 };

/// Does something, each request of which has to be preempted and resumed. Prints what that were.
fn all_preempted(
    context: &mut Context,
    what: &str,
    work: impl FnOnce(&mut Context) -> Outcome,
) -> Outcome<(u64, u32)> {
    let before = (machine::preemptions(), context.client.tee().transport().direct_requests());
    context.client.tee().transport().storm = Some(Storm::preempt_each(EVERYWHERE));
    work(context)?;
    let storm =
        context.client.tee().transport().storm.take().ok_or_else(|| failure!("there are no interrupts"))?;
    let requests = context.client.tee().transport().direct_requests() - before.1;
    let (preempted, again, all) = (storm.requests_preempted, storm.requests_preempted_again, storm.preempted);
    say!(
        "info preemptions of {what}: {requests} requests, {preempted} preempted, {again} more than once, {all} in all"
    );
    expect_eq!(u64::from(preempted), requests, "requests that were preempted");
    expect_eq!(since(before.0).all, u64::from(all), "preemptions that the SPMC has counted");
    Ok((requests, again))
}

/// 10 MiB: each request of LOAD_FW, of START_FW and of RELEASE_FW is preempted and resumed. What is loaded is right byte for byte.
fn every_request_of_a_large_life(context: &mut Context) -> Outcome {
    /// Most bytes that one request copies or hashes, and clears.
    const SLICE: u64 = 128 << 10;
    const CLEARED: u64 = 1 << 20;
    /// Bytes that are loaded, and of these private ones, which START_FW hashes again.
    const LOADED: u64 = 10 << 20;
    const PRIVATE: u64 = 9 << 20;
    preempting(context)?;
    let large = context.large()?;
    let (requests, again) = all_preempted(context, "LOAD_FW", |context| {
        context.load(large).map_err(|error| failure!("load: {error}"))
    })?;
    expect!(requests >= LOADED / SLICE, "LOAD_FW took only {requests} requests");
    // The others were over too soon, or the interrupt came too late.
    expect!(
        u64::from(again) >= LOADED / SLICE / 2,
        "only {again} of {requests} were preempted in the middle"
    );
    is_loaded(large)?;
    let table = context.client.resource_table().map_err(|error| failure!("table: {error}"))?;
    let location = table.ok_or_else(|| failure!("no resource table"))?;
    let processor = context.client.processor();
    let heartbeat = observe::copy_table(processor, location);
    let heartbeat = heartbeat.and_then(|table| observe::signs(processor, &table).heartbeat);
    let heartbeat = heartbeat.ok_or_else(|| failure!("the resource table names no heartbeat"))?;
    let (requests, again) = all_preempted(context, "START_FW", |context| {
        context.client.start().map_err(|error| failure!("start: {error}"))
    })?;
    expect!(requests >= PRIVATE / SLICE, "START_FW took only {requests} requests");
    // Some only ask whether the core runs yet.
    expect!(
        u64::from(again) >= PRIVATE / SLICE / 2,
        "only {again} of {requests} were preempted in the middle"
    );
    let first = observe::wait_for_move(heartbeat, 0).ok_or_else(|| failure!("no heartbeat"))?;
    observe::wait_for_move(heartbeat, first).ok_or_else(|| failure!("the heartbeat stays {first}"))?;
    all_preempted(context, "STOP_FW", |context| {
        context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))
    })?;
    observe::stands(heartbeat).map_err(|moved| failure!("the heartbeat moves after stop: {moved:?}"))?;
    let (requests, _) = all_preempted(context, "RELEASE_FW", |context| {
        context.client.release().map_err(|error| failure!("release: {error}"))
    })?;
    let memory = memory::REGIONS.end - memory::REGIONS.start;
    expect!(requests >= memory / CLEARED, "RELEASE_FW took only {requests} requests");
    nothing_to_resume(context)?;
    context.expect_counts(0, 0)?;
    context.expect_clear()
}

/// Each byte of the file's segments is where it belongs, what the file does not hold of a segment is zero, and so is all around.
fn is_loaded(file: File) -> Outcome {
    let elf = metadata_length(file)?;
    let (offset, count) = headers(file)?;
    let mut loaded = heapless::Vec::<(u64, u64), 32>::new();
    for header in (0..count).map(|index| offset + index * PROGRAM_HEADER) {
        let field = |place: u64| u64::from(word(file, header + place));
        if word(file, header) != PT_LOAD {
            continue;
        }
        let (start, address, size, room) = (elf + field(4), field(12), field(16), field(20));
        let (mut expected, mut there) = ([0; 4096], [0; 4096]);
        for done in (0..room).step_by(4096) {
            let length = (room - done).min(4096) as usize;
            let of_file = size.saturating_sub(done).min(length as u64) as usize;
            expected.fill(0);
            memory::read(file.address + start + done, &mut expected[..of_file]);
            memory::read(address + done, &mut there[..length]);
            let wrong = (0..length).find(|&index| expected[index] != there[index]);
            expect!(
                wrong.is_none(),
                "the byte at {:#x} is wrong",
                address + done + wrong.unwrap_or(0) as u64
            );
        }
        loaded.push((address, address + room)).map_err(|_| failure!("too many segments"))?;
    }
    expect!(!loaded.is_empty(), "the file has no segment");
    loaded.sort_unstable();
    let mut next = memory::REGIONS.start;
    for (start, end) in loaded.into_iter().chain([(memory::REGIONS.end, 0)]) {
        let (from, to) = (next.next_multiple_of(8), start & !7);
        if from < to {
            expect_eq!(memory::first_other(from..to, 0), None, "what is not zero between the segments");
        }
        next = end;
    }
    Ok(())
}

/// Preemptions since then.
fn since(before: Preemptions) -> Preemptions {
    let now = machine::preemptions();
    Preemptions {
        all: now.all - before.all,
        receiving: now.receiving - before.receiving,
        holding: now.holding - before.holding,
    }
}

/// Duration of one LOAD_FW, in ticks, and its answer.
fn timed(context: &mut Context, handle: u64, total: u64) -> Outcome<u64> {
    let start = machine::Moment::now();
    context.load_once(handle, total, 0)?;
    Ok(start.elapsed_ticks())
}

/// Repeats the beginning of a load, its first `before` requests undisturbed and the next one preempted at moments that lie evenly
/// over all of it, until `done` says that it is enough.
fn sweep(context: &mut Context, before: u32, done: impl Fn(Preemptions) -> bool) -> Outcome<Preemptions> {
    const MOMENTS: u64 = 60;
    preempting(context)?;
    let sample = context.sample()?;
    let (handle, total) = (context.share_good(&[sample.range()])?, sample.length);
    let mut ticks = 0;
    for _ in 0..3 {
        for _ in 0..before {
            timed(context, handle, total)?;
        }
        ticks = timed(context, handle, total)?;
        context.client.release().map_err(|error| failure!("{error}"))?;
    }
    let counted = machine::preemptions();
    begin(context, Delays { first: 1, step: 1, last: 1 }, 0);
    let mut rounds = 0;
    while !done(since(counted)) {
        rounds += 1;
        expect!(rounds <= ROUNDS / 10, "{} preemptions are not where they should be", since(counted).all);
        for moment in 0..MOMENTS {
            for _ in 0..before {
                context.load_once(handle, total, 0)?;
            }
            // Other moments in each round; a little beyond the end, because each preemption takes time, too.
            storm(context)?.once((moment * 8 + u64::from(rounds % 8)) * ticks / (7 * MOMENTS) + 1);
            context.load_once(handle, total, 0)?;
            storm(context)?.once(0);
            nothing_to_resume(context)?;
            context.client.release().map_err(|error| failure!("{error}"))?;
        }
    }
    end(context)?;
    // The last one to its end.
    let answer = context.load_handle(handle, total, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    context.reclaim(handle)?;
    let counted = since(counted);
    say!(
        "info {} preemptions in {rounds} rounds over {ticks} ticks, {} with the RX buffer held, {} with memory held",
        counted.all,
        counted.receiving,
        counted.holding
    );
    Ok(counted)
}

/// The first request retrieves the memory and copies header, TLVs and signature.
fn all_of_the_retrieve(context: &mut Context) -> Outcome {
    let wanted = u64::from(ENOUGH / 2);
    let counted = sweep(context, 0, |now| now.all >= wanted && now.receiving > 0 && now.holding > 0)?;
    expect!(counted.holding < counted.all, "no preemption before the memory was retrieved");
    Ok(())
}

/// The second one checks the signature.
fn all_of_the_signature_check(context: &mut Context) -> Outcome {
    let wanted = u64::from(ENOUGH / 2);
    let counted = sweep(context, 1, |now| now.all >= wanted)?;
    expect_eq!(counted.holding, counted.all, "preemptions while memory was held");
    Ok(())
}

/// A wrong signature and a wrong segment.
fn refused_images_stay_refused(context: &mut Context) -> Outcome {
    preempting(context)?;
    let sample = context.sample()?;
    let copy = File { address: memory::SCRATCH.start, ..sample };
    memory::copy(sample.address, copy.address, sample.length);
    let signature = metadata_length(copy)? - 1;
    begin(context, ANYWHERE, u32::MAX);
    for _ in 0..ROUNDS {
        let mut byte = [0];
        memory::read(copy.address + signature, &mut byte);
        memory::write(copy.address + signature, &[byte[0] ^ 1]);
        let outcome = context.load(copy);
        context.expect_load_refused(outcome, Refusal::SignatureInvalid)?;
        context.expect_counts(0, 0)?;
        memory::write(copy.address + signature, &byte);
        context.load(copy).map_err(|error| failure!("as it was: {error}"))?;
        context.client.release().map_err(|error| failure!("{error}"))?;
        if storm(context)?.preempted >= ENOUGH / 2 {
            break;
        }
    }
    let (preempted, _) = end(context)?;
    expect!(preempted >= ENOUGH / 2, "only {preempted} preemptions");
    nothing_to_resume(context)
}

/// Begins a load, and has its second request preempted in the middle. Returns the registers of that request.
fn preempted_load(context: &mut Context, handle: u64, total: u64) -> Outcome<()> {
    let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
    let payload = Request::Load { processor: context.parameters.processor(), arguments }.encode();
    let mut call = [u64::from(context.client.tee().service().partition), 0, 0, 0, 0, 0, 0];
    call[2..].copy_from_slice(&payload);
    for delay in (1..60).rev().map(|part| part * 500) {
        context.load_once(handle, total, 0)?;
        storm(context)?.once(delay);
        let answer = context.call(REQUEST_64, &call);
        if answer[0] as u32 == FFA_INTERRUPT {
            expect_eq!(answer[1], target(context), "the execution context that FFA_INTERRUPT names");
            context.client.tee().transport().interrupted();
            return Ok(());
        }
        expect_eq!(answer[0] as u32, RESPONSE_64, "the answer");
        storm(context)?.once(0);
        context.client.release().map_err(|error| failure!("{error}"))?;
    }
    Err(failure!("the request is never preempted"))
}

/// While a request is interrupted, nobody gets another one in, or the memory out.
fn everybody_else_waits(context: &mut Context) -> Outcome {
    preempting(context)?;
    let sample = context.sample()?;
    let (handle, total) = (context.share_good(&[sample.range()])?, sample.length);
    begin(context, ANYWHERE, 0);
    preempted_load(context, handle, total)?;
    let partition = u64::from(context.client.tee().service().partition);
    let target = target(context);
    for time in ["first", "second"] {
        for (request, payload) in [
            (REQUEST_32, [0, 0xFF_0000, 0]),
            (REQUEST_64, [0, 0x10, 0]),
            (REQUEST_2, [0x0549_470a_75c2_a480, 0x081a_77a9_8614_8582, 0x10]),
        ] {
            let answer = context.call(request, &[partition, payload[0], payload[1], payload[2]]);
            expect_error(&answer, Status::BUSY, "a request while another one is interrupted")?;
        }
        for wrong in [target + 1, target + 0x1_0000, 0, u64::from(context.client.tee().spmc_id()) << 16] {
            let answer = context.call(FFA_RUN, &[wrong]);
            expect_error(&answer, Status::INVALID_PARAMETERS, "FFA_RUN of what is not there")?;
        }
        let answer = context.call(MEM_RECLAIM, &[handle & 0xFFFF_FFFF, handle >> 32]);
        expect_error(&answer, Status::DENIED, "FFA_MEM_RECLAIM of memory that the partition holds")?;
        // What has nothing to do with the partition goes on.
        let page =
            remoteproc_abi::memory_descriptor::Constituent { address: memory::SCRATCH.start, page_count: 1 };
        let other = context.share_good(&[page])?;
        context.reclaim(other)?;
        if time == "first" {
            // Once more, a little later in the same request.
            storm(context)?.once(2000);
            let answer = context.call(FFA_RUN, &[target]);
            expect_eq!(answer[0] as u32, FFA_INTERRUPT, "the answer to FFA_RUN");
            context.client.tee().transport().interrupted();
        }
    }
    let answer = context.call(FFA_RUN, &[target]);
    expect_eq!(answer[0] as u32, RESPONSE_64, "the answer to FFA_RUN");
    let answer = Answer::decode(&[answer[3], answer[4], answer[5], answer[6], answer[7]]);
    expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result");
    expect_eq!(answer.values[1], total, "the bytes in total");
    nothing_to_resume(context)?;
    context.expect_counts(1, 1)?;
    let (preempted, _) = end(context)?;
    expect_eq!(preempted, 2, "preemptions");
    let answer = context.load_handle(handle, total, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    context.reclaim(handle)
}

/// A client that gives up in the middle of a request gets its memory back, and the next answer is the next request's.
fn given_up_requests_let_go(context: &mut Context) -> Outcome {
    preempting(context)?;
    let sample = context.sample()?;
    let before = machine::preemptions();
    let mut given_up = 0;
    for round in 0..ROUNDS {
        // Short delays: a request is preempted again and again.
        let delays = Delays { first: 2500 + u64::from(round) * 50, step: 100, last: 20_000 };
        begin(context, delays, 5);
        context.client.tee().set_options(Options { resumes: 2, ..Options::default() });
        let outcome = context.load(sample);
        context.client.tee().set_options(Options::default());
        end(context)?;
        match outcome {
            Ok(()) => {}
            Err(LoadError { error: Error::Tee(FfaError::Stalled(_)), not_reclaimed: None }) => given_up += 1,
            Err(error) => return Err(failure!("round {round}: {error}")),
        }
        context.client.release().map_err(|error| failure!("round {round}: release: {error}"))?;
        context.expect_counts(0, 0)?;
        if given_up >= 10 {
            break;
        }
    }
    say!("info {given_up} requests were given up, {} preemptions", since(before).all);
    expect!(given_up >= 10, "only {given_up} requests were given up");
    nothing_to_resume(context)
}

/// The SIMD registers of the two worlds: the partition's never show, and the client's are as it left them.
fn vector_registers_stay_apart(context: &mut Context) -> Outcome {
    preempting(context)?;
    let sample = context.sample()?;
    let (handle, total) = (context.share_good(&[sample.range()])?, sample.length);
    let (partition, target) = (u64::from(context.client.tee().service().partition), target(context));
    let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
    let payload = Request::Load { processor: context.parameters.processor(), arguments }.encode();
    let mut request = [0; 18];
    request[..3].copy_from_slice(&[REQUEST_64.into(), partition, 0]);
    request[3..8].copy_from_slice(&payload);
    begin(context, ANYWHERE, u32::MAX);
    for round in 0..ROUNDS {
        let mut registers = request;
        loop {
            let value = u128::from(round + 1) * 0x0101_0101_0101_0101_0101_0101;
            let before: [u128; 32] = core::array::from_fn(|index| value << (index % 8) | index as u128);
            let mut after = before;
            storm(context)?.arm();
            call_with_vectors(&mut registers, &mut after);
            let changed = (0..32).find(|&index| before[index] != after[index]);
            expect_eq!(changed, None, "the SIMD register that a call has changed");
            if registers[0] as u32 != FFA_INTERRUPT {
                storm(context)?.disarm();
                break;
            }
            expect!(storm(context)?.take(), "the timer's interrupt is not pending");
            registers = [0; 18];
            registers[..2].copy_from_slice(&[FFA_RUN.into(), target]);
        }
        expect_eq!(registers[0] as u32, RESPONSE_64, "the answer");
        let answer = Answer::decode(&[registers[3], registers[4], registers[5], registers[6], registers[7]]);
        if answer.tee_result() != Some(TeeResult::InProgress) {
            expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
            context.client.release().map_err(|error| failure!("{error}"))?;
            if storm(context)?.preempted >= ENOUGH / 2 {
                break;
            }
        }
    }
    let (preempted, _) = end(context)?;
    expect!(preempted >= ENOUGH / 2, "only {preempted} preemptions");
    // A round may have ended in the middle of a load.
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.reclaim(handle)
}
