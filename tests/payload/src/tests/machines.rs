//! Virtual machines that go: nothing of them runs on, stays in memory or is held, and whoever gets their id has nothing. And
//! processors that are handed over while they run.
use super::door_t;
use crate::context::{Context, HYPERVISOR};
use crate::framework::{Failure, Outcome, Text};
use crate::parameters::File;
use crate::processors::{self, Asker};
use crate::{expect, expect_eq, failure, machine, observe};
use remoteproc_abi::door_d::{LoadArguments, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Owner, OwnerDoor, ProcessorState};
use remoteproc_abi::ts_rpc::Request as Call;
use remoteproc_refusal::Refusal;

crate::cases! { "machines":
    nothing_stays_of_one_that_is_gone
    only_machines_go
    one_goes_while_another_cpu_is_served
    a_running_processor_is_handed_over_once
    giving_back_waits_a_slice_beside_one_call
    one_goes_in_the_middle_of_one_call
}

const REQUEST_32: u32 = 0x8400_006F;
const REQUEST_64: u32 = 0xC400_006F;
const SPMC: u16 = 0x8000;
const DESTROYED: u32 = 6;
/// The endpoint that may load in one call (the manifest's property).
const ONE_CALL: u16 = 1;

/// Tells the partition that a virtual machine is gone; returns the status.
fn tell(sender: u16, function: u32, id: u64) -> Outcome<u64> {
    let answer = machine::framework_message(function, sender, DESTROYED, [0, 0, id]);
    let Some(answer) = answer else {
        return Err(Failure::Skipped(Text::of(format_args!("this SPMC sends no such message"))));
    };
    let parties = 0x8001_0000 | u64::from(sender);
    expect_eq!(answer[..3], [u64::from(function) + 1, parties, 0x8000_0007], "the answer");
    expect_eq!(answer[4..], [0; 4], "what is behind the status");
    Ok(answer[3])
}

fn state_and_owner(context: &mut Context) -> Outcome<(ProcessorState, Option<u16>)> {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    Ok((status.state, status.owner.map(|owner| owner.endpoint)))
}

/// Loads and starts this project's firmware; returns the address of its heartbeat.
fn start(context: &mut Context) -> Outcome<u64> {
    let file = context.firmware()?;
    context.load(file).map_err(|error| failure!("{error}"))?;
    let location = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    let location = location.ok_or_else(|| failure!("no resource table"))?;
    let processor = context.client.processor();
    let table = observe::copy_table(processor, location).ok_or_else(|| failure!("the table is elsewhere"))?;
    let heartbeat = observe::signs(processor, &table).heartbeat.ok_or_else(|| failure!("no heartbeat"))?;
    context.client.start().map_err(|error| failure!("start: {error}"))?;
    observe::wait_for_move(heartbeat, 0).ok_or_else(|| failure!("no heartbeat"))?;
    Ok(heartbeat)
}

/// Whoever has the id now, and everybody else, finds the processor nobody's, and has it cleared.
fn is_nobodys(context: &mut Context, endpoint: u16) -> Outcome {
    context.speak_as(endpoint)?;
    expect_eq!(state_and_owner(context)?.1, None, "the owner");
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::NotLoaded)?;
    let outcome = context.client.resource_table();
    context.expect_command_refused(outcome, Refusal::NotLoaded)
}

fn nothing_stays_of_one_that_is_gone(context: &mut Context) -> Outcome {
    for function in [REQUEST_32, REQUEST_64] {
        context.speak_as(1)?;
        let heartbeat = start(context)?;
        let buffer = door_t::buffer(context, 2)?;
        // Another load of it, half done.
        context.select(1);
        let image = context.firmware_m4()?;
        let handle = context.share_good(&[image.range()])?;
        context.load_once(handle, image.length, 0)?;
        context.select(0);
        context.expect_counts(1, 2)?;

        expect_eq!(tell(HYPERVISOR, function, 1)?, 0, "the status");
        context.expect_counts(0, 0)?;
        context.reclaim(handle)?;
        context.reclaim(buffer)?;
        expect_eq!(
            door_t::status(context, Call::RelinquishMemory { handle: buffer })?,
            0xFFFF_FFFD,
            "RELINQ_MEM"
        );
        expect_eq!(
            context.client.last_error().map_err(|error| failure!("{error}"))?,
            None,
            "its last refusal"
        );
        is_nobodys(context, 1)?;
        is_nobodys(context, 2)?;
        // STOP_FW says so when the hardware holds it.
        context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
        observe::stands(heartbeat).map_err(|moved| failure!("it moves: {moved:?}"))?;

        // A third one loads: everything is cleared before that.
        let sample = context.sample()?;
        let handle = context.share_good(&[sample.range()])?;
        let mut cleared = false;
        let processor = context.client.processor();
        let arguments =
            LoadArguments { handle, total: sample.length, offset: 0, lent: false, one_call: false };
        for _ in 0..100_000 {
            let answer = context.ask(Request::Load { processor, arguments }.encode())?;
            if state_and_owner(context)? == (ProcessorState::Offline, None) && !cleared {
                context.expect_clear()?;
                cleared = true;
            }
            if answer.tee_result() != Some(TeeResult::InProgress) {
                expect_eq!(answer.tee_result(), Some(TeeResult::Success), "LOAD_FW of another one");
                break;
            }
        }
        expect!(cleared, "it was never OFFLINE");
        context.reclaim(handle)?;
        context.client.start().map_err(|error| failure!("start: {error}"))?;
        // The id is used again; who has it can't stop what the third one has.
        context.speak_as(1)?;
        let outcome = context.client.stop(StopMode::Forced);
        context.expect_command_refused(outcome, Refusal::NotOwner)?;
        expect_eq!(state_and_owner(context)?, (ProcessorState::Running, Some(2)), "state and owner");
        context.speak_as(2)?;
        context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
        context.client.release().map_err(|error| failure!("release: {error}"))?;
        context.expect_clear()?;
    }
    Ok(())
}

fn only_machines_go(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    context.load(sample).map_err(|error| failure!("{error}"))?;
    let (invalid, denied) = (0xFFFF_FFFE, 0xFFFF_FFFA);
    for id in [0, 0x8001, 0xFFFF] {
        expect_eq!(tell(HYPERVISOR, REQUEST_32, id)?, invalid, "the status");
    }
    // One that has nothing, and the one who speaks: this is the hypervisor's message, and not the SPMC's.
    for id in [1, u64::from(HYPERVISOR)] {
        expect_eq!(tell(SPMC, REQUEST_32, id)?, denied, "the status");
    }
    // One that has nothing, and nobody has ever heard of.
    expect_eq!(tell(HYPERVISOR, REQUEST_32, 0x7FFF)?, 0, "the status");
    expect_eq!(state_and_owner(context)?, (ProcessorState::Loaded, Some(HYPERVISOR)), "state and owner");
    context.client.release().map_err(|error| failure!("{error}"))
}

/// The other CPU's requests keep the service in use; each time, what is gone is gone before the next answer.
fn one_goes_while_another_cpu_is_served(context: &mut Context) -> Outcome {
    if super::contexts::expected(context)? == 1 {
        let why = "with one execution context the SPMC answers BUSY meanwhile";
        return Err(Failure::Skipped(Text::of(format_args!("{why}"))));
    }
    let parties = super::contexts::parties(context);
    let status = [0x12, context.parameters.processor().into(), 0, 0, 0];
    let mut others = [Asker { parties, payload: status, ..Asker::default() }; 2];
    for processor in 1..=others.len() {
        processors::switch_on(processor)?;
    }
    let sample = context.sample()?;
    let outcome = processors::ask_during(&mut others, || {
        for _ in 0..20 {
            context.speak_as(1)?;
            context.load(sample).map_err(|error| failure!("{error}"))?;
            expect_eq!(tell(HYPERVISOR, REQUEST_32, 1)?, 0, "the status");
            expect_eq!(state_and_owner(context)?.1, None, "the owner");
            context.client.release().map_err(|error| failure!("{error}"))?;
        }
        Ok(())
    });
    outcome?;
    for asker in others {
        expect!(asker.wrong.is_none(), "another CPU is answered {:x?}", asker.wrong);
    }
    processors::switch_all_off()
}

/// Started at door D, found by a fresh client, handed over to a virtual machine that the manifest lists, and never back.
fn a_running_processor_is_handed_over_once(context: &mut Context) -> Outcome {
    context.speak_as(1)?;
    start(context)?;
    let table = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    for refused in [2, HYPERVISOR] {
        context.speak_as(refused)?;
        let outcome = context.client.start();
        context.expect_command_refused(outcome, Refusal::NotOwner)?;
    }
    context.speak_as(3)?;
    let outcome = context.client.resource_table();
    context.expect_command_refused(outcome, Refusal::NotOwner)?;
    context.client.start().map_err(|error| failure!("the handover: {error}"))?;
    let status = context.client.status().map_err(|error| failure!("{error}"))?;
    let owner = Some(Owner { endpoint: 3, door: OwnerDoor::Direct });
    expect_eq!((status.state, status.owner), (ProcessorState::Running, owner), "state and owner");
    expect_eq!(context.client.resource_table().map_err(|error| failure!("{error}"))?, table, "the table");
    context.speak_as(1)?;
    let outcome = context.client.stop(StopMode::Forced);
    context.expect_command_refused(outcome, Refusal::NotOwner)?;
    context.speak_as(3)?;
    // Its new owner can do with it what owners can.
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    start(context)?;
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    context.client.release().map_err(|error| failure!("release: {error}"))
}

/// Another CPU's LOAD_FW with ONE_CALL, in the name of the virtual machine that may ask for that, and its result.
fn one_call(context: &mut Context, handle: u64, file: File, result: TeeResult) -> Asker {
    let parties = super::contexts::parties(context) | u64::from(ONE_CALL) << 16;
    let arguments = LoadArguments { handle, total: file.length, offset: 0, lent: false, one_call: true };
    let payload = Request::Load { processor: context.parameters.processor(), arguments }.encode();
    Asker { parties, payload, results: [result.into(); 2], times: 1, ..Asker::default() }
}

/// Waits until a load is under way, as anybody can see.
fn has_begun(context: &mut Context) -> Outcome {
    let begun = machine::wait_until(60_000, || {
        context.client.status().is_ok_and(|status| status.state == ProcessorState::Loading)
    });
    expect!(begun, "the load does not begin");
    Ok(())
}

/// RELINQ_MEM while another CPU loads 10 MiB in one call: it succeeds, long before that load is done.
fn giving_back_waits_a_slice_beside_one_call(context: &mut Context) -> Outcome {
    if super::contexts::expected(context)? == 1 {
        let why = "with one execution context the SPMC answers BUSY meanwhile";
        return Err(Failure::Skipped(Text::of(format_args!("{why}"))));
    }
    context.speak_as(1)?;
    let large = context.large()?;
    let handle = context.share_good(&[large.range()])?;
    context.speak_as(HYPERVISOR)?;
    let buffer = door_t::buffer(context, 1)?;
    processors::switch_on(1)?;
    let mut loader = [one_call(context, handle, large, TeeResult::Success)];
    let outcome = processors::ask_during(&mut loader, || {
        has_begun(context)?;
        expect_eq!(door_t::status(context, Call::RelinquishMemory { handle: buffer })?, 0, "RELINQ_MEM");
        let status = context.client.status().map_err(|error| failure!("{error}"))?;
        expect_eq!(
            status.state,
            ProcessorState::Loading,
            "the state afterwards: the load was not done before"
        );
        Ok(())
    });
    outcome?;
    expect!(loader[0].wrong.is_none() && loader[0].answered == 1, "the load: {:x?}", loader[0].wrong);
    processors::switch_all_off()?;
    context.reclaim(buffer)?;
    context.speak_as(1)?;
    context.reclaim(handle)?;
    context.client.release().map_err(|error| failure!("{error}"))
}

/// The machine whose LOAD_FW with ONE_CALL another CPU works on is gone: that load does not begin again, though its memory can still be
/// retrieved.
fn one_goes_in_the_middle_of_one_call(context: &mut Context) -> Outcome {
    if super::contexts::expected(context)? == 1 {
        let why = "with one execution context the SPMC answers BUSY meanwhile";
        return Err(Failure::Skipped(Text::of(format_args!("{why}"))));
    }
    let large = context.large()?;
    processors::switch_on(1)?;
    for _ in 0..5 {
        context.speak_as(1)?;
        let handle = context.share_good(&[large.range()])?;
        // It has begun and is not done; nobody waits for this answer.
        let mut loader = [one_call(context, handle, large, TeeResult::InProgress)];
        let outcome = processors::ask_during(&mut loader, || {
            has_begun(context)?;
            tell(HYPERVISOR, REQUEST_64, 1)
        });
        expect_eq!(outcome?, 0, "the status");
        expect!(loader[0].wrong.is_none() && loader[0].answered == 1, "the load: {:x?}", loader[0].wrong);
        expect_eq!(state_and_owner(context)?.1, None, "the owner");
        context.expect_counts(0, 0)?;
        context.reclaim(handle)?;
        context.speak_as(HYPERVISOR)?;
        context.client.release().map_err(|error| failure!("{error}"))?;
        context.expect_clear()?;
    }
    processors::switch_all_off()
}
