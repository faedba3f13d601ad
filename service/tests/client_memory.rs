//! Memory that a client names: every refusal by its name, nothing touched, nothing held, and a clean load afterwards.
mod support;

use remoteproc_abi::door_d::{FLAG_ONE_CALL, LoadArguments, Request};
use remoteproc_refusal::Refusal;
use remoteproc_service::client_memory::{MemoryError, PhysicalRange};
use remoteproc_service::lifecycle::State;
use support::client::Share;
use support::*;

/// Loads the sample from a share that the test has changed.
#[track_caller]
fn load_refused(change: impl FnOnce(&mut Share), refusal: Refusal) -> Bench {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    change(bench.client.shares.get_mut(&handle).unwrap());
    let answer = bench.load_handle(KERNEL, M33, handle, image.len() as u64);
    bench.refused(KERNEL, answer, refusal);
    bench.assert_untouched();
    bench.assert_nothing_left();
    assert_eq!(bench.state(), State::Offline);
    let seen = bench.take_seen();
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Hold(_))), "no hardware was told anything");
    if seen.contains(&Seen::Map(handle)) {
        assert!(seen.contains(&Seen::Relinquish(handle)), "the handle was given back");
    }
    succeeded(bench.load(KERNEL, M33, &image));
    bench
}

/// Loads the sample from ranges of the test's choice; nothing may be mapped before it is refused.
#[track_caller]
fn ranges_refused(ranges: &[(u64, u64)], refusal: Refusal) {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    let share = bench.client.shares.get_mut(&handle).unwrap();
    share.retrieved.ranges = ranges.iter().map(|&(start, size)| PhysicalRange { start, size }).collect();
    let answer = bench.load_handle(KERNEL, M33, handle, image.len() as u64);
    bench.refused(KERNEL, answer, refusal);
    assert_eq!(bench.take_seen(), [Seen::Retrieve(handle), Seen::Relinquish(handle)]);
}

#[test]
fn ranges_that_a_client_must_not_name() {
    let good = (0x4100_0000, 0x4000);
    for (start, size, refusal) in [
        // The partition and the SPMC, from inside, from both edges, from around.
        (0x0e30_0000, 0x4000, Refusal::RangeOverlapsPartition),
        (0x0dff_f000, 0x4000, Refusal::RangeOverlapsPartition),
        (0x0eff_f000, 0x4000, Refusal::RangeOverlapsPartition),
        (0x0c00_0000, 0x0400_0000, Refusal::RangeOverlapsPartition),
        // The window: regions of either processor, and their control pages.
        (0x8000_0000, 0x4000, Refusal::RangeOverlapsProcessor),
        (0x80a0_0000, 0x4000, Refusal::RangeOverlapsProcessor),
        (0x80d0_0000, 0x4000, Refusal::RangeOverlapsProcessor),
        (0x80ff_0000, 0x4000, Refusal::RangeOverlapsProcessor),
        (0x80fe_0000, 0x1000, Refusal::RangeOverlapsProcessor),
        (0x7fff_f000, 0x4000, Refusal::RangeOverlapsProcessor),
        // A UART; a device inside normal memory.
        (0x0900_0000, 0x4000, Refusal::RangeOverlapsDevice),
        (0x4fff_d000, 0x4000, Refusal::RangeOverlapsDevice),
        (0x5000_0000, 0x1000, Refusal::RangeOverlapsDevice),
        // Nothing at all; across the end; below the start.
        (0x9000_0000, 0x4000, Refusal::RangeOutsideNormalMemory),
        (0x3fff_f000, 0x4000, Refusal::RangeOutsideNormalMemory),
        (0, 0x1000, Refusal::RangeOutsideNormalMemory),
        (0x1_4100_0000, 0x4000, Refusal::RangeOutsideNormalMemory),
        // No whole pages, no address space.
        (0x4100_0800, 0x4000, Refusal::RangeMisaligned),
        (0x4100_0000, 0x4800, Refusal::RangeMisaligned),
        (0x4100_0000, 0, Refusal::RangeMisaligned),
        (0xffff_ffff_ffff_f000, 0x2000, Refusal::RangeMisaligned),
        (0xffff_ffff_ffff_f000, 0x1000, Refusal::RangeMisaligned),
        (0x4100_0000, 0xffff_ffff_ffff_f000, Refusal::RangeMisaligned),
    ] {
        ranges_refused(&[(start, size)], refusal);
        ranges_refused(&[good, (start, size)], refusal);
        ranges_refused(&[(start, size), good], refusal);
    }
}

#[test]
fn a_share_across_two_entries_of_normal_memory_is_fine() {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    let share = bench.client.shares.get_mut(&handle).unwrap();
    share.retrieved.ranges[0].start = 0x6000_0000 - 0x1000;
    succeeded(bench.load_handle(KERNEL, M33, handle, image.len() as u64));
}

#[test]
fn a_share_that_is_not_normal_world() {
    load_refused(|share| share.retrieved.normal_world = false, Refusal::RangeNotNormalWorld);
}

#[test]
fn a_share_without_a_byte() {
    load_refused(|share| share.retrieved.ranges.clear(), Refusal::ShareTooSmall);
}

#[test]
fn what_the_spmc_says_of_a_handle() {
    for (error, refusal) in [
        (MemoryError::UnknownHandle, Refusal::HandleUnknown),
        (MemoryError::Malformed, Refusal::ShareMalformed),
        (MemoryError::TooManyRanges, Refusal::TooManyRanges),
        (MemoryError::Busy, Refusal::SpmcBusy),
        (MemoryError::OutOfBounds, Refusal::ShareTooSmall),
    ] {
        load_refused(|share| share.retrieve_error = Some(error), refusal);
    }
    load_refused(|share| share.map_error = Some(MemoryError::NoRoom), Refusal::TooManyRanges);
    load_refused(|share| share.owner = 5, Refusal::HandleUnknown);
    load_refused(|share| share.lent = true, Refusal::HandleUnknown);
}

#[test]
fn a_handle_that_was_never_shared() {
    let mut bench = Bench::new();
    let answer = bench.load_handle(KERNEL, M33, 0xdead, 14_764);
    bench.refused(KERNEL, answer, Refusal::HandleUnknown);
    bench.assert_untouched();
}

#[test]
fn lent_memory_is_retrieved_as_lent() {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    bench.client.shares.get_mut(&handle).unwrap().lent = true;
    let total = image.len() as u64;
    let arguments = LoadArguments { handle, total, offset: 0, lent: true, one_call: false };
    succeeded(bench.ask(KERNEL, Request::Load { processor: M33, arguments }));
}

#[test]
fn an_abort_while_the_metadata_is_read() {
    let mut bench = load_refused(|share| share.aborts_at = Some(100), Refusal::MemoryAbort);
    assert_eq!(bench.last_error(KERNEL).1, Some(20), "the piece behind the header");
}

#[test]
fn an_abort_while_the_images_are_read_clears_everything() {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    bench.client.shares.get_mut(&handle).unwrap().aborts_at = Some(8192);
    let answer = bench.load_handle(KERNEL, M33, handle, image.len() as u64);
    bench.refused(KERNEL, answer, Refusal::MemoryAbort);
    bench.assert_clear();
    assert_eq!(bench.state(), State::Offline);
    succeeded(bench.load(KERNEL, M33, &image));
}

#[test]
fn totals_that_do_not_fit_the_container() {
    let image = sample();
    for (total, refusal) in [
        (0, Refusal::TooShort),
        (19, Refusal::TooShort),
        (20, Refusal::SizeMismatch),
        (image.len() as u64 - 1, Refusal::SizeMismatch),
        (image.len() as u64 + 1, Refusal::SizeMismatch),
        (u64::MAX, Refusal::SizeMismatch),
    ] {
        let mut bench = Bench::new();
        let handle = bench.share(KERNEL, &image);
        let answer = bench.load_handle(KERNEL, M33, handle, total);
        bench.refused(KERNEL, answer, refusal);
        bench.assert_untouched();
        bench.assert_nothing_left();
    }
}

#[test]
fn offsets_and_flags_that_are_not_for_this_version() {
    let mut bench = Bench::new();
    let image = sample();
    let handle = bench.share(KERNEL, &image);
    let total = image.len() as u64;
    let answer = bench.send(KERNEL, &[1, M33.into(), handle, total, 4096]);
    bench.refused(KERNEL, answer, Refusal::OffsetUnexpected);
    let answer = bench.send(KERNEL, &[1 | FLAG_ONE_CALL, M33.into(), handle, total, 0]);
    bench.refused(KERNEL, answer, Refusal::FlagsUnknown);
    let answer = bench.send(KERNEL, &[1, 3, handle, total, 0]);
    bench.refused(KERNEL, answer, Refusal::UnknownProcessor);
    assert!(bench.take_seen().is_empty(), "nothing was retrieved");
    succeeded(bench.load_handle(KERNEL, M33, handle, total));
}

#[test]
fn a_refusal_names_its_place_and_its_client() {
    let mut bench = Bench::new();
    let answer = bench.load(KERNEL, M33, &vector("negative/n10-segbyte.sig"));
    bench.refused(KERNEL, answer, Refusal::SegmentHashMismatch);
    let (number, place) = bench.last_error(KERNEL);
    assert_eq!(number, 0x0501);
    assert!(place.is_some(), "the segment's place in the container");
    assert_eq!(bench.ask(VM, Request::GetLastError).as_last_error(), (0, None));
    assert_eq!(bench.ask(USER, Request::GetLastError).as_last_error(), (0, None));
}
