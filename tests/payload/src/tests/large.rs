//! A file of 16 MiB, of which 10 MiB are loaded: in one piece, and in as many scattered pages as it has.
use crate::context::Context;
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, memory, say};
use heapless::Vec;
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::status::ProcessorState;
use remoteproc_abi::{FFA_PAGE_SIZE, MAX_RANGES};
use remoteproc_refusal::Refusal;
use remoteproc_shim::{Error, LoadError, Progress};

crate::cases! { "large":
    one_piece_in_slices
    every_page_a_range_of_its_own
    one_page_too_early
    one_page_that_may_not_be_shared
}

/// A result (docs/abi.md).
const ACCESS_DENIED: u32 = 0xFFFF_0001;
/// Pages of the file.
const PAGES: usize = 4096;
/// Most bytes that one request consumes (docs/abi.md, LOAD_FW).
const SLICE: u64 = 128 << 10;
/// Bytes that are loaded at least.
const LOADED: u64 = 10 << 20;

/// Loads, watching the steps. Returns how many requests and how many shares that took.
fn load(context: &mut Context, ranges: &[Constituent], total: u64) -> Outcome<(u64, u64)> {
    let transport = context.client.tee().transport();
    let before = (transport.direct_requests(), transport.shares());
    let (mut last, mut largest) = (0, 0);
    let outcome = context.client.load(ranges, total, |Progress { done, .. }| {
        largest = largest.max(done - last);
        last = done;
    });
    outcome.map_err(|error| failure!("{error}"))?;
    expect_eq!(last, total, "the bytes done at the end");
    expect!(largest <= SLICE, "{largest} bytes were consumed by one request");
    let transport = context.client.tee().transport();
    Ok((transport.direct_requests() - before.0, transport.shares() - before.1))
}

/// The firmware is what was loaded: it starts, once its private bytes were hashed again.
fn starts(context: &mut Context) -> Outcome {
    context.client.start().map_err(|error| failure!("start: {error}"))?;
    let status = context.client.status().map_err(|error| failure!("{error}"))?;
    expect_eq!(status.state, ProcessorState::Running, "the state");
    Ok(())
}

fn one_piece_in_slices(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let (requests, shares) = load(context, &[file.range()], file.length)?;
    say!("info load of {} bytes in one piece: {requests} requests, {shares} share", file.length);
    expect_eq!(shares, 1, "the shares");
    // Each byte of the file is copied, those that are loaded are hashed, and a request does one slice of that.
    let least = (file.length + LOADED) / SLICE;
    expect!(requests >= least, "{requests} requests, but {least} slices");
    starts(context)
}

/// Copies the file page by page to places that are no neighbors and in no order. Returns the ranges in the file's order.
fn scatter(file: File, ranges: &mut Vec<Constituent, PAGES>) -> Outcome {
    let pages = file.length.div_ceil(FFA_PAGE_SIZE);
    expect_eq!(pages, PAGES as u64, "the file's pages");
    ranges.clear();
    for page in 0..pages {
        // An odd factor visits each place once; only every second page is used.
        let place = page.wrapping_mul(2741).wrapping_add(7) % pages;
        let address = memory::SCRATCH.start + place * 2 * FFA_PAGE_SIZE;
        let from = page * FFA_PAGE_SIZE;
        memory::copy(file.address + from, address, FFA_PAGE_SIZE.min(file.length - from));
        ranges.push(Constituent { address, page_count: 1 }).map_err(|_| failure!("too many pages"))?;
    }
    Ok(())
}

fn every_page_a_range_of_its_own(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let mut ranges = Vec::new();
    scatter(file, &mut ranges)?;
    let (requests, shares) = load(context, &ranges, file.length)?;
    say!("info load of {} bytes in {PAGES} pages: {requests} requests, {shares} shares", file.length);
    expect_eq!(shares, PAGES.div_ceil(MAX_RANGES) as u64, "the shares");
    starts(context)
}

/// Two pages in the wrong order, in a share that is not the first: the claim is given up, everything cleared and taken back.
fn one_page_too_early(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let mut ranges = Vec::new();
    scatter(file, &mut ranges)?;
    ranges.swap(1000, 1001);
    let outcome = context.client.load(&ranges, file.length, |_| ());
    context.expect_load_refused(outcome, Refusal::SegmentHashMismatch)?;
    context.expect_clear()
}

/// One page of a later share is not the normal world's: the SPMC denies that share, and the client gives up in mid-load.
fn one_page_that_may_not_be_shared(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let mut ranges = Vec::new();
    scatter(file, &mut ranges)?;
    ranges[1000].address = 0x0e30_0000;
    let mut done = 0;
    let outcome = context.client.load(&ranges, file.length, |progress| done = progress.done);
    // An SPMC may share it all the same; then the partition refuses it.
    let Err(LoadError {
        error: Error::Tee(_) | Error::Refused { result: ACCESS_DENIED, .. },
        not_reclaimed: None,
    }) = outcome
    else {
        return Err(failure!("the outcome is {outcome:?}"));
    };
    expect_eq!(done, 1000 * FFA_PAGE_SIZE, "the bytes done");
    context.expect_clear()?;
    let status = context.client.status().map_err(|error| failure!("{error}"))?;
    expect_eq!((status.state, status.owner), (ProcessorState::Offline, None), "state and owner");
    Ok(())
}
