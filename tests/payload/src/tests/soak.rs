//! The same thing very often: what a load, a start or an ended load leaves behind would add up.
//!
//! `cycles=` and `aborted=` of the parameters say how often. The partition is the build that fails on request, because that one tells how
//! much of its heap is in use.
use super::door_t;
use super::firmware::{load, start, stop};
use super::flips::{PROGRAM_HEADER, PT_LOAD, headers, metadata_length, word};
use super::fuzz::random::Random;
use crate::context::Context;
use crate::framework::Outcome;
use crate::machine::{self, Counts};
use crate::parameters::{File, number};
use crate::{expect, expect_eq, failure, memory, observe, say};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::door_d::{Request, StopMode};
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::ProcessorState;
use remoteproc_refusal::Refusal;

crate::cases! { "soak":
    a_leak_is_noticed
    cycles
    aborted_loads
}

/// The command of a partition that fails on request (`sp/src/fault.rs`), and the question how much of its heap is in use.
const FAIL: u64 = 0xFA17;
const HEAP_IN_USE: u64 = 9;
/// The seed without a parameter.
const SEED: u64 = 0x656e_6475_7261_6e63;
/// Times between two lines about how far it is.
const REPORT: u64 = 100;
/// Ways to end a load: by RELEASE_FW, by another load in its place, by a damaged byte, by memory that is gone; and by door T, by
/// RELEASE_FW, by a buffer that is given back, by a damaged byte.
const WAYS: usize = 7;
/// Pages of door T's buffer: the request, and a chunk of 1 MiB.
const PAGES: u32 = 257;
const CHUNK: u64 = 256 * FFA_PAGE_SIZE;

/// What has to be the same before and after.
#[derive(PartialEq, Eq)]
struct Held {
    /// Bytes of the partition's heap.
    heap: u64,
    /// What the SPMC counts of memory.
    spmc: Option<Counts>,
    /// What GET_INFO counts: loads under way, handles.
    service: (u16, u16),
}

fn held(context: &mut Context) -> Outcome<Held> {
    held_after_leak(context, 0)
}

fn held_after_leak(context: &mut Context, leaked: u64) -> Outcome<Held> {
    let answer = context.ask([FAIL, HEAP_IN_USE, leaked, 0, 0])?;
    expect_eq!(answer.result, 0, "the result of a partition that tells how much of its heap is in use");
    let info = context.client.info().map_err(|error| failure!("GET_INFO: {error}"))?;
    let service = (info.loads_under_way, info.handles_held);
    Ok(Held { heap: answer.values[0], spmc: machine::counts(), service })
}

/// The control: what is compared below tells of each byte that is lost, and of each page that stays shared.
fn a_leak_is_noticed(context: &mut Context) -> Outcome {
    let before = held(context)?;
    let after = held_after_leak(context, 32)?;
    expect!(after.heap >= before.heap + 32, "32 bytes less of the heap are not noticed");
    let sample = context.sample()?;
    let handle = context.share_good(&[sample.range()])?;
    context.load_once(handle, sample.length, 0)?;
    let holding = held(context)?;
    expect!(
        holding.spmc != after.spmc && holding.service != after.service,
        "memory that is held is not noticed"
    );
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    context.reclaim(handle)
}

fn times(context: &Context, key: &str) -> Outcome<u64> {
    let value = context.parameters.value(key).and_then(number);
    value.ok_or_else(|| failure!("{key}= says not how often"))
}

/// Runs something so often, each time with its number, and checks that nothing has gathered.
fn often(
    context: &mut Context,
    (what, times): (&str, u64),
    mut once: impl FnMut(&mut Context, u64) -> Outcome,
) -> Outcome {
    expect!(times > 0, "0 times prove nothing");
    let before = held(context)?;
    expect!(before.spmc.is_some(), "the SPMC does not count");
    for index in 0..times {
        once(context, index)?;
        let done = index + 1;
        if done % REPORT == 0 || done == times {
            say!("info soak {what}: {done} of {times}");
        }
    }
    let after = held(context)?;
    expect_eq!(after.service, before.service, "loads under way and handles held");
    expect_eq!(after.spmc, before.spmc, "what the SPMC counts");
    expect_eq!(after.heap, before.heap, "bytes of the heap in use");
    let Counts { shared, retrieved, mapped } = after.spmc.ok_or_else(|| failure!("no counts"))?;
    let (loads, handles) = after.service;
    say!(
        "info soak {what}: {times} times; before {} and after {} bytes of heap; before and after {loads} loads, {handles} \
         handles, {shared} shares, {retrieved} retrieved, {mapped} entries that map memory",
        before.heap,
        after.heap
    );
    Ok(())
}

/// Load, start, a heartbeat, stop, release.
fn cycles(context: &mut Context) -> Outcome {
    let times = times(context, "cycles")?;
    let mut by_door_t = 0;
    often(context, ("cycles", times), |context, index| {
        if index % 2 == 1 {
            by_door_t += 1;
            return cycle_by_door_t(context);
        }
        let signs = load(context)?;
        let heartbeat = start(context, signs)?;
        stop(context, heartbeat)?;
        context.client.release().map_err(|error| failure!("release: {error}"))?;
        context.expect_counts(0, 0)
    })?;
    say!("info soak cycles: {} by door D, {by_door_t} by door T", times - by_door_t);
    expect!(times < 2 || by_door_t > 0, "none by door T");
    context.expect_clear()
}

/// The same by door T, with a buffer of its own.
fn cycle_by_door_t(context: &mut Context) -> Outcome {
    let (file, processor) = (context.firmware()?, context.parameters.processor());
    let success = u32::from(TeeResult::Success);
    let handle = door_t::buffer(context, PAGES)?;
    let loaded = door_t::load_from(context, handle, (file, 0), CHUNK, &mut |_, _| {})?;
    expect_eq!(loaded, success, "LOAD_FW by door T");
    // What is where was learned from door D: the same image.
    let heartbeat = door_t_heartbeat(context, handle)?;
    expect_eq!(
        door_t::complete(context, handle, &Request::Start { processor })?,
        success,
        "START_FW by door T"
    );
    let first = observe::wait_for_move(heartbeat, 0).ok_or_else(|| failure!("no heartbeat"))?;
    observe::wait_for_move(heartbeat, first).ok_or_else(|| failure!("the heartbeat stays {first}"))?;
    let stop = Request::Stop { processor, mode: StopMode::Forced };
    expect_eq!(door_t::complete(context, handle, &stop)?, success, "STOP_FW by door T");
    observe::stands(heartbeat).map_err(|moved| failure!("the heartbeat moves after stop: {moved:?}"))?;
    expect_eq!(
        door_t::complete(context, handle, &Request::Release { processor })?,
        success,
        "RELEASE_FW by door T"
    );
    door_t::give_back(context, handle)?;
    context.expect_counts(0, 0)
}

/// Where the loaded firmware's heartbeat is, by its resource table.
fn door_t_heartbeat(context: &mut Context, handle: u64) -> Outcome<u64> {
    let processor = context.parameters.processor();
    let values = door_t::values(context, handle, &Request::GetResourceTable { processor })?;
    let location = remoteproc_shim::TableLocation { address: values[0], size: values[1] };
    let table = observe::copy_table(processor, location)
        .ok_or_else(|| failure!("the resource table is elsewhere"))?;
    observe::signs(processor, &table)
        .heartbeat
        .ok_or_else(|| failure!("the resource table names no heartbeat"))
}

/// Loads that end at any place in any way.
fn aborted_loads(context: &mut Context) -> Outcome {
    let times = times(context, "aborted")?;
    let seed = context.parameters.value("seed").and_then(number).unwrap_or(SEED);
    say!("info soak seed {seed:#x}");
    let mut random = Random::new(seed);
    let file = context.large()?;
    let images = metadata_length(file)?;
    let mut ends = [0u64; WAYS];
    let mut claimed = [0u64; WAYS];
    often(context, ("aborted loads", times), |context, index| {
        let way = (index % WAYS as u64) as usize;
        // Half of them before anything is claimed.
        let early = random.once_in(2);
        let done = random.below(if early { images } else { file.length / 2 });
        let byte = if early { random.below(images) } else { byte_of_segment(file, &mut random)? };
        let was_claimed = match way {
            0 => released(context, file, done)?,
            1 => replaced(context, file, done)?,
            2 => damaged(context, file, byte)?,
            3 => vanished(context, file, done)?,
            4 => by_door_t(context, file, done, DoorTEnd::Released)?,
            5 => by_door_t(context, file, done, DoorTEnd::GivenBack)?,
            _ => by_door_t(context, file, byte, DoorTEnd::Damaged)?,
        };
        ends[way] += 1;
        claimed[way] += u64::from(was_claimed);
        context.expect_counts(0, 0)
    })?;
    const NAMES: [&str; WAYS] = [
        "released",
        "replaced by another",
        "damaged",
        "by memory that went away",
        "released by door T",
        "by a buffer that was given back",
        "damaged, by door T",
    ];
    for ((name, times), claimed) in NAMES.iter().zip(ends).zip(claimed) {
        say!("info soak aborted loads: {times} {name}, {claimed} of them after the processor was claimed");
        expect!(claimed >= times / 8, "of {times} {name}, only {claimed} had claimed the processor");
    }
    context.expect_clear()
}

/// A byte of the file that is loaded.
fn byte_of_segment(file: File, random: &mut Random) -> Outcome<u64> {
    let elf = metadata_length(file)?;
    let (offset, count) = headers(file)?;
    for _ in 0..1000 {
        let header = offset + PROGRAM_HEADER * random.below(count);
        let size = u64::from(word(file, header + 16));
        if word(file, header) == PT_LOAD && size > 0 {
            return Ok(elf + u64::from(word(file, header + 4)) + random.below(size));
        }
    }
    Err(failure!("the file has no segment"))
}

/// Whether the partition says that the processor is being loaded.
fn is_loading(context: &mut Context) -> Outcome<bool> {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    Ok(status.state == ProcessorState::Loading)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DoorTEnd {
    Released,
    GivenBack,
    Damaged,
}

/// A load by door T until so many bytes are done, or with this byte changed.
fn by_door_t(context: &mut Context, file: File, place: u64, end: DoorTEnd) -> Outcome<bool> {
    let processor = context.parameters.processor();
    let images = metadata_length(file)?;
    let handle = door_t::buffer(context, PAGES)?;
    let mut byte = [0];
    memory::read(file.address + place, &mut byte);
    if end == DoorTEnd::Damaged {
        memory::write(file.address + place, &[!byte[0]]);
    }
    let mut claimed = false;
    let until = if end == DoorTEnd::Damaged { u64::MAX } else { place.max(1) };
    let outcome = door_t::load_while(context, handle, file, CHUNK, &mut |context, done| {
        if !claimed && done >= images {
            claimed = is_loading(context)?;
        }
        Ok(done < until)
    });
    memory::write(file.address + place, &byte);
    let result = outcome?;
    match end {
        DoorTEnd::Damaged => {
            let refused = result.is_some_and(|result| ![0, TeeResult::InProgress.into()].contains(&result));
            expect!(refused, "with byte {place} changed it loads");
        }
        _ => expect_eq!(result, None, "the result of a load that is given up"),
    }
    if end == DoorTEnd::GivenBack {
        door_t::give_back(context, handle)?;
        let handle = door_t::buffer(context, PAGES)?;
        let released = door_t::complete(context, handle, &Request::Release { processor })?;
        expect_eq!(released, u32::from(TeeResult::Success), "RELEASE_FW by door T");
        door_t::give_back(context, handle)?;
    } else {
        let released = door_t::complete(context, handle, &Request::Release { processor })?;
        expect_eq!(released, u32::from(TeeResult::Success), "RELEASE_FW by door T");
        door_t::give_back(context, handle)?;
    }
    Ok(claimed)
}

fn release(context: &mut Context) -> Outcome {
    context.client.release().map_err(|error| failure!("release: {error}"))
}

fn released(context: &mut Context, file: File, done: u64) -> Outcome<bool> {
    let handle = context.share_good(&[file.range()])?;
    context.load_until(handle, file.length, 0, done)?;
    let claimed = is_loading(context)?;
    release(context)?;
    context.reclaim(handle)?;
    Ok(claimed)
}

/// Another image begins in the same client's load, and is given up in its turn.
fn replaced(context: &mut Context, file: File, done: u64) -> Outcome<bool> {
    let sample = context.sample()?;
    let (first, second) = (context.share_good(&[file.range()])?, context.share_good(&[sample.range()])?);
    context.load_until(first, file.length, 0, done)?;
    let claimed = is_loading(context)?;
    context.load_once(second, sample.length, 0)?;
    context.reclaim(first)?;
    release(context)?;
    context.reclaim(second)?;
    Ok(claimed)
}

/// A byte of header, TLVs, signature or a segment is wrong, and the load is refused.
fn damaged(context: &mut Context, file: File, offset: u64) -> Outcome<bool> {
    let images = metadata_length(file)?;
    let mut byte = [0];
    memory::read(file.address + offset, &mut byte);
    memory::write(file.address + offset, &[!byte[0]]);
    let handle = context.share_good(&[file.range()])?;
    let outcome = load_watched(context, handle, file, images);
    memory::write(file.address + offset, &byte);
    let (result, claimed) = outcome?;
    expect!(result != Some(TeeResult::Success), "with byte {offset} changed it loads");
    expect!(claimed == (offset >= images), "byte {offset} is told when the processor is claimed: {claimed}");
    context.reclaim(handle)?;
    Ok(claimed)
}

/// A load to its end: its result, and whether the processor was seen claimed on the way.
fn load_watched(
    context: &mut Context,
    handle: u64,
    file: File,
    images: u64,
) -> Outcome<(Option<TeeResult>, bool)> {
    let arguments = remoteproc_abi::door_d::LoadArguments {
        handle,
        total: file.length,
        offset: 0,
        lent: false,
        one_call: false,
    };
    let request = Request::Load { processor: context.parameters.processor(), arguments };
    let mut claimed = false;
    for _ in 0..100_000 {
        let answer = context.ask(request.encode())?;
        if answer.tee_result() != Some(TeeResult::InProgress) {
            return Ok((answer.tee_result(), claimed));
        }
        if !claimed && answer.values[0] >= images {
            claimed = is_loading(context)?;
        }
    }
    Err(failure!("LOAD_FW does not end"))
}

/// The first share is consumed, and the next one does not exist.
fn vanished(context: &mut Context, file: File, done: u64) -> Outcome<bool> {
    let pages = done.div_ceil(FFA_PAGE_SIZE).max(1);
    let range = Constituent { address: file.address, page_count: u32::try_from(pages).unwrap_or(u32::MAX) };
    let first = context.share_good(&[range])?;
    let consumed = pages * FFA_PAGE_SIZE;
    context.load_until(first, file.length, 0, consumed)?;
    let claimed = is_loading(context)?;
    context.reclaim(first)?;
    let answer = context.load_handle(first, file.length, consumed)?;
    context.expect_refusal(answer, Refusal::HandleUnknown)?;
    Ok(claimed)
}
