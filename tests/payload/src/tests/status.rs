//! GET_INFO, GET_PROCESSOR and GET_STATUS as they are on the wire: every value in every state, for the owner and for others.
//! The numbers are those of docs/abi.md, not those of the code.
use super::firmware;
use crate::context::{Context, HYPERVISOR};
use crate::framework::{Failure, Outcome};
use crate::{expect, expect_eq, failure, machine, memory};
use remoteproc_abi::door_d::{Answer, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;

crate::cases! { "status":
    info
    info_counts_loads_and_handles
    processors
    states_from_load_to_release
    operations
    a_crash_is_told
    questions_change_nothing
    surplus_arguments_are_ignored
}

const LOAD: u64 = 1;
const RELEASE: u64 = 6;
const GET_INFO: u64 = 0x10;
const GET_PROCESSOR: u64 = 0x11;
const GET_STATUS: u64 = 0x12;
const GET_LAST_ERROR: u64 = 0x13;

/// States.
const OFFLINE: u64 = 0;
const LOADING: u64 = 1;
const LOADED: u64 = 2;
const RUNNING: u64 = 3;
const CRASHED: u64 = 4;
const STOPPED: u64 = 5;
/// What is being done to a processor, where GET_STATUS has it.
const HELD_FOR_RELEASE: u64 = 4 << 8;
const CLEARED: u64 = 5 << 8;
/// Why it does not run: it locked up.
const LOCKUP: u64 = 5;
/// There is an owner.
const OWNED: u64 = 1 << 32;

/// The values of an answer that has to be a success.
fn ask(context: &mut Context, command: u64, argument: u64) -> Outcome<[u64; 4]> {
    let answer = context.ask([command, argument, 0, 0, 0])?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    Ok(answer.values)
}

/// GET_STATUS: the memory of a plain image that was stopped may be read for a dump.
const READABLE: u64 = 1 << 33;

/// Asks in the name of everybody, the owner last: this state, this owner, this fault.
fn expect_status(context: &mut Context, state: u64, owner: u64, fault: u64) -> Outcome {
    let own = context.client.tee().own_id();
    for endpoint in [2, 0x7fff, own] {
        match context.speak_as(endpoint) {
            Ok(()) => {}
            // This SPMC knows one endpoint.
            Err(Failure::Skipped(_)) => continue,
            Err(failed) => return Err(failed),
        }
        expect_eq!(ask(context, GET_STATUS, 0)?, [state, owner, fault, 0], "state, owner, fault, counter");
        let [id, described, capabilities, regions] = ask(context, GET_PROCESSOR, 0)?;
        expect_eq!((id, described), (0, state & 0xFF), "id and state of the processor");
        // It has a boot address of its own, and neither isolation nor secure boot.
        expect_eq!((capabilities, regions), (1 << 2 | 1 << 3, 5), "capabilities and number of regions");
    }
    Ok(())
}

/// The endpoint that owns in these tests: a virtual machine, where the SPMC knows one.
fn owner(context: &mut Context) -> Outcome<u64> {
    match context.speak_as(1) {
        Ok(()) | Err(Failure::Skipped(_)) => Ok(u64::from(context.client.tee().own_id()) | OWNED),
        Err(failed) => Err(failed),
    }
}

/// Version 1.0, two processors; no isolation, slices, and (in the manifest of these tests) ONE_CALL for somebody; room for three.
fn info(context: &mut Context) -> Outcome {
    expect_eq!(ask(context, GET_INFO, 0)?, [1 << 16, 2, 0b1111, 3], "the values of GET_INFO");
    Ok(())
}

fn info_counts_loads_and_handles(context: &mut Context) -> Outcome {
    let large = context.large()?;
    let counts = |context: &mut Context| ask(context, GET_INFO, 0).map(|values| values[3]);
    let half = (large.length / 2) & !0xFFF;
    let first =
        remoteproc_abi::memory_descriptor::Constituent { page_count: (half / 4096) as u32, ..large.range() };
    let handle = context.share_good(&[first])?;
    context.load_once(handle, large.length, 0)?;
    expect_eq!(counts(context)?, 1 << 32 | 1 << 16 | 3, "a load and its handle");
    context.load_until(handle, large.length, 0, half)?;
    expect_eq!(counts(context)?, 1 << 16 | 3, "a load between two handles");
    context.client.release().map_err(|error| failure!("{error}"))?;
    expect_eq!(counts(context)?, 3, "no load");
    context.reclaim(handle)
}

/// GET_PROCESSOR counts from 0; there are two.
fn processors(context: &mut Context) -> Outcome {
    for index in [2, 3, 0x8000_0000, 0xFFFF_FFFF] {
        let answer = context.ask([GET_PROCESSOR, index, 0, 0, 0])?;
        context.expect_refusal(answer, Refusal::UnknownProcessor)?;
    }
    for command in [GET_PROCESSOR, GET_STATUS] {
        let answer = context.ask([command, 1 << 32, 0, 0, 0])?;
        context.expect_refusal(answer, Refusal::FlagsUnknown)?;
    }
    // The second: its id, its state, a boot address of its own, two regions.
    expect_eq!(ask(context, GET_PROCESSOR, 1)?, [1, OFFLINE, 1 << 2 | 1 << 3, 2], "the second processor");
    expect_eq!(ask(context, GET_STATUS, 1)?, [OFFLINE, 0, 0, 0], "the second processor's status");
    expect_status(context, OFFLINE, 0, 0)
}

fn states_from_load_to_release(context: &mut Context) -> Outcome {
    expect_status(context, OFFLINE, 0, 0)?;
    let owner = owner(context)?;
    let large = context.large()?;
    let handle = context.share_good(&[large.range()])?;
    // Before the signature is checked, nothing is claimed.
    context.load_once(handle, large.length, 0)?;
    expect_status(context, OFFLINE, 0, 0)?;
    for done in [large.length / 2, large.length] {
        context.load_until(handle, large.length, 0, done)?;
        expect_status(context, LOADING, owner, 0)?;
    }
    let answer = context.load_handle(handle, large.length, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    expect_status(context, LOADED, owner, 0)?;
    context.client.start().map_err(|error| failure!("start: {error}"))?;
    expect_status(context, RUNNING, owner, 0)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    expect_status(context, STOPPED, owner | READABLE, 0)?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    expect_status(context, OFFLINE, 0, 0)?;
    context.reclaim(handle)
}

/// While memory is cleared, that is told, and whose it was.
fn operations(context: &mut Context) -> Outcome {
    let owner = owner(context)?;
    let large = context.large()?;
    let handle = context.share_good(&[large.range()])?;
    context.load_until(handle, large.length, 0, large.length / 2)?;
    let mut cleared = 0;
    loop {
        let answer = context.ask([RELEASE, 0, 0, 0, 0])?;
        if answer.tee_result() == Some(TeeResult::Success) {
            break;
        }
        expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result");
        let [state, ..] = ask(context, GET_STATUS, 0)?;
        if state == LOADING | HELD_FOR_RELEASE {
            continue;
        }
        expect_status(context, LOADING | CLEARED, owner, 0)?;
        cleared += 1;
    }
    // 12 MiB, 1 MiB a request, of which the last one ends with an answer of its own.
    expect!(cleared >= 10, "clearing took only {cleared} requests");
    expect_status(context, OFFLINE, 0, 0)?;
    context.reclaim(handle)
}

fn a_crash_is_told(context: &mut Context) -> Outcome {
    let owner = owner(context)?;
    let signs = firmware::load(context)?;
    firmware::start(context, signs)?;
    let request = signs.request.ok_or_else(|| failure!("the resource table names no request word"))?;
    expect_status(context, RUNNING, owner, 0)?;
    memory::write(request, &firmware::LOCKUP.to_le_bytes());
    let crashed =
        machine::wait_until(10_000, || ask(context, GET_STATUS, 0).is_ok_and(|[state, ..]| state == CRASHED));
    expect!(crashed, "GET_STATUS never tells of the crash");
    expect_status(context, CRASHED, owner, LOCKUP)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    expect_status(context, STOPPED, owner | READABLE, 0)
}

/// Neither a load nor anybody's last refusal.
fn questions_change_nothing(context: &mut Context) -> Outcome {
    let large = context.large()?;
    let answer = context.ask([LOAD, 0, 0x1234, 20, 0])?;
    context.expect_refusal(answer, Refusal::HandleUnknown)?;
    let told = ask(context, GET_LAST_ERROR, 0)?;
    let handle = context.share_good(&[large.range()])?;
    for done in [0, large.length / 4, large.length / 2] {
        let before = context.load_until(handle, large.length, 0, done)?.values[0];
        for _ in 0..50 {
            for (command, argument) in [(GET_INFO, 0), (GET_PROCESSOR, 0), (GET_STATUS, 0)] {
                ask(context, command, argument)?;
            }
        }
        let after = context.load_once(handle, large.length, 0)?.values[0];
        expect!(after >= before, "the bytes done went back");
    }
    expect_eq!(ask(context, GET_LAST_ERROR, 0)?, told, "the last refusal");
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.reclaim(handle)
}

/// GET_INFO takes no argument at all; the others no more than one.
fn surplus_arguments_are_ignored(context: &mut Context) -> Outcome {
    let plain = |context: &mut Context, command| context.ask([command, 0, 0, 0, 0]);
    let surplus = |answer: Answer| (answer.result, answer.values);
    for (command, argument) in [(GET_INFO, 0xFFFF_FFFF), (GET_PROCESSOR, 0), (GET_STATUS, 0)] {
        let expected = surplus(plain(context, command)?);
        let answer = context.ask([command, argument, u64::MAX, u64::MAX, u64::MAX])?;
        expect_eq!(surplus(answer), expected, "the answer");
    }
    context.speak_as(HYPERVISOR)
}
