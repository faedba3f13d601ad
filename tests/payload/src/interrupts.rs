//! The EL2 physical timer as a source of interrupts: armed at each direct request, and acknowledged where the partition was preempted.
//!
//! Interrupts stay masked: what is pending is taken from the interrupt controller by hand.
use crate::memory;
use core::arch::asm;

/// Interrupt of the EL2 physical timer (a private one).
const TIMER: u32 = 26;
const DISTRIBUTOR: u64 = 0x0800_0000;
/// The private interrupts' frame of the first CPU's redistributor.
const PRIVATE: u64 = 0x080b_0000;
const SET_ENABLE: u64 = PRIVATE + 0x100;
const CLEAR_ENABLE: u64 = PRIVATE + 0x180;
const PRIORITY: u64 = PRIVATE + 0x400;
/// GICD_CTLR of the normal world: affinity routing, group 1.
const CONTROL: u32 = 1 << 4 | 1 << 1;
/// CNTHP_CTL_EL2: enabled; the time has come.
const ENABLE: u64 = 1;
const TIME_HAS_COME: u64 = 1 << 2;

macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reads a register that exists at EL2; ICC_IAR1_EL1 also takes the interrupt, which its only reader wants.
        unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack)) };
        value
    }};
}

macro_rules! write {
    ($register:literal, $value:expr) => {
        // SAFETY: writes a register of the timer or the CPU interface, which only this file uses; interrupts are masked.
        unsafe { asm!(concat!("msr ", $register, ", {}"), "isb", in(reg) $value, options(nostack)) }
    };
}

/// Delays from a request to its interrupt: `first`, then one `step` more each time, up to `last` and from `first` again, in ticks of
/// the system counter.
#[derive(Clone, Copy)]
pub struct Delays {
    pub first: u64,
    pub step: u64,
    pub last: u64,
}

/// Interrupts at many moments of many requests, until it is stopped.
pub struct Storm {
    delays: Delays,
    next: u64,
    /// Interrupts still to come.
    left: u32,
    /// The first one of each request is pending when that is made; so each request is preempted. Not counted among those left.
    at_once: bool,
    /// Interrupts of the request that is under way, and requests with at least one, and with more.
    in_this: u32,
    pub requests_preempted: u32,
    pub requests_preempted_again: u32,
    /// Requests that were cut short.
    pub preempted: u32,
    /// Requests that were answered although their time had come.
    pub waited: u32,
}

impl Storm {
    /// Sets the interrupt controller up. At most `most` interrupts will come.
    pub fn new(delays: Delays, most: u32) -> Self {
        // ICC_SRE_EL2, ICC_PMR_EL1 (nothing is masked by its priority), ICC_IGRPEN1_EL1.
        write!("s3_4_c12_c9_5", 0xf_u64);
        write!("s3_0_c4_c6_0", 0xff_u64);
        write!("s3_0_c12_c12_7", 1_u64);
        write!("cnthp_ctl_el2", 0_u64);
        memory::write_register(DISTRIBUTOR, CONTROL);
        memory::write_register(PRIORITY + u64::from(TIMER & !3), 0xa0a0_a0a0);
        memory::write_register(SET_ENABLE, 1 << TIMER);
        Self {
            delays,
            next: delays.first,
            left: most,
            at_once: false,
            in_this: 0,
            requests_preempted: 0,
            requests_preempted_again: 0,
            preempted: 0,
            waited: 0,
        }
    }

    /// One more interrupt, after this delay; none if it is 0.
    pub fn once(&mut self, delay: u64) {
        self.next = delay;
        self.left = u32::from(delay != 0);
    }

    /// Has each request preempted as soon as the partition gets it, and again after each of the delays while interrupts are left.
    pub fn preempt_each(delays: Delays) -> Self {
        let mut storm = Self::new(delays, u32::MAX);
        storm.at_once = true;
        storm
    }

    /// Before a request.
    pub fn begin(&mut self) {
        self.in_this = 0;
        if self.at_once {
            let now = read!("cntpct_el0");
            write!("cnthp_cval_el2", now);
            write!("cnthp_ctl_el2", ENABLE);
        } else {
            self.arm();
        }
    }

    /// Before a request, or before it is resumed.
    pub fn arm(&mut self) {
        if self.left == 0 {
            return;
        }
        let now = read!("cntpct_el0");
        write!("cnthp_cval_el2", now.wrapping_add(self.next));
        write!("cnthp_ctl_el2", ENABLE);
        self.next += self.delays.step;
        if self.next > self.delays.last {
            self.next = self.delays.first + self.next % self.delays.step;
        }
    }

    /// Has this CPU sleep for so many ticks.
    pub fn sleep(&mut self, ticks: u64) {
        let now = read!("cntpct_el0");
        write!("cnthp_cval_el2", now.wrapping_add(ticks));
        write!("cnthp_ctl_el2", ENABLE);
        while read!("cnthp_ctl_el2") & TIME_HAS_COME == 0 {
            aarch64_cpu::asm::wfi();
        }
        write!("cnthp_ctl_el2", 0_u64);
    }

    /// After a request was answered.
    pub fn disarm(&mut self) {
        if read!("cnthp_ctl_el2") & TIME_HAS_COME != 0 {
            self.waited += 1;
        }
        write!("cnthp_ctl_el2", 0_u64);
    }

    /// After a request was cut short: takes the interrupt. False: another one is pending, or none.
    pub fn take(&mut self) -> bool {
        // ICC_IAR1_EL1 and ICC_EOIR1_EL1.
        let interrupt = read!("s3_0_c12_c12_0") & 0xff_ffff;
        write!("cnthp_ctl_el2", 0_u64);
        if interrupt != u64::from(TIMER) {
            return false;
        }
        write!("s3_0_c12_c12_1", interrupt);
        self.preempted += 1;
        self.in_this += 1;
        self.requests_preempted += u32::from(self.in_this == 1);
        self.requests_preempted_again += u32::from(self.in_this == 2);
        self.left = self.left.saturating_sub(1);
        true
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        write!("cnthp_ctl_el2", 0_u64);
        memory::write_register(CLEAR_ENABLE, 1 << TIMER);
        write!("s3_0_c12_c12_7", 0_u64);
    }
}
