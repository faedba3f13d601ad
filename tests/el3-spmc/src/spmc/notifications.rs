//! The calls of notifications, and how the normal world learns of one: by the schedule receiver interrupt, which is SGI 8 as under
//! Hafnium, and by FFA_NOTIFICATION_INFO_GET and FFA_NOTIFICATION_GET (DEN0077A 1.2, chapter 16).
use super::{Answer, Call, PARTITION_ID, Spmc, is_normal_world};
use crate::error::{FfaError, Refusal};
use crate::function::{SMC64, ffa};
use crate::machine::{Machine, World};

/// FFA_FEATURES: feature id of the schedule receiver interrupt.
const SCHEDULE_RECEIVER_FEATURE: u32 = 2;
/// Its interrupt id.
pub const SCHEDULE_RECEIVER_INTERRUPT: u32 = 8;
/// w2 of FFA_NOTIFICATION_SET: the schedule receiver interrupt may wait until the partition has given its turn away.
const DELAY: u32 = 1 << 1;
/// w2 of FFA_NOTIFICATION_GET: those of partitions.
const FROM_PARTITIONS: u32 = 1;
/// FFA_NOTIFICATION_INFO_GET: there are more; where the number of lists is.
const MORE: u64 = 1;
const LISTS: u32 = 7;

impl Spmc<'_> {
    /// FFA_FEATURES of what this file does; `None`: it is another file's.
    pub(super) fn notification_feature(&self, call: &Call<'_>) -> Option<Answer> {
        let normal = call.world == World::Normal;
        if call.w(1) == SCHEDULE_RECEIVER_FEATURE && normal && self.manifest.notifications {
            return Some(Answer::success(SCHEDULE_RECEIVER_INTERRUPT.into(), 0));
        }
        let known = match call.w(1) & !SMC64 {
            ffa::NOTIFICATION_SET => !normal,
            ffa::NOTIFICATION_BITMAP_CREATE
            | ffa::NOTIFICATION_BITMAP_DESTROY
            | ffa::NOTIFICATION_BIND
            | ffa::NOTIFICATION_UNBIND
            | ffa::NOTIFICATION_GET
            | ffa::NOTIFICATION_INFO_GET => normal,
            _ => return None,
        };
        let wide = call.w(1) & SMC64 != 0 && call.w(1) & !SMC64 != ffa::NOTIFICATION_INFO_GET;
        let known = known && !wide && self.manifest.notifications;
        Some(if known { Answer::success(0, 0) } else { Answer::error(FfaError::NotSupported) })
    }

    /// A call of this file; `None`: it is another file's.
    pub(super) fn notification_call(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
    ) -> Option<Result<Answer, Refusal>> {
        if !self.manifest.notifications {
            return None;
        }
        Some(match (call.function(), call.world) {
            (ffa::NOTIFICATION_BITMAP_CREATE, World::Normal) => self.create_bitmap(call),
            (ffa::NOTIFICATION_BITMAP_DESTROY, World::Normal) => self.destroy_bitmap(call),
            (ffa::NOTIFICATION_BIND, World::Normal) => self.bind(call),
            (ffa::NOTIFICATION_UNBIND, World::Normal) => self.unbind(call),
            (ffa::NOTIFICATION_GET, World::Normal) => self.get_notifications(call),
            (ffa::NOTIFICATION_INFO_GET | NOTIFICATION_INFO_GET_64, World::Normal) => {
                self.notification_information(call)
            }
            (ffa::NOTIFICATION_SET, World::Secure) => self.set_notifications(machine, call),
            _ => return None,
        })
    }

    fn create_bitmap(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let endpoint = receiver(call.w(1))?;
        if call.w(2) == 0 || !call.zero(3..=7) {
            return Err(Refusal::invalid(
                "bitmap-registers",
                "the endpoint has no vCPU, or a register is not zero",
            ));
        }
        self.notifications.create(endpoint).map(|()| Answer::success(0, 0))
    }

    fn destroy_bitmap(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let endpoint = receiver(call.w(1))?;
        if !call.zero(2..=7) {
            return Err(Refusal::invalid("bitmap-registers", "a register is not zero"));
        }
        self.notifications.destroy(endpoint).map(|()| Answer::success(0, 0))
    }

    /// Sender (bits 31:16), which has to be the partition, and receiver.
    fn check_binding(call: &Call<'_>) -> Result<(u16, u64), Refusal> {
        let endpoint = receiver(call.w(1) & 0xffff)?;
        if (call.w(1) >> 16) as u16 != PARTITION_ID {
            return Err(Refusal::invalid("binding-sender", "there is no such partition"));
        }
        // Bit 0 would mean notifications for each vCPU, which are not done here, nor by Hafnium.
        if call.w(2) != 0 || !call.zero(5..=7) {
            return Err(Refusal::invalid("binding-flags", "a flag or a register is not zero"));
        }
        Ok((endpoint, bits(call)?))
    }

    fn bind(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (endpoint, bits) = Self::check_binding(call)?;
        self.notifications.bind(endpoint, bits).map(|()| Answer::success(0, 0))
    }

    fn unbind(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (endpoint, bits) = Self::check_binding(call)?;
        self.notifications.unbind(endpoint, bits).map(|()| Answer::success(0, 0))
    }

    /// FFA_NOTIFICATION_SET of the partition.
    fn set_notifications(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Result<Answer, Refusal> {
        let endpoint = receiver(call.w(1) & 0xffff)?;
        if (call.w(1) >> 16) as u16 != PARTITION_ID {
            return Err(Refusal::invalid("set-sender", "the sender is not the caller"));
        }
        if call.w(2) & !DELAY != 0 || !call.zero(5..=7) {
            return Err(Refusal::invalid("set-flags", "a flag or a register is not zero"));
        }
        self.check_extended(call)?;
        self.notifications.set(endpoint, bits(call)?)?;
        // It stays pending until the normal world runs, so that the delay makes no difference.
        machine.raise_for_normal_world(SCHEDULE_RECEIVER_INTERRUPT);
        Ok(Answer::success(0, 0))
    }

    fn get_notifications(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        // Bits 31:16 are the vCPU, which matters for notifications of one vCPU only.
        let endpoint = receiver(call.w(1) & 0xffff)?;
        // Those of virtual machines and of the hypervisor are the hypervisor's own business.
        if call.w(2) != FROM_PARTITIONS || !call.zero(3..=7) {
            return Err(Refusal::invalid("get-flags", "only notifications of partitions can be got here"));
        }
        let pending = self.notifications.get(endpoint)?;
        Ok(Answer::success(pending & 0xffff_ffff, pending >> 32))
    }

    /// Lists of one id each: an endpoint, without vCPUs.
    fn notification_information(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if !call.zero(1..=7) {
            return Err(Refusal::invalid("information-registers", "a register is not zero"));
        }
        let wide = call.function() & SMC64 != 0;
        // Ids in w3 to w7 or x3 to x7.
        let width = if wide { 4 } else { 2 };
        let (endpoints, more) = self.notifications.information(5 * width);
        if endpoints.is_empty() {
            return Err(Refusal::new(FfaError::NoData, "information-none", "nothing is pending"));
        }
        let mut answer = Answer::eight([u64::from(ffa::SUCCESS | call.function() & SMC64)]);
        answer.registers[2] = (endpoints.len() as u64) << LISTS | if more { MORE } else { 0 };
        for (index, endpoint) in endpoints.iter().enumerate() {
            if let Some(register) = answer.registers.get_mut(3 + index / width) {
                *register |= u64::from(*endpoint) << (16 * (index % width));
            }
        }
        Ok(answer)
    }
}

pub(super) const NOTIFICATION_INFO_GET_64: u32 = ffa::NOTIFICATION_INFO_GET | SMC64;

/// An endpoint of the normal world that may have notifications.
fn receiver(id: u32) -> Result<u16, Refusal> {
    const RULE: Refusal =
        Refusal::invalid("notification-receiver", "the receiver is no endpoint of the normal world");
    let id = u16::try_from(id).map_err(|_| RULE)?;
    if is_normal_world(id) { Ok(id) } else { Err(RULE) }
}

/// The bitmap in w3 and w4.
fn bits(call: &Call<'_>) -> Result<u64, Refusal> {
    match u64::from(call.w(3)) | u64::from(call.w(4)) << 32 {
        0 => Err(Refusal::invalid("notification-none", "the bitmap is empty")),
        bits => Ok(bits),
    }
}
