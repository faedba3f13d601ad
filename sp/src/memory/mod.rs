//! The partition's memory: layout, stage-1 tables, the window to other memory, and copy routines that survive aborts.
pub mod foreign;
pub mod layout;
pub mod map;
pub mod mmu;
mod pool;
pub mod window;
