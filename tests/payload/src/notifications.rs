//! Notifications as an endpoint of the normal world receives them: the bitmap, the binding, the schedule receiver interrupt, and what
//! is pending (DEN0077A 1.2, chapter 16).
//!
//! Interrupts stay masked: what is pending is taken from the interrupt controller by hand.
use crate::context::Context;
use crate::framework::Outcome;
use crate::{expect_eq, failure, machine, memory};
use core::arch::asm;
use remoteproc_shim::ffa::Status;

const FEATURES: u32 = 0x8400_0064;
const BITMAP_CREATE: u32 = 0x8400_007D;
const BITMAP_DESTROY: u32 = 0x8400_007E;
const BIND: u32 = 0x8400_007F;
const UNBIND: u32 = 0x8400_0080;
const GET: u32 = 0x8400_0082;
const INFO_GET: u32 = 0xC400_0083;
/// FFA_FEATURES of the schedule receiver interrupt.
const SCHEDULE_RECEIVER: u64 = 2;
/// FFA_NOTIFICATION_GET: those of partitions.
const OF_PARTITIONS: u64 = 1;

/// FFA_NOTIFICATION_INFO_GET: nothing is pending.
const NO_DATA: Status = Status(-9);

const DISTRIBUTOR: u64 = 0x0800_0000;
/// The private interrupts' frame of the first CPU's redistributor.
const PRIVATE: u64 = 0x080b_0000;
const SET_ENABLE: u64 = PRIVATE + 0x100;
const CLEAR_ENABLE: u64 = PRIVATE + 0x180;
const PRIORITY: u64 = PRIVATE + 0x400;
/// GICD_CTLR of the normal world: affinity routing, group 1.
const CONTROL: u32 = 1 << 4 | 1 << 1;

/// An endpoint's binding of one notification. [`Self::end`] takes it back.
pub struct Receiver {
    endpoint: u64,
    partition: u64,
    bit: u64,
    /// Id of the schedule receiver interrupt.
    interrupt: u32,
}

impl Receiver {
    /// Makes the bitmap of the endpoint that the client speaks for, binds the notification to the partition, and lets the
    /// interrupt come.
    pub fn bind(context: &mut Context, notification: u8) -> Outcome<Self> {
        let answer = context.try_call(FEATURES, &[SCHEDULE_RECEIVER])?;
        let answer = answer.map_err(|status| failure!("no schedule receiver interrupt: {status}"))?;
        let interrupt = u32::try_from(answer[2]).ok().filter(|id| *id < 32);
        let interrupt = interrupt.ok_or_else(|| failure!("the interrupt {:#x} is not private", answer[2]))?;
        let endpoint = context.client.tee().own_id().into();
        let partition = context.client.tee().service().partition.into();
        let receiver = Self { endpoint, partition, bit: 1 << notification, interrupt };
        // Whatever a case that has failed left behind.
        let _ = context.try_call(GET, &[endpoint, OF_PARTITIONS])?;
        let _ = context.try_call(BITMAP_DESTROY, &[endpoint])?;
        call(context, BITMAP_CREATE, &[endpoint, 1], "FFA_NOTIFICATION_BITMAP_CREATE")?;
        call(context, BIND, &receiver.binding(), "FFA_NOTIFICATION_BIND")?;
        receiver.listen();
        while receiver.take() {}
        Ok(receiver)
    }

    /// Waits for the schedule receiver interrupt, without a call of any kind. False: it does not come in time.
    pub fn wait(&self, milliseconds: u64) -> bool {
        machine::wait_until(milliseconds, || self.take())
    }

    /// Checks that this endpoint alone has something pending, that it is the notification, and that it is got once.
    pub fn expect_pending(&self, context: &mut Context) -> Outcome {
        let answer = call(context, INFO_GET, &[], "FFA_NOTIFICATION_INFO_GET")?;
        // One list of one id.
        expect_eq!(
            (answer[2], answer[3]),
            (1 << 7, self.endpoint),
            "lists and endpoint with something pending"
        );
        expect_eq!(self.get(context)?, self.bit, "the notifications that are pending");
        self.expect_nothing(context)
    }

    /// Checks that nothing is pending, and no interrupt.
    pub fn expect_nothing(&self, context: &mut Context) -> Outcome {
        expect_eq!(self.get(context)?, 0, "the notifications that are pending");
        expect_eq!(self.take(), false, "a schedule receiver interrupt");
        let answer = context.try_call(INFO_GET, &[])?;
        expect_eq!(answer.err(), Some(NO_DATA), "the answer to FFA_NOTIFICATION_INFO_GET");
        Ok(())
    }

    /// Takes binding and bitmap back, whatever is pending.
    pub fn end(self, context: &mut Context) -> Outcome {
        self.get(context)?;
        call(context, UNBIND, &self.binding(), "FFA_NOTIFICATION_UNBIND")?;
        call(context, BITMAP_DESTROY, &[self.endpoint], "FFA_NOTIFICATION_BITMAP_DESTROY")?;
        Ok(())
    }

    /// Returns what is pending, which is pending no more.
    fn get(&self, context: &mut Context) -> Outcome<u64> {
        let answer = call(context, GET, &[self.endpoint, OF_PARTITIONS], "FFA_NOTIFICATION_GET")?;
        Ok(answer[3] << 32 | answer[2] & 0xFFFF_FFFF)
    }

    fn binding(&self) -> [u64; 4] {
        [self.partition << 16 | self.endpoint, 0, self.bit & 0xFFFF_FFFF, self.bit >> 32]
    }

    /// Sets the interrupt controller up.
    pub fn listen(&self) {
        // SAFETY: writes ICC_SRE_EL2, ICC_PMR_EL1 (nothing is masked by its priority) and ICC_IGRPEN1_EL1; interrupts are masked.
        unsafe {
            asm!(
                "msr s3_4_c12_c9_5, {access}",
                "isb",
                "msr s3_0_c4_c6_0, {mask}",
                "msr s3_0_c12_c12_7, {enable}",
                "isb",
                access = in(reg) 0xf_u64,
                mask = in(reg) 0xff_u64,
                enable = in(reg) 1_u64,
                options(nostack)
            );
        }
        memory::write_register(DISTRIBUTOR, CONTROL);
        memory::write_register(PRIORITY + u64::from(self.interrupt & !3), 0xa0a0_a0a0);
        memory::write_register(SET_ENABLE, 1 << self.interrupt);
    }

    /// Takes the interrupt if it is pending.
    fn take(&self) -> bool {
        let interrupt: u64;
        // SAFETY: reads ICC_IAR1_EL1, which takes what is pending; interrupts are masked.
        unsafe { asm!("mrs {}, s3_0_c12_c12_0", out(reg) interrupt, options(nostack)) };
        let interrupt = interrupt & 0xff_ffff;
        if interrupt < 1020 {
            // SAFETY: writes ICC_EOIR1_EL1, which ends what was just taken.
            unsafe { asm!("msr s3_0_c12_c12_1, {}", "isb", in(reg) interrupt, options(nostack)) };
        }
        interrupt == u64::from(self.interrupt)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        memory::write_register(CLEAR_ENABLE, 1 << self.interrupt);
    }
}

/// A call that has to succeed.
fn call(
    context: &mut Context,
    function: u32,
    arguments: &[u64],
    name: &str,
) -> Outcome<remoteproc_shim::ffa::Registers> {
    context.try_call(function, arguments)?.map_err(|status| failure!("{name} is answered {status}"))
}
