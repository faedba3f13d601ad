//! The bare-metal half: start, memory, console, world switch, and the loop that serves SMCs on each CPU.
mod boot;
mod console;
mod context;
mod fatal;
mod hardware;
mod interrupts;
mod power;
mod secure_interrupts;
mod system_registers;
mod worlds;

use core::arch::global_asm;

use el3_spmc::fragments::Fragments;
use el3_spmc::machine::{Machine, World, violate};
use el3_spmc::memory_map::{NORMAL_DEVICE_TREE, NORMAL_ENTRY};
use el3_spmc::share_table::ShareTable;
use el3_spmc::spmc::{Answer, Call, MAXIMUM_PROCESSORS, Outcome, Spmc};
use spin::Mutex;

use context::{Exit, KIND_FIQ, WorldContext};
use hardware::Hardware;
use worlds::Worlds;

global_asm!(include_str!("entry.S"));
global_asm!(include_str!("world.S"));

/// What the CPUs share. Each of them has its two worlds for itself, on its own stack.
struct Shared {
    machine: Hardware,
    spmc: Spmc<'static>,
    /// The partition's execution context that runs on any CPU, while it runs on none.
    wandering: Option<WorldContext>,
    /// First instruction of the partition's image.
    partition_entry: u64,
    normal_entered: bool,
}

/// Held while an SMC is handled, never while a world runs.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// Called by `entry.S` on the first CPU: EL3, MMU on, stack and data ready. Returns when that CPU is switched off.
#[unsafe(no_mangle)]
extern "C" fn firmware_main() {
    // SAFETY: `entry.S` calls this function once, on one CPU, and the others sleep, so no other `Hardware` exists; UART0 is
    // mapped as device.
    let mut machine = unsafe { Hardware::new() };
    machine.firmware_line(format_args!("el3-spmc {}: FF-A 1.2 SPMC, PSCI 1.1", env!("CARGO_PKG_VERSION")));
    let processors = interrupts::processors();
    if processors > MAXIMUM_PROCESSORS {
        machine.firmware_line(format_args!("{processors} CPUs: more than {MAXIMUM_PROCESSORS}"));
        power::off()
    }
    let partition = match boot::load_partition(&mut machine, processors) {
        Ok(partition) => partition,
        Err(problem) => {
            machine.firmware_line(format_args!("partition package refused: {problem}"));
            machine.firmware_line(format_args!("boot failed"));
            power::off()
        }
    };
    interrupts::initialize_distributor();
    interrupts::initialize_processor(0);
    let worlds = Worlds::new(
        Some(WorldContext::partition(partition.entry, partition.boot_register, partition.boot_information)),
        WorldContext::normal(NORMAL_ENTRY, NORMAL_DEVICE_TREE),
    );
    secure_interrupts::give_to_partition(&partition.manifest.secure_interrupts);
    let (shares, fragments) = take_tables();
    *SHARED.lock() = Some(Shared {
        machine,
        spmc: Spmc::new(partition.manifest, processors, shares, fragments),
        wandering: None,
        partition_entry: partition.entry,
        normal_entered: false,
    });
    serve(0, worlds);
}

/// Called by `entry.S` on every other CPU, and on the first one when that was switched off: sleeps, and runs when woken.
#[unsafe(no_mangle)]
extern "C" fn secondary_main(processor: usize) -> ! {
    if processor != 0 {
        interrupts::initialize_processor(processor);
    }
    loop {
        interrupts::sleep();
        // The first CPU has made what is shared: only it can have woken another one.
        let started = with_shared(|shared| {
            let start = shared.spmc.started(processor)?;
            let secure = start
                .partition
                .map(|entry| WorldContext::further(entry.unwrap_or(shared.partition_entry), processor));
            Some(Worlds::new(secure, WorldContext::normal(start.entry, start.context)))
        });
        if let Some(worlds) = started {
            serve(processor, worlds);
        }
    }
}

/// The share table and the fragments are too big for the stack; they live in .bss.
fn take_tables() -> (&'static mut ShareTable, &'static mut Fragments) {
    static mut SHARES: ShareTable = ShareTable::new();
    static mut FRAGMENTS: Fragments = Fragments::new();
    // SAFETY: called once, from `firmware_main`, which runs once on one CPU; nothing else names these two.
    unsafe { (&mut *core::ptr::addr_of_mut!(SHARES), &mut *core::ptr::addr_of_mut!(FRAGMENTS)) }
}

/// Does something with what the CPUs share.
fn with_shared<R>(work: impl FnOnce(&mut Shared) -> R) -> R {
    work(SHARED.lock().as_mut().expect("made before any world runs"))
}

/// Runs a CPU's worlds until the CPU is switched off, or the power goes.
fn serve(processor: usize, mut worlds: Worlds) {
    loop {
        let exit = worlds.run();
        if !with_shared(|shared| shared.handle(processor, &mut worlds, exit)) {
            return;
        }
    }
}

impl Shared {
    /// Handles what a world left for. False: the CPU is off.
    fn handle(&mut self, processor: usize, worlds: &mut Worlds, exit: Exit) -> bool {
        let Self { machine, spmc, .. } = self;
        let world = worlds.current();
        let outcome = match exit {
            Exit::Call => {
                let registers = worlds.registers();
                Ok(spmc.call(machine, &Call { world, processor, registers: &registers }))
            }
            Exit::Interrupt if world == World::Secure => spmc.interrupted(machine, processor).ok_or(KIND_FIQ),
            Exit::Interrupt => Ok(spmc.secure_interrupt(machine, processor)),
            Exit::Exception(kind) => Err(kind),
        };
        let outcome = outcome.unwrap_or_else(|kind| {
            fatal::lower_exception(machine, worlds, kind);
            Outcome::PowerOff
        });
        match outcome {
            Outcome::Return(answer) => worlds.answer(&answer),
            Outcome::Switch(to, answer) => self.switch(processor, worlds, to, &answer),
            Outcome::Wake(target, answer) => {
                worlds.answer(&answer);
                interrupts::wake(target);
            }
            Outcome::ProcessorOff => {
                interrupts::initialize_processor(processor);
                return false;
            }
            Outcome::PowerOff => {
                spmc.end(machine);
                power::off()
            }
            Outcome::Reset => {
                spmc.end(machine);
                power::reset()
            }
            Outcome::BootFailed => {
                machine.firmware_line(format_args!("boot failed"));
                spmc.end(machine);
                power::off()
            }
        }
        true
    }

    /// The CPU goes on in the other world.
    fn switch(&mut self, processor: usize, worlds: &mut Worlds, to: World, answer: &Answer) {
        if to == World::Normal && !self.normal_entered {
            self.normal_entered = true;
            self.machine.firmware_line(format_args!(
                "partition is up; entering the normal world at {NORMAL_ENTRY:#x}"
            ));
        }
        if to == World::Secure {
            worlds.lend(&mut self.wandering);
        }
        if !worlds.switch(to, self.spmc.signals_interrupts(processor)) {
            let text = format_args!("the partition has changed a timer of the normal world");
            violate(&mut self.machine, "timer", text);
        }
        worlds.answer(answer);
        if to == World::Normal && self.spmc.wanders() {
            self.wandering = worlds.take_back();
        }
    }
}
