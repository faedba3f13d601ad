//! Registers, as drivers see them: one window of 32-bit words.

/// A window of device registers. Accesses happen in program order, each exactly once, and are complete before the next call.
pub trait Registers {
    /// Reads the 32-bit word at an offset, bytes from the window's start.
    fn read32(&mut self, offset: usize) -> u32;
    /// Writes the 32-bit word at an offset, bytes from the window's start.
    fn write32(&mut self, offset: usize, value: u32);
}
