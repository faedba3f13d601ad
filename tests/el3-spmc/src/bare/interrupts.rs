//! The interrupt controller (GICv3) as secure firmware leaves it, and the priority mask that keeps non-secure interrupts from the
//! partition.
//!
//! All interrupts belong to the normal world (group 1 non-secure) but those of `secure_interrupts.rs`, with the priorities that are its own: 0x80 and above. While
//! the secure world runs, such an interrupt is an FIQ, which SCR_EL3.FIQ takes to EL3 whatever the partition masks.
use core::arch::asm;

use super::system_registers::read_register;

pub(super) const DISTRIBUTOR: usize = 0x0800_0000;
/// Frames of the first CPU's redistributor: control, then its private interrupts; those of the others follow.
const REDISTRIBUTORS: usize = 0x080a_0000;
const REDISTRIBUTOR_SIZE: usize = 0x2_0000;
/// Offset of the private interrupts.
const PRIVATE: usize = 0x1_0000;
/// GICD_CTLR.
pub(super) const CONTROL: usize = DISTRIBUTOR;
/// Affinity routing in both security states.
const CONTROL_ARE: u32 = 3 << 4;
/// Group 0 is enabled: EL3's own.
const CONTROL_GROUP_0: u32 = 1;
const CONTROL_PENDING: u32 = 1 << 31;
/// GICD_TYPER bits 4:0: interrupts, in 32s, without the first 32.
const TYPE: usize = DISTRIBUTOR + 0x4;
/// Offset of GICR_TYPER, and its bit that says that no redistributor follows.
const REDISTRIBUTOR_TYPE: usize = 0x8;
const LAST: u32 = 1 << 4;
/// Offset of GICR_WAKER.
const WAKER: usize = 0x14;
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u32 = 1 << 2;
/// Offsets of GICx_IGROUPR, GICx_IPRIORITYR and GICx_IGRPMODR in a frame.
pub(super) const GROUP: usize = 0x80;
pub(super) const PRIORITY: usize = 0x400;
/// Offset of GICR_ISENABLER0.
const ENABLE: usize = 0x100;
pub(super) const GROUP_MODIFIER: usize = 0xd00;
/// The software-generated interrupt that wakes a CPU: EL3's own, group 0, of the highest priority.
const WAKE: u32 = 15;
/// The highest priority of the normal world, and the mask that lets none of its interrupts through.
const HIGHEST_NON_SECURE: u64 = 0x80;
/// The mask that lets all through.
const LOWEST: u64 = 0xff;

pub(super) fn read(address: usize) -> u32 {
    // SAFETY: called with addresses of 32-bit registers of the GIC, which `entry.S` maps as device memory.
    unsafe { (address as *const u32).read_volatile() }
}

pub(super) fn write(address: usize, value: u32) {
    // SAFETY: as for `read`. No register written here makes the GIC write to memory.
    unsafe { (address as *mut u32).write_volatile(value) };
}

/// Waits until the distributor has taken what was written to its control and enable registers.
pub(super) fn wait_for_writes() {
    while read(CONTROL) & CONTROL_PENDING != 0 {}
}

/// Gives 32 interrupts of a frame to the normal world, all but those in `keep`. Those are EL3's at every moment: the GIC drops a
/// software-generated interrupt that comes while it belongs to another group.
fn give_away(frame: usize, index: usize, keep: u32) {
    write(frame + GROUP + 4 * index, !keep);
    write(frame + GROUP_MODIFIER + 4 * index, 0);
    for word in 0..8 {
        let priorities = (0..4).fold(0, |value, byte| {
            let own = keep >> (4 * word + byte) & 1 != 0;
            value | if own { 0 } else { 0x80 << (8 * byte) }
        });
        write(frame + PRIORITY + 4 * (8 * index + word), priorities);
    }
}

/// The number of CPUs: each has a redistributor.
pub fn processors() -> usize {
    let mut count = 1;
    while read(REDISTRIBUTORS + (count - 1) * REDISTRIBUTOR_SIZE + REDISTRIBUTOR_TYPE) & LAST == 0 {
        count += 1;
    }
    count
}

/// Gives all shared interrupts to the normal world. Once.
pub fn initialize_distributor() {
    write(CONTROL, CONTROL_ARE | CONTROL_GROUP_0);
    wait_for_writes();
    let shared = (read(TYPE) & 0x1f) as usize;
    for index in 1..=shared {
        give_away(DISTRIBUTOR, index, 0);
    }
}

/// Gives this CPU's private interrupts to the normal world, all but the one that wakes it, and wakes its redistributor. Before others
/// may learn that the CPU is off.
pub fn initialize_processor(processor: usize) {
    // SAFETY: ICC_SRE_EL3: system registers, no bypass, open to EL2. EL3 itself takes no interrupts.
    unsafe { asm!("msr s3_6_c12_c12_5, {}", "isb", in(reg) 0xf_u64, options(nostack, preserves_flags)) };
    let frame = REDISTRIBUTORS + processor * REDISTRIBUTOR_SIZE;
    write(frame + WAKER, read(frame + WAKER) & !WAKER_SLEEP);
    while read(frame + WAKER) & WAKER_ASLEEP != 0 {}
    let private = frame + PRIVATE;
    give_away(private, 0, 1 << WAKE);
    write(private + ENABLE, 1 << WAKE);
    set_mask(LOWEST);
}

/// Wakes a CPU that is in [`sleep`], or on its way there.
pub fn wake(processor: usize) {
    let value = u64::from(WAKE) << 24 | 1 << processor;
    // SAFETY: ICC_SGI0R_EL1: an interrupt for one CPU, which waits for it at EL3. What it is to find was written before.
    unsafe {
        asm!("dsb sy", "msr s3_0_c12_c11_7, {}", "isb", in(reg) value, options(nostack, preserves_flags))
    };
}

/// Waits until this CPU is woken. Its interrupts must be initialized.
pub fn sleep() {
    set_group_0(1);
    // SAFETY: waits; interrupts are masked, so none is taken. ICC_IAR0_EL1 names the interrupt, or none (1023).
    while unsafe {
        let interrupt: u64;
        asm!("wfi", "mrs {}, s3_0_c12_c8_0", "dsb sy", out(reg) interrupt, options(nostack, preserves_flags));
        interrupt
    } != u64::from(WAKE)
    {}
    // SAFETY: ICC_EOIR0_EL1: the interrupt named above is done.
    unsafe {
        asm!("msr s3_0_c12_c8_1, {}", "isb", in(reg) u64::from(WAKE), options(nostack, preserves_flags))
    };
    set_group_0(0);
}

/// ICC_IGRPEN0_EL1: lets group 0 through to this CPU, or not.
fn set_group_0(value: u64) {
    // SAFETY: EL3 takes no interrupts; group 0 is enabled only while nothing else runs on this CPU.
    unsafe { asm!("msr s3_0_c12_c12_6, {}", "isb", in(reg) value, options(nostack, preserves_flags)) };
}

/// ICC_PMR_EL1, which the two worlds share.
fn mask() -> u64 {
    read_register!("s3_0_c4_c6_0")
}

fn set_mask(value: u64) {
    // SAFETY: writes ICC_PMR_EL1; EL3 itself takes no interrupts. The return to a lower level synchronizes it.
    unsafe { asm!("msr s3_0_c4_c6_0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// One EL1 timer's settings.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Timer {
    compare: u64,
    control: u64,
}

impl Timer {
    /// Bit 2 of the control register is the state of the timer's condition, no setting.
    fn new(compare: u64, control: u64) -> Self {
        Self { compare, control: control & 3 }
    }
}

/// The normal world's mask and timers while the partition runs. The EL1 timers are one set for both worlds and go on counting,
/// because an interrupt of theirs may preempt the partition; so they are the normal world's, and no part of a context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NormalInterrupts {
    mask: u64,
    physical: Timer,
    virtual_: Timer,
}

impl NormalInterrupts {
    /// Before the secure world runs; lets interrupts in or not.
    pub fn put_aside(signal: bool) -> Self {
        let now = Self::now();
        if !signal {
            set_mask(HIGHEST_NON_SECURE);
        }
        now
    }

    /// Before the normal world runs again. False: the partition has changed a timer.
    pub fn put_back(self) -> bool {
        set_mask(self.mask);
        let now = Self::now();
        now.physical == self.physical && now.virtual_ == self.virtual_
    }

    fn now() -> Self {
        Self {
            mask: mask(),
            physical: Timer::new(read_register!("cntp_cval_el0"), read_register!("cntp_ctl_el0")),
            virtual_: Timer::new(read_register!("cntv_cval_el0"), read_register!("cntv_ctl_el0")),
        }
    }
}
