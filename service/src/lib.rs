//! What the partition does with a request: whose processor it is, what state it is in, and the load from client memory to
//! running firmware. Hardware, FF-A and time are traits ([`hardware`], [`client_memory`]); this crate runs on the host as well.
//!
//! [`Service::handle`] and, for door T, [`Service::handle_rpc`] are the ways in. Behind them, one room per file: `door_t` takes a
//! call's arguments out of the client's buffer ([`buffers`]) and puts its answer there, [`lifecycle`] is the one table of states, `load` and
//! `control` carry requests out, [`jobs`] keeps a load between its requests, `steps` are what it walks through, [`mod@slice`]
//! bounds each request, `inform` answers questions, `events` tells owners what their processors have done by themselves, `nobodys` takes from a virtual machine that is gone what it had, `regions` closes, clears and opens a processor's memory, [`ranges`] judges the
//! memory that a client names, [`clients`] remembers who was refused what, and `report` writes the log.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "exploration")]
extern crate alloc;

pub mod buffers;
pub mod client_memory;
pub mod clients;
pub mod configuration;
mod control;
pub mod counters;
pub mod door_t;
mod events;
#[cfg(feature = "exploration")]
pub mod exploration;
mod guards;
pub mod hardware;
mod inform;
pub mod jobs;
pub mod lifecycle;
mod load;
mod measurements;
mod nobodys;
mod processor;
pub mod ranges;
mod regions;
mod report;
pub mod result;
mod seal;
#[cfg(feature = "control")]
mod second_look;
mod service;
pub mod slice;
mod steps;

pub use clients::{Caller, Door};
pub use counters::Counters;
pub use guards::Guard;
pub use jobs::Storage;
pub use service::{Service, goes_on_by_itself};
