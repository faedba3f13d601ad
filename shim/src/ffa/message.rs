//! One direct request and its answer, across BUSY, FFA_INTERRUPT and FFA_YIELD (DEN0077, section 15.2 and 14.5 "FFA_RUN").
use super::error::{Error, Status};
use super::transport::{FfaTransport, Registers, function_of, low, registers, status_of};
use super::{Family, Options};
use arm_ffa::FuncId;
use remoteproc_abi::{SERVICE_UUID, ts_rpc, uuid_registers};

/// The endpoint and execution context that FFA_RUN has to resume, while a request is begun and not answered.
pub(super) type Unanswered = Option<u32>;

/// Sends payload registers and returns those of the answer.
pub(super) fn direct_request<T: FfaTransport>(
    transport: &mut T,
    unanswered: &mut Unanswered,
    options: Options,
    own_id: u16,
    partition: u16,
    payload: [u64; 5],
) -> Result<[u64; 5], Error> {
    finish_unanswered(transport, unanswered, options)?;
    let [x3, x4, x5, x6, x7] = payload;
    let parties = u64::from(own_id) << 16 | u64::from(partition);
    let [uuid_low, uuid_high] = uuid_registers(SERVICE_UUID);
    let (function, request) = match options.family {
        Family::Direct => {
            let function = FuncId::MsgSendDirectReq64;
            (function, registers(function, &[parties, 0, x3, x4, x5, x6, x7]))
        }
        Family::Direct2 => {
            let function = FuncId::MsgSendDirectReq64_2;
            (function, registers(function, &[parties, uuid_low, uuid_high, x3, x4, x5, x6, x7]))
        }
    };
    let (function, answer) = exchange(transport, unanswered, options, function, request)?;
    match FuncId::try_from(function_of(&answer)) {
        Ok(FuncId::MsgSendDirectResp64) if options.family == Family::Direct => {
            let [_, x1, x2, x3, x4, x5, x6, x7, ..] = answer;
            if x1 != u64::from(partition) << 16 | u64::from(own_id) || x2 != 0 {
                return Err(Error::Response { parties: x1, flags: x2 });
            }
            Ok([x3, x4, x5, x6, x7])
        }
        Ok(FuncId::MsgSendDirectResp64_2) if options.family == Family::Direct2 => {
            let [_, x1, x2, x3, x4, x5, x6, x7, x8, ..] = answer;
            if x1 != u64::from(partition) << 16 | u64::from(own_id) || x2 != 0 || x3 != 0 {
                return Err(Error::Response { parties: x1, flags: x2 | x3 });
            }
            Ok([x4, x5, x6, x7, x8])
        }
        Ok(FuncId::Error32 | FuncId::Error64) => Err(Error::Call { function, status: status_of(&answer) }),
        _ => Err(Error::Answer { function, answer: function_of(&answer) }),
    }
}

/// Sends the payload registers of a 32-bit request, w3 to w7, and returns those of the answer.
pub(super) fn rpc_request<T: FfaTransport>(
    transport: &mut T,
    unanswered: &mut Unanswered,
    options: Options,
    own_id: u16,
    partition: u16,
    payload: ts_rpc::Registers,
) -> Result<ts_rpc::Registers, Error> {
    finish_unanswered(transport, unanswered, options)?;
    let parties = u64::from(own_id) << 16 | u64::from(partition);
    let [w3, w4, w5, w6, w7] = payload.map(u64::from);
    let function = FuncId::MsgSendDirectReq32;
    let request = registers(function, &[parties, 0, w3, w4, w5, w6, w7]);
    let (function, answer) = exchange(transport, unanswered, options, function, request)?;
    match FuncId::try_from(function_of(&answer)) {
        Ok(FuncId::MsgSendDirectResp32) => {
            let [_, x1, x2, x3, x4, x5, x6, x7, ..] = answer;
            if u64::from(low(x1)) != u64::from(partition) << 16 | u64::from(own_id) || low(x2) != 0 {
                return Err(Error::Response { parties: x1, flags: x2 });
            }
            Ok([x3, x4, x5, x6, x7].map(low))
        }
        Ok(FuncId::Error32 | FuncId::Error64) => Err(Error::Call { function, status: status_of(&answer) }),
        _ => Err(Error::Answer { function, answer: function_of(&answer) }),
    }
}

/// The partition takes no request before it has answered the one that this client gave up; that answer is nobody's.
fn finish_unanswered<T: FfaTransport>(
    transport: &mut T,
    unanswered: &mut Unanswered,
    options: Options,
) -> Result<(), Error> {
    match *unanswered {
        Some(target) => exchange(transport, unanswered, options, FuncId::Run32, run(target)).map(drop),
        None => Ok(()),
    }
}

/// Makes a call, repeats it while it is answered BUSY, and resumes the partition as often as it is interrupted or yields. Returns
/// the first other answer, and the call that it answers.
fn exchange<T: FfaTransport>(
    transport: &mut T,
    unanswered: &mut Unanswered,
    options: Options,
    mut function: FuncId,
    mut next: Registers,
) -> Result<(FuncId, Registers), Error> {
    let mut busy = 0;
    let mut resumes = 0;
    loop {
        let answer = transport.call(next);
        match FuncId::try_from(function_of(&answer)) {
            Ok(id @ (FuncId::Interrupt32 | FuncId::Interrupt64 | FuncId::Yield32 | FuncId::Yield64)) => {
                // x1 names the endpoint and the execution context to go on with.
                let target = low(answer[1]);
                *unanswered = Some(target);
                if matches!(id, FuncId::Yield32 | FuncId::Yield64) {
                    transport.pause();
                } else {
                    transport.interrupted();
                }
                if resumes >= options.resumes {
                    return Err(Error::Stalled(FuncId::Run32));
                }
                resumes += 1;
                function = FuncId::Run32;
                next = run(target);
            }
            Ok(FuncId::Error32 | FuncId::Error64) if status_of(&answer) == Status::BUSY => {
                if busy >= options.busy {
                    return Err(Error::Stalled(function));
                }
                busy += 1;
                transport.pause();
            }
            Ok(FuncId::Error32 | FuncId::Error64)
                if matches!(function, FuncId::Run32) && status_of(&answer) == Status::INVALID_PARAMETERS =>
            {
                // Resumed from another CPU than the one it was interrupted on: it is still to be answered.
                return Err(Error::Call { function, status: status_of(&answer) });
            }
            _ => {
                *unanswered = None;
                return Ok((function, answer));
            }
        }
    }
}

/// FFA_RUN.
fn run(target: u32) -> Registers {
    registers(FuncId::Run32, &[target.into()])
}
