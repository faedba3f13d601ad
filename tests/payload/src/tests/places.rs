//! Execution contexts that find no place: more CPUs than the partition serves. They wait, and each message gets its one answer from code
//! that uses neither stack nor memory.
//!
//! The partition is the build for the controls, which gives its places away on request (`sp/src/contexts.rs`).
use super::contexts::parties;
use super::families::DOOR_D;
use crate::context::{Context, HYPERVISOR};
use crate::framework::Outcome;
use crate::processors::{self, Asker};
use crate::{expect, expect_eq, failure, machine};
use remoteproc_abi::result::TeeResult;

crate::cases! { "places":
    contexts_without_a_place
}

/// Takes all places but the first away (1), or gives them back (0).
const COMMAND: u64 = 0xFA19;
const REQUEST_32: u32 = 0x8400_006F;
const REQUEST_64: u32 = 0xC400_006F;
const REQUEST_2: u32 = 0xC400_008D;
const SPMC: u16 = 0x8000;
/// The commands of door D: GET_INFO.
const INFO: u64 = 0x10;
/// Door T: GET_VERSION, answered with RESOURCE_FAILURE.
const GET_VERSION: u64 = 0x00FF_0000;
const RESOURCE_FAILURE: u64 = 0xFFFF_FFF8;
const NOT_SUPPORTED: u64 = 0xFFFF_FFFF;

fn set_places(context: &mut Context, given_away: u64) -> Outcome {
    let answer = context.ask([COMMAND, given_away, 0, 0, 0])?;
    expect_eq!((answer.result, answer.values), (0, [0; 4]), "the answer of a partition for controls");
    Ok(())
}

/// Makes a call on another CPU. What the second family does not use is not zero: none of it may come back.
fn call(processor: usize, function: u32, used: &[u64]) -> [u64; 18] {
    let mut arguments = [if function == REQUEST_2 { 0x5a5a_5a5a_5a5a_5a5a } else { 0 }; 17];
    arguments[..used.len()].copy_from_slice(used);
    processors::run_on(processor, || smccc::smc64(function, arguments))
}

fn expect_answer(what: &str, answer: &[u64; 18], expected: &[u64]) -> Outcome {
    let (first, rest) = answer.split_at(expected.len());
    if first != expected || rest.iter().any(|value| *value != 0) {
        return Err(failure!("{what} is answered {answer:x?}, expecting {expected:x?} and zeros"));
    }
    Ok(())
}

fn contexts_without_a_place(context: &mut Context) -> Outcome {
    set_places(context, 1)?;
    let outcome = while_given_away(context);
    set_places(context, 0)?;
    outcome?;
    // A CPU that comes now is served.
    processors::switch_on(1)?;
    let parties = parties(context);
    let answer = call(1, REQUEST_64, &[parties, 0, INFO, 0, 0, 0, 0]);
    expect_eq!((answer[0], answer[3]), (0xC400_0070, 0), "the answer with a place");
    processors::switch_all_off()
}

fn while_given_away(context: &mut Context) -> Outcome {
    (1..processors::PROCESSORS).try_for_each(processors::switch_on)?;
    let busy = u64::from(u32::from(TeeResult::Busy));
    for (processor, sender) in [(1, 0), (2, 1), (3, 0x7FFF)] {
        let parties = parties(context) | sender << 16;
        let back = parties << 16 & 0xFFFF_0000 | parties >> 16;
        let answer = call(processor, REQUEST_64, &[parties, 0, INFO, 0, 0, 0, 0]);
        expect_answer("door D", &answer, &[0xC400_0070, back, 0, busy])?;
        let answer = call(processor, REQUEST_32, &[parties, 0, GET_VERSION, 0, 0, 0, 0]);
        expect_answer("door T", &answer, &[0x8400_0070, back, 0, GET_VERSION, RESOURCE_FAILURE])?;
        let answer = call(processor, REQUEST_2, &[parties, DOOR_D[0], DOOR_D[1], INFO, 0, 0, 0, 0]);
        expect_answer("the second family", &answer, &[0xC400_008E, back, 0, 0, busy])?;
    }
    framework_messages()?;
    others_are_served(context)?;
    // The message of its end is answered, too; and it starts again as it was.
    for processor in 1..processors::PROCESSORS {
        processors::switch_off(processor)?;
        processors::switch_on(processor)?;
    }
    let parties = parties(context);
    let answer = call(1, REQUEST_64, &[parties, 0, INFO, 0, 0, 0, 0]);
    expect_eq!((answer[0], answer[3]), (0xC400_0070, busy), "the answer after CPU_OFF and CPU_ON");
    processors::switch_all_off()
}

/// Framework messages other than those of power are not supported here.
fn framework_messages() -> Outcome {
    let messages =
        [(HYPERVISOR, 4, 5), (HYPERVISOR, 6, 7), (SPMC, 6, 7), (HYPERVISOR, 8, 9), (HYPERVISOR, 0x55, 0x55)];
    for (sender, message, response) in messages {
        for function in [REQUEST_32, REQUEST_64] {
            let answer = processors::run_on(1, || {
                machine::framework_message(function, sender, message, [0x1234, 0x5678, 1])
            });
            let answer = answer.ok_or_else(|| failure!("this SPMC sends no such message"))?;
            let parties = 0x8001_0000 | u64::from(sender);
            let start = [u64::from(function) + 1, parties, 0x8000_0000 | response, NOT_SUPPORTED];
            expect!(answer == [start, [0; 4]].as_flattened(), "message {message} is answered {answer:x?}");
        }
    }
    Ok(())
}

/// While contexts without a place are asked without a pause, the one with a place serves.
fn others_are_served(context: &mut Context) -> Outcome {
    let status = [0x12, context.parameters.processor().into(), 0, 0, 0];
    let parties = parties(context);
    let mut others = [Asker { parties, payload: status, ..Asker::default() }; 3];
    let sample = context.sample()?;
    let outcome = processors::ask_during(&mut others, || {
        context.load(sample).map_err(|error| failure!("a load: {error}"))?;
        context.client.release().map_err(|error| failure!("release: {error}"))
    });
    outcome?;
    for asker in others {
        expect!(asker.wrong.is_none(), "a context without a place answers {:x?}", asker.wrong);
        expect!(asker.busy > 0 && asker.answered == 0, "{} busy, {} answered", asker.busy, asker.answered);
    }
    Ok(())
}
