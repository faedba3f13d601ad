//! Log lines for FFA_CONSOLE_LOG: collected whole, then cut into calls (DEN0077, section 13.11).
use crate::message::Registers;
use arm_ffa::FuncId;
use core::fmt;

/// Longest line, bytes without its end; what is longer is cut.
pub const MAX_LINE: usize = 240;

/// Characters of one 64-bit call: sixteen registers.
const CHARACTERS_64: usize = 128;
/// Characters of one 32-bit call: six registers.
const CHARACTERS_32: usize = 24;

/// The width of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 128 characters in a call.
    Bits64,
    /// 24 characters in a call.
    Bits32,
}

/// One line, as it is written.
#[derive(Clone, Debug, Default)]
pub struct Line {
    bytes: heapless::Vec<u8, { MAX_LINE + 1 }>,
}

impl Line {
    /// Makes an empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: heapless::Vec::new() }
    }

    /// Ends the line and returns its bytes. A line has one end, whatever was written.
    #[must_use]
    pub fn end(&mut self) -> &[u8] {
        self.bytes.truncate(MAX_LINE);
        // There is room: one byte more than MAX_LINE.
        let _ = self.bytes.push(b'\n');
        &self.bytes
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // Line ends inside a message would let one message look like several.
            let byte = if byte == b'\n' { b' ' } else { byte };
            if self.bytes.len() < MAX_LINE && self.bytes.push(byte).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Returns the calls that print `bytes`.
pub fn calls(bytes: &[u8], width: Width) -> impl Iterator<Item = Registers> + '_ {
    let (function, characters) = match width {
        Width::Bits64 => (FuncId::ConsoleLog64, CHARACTERS_64),
        Width::Bits32 => (FuncId::ConsoleLog32, CHARACTERS_32),
    };
    let register_size = match width {
        Width::Bits64 => 8,
        Width::Bits32 => 4,
    };
    bytes.chunks(characters).map(move |chunk| {
        let mut registers = [0; 18];
        registers[0] = u32::from(function).into();
        registers[1] = chunk.len() as u64;
        for (register, part) in registers.iter_mut().skip(2).zip(chunk.chunks(register_size)) {
            let mut value = [0; 8];
            for (place, byte) in value.iter_mut().zip(part) {
                *place = *byte;
            }
            *register = u64::from_le_bytes(value);
        }
        registers
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn golden_calls() {
        let mut line = Line::new();
        write!(line, "abcdefgh{}", 1).unwrap();
        let first: Vec<Registers> = calls(line.end(), Width::Bits64).collect();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0][..5], [0xC400_008A, 10, 0x6867_6665_6463_6261, 0x0A31, 0]);
        let second: Vec<Registers> = calls(b"abcdefgh1\n", Width::Bits32).collect();
        assert_eq!(second[0][..6], [0x8400_008A, 10, 0x6463_6261, 0x6867_6665, 0x0A31, 0]);
    }

    #[test]
    fn long_text_is_cut_and_still_ends() {
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 5000] {
            let mut line = Line::new();
            line.write_str(&"x".repeat(length)).unwrap();
            let bytes = line.end().to_vec();
            assert_eq!(bytes.len(), length.min(MAX_LINE) + 1);
            assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
            for width in [Width::Bits64, Width::Bits32] {
                let mut printed = Vec::new();
                for call in calls(&bytes, width) {
                    let size = if width == Width::Bits64 { 8 } else { 4 };
                    let characters: Vec<u8> =
                        call[2..].iter().flat_map(|value| value.to_le_bytes()[..size].to_vec()).collect();
                    printed.extend_from_slice(&characters[..call[1] as usize]);
                }
                assert_eq!(printed, bytes);
            }
        }
    }

    #[test]
    fn a_message_is_one_line() {
        let mut line = Line::new();
        line.write_str("a\nb").unwrap();
        assert_eq!(line.end(), b"a b\n");
    }
}
