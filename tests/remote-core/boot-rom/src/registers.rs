//! The registers and words that the boot ROM uses, by their addresses (Armv8-M Architecture Reference Manual, DDI 0553).

use core::ptr;

/// A 32-bit register or word at a fixed address of the core's address space.
#[derive(Clone, Copy)]
pub struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    ///
    /// `address` is a multiple of four, holds no Rust object, and reading it has no side effect.
    const unsafe fn new(address: usize) -> Self {
        Self(address)
    }

    /// The word of the window at device address `address`, if there is such a word.
    pub fn in_window(address: u32) -> Option<Self> {
        let valid = address.is_multiple_of(4) && (WINDOW_FIRST..=WINDOW_LAST).contains(&address);
        // SAFETY: checked just now: aligned, and in the window, which is plain memory without Rust objects.
        valid.then(|| unsafe { Self::new(address as usize) })
    }

    /// Reads the register once.
    pub fn read(self) -> u32 {
        // SAFETY: `new` promises an aligned address that may be read.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(self.0)) }
    }

    /// Writes the register once.
    pub fn write(self, value: u32) {
        // SAFETY: `new` promises an aligned address without Rust objects, so no reference's target changes.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(self.0), value) }
    }
}

/// First device address of the window.
pub const WINDOW_FIRST: u32 = 0x8000_0000;
/// Last device address of the window.
pub const WINDOW_LAST: u32 = 0x80ff_ffff;

/// A register of the tables below.
const fn at(address: usize) -> Register {
    // SAFETY: private to this file: only the tables below call it, with aligned addresses of registers of the core
    // and of words of the control page.
    unsafe { Register::new(address) }
}

/// Registers of the core.
pub mod core_registers {
    use super::{Register, at};

    /// Non-secure access to coprocessors.
    pub const NSACR: Register = at(0xe000_ed8c);
    /// CP10 and CP11: the floating-point unit.
    pub const NSACR_FPU: u32 = 0b11 << 10;
    /// Application interrupt and reset control.
    pub const AIRCR: Register = at(0xe000_ed0c);
    /// Without this key in bits 31:16 a write is ignored.
    pub const AIRCR_KEY: u32 = 0x05fa_0000;
    /// BusFault, HardFault and NMI go to the non-secure state.
    pub const AIRCR_BFHFNMINS: u32 = 1 << 13;
    /// Address of the non-secure vector table.
    pub const VTOR_NS: Register = at(0xe002_ed08);
    /// Security attribution unit: control.
    pub const SAU_CTRL: Register = at(0xe000_edd0);
    /// The SAU is on.
    pub const SAU_CTRL_ENABLE: u32 = 1;
    /// The region that RBAR and RLAR speak of.
    pub const SAU_RNR: Register = at(0xe000_edd8);
    /// First address of the region.
    pub const SAU_RBAR: Register = at(0xe000_eddc);
    /// Last address of the region (its low five bits count as ones), and whether the region is on.
    pub const SAU_RLAR: Register = at(0xe000_ede0);
    /// The region is on; non-secure, not callable.
    pub const SAU_RLAR_ENABLE: u32 = 1;
}

/// Words of the control page.
pub mod control_page {
    use super::{Register, at};

    /// Says that the supervisor has prepared the page.
    pub const MAGIC: Register = at(0x80ff_0000);
    /// "CTRL".
    pub const MAGIC_VALUE: u32 = 0x4c52_5443;
    /// Device address of the firmware's vector table.
    pub const BOOT_ADDRESS: Register = at(0x80ff_0010);
}
