//! Door T: TS-RPC version 1 in the five 32-bit payload registers of an FF-A direct message (`docs/abi.md`).
use num_enum::TryFromPrimitive;
use uuid::{Uuid, uuid};

/// FF-A UUID of door T, the same for every TS-RPC endpoint.
pub const UUID: Uuid = uuid!("bdcd76d7-825e-4751-963b-86d4f84943ac");

/// The version that GET_VERSION answers.
pub const VERSION: u32 = 1;

/// The interface id of the management calls. Services have smaller ids.
pub const MANAGEMENT: u8 = 0xFF;

/// The interface id of the one service that the partition has.
pub const SERVICE: u8 = 0;

/// The payload registers, w3 to w7 of a 32-bit DIRECT_REQ or DIRECT_RESP.
pub type Registers = [u32; 5];

/// The handle of a service call without shared memory.
const NO_HANDLE: u64 = u64::MAX;
/// Bits 31:24 of the control register: flags and error bits, zero in version 1.
const RESERVED: u32 = 0xFF << 24;

/// Opcodes of the management interface.
mod opcode {
    pub(super) const GET_VERSION: u16 = 0;
    pub(super) const RETRIEVE_MEMORY: u16 = 1;
    pub(super) const RELINQUISH_MEMORY: u16 = 2;
    pub(super) const SERVICE_INFO: u16 = 3;
}

/// What becomes of an RPC, before any service has been asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive)]
#[repr(i32)]
pub enum Status {
    /// The call was carried out; what the service says of it is another word.
    Success = 0,
    /// The endpoint is broken.
    Internal = -1,
    /// A register has a value that means nothing.
    InvalidValue = -2,
    /// There is no such service or memory.
    NotFound = -3,
    /// Not now.
    InvalidState = -4,
    /// The memory could not be retrieved.
    TransportLayer = -5,
    /// The request's body does not fit the call.
    InvalidRequestBody = -6,
    /// The response's body does not fit the call.
    InvalidResponseBody = -7,
    /// No room.
    ResourceFailure = -8,
}

impl Status {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Internal => "INTERNAL",
            Self::InvalidValue => "INVALID_VALUE",
            Self::NotFound => "NOT_FOUND",
            Self::InvalidState => "INVALID_STATE",
            Self::TransportLayer => "TRANSPORT_LAYER",
            Self::InvalidRequestBody => "INVALID_REQUEST_BODY",
            Self::InvalidResponseBody => "INVALID_RESPONSE_BODY",
            Self::ResourceFailure => "RESOURCE_FAILURE",
        }
    }
}

/// A well-formed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// GET_VERSION.
    GetVersion,
    /// RETRIEVE_MEM: the endpoint is to use this memory from now on.
    RetrieveMemory {
        /// FF-A memory handle.
        handle: u64,
        /// Tag that the memory was shared with.
        tag: u64,
    },
    /// RELINQ_MEM: the endpoint is to give this memory back.
    RelinquishMemory {
        /// FF-A memory handle.
        handle: u64,
    },
    /// SERVICE_INFO: which interface id has this service?
    ServiceInfo {
        /// The service.
        service: Uuid,
    },
    /// A call of a service.
    Call {
        /// Which service: the id that SERVICE_INFO gave.
        interface: u8,
        /// What the service is to do.
        opcode: u16,
        /// Memory with the request and for the response; `None` for a call without.
        handle: Option<u64>,
        /// Length of the request, bytes.
        length: u32,
        /// Whom the caller speaks for; 0 from Linux.
        client: u32,
    },
}

impl Request {
    /// Decodes the payload registers of a request.
    ///
    /// # Errors
    /// Returns the status to answer. Never panics, whatever the registers hold.
    pub fn decode(registers: &Registers) -> Result<Self, Status> {
        let [control, word4, word5, word6, word7] = *registers;
        if control & RESERVED != 0 {
            return Err(Status::InvalidValue);
        }
        let opcode = (control & 0xFFFF) as u16;
        let interface = (control >> 16 & 0xFF) as u8;
        let handle = join(word4, word5);
        if interface != MANAGEMENT {
            let handle = (handle != NO_HANDLE).then_some(handle);
            return Ok(Self::Call { interface, opcode, handle, length: word6, client: word7 });
        }
        match opcode {
            opcode::GET_VERSION => Ok(Self::GetVersion),
            opcode::RETRIEVE_MEMORY => Ok(Self::RetrieveMemory { handle, tag: join(word6, word7) }),
            opcode::RELINQUISH_MEMORY => Ok(Self::RelinquishMemory { handle }),
            opcode::SERVICE_INFO => {
                let low = join(word4, word5).to_le_bytes();
                let high = join(word6, word7).to_le_bytes();
                let mut bytes = [0; 16];
                for (place, byte) in bytes.iter_mut().zip(low.into_iter().chain(high)) {
                    *place = byte;
                }
                Ok(Self::ServiceInfo { service: Uuid::from_bytes(bytes) })
            }
            _ => Err(Status::InvalidValue),
        }
    }

    /// Encodes the request for the payload registers.
    #[must_use]
    pub fn encode(&self) -> Registers {
        let management = |opcode: u16| u32::from(MANAGEMENT) << 16 | u32::from(opcode);
        match *self {
            Self::GetVersion => [management(opcode::GET_VERSION), 0, 0, 0, 0],
            Self::RetrieveMemory { handle, tag } => {
                let ([handle0, handle1], [tag0, tag1]) = (split(handle), split(tag));
                [management(opcode::RETRIEVE_MEMORY), handle0, handle1, tag0, tag1]
            }
            Self::RelinquishMemory { handle } => {
                let [handle0, handle1] = split(handle);
                [management(opcode::RELINQUISH_MEMORY), handle0, handle1, 0, 0]
            }
            Self::ServiceInfo { service } => {
                let [low, high] = crate::uuid_registers(service);
                let ([word0, word1], [word2, word3]) = (split(low), split(high));
                [management(opcode::SERVICE_INFO), word0, word1, word2, word3]
            }
            Self::Call { interface, opcode, handle, length, client } => {
                let [handle0, handle1] = split(handle.unwrap_or(NO_HANDLE));
                [u32::from(interface) << 16 | u32::from(opcode), handle0, handle1, length, client]
            }
        }
    }
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To GET_VERSION, which has no status.
    Version,
    /// To SERVICE_INFO: the service's interface id.
    Interface(u8),
    /// To a service call that was carried out.
    Returned {
        /// What the service says.
        status: u32,
        /// Length of the response, bytes.
        length: u32,
    },
    /// To everything else, and to what was refused.
    Status(Status),
}

impl Answer {
    /// Encodes the answer for the payload registers. `control` is w3 of the request, which the answer repeats.
    #[must_use]
    pub fn encode(&self, control: u32) -> Registers {
        match *self {
            Self::Version => [control, VERSION, 0, 0, 0],
            Self::Interface(id) => [control, status(Status::Success), id.into(), 0, 0],
            Self::Returned { status: returned, length } => {
                [control, status(Status::Success), returned, length, 0]
            }
            Self::Status(refused) => [control, status(refused), 0, 0, 0],
        }
    }
}

/// A status as a register.
const fn status(status: Status) -> u32 {
    (status as i32).cast_unsigned()
}

fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn split(value: u64) -> [u32; 2] {
    [(value & 0xFFFF_FFFF) as u32, (value >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SERVICE_UUID;
    use proptest::prelude::*;

    /// Golden register values, as docs/abi.md fixes them.
    #[test]
    fn golden_requests() {
        let call = Request::Call { interface: 2, opcode: 0x1234, handle: None, length: 0x100, client: 7 };
        for (request, registers) in [
            (Request::GetVersion, [0xFF_0000, 0, 0, 0, 0]),
            (
                Request::RetrieveMemory { handle: 0x1122_3344_5566_7788, tag: 0x99AA_BBCC_DDEE_FF00 },
                [0xFF_0001, 0x5566_7788, 0x1122_3344, 0xDDEE_FF00, 0x99AA_BBCC],
            ),
            (Request::RelinquishMemory { handle: 1 << 32 | 2 }, [0xFF_0002, 2, 1, 0, 0]),
            (
                Request::ServiceInfo { service: SERVICE_UUID },
                [0xFF_0003, 0x75c2_a480, 0x0549_470a, 0x8614_8582, 0x081a_77a9],
            ),
            (call, [0x2_1234, u32::MAX, u32::MAX, 0x100, 7]),
        ] {
            assert_eq!(request.encode(), registers);
            assert_eq!(Request::decode(&registers), Ok(request));
        }
    }

    #[test]
    fn golden_answers() {
        assert_eq!(Answer::Version.encode(0xFF_0000), [0xFF_0000, 1, 0, 0, 0]);
        assert_eq!(Answer::Interface(3).encode(0xFF_0003), [0xFF_0003, 0, 3, 0, 0]);
        assert_eq!(Answer::Returned { status: 0xFFFF_0007, length: 9 }.encode(1), [1, 0, 0xFFFF_0007, 9, 0]);
        assert_eq!(Answer::Status(Status::NotFound).encode(5), [5, 0xFFFF_FFFD, 0, 0, 0]);
        assert_eq!(Answer::Status(Status::ResourceFailure).encode(5), [5, 0xFFFF_FFF8, 0, 0, 0]);
    }

    #[test]
    fn golden_uuid() {
        assert_eq!(crate::uuid_registers(UUID), [0x51475e82_d776cdbd, 0xac4349f8_d4863b96]);
        assert_eq!(crate::uuid_registers(SERVICE_UUID), [0x0549470a_75c2a480, 0x081a77a9_86148582]);
    }

    #[test]
    fn what_is_not_defined_is_refused() {
        for control in [0xFF_0004, 0xFF_FFFF, 0x01FF_0000, 0x4000_0000, 0x8000_0001] {
            assert_eq!(Request::decode(&[control, 0, 0, 0, 0]), Err(Status::InvalidValue), "{control:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_registers_decode_without_panic_and_requests_come_back(mut registers: [u32; 5], management: bool) {
            if management {
                registers[0] = registers[0] & 3 | 0xFF_0000;
            }
            if let Ok(request) = Request::decode(&registers) {
                prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
            }
        }
    }
}
