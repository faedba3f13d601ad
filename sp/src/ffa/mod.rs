//! FF-A calls by SMC (DEN0077, FF-A 1.2), each as a function. Every call passes and returns x0 to x17.
pub mod mailbox;
pub mod notification;

use arm_ffa::{FfaError, FuncId, Version};
use remoteproc_service::client_memory::EndpointId;
use remoteproc_sp::message::{Registers, error_status};

/// The version that the partition speaks.
pub const VERSION: Version = Version(1, 2);

/// The SPMC did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// FFA_ERROR with this status (DEN0077, table 13.2).
    #[error("FF-A status {0}")]
    Refused(i32),
    /// An answer of another kind than the call has.
    #[error("unexpected answer {0:#x}")]
    Unexpected(u32),
}

impl CallError {
    /// Tells whether the SPMC refused with this status.
    pub fn is(self, status: FfaError) -> bool {
        self == Self::Refused(status.into())
    }
}

/// Makes a call. Returns when the SPMC resumes this execution context.
pub fn call(registers: &Registers) -> Registers {
    let [function, arguments @ ..] = *registers;
    // The 64-bit convention always: the answer to a wait may be a 64-bit request, and the call has to carry all of it.
    smccc::smc64((function & 0xFFFF_FFFF) as u32, arguments)
}

/// Makes a call with arguments in x1 and following; tells its answer if that has the function id `expected`.
fn request(function: FuncId, arguments: &[u64], expected: &[FuncId]) -> Result<Registers, CallError> {
    let mut registers = [0; 18];
    registers[0] = u32::from(function).into();
    for (register, argument) in registers.iter_mut().skip(1).zip(arguments) {
        *register = *argument;
    }
    let answer = call(&registers);
    if let Some(status) = error_status(&answer) {
        return Err(CallError::Refused(status));
    }
    let id = (answer[0] & 0xFFFF_FFFF) as u32;
    if expected.iter().any(|function| u32::from(*function) == id) {
        Ok(answer)
    } else {
        Err(CallError::Unexpected(id))
    }
}

/// The two forms of FFA_SUCCESS.
const SUCCESS: &[FuncId] = &[FuncId::Success32, FuncId::Success64];

/// FFA_VERSION: tells the SPMC which version the partition speaks, and returns the SPMC's. Before any other call.
///
/// # Errors
/// [`CallError::Unexpected`] if the SPMC does not speak it.
pub fn version() -> Result<Version, CallError> {
    let mut registers = [0; 18];
    registers[0] = u32::from(FuncId::Version).into();
    registers[1] = u32::from(VERSION).into();
    let answer = (call(&registers)[0] & 0xFFFF_FFFF) as u32;
    match Version::try_from(answer) {
        Ok(version) if VERSION.is_compatible_to(version) => Ok(version),
        _ => Err(CallError::Unexpected(answer)),
    }
}

/// FFA_ID_GET: returns the partition's endpoint id.
///
/// # Errors
/// The SPMC's refusal.
pub fn id() -> Result<EndpointId, CallError> {
    request(FuncId::IdGet, &[], SUCCESS).map(|answer| (answer[2] & 0xFFFF) as EndpointId)
}

/// FFA_SPM_ID_GET: returns the SPMC's endpoint id.
///
/// # Errors
/// The SPMC's refusal.
pub fn spmc_id() -> Result<EndpointId, CallError> {
    request(FuncId::SpmIdGet, &[], SUCCESS).map(|answer| (answer[2] & 0xFFFF) as EndpointId)
}

/// FFA_SECONDARY_EP_REGISTER: says where further execution contexts start. Before the first one waits.
///
/// # Errors
/// The SPMC's refusal.
pub fn register_contexts(entry: u64) -> Result<(), CallError> {
    request(FuncId::SecondaryEpRegister64, &[entry], SUCCESS).map(drop)
}
