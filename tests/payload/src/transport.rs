//! FF-A by SMC. Looks at every answer to a direct request: family, sender, receiver, and the registers that have to be zero.
use crate::machine;
use arm_ffa::FuncId;
use remoteproc_shim::ffa::{FfaTransport, Registers};

/// An answer that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which rule.
    pub rule: &'static str,
    /// The register that shows it.
    pub register: usize,
    /// Its value.
    pub value: u64,
}

/// The conduit.
#[derive(Default)]
pub struct Smc {
    /// x1 of the direct request that is being answered.
    asked: u64,
    breach: Option<Breach>,
    calls: u64,
}

impl Smc {
    /// Returns the first breach since this was asked last.
    pub fn take_breach(&mut self) -> Option<Breach> {
        self.breach.take()
    }

    /// Returns how many direct requests were sent.
    pub fn direct_requests(&self) -> u64 {
        self.calls
    }

    fn look_at(&mut self, sent: &Registers, answer: &Registers) {
        let function = FuncId::try_from(answer[0] as u32);
        let breach = match function {
            Ok(FuncId::MsgSendDirectResp64) => {
                let expected = self.asked << 16 & 0xFFFF_0000 | self.asked >> 16 & 0xFFFF;
                // An SPMC may leave them as they were, or zero.
                let dirty = (8..18).find(|register| ![0, sent[*register]].contains(&answer[*register]));
                if answer[1] != expected {
                    Some(("answer swaps sender and receiver", 1))
                } else if answer[2] != 0 {
                    Some(("answer to a partition message has x2 = 0", 2))
                } else if answer[3] >> 32 != 0 {
                    Some(("result has 32 bits", 3))
                } else {
                    dirty.map(|register| ("x8 to x17 of an answer are zero", register))
                }
            }
            Ok(FuncId::MsgSendDirectResp32 | FuncId::MsgSendDirectResp64_2) => {
                Some(("answer is of the request's family and width", 0))
            }
            // FFA_ERROR, FFA_INTERRUPT, FFA_YIELD and anything else are the shim's business.
            _ => None,
        };
        if let Some((rule, register)) = breach {
            self.breach.get_or_insert(Breach { rule, register, value: answer[register] });
        }
    }
}

impl FfaTransport for Smc {
    fn call(&mut self, registers: Registers) -> Registers {
        let [function, arguments @ ..] = registers;
        let function = function as u32;
        let answer = smccc::smc64(function, arguments);
        match FuncId::try_from(function) {
            Ok(FuncId::MsgSendDirectReq64) => {
                self.asked = registers[1];
                self.calls += 1;
                self.look_at(&registers, &answer);
            }
            Ok(FuncId::Run32) => self.look_at(&registers, &answer),
            _ => {}
        }
        answer
    }

    fn pause(&mut self) {
        machine::wait_microseconds(50);
    }
}
