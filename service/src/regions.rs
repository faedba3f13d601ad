//! A processor's memory as a whole: closed to others, cleared, opened, given back.
use crate::configuration::Processor;
use crate::hardware::{Isolation, Machine, RemoteMemory};
use crate::slice::Budget;
use remoteproc_image::target::{Access, Region};
use remoteproc_refusal::Refusal;

/// Which of a processor's regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of them.
    Whole,
    /// The private ones.
    Private,
}

impl Extent {
    fn includes(self, region: &Region) -> bool {
        self == Self::Whole || region.access == Access::Private
    }
}

/// Sets who may reach regions. Tries every one, even after one failed.
fn isolate<M: Machine>(
    machine: &mut M,
    index: usize,
    processor: &Processor<'_>,
    extent: Extent,
    isolation: Isolation,
) -> Result<(), Refusal> {
    let driver = machine.driver(index).ok_or(Refusal::HardwareFailed)?;
    let mut outcome = Ok(());
    for region in processor.regions.iter().filter(|region| extent.includes(region)) {
        if driver.isolate(region, isolation).is_err() {
            outcome = Err(Refusal::IsolationFailed);
        }
    }
    outcome
}

/// Closes all regions to everybody but the partition.
pub(crate) fn close<M: Machine>(m: &mut M, index: usize, processor: &Processor<'_>) -> Result<(), Refusal> {
    isolate(m, index, processor, Extent::Whole, Isolation::Loading)
}

/// Opens the private regions, to be read for a dump. The shared ones are open.
pub(crate) fn open_for_dump<M: Machine>(
    m: &mut M,
    index: usize,
    processor: &Processor<'_>,
) -> Result<(), Refusal> {
    isolate(m, index, processor, Extent::Private, Isolation::Dump)
}

/// Opens the regions as the firmware needs them: private ones to the processor, shared ones to the normal world too.
/// Everything written is complete before that.
pub(crate) fn open<M: Machine>(m: &mut M, index: usize, processor: &Processor<'_>) -> Result<(), Refusal> {
    m.memory().complete_writes();
    isolate(m, index, processor, Extent::Whole, Isolation::Running)
}

/// Where a walk over all regions has got to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    region: usize,
    done: u64,
}

impl Cursor {
    const fn next_region(self) -> Self {
        Self { region: self.region.saturating_add(1), done: 0 }
    }
}

/// Clears the next bytes, as many as the budget has. Returns where to go on, or `None` after the last.
pub(crate) fn clear_slice<M: Machine>(
    machine: &mut M,
    processor: &Processor<'_>,
    at: Cursor,
    budget: &mut Budget,
) -> Result<Option<Cursor>, Refusal> {
    let Some(region) = processor.regions.get(at.region) else {
        return Ok(None);
    };
    let size = budget.left_to_clear().min(u64::from(region.size).saturating_sub(at.done));
    budget.spend_clearing(size);
    let start = region.physical_address.checked_add(at.done).ok_or(Refusal::DestinationAbort)?;
    machine.memory().clear(start, size).map_err(|_| Refusal::DestinationAbort)?;
    let done = at.done.saturating_add(size);
    Ok(Some(if done < region.size.into() { Cursor { done, ..at } } else { at.next_region() }))
}

/// Clearing under way: regions are closed, then cleared. It goes on after a failure, so that as much as possible is clear.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Clearing {
    /// The regions were told to close.
    begun: bool,
    at: Cursor,
    /// The first failure.
    failed: Option<Refusal>,
}

impl Clearing {
    /// Goes on until the budget is spent. `None`: there is more to do. The whole of a processor's memory is given back in the end,
    /// unless it may still hold something; private regions that a stop clears stay closed.
    pub fn go_on<M: Machine>(
        &mut self,
        m: &mut M,
        index: usize,
        processor: &Processor<'_>,
        extent: Extent,
        budget: &mut Budget,
    ) -> Option<Result<(), Refusal>> {
        if !self.begun {
            self.begun = true;
            self.failed = isolate(m, index, processor, extent, Isolation::Loading).err();
        }
        while let Some(region) = processor.regions.get(self.at.region) {
            if !extent.includes(region) {
                self.at = self.at.next_region();
                continue;
            }
            if budget.is_spent() {
                return None;
            }
            let cleared = clear_slice(m, processor, self.at, budget);
            self.failed = self.failed.or(cleared.err());
            self.at = cleared.ok().flatten().unwrap_or(self.at.next_region());
        }
        m.memory().complete_writes();
        Some(match (self.failed, extent) {
            (Some(refusal), _) => Err(refusal),
            (None, Extent::Private) => Ok(()),
            (None, Extent::Whole) => isolate(m, index, processor, extent, Isolation::Normal),
        })
    }
}
