//! Boards and drivers for remote processors: [`manifest`] reads the board from the partition's manifest, [`registry`] finds the
//! driver of each processor by its `compatible`, and every driver has a file of its own ([`qemu`]; [`doorbell`] for what tells of events).
//!
//! Drivers reach the hardware through [`registers::Registers`], which the partition implements; nothing here is unsafe.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod doorbell;
pub mod manifest;
pub mod qemu;
pub mod registers;
pub mod registry;
