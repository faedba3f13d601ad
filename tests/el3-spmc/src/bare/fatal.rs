//! Exceptions that nobody expects: printed, counted, and the end of the run.
use core::fmt;
use core::panic::PanicInfo;

use el3_spmc::machine::{Machine, World, violate};

use super::context::{exception_syndrome, fault_address};
use super::hardware::{Hardware, count_violation, violations};
use super::power;
use super::system_registers::read_register;
use super::worlds::Worlds;

const KINDS: [&str; 4] = ["synchronous exception", "IRQ", "FIQ", "SError"];

/// Registers in one row.
struct Words<'a>(&'a [u64]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|value| write!(f, "{value:016x} "))
    }
}

/// Reports an exception of a lower level that is no SMC.
pub fn lower_exception(machine: &mut Hardware, worlds: &Worlds, kind: u64) {
    let (name, kind) = match worlds.current() {
        World::Secure => ("the partition", kind),
        World::Normal => ("the normal world", kind),
    };
    let general = &worlds.context().general;
    let (syndrome, address) = (exception_syndrome(), fault_address());
    for (row, values) in general.x.chunks(4).enumerate() {
        machine.firmware_line(format_args!("x{:<2} {}", row * 4, Words(values)));
    }
    machine.firmware_line(format_args!(
        "pc {:#x} pstate {:#x} esr {syndrome:#x} far {address:#x}",
        general.program_counter, general.program_state
    ));
    machine.firmware_line(format_args!(
        "esr_el1 {:#x} elr_el1 {:#x} far_el1 {:#x}",
        read_register!("esr_el1"),
        read_register!("elr_el1"),
        read_register!("far_el1")
    ));
    let kind = KINDS.get(kind as usize).copied().unwrap_or("exception");
    violate(
        machine,
        "exception",
        format_args!("{kind} from {name}, class {:#x}, pc {:#x}", syndrome >> 26, general.program_counter),
    );
}

/// The end of a run that can't go on: what was being done is lost, so this takes the console anew.
fn die(text: fmt::Arguments<'_>) -> ! {
    // SAFETY: everything that used the other console is abandoned: this never returns.
    let mut machine = unsafe { Hardware::new() };
    count_violation();
    machine.firmware_line(format_args!("violation exception: {text}"));
    machine.firmware_line(format_args!("end violations={}", violations()));
    power::off()
}

/// An exception at EL3, or from AArch32 (kind + 8). Called by `world.S`.
#[unsafe(no_mangle)]
extern "C" fn own_exception(kind: u64, syndrome: u64, program_counter: u64, address: u64) -> ! {
    let place = if kind >= 8 { "AArch32" } else { "EL3 itself" };
    let name = KINDS.get(kind as usize & 3).copied().unwrap_or("exception");
    die(format_args!("{name} in {place}, esr {syndrome:#x} elr {program_counter:#x} far {address:#x}"))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    die(format_args!("panic at EL3: {info}"))
}
