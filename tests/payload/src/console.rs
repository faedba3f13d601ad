//! The console: PL011 UART0, shared with the other worlds. Every line starts with its speaker.
use crate::memory::UART0;
use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use core::fmt::{Arguments, Write};
use core::ptr::NonNull;

/// Prints one line. What is printed must make no call into another world, which would print in between.
pub fn line(text: Arguments) {
    let Some(registers) = NonNull::new(UART0 as *mut PL011Registers) else { return };
    // SAFETY: UART0 of the machine lies there, and with the MMU off it is device memory. The pointer lives as long as this call;
    // there is one CPU, interrupts are masked, and an exception never returns, so no other pointer to it is used meanwhile.
    let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
    // Writing to the UART can't fail.
    let _ = writeln!(uart, "[NS] {text}");
}

/// Prints one line.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::line(format_args!($($argument)*)) };
}
