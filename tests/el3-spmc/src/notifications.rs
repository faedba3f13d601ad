//! Notifications of the partition to endpoints of the normal world: who has a bitmap, what is bound, what is pending (DEN0077A
//! 1.2, chapter 10). Global notifications only; the one sender is the partition, which itself receives none.
use heapless::Vec;

use crate::error::{FfaError, Refusal};

/// Endpoints that have a bitmap, at most.
const MAXIMUM_RECEIVERS: usize = 16;

/// One endpoint's notifications from partitions.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    endpoint: u16,
    /// Bound to the partition.
    bound: u64,
    pending: u64,
    /// FFA_NOTIFICATION_INFO_GET has told of what is pending.
    told: bool,
}

/// The bitmaps.
#[derive(Debug, Default)]
pub struct Notifications {
    receivers: Vec<Receiver, MAXIMUM_RECEIVERS>,
}

const NO_BITMAP: Refusal = Refusal::denied("notification-bitmap", "the endpoint has no bitmap");

impl Notifications {
    fn find(&mut self, endpoint: u16) -> Option<&mut Receiver> {
        self.receivers.iter_mut().find(|receiver| receiver.endpoint == endpoint)
    }

    /// FFA_NOTIFICATION_BITMAP_CREATE.
    pub fn create(&mut self, endpoint: u16) -> Result<(), Refusal> {
        if self.find(endpoint).is_some() {
            return Err(Refusal::denied("notification-bitmap", "the endpoint has a bitmap already"));
        }
        let receiver = Receiver { endpoint, bound: 0, pending: 0, told: false };
        self.receivers.push(receiver).map_err(|_| {
            Refusal::new(FfaError::NoMemory, "notification-room", "there is no room for another bitmap")
        })
    }

    /// FFA_NOTIFICATION_BITMAP_DESTROY.
    pub fn destroy(&mut self, endpoint: u16) -> Result<(), Refusal> {
        if self.find(endpoint).ok_or(NO_BITMAP)?.pending != 0 {
            return Err(Refusal::denied("notification-pending", "a notification is pending"));
        }
        self.receivers.retain(|receiver| receiver.endpoint != endpoint);
        Ok(())
    }

    /// FFA_NOTIFICATION_BIND, to the partition.
    pub fn bind(&mut self, endpoint: u16, bits: u64) -> Result<(), Refusal> {
        let receiver = self.find(endpoint).ok_or(NO_BITMAP)?;
        if receiver.bound & bits != 0 {
            return Err(Refusal::denied("notification-bound", "a notification is bound already"));
        }
        receiver.bound |= bits;
        Ok(())
    }

    /// FFA_NOTIFICATION_UNBIND, from the partition.
    pub fn unbind(&mut self, endpoint: u16, bits: u64) -> Result<(), Refusal> {
        let receiver = self.find(endpoint).ok_or(NO_BITMAP)?;
        if receiver.bound & bits != bits {
            return Err(Refusal::denied("notification-unbound", "a notification is not bound to the sender"));
        }
        if receiver.pending & bits != 0 {
            return Err(Refusal::denied("notification-pending", "a notification is pending"));
        }
        receiver.bound &= !bits;
        Ok(())
    }

    /// FFA_NOTIFICATION_SET of the partition. Whether the receiver has bound them is not the partition's to know.
    pub fn set(&mut self, endpoint: u16, bits: u64) -> Result<(), Refusal> {
        let receiver = self.find(endpoint).ok_or(NO_BITMAP.provoked())?;
        if receiver.bound & bits != bits {
            let text = "a notification is not bound to the sender";
            return Err(Refusal::denied("notification-unbound", text).provoked());
        }
        receiver.pending |= bits;
        receiver.told = false;
        Ok(())
    }

    /// FFA_NOTIFICATION_GET: what is pending, which is pending no more.
    pub fn get(&mut self, endpoint: u16) -> Result<u64, Refusal> {
        let receiver = self.find(endpoint).ok_or(NO_BITMAP)?;
        receiver.told = false;
        Ok(core::mem::take(&mut receiver.pending))
    }

    /// FFA_NOTIFICATION_INFO_GET: at most `room` endpoints with something pending, each told once, and whether there are more.
    pub fn information(&mut self, room: usize) -> (Vec<u16, MAXIMUM_RECEIVERS>, bool) {
        let mut endpoints = Vec::new();
        for receiver in &mut self.receivers {
            if receiver.pending == 0 || receiver.told {
                continue;
            }
            if endpoints.len() == room {
                return (endpoints, true);
            }
            receiver.told = true;
            // There are not more receivers than places.
            let _ = endpoints.push(receiver.endpoint);
        }
        (endpoints, false)
    }
}
