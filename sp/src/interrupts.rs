//! The partition's own interrupts. All exceptions stay masked: the SPMC enters the waiting partition with FFA_INTERRUPT, and what is
//! pending is acknowledged and ended by hand. There is one, the doorbell.
//!
//! Under an SPMC at EL3 the doorbell is a secure interrupt of group 1, at the CPU interface of a GICv3 that EL3 has set up. Hafnium
//! has virtual interrupts and calls for them, by HVC.
use crate::mmio::Mmio;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use remoteproc_platform::doorbell::Doorbell;
use remoteproc_platform::manifest::{DoorbellNode, InterruptCalls};
use spin::{Mutex, Once};

/// Hafnium's calls: enable (id, on, kind), get, deactivate (physical and virtual id).
const HF_INTERRUPT_ENABLE: u32 = 0xff03;
const HF_INTERRUPT_GET: u32 = 0xff04;
const HF_INTERRUPT_DEACTIVATE: u32 = 0xff08;
/// Hafnium's answer when nothing is pending.
const HF_NONE: u64 = 0xffff_ffff;
/// The GIC's: from here on ids are special, and nothing is pending.
const SPECIAL: u64 = 1020;
/// Most interrupts taken at once. What else is pending has the SPMC enter again.
const MOST: u32 = 8;

/// The doorbell, once it is set up.
struct Bell {
    device: Mutex<Doorbell<Mmio>>,
    /// It rang, and nobody has silenced it since.
    rung: AtomicBool,
    interrupt: u32,
    calls: InterruptCalls,
}

static BELL: Once<Bell> = Once::new();

/// Lets the doorbell ring. One that can't be mapped stays silent: clients then find out by asking.
pub fn start(node: DoorbellNode, calls: InterruptCalls) {
    let Some(registers) = Mmio::map_device(node.registers) else { return };
    BELL.call_once(|| Bell {
        device: Mutex::new(Doorbell::new(registers)),
        rung: AtomicBool::new(false),
        interrupt: node.interrupt,
        calls,
    });
    if calls == InterruptCalls::Hafnium {
        hafnium(HF_INTERRUPT_ENABLE, [node.interrupt.into(), 1, 0]);
    }
}

/// Tells whether the SPMC may give an FFA_INTERRUPT instead of taking an answer: Hafnium does if one came meanwhile.
pub fn come_instead_of_answers() -> bool {
    BELL.get().is_some_and(|bell| bell.calls == InterruptCalls::Hafnium)
}

/// Takes what is pending: acknowledges it, silences the doorbell, ends it.
pub fn take() {
    let Some(bell) = BELL.get() else { return };
    for _ in 0..MOST {
        let Some(interrupt) = bell.acknowledge() else { return };
        if interrupt == u64::from(bell.interrupt) {
            bell.silence();
        }
        bell.end(interrupt);
    }
}

impl Bell {
    /// Silences the doorbell. While another context does that, it is that one's to do it once more: it may have looked already, and
    /// what rings on would never be told again.
    fn silence(&self) {
        self.rung.store(true, Ordering::SeqCst);
        while self.rung.load(Ordering::SeqCst) {
            let Some(mut device) = self.device.try_lock() else { return };
            if self.rung.swap(false, Ordering::SeqCst) {
                device.clear();
            }
        }
    }

    /// The next interrupt that is pending, which is active from now on.
    fn acknowledge(&self) -> Option<u64> {
        match self.calls {
            InterruptCalls::Hafnium => {
                Some(hafnium(HF_INTERRUPT_GET, [0; 3]) & HF_NONE).filter(|id| *id != HF_NONE)
            }
            InterruptCalls::CpuInterface => {
                let id: u64;
                // SAFETY: ICC_IAR1_EL1 acknowledges the partition's own interrupt; the order with the accesses to the device is kept,
                // because the asm may touch memory and each access is complete before the next.
                unsafe {
                    asm!("mrs {}, s3_0_c12_c12_0", "dsb sy", out(reg) id, options(nostack, preserves_flags))
                };
                Some(id & 0xff_ffff).filter(|id| *id < SPECIAL)
            }
        }
    }

    fn end(&self, interrupt: u64) {
        match self.calls {
            InterruptCalls::Hafnium => {
                hafnium(HF_INTERRUPT_DEACTIVATE, [interrupt, interrupt, 0]);
            }
            // SAFETY: ICC_EOIR1_EL1 ends what was acknowledged; interrupts stay masked.
            InterruptCalls::CpuInterface => unsafe {
                asm!("dsb sy", "msr s3_0_c12_c12_1, {}", "isb", in(reg) interrupt, options(nostack, preserves_flags));
            },
        }
    }
}

/// One of Hafnium's calls. Under another SPMC HVC is undefined: the manifest says whose this is.
fn hafnium(function: u32, [first, second, third]: [u64; 3]) -> u64 {
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[first, second, third]);
    smccc::hvc64(function, arguments)[0]
}
