//! The remoteproc Secure Partition: an FF-A partition at S-EL1 that loads, starts, watches and stops remote processors.
//!
//! Thin: what it decides is in the library beside it and in `remoteproc_service`; what it does to the machine is here.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod backtrace;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod client_memory;
#[cfg(target_os = "none")]
mod contexts;
#[cfg(target_os = "none")]
mod dead;
#[cfg(target_os = "none")]
mod exception;
#[cfg(all(target_os = "none", feature = "fault-injection"))]
mod fault;
#[cfg(target_os = "none")]
mod ffa;
#[cfg(all(target_os = "none", feature = "control"))]
mod guards;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod logger;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod mmio;
#[cfg(target_os = "none")]
mod partition;
#[cfg(target_os = "none")]
mod remote_memory;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod time;

/// The host builds the package for its tests only.
#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("this is the partition: build it for aarch64-unknown-none");
    std::process::ExitCode::FAILURE
}
