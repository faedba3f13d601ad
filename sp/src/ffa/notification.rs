//! Notifications to endpoints of the normal world (DEN0077, sections 10 and 16.5).
use super::{SUCCESS, request};
use arm_ffa::FuncId;
use remoteproc_service::client_memory::EndpointId;
use remoteproc_service::hardware::{Notifier, NotifyError};

/// The way to the owners.
pub struct Notifications {
    partition: EndpointId,
}

impl Notifications {
    /// Asks the SPMC whether the partition may signal notifications.
    pub fn find(partition: EndpointId) -> Option<Self> {
        let asked = u64::from(u32::from(FuncId::NotificationSet));
        request(FuncId::Features, &[asked], SUCCESS).ok().map(|_| Self { partition })
    }
}

impl Notifier for Notifications {
    /// FFA_NOTIFICATION_SET of a global notification.
    fn notify(&mut self, endpoint: EndpointId, notification: u8) -> Result<(), NotifyError> {
        let parties = u64::from(self.partition) << 16 | u64::from(endpoint);
        let bits = 1_u64.checked_shl(notification.into()).ok_or(NotifyError)?;
        let arguments = [parties, 0, bits & 0xFFFF_FFFF, bits >> 32];
        request(FuncId::NotificationSet, &arguments, SUCCESS).map(drop).map_err(|_| NotifyError)
    }
}
