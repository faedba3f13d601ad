//! The partition's pure part: registers in, registers out, and the parsers of what the SPMC hands over at boot.
//!
//! Nothing here touches hardware, so it is tested on the host. The partition itself (`main.rs` and the modules beside it) is
//! built for `aarch64-unknown-none` only.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
// Nothing that a message holds may stop the partition: no panic, and no arithmetic that could overflow.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod boot_information;
pub mod console;
pub mod gone;
pub mod message;
pub mod ranges;
pub mod turn;
