//! FF-A by SMC. Looks at every answer to a direct request: family, sender, receiver, and the registers that have to be zero.
use crate::interrupts::Storm;
use crate::machine;
use arm_ffa::FuncId;
use core::arch::asm;
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
    /// Interrupts while requests are under way.
    pub storm: Option<Storm>,
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

    /// A direct request, or FFA_RUN, which goes on with one.
    fn request(&mut self, function: u32, registers: &Registers) -> Registers {
        let [_, arguments @ ..] = *registers;
        if let Some(storm) = &mut self.storm {
            if FuncId::try_from(function) == Ok(FuncId::Run32) { storm.arm() } else { storm.begin() }
        }
        let before = machine::ticks();
        let answer = smccc::smc64(function, arguments);
        self.ticks = machine::ticks().wrapping_sub(before);
        if answer[0] as u32 != u32::from(FuncId::Interrupt32)
            && let Some(storm) = &mut self.storm
        {
            storm.disarm();
        }
        answer
    }

    fn breach(&mut self, rule: &'static str, register: usize, value: u64) {
        self.breach.get_or_insert(Breach { rule, register, value });
    }

    fn look_at(&mut self, sent: &Registers, answer: &Registers) {
        let function = answer[0] as u32;
        let response = FuncId::try_from(function);
        if response == Ok(FuncId::Interrupt32) {
            // The execution context, which is the partition's first one; nothing else, and nothing of the partition's own registers.
            if answer[1] != self.asked.1 << 16 & 0xFFFF_0000 {
                self.breach("FFA_INTERRUPT names the execution context", 1, answer[1]);
            }
            let dirty = (2..18).find(|&register| {
                answer[register] != 0 && (register < 8 || answer[register] != sent[register])
            });
            if let Some(register) = dirty {
                self.breach("registers behind FFA_INTERRUPT tell nothing", register, answer[register]);
            }
            return;
        }
        if !matches!(
            response,
            Ok(FuncId::MsgSendDirectResp32 | FuncId::MsgSendDirectResp64 | FuncId::MsgSendDirectResp64_2)
        ) {
            // FFA_ERROR, FFA_YIELD and anything else are the shim's business.
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
            self.breach(rule, register, answer[register]);
        }
    }
}

impl FfaTransport for Smc {
    fn call(&mut self, registers: Registers) -> Registers {
        let [function, arguments @ ..] = registers;
        let function = function as u32;
        match FuncId::try_from(function) {
            Ok(FuncId::MsgSendDirectReq32 | FuncId::MsgSendDirectReq64 | FuncId::MsgSendDirectReq64_2) => {
                let answer = self.request(function, &registers);
                self.calls += 1;
                // A request that is refused is not under way; another one may be.
                if answer[0] as u32 != u32::from(FuncId::Error32) {
                    self.asked = (function, registers[1]);
                }
                self.look_at(&registers, &answer);
                answer
            }
            Ok(FuncId::Run32) => {
                let answer = self.request(function, &registers);
                self.look_at(&registers, &answer);
                answer
            }
            Ok(FuncId::MemShare32 | FuncId::MemShare64) => {
                self.shares += 1;
                smccc::smc64(function, arguments)
            }
            _ => smccc::smc64(function, arguments),
        }
    }

    fn interrupted(&mut self) {
        if let Some(storm) = &mut self.storm
            && !storm.take()
        {
            self.breach("the timer's interrupt is pending after FFA_INTERRUPT", 0, 0);
        }
    }

    fn pause(&mut self) {
        machine::wait_microseconds(50);
    }
}

/// Makes one call with these values in q0 to q31, and replaces them by what is there afterwards.
pub fn call_with_vectors(registers: &mut Registers, vectors: &mut [u128; 32]) {
    // SAFETY: an SMC that keeps FF-A's convention changes x0 to x17 alone, all named here; the SIMD registers are clobbered by the ABI
    // named here; x20 points to 512 bytes, aligned, that are read before and written after the call.
    unsafe {
        asm!(
            "ldp q0, q1, [x20, #0]",
            "ldp q2, q3, [x20, #32]",
            "ldp q4, q5, [x20, #64]",
            "ldp q6, q7, [x20, #96]",
            "ldp q8, q9, [x20, #128]",
            "ldp q10, q11, [x20, #160]",
            "ldp q12, q13, [x20, #192]",
            "ldp q14, q15, [x20, #224]",
            "ldp q16, q17, [x20, #256]",
            "ldp q18, q19, [x20, #288]",
            "ldp q20, q21, [x20, #320]",
            "ldp q22, q23, [x20, #352]",
            "ldp q24, q25, [x20, #384]",
            "ldp q26, q27, [x20, #416]",
            "ldp q28, q29, [x20, #448]",
            "ldp q30, q31, [x20, #480]",
            "smc #0",
            "stp q0, q1, [x20, #0]",
            "stp q2, q3, [x20, #32]",
            "stp q4, q5, [x20, #64]",
            "stp q6, q7, [x20, #96]",
            "stp q8, q9, [x20, #128]",
            "stp q10, q11, [x20, #160]",
            "stp q12, q13, [x20, #192]",
            "stp q14, q15, [x20, #224]",
            "stp q16, q17, [x20, #256]",
            "stp q18, q19, [x20, #288]",
            "stp q20, q21, [x20, #320]",
            "stp q22, q23, [x20, #352]",
            "stp q24, q25, [x20, #384]",
            "stp q26, q27, [x20, #416]",
            "stp q28, q29, [x20, #448]",
            "stp q30, q31, [x20, #480]",
            in("x20") vectors.as_mut_ptr(),
            inout("x0") registers[0],
            inout("x1") registers[1],
            inout("x2") registers[2],
            inout("x3") registers[3],
            inout("x4") registers[4],
            inout("x5") registers[5],
            inout("x6") registers[6],
            inout("x7") registers[7],
            inout("x8") registers[8],
            inout("x9") registers[9],
            inout("x10") registers[10],
            inout("x11") registers[11],
            inout("x12") registers[12],
            inout("x13") registers[13],
            inout("x14") registers[14],
            inout("x15") registers[15],
            inout("x16") registers[16],
            inout("x17") registers[17],
            clobber_abi("C"),
            options(nostack)
        );
    }
}
