//! The two worlds of a CPU, one of them live. An execution context of the partition that wanders is here only while it runs here.
use core::arch::asm;

use el3_spmc::machine::World;
use el3_spmc::spmc::{Answer, Registers};

use super::context::{Exit, SCR_NS, WorldContext};
use super::interrupts::NormalInterrupts;
use super::system_registers::read_register;

/// Both contexts, and which is live.
pub struct Worlds {
    secure: Option<WorldContext>,
    normal: WorldContext,
    current: World,
    /// Of the normal world, while the secure world is live.
    aside: NormalInterrupts,
}

impl Worlds {
    /// Sets EL2 up, and makes the secure world live, if there is one.
    pub fn new(secure: Option<WorldContext>, normal: WorldContext) -> Self {
        initialize_el2();
        let current = if secure.is_some() { World::Secure } else { World::Normal };
        secure.as_ref().unwrap_or(&normal).load();
        let aside = NormalInterrupts::put_aside(secure.is_none());
        Self { secure, normal, current, aside }
    }

    /// Before the secure world runs: its context, if that is elsewhere.
    pub fn lend(&mut self, context: &mut Option<WorldContext>) {
        if self.secure.is_none() {
            self.secure = context.take();
        }
    }

    /// After it has run: takes the context away.
    pub fn take_back(&mut self) -> Option<WorldContext> {
        self.secure.take()
    }

    /// The live world.
    pub fn current(&self) -> World {
        self.current
    }

    /// Context of the live world.
    pub fn context(&self) -> &WorldContext {
        match self.current {
            World::Secure => self.secure.as_ref().expect("the SPMC switches to a context that is there"),
            World::Normal => &self.normal,
        }
    }

    fn context_mut(&mut self) -> &mut WorldContext {
        match self.current {
            World::Secure => self.secure.as_mut().expect("the SPMC switches to a context that is there"),
            World::Normal => &mut self.normal,
        }
    }

    /// Runs the live world until it leaves.
    pub fn run(&mut self) -> Exit {
        self.context_mut().run()
    }

    /// x0 to x17 of the live world.
    pub fn registers(&self) -> Registers {
        let mut registers = [0; 18];
        registers.copy_from_slice(&self.context().general.x[..18]);
        registers
    }

    /// Writes an answer into the live world's registers.
    pub fn answer(&mut self, answer: &Answer) {
        for (register, value) in
            self.context_mut().general.x.iter_mut().zip(answer.registers).take(answer.count)
        {
            *register = value;
        }
    }

    /// Makes `world` live. `signal`: non-secure interrupts may preempt the secure world. False: the partition has changed a
    /// timer of the normal world.
    #[must_use]
    pub fn switch(&mut self, world: World, signal: bool) -> bool {
        self.context_mut().system.save();
        self.current = world;
        self.context().load();
        match world {
            World::Secure => {
                self.aside = NormalInterrupts::put_aside(signal);
                true
            }
            World::Normal => self.aside.put_back(),
        }
    }
}

/// Puts EL2, which only the normal world has, into a known state. All of it stays as the normal world leaves it.
fn initialize_el2() {
    let midr = read_register!("midr_el1");
    let mpidr = read_register!("mpidr_el1");
    // SAFETY: ICC_SRE_EL2 is reached through SCR_EL3.NS, which is set only around it and acts on no EL3 access that
    // happens meanwhile; EL2 registers affect lower levels only. Reserved-one bits are set where there are any
    // (SCTLR_EL2, CPTR_EL2); counters and timers are open to EL1, offsets are zero.
    unsafe {
        asm!(
            "mrs {scr}, scr_el3",
            "orr {t}, {scr}, #{ns}",
            "msr scr_el3, {t}",
            "isb",
            // ICC_SRE_EL2.
            "mov {t}, #0xf",
            "msr s3_4_c12_c9_5, {t}",
            "isb",
            "msr scr_el3, {scr}",
            "isb",
            "mov {t}, #0x0830",
            "movk {t}, #0x30c5, lsl #16",
            "msr sctlr_el2, {t}",
            "msr hcr_el2, xzr",
            "mov {t}, #0x33ff",
            "msr cptr_el2, {t}",
            "msr hstr_el2, xzr",
            "msr vttbr_el2, xzr",
            "msr cntvoff_el2, xzr",
            "mov {t}, #3",
            "msr cnthctl_el2, {t}",
            "msr vpidr_el2, {midr}",
            "msr vmpidr_el2, {mpidr}",
            "isb",
            t = out(reg) _,
            scr = out(reg) _,
            midr = in(reg) midr,
            mpidr = in(reg) mpidr,
            ns = const SCR_NS,
            options(nostack, preserves_flags)
        );
    }
}
