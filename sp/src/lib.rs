//! The partition's pure part: registers in, registers out, and the parsers of what the SPMC hands over at boot.
//!
//! Nothing here touches hardware, so it is tested on the host. The partition itself (`main.rs` and the modules beside it) is
//! built for `aarch64-unknown-none` only.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot_information;
pub mod console;
pub mod message;
pub mod ranges;
