//! Processors that are nobody's: their virtual machine is gone, or they ran when the service began. They are held at once, and
//! cleared slice by slice by later requests, before anybody has them.
use crate::client_memory::{ClientMemory, EndpointId};
use crate::control::Followed;
use crate::guards::Guard;
use crate::hardware::{Machine, Observed};
use crate::jobs::Work;
use crate::lifecycle::{Event, Pending};
use crate::regions;
use crate::result::Refused;
use crate::service::Service;
use crate::slice::Budget;
use remoteproc_image::reader::Progress;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// A virtual machine is gone, and nothing of it stays: its loads end, its memory is given back, its refusals and bindings are
    /// forgotten, and its processors are ordered into reset, to be cleared. Another one that gets the same id has nothing. Each
    /// processor is asked once; nothing here waits for the hardware.
    pub fn forget<C: ClientMemory>(&mut self, endpoint: EndpointId, memory: &mut C) {
        let is_its = |work: &Option<Work>| work.is_some_and(|work| work.caller.endpoint == endpoint);
        while let Some(place) = self.works.iter().position(is_its) {
            self.end(place, memory);
        }
        while let Some(handle) = self.buffers.any_of(endpoint) {
            self.give_back_buffer(endpoint, handle, memory);
        }
        self.refusals.forget(endpoint);
        if !self.guarded(Guard::OwnerGone) {
            return;
        }
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if slot.owner.is_some_and(|owner| owner.endpoint == endpoint) && slot.happened(Event::OwnerGone) {
                self.hold_at_once(index, "its virtual machine is gone");
            }
        }
    }

    /// The service begins: what is not held is nobody's. A processor without a driver is never served.
    pub(crate) fn take_in_strays(&mut self) {
        for index in 0..self.slots.len() {
            let event = match self.machine.driver(index).map(|driver| driver.observe()) {
                None | Some(Ok(Observed::Held)) => continue,
                Some(Ok(Observed::Running)) => Event::FoundRunning,
                Some(Ok(Observed::Crashed(_)) | Err(_)) => Event::FoundAstray,
            };
            if self.slots.get_mut(index).is_some_and(|slot| slot.happened(event)) {
                self.hold_at_once(index, "it was not held at boot");
            }
        }
    }

    /// Orders a processor into reset that has just become nobody's.
    fn hold_at_once(&mut self, index: usize, why: &str) {
        if let Some(processor) = self.board.processors.get(index) {
            log::warn!("{}: {why}: it is held and cleared", processor.name);
        }
        // What fails is tried again by the next request for it.
        if self.hold_for_nobody(index).is_err() {
            log::error!("processor index {index}: it is not held, and stays nobody's");
        }
    }

    /// Goes on with the hold of a processor that is nobody's. When that is done, its memory is to be cleared.
    pub(crate) fn hold_for_nobody(&mut self, index: usize) -> Result<Progress, Refused> {
        if self.slot(index)?.wipe.is_some() {
            return Ok(Progress::Done);
        }
        let progress = self.driver(index)?.hold();
        match self.follow(index, Pending::Hold, progress)? {
            Followed::Pending => Ok(Progress::Pending),
            Followed::Failed => Err(Refusal::HardwareFailed.into()),
            Followed::Done => {
                let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
                let slot = self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor)?;
                if slot.happened(Event::HeldForNobody) {
                    slot.begin_wipe(None);
                    // What was open for a dump is closed at once. The wipe closes it again, and tells if that fails.
                    let _ = regions::close(&mut self.machine, index, processor);
                }
                Ok(Progress::Done)
            }
        }
    }

    /// Goes on with a processor that is nobody's: the hold, then the clearing. Done: it is OFFLINE.
    pub(crate) fn clear_for_nobody(&mut self, index: usize) -> Result<Progress, Refused> {
        if self.hold_for_nobody(index)? == Progress::Pending {
            return Ok(Progress::Pending);
        }
        let progress = self.wipe(index, &mut Budget::new())?;
        if progress == Progress::Done {
            log::info!("{}: nobody's, memory cleared", self.processor(index)?.name);
        }
        Ok(progress)
    }
}
