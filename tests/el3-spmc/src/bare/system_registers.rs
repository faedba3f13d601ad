//! The EL1 (and EL0) system registers of a world, saved and restored at every change of worlds.
//!
//! Not among them: SVE and SME state (trapped for both worlds), performance counters, breakpoints and trace (trapped
//! for the partition), EL2 registers (the partition has no EL2, so they are the normal world's alone), the EL1 timers (the
//! normal world's; see `interrupts.rs`).
use core::arch::asm;

use el3_spmc::stage_one::TranslationRegisters;

/// Registers that only exist with a feature; see [`Features`].
struct Feature;
impl Feature {
    /// In every Armv8 implementation.
    const BASE: u32 = 1 << 4;
    const POINTER_AUTHENTICATION: u32 = 1 << 0;
    const MEMORY_TAGGING: u32 = 1 << 1;
    const CONTEXT_NUMBER: u32 = 1 << 2;
    const RAS: u32 = 1 << 3;
}

macro_rules! system_registers {
    ($(($name:ident, $text:literal, $feature:expr)),+ $(,)?) => {
        /// Saved values.
        pub struct SystemRegisters { $($name: u64),+ }

        impl SystemRegisters {
            /// Every register zero.
            pub const ZERO: Self = Self { $($name: 0),+ };

            /// Reads the live registers.
            pub fn save(&mut self) {
                let features = features();
                $(if features & $feature != 0 {
                    // SAFETY: reads an EL1 or EL0 register that exists at EL3 (its feature was asked for); the asm is
                    // not `nomem`, so it stays in order with the change of worlds.
                    unsafe { asm!(concat!("mrs {}, ", $text), out(reg) self.$name, options(nostack, preserves_flags)) };
                })+
            }

            /// Makes the saved values live.
            pub fn restore(&self) {
                let features = features();
                $(if features & $feature != 0 {
                    // SAFETY: writes an EL1 or EL0 register that exists (its feature was asked for). EL3 runs under
                    // its own translation regime and stack pointer, so none of them affects the code that goes on here.
                    unsafe { asm!(concat!("msr ", $text, ", {}"), in(reg) self.$name, options(nostack, preserves_flags)) };
                })+
                // SAFETY: a barrier.
                unsafe { asm!("isb", options(nostack, preserves_flags)) };
            }
        }
    };
}

system_registers! {
    (sctlr, "sctlr_el1", Feature::BASE),
    (actlr, "actlr_el1", Feature::BASE),
    (cpacr, "cpacr_el1", Feature::BASE),
    (ttbr0, "ttbr0_el1", Feature::BASE),
    (ttbr1, "ttbr1_el1", Feature::BASE),
    (tcr, "tcr_el1", Feature::BASE),
    (mair, "mair_el1", Feature::BASE),
    (amair, "amair_el1", Feature::BASE),
    (esr, "esr_el1", Feature::BASE),
    (far, "far_el1", Feature::BASE),
    (afsr0, "afsr0_el1", Feature::BASE),
    (afsr1, "afsr1_el1", Feature::BASE),
    (par, "par_el1", Feature::BASE),
    (vbar, "vbar_el1", Feature::BASE),
    (elr, "elr_el1", Feature::BASE),
    (spsr, "spsr_el1", Feature::BASE),
    (sp_el0, "sp_el0", Feature::BASE),
    (sp_el1, "sp_el1", Feature::BASE),
    (contextidr, "contextidr_el1", Feature::BASE),
    (tpidr_el1, "tpidr_el1", Feature::BASE),
    (tpidr_el0, "tpidr_el0", Feature::BASE),
    (tpidrro_el0, "tpidrro_el0", Feature::BASE),
    (csselr, "csselr_el1", Feature::BASE),
    (mdscr, "mdscr_el1", Feature::BASE),
    (cntkctl, "cntkctl_el1", Feature::BASE),
    // APIA, APIB, APDA, APDB, APGA keys, low and high halves.
    (apia_low, "s3_0_c2_c1_0", Feature::POINTER_AUTHENTICATION),
    (apia_high, "s3_0_c2_c1_1", Feature::POINTER_AUTHENTICATION),
    (apib_low, "s3_0_c2_c1_2", Feature::POINTER_AUTHENTICATION),
    (apib_high, "s3_0_c2_c1_3", Feature::POINTER_AUTHENTICATION),
    (apda_low, "s3_0_c2_c2_0", Feature::POINTER_AUTHENTICATION),
    (apda_high, "s3_0_c2_c2_1", Feature::POINTER_AUTHENTICATION),
    (apdb_low, "s3_0_c2_c2_2", Feature::POINTER_AUTHENTICATION),
    (apdb_high, "s3_0_c2_c2_3", Feature::POINTER_AUTHENTICATION),
    (apga_low, "s3_0_c2_c3_0", Feature::POINTER_AUTHENTICATION),
    (apga_high, "s3_0_c2_c3_1", Feature::POINTER_AUTHENTICATION),
    // TFSR_EL1, TFSRE0_EL1, RGSR_EL1, GCR_EL1.
    (tfsr, "s3_0_c5_c6_0", Feature::MEMORY_TAGGING),
    (tfsre0, "s3_0_c5_c6_1", Feature::MEMORY_TAGGING),
    (rgsr, "s3_0_c1_c0_5", Feature::MEMORY_TAGGING),
    (gcr, "s3_0_c1_c0_6", Feature::MEMORY_TAGGING),
    // SCXTNUM_EL1, SCXTNUM_EL0.
    (scxtnum_el1, "s3_0_c13_c0_7", Feature::CONTEXT_NUMBER),
    (scxtnum_el0, "s3_3_c13_c0_7", Feature::CONTEXT_NUMBER),
    // DISR_EL1.
    (disr, "s3_0_c12_c1_1", Feature::RAS),
}

impl SystemRegisters {
    /// Sets SCTLR_EL1.
    pub fn set_control(&mut self, value: u64) {
        self.sctlr = value;
    }
}

macro_rules! read_register {
    ($text:literal) => {{
        let value: u64;
        // SAFETY: reads a register that exists at EL3 in every Armv8 implementation with EL3; no side effect.
        unsafe { ::core::arch::asm!(concat!("mrs {}, ", $text), out(reg) value, options(nostack, preserves_flags)) };
        value
    }};
}
pub(super) use read_register;

/// Bits of [`Feature`] that this CPU has.
fn features() -> u32 {
    let isar1 = read_register!("id_aa64isar1_el1");
    // ID_AA64ISAR2_EL1, by number: assemblers without Armv8.7 don't know its name.
    let isar2 = read_register!("s3_0_c0_c6_2");
    let pfr0 = read_register!("id_aa64pfr0_el1");
    let pfr1 = read_register!("id_aa64pfr1_el1");
    let field = |register: u64, shift: u32| (register >> shift) & 0xf;
    let mut features = Feature::BASE;
    if [4, 8, 24, 28].iter().any(|&shift| field(isar1, shift) != 0)
        || field(isar2, 8) != 0
        || field(isar2, 12) != 0
    {
        features |= Feature::POINTER_AUTHENTICATION;
    }
    if field(pfr1, 8) >= 2 {
        features |= Feature::MEMORY_TAGGING;
    }
    if field(pfr0, 56) >= 2 || field(pfr1, 32) >= 2 {
        features |= Feature::CONTEXT_NUMBER;
    }
    if field(pfr0, 28) != 0 {
        features |= Feature::RAS;
    }
    features
}

/// The live translation registers.
pub fn translation() -> TranslationRegisters {
    TranslationRegisters {
        control: read_register!("sctlr_el1"),
        translation_control: read_register!("tcr_el1"),
        table_0: read_register!("ttbr0_el1"),
        table_1: read_register!("ttbr1_el1"),
    }
}
