//! The normal world of the emulated machine, bare metal at NS-EL2: the demo, and the system tests that attack the partition.
//!
//! No MMU, interrupts masked; one CPU, but where a case switches further ones on. Everything it says goes to the console line by line, for a person and for the host's runner.
#![no_std]
#![no_main]
#![allow(
    clippy::result_large_err,
    reason = "there is no heap to put the text of a failure on, and it travels once"
)]

mod board;
mod buffers;
mod console;
mod context;
mod demo;
mod floor;
mod framework;
mod heap;
mod interrupts;
mod machine;
mod memory;
mod notifications;
mod observe;
mod parameters;
mod processors;
mod tests;
mod transport;

use core::panic::PanicInfo;
use parameters::{Mode, Parameters};

core::arch::global_asm!(include_str!("entry.S"));

/// Called by the entry code, once.
#[unsafe(no_mangle)]
extern "C" fn payload_main() -> ! {
    let parameters = Parameters::read();
    match parameters.mode() {
        Some(Mode::Demo) => demo::run(&parameters),
        Some(Mode::Test) => tests::run(parameters),
        None => say!("demo failed parameters: no mode=demo or mode=test at {:#x}", memory::PARAMETERS),
    }
    machine::power_off()
}

/// Called by the vectors. An exception is a fault of the payload, or of whoever told it to touch an address.
#[unsafe(no_mangle)]
extern "C" fn payload_exception(vector: u64, syndrome: u64, link: u64, address: u64) -> ! {
    panic!("exception {vector}: ESR {syndrome:#x} ELR {link:#x} FAR {address:#x}")
}

#[panic_handler]
fn panic(information: &PanicInfo) -> ! {
    if !framework::panicked(format_args!("{information}")) {
        say!("info {information}");
        say!("demo failed panic");
    }
    machine::power_off()
}
