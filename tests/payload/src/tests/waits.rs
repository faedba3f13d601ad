//! How long a client waits for its STOP_FW while another one loads 10 MiB from another CPU, in guest instructions, at each request
//! of the load. The order of events is laid down here, the worst one (docs/measurements.md): the second client comes when the first
//! one's request has just begun, is told BUSY, and comes again when the first one has asked anew and was told BUSY itself.
//!
//! The processor that is stopped is a control page that this program answers at once, so that nothing but the partition is waited
//! for. Prints `info wait NAME VALUE` for each figure; the host judges them.
use super::contexts::{expected, parties, preempting};
use crate::context::Context;
use crate::framework::Outcome;
use crate::interrupts::{Delays, Storm};
use crate::parameters::File;
use crate::processors::visit;
use crate::{expect, expect_eq, failure, machine, memory, say};
use heapless::Vec;
use remoteproc_abi::door_d::{LoadArguments, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_shim::ffa::{Registers, Status};

crate::cases! { "waits":
    stop_at_each_request_of_a_load
}

/// The client that loads, and the one that stops the other processor.
const LOADER: u16 = 1;
const STOPPER: u16 = 2;
/// The processor that is played here, and its control page, as the host puts it into the manifest.
const PLAYED: u32 = 1;
const PAGE: u64 = 0x80fd_0000;
/// Words of the page (`platform/src/qemu.rs`).
const MAGIC: u64 = 0x00;
const VERSION: u64 = 0x04;
const SEQUENCE: u64 = 0x08;
const COMMAND: u64 = 0x0c;
const ACKNOWLEDGED: u64 = 0x14;
const STATE: u64 = 0x18;
const RESULT: u64 = 0x1c;

const REQUEST_64: u32 = 0xC400_006F;
const RESPONSE_64: u32 = 0xC400_0070;
const FFA_ERROR: u32 = 0x8400_0060;
const FFA_INTERRUPT: u32 = 0x8400_0062;
const FFA_RUN: u32 = 0x8400_006D;
/// Instructions in a tick of the system counter.
const PER_TICK: u64 = 16;
/// What is left of a request when it is interrupted, ticks: the other client's turn has to outlast that, and the work at the end, which
/// is EL3's and is not interrupted. Of a short request, only so much is done before.
const LEFT: u64 = 900_000 / PER_TICK;
const LEFT_AT_LEAST: u64 = 700_000 / PER_TICK;
const BEGINNING: u64 = 60_000 / PER_TICK;
/// How long the first CPU sleeps while the other one makes one request and goes off, ticks. If it woke earlier, it could wait for the
/// firmware's lock, and that would count.
const ONE_REQUEST: u64 = 1_600_000 / PER_TICK;
/// Most requests of a load.
const MOST: usize = 512;

/// Sets the page up: a processor that is held.
fn set_up_page() {
    for (word, value) in
        [(MAGIC, 0x4C52_5443), (VERSION, 1), (SEQUENCE, 0), (ACKNOWLEDGED, 0), (STATE, 0), (RESULT, 0)]
    {
        memory::write(PAGE + word, &u32::to_le_bytes(value));
    }
}

/// Carries out the last order.
fn obey() {
    let state = u32::from(memory::read_word(PAGE + COMMAND) == 1);
    memory::write(PAGE + STATE, &state.to_le_bytes());
    let sequence = memory::read_word(PAGE + SEQUENCE);
    memory::write(PAGE + ACKNOWLEDGED, &sequence.to_le_bytes());
}

/// One SMC, and what it took, ticks.
fn call(function: u32, parties: u64, payload: [u64; 5]) -> (Registers, u64) {
    let mut arguments = [0; 17];
    arguments[0] = parties;
    arguments[2..7].copy_from_slice(&payload);
    let before = machine::ticks();
    let answer = smccc::smc64(function, arguments);
    (answer, machine::ticks().wrapping_sub(before))
}

/// An answer's result; `None`: BUSY, of the SPMC or of the partition.
fn result(answer: &Registers) -> Outcome<Option<TeeResult>> {
    let (function, status) = (answer[0] as u32, Status((answer[2] as u32).cast_signed()));
    if function == FFA_ERROR && status == Status::BUSY {
        return Ok(None);
    }
    expect_eq!(function, RESPONSE_64, "the answer");
    let result = u32::try_from(answer[3]).ok().and_then(|result| TeeResult::try_from(result).ok());
    let result = result.ok_or_else(|| failure!("the result is {:#x}", answer[3]))?;
    Ok((result != TeeResult::Busy).then_some(result))
}

/// Has the played processor run: loaded by its client, started, and the order obeyed at once.
fn run_played(context: &mut Context, file: File) -> Outcome {
    context.speak_as(STOPPER)?;
    context.select(PLAYED);
    context.load(file).map_err(|error| failure!("the other processor's load: {error}"))?;
    let request = Request::Start { processor: PLAYED };
    let answer = context.ask(request.encode())?;
    expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "START_FW's first result");
    obey();
    let answer = context.ask(request.encode())?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "START_FW's last result");
    Ok(())
}

/// The load, without anybody else: what each of its requests takes, ticks.
fn undisturbed(context: &mut Context, load: &Load, times: &mut Vec<u64, MOST>) -> Outcome {
    loop {
        let (answer, ticks) = call(REQUEST_64, load.parties, load.payload);
        let result = result(&answer)?;
        times.push(ticks).map_err(|_| failure!("too many requests"))?;
        if result == Some(TeeResult::Success) {
            return load.give_up(context);
        }
        expect_eq!(result, Some(TeeResult::InProgress), "LOAD_FW's result");
    }
}

/// The first client's.
struct Load {
    processor: u32,
    parties: u64,
    payload: [u64; 5],
}

impl Load {
    fn give_up(&self, context: &mut Context) -> Outcome {
        context.speak_as(LOADER)?;
        let release = Request::Release { processor: self.processor };
        while context.ask(release.encode())?.tee_result() == Some(TeeResult::InProgress) {}
        Ok(())
    }
}

/// One request of the second client: the first one's, in the middle of which it came, and its own. All in ticks.
#[derive(Clone, Copy, Default)]
struct Wait {
    /// It was told BUSY.
    met: bool,
    /// The first client's request, in both its parts, and the same request undisturbed.
    request: u64,
    undisturbed: u64,
    /// What the first client's next request took, which was answered BUSY before the second one came again. A context for each
    /// CPU: it is on that client's CPU, and keeps the second one from nothing.
    anew: u64,
    /// What the second one's took when it was served.
    own: u64,
    /// Bytes done.
    done: u64,
    /// It gave the order; otherwise it heard of its end.
    order: bool,
}

impl Wait {
    /// From the beginning of the first client's request to its end, from which on the second one is served, without what the
    /// interruption has cost, instructions.
    fn instructions(&self, interruption: u64) -> u64 {
        self.request.saturating_sub(interruption) * PER_TICK
    }
}

/// The second client's next request, on its own CPU; the first CPU sleeps meanwhile.
fn second_client(storm: &mut Storm, parties: u64) -> Outcome<(Option<TeeResult>, u64)> {
    let payload = Request::Stop { processor: PLAYED, mode: StopMode::Forced }.encode();
    let (answer, ticks) = visit(1, || call(REQUEST_64, parties, payload), || storm.sleep(ONE_REQUEST))?;
    Ok((result(&answer)?, ticks))
}

/// One request of the load, interrupted; the second client comes, and comes again when it is served. Returns the load's result, too.
fn one_request(
    load: &Load,
    stopper: u64,
    undisturbed: u64,
    keeps_asking: bool,
) -> Outcome<(Wait, TeeResult, TeeResult)> {
    let mut storm = Storm::new(Delays { first: 1, step: 1, last: 1 }, 0);
    let delay = undisturbed
        .saturating_sub(LEFT)
        .max(BEGINNING)
        .min(undisturbed.saturating_sub(LEFT_AT_LEAST).max(BEGINNING));
    storm.once(delay);
    storm.arm();
    let (mut answer, mut request) = call(REQUEST_64, load.parties, load.payload);
    let mut wait = Wait { undisturbed, ..Wait::default() };
    let mut stopped = None;
    if answer[0] as u32 == FFA_INTERRUPT {
        expect!(storm.take(), "the timer's interrupt is not pending");
        let (result, ticks) = second_client(&mut storm, stopper)?;
        wait.met = result.is_none();
        stopped = result.map(|result| (result, ticks));
        let rest = call(FFA_RUN, answer[1], [0; 5]);
        answer = rest.0;
        request += rest.1;
    } else {
        storm.disarm();
    }
    let loaded = result(&answer)?.ok_or_else(|| failure!("the load's request is answered BUSY"))?;
    wait.request = request;
    wait.done = answer[4];
    if wait.met && keeps_asking && loaded == TeeResult::InProgress {
        // At once, before the other one comes again; it has to give way.
        let (answer, ticks) = call(REQUEST_64, load.parties, load.payload);
        expect_eq!(
            result(&answer)?,
            None,
            "the answer to the load's next request while another client waits"
        );
        wait.anew = ticks;
    }
    let (result, own) = match stopped {
        Some(stopped) => stopped,
        None => {
            let (result, ticks) = second_client(&mut storm, stopper)?;
            (
                result.ok_or_else(|| failure!("the other client is told BUSY although nobody is served"))?,
                ticks,
            )
        }
    };
    wait.own = own;
    Ok((wait, result, loaded))
}

/// One load; the second client's requests meet its requests from this one on, the order of a STOP_FW and its end in turn.
fn contended(
    context: &mut Context,
    load: &Load,
    small: File,
    times: &[u64],
    first: usize,
    waits: &mut Vec<Wait, { 2 * MOST }>,
) -> Outcome {
    let keeps_asking = expected(context)? > 1;
    let mut runs = false;
    for (index, undisturbed) in times.iter().copied().enumerate() {
        if index < first {
            let (answer, _) = call(REQUEST_64, load.parties, load.payload);
            expect_eq!(result(&answer)?, Some(TeeResult::InProgress), "LOAD_FW's result");
            continue;
        }
        if !runs {
            run_played(context, small)?;
        }
        context.speak_as(STOPPER)?;
        let stopper = parties(context);
        let (mut wait, stopped, loaded) = one_request(load, stopper, undisturbed, keeps_asking)?;
        wait.order = !runs;
        let expected = if runs { TeeResult::Success } else { TeeResult::InProgress };
        expect_eq!(stopped, expected, "STOP_FW's result");
        obey();
        runs = !runs;
        waits.push(wait).map_err(|_| failure!("too many requests"))?;
        let last = index + 1 == times.len();
        expect_eq!(loaded, if last { TeeResult::Success } else { TeeResult::InProgress }, "LOAD_FW's result");
    }
    load.give_up(context)?;
    context.speak_as(STOPPER)?;
    let stop = Request::Stop { processor: PLAYED, mode: StopMode::Forced };
    while context.ask(stop.encode())?.tee_result() == Some(TeeResult::InProgress) {
        obey();
    }
    Ok(())
}

fn stop_at_each_request_of_a_load(context: &mut Context) -> Outcome {
    preempting(context)?;
    let (large, small) = (context.file("large")?, context.file("small")?);
    set_up_page();
    context.speak_as(LOADER)?;
    let handle = context.share_good(&[large.range()])?;
    let processor = context.parameters.processor();
    let arguments = LoadArguments { handle, total: large.length, offset: 0, lent: false, one_call: false };
    let payload = Request::Load { processor, arguments }.encode();
    let load = Load { processor, parties: parties(context), payload };
    let mut times = Vec::new();
    undisturbed(context, &load, &mut times)?;
    let mut waits = Vec::new();
    // Each of the load's requests meets the order of a STOP_FW in one of the two loads.
    contended(context, &load, small, &times, 0, &mut waits)?;
    if times.len() > 1 {
        contended(context, &load, small, &times, 1, &mut waits)?;
    }
    tell(&waits, times.len() as u64);
    context.speak_as(STOPPER)?;
    let release = Request::Release { processor: PLAYED };
    while context.ask(release.encode())?.tee_result() == Some(TeeResult::InProgress) {
        obey();
    }
    context.speak_as(LOADER)?;
    context.reclaim(handle)
}

fn tell(waits: &[Wait], requests: u64) {
    let met = || waits.iter().filter(|wait| wait.met);
    // What an interruption costs differs by where it comes; the cheapest is taken off.
    let interruption = met().map(|wait| wait.request.saturating_sub(wait.undisturbed)).min().unwrap_or(0);
    let longest = |order: bool| {
        met()
            .filter(|wait| wait.order == order)
            .max_by_key(|wait| wait.instructions(interruption))
            .copied()
            .unwrap_or_default()
    };
    let (order, end) = (longest(true), longest(false));
    let whole = waits.windows(2).filter(|pair| pair[0].order && pair[0].met && pair[1].met).map(|pair| {
        pair.iter().map(|wait| wait.instructions(interruption) + wait.own * PER_TICK).sum::<u64>()
    });
    let orders = waits.iter().filter(|wait| wait.order).count() as u64;
    for (name, value) in [
        ("requests", requests),
        ("stops", orders),
        ("met", met().filter(|wait| wait.order).count() as u64),
        ("longest", order.instructions(interruption)),
        ("at", order.done),
        ("end", end.instructions(interruption)),
        ("own", waits.iter().map(|wait| wait.own).max().unwrap_or(0) * PER_TICK),
        ("anew", met().map(|wait| wait.anew).max().unwrap_or(0) * PER_TICK),
        ("whole", whole.max().unwrap_or(0)),
        ("interruption", interruption * PER_TICK),
    ] {
        say!("info wait {name} {value}");
    }
}
