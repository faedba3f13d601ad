//! Shares that name memory which is not the client's: the SPMC says no, and where it does not, the partition does.
use super::controls;
use crate::context::Context;
use crate::framework::{Case, Failure, Outcome, Text};
use crate::machine::{Strictness, set_strictness};
use crate::{expect_eq, failure, memory};
use remoteproc_abi::door_d::Request;
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;

crate::cases! { "addresses":
    strict_spmc_denies
    partition_memory
    secure_memory
    window
    control_page
    devices
    outside_normal_memory
    end_of_address_space
    behind_a_good_range
    straddling_ranges
    secure_attribute
    no_ram_behind_the_address
}

/// Only with a partition that takes a guard out on request (feature `control`), which is dead afterwards.
pub const CONTROL: &[Case] =
    &[Case { name: "addresses::an_abort_without_its_fix_up", run: an_abort_without_its_fix_up }];

/// The guard that a copy that aborts is an error (`service/src/guards.rs`).
const FIX_UP: u64 = 20;

/// The partition's own memory.
const PARTITION: u64 = 0x0e30_0000;
/// The SPMC's memory.
const SECURE_RAM: u64 = 0x0e00_0000;
/// Listed as normal memory, but this machine has no RAM there.
const NO_RAM: u64 = 0x7000_0000;

const fn pages(address: u64, page_count: u32) -> Constituent {
    Constituent { address, page_count }
}

/// Shares ranges under a lenient SPMC. Another SPMC than the test bench's may take them as well; where it denies them, the case
/// is skipped, because the partition never sees such a share.
fn share(context: &mut Context, mode: Strictness, ranges: &[Constituent]) -> Outcome<u64> {
    let controlled = context.set_strictness(mode)?;
    if !controlled && mode == Strictness::LenientSecure {
        return Err(skipped(format_args!("only the test bench's SPMC calls memory secure that is not")));
    }
    let shared = context.share(ranges);
    set_strictness(Strictness::Strict);
    let address = ranges.last().map_or(0, |range| range.address);
    shared?.map_err(|status| match controlled {
        true => failure!("{address:#x}: the lenient SPMC answers {status}"),
        false => skipped(format_args!("the SPMC itself denies a share of {address:#x}: {status}")),
    })
}

fn skipped(why: core::fmt::Arguments) -> Failure {
    Failure::Skipped(Text::of(why))
}

/// Shares ranges under a lenient SPMC and checks how the partition refuses them.
fn refused(context: &mut Context, mode: Strictness, ranges: &[Constituent], refusal: Refusal) -> Outcome {
    let releases = memory::read_word(memory::RELEASES);
    let handle = share(context, mode, ranges)?;
    let answer = context.load_handle(handle, 0x1000, 0)?;
    let outcome = context.expect_refusal(answer, refusal);
    context.reclaim(handle)?;
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases from reset");
    outcome
}

fn lenient(context: &mut Context, ranges: &[Constituent], refusal: Refusal) -> Outcome {
    refused(context, Strictness::Lenient, ranges, refusal)
}

/// Secure memory can't be shared by the normal world at all.
fn strict_spmc_denies(context: &mut Context) -> Outcome {
    for address in [PARTITION, PARTITION + 0x4000, SECURE_RAM, 0x0e10_0000, 0] {
        match context.share(&[pages(address, 1)])? {
            Err(_) => {}
            Ok(handle) => {
                context.reclaim(handle)?;
                return Err(failure!("the SPMC lets the normal world share {address:#x}"));
            }
        }
    }
    Ok(())
}

fn partition_memory(context: &mut Context) -> Outcome {
    for range in [pages(PARTITION, 4), pages(PARTITION + 0x4000, 1), pages(PARTITION + 0xf_f000, 1)] {
        lenient(context, &[range], Refusal::RangeOverlapsPartition)?;
    }
    Ok(())
}

fn secure_memory(context: &mut Context) -> Outcome {
    for range in [pages(SECURE_RAM, 1), pages(0x0eff_f000, 1), pages(0x0dff_f000, 2)] {
        lenient(context, &[range], Refusal::RangeOverlapsPartition)?;
    }
    Ok(())
}

/// Any byte of a processor's regions, from either side.
fn window(context: &mut Context) -> Outcome {
    let ranges = [
        pages(0x8000_0000, 4),
        pages(0x80a0_0000, 1),
        pages(0x80bf_f000, 1),
        pages(0x80c0_0000, 1),
        pages(0x80c1_0000, 1),
        pages(0x80c6_f000, 1),
        pages(0x80c6_f000, 16),
        // The Cortex-M4's.
        pages(0x80d0_0000, 1),
        pages(0x80cf_f000, 2),
        pages(0x80e3_f000, 2),
    ];
    for range in ranges {
        lenient(context, &[range], Refusal::RangeOverlapsProcessor)?;
    }
    context.expect_clear()
}

fn control_page(context: &mut Context) -> Outcome {
    let first = [pages(memory::CONTROL_PAGE, 1), pages(memory::CONTROL_PAGE - 0x1000, 3)];
    for range in first.into_iter().chain([pages(0x80fe_0000, 1)]) {
        lenient(context, &[range], Refusal::RangeOverlapsProcessor)?;
    }
    Ok(())
}

/// UARTs, GIC distributor, GPIO.
fn devices(context: &mut Context) -> Outcome {
    for address in [memory::UART0, 0x0904_0000, 0x0800_0000, 0x090b_0000] {
        lenient(context, &[pages(address, 1)], Refusal::RangeOverlapsDevice)?;
    }
    Ok(())
}

fn outside_normal_memory(context: &mut Context) -> Outcome {
    let ranges = [
        pages(0, 1),
        pages(0x3fff_f000, 1),
        pages(0x3fff_f000, 2),
        pages(0x8100_0000, 1),
        pages(0x1_0000_0000, 1),
        pages(1 << 40, 16),
    ];
    for range in ranges {
        lenient(context, &[range], Refusal::RangeOutsideNormalMemory)?;
    }
    Ok(())
}

fn end_of_address_space(context: &mut Context) -> Outcome {
    lenient(context, &[pages(u64::MAX - 0x1fff, 1)], Refusal::RangeOutsideNormalMemory)?;
    lenient(context, &[pages(1 << 63, u32::MAX)], Refusal::RangeOutsideNormalMemory)?;
    // The end of these is not a 64-bit number any more: the SPMC may say no, whatever it knows of the memory.
    for range in [pages(u64::MAX - 0xfff, 1), pages(u64::MAX - 0xfff, 2)] {
        context.set_strictness(Strictness::Lenient)?;
        let shared = context.share(&[range]);
        set_strictness(Strictness::Strict);
        if let Ok(handle) = shared? {
            context.reclaim(handle)?;
            lenient(context, &[range], Refusal::RangeMisaligned)?;
        }
    }
    Ok(())
}

/// Every range counts, not only the first.
fn behind_a_good_range(context: &mut Context) -> Outcome {
    let good = pages(memory::SCRATCH.start, 4);
    lenient(context, &[good, pages(PARTITION, 1)], Refusal::RangeOverlapsPartition)?;
    lenient(context, &[good, pages(0x8000_0000, 1)], Refusal::RangeOverlapsProcessor)?;
    let other = pages(memory::SCRATCH.start + 0x10_0000, 4);
    lenient(context, &[good, pages(memory::UART0, 1), other], Refusal::RangeOverlapsDevice)
}

/// Ranges that begin in normal memory and end elsewhere.
fn straddling_ranges(context: &mut Context) -> Outcome {
    lenient(context, &[pages(0x7fff_f000, 2)], Refusal::RangeOverlapsProcessor)?;
    lenient(context, &[pages(0x7000_0000, 0x2_0000)], Refusal::RangeOverlapsProcessor)?;
    lenient(context, &[pages(0x0d00_0000, 0x2000)], Refusal::RangeOverlapsPartition)
}

/// The SPMC says that memory is secure: whatever its address, it is not the client's.
fn secure_attribute(context: &mut Context) -> Outcome {
    let good = pages(memory::SCRATCH.start, 4);
    refused(context, Strictness::LenientSecure, &[good], Refusal::RangeNotNormalWorld)?;
    refused(context, Strictness::LenientSecure, &[pages(PARTITION, 1)], Refusal::RangeNotNormalWorld)
}

/// A copy that aborts is the end of a partition that does not fix it up. Nothing works afterwards.
fn an_abort_without_its_fix_up(context: &mut Context) -> Outcome {
    no_ram_behind_the_address(context)?;
    controls::take_out(context, FIX_UP)?;
    context.dead = true;
    let handle = share(context, Strictness::Lenient, &[pages(NO_RAM, 4)])?;
    let answer = context.load_handle(handle, 0x4000, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::TargetDead), "the result where the read aborts");
    let answer = context.ask(Request::GetInfo.encode())?;
    expect_eq!(answer.tee_result(), Some(TeeResult::TargetDead), "the result afterwards");
    Ok(())
}

/// The first byte, and a byte further on, have no RAM behind them: the read aborts and the partition lives on.
fn no_ram_behind_the_address(context: &mut Context) -> Outcome {
    lenient(context, &[pages(NO_RAM, 4)], Refusal::MemoryAbort)?;
    lenient(context, &[pages(0x7fff_f000, 1)], Refusal::MemoryAbort)?;
    let sample = context.sample()?;
    // The metadata is there, and the images are not.
    let head = Constituent { page_count: 1, ..sample.range() };
    let rest = pages(NO_RAM, sample.range().page_count);
    let handle = share(context, Strictness::Lenient, &[head, rest])?;
    let answer = context.load_handle(handle, sample.length, 0)?;
    let outcome = context.expect_refusal(answer, Refusal::MemoryAbort);
    context.reclaim(handle)?;
    outcome?;
    context.expect_clear()
}
