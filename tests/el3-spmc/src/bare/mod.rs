//! The bare-metal half: start, memory, console, world switch, and the loop that serves SMCs.
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
use el3_spmc::spmc::{Call, Outcome, Spmc};

use context::{Exit, KIND_FIQ, WorldContext};
use hardware::Hardware;
use worlds::Worlds;

global_asm!(include_str!("entry.S"));
global_asm!(include_str!("world.S"));

/// Called by `entry.S` on the boot CPU: EL3, MMU on, stack and data ready.
#[unsafe(no_mangle)]
extern "C" fn firmware_main() -> ! {
    // SAFETY: `entry.S` calls this function once, on one CPU, so no other `Hardware` exists; UART0 is mapped as device.
    let mut machine = unsafe { Hardware::new() };
    machine.firmware_line(format_args!("el3-spmc {}: FF-A 1.2 SPMC, PSCI 1.1", env!("CARGO_PKG_VERSION")));
    let partition = match boot::load_partition(&mut machine) {
        Ok(partition) => partition,
        Err(problem) => {
            machine.firmware_line(format_args!("partition package refused: {problem}"));
            machine.firmware_line(format_args!("boot failed"));
            power::off()
        }
    };
    let (shares, fragments) = take_tables();
    let mut worlds = Worlds::new(
        WorldContext::partition(partition.entry, partition.boot_register, partition.boot_information),
        WorldContext::normal(NORMAL_ENTRY, NORMAL_DEVICE_TREE),
    );
    secure_interrupts::give_to_partition(&partition.manifest.secure_interrupts);
    let mut spmc = Spmc::new(partition.manifest, shares, fragments);
    serve(&mut machine, &mut worlds, &mut spmc)
}

/// The share table and the fragments are too big for the stack; they live in .bss.
fn take_tables() -> (&'static mut ShareTable, &'static mut Fragments) {
    static mut SHARES: ShareTable = ShareTable::new();
    static mut FRAGMENTS: Fragments = Fragments::new();
    // SAFETY: called once, from `firmware_main`, which runs once on one CPU; nothing else names these two.
    unsafe { (&mut *core::ptr::addr_of_mut!(SHARES), &mut *core::ptr::addr_of_mut!(FRAGMENTS)) }
}

/// Runs the worlds until the power goes off.
fn serve(machine: &mut Hardware, worlds: &mut Worlds, spmc: &mut Spmc<'_>) -> ! {
    let mut normal_entered = false;
    loop {
        let exit = worlds.run();
        let world = worlds.current();
        let outcome = match exit {
            Exit::Call => {
                let registers = worlds.registers();
                Ok(spmc.call(machine, &Call { world, processor: 0, registers: &registers }))
            }
            Exit::Interrupt if world == World::Secure => spmc.interrupted(machine, 0).ok_or(KIND_FIQ),
            Exit::Interrupt => Ok(spmc.secure_interrupt(machine, 0)),
            Exit::Exception(kind) => Err(kind),
        };
        let outcome = outcome.unwrap_or_else(|kind| {
            fatal::lower_exception(machine, worlds, kind);
            Outcome::PowerOff
        });
        match outcome {
            Outcome::Return(answer) => worlds.answer(&answer),
            Outcome::Switch(to, answer) => {
                if to == World::Normal && !normal_entered {
                    normal_entered = true;
                    machine.firmware_line(format_args!(
                        "partition is up; entering the normal world at {NORMAL_ENTRY:#x}"
                    ));
                }
                if !worlds.switch(to, spmc.signals_interrupts()) {
                    let text = format_args!("the partition has changed a timer of the normal world");
                    violate(machine, "timer", text);
                }
                worlds.answer(&answer);
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
    }
}
