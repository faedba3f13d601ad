//! Events: what the remote core does by itself reaches its owner as a notification, without a question, and with its reason.
//!
//! `rounds` of the parameters is how often each event is provoked.
use super::firmware::{LOCKUP, load, start, stop};
use crate::context::{Context, HYPERVISOR, MACHINES};
use crate::framework::{Failure, Outcome, Text};
use crate::interrupts::{Delays, Storm};
use crate::machine::{self, Strictness};
use crate::notifications::Receiver;
use crate::observe::{self, Signs};
use crate::parameters::number;
use crate::{expect, expect_eq, failure, memory, say};
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::status::{Fault, Features, Owner, OwnerDoor, ProcessorState};
use remoteproc_refusal::Refusal;

crate::cases! { "events":
    hard_fault
    system_reset
    lockup
    watchdog
    only_the_owner_binds
    nobody_is_told_after_a_release
    an_unbound_notification_is_not_missed
    an_interrupt_waits_for_the_answer
    a_client_attaches
    who_takes_over_is_told
}

/// Requests that the firmware obeys.
const HARD_FAULT: u32 = 1;
const SYSTEM_RESET: u32 = 2;
const WATCHDOG: u32 = 4;
/// The machine that the manifest lets take a running processor over.
const ATTACHES: u16 = 3;
/// How long a notification may take, ms.
const TOLD_WITHIN: u64 = 10_000;
/// For how long none may come, ms.
const SILENCE: u64 = 300;
/// States of the control page.
const CRASHED: u32 = 2;
const FFA_INTERRUPT: u32 = 0x8400_0062;
const FFA_RUN: u32 = 0x8400_006D;
const REQUEST_64: u32 = 0xC400_006F;
const RESPONSE_64: u32 = 0xC400_0070;

/// Binds a notification at the SPMC, or skips the case where there are none.
fn receiver(context: &mut Context, notification: u8) -> Outcome<Receiver> {
    let info = context.client.info().map_err(|error| failure!("GET_INFO: {error}"))?;
    if !info.features.contains(Features::EVENTS) {
        return Err(Failure::Skipped(Text::of(format_args!("this SPMC has no notifications"))));
    }
    Receiver::bind(context, notification)
}

fn bind(context: &mut Context, notification: u8) -> Outcome {
    context.client.bind_events(notification).map_err(|error| failure!("BIND_EVENTS: {error}"))
}

/// Asks the firmware to end itself.
fn provoke(signs: Signs, request: u32) -> Outcome {
    let address = signs.request.ok_or_else(|| failure!("the resource table names no request word"))?;
    memory::write(address, &request.to_le_bytes());
    Ok(())
}

/// Waits for what the supervisor has to say, without a word to the partition.
fn crashed() -> Outcome {
    let seen =
        machine::wait_until(observe::ALIVE_WITHIN, || memory::read_word(memory::CORE_STATE) == CRASHED);
    expect!(seen, "the core does not crash");
    Ok(())
}

fn expect_fault(context: &mut Context, fault: Fault) -> Outcome {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    expect_eq!((status.state, status.fault), (ProcessorState::Crashed, fault), "state and fault");
    Ok(())
}

/// The event, the notification, the reason, and the recovery without a release, again and again.
fn rounds(context: &mut Context, request: u32, notification: u8, fault: Fault) -> Outcome {
    let receiver = receiver(context, notification)?;
    let rounds = context.parameters.value("rounds").and_then(number).unwrap_or(1);
    let mut signs = load(context)?;
    let table = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    bind(context, notification)?;
    for round in 0..rounds {
        start(context, signs)?;
        receiver.expect_nothing(context)?;
        provoke(signs, request)?;
        expect!(receiver.wait(TOLD_WITHIN), "round {round}: no notification");
        receiver.expect_pending(context)?;
        expect_fault(context, fault)?;
        context.client.stop(StopMode::Forced).map_err(|error| failure!("round {round}: stop: {error}"))?;
        signs = load(context)?;
        let again = context.client.resource_table().map_err(|error| failure!("{error}"))?;
        expect_eq!(again, table, "the resource table after the recovery");
    }
    let heartbeat = start(context, signs)?;
    stop(context, heartbeat)?;
    receiver.expect_nothing(context)?;
    say!("info events of kind {fault:?}: {rounds}, each with its notification");
    receiver.end(context)
}

fn hard_fault(context: &mut Context) -> Outcome {
    rounds(context, HARD_FAULT, 0, Fault::HardFault)
}

fn system_reset(context: &mut Context) -> Outcome {
    rounds(context, SYSTEM_RESET, 31, Fault::Reset)
}

fn lockup(context: &mut Context) -> Outcome {
    rounds(context, LOCKUP, 32, Fault::Lockup)
}

fn watchdog(context: &mut Context) -> Outcome {
    rounds(context, WATCHDOG, 63, Fault::Watchdog)
}

fn only_the_owner_binds(context: &mut Context) -> Outcome {
    let receiver = receiver(context, 1)?;
    let outcome = context.client.bind_events(1);
    context.expect_command_refused(outcome, Refusal::NotLoaded)?;
    load(context)?;
    let outcome = context.client.bind_events(64);
    context.expect_command_refused(outcome, Refusal::NotificationOutOfRange)?;
    receiver.end(context)?;
    context.speak_as(MACHINES[0])?;
    let outcome = context.client.bind_events(1);
    context.expect_command_refused(outcome, Refusal::NotOwner)
}

/// A binding ends with the claim.
fn nobody_is_told_after_a_release(context: &mut Context) -> Outcome {
    let receiver = receiver(context, 5)?;
    load(context)?;
    bind(context, 5)?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    let signs = load(context)?;
    start(context, signs)?;
    provoke(signs, SYSTEM_RESET)?;
    crashed()?;
    expect!(!receiver.wait(SILENCE), "a notification that is not bound any more");
    expect_fault(context, Fault::Reset)?;
    receiver.expect_nothing(context)?;
    receiver.end(context)
}

/// The owner has bound its events, and at the SPMC the notification is another's: the status tells.
fn an_unbound_notification_is_not_missed(context: &mut Context) -> Outcome {
    let receiver = receiver(context, 6)?;
    let signs = load(context)?;
    bind(context, 7)?;
    start(context, signs)?;
    provoke(signs, HARD_FAULT)?;
    crashed()?;
    expect!(!receiver.wait(SILENCE), "a notification that is not bound");
    expect_fault(context, Fault::HardFault)?;
    receiver.end(context)
}

/// The event comes while a request is interrupted: it is told when that is answered, and nothing of the request is lost.
fn an_interrupt_waits_for_the_answer(context: &mut Context) -> Outcome {
    if !context.set_strictness(Strictness::Preempting)? {
        let why = format_args!("only the test bench's SPMC lets interrupts preempt the partition here");
        return Err(Failure::Skipped(Text::of(why)));
    }
    let receiver = receiver(context, 2)?;
    let signs = load(context)?;
    bind(context, 2)?;
    start(context, signs)?;
    let partition = u64::from(context.client.tee().service().partition);
    // GET_INFO looks at no processor. It is short, so the moment has to be looked for.
    let mut storm = Storm::new(Delays { first: 20, step: 7, last: 2000 }, u32::MAX);
    let mut preempted = false;
    for _ in 0..20_000 {
        storm.arm();
        let answer = context.call(REQUEST_64, &[partition, 0, 0x10, 0, 0, 0, 0]);
        if answer[0] as u32 == FFA_INTERRUPT {
            expect!(storm.take(), "the timer's interrupt is not pending");
            preempted = true;
            break;
        }
        storm.disarm();
    }
    drop(storm);
    receiver.listen();
    expect!(preempted, "the request is never preempted");
    provoke(signs, LOCKUP)?;
    crashed()?;
    expect!(!receiver.wait(SILENCE), "a notification of a partition that is interrupted");
    let answer = context.call(FFA_RUN, &[partition << 16]);
    expect_eq!(answer[0] as u32, RESPONSE_64, "the answer to FFA_RUN");
    expect_eq!((answer[3], answer[4]), (0, 0x1_0000), "result and version");
    expect!(receiver.wait(TOLD_WITHIN), "no notification");
    receiver.expect_pending(context)?;
    expect_fault(context, Fault::Lockup)?;
    receiver.end(context)
}

/// A client that has begun anew attaches to the firmware that runs: the partition keeps no session that would tell it from the one
/// before. It finds the firmware running, and is told of its end.
fn a_client_attaches(context: &mut Context) -> Outcome {
    let receiver = receiver(context, 9)?;
    let signs = load(context)?;
    let table = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    start(context, signs)?;
    let releases = memory::read_word(memory::RELEASES);
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    let owner = Some(Owner { endpoint: HYPERVISOR, door: OwnerDoor::Direct });
    expect_eq!((status.state, status.owner), (ProcessorState::Running, owner), "state and owner");
    expect_eq!(context.client.resource_table().map_err(|error| failure!("{error}"))?, table, "the table");
    // What a kernel does that attaches: it may say START_FW, and nothing begins again.
    context.client.start().map_err(|error| failure!("START_FW of what runs: {error}"))?;
    expect_eq!(memory::read_word(memory::RELEASES), releases, "times that the core began");
    bind(context, 9)?;
    provoke(signs, HARD_FAULT)?;
    expect!(receiver.wait(TOLD_WITHIN), "no notification");
    receiver.expect_pending(context)?;
    expect_fault(context, Fault::HardFault)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    receiver.end(context)
}

/// With a handover the binding of the one before ends: the new owner is told, by a notification of its own.
fn who_takes_over_is_told(context: &mut Context) -> Outcome {
    context.needs_machines()?;
    let before = receiver(context, 10)?;
    let signs = load(context)?;
    bind(context, 10)?;
    start(context, signs)?;
    context.speak_as(ATTACHES)?;
    context.client.start().map_err(|error| failure!("the handover: {error}"))?;
    let receiver = Receiver::bind(context, 11)?;
    // Until the new owner binds, nobody is told.
    provoke(signs, SYSTEM_RESET)?;
    crashed()?;
    expect!(!receiver.wait(SILENCE), "somebody is told");
    expect_fault(context, Fault::Reset)?;
    before.expect_nothing(context)?;
    // Whoever has it can do with it what owners can.
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    let signs = load(context)?;
    bind(context, 11)?;
    start(context, signs)?;
    provoke(signs, HARD_FAULT)?;
    expect!(receiver.wait(TOLD_WITHIN), "no notification");
    receiver.expect_pending(context)?;
    expect_fault(context, Fault::HardFault)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    receiver.end(context)?;
    context.speak_as(HYPERVISOR)?;
    before.end(context)
}
