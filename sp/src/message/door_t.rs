//! Door T, when the service is out of order. What it answers otherwise is the service's business.
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
