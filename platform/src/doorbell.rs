//! The doorbell of the QEMU platform: a PL011 serial port whose other end is the supervisor of the remote cores. A byte means that
//! something has happened; what, the drivers have to find out.
use crate::registers::Registers;

/// Chooses this device.
pub const COMPATIBLE: &str = "arm,pl011";
/// Bytes of its registers.
pub const SIZE: usize = 0x1000;

/// Offsets of the registers used here (DDI 0183).
mod register {
    pub const DATA: usize = 0x00;
    pub const FLAGS: usize = 0x18;
    pub const LINE_CONTROL: usize = 0x2c;
    pub const CONTROL: usize = 0x30;
    pub const INTERRUPT_MASK: usize = 0x38;
    pub const INTERRUPT_CLEAR: usize = 0x44;
}

/// Flags: nothing has been received.
const RECEIVE_EMPTY: u32 = 1 << 4;
/// Line control: 8 bits; FIFOs off, so that each byte is an edge of the interrupt.
const EIGHT_BITS: u32 = 3 << 5;
/// Control: receiver and port enabled.
const RECEIVE: u32 = 1 << 9 | 1;
/// Interrupts: receive.
const RECEIVED: u32 = 1 << 4;
const ALL_INTERRUPTS: u32 = 0x7ff;
/// Most bytes taken at once. What else there is rings again.
const MOST: u32 = 64;

/// The serial port.
#[derive(Debug)]
pub struct Doorbell<R> {
    registers: R,
}

impl<R: Registers> Doorbell<R> {
    /// Takes the port, and lets it ring. What came before is dropped: nobody has looked at anything yet.
    pub fn new(registers: R) -> Self {
        let mut doorbell = Self { registers };
        doorbell.registers.write32(register::CONTROL, 0);
        doorbell.registers.write32(register::LINE_CONTROL, EIGHT_BITS);
        doorbell.registers.write32(register::INTERRUPT_CLEAR, ALL_INTERRUPTS);
        doorbell.clear();
        doorbell.registers.write32(register::INTERRUPT_MASK, RECEIVED);
        doorbell.registers.write32(register::CONTROL, RECEIVE);
        doorbell
    }

    /// Takes what has come, so that the interrupt's line falls and the next byte is an edge. To be called before the drivers are
    /// asked: what happens after that rings again.
    pub fn clear(&mut self) {
        for _ in 0..MOST {
            if self.registers.read32(register::FLAGS) & RECEIVE_EMPTY != 0 {
                break;
            }
            self.registers.read32(register::DATA);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port with some bytes to take.
    #[derive(Debug, Default)]
    struct FakePort {
        waiting: u32,
        taken: u32,
        writes: Vec<(usize, u32)>,
    }

    impl Registers for &mut FakePort {
        fn read32(&mut self, offset: usize) -> u32 {
            match offset {
                register::FLAGS if self.waiting == 0 => RECEIVE_EMPTY,
                register::FLAGS => 0,
                register::DATA => {
                    self.waiting = self.waiting.checked_sub(1).expect("nothing is read of an empty port");
                    self.taken += 1;
                    0x21
                }
                _ => panic!("{offset:#x} is not read"),
            }
        }

        fn write32(&mut self, offset: usize, value: u32) {
            self.writes.push((offset, value));
        }
    }

    #[test]
    fn it_rings_only_when_it_is_set_up() {
        let mut port = FakePort { waiting: 3, ..FakePort::default() };
        Doorbell::new(&mut port);
        let expected = [(0x30, 0), (0x2c, 0x60), (0x44, 0x7ff), (0x38, 0x10), (0x30, 0x201)];
        assert_eq!(port.writes, expected);
        assert_eq!((port.taken, port.waiting), (3, 0), "what came before");
    }

    #[test]
    fn clearing_takes_all_and_ends() {
        let mut port = FakePort::default();
        let mut doorbell = Doorbell::new(&mut port);
        doorbell.registers.waiting = 2;
        doorbell.clear();
        assert_eq!((doorbell.registers.taken, doorbell.registers.waiting), (2, 0));
        doorbell.registers.waiting = u32::MAX;
        doorbell.clear();
        assert_eq!(doorbell.registers.taken, 2 + MOST, "a port that is never empty");
    }
}
