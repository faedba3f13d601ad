//! The EL3 test firmware: boots the partition at S-EL1 and the payload at NS-EL2, and runs one or the other.
//!
//! On the host this is only a hint; the library beside it holds everything that can be tested there.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("el3-spmc is firmware: build it with --target aarch64-unknown-none");
}
