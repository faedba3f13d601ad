//! Door T, when the service is out of order or in use. What it answers otherwise is the service's business.
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{Answer, Registers, Request, SERVICE, Status};

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

/// Tells whether a request waits while another execution context uses the service: those of the management do, because their clients
/// know no BUSY, and memory that is not given back is lost to them.
#[must_use]
pub fn waits_its_turn(request: &Registers) -> bool {
    !matches!(Request::decode(request), Ok(Request::Call { interface: SERVICE, .. }))
}

/// Tells whether a request need not wait for those whose turn it is: giving memory back takes no time, and frees what others want.
#[must_use]
pub fn goes_first(request: &Registers) -> bool {
    matches!(Request::decode(request), Ok(Request::RelinquishMemory { .. }))
}

/// Answers a request while another execution context uses the service.
#[must_use]
pub fn answer_of_the_busy(request: &Registers) -> Registers {
    let [control, ..] = *request;
    let answer = match Request::decode(request) {
        Ok(Request::Call { interface: SERVICE, .. }) => {
            Answer::Returned { status: TeeResult::Busy.into(), length: 0 }
        }
        _ => Answer::Status(Status::ResourceFailure),
    };
    answer.encode(control)
}
