//! A load over several requests and shares, by one client: what disturbs it, what ends it, what starts it again.
use crate::context::{Context, FfaError};
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, memory};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::door_d::{Answer, LoadArguments, Request};
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Operation, ProcessorState};
use remoteproc_refusal::Refusal;
use remoteproc_shim::Error;
use remoteproc_shim::ffa::Status;

crate::cases! { "slices":
    offsets_out_of_order
    held_memory_is_not_reclaimed
    a_consumed_handle_begins_again
    a_consumed_handle_in_the_next_ones_place
    the_next_handle_vanishes
    the_held_memory_is_an_abort
    wrong_total
    another_handle_in_mid_share
    another_image_in_mid_load
    refused_and_cleared_before_the_answer
    release_in_mid_load
    load_in_mid_release
    other_commands_in_mid_load
}

/// Pages of a share, if the file is divided.
const PART: u64 = 0x300;
/// Bytes of it.
const PART_BYTES: u64 = PART * FFA_PAGE_SIZE;
/// A place in the middle of the first share.
const MIDDLE: u64 = PART_BYTES / 2;

/// Shares a part of a file, from a byte on that begins a page.
fn share_part(context: &mut Context, file: File, offset: u64) -> Outcome<u64> {
    let pages = (file.length - offset).div_ceil(FFA_PAGE_SIZE).min(PART);
    let range = Constituent { address: file.address + offset, page_count: pages as u32 };
    context.share_good(&[range])
}

/// The answer to one LOAD_FW.
fn load_now(context: &mut Context, handle: u64, total: u64, offset: u64) -> Outcome<Answer> {
    let arguments = LoadArguments { handle, total, offset, lent: false, one_call: false };
    let processor = context.parameters.processor();
    context.ask(Request::Load { processor, arguments }.encode())
}

fn refused(context: &mut Context, handle: u64, total: u64, offset: u64, refusal: Refusal) -> Outcome {
    let answer = load_now(context, handle, total, offset)?;
    context.expect_refusal(answer, refusal)
}

/// Follows a load to its end, which has to be success.
fn succeeds(context: &mut Context, handle: u64, total: u64, offset: u64) -> Outcome {
    let answer = context.load_handle(handle, total, offset)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    expect_eq!(answer.values, [total, total, 0, 0], "the values");
    context.expect_counts(0, 0)
}

/// Follows a load to its end, which has to be this refusal with all memory clear.
fn fails(context: &mut Context, handle: u64, total: u64, offset: u64, refusal: Refusal) -> Outcome {
    let answer = context.load_handle(handle, total, offset)?;
    context.expect_refusal(answer, refusal)?;
    context.expect_counts(0, 0)?;
    expect_state(context, ProcessorState::Offline)?;
    context.expect_clear()
}

fn expect_state(context: &mut Context, state: ProcessorState) -> Outcome {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    expect_eq!(status.state, state, "the state");
    Ok(())
}

/// Taking memory back is refused: the partition holds it.
fn expect_held(context: &mut Context, handle: u64) -> Outcome {
    let answer = context.try_reclaim(handle)?;
    expect_eq!(answer, Err(Status::DENIED), "the answer to FFA_MEM_RECLAIM");
    Ok(())
}

/// A wrong offset is refused, whatever the handle, and changes nothing: the load finishes with each byte consumed once.
fn offsets_out_of_order(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let total = file.length;
    let mut offset = 0;
    while offset < total {
        let end = (offset + PART_BYTES).min(total);
        let handle = share_part(context, file, offset)?;
        let wrong = [offset + 8, offset + FFA_PAGE_SIZE, end, total - 8, total, total + 8, u64::MAX, 1];
        for other in wrong.into_iter().filter(|other| *other != offset) {
            refused(context, handle, total, other, Refusal::OffsetUnexpected)?;
        }
        if offset > 0 {
            refused(context, handle, total + 8, offset, Refusal::OffsetUnexpected)?;
        }
        // In the middle of the share, too; there also the offsets of bytes that are done.
        let until = (offset + MIDDLE).min(end - 1);
        let done = context.load_until(handle, total, offset, until)?.values[0];
        for other in [done + 1, done + FFA_PAGE_SIZE, done - 1, offset + FFA_PAGE_SIZE, u64::MAX] {
            refused(context, handle, total, other, Refusal::OffsetUnexpected)?;
        }
        expect_state(context, ProcessorState::Loading)?;
        context.expect_counts(1, 1)?;
        if end == total {
            succeeds(context, handle, total, offset)?;
        } else {
            let stands = context.load_once(handle, total, offset)?.values[0];
            expect!(stands >= done, "the bytes done went back from {done:#x} to {stands:#x}");
            expect_eq!(context.load_until(handle, total, offset, end)?.values[0], end, "the bytes done");
            context.expect_counts(1, 0)?;
        }
        context.reclaim(handle)?;
        offset = end;
    }
    expect_state(context, ProcessorState::Loaded)
}

/// Memory can't be taken back while the partition reads it; the attempt disturbs nothing, and afterwards it can.
fn held_memory_is_not_reclaimed(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let handle = context.share_good(&[file.range()])?;
    for done in [0, 1, MIDDLE, file.length] {
        context.load_until(handle, file.length, 0, done)?;
        expect_held(context, handle)?;
    }
    succeeds(context, handle, file.length, 0)?;
    context.reclaim(handle)?;
    let answer = context.try_reclaim(handle)?;
    expect_eq!(answer, Err(Status::INVALID_PARAMETERS), "the answer to a second FFA_MEM_RECLAIM");
    Ok(())
}

/// Loads the first part; it is given back. Returns its handle.
fn first_part(context: &mut Context, file: File) -> Outcome<u64> {
    let handle = share_part(context, file, 0)?;
    let answer = context.load_until(handle, file.length, 0, PART_BYTES)?;
    expect_eq!(answer.values[0], PART_BYTES, "the bytes done");
    context.expect_counts(1, 0)?;
    Ok(handle)
}

/// A handle that the partition gave back is not lost: at offset 0 it begins the load again.
fn a_consumed_handle_begins_again(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let total = file.length;
    let first = first_part(context, file)?;
    let answer = context.load_once(first, total, 0)?;
    expect!(answer.values[0] < PART_BYTES, "the load does not begin again");
    expect_held(context, first)?;
    let answer = context.load_until(first, total, 0, PART_BYTES)?;
    expect_eq!(answer.values[0], PART_BYTES, "the bytes done");
    context.reclaim(first)?;
    let mut offset = PART_BYTES;
    while offset < total {
        let end = (offset + PART_BYTES).min(total);
        let handle = share_part(context, file, offset)?;
        if end == total {
            succeeds(context, handle, total, offset)?;
        } else {
            context.load_until(handle, total, offset, end)?;
        }
        context.reclaim(handle)?;
        offset = end;
    }
    Ok(())
}

/// In the place of the next one, its bytes are the wrong ones.
fn a_consumed_handle_in_the_next_ones_place(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let total = file.length;
    let handle = first_part(context, file)?;
    let mut offset = PART_BYTES;
    while offset + PART_BYTES < total {
        context.load_until(handle, total, offset, offset + PART_BYTES)?;
        offset += PART_BYTES;
    }
    // The headers stand at the file's end, so that the mistake is told there.
    let rest = share_part(context, file, offset)?;
    fails(context, rest, total, offset, Refusal::SegmentHashMismatch)?;
    context.reclaim(rest)?;
    context.reclaim(handle)
}

/// The second share is taken back before its first use: the load ends, everything is cleared.
fn the_next_handle_vanishes(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let first = first_part(context, file)?;
    let second = share_part(context, file, PART_BYTES)?;
    context.reclaim(second)?;
    expect!(memory::first_other(memory::REGIONS, 0).is_some(), "nothing was loaded yet");
    fails(context, second, file.length, PART_BYTES, Refusal::HandleUnknown)?;
    context.reclaim(first)
}

/// The second share has no memory behind it: reading aborts, the load ends, everything is cleared.
fn the_held_memory_is_an_abort(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let first = first_part(context, file)?;
    let range = Constituent { address: 0x7000_0000, page_count: PART as u32 };
    let second = context.share_good(&[range])?;
    fails(context, second, file.length, PART_BYTES, Refusal::MemoryAbort)?;
    context.reclaim(second)?;
    context.reclaim(first)
}

/// At offset 0 another total is another load, and this one is no image.
fn wrong_total(context: &mut Context) -> Outcome {
    let file = context.large()?;
    for total in [file.length - 8, file.length + 8] {
        let handle = context.share_good(&[file.range()])?;
        context.load_until(handle, file.length, 0, MIDDLE)?;
        fails(context, handle, total, 0, Refusal::SizeMismatch)?;
        context.reclaim(handle)?;
        shared_again(context, file)?;
    }
    Ok(())
}

/// The memory that was taken back can be shared again.
fn shared_again(context: &mut Context, file: File) -> Outcome {
    let handle = context.share_good(&[file.range()])?;
    context.load_until(handle, file.length, 0, MIDDLE)?;
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.reclaim(handle)
}

/// A share that was begun is replaced by one that goes on at the bytes done.
fn another_handle_in_mid_share(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let total = file.length;
    let first = context.share_good(&[file.range()])?;
    let done = context.load_until(first, total, 0, MIDDLE)?.values[0];
    // The bytes done are not at a page's start: the rest is copied so that they are.
    let copy = File { address: memory::SCRATCH.start, length: total - done, ..file };
    memory::copy(file.address + done, copy.address, copy.length);
    let second = context.share_good(&[copy.range()])?;
    context.load_once(second, total, done)?;
    context.expect_counts(1, 1)?;
    context.reclaim(first)?;
    // The first one's registers are those of no share any more.
    refused(context, second, total, done + 8, Refusal::OffsetUnexpected)?;
    succeeds(context, second, total, done)?;
    context.reclaim(second)
}

/// Offset 0 with another handle begins again, with another image. Nothing of the first one stays.
fn another_image_in_mid_load(context: &mut Context) -> Outcome {
    let (file, sample) = (context.large()?, context.sample()?);
    let first = context.share_good(&[file.range()])?;
    context.load_until(first, file.length, 0, file.length / 2)?;
    expect!(memory::first_other(RESERVED, 0).is_some(), "the large image is not there yet");
    let second = context.share_good(&[sample.range()])?;
    context.load_once(second, sample.length, 0)?;
    context.reclaim(first)?;
    succeeds(context, second, sample.length, 0)?;
    expect_eq!(memory::first_other(RESERVED, 0), None, "what is left of the first image");
    context.reclaim(second)
}

/// Memory that the large image fills and the sample leaves alone.
const RESERVED: core::ops::Range<u64> = 0x8040_0000..0x8050_0000;

/// The last loaded byte is wrong: the refusal is answered when all is clear, whatever is asked before.
fn refused_and_cleared_before_the_answer(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let copy = File { address: memory::SCRATCH.start, ..file };
    memory::copy(file.address, copy.address, copy.length);
    // Somewhere in the segments: those are the first 10 MiB.
    memory::write(copy.address + (9 << 20), &[0xEE; 16]);
    let handle = context.share_good(&[copy.range()])?;
    let wiping = |context: &mut Context| {
        let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
        Ok(status.operation == Some(Operation::Wipe))
    };
    for _ in 0..100_000 {
        if wiping(context)? {
            break;
        }
        context.load_once(handle, copy.length, 0)?;
    }
    expect!(wiping(context)?, "the memory is never cleared");
    // Another LOAD_FW of this client goes on with that, too, and is answered for it.
    let sample = context.sample()?;
    let second = context.share_good(&[sample.range()])?;
    let answer = context.load_handle(second, sample.length, 0)?;
    context.expect_refusal(answer, Refusal::SegmentHashMismatch)?;
    context.expect_clear()?;
    context.expect_counts(0, 0)?;
    succeeds(context, second, sample.length, 0)?;
    context.reclaim(second)?;
    context.reclaim(handle)
}

/// The first RELEASE_FW gives the memory back, and the last one's answer says that all is clear.
fn release_in_mid_load(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let handle = context.share_good(&[file.range()])?;
    for done in [0, 1, MIDDLE, file.length] {
        context.load_until(handle, file.length, 0, done)?;
        expect_held(context, handle)?;
        let processor = context.parameters.processor();
        let answer = context.ask(Request::Release { processor }.encode())?;
        expect!(
            matches!(answer.tee_result(), Some(TeeResult::Success | TeeResult::InProgress)),
            "the release is answered {:#x}",
            answer.result
        );
        context.expect_counts(0, 0)?;
        context.client.release().map_err(|error| failure!("{error}"))?;
        expect_state(context, ProcessorState::Offline)?;
        context.expect_clear()?;
    }
    context.reclaim(handle)
}

/// LOAD_FW while the memory is cleared for a release goes on with that, and then loads.
fn load_in_mid_release(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let handle = context.share_good(&[file.range()])?;
    context.load_until(handle, file.length, 0, MIDDLE)?;
    let processor = context.parameters.processor();
    let mut answer = context.ask(Request::Release { processor }.encode())?;
    expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result of the release");
    // The hardware may have to be waited for before anything is cleared.
    for _ in 0..100_000 {
        let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
        if status.operation == Some(Operation::Wipe) {
            break;
        }
        answer = context.ask(Request::Release { processor }.encode())?;
        expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result of the release");
    }
    let answer = context.load_once(handle, file.length, 0)?;
    expect_eq!(answer.values[0], 0, "the bytes done while the memory is cleared");
    context.expect_counts(0, 0)?;
    succeeds(context, handle, file.length, 0)?;
    context.reclaim(handle)
}

/// START_FW, STOP_FW and GET_RSC_TABLE in mid-load are refused and change nothing.
fn other_commands_in_mid_load(context: &mut Context) -> Outcome {
    fn check<T>(context: &mut Context, outcome: Result<T, Error<FfaError>>) -> Outcome {
        context.expect_command_refused(outcome, Refusal::LoadInProgress)
    }
    let file = context.large()?;
    let handle = context.share_good(&[file.range()])?;
    for done in [MIDDLE, file.length] {
        context.load_until(handle, file.length, 0, done)?;
        let outcome = context.client.start();
        check(context, outcome)?;
        for mode in [0, 1] {
            let answer = context.ask([3, 0, mode, 1, 0])?;
            context.expect_refusal(answer, Refusal::LoadInProgress)?;
        }
        let outcome = context.client.resource_table();
        check(context, outcome)?;
        expect_state(context, ProcessorState::Loading)?;
        context.expect_counts(1, 1)?;
    }
    succeeds(context, handle, file.length, 0)?;
    context.reclaim(handle)
}
