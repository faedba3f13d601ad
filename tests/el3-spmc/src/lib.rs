//! The pure half of the EL3 test firmware: FF-A 1.2 as an SPMC sees it, the partition package and manifest, the shares.
//!
//! A test fixture, never a product. It is as strict as Hafnium where it can be: a rule that the *partition* breaks is
//! a violation, which is printed, counted and fails the run; what the *normal world* does wrong only gets its FF-A
//! error. Nothing here touches hardware: memory, console and translation registers come through [`machine::Machine`],
//! so all of it has unit tests on the host.
//!
//! References: DEN0077A (FF-A 1.2), DEN0140 (FF-A memory management 1.2), DEN0028 (SMCCC), DEN0022 (PSCI).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot_information;
pub mod console_log;
pub mod descriptor;
pub mod error;
pub mod fragments;
pub mod function;
pub mod machine;
pub mod manifest;
pub mod memory_map;
pub mod notifications;
pub mod package;
pub mod share_table;
pub mod spmc;
pub mod stage_one;
