//! How long a client waits for its STOP_FW while another one loads 10 MiB from another CPU, in guest instructions: once at each
//! request of the load. The emulator has two CPUs and runs them in turn (docs/measurements.md says what follows from that).
//!
//! The processor that is stopped is a control page that this program answers at once, so that nothing but the partition is waited
//! for. Prints `info wait NAME VALUE` for each figure; the host judges them.
use super::contexts::{expected, parties};
use crate::context::Context;
use crate::framework::Outcome;
use crate::interrupts::come_to_time_after;
use crate::parameters::File;
use crate::processors::{alongside, switch_all_off, switch_on};
use crate::{expect, expect_eq, failure, machine, memory, say};
use core::sync::atomic::{AtomicBool, Ordering};
use remoteproc_abi::door_d::{LoadArguments, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_shim::ffa::Registers;

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
const RESPONSE_64: u64 = 0xC400_0070;
const FFA_ERROR: u64 = 0x8400_0060;
/// FFA_ERROR's BUSY.
const FFA_BUSY: i32 = -5;
/// Instructions in a tick of the system counter.
const PER_TICK: u64 = 16;
/// CPUs among which the emulator divides the time until a timer comes to its time.
const CPUS: u64 = 2;
/// What the other CPU does between two requests of a client that is told BUSY, instructions. More than a request that the partition
/// answers with BUSY takes, so that each of them is made in one turn; and, where the SPMC answers at once, less than the loading
/// client's pause.
const INTERVAL: u64 = 640_000;
const INTERVAL_OF_ONE_CONTEXT: u64 = 20_000;
/// What the loading client does, at most, before the other one's request: it is on its way into the partition.
const HEAD_START: u64 = 16_000;
/// The loading client's pause after IN_PROGRESS, as the shim's transport makes it.
const PAUSE: u64 = 50;

/// The loading client's request is under way; the other client has been served.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);
static SERVED: AtomicBool = AtomicBool::new(false);

/// Lets the other CPU do so many instructions.
fn give_way_for(instructions: u64) {
    come_to_time_after(CPUS * instructions / PER_TICK);
    machine::give_way();
}

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

/// One direct request; `None`: BUSY, of the SPMC or of the partition.
fn ask(parties: u64, payload: [u64; 5]) -> Result<Option<Registers>, [u64; 4]> {
    let mut arguments = [0; 17];
    arguments[0] = parties;
    arguments[2..7].copy_from_slice(&payload);
    let answer = smccc::smc64(REQUEST_64, arguments);
    let [x0, x1, x2, x3, ..] = answer;
    match x0 {
        FFA_ERROR if (x2 as u32).cast_signed() == FFA_BUSY => Ok(None),
        RESPONSE_64 if x3 == u64::from(u32::from(TeeResult::Busy)) => Ok(None),
        RESPONSE_64 => Ok(Some(answer)),
        _ => Err([x0, x1, x2, x3]),
    }
}

fn is(answer: &Registers, result: TeeResult) -> bool {
    answer[3] == u64::from(u32::from(result))
}

/// One request of the client that stops, repeated while it is told BUSY. In ticks.
#[derive(Clone, Copy, Default)]
struct Waited {
    /// From the first SMC to the one that was served.
    until_served: u64,
    /// How often it was told BUSY.
    busy: u64,
    /// What the shortest and the longest of these SMCs took.
    shortest: u64,
    longest: u64,
    /// What the one took that was served.
    own: u64,
}

impl Waited {
    /// Instructions that the other CPU has done meanwhile: all but this one's own, of which the shortest is counted for each.
    fn instructions(&self, shortest: u64) -> u64 {
        self.until_served.saturating_sub(self.busy * shortest) * PER_TICK
    }
}

fn ask_until_served(parties: u64, payload: [u64; 5], interval: u64) -> Result<(Waited, Registers), [u64; 4]> {
    let mut waited = Waited { shortest: u64::MAX, ..Waited::default() };
    let begun = machine::ticks();
    loop {
        let before = machine::ticks();
        let answer = ask(parties, payload)?;
        let took = machine::ticks().wrapping_sub(before);
        if let Some(answer) = answer {
            waited.own = took;
            waited.until_served = before.wrapping_sub(begun);
            return Ok((waited, answer));
        }
        waited.busy += 1;
        waited.shortest = waited.shortest.min(took);
        waited.longest = waited.longest.max(took);
        give_way_for(interval);
    }
}

/// What the other client's CPU does: STOP_FW in the middle of the first one's request, to its end. It takes two requests: one
/// that gives the order, and one that hears of its end.
fn stop_meanwhile(parties: u64, interval: u64) -> Result<[Waited; 2], [u64; 4]> {
    while !UNDER_WAY.load(Ordering::Acquire) {
        give_way_for(HEAD_START);
    }
    let payload = Request::Stop { processor: PLAYED, mode: StopMode::Forced }.encode();
    let outcome = ask_until_served(parties, payload, interval).and_then(|(first, answer)| {
        obey();
        let (second, last) = ask_until_served(parties, payload, interval)?;
        let right = is(&answer, TeeResult::InProgress) && is(&last, TeeResult::Success);
        if right { Ok([first, second]) } else { Err([answer[0], answer[3], last[0], last[3]]) }
    });
    SERVED.store(true, Ordering::Release);
    outcome
}

/// What the loading client's CPU does meanwhile: it goes on, until the other client was served. Returns the last answer.
fn load_meanwhile(parties: u64, payload: [u64; 5], pause: u64) -> Result<(Option<Registers>, u64), [u64; 4]> {
    let (mut last, mut requests) = (None, 0);
    UNDER_WAY.store(true, Ordering::Release);
    loop {
        if let Some(answer) = ask(parties, payload)? {
            requests += 1;
            last = Some(answer);
            if !is(&answer, TeeResult::InProgress) {
                return Ok((last, requests));
            }
            machine::wait_microseconds(pause);
        }
        // The first one is served to its end before the other client is.
        if requests > 0 && SERVED.load(Ordering::Acquire) {
            return Ok((last, requests));
        }
    }
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

/// What is told in the end.
#[derive(Default)]
struct Figures {
    stops: u64,
    met: u64,
    firsts: heapless::Vec<(Waited, u64), 512>,
    seconds: heapless::Vec<Waited, 512>,
}

fn stop_at_each_request_of_a_load(context: &mut Context) -> Outcome {
    let one_context = expected(context)? == 1;
    let interval = if one_context { INTERVAL_OF_ONE_CONTEXT } else { INTERVAL };
    // A client that asks again without a pause is the harder one; with one context that would be for the SPMC to prevent.
    let pause = if one_context { PAUSE } else { 0 };
    let (large, small) = (context.file("large")?, context.file("small")?);
    set_up_page();
    switch_on(1)?;
    context.speak_as(LOADER)?;
    let handle = context.share_good(&[large.range()])?;
    let arguments = LoadArguments { handle, total: large.length, offset: 0, lent: false, one_call: false };
    let payload = Request::Load { processor: context.parameters.processor(), arguments }.encode();
    let loader = parties(context);
    let mut figures = Figures::default();
    let mut done = 0;
    let mut requests = 0;
    loop {
        run_played(context, small)?;
        let stopper = parties(context);
        context.speak_as(LOADER)?;
        UNDER_WAY.store(false, Ordering::Release);
        SERVED.store(false, Ordering::Release);
        let (stopped, loaded) =
            alongside(1, || stop_meanwhile(stopper, interval), || load_meanwhile(loader, payload, pause));
        let [first, second] = stopped.map_err(|wrong| failure!("STOP_FW is answered {wrong:x?}"))?;
        let (answer, count) = loaded.map_err(|wrong| failure!("LOAD_FW is answered {wrong:x?}"))?;
        requests += count;
        figures.stops += 1;
        figures.met += u64::from(first.busy > 0);
        let full = || failure!("more requests than there is room for");
        figures.firsts.push((first, done)).map_err(|_| full())?;
        figures.seconds.push(second).map_err(|_| full())?;
        let Some(answer) = answer else { continue };
        done = answer[4];
        if is(&answer, TeeResult::Success) {
            break;
        }
        expect!(is(&answer, TeeResult::InProgress), "LOAD_FW's result is {:#x}", answer[3]);
    }
    tell(&figures, requests, interval);
    context.reclaim(handle)?;
    let release = Request::Release { processor: context.parameters.processor() };
    while context.ask(release.encode())?.tee_result() == Some(TeeResult::InProgress) {}
    context.speak_as(STOPPER)?;
    let release = Request::Release { processor: PLAYED };
    while context.ask(release.encode())?.tee_result() == Some(TeeResult::InProgress) {
        obey();
    }
    switch_all_off()
}

fn tell(figures: &Figures, requests: u64, interval: u64) {
    let polls = || {
        figures.firsts.iter().map(|(first, _)| first).chain(&figures.seconds).filter(|waited| waited.busy > 0)
    };
    let shortest = polls().map(|waited| waited.shortest).min().unwrap_or(0);
    let longest = polls().map(|waited| waited.longest).max().unwrap_or(0);
    let wait = |waited: &Waited| waited.instructions(shortest);
    let worst = figures.firsts.iter().max_by_key(|(first, _)| wait(first));
    let (worst, at) = worst.copied().unwrap_or_default();
    let second = figures.seconds.iter().map(wait).max().unwrap_or(0);
    let own = figures.firsts.iter().map(|(first, _)| first.own).max().unwrap_or(0) * PER_TICK;
    let whole = figures.firsts.iter().zip(&figures.seconds);
    let whole =
        whole.map(|((first, _), second)| wait(first) + wait(second) + (first.own + second.own) * PER_TICK);
    for (name, value) in [
        ("requests", requests),
        ("stops", figures.stops),
        ("met", figures.met),
        ("longest", wait(&worst)),
        ("at", at),
        ("busy", worst.busy),
        ("poll", second),
        ("own", own),
        ("whole", whole.max().unwrap_or(0)),
        ("interval", interval),
        ("shortest-busy", shortest * PER_TICK),
        ("longest-busy", longest * PER_TICK),
    ] {
        say!("info wait {name} {value}");
    }
}
