//! START_FW, STOP_FW, RELEASE_FW and GET_RSC_TABLE.
use crate::clients::Caller;
use crate::hardware::{Boot, DriverError, DriverProgress, Machine, RemoteMemory};
use crate::lifecycle::{Ask, Event, Pending, Verdict};
use crate::regions;
use crate::result::Refused;
use crate::service::{Outcome, Service, in_progress, success};
use remoteproc_abi::door_d::{Answer, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// START_FW: the checks, then the reset line; repeated calls go on with the reset line only.
    pub(crate) fn start(&mut self, caller: Caller, index: usize) -> Outcome {
        if self.admit(index, caller, Ask::Start)? == Verdict::AlreadySo {
            return success();
        }
        let slot = self.slot(index)?;
        let started_before = slot.pending() == Some(Pending::Start);
        let firmware = slot.firmware.as_ref().ok_or(Refusal::NotLoaded)?;
        let address = firmware.boot_address.ok_or(Refusal::NoBootAddress)?;
        let boot = Boot { address, secure: firmware.secure };
        if !started_before {
            self.check_seal(index)?;
            self.machine.memory().complete_writes();
        }
        let progress = self.driver(index)?.release(boot);
        match self.follow(index, Pending::Start, progress)? {
            Followed::Done => {}
            Followed::Pending => return in_progress(),
            Followed::Failed => return Err(self.undo_start(index)?.into()),
        }
        self.slot(index)?.happened(Event::Started);
        self.counters.starts = self.counters.starts.saturating_add(1);
        let name = self.processor(index)?.name;
        log::info!(
            "{name}: released from reset at {address:#010x}, {}",
            if boot.secure { "secure" } else { "non-secure" }
        );
        success()
    }

    /// STOP_FW. No driver can ask the firmware first yet, so a graceful stop is a forced one at once.
    pub(crate) fn stop(&mut self, caller: Caller, index: usize, _mode: StopMode) -> Outcome {
        if self.admit(index, caller, Ask::Stop)? == Verdict::AlreadySo {
            return success();
        }
        let slot = self.slot(index)?;
        if slot.pending() == Some(Pending::Start) {
            // The release is under way: until the hold is confirmed, nobody knows what the processor does.
            slot.happened(Event::StartLost);
        }
        let progress = self.driver(index)?.hold();
        match self.follow(index, Pending::Stop, progress)? {
            Followed::Done => self.slot(index)?.happened(Event::Held),
            Followed::Pending => return in_progress(),
            Followed::Failed => return Err(Refusal::HardwareFailed.into()),
        }
        log::info!("{}: stopped, memory kept", self.processor(index)?.name);
        success()
    }

    /// RELEASE_FW: hold, close, clear everything, give back.
    pub(crate) fn release(&mut self, caller: Caller, index: usize) -> Outcome {
        if self.admit(index, caller, Ask::Release)? == Verdict::AlreadySo {
            return success();
        }
        let progress = self.driver(index)?.hold();
        match self.follow(index, Pending::Release, progress)? {
            Followed::Done => {}
            Followed::Pending => return in_progress(),
            Followed::Failed => return Err(Refusal::HardwareFailed.into()),
        }
        self.wipe(index)?;
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

    /// Clears the processor's memory and gives it back; what can't be cleared stays closed and owned.
    pub(crate) fn wipe(&mut self, index: usize) -> Result<(), Refused> {
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let wiped = regions::wipe(&mut self.machine, index, processor);
        let event = if wiped.is_ok() { Event::Wiped } else { Event::WipeFailed };
        self.slot(index)?.happened(event);
        wiped.map_err(Into::into)
    }

    /// Clears the memory because of a refusal. The refusal is what the client hears; a failure to clear goes to the log.
    pub(crate) fn wipe_after(&mut self, index: usize, refused: Refused) -> Refused {
        if let Err(Refused { refusal, .. }) = self.wipe(index) {
            log::error!("processor index {index}: memory could not be cleared: {refusal}; it stays closed");
        }
        refused
    }

    /// Hashes the private segments again, where nothing but this keeps the normal world from changing them.
    fn check_seal(&mut self, index: usize) -> Result<(), Refused> {
        let firmware = self.slots.get(index).and_then(|slot| slot.firmware.as_ref());
        let Some(seal) = firmware.and_then(|firmware| firmware.seal.as_ref()) else {
            return Ok(());
        };
        let refusal = match seal.holds(self.machine.crypto_and_memory(), &mut self.buffer) {
            Ok(true) => return Ok(()),
            Ok(false) => Refusal::SegmentHashMismatch,
            Err(_) => Refusal::DestinationAbort,
        };
        Err(self.wipe_after(index, refusal.into()))
    }

    /// Holds a processor again whose start failed.
    fn undo_start(&mut self, index: usize) -> Result<Refusal, Refused> {
        let held = self.driver(index)?.hold() == Ok(DriverProgress::Done);
        self.slot(index)?.happened(if held { Event::StartUndone } else { Event::StartLost });
        Ok(Refusal::HardwareFailed)
    }

    /// Keeps the books of what the hardware is busy with, and gives up on what takes longer than the limit.
    pub(crate) fn follow(
        &mut self,
        index: usize,
        pending: Pending,
        progress: Result<DriverProgress, DriverError>,
    ) -> Result<Followed, Refused> {
        let now = self.machine.milliseconds();
        let slot = self.slot(index)?;
        let followed = match progress {
            Ok(DriverProgress::Pending) if !slot.waits_too_long(pending, now) => {
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
