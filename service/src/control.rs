//! START_FW, STOP_FW, RELEASE_FW and GET_RSC_TABLE.
use crate::client_memory::ClientMemory;
use crate::clients::Caller;
use crate::guards::Guard;
use crate::hardware::{
    Boot, DriverError, DriverProgress, GRACEFUL_LIMIT_MS, Machine, Observed, RemoteMemory,
};
use crate::lifecycle::{Ask, Event, Pending, State, Verdict};
use crate::processor::{Slot, Wait};
use crate::regions::{self, Clearing, Extent};
use crate::result::Refused;
use crate::seal::Check;
use crate::service::{Outcome, Service, in_progress, success};
use crate::slice::Budget;
use remoteproc_abi::door_d::{Answer, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::reader::Progress;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// START_FW: the checks, then the reset line; repeated calls go on with the reset line only.
    pub(crate) fn start(&mut self, caller: Caller, index: usize) -> Outcome {
        self.hand_over(index, caller)?;
        if self.admit(index, caller, Ask::Start)? == Verdict::AlreadySo {
            // A stop may have failed halfway: that it runs is said only if the hardware says so.
            self.expect_running(index)?;
            return success();
        }
        if self.slot(index)?.wipe.is_some() {
            // The check before a start has failed. The client hears of it when the memory is clear.
            let refused = self.slot(index)?.start_refused.unwrap_or(Refusal::NotLoaded.into());
            return match self.wipe_after(index, &mut Budget::new())? {
                Progress::Pending => in_progress(),
                Progress::Done => Err(refused),
            };
        }
        let slot = self.slot(index)?;
        let started_before = slot.pending() == Some(Pending::Start);
        let firmware = slot.firmware.as_ref().ok_or(Refusal::NotLoaded)?;
        let address = firmware.boot_address.ok_or(Refusal::NoBootAddress)?;
        let boot = Boot { address, secure: firmware.secure };
        let counter = firmware.security_counter;
        if !started_before {
            if self.guarded(Guard::SecurityCounter)
                && counter
                    < self.driver(index)?.security_counter().map_err(|_| Refusal::CounterWriteFailed)?.value
            {
                return Err(Refusal::CounterTooLow.into());
            }
            if self.check_seal(index)? == Progress::Pending {
                return in_progress();
            }
            self.machine.memory().complete_writes();
        }
        let progress = self.driver(index)?.release(boot);
        match self.follow(index, Pending::Start, progress)? {
            Followed::Done => {}
            Followed::Pending => return in_progress(),
            Followed::Failed => return Err(self.undo_start(index, Refusal::HardwareFailed)?.into()),
        }
        // Where it waits for a CONFIRM, firmware that does not work can still be replaced by what was there before.
        if !self.processor(index)?.counter_on_confirm && self.raise_counter(index, counter).is_err() {
            return Err(self.undo_start(index, Refusal::CounterWriteFailed)?.into());
        }
        self.slot(index)?.happened(Event::Started);
        self.counters.starts = self.counters.starts.saturating_add(1);
        let name = self.processor(index)?.name;
        log::info!(
            "{name}: released from reset at {address:#010x}, {}",
            if boot.secure { "secure" } else { "non-secure" }
        );
        // What it has done since its release is not told by any interrupt to come.
        self.look_for_crash(index)?;
        success()
    }

    /// Refuses unless the hardware says that a processor runs.
    fn expect_running(&mut self, index: usize) -> Result<(), Refused> {
        match self.driver(index)?.observe() {
            Ok(Observed::Running) => Ok(()),
            _ => Err(Refusal::HardwareFailed.into()),
        }
    }

    /// A client that the manifest lists for it becomes the owner of a processor that runs, once for each start.
    fn hand_over(&mut self, index: usize, caller: Caller) -> Result<(), Refused> {
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let name = processor.name;
        if !processor.is_for(caller.endpoint) || !processor.attach_endpoints.contains(&caller.endpoint) {
            return Ok(());
        }
        self.look_for_crash(index)?;
        let slot = self.slot(index)?;
        if let Some(before) = slot.owner.filter(|owner| *owner != caller)
            && (slot.state(), slot.pending(), slot.handed_over) == (State::Running, None, false)
        {
            // Where the hardware does not say that it runs, START_FW is refused, and nothing has changed.
            self.expect_running(index)?;
            let slot = self.slot(index)?;
            slot.handed_over = true;
            slot.belongs_to(caller);
            log::warn!(
                "{name}: handed over, from {:#06x} ({:?}) to {:#06x} ({:?})",
                before.endpoint,
                before.door,
                caller.endpoint,
                caller.door
            );
        }
        Ok(())
    }

    /// STOP_FW: asks the firmware first, if that is wanted, then the reset line.
    pub(crate) fn stop(&mut self, caller: Caller, index: usize, mode: StopMode) -> Outcome {
        if self.admit(index, caller, Ask::Stop)? == Verdict::AlreadySo {
            // A check before a start, if one was under way, begins anew.
            self.slot(index)?.check = None;
            return success();
        }
        if self.slot(index)?.is_nobodys() {
            return match self.hold_for_nobody(index)? {
                Progress::Pending => in_progress(),
                Progress::Done => success(),
            };
        }
        let slot = self.slot(index)?;
        if slot.pending() == Some(Pending::Start) {
            // The release is under way: until the hold is confirmed, nobody knows what the processor does.
            slot.happened(Event::StartLost);
        }
        if let StopMode::Graceful { milliseconds } = mode
            && self.waits_for_firmware(index, milliseconds)?
        {
            return in_progress();
        }
        if self.slot(index)?.purge.is_none() {
            let progress = self.driver(index)?.hold();
            match self.follow(index, Pending::Stop, progress)? {
                Followed::Done => {}
                Followed::Pending => return in_progress(),
                Followed::Failed => return Err(Refusal::HardwareFailed.into()),
            }
        }
        if self.must_clear(index)? {
            if self.purge(index, &mut Budget::new())? == Progress::Pending {
                return in_progress();
            }
            self.slot(index)?.happened(Event::Held);
            log::info!("{}: stopped, private memory cleared", self.processor(index)?.name);
            return success();
        }
        let readable = self.may_be_dumped(index)? && self.open_for_dump(index)?;
        let slot = self.slot(index)?;
        slot.happened(Event::Held);
        slot.readable = readable;
        log::info!("{}: stopped, memory kept", self.processor(index)?.name);
        success()
    }

    /// Tells whether what a processor has left in its private memory may be read.
    fn may_be_dumped(&mut self, index: usize) -> Result<bool, Refused> {
        let guarded = self.guarded(Guard::Dump);
        Ok(!guarded || self.slot(index)?.firmware.as_ref().is_some_and(|firmware| firmware.dump_allowed))
    }

    /// Tells whether private memory has to be cleared when the processor is held: it must not be read, and nothing closes it.
    fn must_clear(&mut self, index: usize) -> Result<bool, Refused> {
        Ok(!self.may_be_dumped(index)? && !self.driver(index)?.enforces_isolation())
    }

    /// Opens private memory for a dump. If that fails the stop stands, and the memory counts as closed.
    fn open_for_dump(&mut self, index: usize) -> Result<bool, Refused> {
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let opened = regions::open_for_dump(&mut self.machine, index, processor);
        if opened.is_err() {
            log::error!("{}: memory not opened for a dump", processor.name);
        }
        Ok(opened.is_ok())
    }

    /// Goes on clearing the private memory of a processor that is held. If that fails the stop is under way all the same, and its next
    /// request begins the clearing anew.
    fn purge(&mut self, index: usize, budget: &mut Budget) -> Result<Progress, Refused> {
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let slot = self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor)?;
        let purge = slot.purge.get_or_insert_default();
        let Some(purged) = purge.go_on(&mut self.machine, index, processor, Extent::Private, budget) else {
            return Ok(Progress::Pending);
        };
        if purged.is_err() {
            slot.purge = Some(Clearing::default());
        }
        purged.map_err(Into::into).map(|()| Progress::Done)
    }

    /// Asks the firmware to stop by itself. Tells whether to wait for it; if not, the processor is to be held: the firmware is ready,
    /// or can't be asked, or its time is over.
    fn waits_for_firmware(&mut self, index: usize, milliseconds: u64) -> Result<bool, Refused> {
        let now = self.machine.milliseconds();
        let slot = self.slot(index)?;
        let since = match (slot.pending(), slot.wait) {
            (None, _) => now,
            (Some(Pending::GracefulStop), Some(wait)) => wait.since,
            _ => return Ok(false),
        };
        let limit = milliseconds.min(GRACEFUL_LIMIT_MS);
        let runs = slot.state() == State::Running;
        if !runs || now.saturating_sub(since) >= limit || !self.driver(index)?.can_ask_to_stop() {
            return Ok(false);
        }
        let asked = self.driver(index)?.ask_to_stop();
        let waits = asked == Ok(DriverProgress::Pending);
        if waits {
            self.slot(index)?.wait = Some(Wait { pending: Pending::GracefulStop, since });
        } else if asked.is_ok() {
            log::info!("{}: ready to be stopped", self.processor(index)?.name);
        }
        Ok(waits)
    }

    /// RELEASE_FW: let go of the client's memory, hold, close, clear everything, give back.
    pub(crate) fn release<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        memory: &mut C,
    ) -> Outcome {
        if let Some(place) = self.place_of(caller, index) {
            self.end(place, memory);
        }
        if self.admit(index, caller, Ask::Release)? == Verdict::AlreadySo {
            return success();
        }
        let now = self.machine.milliseconds();
        self.slot(index)?.touched = now;
        if self.slot(index)?.is_nobodys() {
            return match self.clear_for_nobody(index)? {
                Progress::Pending => in_progress(),
                Progress::Done => success(),
            };
        }
        if self.slot(index)?.wipe.is_none() {
            let progress = self.driver(index)?.hold();
            match self.follow(index, Pending::Release, progress)? {
                Followed::Done => {
                    let slot = self.slot(index)?;
                    // The others that may be released are held already, as their states say.
                    if slot.state() == State::Crashed {
                        slot.happened(Event::Held);
                    }
                    slot.begin_wipe(None);
                }
                Followed::Pending => return in_progress(),
                Followed::Failed => return Err(Refusal::HardwareFailed.into()),
            }
        }
        if self.wipe(index, &mut Budget::new())? == Progress::Pending {
            return in_progress();
        }
        log::info!("{}: released, memory cleared", self.processor(index)?.name);
        success()
    }

    /// GET_RSC_TABLE.
    pub(crate) fn resource_table(&mut self, caller: Caller, index: usize) -> Outcome {
        self.admit(index, caller, Ask::GetResourceTable)?;
        let firmware = self.slot(index)?.firmware.as_ref().ok_or(Refusal::NotLoaded)?;
        let (address, size) =
            firmware.resource_table.map_or((0, 0), |table| (table.physical_address, table.size.into()));
        Ok(Answer::with(TeeResult::Success, [address, size, 0, 0]))
    }

    /// Goes on with a wipe. What can't be cleared stays closed and owned.
    pub(crate) fn wipe(&mut self, index: usize, budget: &mut Budget) -> Result<Progress, Refused> {
        if !self.guarded(Guard::Wipe) {
            self.slot(index)?.happened(Event::Wiped);
            return Ok(Progress::Done);
        }
        let again = self.guarded(Guard::WipeAgain);
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let slot = self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor)?;
        let wipe = slot.wipe.get_or_insert_default();
        let Some(wiped) = wipe.go_on(&mut self.machine, index, processor, Extent::Whole, budget) else {
            return Ok(Progress::Pending);
        };
        if wiped.is_ok() || again {
            slot.happened(if wiped.is_ok() { Event::Wiped } else { Event::WipeFailed });
        }
        wiped.map_err(Into::into).map(|()| Progress::Done)
    }

    /// Goes on with a wipe because of a refusal. That is what the client hears; a failure to clear goes to the log.
    pub(crate) fn wipe_after(&mut self, index: usize, budget: &mut Budget) -> Result<Progress, Refused> {
        self.wipe(index, budget).or_else(|Refused { refusal, .. }| {
            log::error!("processor index {index}: not cleared: {refusal}; it stays closed");
            Ok(Progress::Done)
        })
    }

    /// Hashes the private segments again, where nothing but this keeps the normal world from changing them.
    fn check_seal(&mut self, index: usize) -> Result<Progress, Refused> {
        if !self.guarded(Guard::Seal) {
            return Ok(Progress::Done);
        }
        let now = self.machine.milliseconds();
        let Slot { firmware, check, .. } = self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor)?;
        let Some(seal) = firmware.as_ref().and_then(|firmware| firmware.seal.as_ref()) else {
            return Ok(Progress::Done);
        };
        let limit = u64::from(self.board.idle_claim_ms);
        if check.as_ref().is_some_and(|check| now.saturating_sub(check.touched) > limit) {
            *check = None;
        }
        let check = check.get_or_insert_with(|| Check::new(self.machine.crypto(), now));
        check.touched = now;
        let held = check.go_on(seal, self.machine.crypto_and_memory(), self.buffer, &mut Budget::new());
        let refusal = match held {
            Ok(None) => return Ok(Progress::Pending),
            Ok(Some(digest)) if seal.holds(&digest) => {
                self.slot(index)?.check = None;
                return Ok(Progress::Done);
            }
            Ok(Some(_)) => Refusal::SegmentHashMismatch,
            Err(_) => Refusal::DestinationAbort,
        };
        self.slot(index)?.begin_wipe(Some(refusal.into()));
        Ok(Progress::Pending)
    }

    /// CONFIRM: the firmware that runs is to stay. A counter that can't be written changes nothing; it may be asked for again.
    pub(crate) fn confirm(&mut self, caller: Caller, index: usize) -> Outcome {
        self.check_endpoint(index, caller)?;
        self.look_for_crash(index)?;
        let only_the_owner = self.guarded(Guard::Owner);
        let slot = self.slot(index)?;
        if only_the_owner && slot.owner.ok_or(Refusal::NotLoaded)? != caller {
            return Err(Refusal::NotOwner.into());
        }
        if (slot.state(), slot.pending()) != (State::Running, None) {
            return Err(Refusal::NotRunning.into());
        }
        let counter = slot.firmware.as_ref().ok_or(Refusal::NotLoaded)?.security_counter;
        // A stop may have failed halfway: that it runs is believed only if the hardware says so.
        self.expect_running(index)?;
        self.raise_counter(index, counter)?;
        success()
    }

    /// Raises the platform's security counter to that of the firmware that now runs. What is older can't be loaded any more.
    fn raise_counter(&mut self, index: usize, counter: u32) -> Result<(), Refused> {
        let failed = |_| Refusal::CounterWriteFailed;
        let driver = self.driver(index)?;
        if counter > driver.security_counter().map_err(failed)?.value {
            driver.raise_security_counter(counter).map_err(failed)?;
            log::info!("{}: security counter raised to {counter}", self.processor(index)?.name);
        }
        Ok(())
    }

    /// Holds a processor again whose start failed.
    fn undo_start(&mut self, index: usize, refusal: Refusal) -> Result<Refusal, Refused> {
        let held = !self.guarded(Guard::UndoStart) || self.driver(index)?.hold() == Ok(DriverProgress::Done);
        // What it has left is cleared by a stop, and no state but CRASHED needs one.
        let held = held && !self.must_clear(index)?;
        self.slot(index)?.happened(if held { Event::StartUndone } else { Event::StartLost });
        Ok(refusal)
    }

    /// Keeps the books of what the hardware is busy with, and gives up on what takes longer than the limit.
    pub(crate) fn follow(
        &mut self,
        index: usize,
        pending: Pending,
        progress: Result<DriverProgress, DriverError>,
    ) -> Result<Followed, Refused> {
        let now = self.machine.milliseconds();
        let waits = self.guarded(Guard::HardwareFirst);
        let limit = self.driver(index)?.limit_ms();
        let slot = self.slot(index)?;
        let followed = match progress {
            Ok(DriverProgress::Pending) if !waits => Followed::Done,
            Ok(DriverProgress::Pending) if !slot.waits_too_long(pending, now, limit) => {
                return Ok(Followed::Pending);
            }
            Ok(DriverProgress::Done) => Followed::Done,
            Ok(DriverProgress::Pending) | Err(DriverError) => Followed::Failed,
        };
        slot.wait = None;
        Ok(followed)
    }
}

/// How far the hardware is, seen with a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    Pending,
    Done,
    Failed,
}
