//! The same thing very often: what a load, a start or an ended load leaves behind would add up.
//!
//! `cycles=` and `aborted=` of the parameters say how often. The partition is the build that fails on request, because that one tells how
//! much of its heap is in use.
use super::firmware::{load, start, stop};
use super::fuzz::random::Random;
use crate::context::Context;
use crate::framework::Outcome;
use crate::machine::{self, Counts};
use crate::parameters::{File, number};
use crate::{expect, expect_eq, failure, memory, say};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::memory_descriptor::Constituent;
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
/// Ways to end a load: by RELEASE_FW, by another load in its place, by a damaged byte, by memory that is gone.
const WAYS: u64 = 4;

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
    say!(
        "info soak {what}: before and after {} bytes of heap, {shared} shares, {retrieved} retrieved, {mapped} entries \
         that map memory",
        after.heap
    );
    Ok(())
}

/// Load, start, a heartbeat, stop, release.
fn cycles(context: &mut Context) -> Outcome {
    let times = times(context, "cycles")?;
    often(context, ("cycles", times), |context, _| {
        let signs = load(context)?;
        let heartbeat = start(context, signs)?;
        stop(context, heartbeat)?;
        context.client.release().map_err(|error| failure!("release: {error}"))?;
        context.expect_counts(0, 0)
    })?;
    context.expect_clear()
}

/// Loads that end at any place in any way.
fn aborted_loads(context: &mut Context) -> Outcome {
    let times = times(context, "aborted")?;
    let seed = context.parameters.value("seed").and_then(number).unwrap_or(SEED);
    say!("info soak seed {seed:#x}");
    let mut random = Random::new(seed);
    let file = context.large()?;
    let images = super::flips::metadata_length(file)?;
    let mut ends = [0u64; WAYS as usize];
    let mut claimed = 0u64;
    often(context, ("aborted loads", times), |context, index| {
        let way = index % WAYS;
        // Half of them before anything is claimed.
        let most = if random.once_in(2) { images } else { file.length / 2 };
        let done = random.below(most);
        match way {
            0 => released(context, file, done)?,
            1 => replaced(context, file, done)?,
            2 => damaged(context, file, random.below(images))?,
            _ => vanished(context, file, done)?,
        }
        if done > images {
            claimed += 1;
        }
        ends[way as usize] += 1;
        context.expect_counts(0, 0)
    })?;
    let [released, replaced, damaged, vanished] = ends;
    say!(
        "info soak aborted loads: {released} released, {replaced} replaced by another, {damaged} damaged, {vanished} by \
         memory that went away; {claimed} in the middle of the segments"
    );
    expect!(claimed >= times / WAYS, "only {claimed} of {times} loads had claimed the processor");
    context.expect_clear()
}

fn release(context: &mut Context) -> Outcome {
    context.client.release().map_err(|error| failure!("release: {error}"))
}

fn released(context: &mut Context, file: File, done: u64) -> Outcome {
    let handle = context.share_good(&[file.range()])?;
    context.load_until(handle, file.length, 0, done)?;
    release(context)?;
    context.reclaim(handle)
}

/// Another image begins in the same client's load, and is given up in its turn.
fn replaced(context: &mut Context, file: File, done: u64) -> Outcome {
    let sample = context.sample()?;
    let (first, second) = (context.share_good(&[file.range()])?, context.share_good(&[sample.range()])?);
    context.load_until(first, file.length, 0, done)?;
    context.load_once(second, sample.length, 0)?;
    context.reclaim(first)?;
    release(context)?;
    context.reclaim(second)
}

/// A byte of header, TLVs or signature is wrong, and the load is refused.
fn damaged(context: &mut Context, file: File, offset: u64) -> Outcome {
    let mut byte = [0];
    memory::read(file.address + offset, &mut byte);
    memory::write(file.address + offset, &[!byte[0]]);
    let outcome = context.load(file);
    memory::write(file.address + offset, &byte);
    expect!(outcome.is_err(), "with byte {offset} changed it loads");
    Ok(())
}

/// The first share is consumed, and the next one does not exist.
fn vanished(context: &mut Context, file: File, done: u64) -> Outcome {
    let pages = done.div_ceil(FFA_PAGE_SIZE).max(1);
    let range = Constituent { address: file.address, page_count: u32::try_from(pages).unwrap_or(u32::MAX) };
    let first = context.share_good(&[range])?;
    let consumed = pages * FFA_PAGE_SIZE;
    context.load_until(first, file.length, 0, consumed)?;
    context.reclaim(first)?;
    let answer = context.load_handle(first, file.length, consumed)?;
    context.expect_refusal(answer, Refusal::HandleUnknown)
}
