//! This project's own firmware on the Cortex-M33: it really runs, stops, runs again, and crashes on request.
use crate::context::Context;
use crate::framework::Outcome;
use crate::observe::{self, Signs};
use crate::parameters::File;
use crate::{expect, expect_eq, failure, machine, memory};
use remoteproc_abi::door_d::StopMode;
use remoteproc_refusal::Refusal;

crate::cases! { "firmware":
    runs_and_stops
    runs_again_after_stop
    wrong_order_while_running
    changed_private_memory_does_not_start
    guest_reset_is_a_crash
    lockup_is_a_crash
    a_crashed_core_is_given_back
    answers_come_when_the_hardware_is_done
    is_held_before_it_is_loaded
}

/// Requests that the firmware obeys.
const GUEST_RESET: u32 = 2;
pub(super) const LOCKUP: u32 = 3;
/// The control page's words of an order: its sequence number, and what it is.
const SEQUENCE: u64 = memory::CONTROL_PAGE + 0x08;
const RELEASE: u32 = 1;
/// What the control page says that the remote core does.
const HELD: u32 = 0;
const RUNNING: u32 = 1;

/// Loads the firmware and returns where to look at it.
pub(super) fn load(context: &mut Context) -> Outcome<Signs> {
    let firmware = context.firmware()?;
    load_file(context, firmware)
}

/// The same with the firmware in any container.
pub(super) fn load_file(context: &mut Context, file: File) -> Outcome<Signs> {
    context.load(file).map_err(|error| failure!("{}: {error}", file.name))?;
    let location = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    let location = location.ok_or_else(|| failure!("no resource table"))?;
    let processor = context.client.processor();
    let table = observe::copy_table(processor, location);
    let table = table.ok_or_else(|| failure!("the resource table is elsewhere"))?;
    Ok(observe::signs(processor, &table))
}

/// Starts it and waits for its heartbeat to move twice. Returns the heartbeat's address.
pub(super) fn start(context: &mut Context, signs: Signs) -> Outcome<u64> {
    let heartbeat = signs.heartbeat.ok_or_else(|| failure!("the resource table names no heartbeat"))?;
    expect_eq!(observe::stands(heartbeat), Ok(0), "the heartbeat before the start");
    context.client.start().map_err(|error| failure!("start: {error}"))?;
    let first = observe::wait_for_move(heartbeat, 0).ok_or_else(|| failure!("no heartbeat"))?;
    observe::wait_for_move(heartbeat, first).ok_or_else(|| failure!("the heartbeat stays {first}"))?;
    Ok(heartbeat)
}

pub(super) fn stop(context: &mut Context, heartbeat: u64) -> Outcome {
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    observe::stands(heartbeat).map_err(|moved| failure!("the heartbeat moves after stop: {moved:?}"))?;
    Ok(())
}

fn runs_and_stops(context: &mut Context) -> Outcome {
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    let (address, length) =
        signs.trace.ok_or_else(|| failure!("the resource table names no trace buffer"))?;
    let text = observe::wait_for_trace(address, length).ok_or_else(|| failure!("no trace text"))?;
    expect!(text.is_ascii(), "the trace is no text");
    stop(context, heartbeat)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("second stop: {error}"))?;
    // Stop keeps the memory: the trace can still be read.
    expect!(observe::trace_text(address, length).starts_with(&text), "stop has changed the trace");
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.expect_clear()
}

/// Recovery: stop, load, start, without a release.
fn runs_again_after_stop(context: &mut Context) -> Outcome {
    let signs = load(context)?;
    let table = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    let releases = memory::read_word(memory::RELEASES);
    let heartbeat = start(context, signs)?;
    stop(context, heartbeat)?;
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::IsStopped)?;
    let signs = load(context)?;
    let again = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    expect_eq!(again, table, "the resource table after the second load");
    let heartbeat = start(context, signs)?;
    stop(context, heartbeat)?;
    expect_eq!(memory::read_word(memory::RELEASES), releases.wrapping_add(2), "the number of releases");
    Ok(())
}

fn wrong_order_while_running(context: &mut Context) -> Outcome {
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    let releases = memory::read_word(memory::RELEASES);
    context.client.start().map_err(|error| failure!("start of a running processor: {error}"))?;
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases");
    let firmware = context.firmware()?;
    let outcome = context.load(firmware);
    context.expect_load_refused(outcome, Refusal::IsRunning)?;
    let outcome = context.client.release();
    context.expect_command_refused(outcome, Refusal::IsRunning)?;
    let now = memory::read_word(heartbeat);
    expect!(observe::wait_for_move(heartbeat, now).is_some(), "the firmware does not run any more");
    stop(context, heartbeat)
}

/// Nothing in this machine closes private memory to the normal world; the hash before the start notices.
fn changed_private_memory_does_not_start(context: &mut Context) -> Outcome {
    load(context)?;
    let releases = memory::read_word(memory::RELEASES);
    let address = memory::REGIONS.start + 0x40;
    let word = memory::read_word(address);
    memory::write(address, &(word ^ 1).to_le_bytes());
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::SegmentHashMismatch)?;
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases");
    context.expect_clear()
}

/// Has the firmware run and end itself, and waits until the partition has noticed. Returns the address of its heartbeat.
fn crash(context: &mut Context, request: u32) -> Outcome<u64> {
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    let address = signs.request.ok_or_else(|| failure!("the resource table names no request word"))?;
    memory::write(address, &request.to_le_bytes());
    let mut noticed = false;
    // START of a running processor succeeds and does nothing.
    machine::wait_until(observe::ALIVE_WITHIN, || {
        noticed = context.client.start().is_err();
        noticed
    });
    expect!(noticed, "the partition does not notice");
    Ok(heartbeat)
}

fn crashes(context: &mut Context, request: u32) -> Outcome {
    let heartbeat = crash(context, request)?;
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::IsStopped)?;
    let firmware = context.firmware()?;
    let outcome = context.load(firmware);
    context.expect_load_refused(outcome, Refusal::IsRunning)?;
    stop(context, heartbeat)?;
    let signs = load(context)?;
    let heartbeat = start(context, signs)?;
    stop(context, heartbeat)
}

/// Without a STOP_FW, as after a start that has failed: held, then cleared.
fn a_crashed_core_is_given_back(context: &mut Context) -> Outcome {
    crash(context, GUEST_RESET)?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    expect_eq!(memory::read_word(memory::CORE_STATE), HELD, "the remote core's state");
    context.expect_clear()
}

fn guest_reset_is_a_crash(context: &mut Context) -> Outcome {
    crashes(context, GUEST_RESET)
}

fn lockup_is_a_crash(context: &mut Context) -> Outcome {
    crashes(context, LOCKUP)
}

/// START says success when the remote core runs, and STOP when it is held.
fn answers_come_when_the_hardware_is_done(context: &mut Context) -> Outcome {
    load(context)?;
    for _ in 0..3 {
        context.client.start().map_err(|error| failure!("start: {error}"))?;
        expect_eq!(memory::read_word(memory::CORE_STATE), RUNNING, "the remote core's state after START");
        context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
        expect_eq!(memory::read_word(memory::CORE_STATE), HELD, "the remote core's state after STOP");
        load(context)?;
    }
    Ok(())
}

/// Whoever has released the remote core behind the partition's back: while it is loaded, it is held.
fn is_held_before_it_is_loaded(context: &mut Context) -> Outcome {
    memory::write(memory::ORDER, &RELEASE.to_le_bytes());
    let sequence = memory::read_word(SEQUENCE).wrapping_add(1);
    memory::write(SEQUENCE, &sequence.to_le_bytes());
    machine::wait_until(observe::ALIVE_WITHIN, || memory::read_word(memory::CORE_STATE) != HELD);
    expect!(memory::read_word(memory::CORE_STATE) != HELD, "the order from outside is not obeyed");
    load(context)?;
    expect_eq!(memory::read_word(memory::CORE_STATE), HELD, "the remote core's state when it is loaded");
    Ok(())
}
