//! UART0, the one console of all worlds.
use core::fmt;
use core::ptr::NonNull;

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};

const UART0: core::num::NonZero<usize> = core::num::NonZero::new(0x0900_0000).unwrap();
const BAUD_RATE: u32 = 115_200;
const CLOCK: u32 = 24_000_000;

/// The UART, written to as text; a line feed goes out with a carriage return.
pub struct Console {
    uart: Uart<'static>,
}

impl Console {
    /// Takes and enables UART0.
    ///
    /// # Safety
    /// UART0 must be mapped as device memory, and nothing else at EL3 may use it as long as the console lives.
    pub unsafe fn new() -> Self {
        let registers: NonNull<PL011Registers> = NonNull::without_provenance(UART0);
        // SAFETY: the machine has a PL011 here for ever; the caller vouches for the mapping and for uniqueness.
        let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        let line = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
        // The constants divide to a valid rate; a wrong one would only show as noise.
        let _ = uart.enable(line, BAUD_RATE, CLOCK);
        Self { uart }
    }

    fn byte(&mut self, byte: u8) {
        while self.uart.is_tx_fifo_full() {}
        self.uart.write_word(byte);
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.byte(b'\r');
            }
            self.byte(byte);
        }
        Ok(())
    }
}
