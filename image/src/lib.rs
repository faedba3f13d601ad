//! The signed remote-processor firmware container, version 1: read, verify, plan the load; and build and sign (feature `write`).
//!
//! One load flows through [`reader::Reader`]: metadata is copied in and authenticated, a plan is made from the signed table
//! alone, the images' bytes are pushed through in file order, every segment is hashed where it was written, and the resource
//! table is looked up there. Nothing is allocated, nothing unsigned decides where a byte goes.
#![cfg_attr(not(any(test, feature = "write")), no_std)]
#![forbid(unsafe_code)]

pub mod provider;
pub mod reader;
pub mod target;
