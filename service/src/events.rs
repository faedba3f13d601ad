//! What processors do by themselves, and who is told: BIND_EVENTS, and the notifications that follow.
use crate::client_memory::EndpointId;
use crate::clients::Caller;
use crate::hardware::{Crash, Machine, Observed};
use crate::lifecycle::{Event, Pending, State};
use crate::result::Refused;
use crate::service::{Outcome, Service, success};
use remoteproc_refusal::Refusal;

/// Highest id of a notification: an endpoint has 64 (DEN0077, section 10.3).
pub const LAST_NOTIFICATION: u64 = 63;

/// Whom the events of a processor are signaled to. It counts as long as the processor is its owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Binding {
    pub owner: Caller,
    pub notification: u8,
}

impl<M: Machine> Service<'_, M> {
    /// BIND_EVENTS: from now on this processor's events are signaled to its owner by this notification, and by no other.
    pub(crate) fn bind_events(&mut self, caller: Caller, index: usize, notification: u64) -> Outcome {
        self.check_endpoint(index, caller)?;
        let notification = u8::try_from(notification)
            .ok()
            .filter(|id| u64::from(*id) <= LAST_NOTIFICATION)
            .ok_or(Refusal::NotificationOutOfRange)?;
        if self.machine.notifier().is_none() {
            return Err(Refusal::NoNotifications.into());
        }
        let slot = self.slot(index)?;
        if slot.owner.ok_or(Refusal::NotLoaded)? != caller {
            return Err(Refusal::NotOwner.into());
        }
        slot.events = Some(Binding { owner: caller, notification });
        success()
    }

    /// Something may have happened to the processors: asks the hardware of each, and tells the owners. Whoever gets the
    /// hardware's interrupts calls this; without them, the next request for a processor finds the same.
    pub fn look_around(&mut self) {
        for index in 0..self.slots.len() {
            // The index is one of a processor; one without a driver has no events.
            let _ = self.look_for_crash(index);
        }
    }

    /// Asks the hardware about a processor that should be running. If the hardware does not answer, nothing is concluded.
    pub(crate) fn look_for_crash(&mut self, index: usize) -> Result<(), Refused> {
        let slot = self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor)?;
        // Firmware that was asked to stop runs on, and can crash.
        if slot.state() != State::Running || !matches!(slot.pending(), None | Some(Pending::GracefulStop)) {
            return Ok(());
        }
        let crash = match self.machine.driver(index).ok_or(Refusal::HardwareFailed)?.observe() {
            Ok(Observed::Crashed(crash)) => crash,
            Ok(Observed::Held) => Crash::Unknown,
            Ok(Observed::Running) | Err(_) => return Ok(()),
        };
        slot.happened(Event::CrashSeen);
        slot.crash = crash;
        let bound = slot.events.filter(|events| slot.owner == Some(events.owner));
        if let Some(processor) = self.board.processors.get(index) {
            log::warn!("{}: does not run any more ({crash:?})", processor.name);
        }
        if let Some(Binding { owner, notification }) = bound {
            self.notify(owner.endpoint, notification);
        }
        Ok(())
    }

    /// Signals a notification. A refusal changes nothing: GET_STATUS tells what has happened.
    fn notify(&mut self, endpoint: EndpointId, notification: u8) {
        let told = self.machine.notifier().map(|notifier| notifier.notify(endpoint, notification));
        if told != Some(Ok(())) {
            log::warn!("{endpoint:#06x} could not be told: notification {notification}");
        }
    }
}
