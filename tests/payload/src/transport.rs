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
    /// The direct request that is being answered: function and x1.
    asked: (u32, u64),
    breach: Option<Breach>,
    calls: u64,
    shares: u64,
    /// How long the last direct request took, from SMC to return.
    ticks: u64,
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

    /// Returns how many times memory was shared.
    pub fn shares(&self) -> u64 {
        self.shares
    }

    /// Returns how long the last direct request took, in ticks of the system counter, from SMC to return.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    fn look_at(&mut self, sent: &Registers, answer: &Registers) {
        let function = answer[0] as u32;
        let response = FuncId::try_from(function);
        if !matches!(
            response,
            Ok(FuncId::MsgSendDirectResp32 | FuncId::MsgSendDirectResp64 | FuncId::MsgSendDirectResp64_2)
        ) {
            // FFA_ERROR, FFA_INTERRUPT, FFA_YIELD and anything else are the shim's business.
            return;
        }
        let (asked, parties) = self.asked;
        let expected = parties << 16 & 0xFFFF_0000 | parties >> 16 & 0xFFFF;
        let narrow = response == Ok(FuncId::MsgSendDirectResp32);
        let second = response == Ok(FuncId::MsgSendDirectResp64_2);
        let (result, end) = if second { (4, 9) } else { (3, 8) };
        // An SPMC may leave x8 to x17 as they were, or zero; those that belong to the message are zero.
        let dirty = (end..18)
            .find(|register| answer[*register] != 0 && (second || answer[*register] != sent[*register]));
        let wide = (1..8).find(|register| answer[*register] >> 32 != 0).filter(|_| narrow);
        let breach = if function != asked + 1 {
            Some(("answer is of the request's family and width", 0))
        } else if answer[1] != expected {
            Some(("answer swaps sender and receiver", 1))
        } else if answer[2] != 0 {
            Some(("answer to a partition message has x2 = 0", 2))
        } else if second && answer[3] != 0 {
            Some(("answer of the second family has x3 = 0", 3))
        } else if answer[result] >> 32 != 0 {
            Some(("result has 32 bits", result))
        } else if let Some(register) = wide {
            Some(("answer of 32 bits has 32 bits", register))
        } else {
            dirty.map(|register| ("registers behind an answer's payload are zero", register))
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
        let before = machine::ticks();
        let answer = smccc::smc64(function, arguments);
        let ticks = machine::ticks().wrapping_sub(before);
        match FuncId::try_from(function) {
            Ok(FuncId::MsgSendDirectReq32 | FuncId::MsgSendDirectReq64 | FuncId::MsgSendDirectReq64_2) => {
                self.asked = (function, registers[1]);
                self.calls += 1;
                self.ticks = ticks;
                self.look_at(&registers, &answer);
            }
            Ok(FuncId::MemShare32 | FuncId::MemShare64) => self.shares += 1,
            Ok(FuncId::Run32) => self.look_at(&registers, &answer),
            _ => {}
        }
        answer
    }

    fn pause(&mut self) {
        machine::wait_microseconds(50);
    }
}
