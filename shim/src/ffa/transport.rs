//! What the back end needs of the machine: one call, and one pair of buffers.
use super::error::{Error, Status};
use arm_ffa::FuncId;

/// Registers x0 to x17 of an SMC or HVC (SMCCC 1.2).
pub type Registers = [u64; 18];

/// The conduit to the SPMC.
pub trait FfaTransport {
    /// Makes one call with all 18 registers in and out.
    fn call(&mut self, registers: Registers) -> Registers;

    /// Lets the normal world take the interrupt that has cut a request short (FFA_INTERRUPT); then the partition is resumed. To be
    /// written by clients that mask interrupts: as long as one is pending, the partition is cut short again. Elsewhere it
    /// has been taken by now.
    fn interrupted(&mut self) {}

    /// Lets some time pass before a call is repeated.
    fn pause(&mut self) {
        core::hint::spin_loop();
    }
}

/// The RX/TX buffer pair. The SPMC reads and writes the buffers between calls, so only copies go in and out.
pub trait BufferPair {
    /// Returns the physical address of the TX buffer, which this client writes.
    fn transmit_address(&self) -> u64;
    /// Returns the physical address of the RX buffer, which the SPMC writes.
    fn receive_address(&self) -> u64;
    /// Returns the length of each buffer, pages of 4 KiB.
    fn page_count(&self) -> u8;
    /// Copies `bytes` to the start of the TX buffer. False: they do not fit.
    fn write(&mut self, bytes: &[u8]) -> bool;
    /// Copies bytes out of the RX buffer, from `offset` on. False: they lie outside.
    fn read(&self, offset: usize, into: &mut [u8]) -> bool;
}

/// Returns the registers of a call with up to seven arguments.
pub(super) fn registers(function: FuncId, arguments: &[u64]) -> Registers {
    let mut registers = [0; 18];
    let [first, rest @ ..] = &mut registers;
    *first = u32::from(function).into();
    for (register, argument) in rest.iter_mut().zip(arguments) {
        *register = *argument;
    }
    registers
}

/// Returns the function id of an answer: bits 31:0 of x0.
pub(super) fn function_of(answer: &Registers) -> u32 {
    low(answer[0])
}

/// Returns bits 31:0.
pub(super) fn low(register: u64) -> u32 {
    (register & 0xFFFF_FFFF) as u32
}

/// Returns the status of an FFA_ERROR. Some SPMCs sign-extend it; bits 31:0 count.
pub(super) fn status_of(answer: &Registers) -> Status {
    Status(low(answer[2]).cast_signed())
}

/// Makes a call that is answered with FFA_SUCCESS or FFA_ERROR, once.
pub(super) fn call<T: FfaTransport>(
    transport: &mut T,
    function: FuncId,
    arguments: &[u64],
) -> Result<Registers, Error> {
    let answer = transport.call(registers(function, arguments));
    match FuncId::try_from(function_of(&answer)) {
        Ok(FuncId::Success32 | FuncId::Success64) => Ok(answer),
        Ok(FuncId::Error32 | FuncId::Error64) => Err(Error::Call { function, status: status_of(&answer) }),
        // What an SPMC without any FF-A support answers (SMCCC's unknown function).
        Err(_) if function_of(&answer) == u32::MAX => {
            Err(Error::Call { function, status: Status::NOT_SUPPORTED })
        }
        _ => Err(Error::Answer { function, answer: function_of(&answer) }),
    }
}
