//! Handles and sizes that do not fit: one answer each, and the memory comes back.
use crate::context::Context;
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect_eq, failure, memory};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::door_d::FLAG_LENT;
use remoteproc_abi::memory_descriptor::{Constituent, write_share};
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;

crate::cases! { "sharing":
    never_shared
    reclaimed
    too_small
    total_zero
    total_huge
    offset_without_a_load
    lent_by_mistake
    other_contents
    handle_twice
    read_only
}

/// Shares a range, loads from it, checks the refusal, and takes the memory back.
fn refused(context: &mut Context, range: Constituent, total: u64, offset: u64, refusal: Refusal) -> Outcome {
    let handle = context.share_good(&[range])?;
    let answer = context.load_handle(handle, total, offset)?;
    let outcome = context.expect_refusal(answer, refusal);
    context.reclaim(handle)?;
    outcome
}

fn never_shared(context: &mut Context) -> Outcome {
    for handle in [0, 0x1234, 0x8000_0000_0000_7777, u64::MAX] {
        let answer = context.load_handle(handle, 14_764, 0)?;
        context.expect_refusal(answer, Refusal::HandleUnknown)?;
    }
    Ok(())
}

fn reclaimed(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let handle = context.share_good(&[sample.range()])?;
    context.reclaim(handle)?;
    let answer = context.load_handle(handle, sample.length, 0)?;
    context.expect_refusal(answer, Refusal::HandleUnknown)
}

/// A share that holds only the image's beginning: it is given back when its bytes are consumed, and the rest is asked for.
fn too_small(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let whole = sample.range();
    for page_count in [1, whole.page_count - 1] {
        let handle = context.share_good(&[Constituent { page_count, ..whole }])?;
        let held = u64::from(page_count) * FFA_PAGE_SIZE;
        let answer = context.load_until(handle, sample.length, 0, held)?;
        expect_eq!(answer.values[0], held, "the bytes done");
        context.reclaim(handle)?;
        let address = whole.address + held;
        let rest = Constituent { address, page_count: whole.page_count - page_count };
        let handle = context.share_good(&[rest])?;
        let answer = context.load_handle(handle, sample.length, held)?;
        expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
        context.reclaim(handle)?;
        context.client.release().map_err(|error| failure!("{error}"))?;
    }
    // One byte more than the pages hold.
    refused(context, whole, u64::from(whole.page_count) * 4096 + 1, 0, Refusal::SizeMismatch)
}

fn total_zero(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    refused(context, sample.range(), 0, 0, Refusal::TooShort)
}

fn total_huge(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    for total in [1 << 32, u64::MAX - 4095, u64::MAX] {
        refused(context, sample.range(), total, 0, Refusal::SizeMismatch)?;
    }
    Ok(())
}

fn offset_without_a_load(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    for offset in [1, 4096, sample.length, u64::MAX] {
        refused(context, sample.range(), sample.length, offset, Refusal::OffsetUnexpected)?;
    }
    Ok(())
}

/// The partition retrieves as the client says; the SPMC knows better.
fn lent_by_mistake(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let handle = context.share_good(&[sample.range()])?;
    let answer = context.ask([1 | FLAG_LENT, 0, handle, sample.length, 0])?;
    expect_eq!(answer.tee_result(), Some(TeeResult::BadParameters), "the result");
    context.reclaim(handle)
}

fn other_contents(context: &mut Context) -> Outcome {
    let scratch = File { name: "scratch", address: memory::SCRATCH.start, length: 8192 };
    for (byte, refusal) in [(0, Refusal::BadMagic), (0xFF, Refusal::BadMagic)] {
        memory::fill(scratch.address..scratch.address + scratch.length, byte);
        refused(context, scratch.range(), scratch.length, 0, refusal)?;
    }
    Ok(())
}

/// The partition only reads: a client need not let it write.
fn read_only(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let mut descriptor = [0; 4096];
    let (owner, borrower) = (context.client.tee().own_id(), context.client.tee().service().partition);
    let length = write_share(&mut descriptor, owner, borrower, &[sample.range()])
        .map_err(|error| failure!("{error}"))?;
    // The endpoint descriptor is at 48, its permissions at 50: data access read-only.
    descriptor[50] = 1;
    let shared = context.share_descriptor(&descriptor[..length])?;
    let handle = shared.map_err(|status| failure!("FFA_MEM_SHARE is answered {status}"))?;
    let answer = context.load_handle(handle, sample.length, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    context.reclaim(handle)
}

/// A handle that was not taken back serves again.
fn handle_twice(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let handle = context.share_good(&[sample.range()])?;
    for _ in 0..2 {
        let answer = context.load_handle(handle, sample.length, 0)?;
        expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
        context.client.release().map_err(|error| failure!("{error}"))?;
    }
    context.reclaim(handle)
}
