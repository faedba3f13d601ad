//! The partition's interrupts at the interrupt controller (GICv3): group 1 secure, edge-triggered, for the boot CPU; and the schedule
//! receiver interrupt of the normal world, which EL3 raises.
use core::arch::asm;

use super::interrupts::{
    CONTROL, DISTRIBUTOR, GROUP, GROUP_MODIFIER, PRIORITY, read, wait_for_writes, write,
};
use super::system_registers::read_register;

/// GICD_CTLR: group 1 secure is forwarded.
const CONTROL_SECURE: u32 = 1 << 2;
/// Offsets of GICD_ISENABLER, GICD_ICENABLER, GICD_ICFGR, GICD_IROUTER.
const SET_ENABLE: usize = 0x100;
const CLEAR_ENABLE: usize = 0x180;
const CONFIGURATION: usize = 0xc00;
const ROUTE: usize = 0x6000;
/// Above all of the normal world's.
const SECURE_PRIORITY: u32 = 0x10;
/// ICC_RPR_EL1 when no interrupt is active.
const IDLE: u64 = 0xff;
/// ICC_IGRPEN1_EL3: group 1 secure.
const ENABLE_SECURE: u64 = 1 << 1;

/// Gives shared interrupts to the partition, and lets them come.
pub fn give_to_partition(interrupts: &[u32]) {
    for interrupt in interrupts.iter().map(|id| *id as usize) {
        let (word, bit) = (4 * (interrupt / 32), 1 << (interrupt % 32));
        change(DISTRIBUTOR + GROUP + word, bit, 0);
        change(DISTRIBUTOR + GROUP_MODIFIER + word, bit, bit);
        let shift = 8 * (interrupt % 4);
        change(DISTRIBUTOR + PRIORITY + 4 * (interrupt / 4), 0xff << shift, SECURE_PRIORITY << shift);
        // Two bits an interrupt, the upper one set: edge.
        let shift = 2 * (interrupt % 16);
        change(DISTRIBUTOR + CONFIGURATION + 4 * (interrupt / 16), 3 << shift, 2 << shift);
        // Affinity 0.0.0.0, which is the boot CPU's.
        write(DISTRIBUTOR + ROUTE + 8 * interrupt, 0);
        write(DISTRIBUTOR + ROUTE + 8 * interrupt + 4, 0);
    }
    if interrupts.is_empty() {
        return;
    }
    write(CONTROL, read(CONTROL) | CONTROL_SECURE);
    wait_for_writes();
    // ICC_IGRPEN1_EL3.
    let enabled = read_register!("s3_6_c12_c12_7") | ENABLE_SECURE;
    // SAFETY: enables a group of interrupts; EL3 itself takes none.
    unsafe { asm!("msr s3_6_c12_c12_7, {}", "isb", in(reg) enabled, options(nostack, preserves_flags)) };
    interrupts.iter().for_each(|interrupt| hold(*interrupt, false));
}

/// Keeps an interrupt from coming, or lets it come. What is pending stays so.
pub fn hold(interrupt: u32, hold: bool) {
    let interrupt = interrupt as usize;
    let register = if hold { CLEAR_ENABLE } else { SET_ENABLE };
    write(DISTRIBUTOR + register + 4 * (interrupt / 32), 1 << (interrupt % 32));
    wait_for_writes();
}

/// Whether an interrupt was acknowledged on this CPU and not ended.
pub fn is_active() -> bool {
    // ICC_RPR_EL1.
    read_register!("s3_0_c12_c11_3") != IDLE
}

/// Makes a software-generated interrupt of the normal world (group 1 non-secure) pending on this CPU.
pub fn raise_for_normal_world(interrupt: u32) {
    let affinity = read_register!("mpidr_el1");
    // ICC_ASGI1R_EL1: affinities 3, 2 and 1, and a bit for affinity 0.
    let value = (affinity >> 32 & 0xff) << 48
        | (affinity >> 16 & 0xff) << 32
        | (affinity >> 8 & 0xff) << 16
        | u64::from(interrupt & 0xf) << 24
        | 1 << (affinity & 0xf);
    // SAFETY: makes an interrupt of the other security state pending; EL3 itself takes none.
    unsafe { asm!("msr s3_0_c12_c11_6, {}", "isb", in(reg) value, options(nostack, preserves_flags)) };
}

/// Changes some bits of a register.
fn change(register: usize, mask: u32, value: u32) {
    write(register, read(register) & !mask | value);
}
