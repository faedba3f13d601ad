//! What the partition does with a request: whose processor it is, what state it is in, and the load from client memory to
//! running firmware. Hardware, FF-A and time are traits ([`hardware`], [`client_memory`]); this crate runs on the host as well.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod client_memory;
pub mod configuration;
pub mod hardware;
