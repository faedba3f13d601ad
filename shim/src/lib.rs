//! The normal-world client of the remoteproc service: one [`Remoteproc`] over whichever TEE offers the service.
//!
//! [`Tee`] is what a back end has to offer; [`ffa`] is the one that talks to our partition straight over FF-A. The crate makes no
//! SMC and touches no memory itself: the program that uses it lends it both through two small traits.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod ffa;
mod measurements;
mod remoteproc;
pub mod resource_table;
mod tee;

pub use measurements::Log;
pub use remoteproc::{Error, LastError, Limits, LoadError, Progress, Remoteproc, TableLocation};
pub use tee::{Share, Tee};
