//! A processor's memory as a whole: closed to others, cleared, opened, given back.
use crate::configuration::Processor;
use crate::hardware::{Isolation, Machine, RemoteMemory};
use remoteproc_refusal::Refusal;

/// Most bytes cleared in one step.
pub(crate) const CLEAR_SLICE: u64 = 1 << 20;

/// Sets who may reach all regions. Tries every region, even after one failed.
fn isolate<M: Machine>(
    machine: &mut M,
    index: usize,
    processor: &Processor<'_>,
    isolation: Isolation,
) -> Result<(), Refusal> {
    let driver = machine.driver(index).ok_or(Refusal::HardwareFailed)?;
    let mut outcome = Ok(());
    for region in &processor.regions {
        if driver.isolate(region, isolation).is_err() {
            outcome = Err(Refusal::IsolationFailed);
        }
    }
    outcome
}

/// Closes all regions to everybody but the partition.
pub(crate) fn close<M: Machine>(m: &mut M, index: usize, processor: &Processor<'_>) -> Result<(), Refusal> {
    isolate(m, index, processor, Isolation::Loading)
}

/// Opens the regions as the firmware needs them: private ones to the processor, shared ones to the normal world too.
/// Everything written is complete before that.
pub(crate) fn open<M: Machine>(m: &mut M, index: usize, processor: &Processor<'_>) -> Result<(), Refusal> {
    m.memory().complete_writes();
    isolate(m, index, processor, Isolation::Running)
}

/// Where a walk over all regions has got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    region: usize,
    done: u64,
}

/// Clears the next slice. Returns where to go on, or `None` after the last.
pub(crate) fn clear_slice<M: Machine>(
    machine: &mut M,
    processor: &Processor<'_>,
    at: Cursor,
) -> Result<Option<Cursor>, Refusal> {
    let Some(region) = processor.regions.get(at.region) else {
        return Ok(None);
    };
    let size = CLEAR_SLICE.min(u64::from(region.size).saturating_sub(at.done));
    let start = region.physical_address.checked_add(at.done).ok_or(Refusal::DestinationAbort)?;
    machine.memory().clear(start, size).map_err(|_| Refusal::DestinationAbort)?;
    let done = at.done.saturating_add(size);
    Ok(Some(if done < region.size.into() {
        Cursor { done, ..at }
    } else {
        Cursor { region: at.region.saturating_add(1), done: 0 }
    }))
}

/// Closes everything, clears everything and gives the regions back. Goes on after a failure, so that as much as possible is
/// clear; regions that may hold something are not given back.
pub(crate) fn wipe<M: Machine>(m: &mut M, index: usize, processor: &Processor<'_>) -> Result<(), Refusal> {
    let closed = close(m, index, processor);
    let mut cleared = Ok(());
    for region in 0..processor.regions.len() {
        let mut at = Some(Cursor { region, done: 0 });
        while let Some(cursor) = at.filter(|cursor| cursor.region == region) {
            match clear_slice(m, processor, cursor) {
                Ok(next) => at = next,
                Err(refusal) => {
                    cleared = Err(refusal);
                    at = None;
                }
            }
        }
    }
    m.memory().complete_writes();
    closed.and(cleared)?;
    isolate(m, index, processor, Isolation::Normal)
}
