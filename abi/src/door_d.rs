//! Door D: requests and answers in the five payload registers of an FF-A direct message (`docs/abi.md`).
use crate::command::Command;
use crate::measurements::{Part, Question};
use crate::result::TeeResult;

/// The payload registers, x3 to x7 of a DIRECT_REQ or DIRECT_RESP.
pub type Registers = [u64; 5];

/// Flag of x3: the memory was lent, not shared.
pub const FLAG_LENT: u64 = 1 << 32;
/// Flag of x3: finish in this one request.
pub const FLAG_ONE_CALL: u64 = 1 << 33;

/// The command field of x3: bits 15:0.
const COMMAND_MASK: u64 = 0xFFFF;
/// Value of a GET_LAST_ERROR answer that names no place.
const NO_OFFSET: u64 = u64::MAX;

/// What LOAD_FW carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadArguments {
    /// FF-A memory handle.
    pub handle: u64,
    /// Length of the whole container, bytes.
    pub total: u64,
    /// Offset in the container of this memory's first byte, bytes.
    pub offset: u64,
    /// The memory was lent rather than shared.
    pub lent: bool,
    /// Finish in this one request.
    pub one_call: bool,
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Hold the processor in reset at once.
    Forced,
    /// Ask the firmware first, and force it after this many milliseconds.
    Graceful {
        /// Time limit, ms.
        milliseconds: u64,
    },
}

/// A well-formed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// LOAD_FW.
    Load {
        /// Which processor.
        processor: u32,
        /// Where the image is.
        arguments: LoadArguments,
    },
    /// START_FW.
    Start {
        /// Which processor.
        processor: u32,
    },
    /// STOP_FW.
    Stop {
        /// Which processor.
        processor: u32,
        /// How.
        mode: StopMode,
    },
    /// GET_RSC_TABLE.
    GetResourceTable {
        /// Which processor.
        processor: u32,
    },
    /// RELEASE_FW.
    Release {
        /// Which processor.
        processor: u32,
    },
    /// GET_INFO.
    GetInfo,
    /// GET_PROCESSOR.
    GetProcessor {
        /// Which one, counted from 0; not its id.
        index: u32,
    },
    /// GET_STATUS.
    GetStatus {
        /// Which processor.
        processor: u32,
    },
    /// GET_LAST_ERROR.
    GetLastError,
    /// BIND_EVENTS.
    BindEvents {
        /// Which processor.
        processor: u32,
        /// Id of the FF-A notification that its events are to be signaled by.
        notification: u64,
    },
    /// GET_MEASUREMENTS.
    GetMeasurements(Question),
    /// CONFIRM.
    Confirm {
        /// Which processor.
        processor: u32,
    },
    /// A command that this version knows and does not implement.
    Unimplemented(Command),
}

/// Why the registers are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No command has this id.
    #[error("unknown command {0:#x}")]
    UnknownCommand(u16),
    /// A bit that the command does not define is set in x3 or in the processor id.
    #[error("reserved bits are set")]
    ReservedBits,
    /// An argument has no meaning (STOP_FW's mode, GET_MEASUREMENTS' part).
    #[error("an argument has an undefined value")]
    BadArgument,
}

impl Request {
    /// Decodes the payload registers of a request.
    ///
    /// # Errors
    /// Returns what is wrong with them. Never panics, whatever the registers hold.
    pub fn decode(registers: &Registers) -> Result<Self, DecodeError> {
        let [first, target, argument1, argument2, argument3] = *registers;
        let id = (first & COMMAND_MASK) as u16;
        let flags = first & !COMMAND_MASK;
        let command = Command::try_from(id).map_err(|_| DecodeError::UnknownCommand(id))?;
        let allowed = if command == Command::LoadFirmware { FLAG_LENT | FLAG_ONE_CALL } else { 0 };
        if flags & !allowed != 0 {
            return Err(DecodeError::ReservedBits);
        }
        match command {
            Command::GetInfo => return Ok(Self::GetInfo),
            Command::GetLastError => return Ok(Self::GetLastError),
            _ => {}
        }
        let processor = u32::try_from(target).map_err(|_| DecodeError::ReservedBits)?;
        Ok(match command {
            Command::LoadFirmware => Self::Load {
                processor,
                arguments: LoadArguments {
                    handle: argument1,
                    total: argument2,
                    offset: argument3,
                    lent: flags & FLAG_LENT != 0,
                    one_call: flags & FLAG_ONE_CALL != 0,
                },
            },
            Command::StartFirmware => Self::Start { processor },
            Command::StopFirmware => Self::Stop {
                processor,
                mode: match argument1 {
                    0 => StopMode::Forced,
                    1 => StopMode::Graceful { milliseconds: argument2 },
                    _ => return Err(DecodeError::BadArgument),
                },
            },
            Command::GetResourceTable => Self::GetResourceTable { processor },
            Command::ReleaseFirmware => Self::Release { processor },
            Command::GetProcessor => Self::GetProcessor { index: processor },
            Command::GetStatus => Self::GetStatus { processor },
            Command::BindEvents => Self::BindEvents { processor, notification: argument1 },
            Command::Confirm => Self::Confirm { processor },
            Command::GetMeasurements => {
                let part = Part::try_from(processor).map_err(|_| DecodeError::BadArgument)?;
                Self::GetMeasurements(Question { part, entry: argument1 })
            }
            other => Self::Unimplemented(other),
        })
    }

    /// Encodes the request for the payload registers.
    #[must_use]
    pub fn encode(&self) -> Registers {
        let id = |command: Command| u64::from(u16::from(command));
        match *self {
            Self::Load { processor, arguments } => {
                let mut first = id(Command::LoadFirmware);
                if arguments.lent {
                    first |= FLAG_LENT;
                }
                if arguments.one_call {
                    first |= FLAG_ONE_CALL;
                }
                [first, processor.into(), arguments.handle, arguments.total, arguments.offset]
            }
            Self::Start { processor } => [id(Command::StartFirmware), processor.into(), 0, 0, 0],
            Self::Stop { processor, mode } => {
                let (mode, limit) = match mode {
                    StopMode::Forced => (0, 0),
                    StopMode::Graceful { milliseconds } => (1, milliseconds),
                };
                [id(Command::StopFirmware), processor.into(), mode, limit, 0]
            }
            Self::GetResourceTable { processor } => {
                [id(Command::GetResourceTable), processor.into(), 0, 0, 0]
            }
            Self::Release { processor } => [id(Command::ReleaseFirmware), processor.into(), 0, 0, 0],
            Self::GetInfo => [id(Command::GetInfo), 0, 0, 0, 0],
            Self::GetProcessor { index } => [id(Command::GetProcessor), index.into(), 0, 0, 0],
            Self::GetStatus { processor } => [id(Command::GetStatus), processor.into(), 0, 0, 0],
            Self::GetLastError => [id(Command::GetLastError), 0, 0, 0, 0],
            Self::BindEvents { processor, notification } => {
                [id(Command::BindEvents), processor.into(), notification, 0, 0]
            }
            Self::GetMeasurements(Question { part, entry }) => {
                [id(Command::GetMeasurements), u32::from(part).into(), entry, 0, 0]
            }
            Self::Confirm { processor } => [id(Command::Confirm), processor.into(), 0, 0, 0],
            Self::Unimplemented(command) => [id(command), 0, 0, 0, 0],
        }
    }
}

/// An answer: a result and four values, whose meaning depends on the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The raw result: a [`TeeResult`], or a number that this version does not know.
    pub result: u32,
    /// The values, x4 to x7.
    pub values: [u64; 4],
}

impl Answer {
    /// Makes an answer without values.
    #[must_use]
    pub fn of(result: TeeResult) -> Self {
        Self::with(result, [0; 4])
    }

    /// Makes an answer with values.
    #[must_use]
    pub fn with(result: TeeResult, values: [u64; 4]) -> Self {
        Self { result: result.into(), values }
    }

    /// Makes the answer to GET_LAST_ERROR: the refusal's number (0 = none) and its place in the container, if it has one.
    #[must_use]
    pub fn last_error(refusal: u16, offset: Option<u64>) -> Self {
        Self::with(TeeResult::Success, [refusal.into(), offset.unwrap_or(NO_OFFSET), 0, 0])
    }

    /// Reads the values of an answer to GET_LAST_ERROR.
    #[must_use]
    pub fn as_last_error(&self) -> (u16, Option<u64>) {
        let number = u16::try_from(self.values[0]).unwrap_or(u16::MAX);
        (number, (self.values[1] != NO_OFFSET).then_some(self.values[1]))
    }

    /// Returns the result if this version knows it.
    #[must_use]
    pub fn tee_result(&self) -> Option<TeeResult> {
        TeeResult::try_from(self.result).ok()
    }

    /// Encodes the answer for the payload registers.
    #[must_use]
    pub fn encode(&self) -> Registers {
        let [value1, value2, value3, value4] = self.values;
        [self.result.into(), value1, value2, value3, value4]
    }

    /// Decodes the payload registers of an answer. The upper half of x3 is ignored.
    #[must_use]
    pub fn decode(registers: &Registers) -> Self {
        let [first, values @ ..] = *registers;
        Self { result: (first & 0xFFFF_FFFF) as u32, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOAD: Request = Request::Load {
        processor: 2,
        arguments: LoadArguments {
            handle: 0x8000_0000_0000_0001,
            total: 14_764,
            offset: 4096,
            lent: true,
            one_call: false,
        },
    };

    /// Golden register values, as docs/abi.md fixes them.
    #[test]
    fn golden() {
        assert_eq!(LOAD.encode(), [0x1_0000_0001, 2, 0x8000_0000_0000_0001, 14_764, 4096]);
        assert_eq!(Request::Start { processor: 1 }.encode(), [2, 1, 0, 0, 0]);
        let graceful = Request::Stop { processor: 0, mode: StopMode::Graceful { milliseconds: 250 } };
        assert_eq!(graceful.encode(), [3, 0, 1, 250, 0]);
        assert_eq!(Request::GetResourceTable { processor: 7 }.encode(), [4, 7, 0, 0, 0]);
        assert_eq!(Request::Release { processor: 7 }.encode(), [6, 7, 0, 0, 0]);
        assert_eq!(Request::GetInfo.encode(), [0x10, 0, 0, 0, 0]);
        assert_eq!(Request::GetProcessor { index: 1 }.encode(), [0x11, 1, 0, 0, 0]);
        assert_eq!(Request::GetStatus { processor: 7 }.encode(), [0x12, 7, 0, 0, 0]);
        assert_eq!(Request::GetLastError.encode(), [0x13, 0, 0, 0, 0]);
        assert_eq!(Request::BindEvents { processor: 1, notification: 63 }.encode(), [0x15, 1, 63, 0, 0]);
        assert_eq!(Request::Confirm { processor: 1 }.encode(), [0x18, 1, 0, 0, 0]);
        assert_eq!(Answer::of(TeeResult::BadState).encode(), [0xFFFF_0007, 0, 0, 0, 0]);
        assert_eq!(Answer::last_error(0x0501, None).encode(), [0, 0x0501, u64::MAX, 0, 0]);
    }

    #[test]
    fn refuses_what_is_not_defined() {
        assert_eq!(Request::decode(&[0x99, 0, 0, 0, 0]), Err(DecodeError::UnknownCommand(0x99)));
        assert_eq!(Request::decode(&[0x1_0002, 0, 0, 0, 0]), Err(DecodeError::ReservedBits));
        assert_eq!(Request::decode(&[2 | FLAG_LENT, 0, 0, 0, 0]), Err(DecodeError::ReservedBits));
        assert_eq!(Request::decode(&[2, 1 << 32, 0, 0, 0]), Err(DecodeError::ReservedBits));
        assert_eq!(Request::decode(&[3, 0, 2, 0, 0]), Err(DecodeError::BadArgument));
    }

    proptest! {
        #[test]
        fn any_registers_decode_without_panic_and_requests_come_back(registers: [u64; 5]) {
            if let Ok(request) = Request::decode(&registers) {
                prop_assert_eq!(Request::decode(&request.encode()).map(|again| again.encode()), Ok(request.encode()));
            }
            let answer = Answer::decode(&registers);
            prop_assert_eq!(Answer::decode(&answer.encode()), answer);
        }

        #[test]
        fn small_command_ids_decode(id in 0u64..0x20, rest: [u64; 4]) {
            let [a, b, c, d] = rest;
            let _ = Request::decode(&[id, a & 0xFFFF_FFFF, b, c, d]);
        }
    }
}
