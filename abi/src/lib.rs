//! The wire ABI of the remoteproc service, as both worlds speak it: `docs/abi.md` in code.
//!
//! Pure data: nothing here calls the SPMC or touches memory of another world.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod command;
pub mod door_d;
pub mod door_t;
pub mod measurements;
pub mod memory_descriptor;
pub mod result;
pub mod status;
pub mod ts_rpc;

use uuid::{Uuid, uuid};

/// FF-A UUID of door D, which is also the service's id behind door T (OP-TEE's remoteproc service).
pub const SERVICE_UUID: Uuid = uuid!("80a4c275-0a47-4905-8285-1486a9771a08");

/// Returns a UUID as FF-A passes it in two 64-bit registers: its bytes in order, each register little-endian.
#[must_use]
pub const fn uuid_registers(uuid: Uuid) -> [u64; 2] {
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15] = uuid.into_bytes();
    [
        u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        u64::from_le_bytes([b8, b9, b10, b11, b12, b13, b14, b15]),
    ]
}

/// Size of the page that FF-A counts memory in, bytes.
pub const FFA_PAGE_SIZE: u64 = 4096;

/// Most address ranges that one memory handle may have: its descriptor then fits one 4 KiB buffer.
pub const MAX_RANGES: usize = 200;
