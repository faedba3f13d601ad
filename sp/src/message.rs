//! The message loop's decision: from the registers of what the SPMC delivered to the registers of the next call
//! (DEN0077, sections 7.4 and 18.2). Total: whatever the registers hold, there is exactly one answer.
use arm_ffa::{FfaError, FuncId};
use remoteproc_abi::door_d;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc;
use remoteproc_abi::{SERVICE_UUID, uuid_registers};
use remoteproc_service::client_memory::EndpointId;

/// Registers x0 to x17 of an FF-A call.
pub type Registers = [u64; 18];

// Compared as numbers: arm-ffa's conversion knows all calls, and the loop a few.
const DIRECT_REQUEST_32: u32 = FuncId::MsgSendDirectReq32 as u32;
const DIRECT_REQUEST_64: u32 = FuncId::MsgSendDirectReq64 as u32;
const DIRECT_REQUEST_2: u32 = FuncId::MsgSendDirectReq64_2 as u32;
const INTERRUPT: u32 = FuncId::Interrupt32 as u32;
const ERROR_32: u32 = FuncId::Error32 as u32;
const ERROR_64: u32 = FuncId::Error64 as u32;

/// The primary hypervisor or, without one, the normal world's operating system.
const HYPERVISOR: EndpointId = 0;
/// Bit of an endpoint id: it is in the secure world, and no virtual machine's.
const SECURE: EndpointId = 1 << 15;
/// Bit 31 of w2: a framework message, not a partition message.
const FRAMEWORK: u32 = 1 << 31;
/// Bits 7:0 of w2: which framework message.
const FRAMEWORK_MESSAGE: u32 = 0xFF;
/// PSCI: the calling entity is not allowed to ask this.
const PSCI_DENIED: i32 = -3;

/// Framework messages (bits 7:0 of w2).
mod framework {
    pub(super) const PSCI_REQUEST: u32 = 0;
    pub(super) const WARM_BOOT_REQUEST: u32 = 1;
    pub(super) const PSCI_RESPONSE: u32 = 2;
    pub(super) const VM_CREATED: u32 = 4;
    pub(super) const VM_CREATED_RESPONSE: u32 = 5;
    pub(super) const VM_DESTROYED: u32 = 6;
    pub(super) const VM_DESTROYED_RESPONSE: u32 = 7;
    /// Later requests, each answered with the next number: version (8), stop (10), live activation (12 and 14).
    pub(super) const LATER_REQUESTS: [u32; 4] = [8, 10, 12, 14];
}

/// The endpoint ids that decide who may say what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This partition.
    pub partition: EndpointId,
    /// The SPMC.
    pub spmc: EndpointId,
}

/// What stands behind the message loop.
pub trait Service {
    /// Answers a request of door D.
    fn handle(&mut self, client: EndpointId, request: &door_d::Registers) -> door_d::Registers;

    /// Answers a request of door T.
    fn handle_rpc(&mut self, client: EndpointId, request: &ts_rpc::Registers) -> ts_rpc::Registers;

    /// A virtual machine is gone: nothing of it stays, and no later request is served before that is so. False: the service is out
    /// of order, and nothing was done.
    fn virtual_machine_gone(&mut self, id: EndpointId) -> bool;

    /// This execution context goes to the SPMC, and may come back with a request at any time.
    fn waits(&mut self);

    /// An interrupt of the partition's own came, and was taken: something may have happened.
    fn interrupted(&mut self);
}

/// A service that has panicked: it answers everything with TARGET_DEAD.
#[derive(Clone, Copy, Debug)]
pub struct Dead;

impl Service for Dead {
    fn handle(&mut self, _client: EndpointId, _request: &door_d::Registers) -> door_d::Registers {
        door_d::Answer::of(TeeResult::TargetDead).encode()
    }

    fn handle_rpc(&mut self, _client: EndpointId, request: &ts_rpc::Registers) -> ts_rpc::Registers {
        door_t::answer_of_the_dead(request)
    }

    fn virtual_machine_gone(&mut self, _id: EndpointId) -> bool {
        false
    }

    fn waits(&mut self) {}

    fn interrupted(&mut self) {}
}

/// Returns the call that waits for the next message.
#[must_use]
pub fn wait() -> Registers {
    with_function(FuncId::MsgWait32)
}

/// Returns the next call: for a direct request the direct response of the same family and width, for anything else the wait.
#[must_use]
pub fn answer<S: Service>(identity: Identity, received: &Registers, service: &mut S) -> Registers {
    let client = sender(received);
    // The function id is 32 bits wide; what is above it has no meaning.
    match low_half(received[0]) {
        DIRECT_REQUEST_32 => {
            let (mut response, is_partition_message) =
                direct_response(identity, received, FuncId::MsgSendDirectResp32, service);
            if is_partition_message {
                let [_, _, _, request @ .., _, _, _, _, _, _, _, _, _, _] = *received;
                let [_, _, _, payload @ .., _, _, _, _, _, _, _, _, _, _] = &mut response;
                *payload = service.handle_rpc(client, &request.map(low_half)).map(u64::from);
            }
            response
        }
        DIRECT_REQUEST_64 => {
            let (mut response, is_partition_message) =
                direct_response(identity, received, FuncId::MsgSendDirectResp64, service);
            if is_partition_message {
                let [_, _, _, request @ .., _, _, _, _, _, _, _, _, _, _] = *received;
                let [_, _, _, payload @ .., _, _, _, _, _, _, _, _, _, _] = &mut response;
                *payload = service.handle(client, &request);
            }
            response
        }
        DIRECT_REQUEST_2 => {
            let mut response = with_function(FuncId::MsgSendDirectResp64_2);
            response[1] = reversed_route(identity, received);
            let [_, _, low, high, request @ .., _, _, _, _, _, _, _, _, _] = *received;
            let [_, _, _, _, payload @ .., _, _, _, _, _, _, _, _, _] = &mut response;
            // Not every SPMC looks at the UUID. Door D alone takes messages of this family.
            *payload = if [low, high] == uuid_registers(SERVICE_UUID) {
                service.handle(client, &request)
            } else {
                door_d::Answer::of(TeeResult::NotSupported).encode()
            };
            response
        }
        INTERRUPT => {
            service.interrupted();
            wait()
        }
        _ => wait(),
    }
}

/// Returns the status of an FFA_ERROR, or `None` for another answer. Some SPMCs sign-extend it to 64 bits: only w2 counts.
#[must_use]
pub const fn error_status(answer: &Registers) -> Option<i32> {
    match low_half(answer[0]) {
        ERROR_32 | ERROR_64 => Some(low_half(answer[2]).cast_signed()),
        _ => None,
    }
}

/// Tells whether the SPMC has entered the partition for an interrupt of its own.
#[must_use]
pub const fn is_interrupt(received: &Registers) -> bool {
    low_half(received[0]) == INTERRUPT
}

/// Returns the answer that a direct request gets if nothing can be done for it any more, or `None` for other calls.
#[must_use]
pub fn answer_of_the_dead(identity: Identity, pending: &Registers) -> Option<Registers> {
    let response = answer(identity, pending, &mut Dead);
    (response != wait()).then_some(response)
}

/// Makes the response to a direct request, with the payload that a framework message gets; tells whether it is a partition
/// message instead, whose payload is still zero.
fn direct_response<S: Service>(
    identity: Identity,
    received: &Registers,
    function: FuncId,
    service: &mut S,
) -> (Registers, bool) {
    let mut response = with_function(function);
    response[1] = reversed_route(identity, received);
    let flags = low_half(received[2]);
    if flags & FRAMEWORK == 0 {
        return (response, true);
    }
    let (message, status) = framework_response(identity, received, service);
    response[2] = (FRAMEWORK | message).into();
    response[3] = u64::from(status.cast_unsigned());
    (response, false)
}

/// Returns the message and the status that answer a framework message. PSCI messages count only from the SPMC, those about
/// virtual machines only from the hypervisor. Only that a virtual machine is gone changes anything: an execution context may go
/// at any time between two requests, and a virtual machine that is new has nothing yet.
fn framework_response<S: Service>(identity: Identity, received: &Registers, service: &mut S) -> (u32, i32) {
    let success = 0;
    let denied = i32::from(FfaError::Denied);
    let sender = sender(received);
    let from_hypervisor = sender == HYPERVISOR;
    match low_half(received[2]) & FRAMEWORK_MESSAGE {
        framework::PSCI_REQUEST | framework::WARM_BOOT_REQUEST => {
            (framework::PSCI_RESPONSE, if sender == identity.spmc { success } else { PSCI_DENIED })
        }
        framework::VM_CREATED => {
            (framework::VM_CREATED_RESPONSE, if from_hypervisor { success } else { denied })
        }
        framework::VM_DESTROYED => {
            let id = (low_half(received[5]) & 0xFFFF) as EndpointId;
            let status = if !from_hypervisor {
                denied
            } else if id == HYPERVISOR || id & SECURE != 0 {
                FfaError::InvalidParameters.into()
            } else if service.virtual_machine_gone(id) {
                success
            } else {
                denied
            };
            (framework::VM_DESTROYED_RESPONSE, status)
        }
        later if framework::LATER_REQUESTS.contains(&later) => {
            (later.saturating_add(1), FfaError::NotSupported.into())
        }
        unknown => (unknown, FfaError::NotSupported.into()),
    }
}

/// Returns registers that are zero but for the function id.
fn with_function(function: FuncId) -> Registers {
    let mut registers = [0; 18];
    registers[0] = u32::from(function).into();
    registers
}

/// Returns the sender of a direct message: bits 31:16 of w1.
fn sender(received: &Registers) -> EndpointId {
    (low_half(received[1]) >> 16) as EndpointId
}

/// Returns w1 of the answer: from this partition to the sender.
fn reversed_route(identity: Identity, received: &Registers) -> u64 {
    u64::from(identity.partition) << 16 | u64::from(sender(received))
}

/// Returns bits 31:0.
const fn low_half(register: u64) -> u32 {
    (register & 0xFFFF_FFFF) as u32
}

pub mod door_t;

#[cfg(test)]
mod tests;
