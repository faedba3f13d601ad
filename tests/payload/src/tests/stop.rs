//! Graceful stops on the real cores: firmware that obeys, ignores, crashes meanwhile, or is given no time.
use super::firmware::{LOCKUP, load, load_file, start};
use crate::board::{self, M4, M33};
use crate::context::Context;
use crate::framework::Outcome;
use crate::machine::Moment;
use crate::observe::{self, Signs};
use crate::{expect, expect_eq, failure, machine, memory, say};
use remoteproc_abi::door_d::{Answer, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Capabilities, Fault, Operation, ProcessorState};

crate::cases! { "stop":
    firmware_obeys
    firmware_of_the_other_core_obeys
    firmware_ignores
    forced_overtakes
    no_time_is_forced
    a_crash_meanwhile
}

/// Makes the firmware ignore that it is asked to stop.
const IGNORE: u32 = 6;
/// Longest limit that counts, ms; the firmware is ready within 30 heartbeats of one.
const AMPLE: u64 = 60_000;
/// A limit that is waited for, ms.
const SHORT: u64 = 1_500;
/// Words behind the heartbeat: the request, and the heartbeat at which the firmware has stopped by itself.
const FAREWELL: u64 = 8;
/// The control page's request and answer, behind the word that counts releases.
const ASKED: u64 = 8;
const ANSWERED: u64 = 12;

fn stop_once(context: &mut Context, milliseconds: u64) -> Outcome<Answer> {
    let processor = context.client.processor();
    context.ask(Request::Stop { processor, mode: StopMode::Graceful { milliseconds } }.encode())
}

fn expect_status(context: &mut Context, expected: (ProcessorState, Option<Operation>)) -> Outcome {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    expect_eq!((status.state, status.operation), expected, "state and operation");
    Ok(())
}

fn trace_has(signs: Signs, text: &str) -> Outcome<bool> {
    let (address, length) = signs.trace.ok_or_else(|| failure!("no trace buffer"))?;
    let trace = observe::trace_text(address, length);
    Ok(trace.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn request(signs: Signs, request: u32) -> Outcome {
    let address = signs.request.ok_or_else(|| failure!("the resource table names no request word"))?;
    memory::write(address, &request.to_le_bytes());
    Ok(())
}

/// The milliseconds that a graceful stop takes, from its first request; each answer but the last is IN_PROGRESS.
fn stop(context: &mut Context, limit: u64) -> Outcome<(u64, u32)> {
    let (begun, mut polls) = (Moment::now(), 0);
    loop {
        let answer = stop_once(context, limit)?;
        match answer.tee_result() {
            Some(TeeResult::Success) => return Ok((begun.elapsed_microseconds() / 1000, polls)),
            Some(TeeResult::InProgress) => polls += 1,
            _ => return Err(failure!("STOP_FW is answered {:#x}", answer.result)),
        }
        machine::wait_microseconds(500);
    }
}

/// The firmware has said its farewell, and nothing after it.
fn obeys(context: &mut Context, processor: u32) -> Outcome {
    let releases = board::processor(processor).ok_or_else(|| failure!("no processor"))?.releases;
    let info = context.client.describe(processor).map_err(|error| failure!("GET_PROCESSOR: {error}"))?;
    expect!(info.capabilities.contains(Capabilities::GRACEFUL_STOP), "the firmware can't be asked");
    context.select(processor);
    // Twice: the second firmware is not taken to have answered already.
    for _ in 0..2 {
        let file = if processor == M4 { context.firmware_m4()? } else { context.firmware()? };
        let signs = load_file(context, file)?;
        let heartbeat = start(context, signs)?;
        expect_eq!(memory::read_word(releases + ASKED), 0, "the request before the stop");
        let (took, polls) = stop(context, AMPLE)?;
        expect!(polls > 0, "it is not asked, it is held at once");
        expect!(took < AMPLE, "it takes the whole limit: {took} ms");
        expect_status(context, (ProcessorState::Stopped, None))?;
        let asked = memory::read_word(releases + ASKED);
        expect!(
            asked != 0 && memory::read_word(releases + ANSWERED) == asked,
            "the answer is not the request"
        );
        let last = observe::stands(heartbeat).map_err(|moved| failure!("it runs: {moved:?}"))?;
        expect!(last != 0, "no heartbeat");
        expect_eq!(memory::read_word(heartbeat + FAREWELL), last, "the heartbeat of the farewell");
        expect!(trace_has(signs, "farewell at heartbeat")?, "the trace has no farewell");
        say!("stopped by itself in {took} ms, {polls} polls");
    }
    Ok(())
}

fn firmware_obeys(context: &mut Context) -> Outcome {
    obeys(context, M33)
}

fn firmware_of_the_other_core_obeys(context: &mut Context) -> Outcome {
    obeys(context, M4)
}

/// The firmware goes on until the limit, and is held then.
fn firmware_ignores(context: &mut Context) -> Outcome {
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    request(signs, IGNORE)?;
    let ignores =
        machine::wait_until(observe::ALIVE_WITHIN, || trace_has(signs, "request 6").is_ok_and(|has| has));
    expect!(ignores, "the firmware does not take the request");
    let begun = Moment::now();
    let answer = stop_once(context, SHORT)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the first answer");
    expect_status(context, (ProcessorState::Running, Some(Operation::GracefulStop)))?;
    let now = memory::read_word(heartbeat);
    expect!(observe::wait_for_move(heartbeat, now).is_some(), "it does not run any more");
    let (_, polls) = stop(context, SHORT)?;
    let took = begun.elapsed_microseconds() / 1000;
    expect!(took >= SHORT, "held after {took} ms, before the limit");
    expect_status(context, (ProcessorState::Stopped, None))?;
    observe::stands(heartbeat).map_err(|moved| failure!("it runs: {moved:?}"))?;
    expect!(
        memory::read_word(memory::STOP_ANSWER) != memory::read_word(memory::STOP_REQUEST),
        "it has answered"
    );
    expect_eq!(memory::read_word(heartbeat + FAREWELL), 0, "the farewell");
    say!("held at the limit of {SHORT} ms, after {took} ms and {polls} polls");
    Ok(())
}

/// Asks gracefully once; the firmware ignores it.
fn ask_in_vain(context: &mut Context) -> Outcome<(Signs, u64)> {
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    request(signs, IGNORE)?;
    let ignores =
        machine::wait_until(observe::ALIVE_WITHIN, || trace_has(signs, "request 6").is_ok_and(|has| has));
    expect!(ignores, "the firmware does not take the request");
    let answer = stop_once(context, AMPLE)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the answer to a graceful stop");
    Ok((signs, heartbeat))
}

fn forced_overtakes(context: &mut Context) -> Outcome {
    let (_, heartbeat) = ask_in_vain(context)?;
    super::firmware::stop(context, heartbeat)?;
    expect_status(context, (ProcessorState::Stopped, None))
}

fn no_time_is_forced(context: &mut Context) -> Outcome {
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    stop(context, 0)?;
    expect_status(context, (ProcessorState::Stopped, None))?;
    observe::stands(heartbeat).map_err(|moved| failure!("it runs: {moved:?}"))?;
    expect_eq!(memory::read_word(memory::STOP_REQUEST), 0, "the request to the firmware");
    Ok(())
}

/// A crash is a crash, and the stop goes on to hold the processor.
fn a_crash_meanwhile(context: &mut Context) -> Outcome {
    let (signs, _) = ask_in_vain(context)?;
    request(signs, LOCKUP)?;
    let mut fault = Fault::None;
    machine::wait_until(observe::ALIVE_WITHIN, || {
        fault = context.client.status().map_or(Fault::None, |status| status.fault);
        fault != Fault::None
    });
    expect_eq!(fault, Fault::Lockup, "the fault");
    let (took, _) = stop(context, AMPLE)?;
    expect!(took < AMPLE, "the stop waits for what has crashed");
    expect_status(context, (ProcessorState::Stopped, None))
}
