//! For tests on the host that go through all states: the service's state taken out, put back, and told apart from others.
//! Not in a partition.
use crate::buffers::Buffers;
use crate::client_memory::EndpointId;
use crate::clients::{Caller, Door, LastRefusals};
use crate::configuration::Board;
use crate::counters::Counters;
use crate::guards::Guard;
use crate::hardware::{HARDWARE_LIMIT_MS, Machine};
use crate::jobs::{MAX_LOADS, Storage, Work};
use crate::lifecycle::{Pending, State};
use crate::processor::{Firmware, Slot};
use crate::seal::Check;
use crate::service::{HasherOf, Service};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher as Fingerprint};
use remoteproc_image::provider::Hasher;
use remoteproc_image::reader::Reader;

/// All that a service keeps between two requests.
pub struct Frozen<H: Hasher> {
    slots: Vec<Slot<H>>,
    works: [Option<Work>; MAX_LOADS],
    /// Of the loads under way; the others' are idle.
    readers: [Option<Arc<Reader<H>>>; MAX_LOADS],
    counters: Counters,
    buffers: Buffers,
    refusals: LastRefusals,
    removed: Option<Guard>,
}

impl<H: Hasher + Clone> Clone for Frozen<H> {
    fn clone(&self) -> Self {
        Self {
            slots: self.slots.clone(),
            works: self.works,
            readers: self.readers.clone(),
            counters: self.counters,
            buffers: self.buffers.clone(),
            refusals: self.refusals.clone(),
            removed: self.removed,
        }
    }
}

/// A processor, as the service sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Its state.
    pub state: State,
    /// What it is busy with.
    pub pending: Option<Pending>,
    /// Whose it is.
    pub owner: Option<Caller>,
    /// A load that another client may take over.
    pub idle: bool,
    /// Who has bound its events.
    pub bound: Option<Caller>,
    /// It was handed over since it was started.
    pub handed_over: bool,
}

impl<'a, M: Machine> Service<'a, M>
where
    HasherOf<M>: Clone,
{
    /// Copies what the service keeps between two requests.
    #[must_use]
    pub fn freeze(&self) -> Frozen<HasherOf<M>> {
        // Named one by one, so that what is added to a service is not forgotten here.
        // The measurements decide nothing, and are not kept.
        let Self {
            board: _,
            machine: _,
            slots,
            readers,
            works,
            buffer: _,
            measurements: _,
            counters,
            buffers,
            refusals,
            removed,
        } = self;
        let mut copies = [const { None }; MAX_LOADS];
        for ((copy, reader), work) in copies.iter_mut().zip(readers.iter()).zip(works) {
            *copy = work.as_ref().map(|_| Arc::new(reader.clone()));
        }
        Frozen {
            slots: slots.iter().cloned().collect(),
            works: *works,
            readers: copies,
            counters: *counters,
            buffers: buffers.clone(),
            refusals: refusals.clone(),
            removed: *removed,
        }
    }

    /// Makes a service that goes on where another one stood.
    #[must_use]
    pub fn thaw(
        board: Board<'a>,
        machine: M,
        storage: &'a mut Storage<HasherOf<M>>,
        frozen: &Frozen<HasherOf<M>>,
    ) -> Self {
        let Storage { readers, slots, buffer, measurements } = storage;
        slots.clear();
        slots.extend(frozen.slots.iter().cloned());
        for (reader, copy) in readers.iter_mut().zip(&frozen.readers) {
            match copy {
                Some(copy) => reader.clone_from(copy),
                // Most are idle and stay so; what a reader has begun has bytes.
                None if reader.total() != 0 => reader.reset(),
                None => {}
            }
        }
        Self {
            board,
            machine,
            slots,
            readers,
            works: frozen.works,
            buffer,
            measurements,
            counters: frozen.counters,
            buffers: frozen.buffers.clone(),
            refusals: frozen.refusals.clone(),
            removed: frozen.removed,
        }
    }
}

impl<H: Hasher> Frozen<H> {
    /// Returns a processor, by its index. `now` and `idle_limit` in milliseconds.
    #[must_use]
    pub fn view(&self, index: usize, now: u64, idle_limit: u64) -> Option<View> {
        let slot = self.slots.get(index)?;
        Some(View {
            state: slot.state(),
            pending: slot.pending(),
            owner: slot.owner,
            idle: slot.is_idle_claim(now, idle_limit),
            bound: slot.events.map(|events| events.owner),
            handed_over: slot.handed_over,
        })
    }

    /// Tells whether anything at all is an endpoint's: a processor, a load, a buffer, a refusal that is remembered.
    #[must_use]
    pub fn knows(&self, endpoint: EndpointId) -> bool {
        let is_its = |caller: Caller| caller.endpoint == endpoint;
        let slots = self.slots.iter().any(|slot| {
            slot.owner.is_some_and(is_its) || slot.events.is_some_and(|events| is_its(events.owner))
        });
        let refused = |door| self.refusals.of(Caller { endpoint, door }).is_some();
        slots
            || self.works.iter().flatten().any(|work| is_its(work.caller))
            || self.buffers.any_of(endpoint).is_some()
            || refused(Door::Direct)
            || refused(Door::TsRpc)
    }

    /// Returns how many loads hold client memory.
    #[must_use]
    pub fn shares(&self) -> usize {
        self.works.iter().flatten().filter(|work| work.share.is_some()).count()
    }

    /// Adds what decides about the answers to later requests: two services that agree in it behave alike, given the same clients
    /// and machine. Left out are the counters and the last refusals, which decide nothing, and moments in time, of which it
    /// only matters whether they are longer ago than a limit. Of a reader it is enough how far it is: its bytes are those of the
    /// share that the load names, which must not change.
    pub fn fingerprint<F: Fingerprint>(&self, now: u64, idle_limit: u64, into: &mut F) {
        let idle = |touched: u64| now.saturating_sub(touched) > idle_limit;
        for slot in &self.slots {
            (slot.purge, slot.readable).hash(into);
            (
                slot.state(),
                slot.owner,
                slot.wipe,
                slot.start_refused,
                slot.events,
                slot.crash,
                slot.handed_over,
            )
                .hash(into);
            slot.wait
                .map(|wait| (wait.pending, now.saturating_sub(wait.since) > HARDWARE_LIMIT_MS))
                .hash(into);
            slot.is_idle_claim(now, idle_limit).hash(into);
            let Slot { firmware, check, .. } = slot;
            if let Some(firmware) = firmware {
                let Firmware {
                    identity,
                    boot_address,
                    secure,
                    resource_table,
                    security_counter,
                    dump_allowed,
                    seal,
                } = firmware;
                let table =
                    resource_table.map(|table| (table.device_address, table.physical_address, table.size));
                (identity, boot_address, secure, table, security_counter, dump_allowed, seal).hash(into);
            }
            check.as_ref().map(|check| (Check::place(check), idle(check.touched))).hash(into);
        }
        self.buffers.hash(into);
        for (work, reader) in self.works.iter().zip(&self.readers) {
            work.map(
                |Work {
                     caller,
                     index,
                     total,
                     step,
                     done,
                     share,
                     only_the_same,
                     refused,
                     signer,
                     touched,
                 }| {
                    (caller, index, total, step, done, share, only_the_same, refused, signer, idle(touched))
                },
            )
            .hash(into);
            reader.as_ref().map(|reader| (reader.position(), reader.is_complete())).hash(into);
        }
    }
}
