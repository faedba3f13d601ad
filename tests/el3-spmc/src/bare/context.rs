//! What a world is when it does not run: general registers, SIMD registers, EL1 system registers, its EL3 controls.
use core::arch::asm;
use core::mem::offset_of;

use super::system_registers::SystemRegisters;

/// Registers that every entry to EL3 stores; `world.S` knows the offsets.
#[repr(C, align(16))]
pub struct GeneralContext {
    /// x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL3: where to go on.
    pub program_counter: u64,
    /// SPSR_EL3.
    pub program_state: u64,
    floating_point_control: u64,
    floating_point_status: u64,
    reserved: u64,
    q: [u128; 32],
}

const _: () = assert!(offset_of!(GeneralContext, program_counter) == 248);
const _: () = assert!(offset_of!(GeneralContext, floating_point_control) == 264);
const _: () = assert!(offset_of!(GeneralContext, q) == 288);

unsafe extern "C" {
    /// Runs the context until its next exception to EL3; returns the kind of that exception. See `world.S`.
    fn enter_lower(context: *mut GeneralContext) -> u64;
}

/// Why a world left.
pub enum Exit {
    /// An SMC from AArch64 with immediate 0.
    Call,
    /// An FIQ: an interrupt for the other world.
    Interrupt,
    /// Anything else; the number is the kind of `world.S`.
    Exception(u64),
}

/// A world.
pub struct WorldContext {
    /// Stored at every exit.
    pub general: GeneralContext,
    /// Stored at every change of worlds.
    pub system: SystemRegisters,
    /// SCR_EL3 while it runs.
    secure_configuration: u64,
    /// MDCR_EL3 while it runs.
    monitor_debug: u64,
}

/// Kind of exception: FIQ.
pub const KIND_FIQ: u64 = 2;
/// SCR_EL3: non-secure.
pub const SCR_NS: u64 = 1;
const SCR_RESERVED_ONE: u64 = 3 << 4;
/// FIQ is taken to EL3.
const SCR_FIQ: u64 = 1 << 2;
/// HVC is enabled.
const SCR_HCE: u64 = 1 << 8;
/// The secure world fetches no instruction from non-secure memory.
const SCR_SIF: u64 = 1 << 9;
/// The next lower level is AArch64.
const SCR_RW: u64 = 1 << 10;
/// Pointer authentication keys and instructions are not trapped.
const SCR_PAUTH: u64 = 3 << 16;
/// SCXTNUM registers are not trapped.
const SCR_SCXT: u64 = 1 << 25;
/// Allocation tags are not trapped.
const SCR_ATA: u64 = 1 << 26;
/// Fine-grained traps and enhanced counters of EL2 are not trapped.
const SCR_FGT_ECV: u64 = 3 << 27;
/// HCRX_EL2 is not trapped.
const SCR_HXE: u64 = 1 << 38;
/// Secure self-hosted debug off, AArch32 debug off.
const MDCR_BASE: u64 = 0x18000;
/// Trap performance counters and debug registers: they are no part of the context, so the partition may not use them.
const MDCR_TRAPS: u64 = 1 << 6 | 1 << 9 | 1 << 10;
/// SCTLR_EL1 with its reserved bits one: MMU, caches and alignment checks off.
const SCTLR_RESET: u64 = 0x30d0_0800;
/// EL1h, all interrupts masked.
const STATE_EL1H: u64 = 0x3c5;
/// EL2h, all interrupts masked.
const STATE_EL2H: u64 = 0x3c9;

impl WorldContext {
    fn new(entry: u64, state: u64, secure_configuration: u64, monitor_debug: u64) -> Self {
        let mut system = SystemRegisters::ZERO;
        system.set_control(SCTLR_RESET);
        Self {
            general: GeneralContext {
                x: [0; 31],
                program_counter: entry,
                program_state: state,
                floating_point_control: 0,
                floating_point_status: 0,
                reserved: 0,
                q: [0; 32],
            },
            system,
            secure_configuration,
            monitor_debug,
        }
    }

    /// The partition before its first instruction. `boot_register` gets the address of the boot information.
    pub fn partition(entry: u64, boot_register: Option<u32>, boot_information: u64) -> Self {
        // EEL2 (bit 18) is clear: no S-EL2. HCE is clear: HVC is undefined, as under any EL3 SPMC.
        let secure = SCR_RESERVED_ONE | SCR_FIQ | SCR_SIF | SCR_RW | SCR_PAUTH | SCR_SCXT | SCR_ATA;
        let mut world = Self::new(entry, STATE_EL1H, secure, MDCR_BASE | MDCR_TRAPS);
        if let Some(register) = boot_register.and_then(|number| world.general.x.get_mut(number as usize)) {
            *register = boot_information;
        }
        world
    }

    /// A further execution context of the partition before its first instruction. `processor` is the CPU's linear index.
    pub fn further(entry: u64, processor: usize) -> Self {
        let mut world = Self::partition(entry, None, 0);
        world.general.x[4] = processor as u64;
        world
    }

    /// The normal world before its first instruction, at EL2; `argument` in x0.
    pub fn normal(entry: u64, argument: u64) -> Self {
        let normal = SCR_NS
            | SCR_RESERVED_ONE
            | SCR_FIQ
            | SCR_HCE
            | SCR_RW
            | SCR_PAUTH
            | SCR_SCXT
            | SCR_ATA
            | SCR_FGT_ECV
            | SCR_HXE;
        let mut world = Self::new(entry, STATE_EL2H, normal, MDCR_BASE);
        world.general.x[0] = argument;
        world
    }

    /// Makes this world's EL3 controls and EL1 registers live.
    pub fn load(&self) {
        // SAFETY: SCR_EL3 and MDCR_EL3 act on lower levels only (EL3 itself is AArch64 and not affected by NS for its own
        // translation); the values are the constants of this file. ISB before anything that depends on them.
        unsafe {
            asm!(
                "msr scr_el3, {configuration}",
                "msr mdcr_el3, {debug}",
                "isb",
                configuration = in(reg) self.secure_configuration,
                debug = in(reg) self.monitor_debug,
                options(nostack, preserves_flags)
            );
        }
        self.system.restore();
    }

    /// Runs this world, which must be loaded, until it leaves.
    pub fn run(&mut self) -> Exit {
        // SAFETY: `general` is a valid, aligned context of the layout that `world.S` expects (asserted above), and nothing
        // else refers to it meanwhile. `enter_lower` keeps all registers that a C function must keep. The lower world
        // can't reach EL3's memory: it is secure SRAM outside the partition's part (the partition, a fixture under test
        // without a second stage, is trusted that far).
        let kind = unsafe { enter_lower(&raw mut self.general) };
        let syndrome = exception_syndrome();
        match kind {
            0 if syndrome >> 26 == 0x17 && syndrome & 0xffff == 0 => Exit::Call,
            KIND_FIQ => Exit::Interrupt,
            _ => Exit::Exception(kind),
        }
    }
}

/// ESR_EL3.
pub fn exception_syndrome() -> u64 {
    let value: u64;
    // SAFETY: reads a register of EL3; no side effect.
    unsafe { asm!("mrs {}, esr_el3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// FAR_EL3.
pub fn fault_address() -> u64 {
    let value: u64;
    // SAFETY: reads a register of EL3; no side effect.
    unsafe { asm!("mrs {}, far_el3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
