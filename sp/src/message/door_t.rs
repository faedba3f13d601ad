//! Door T, as far as it is open: a client finds the version and the service. Shared buffers, and with them the service's calls,
//! are refused, each with the status that tells why.
use remoteproc_abi::SERVICE_UUID;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{Answer, Registers, Request, Status};

/// The interface id of the one service.
const SERVICE: u8 = 0;

/// Answers a request.
#[must_use]
pub fn answer(request: &Registers) -> Registers {
    let [control, ..] = *request;
    let answer = match Request::decode(request) {
        Ok(Request::GetVersion) => Answer::Version,
        Ok(Request::ServiceInfo { service: SERVICE_UUID }) => Answer::Interface(SERVICE),
        Ok(Request::ServiceInfo { .. }) => Answer::Status(Status::NotFound),
        // No memory is ever taken, so that none can be named or given back.
        Ok(Request::RetrieveMemory { .. }) => Answer::Status(Status::ResourceFailure),
        Ok(Request::RelinquishMemory { .. } | Request::Call { interface: SERVICE, handle: Some(_), .. }) => {
            Answer::Status(Status::NotFound)
        }
        // The service's arguments lie in shared memory.
        Ok(Request::Call { interface: SERVICE, handle: None, .. }) => {
            Answer::Status(Status::InvalidRequestBody)
        }
        Ok(Request::Call { .. }) => Answer::Status(Status::InvalidValue),
        Err(status) => Answer::Status(status),
    };
    answer.encode(control)
}

/// Answers a request when the service is out of order: the service's calls get TARGET_DEAD, everything else an internal error.
#[must_use]
pub fn answer_of_the_dead(request: &Registers) -> Registers {
    let [control, ..] = *request;
    let answer = match Request::decode(request) {
        Ok(Request::Call { interface: SERVICE, .. }) => {
            Answer::Returned { status: TeeResult::TargetDead.into(), length: 0 }
        }
        _ => Answer::Status(Status::Internal),
    };
    answer.encode(control)
}
