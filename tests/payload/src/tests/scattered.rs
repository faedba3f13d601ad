//! Images in many ranges, in any order of addresses.
use crate::context::Context;
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect_eq, failure, memory};
use heapless::Vec;
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::{FFA_PAGE_SIZE, MAX_RANGES};
use remoteproc_refusal::Refusal;

crate::cases! { "scattered":
    pages_in_reverse
    mixed_lengths
    most_ranges
    one_range_too_many
    fragments_are_refused_and_come_back
    swapped_pages_are_refused
}

type Ranges = Vec<Constituent, MAX_RANGES>;

/// Pages between the places of neighboring pages.
const STRIDE: u64 = 2 * FFA_PAGE_SIZE;

/// Copies a file page by page to places in descending order of addresses, `step` pages a range, and returns the ranges in the
/// file's order.
fn scatter(file: File, step: u64) -> Outcome<Ranges> {
    let pages = file.length.div_ceil(FFA_PAGE_SIZE);
    let mut ranges = Ranges::new();
    let mut place = memory::SCRATCH.end;
    let mut page = 0;
    while page < pages {
        let count = step.min(pages - page);
        place -= count * FFA_PAGE_SIZE + STRIDE;
        let length = (count * FFA_PAGE_SIZE).min(file.length - page * FFA_PAGE_SIZE);
        memory::copy(file.address + page * FFA_PAGE_SIZE, place, length);
        let range = Constituent { address: place, page_count: count as u32 };
        ranges.push(range).map_err(|_| failure!("{} takes more than {MAX_RANGES} ranges", file.name))?;
        page += count;
    }
    Ok(ranges)
}

fn loads(context: &mut Context, file: File, ranges: &[Constituent]) -> Outcome {
    context
        .client
        .load(ranges, file.length, |_| ())
        .map_err(|error| failure!("{} in {} ranges: {error}", file.name, ranges.len()))?;
    context.client.release().map_err(|error| failure!("{error}"))
}

fn pages_in_reverse(context: &mut Context) -> Outcome {
    for file in [context.sample()?, context.second()?] {
        let ranges = scatter(file, 1)?;
        loads(context, file, &ranges)?;
    }
    Ok(())
}

fn mixed_lengths(context: &mut Context) -> Outcome {
    for file in [context.sample()?, context.second()?] {
        for step in [2, 3] {
            let ranges = scatter(file, step)?;
            loads(context, file, &ranges)?;
        }
    }
    Ok(())
}

/// A file's pages, then pages that nobody reads, up to a number of ranges.
fn padded(file: File, count: usize) -> Outcome<Vec<Constituent, { MAX_RANGES + 1 }>> {
    let mut ranges = Vec::new();
    let filler =
        (0..).map(|index| Constituent { address: memory::SCRATCH.start + index * STRIDE, page_count: 1 });
    for range in scatter(file, 1)?.iter().copied().chain(filler).take(count) {
        ranges.push(range).map_err(|_| failure!("too many ranges"))?;
    }
    Ok(ranges)
}

fn most_ranges(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let ranges = padded(sample, MAX_RANGES)?;
    let handle = context.share_good(&ranges)?;
    let answer = context.load_handle(handle, sample.length, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    context.reclaim(handle)
}

/// The shim does not make such a share; a client that does is refused by the partition.
fn one_range_too_many(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let ranges = padded(sample, MAX_RANGES + 1)?;
    let handle = context.share_surplus(&ranges)?;
    let answer = context.load_handle(handle, sample.length, 0)?;
    let outcome = context.expect_refusal(answer, Refusal::TooManyRanges);
    context.reclaim(handle)?;
    outcome
}

/// Such a description takes several fragments, to the SPMC and from it. The partition reads it to its end, because only then the
/// SPMC takes the memory back, and refuses it.
fn fragments_are_refused_and_come_back(context: &mut Context) -> Outcome {
    // A little into the second fragment, two fragments, and as many as SPMCs take.
    for count in [251, 500, 5_114] {
        let handle = context.share_in_fragments(memory::SCRATCH.start, count, STRIDE)?;
        let answer = context.load_handle(handle, 0x1000, 0)?;
        let outcome = context.expect_refusal(answer, Refusal::TooManyRanges);
        context.reclaim(handle)?;
        outcome?;
    }
    Ok(())
}

/// The order of the ranges is the order of the bytes.
fn swapped_pages_are_refused(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let mut ranges = scatter(sample, 1)?;
    ranges.swap(0, 1);
    let outcome = context.client.load(&ranges, sample.length, |_| ());
    context.expect_load_refused(outcome, Refusal::BadMagic)
}
