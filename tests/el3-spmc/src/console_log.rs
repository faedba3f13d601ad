//! FFA_CONSOLE_LOG text of the partition, gathered until a line is whole.
use core::fmt;

use heapless::Vec;

use crate::machine::Machine;

/// Longest line kept together; a longer one is printed in pieces.
const LINE: usize = 240;

/// Text not yet ended by a line feed.
#[derive(Debug, Default)]
pub struct ConsoleLog {
    line: Vec<u8, LINE>,
}

impl ConsoleLog {
    /// An empty log.
    pub const fn new() -> Self {
        Self { line: Vec::new() }
    }

    /// Takes `text`, prints every line that it completes.
    pub fn push(&mut self, machine: &mut dyn Machine, text: &[u8]) {
        for &byte in text {
            if byte == b'\n' {
                self.print(machine);
            } else if self.line.push(byte).is_err() {
                self.print(machine);
                // The buffer is empty now, so this can't fail.
                let _ = self.line.push(byte);
            }
        }
    }

    /// Prints what is left without a line feed.
    pub fn flush(&mut self, machine: &mut dyn Machine) {
        if !self.line.is_empty() {
            self.print(machine);
        }
    }

    fn print(&mut self, machine: &mut dyn Machine) {
        machine.partition_line(format_args!("{}", Printable(&self.line)));
        self.line.clear();
    }
}

/// Shows bytes as text; what is not printable ASCII as `\xNN`, so that no partition can forge a line of another speaker.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for &byte in self.0 {
            match byte {
                b' '..=b'~' | b'\t' => f.write_char(char::from(byte))?,
                b'\r' => {}
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}
