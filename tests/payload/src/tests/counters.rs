//! The platform's security counter: it rises when firmware runs, at no other moment, and what is below it does not load.
//!
//! It stays until the partition boots again, so each case has a machine to itself.
use super::firmware;
use crate::context::Context;
use crate::framework::Outcome;
use crate::observe;
use crate::{expect, expect_eq, failure, machine, memory};
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::status::ProcessorState;
use remoteproc_refusal::Refusal;

crate::cases! { "counters":
    rises_when_the_firmware_runs
    lower_and_missing_are_refused
    stays_without_a_start
    stays_when_the_start_is_refused
    stays_when_its_write_fails
    older_firmware_is_refused
    rises_when_confirmed
}

/// The command of a partition that fails on request (`sp/src/fault.rs`), and the way to fail: the next write of the counter.
const FAIL: u64 = 0xFA17;
const COUNTER_WRITE: u64 = 8;
/// How long the remote core's reset line may take, ms.
const RESET_WITHIN: u64 = 10_000;
/// The control page's words.
const HOLD: u32 = 2;
const HELD: u32 = 0;

fn expect_counter(context: &mut Context, value: u64, when: &str) -> Outcome {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    if status.security_counter != value {
        return Err(failure!("the counter is {} instead of {value} {when}", status.security_counter));
    }
    Ok(())
}

/// Loads the firmware behind a parameter and starts it. Returns its heartbeat's address.
fn runs(context: &mut Context, key: &str) -> Outcome<u64> {
    let file = context.file(key)?;
    let signs = firmware::load_file(context, file)?;
    firmware::start(context, signs)
}

/// Loads, starts, stops and releases it.
fn runs_once(context: &mut Context, key: &str) -> Outcome {
    let heartbeat = runs(context, key)?;
    firmware::stop(context, heartbeat)?;
    context.client.release().map_err(|error| failure!("{key}: release: {error}"))
}

/// Loads it, and releases it without a start.
fn loads_only(context: &mut Context, key: &str) -> Outcome {
    let file = context.file(key)?;
    context.load(file).map_err(|error| failure!("{key}: {error}"))?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("{key}: stop: {error}"))?;
    context.client.release().map_err(|error| failure!("{key}: release: {error}"))
}

fn rises_when_the_firmware_runs(context: &mut Context) -> Outcome {
    expect_counter(context, 0, "after the boot")?;
    let file = context.file("counter-5")?;
    let signs = firmware::load_file(context, file)?;
    expect_counter(context, 0, "after the load")?;
    let heartbeat = firmware::start(context, signs)?;
    expect_counter(context, 5, "while the firmware runs")?;
    firmware::stop(context, heartbeat)?;
    expect_counter(context, 5, "after the stop")?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    expect_counter(context, 5, "after the release")?;
    runs_once(context, "counter-9")?;
    expect_counter(context, 9, "after newer firmware has run")
}

fn lower_and_missing_are_refused(context: &mut Context) -> Outcome {
    runs_once(context, "firmware")?;
    runs_once(context, "counter-4")?;
    runs_once(context, "counter-5")?;
    for key in ["counter-4", "firmware"] {
        let file = context.file(key)?;
        let outcome = context.load(file);
        context.expect_load_refused(outcome, Refusal::CounterTooLow)?;
        context.expect_clear()?;
        expect_counter(context, 5, "after a refused load")?;
    }
    // The same counter is good enough.
    runs_once(context, "counter-5")?;
    expect_counter(context, 5, "after the same firmware has run again")
}

fn stays_without_a_start(context: &mut Context) -> Outcome {
    loads_only(context, "counter-9")?;
    expect_counter(context, 0, "after a load without a start")?;
    runs_once(context, "firmware")?;
    expect_counter(context, 0, "after firmware without a counter has run")?;
    runs_once(context, "counter-5")?;
    loads_only(context, "counter-9")?;
    expect_counter(context, 5, "after another load without a start")?;
    runs_once(context, "counter-5")
}

/// What was changed meanwhile does not start, and has not run.
fn stays_when_the_start_is_refused(context: &mut Context) -> Outcome {
    let file = context.file("counter-9")?;
    firmware::load_file(context, file)?;
    let releases = memory::read_word(memory::RELEASES);
    let address = memory::REGIONS.start + 0x40;
    let word = memory::read_word(address);
    memory::write(address, &(word ^ 1).to_le_bytes());
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::SegmentHashMismatch)?;
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases");
    expect_counter(context, 0, "after a refused start")?;
    runs_once(context, "counter-5")?;
    expect_counter(context, 5, "after older firmware has run")
}

/// The firmware was released already when the counter could not be raised. It is held again, and what the counter says stays true.
fn stays_when_its_write_fails(context: &mut Context) -> Outcome {
    runs_once(context, "counter-4")?;
    let file = context.file("counter-9")?;
    let signs = firmware::load_file(context, file)?;
    let heartbeat = signs.heartbeat.ok_or_else(|| failure!("the resource table names no heartbeat"))?;
    let answer = context.ask([FAIL, COUNTER_WRITE, 0, 0, 0])?;
    expect_eq!(
        (answer.result, answer.values),
        (0, [0; 4]),
        "the answer of a partition that fails on request"
    );
    let releases = memory::read_word(memory::RELEASES);
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::CounterWriteFailed)?;
    expect_eq!(memory::read_word(memory::RELEASES), releases.wrapping_add(1), "the number of releases");
    expect_eq!(memory::read_word(memory::ORDER), HOLD, "the order on the control page");
    machine::wait_until(RESET_WITHIN, || memory::read_word(memory::CORE_STATE) == HELD);
    expect_eq!(memory::read_word(memory::CORE_STATE), HELD, "the remote core's state");
    observe::stands(heartbeat).map_err(|moved| failure!("the heartbeat moves: {moved:?}"))?;
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    expect!(
        matches!(status.state, ProcessorState::Crashed | ProcessorState::Stopped),
        "the state after the failed start is {:?}",
        status.state
    );
    expect_counter(context, 4, "after the failed write")?;
    // It has run: it starts no more until it is loaded again.
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::IsStopped)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    expect_counter(context, 4, "after the stop")?;
    // Older firmware than what could not be entered still runs, and then the newer one.
    runs_once(context, "counter-5")?;
    expect_counter(context, 5, "after the next start")?;
    runs_once(context, "counter-9")?;
    expect_counter(context, 9, "after the start that had failed")
}

/// In whatever order the machine's other cases have run before.
fn older_firmware_is_refused(context: &mut Context) -> Outcome {
    runs_once(context, "counter-9")?;
    expect_counter(context, 9, "after the firmware has run")?;
    let file = context.file("counter-4")?;
    let outcome = context.load(file);
    context.expect_load_refused(outcome, Refusal::CounterTooLow)?;
    context.expect_clear()
}

/// Where the manifest leaves it to the owner: a start raises nothing, so the older firmware still runs, until CONFIRM.
fn rises_when_confirmed(context: &mut Context) -> Outcome {
    let outcome = context.client.confirm();
    context.expect_command_refused(outcome, Refusal::NotLoaded)?;
    runs_once(context, "counter-9")?;
    expect_counter(context, 0, "after a start")?;
    let file = context.file("counter-5")?;
    let signs = firmware::load_file(context, file)?;
    let outcome = context.client.confirm();
    context.expect_command_refused(outcome, Refusal::NotRunning)?;
    let heartbeat = firmware::start(context, signs)?;
    expect_counter(context, 0, "before CONFIRM")?;
    context.client.confirm().map_err(|error| failure!("CONFIRM: {error}"))?;
    expect_counter(context, 5, "after CONFIRM")?;
    context.client.confirm().map_err(|error| failure!("CONFIRM again: {error}"))?;
    firmware::stop(context, heartbeat)?;
    let outcome = context.client.confirm();
    context.expect_command_refused(outcome, Refusal::NotRunning)?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    let file = context.file("counter-4")?;
    let outcome = context.load(file);
    context.expect_load_refused(outcome, Refusal::CounterTooLow)?;
    expect_counter(context, 5, "in the end")
}
