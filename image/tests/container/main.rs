//! The container, read and written: golden vectors, answers, bit flips, every refusal, and pieces of any size.

#![allow(clippy::result_large_err)] // A refusal carries the memory that it left behind.

mod answers;
mod board;
mod chunks;
mod elf;
mod elf64;
mod encrypted;
mod flips;
mod forge;
mod golden;
mod keys;
mod order;
mod own;
mod p256;
mod refusals;
mod tables;
mod unsigned;
mod worked_example;
