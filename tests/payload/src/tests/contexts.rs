//! Several CPUs, under a manifest with an execution context for each and under one with a single context: every request gets one
//! answer, BUSY or done.
use super::door_t::buffers_come_and_go_meanwhile;
use crate::context::Context;
use crate::framework::{Failure, Outcome, Text};
use crate::interrupts::{Delays, Storm};
use crate::machine::{self, Strictness};
use crate::parameters::{File, number};
use crate::processors::{self, Asker, PROCESSORS};
use crate::{expect, expect_eq, failure, memory, say};
use remoteproc_abi::door_d::{Answer, LoadArguments, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_shim::ffa::{FfaTransport, Registers, Status};

crate::cases! { "contexts":
    processors_go_on_and_off
    wrong_calls_of_psci
    every_processor_loads
    one_load_from_every_processor
    simultaneous_requests
    questions_during_a_load
    who_was_busy_comes_next
    buffers_come_and_go_meanwhile
    an_interrupted_request_on_another_processor
}

const FFA_ERROR: u32 = 0x8400_0060;
const FFA_INTERRUPT: u32 = 0x8400_0062;
const FFA_RUN: u32 = 0x8400_006D;
const REQUEST_64: u32 = 0xC400_006F;
const RESPONSE_64: u32 = 0xC400_0070;
const GET_INFO: u64 = 0x10;
const GET_PROCESSOR: u64 = 0x11;
const GET_STATUS: u64 = 0x12;
const STOP: u64 = 3;
const SUCCESS: u32 = 0;
const BUSY: u32 = 0xFFFF_000D;
const BAD_STATE: u32 = 0xFFFF_0007;
/// Rounds of what is repeated.
const ROUNDS: usize = 20;
/// Requests of each CPU.
const REQUESTS: u64 = 2000;
/// Moments of a request that a case tries before it gives up, and the ticks between two of them: so that some lie shortly before its
/// end, on a fast host and on a slow one. A turn is kept for a few milliseconds, and what is left of the request has to fit in.
const TRIES: u64 = 60;
const STEP: u64 = 40_000;

/// The number of execution contexts that the host has put into the manifest.
pub fn expected(context: &Context) -> Outcome<u64> {
    let value = context.parameters.value("contexts").and_then(number);
    value.ok_or_else(|| failure!("no usable contexts= is given"))
}

/// Switches all CPUs on.
fn all_on() -> Outcome {
    (1..PROCESSORS).try_for_each(processors::switch_on)
}

/// x1 of a direct request.
pub fn parties(context: &mut Context) -> u64 {
    u64::from(context.client.tee().own_id()) << 16 | u64::from(context.client.tee().service().partition)
}

/// Asks for something that succeeds, once.
fn ask_once(parties: u64, payload: [u64; 5]) -> Asker {
    let mut asker = Asker { parties, payload, results: [SUCCESS; 2], times: 1, ..Asker::default() };
    asker.ask();
    asker
}

/// A CPU that comes calls before the first one does; one that goes can come back.
fn processors_go_on_and_off(context: &mut Context) -> Outcome {
    let parties = parties(context);
    for round in 0..ROUNDS {
        for processor in 1..PROCESSORS {
            expect_eq!(processors::state(processor), processors::OFF, "AFFINITY_INFO before");
            processors::switch_on(processor)?;
            let asker = processors::run_on(processor, || ask_once(parties, [GET_INFO, 0, 0, 0, 0]));
            expect!(asker.wrong.is_none(), "round {round}: CPU {processor} is answered {:x?}", asker.wrong);
            // Off in another order than on, and some stay on for longer.
            if (round + processor) % 2 == 0 {
                processors::switch_off(processor)?;
            }
        }
        processors::switch_all_off()?;
    }
    Ok(())
}

fn wrong_calls_of_psci(_: &mut Context) -> Outcome {
    const INVALID_PARAMETERS: i64 = -2;
    const ALREADY_ON: i64 = -4;
    let on = |processor| processors::psci(processors::CPU_ON, &[processor, processors::entry(), 0]);
    expect_eq!(on(0), ALREADY_ON, "CPU_ON of the CPU that asks");
    expect_eq!(on(0x1_0000), INVALID_PARAMETERS, "CPU_ON of a CPU that there is not");
    let info = |processor| processors::psci(processors::AFFINITY_INFO, &[processor, 0]);
    expect_eq!(info(0x1_0000), INVALID_PARAMETERS, "AFFINITY_INFO of a CPU that there is not");
    processors::switch_on(1)?;
    expect_eq!(on(1), ALREADY_ON, "CPU_ON of a CPU that is on");
    processors::switch_off(1)
}

/// The whole client on another CPU: retrieve, signature check, copy and hash.
fn every_processor_loads(context: &mut Context) -> Outcome {
    all_on()?;
    let sample = context.sample()?;
    for processor in 1..PROCESSORS {
        let load = processors::run_on(processor, || {
            context.load(sample).map_err(|error| failure!("{error}"))?;
            context.client.release().map_err(|error| failure!("release: {error}"))?;
            context.expect_clear()
        });
        load.map_err(|failed| on_processor(processor, failed))?;
    }
    processors::switch_all_off()
}

fn on_processor(processor: usize, failed: Failure) -> Failure {
    match failed {
        Failure::Failed(text) => failure!("CPU {processor}: {}", text.as_str()),
        skipped => skipped,
    }
}

fn load_request(context: &Context, handle: u64, total: u64) -> [u64; 5] {
    let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
    Request::Load { processor: context.parameters.processor(), arguments }.encode()
}

/// Each request of a load from the next CPU: the copy window and its translations belong to no CPU.
fn one_load_from_every_processor(context: &mut Context) -> Outcome {
    all_on()?;
    let file = context.large()?;
    let (handle, total) = (context.share_good(&[file.range()])?, file.length);
    let request = load_request(context, handle, total);
    let mut calls = 0;
    loop {
        let processor = calls % PROCESSORS;
        let answer = if processor == 0 {
            context.ask(request)?
        } else {
            processors::run_on(processor, || context.ask(request))
                .map_err(|failed| on_processor(processor, failed))?
        };
        calls += 1;
        match answer.tee_result() {
            Some(TeeResult::InProgress) => {}
            Some(TeeResult::Success) => break,
            _ => return Err(failure!("call {calls}, CPU {processor}: the result is {:#x}", answer.result)),
        }
        expect!(calls < 100_000, "LOAD_FW does not end");
    }
    expect!(calls > 2 * PROCESSORS, "the load took only {calls} requests");
    context.reclaim(handle)?;
    processors::switch_all_off()
}

/// All CPUs ask at the same time, each something else: everybody gets an answer to its own question.
fn simultaneous_requests(context: &mut Context) -> Outcome {
    all_on()?;
    let several = expected(context)? > 1;
    let parties = parties(context);
    let processor = context.parameters.processor().into();
    let mut asker = |payload| -> Outcome<Asker> {
        let answer = context.ask(payload)?;
        expect_eq!(answer.result, SUCCESS, "the result");
        Ok(Asker {
            parties,
            payload,
            results: [SUCCESS; 2],
            values: Some(answer.values),
            times: REQUESTS,
            ..Asker::default()
        })
    };
    // No two of these have the same answer.
    let mut own = asker([GET_INFO, 0, 0, 0, 0])?;
    let mut others = [
        asker([GET_PROCESSOR, 0, 0, 0, 0])?,
        asker([GET_STATUS, processor, 0, 0, 0])?,
        asker([GET_INFO, 0, 0, 0, 0])?,
    ];
    expect!(
        own.values != others[0].values && own.values != others[1].values,
        "questions with the same answer"
    );
    processors::ask_during(&mut others, || own.ask());
    for (processor, asker) in [own].iter().chain(&others).enumerate() {
        say!(
            "info CPU {processor}: {} answers, {} BUSY of the SPMC, {} of the partition, {} in a row",
            asker.answered,
            asker.refused,
            asker.busy,
            asker.longest
        );
        expect!(asker.wrong.is_none(), "CPU {processor} is answered {:x?}", asker.wrong);
        expect_eq!(asker.answered, REQUESTS, "answers");
        // Who answers BUSY depends on who has contexts enough.
        let of_the_other = if several { asker.refused } else { asker.busy };
        expect_eq!(of_the_other, 0, "BUSY of the other one");
    }
    processors::switch_all_off()
}

/// A client that loads without a pause keeps nobody out.
fn questions_during_a_load(context: &mut Context) -> Outcome {
    all_on()?;
    let parties = parties(context);
    let file = context.large()?;
    let asker = |payload| Asker { parties, payload, results: [SUCCESS, BAD_STATE], ..Asker::default() };
    let processor = context.parameters.processor().into();
    let mut others = [asker([GET_STATUS, processor, 0, 0, 0]), asker([STOP, processor, 0, 0, 0])];
    // Each is a line in the partition's log.
    others[1].times = 100;
    let load = processors::ask_during(&mut others, || context.load(file));
    load.map_err(|error| failure!("{error}"))?;
    for (asker, what) in others.iter().zip(["GET_STATUS", "STOP_FW"]) {
        say!(
            "info {what} during a load: {} answers, {} BUSY of the SPMC, {} of the partition, {} in a row",
            asker.answered,
            asker.refused,
            asker.busy,
            asker.longest
        );
        expect!(asker.wrong.is_none(), "{what} is answered {:x?}", asker.wrong);
        expect!(asker.answered >= 10, "{what} is answered {} times only", asker.answered);
    }
    let status = context.client.status().map_err(|error| failure!("{error}"))?;
    say!("info state {:?} afterwards", status.state);
    context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    processors::switch_all_off()
}

/// Has interrupts preempt the partition, or skips the case.
pub fn preempting(context: &Context) -> Outcome {
    if context.set_strictness(Strictness::Preempting)? {
        return Ok(());
    }
    let why = format_args!("only the test bench's SPMC lets interrupts preempt the partition");
    Err(Failure::Skipped(Text::of(why)))
}

/// Makes the second request of a load, and has it interrupted where the service is at work. False: it was answered before.
pub fn interrupted_load(context: &mut Context, handle: u64, total: u64, delay: u64) -> Outcome<bool> {
    let request = load_request(context, handle, total);
    context.load_once(handle, total, 0)?;
    context.client.tee().transport().storm = Some(Storm::new(Delays { first: 1, step: 1, last: 1 }, 0));
    if let Some(storm) = &mut context.client.tee().transport().storm {
        storm.once(delay);
    }
    let parties = parties(context);
    let mut call = [parties, 0, 0, 0, 0, 0, 0];
    call[2..].copy_from_slice(&request);
    let answer = context.call(REQUEST_64, &call);
    let interrupted = answer[0] as u32 == FFA_INTERRUPT;
    if interrupted {
        context.client.tee().transport().interrupted();
    } else {
        expect_eq!(answer[0] as u32, RESPONSE_64, "the answer");
    }
    context.client.tee().transport().storm = None;
    Ok(interrupted)
}

/// FFA_RUN of the partition's first execution context, on this CPU.
pub fn resume(context: &mut Context) -> Registers {
    let target = u64::from(context.client.tee().service().partition) << 16;
    context.call(FFA_RUN, &[target])
}

/// The result that an answer to a direct request of 64 bits carries.
fn result(answer: &Registers) -> Outcome<u32> {
    expect_eq!(answer[0] as u32, RESPONSE_64, "the answer to FFA_RUN");
    Ok(Answer::decode(&[answer[3], answer[4], answer[5], answer[6], answer[7]]).result)
}

/// Repeats the beginning of a load with interrupts at many moments, until `done` says that it has seen what it wants.
fn until_seen(
    context: &mut Context,
    file: File,
    what: &str,
    mut done: impl FnMut(&mut Context) -> Outcome<bool>,
) -> Outcome {
    preempting(context)?;
    let (handle, total) = (context.share_good(&[file.range()])?, file.length);
    let mut seen = false;
    for moment in 0..TRIES {
        if interrupted_load(context, handle, total, 1000 + STEP * moment)? {
            seen |= done(context)?;
        }
        context.client.release().map_err(|error| failure!("release: {error}"))?;
        if seen {
            break;
        }
    }
    expect!(seen, "{what}");
    context.reclaim(handle)
}

/// Whoever comes while the service is in use is answered BUSY, and has the next turn: the one who used it has to wait. That is the
/// partition's business where it has a context for each CPU, and the SPMC's where it has one.
fn who_was_busy_comes_next(context: &mut Context) -> Outcome {
    processors::switch_on(1)?;
    let several = expected(context)? > 1;
    let parties = parties(context);
    let file = context.sample()?;
    let status = [GET_STATUS, context.parameters.processor().into(), 0, 0, 0];
    let once = move || {
        let mut asker =
            Asker { parties, payload: status, results: [SUCCESS, BUSY], times: 1, ..Asker::default() };
        asker.ask();
        asker
    };
    let mut given_way = 0;
    until_seen(
        context,
        file,
        "the one who used the service never waits for the one who was busy",
        |context| {
            // The other CPU asks until this one has looked at its turn: BUSY all the time, because the service is in use.
            let answer = processors::run_on(1, move || smccc::smc64(REQUEST_64, request(parties, status)));
            if !several {
                expect_eq!(answer[0] as u32, FFA_ERROR, "the answer to another CPU");
                expect_eq!(
                    Status((answer[2] as u32).cast_signed()),
                    Status::BUSY,
                    "the answer to another CPU"
                );
                expect_eq!(
                    result(&resume(context))?,
                    u32::from(TeeResult::InProgress),
                    "the interrupted request"
                );
                let asker = processors::run_on(1, once);
                expect_eq!((asker.answered, asker.wrong), (1, None), "the other CPU's answers");
                return Ok(true);
            }
            if result(&answer)? == SUCCESS {
                // The service was not in use yet, or not any more.
                expect_eq!(
                    result(&resume(context))?,
                    u32::from(TeeResult::InProgress),
                    "the interrupted request"
                );
                return Ok(false);
            }
            expect_eq!(result(&answer)?, BUSY, "the answer to another CPU");
            expect_eq!(
                result(&resume(context))?,
                u32::from(TeeResult::InProgress),
                "the interrupted request"
            );
            // At once: unless this machine was away for longer than a turn is kept, it is the other one's.
            let own = smccc::smc64(REQUEST_64, request(parties, status));
            let asker = processors::run_on(1, once);
            expect_eq!((asker.answered, asker.wrong), (1, None), "the other CPU's answers");
            expect_eq!(asker.busy, 0, "BUSY to the one whose turn it is");
            let after = smccc::smc64(REQUEST_64, request(parties, status));
            expect_eq!(result(&after)?, SUCCESS, "the answer when nobody waits");
            given_way += u32::from(result(&own)? == BUSY);
            Ok(given_way > 0)
        },
    )?;
    processors::switch_off(1)
}

/// x1 to x17 of a direct request.
fn request(parties: u64, payload: [u64; 5]) -> [u64; 17] {
    let mut arguments = [0; 17];
    arguments[0] = parties;
    arguments[2..7].copy_from_slice(&payload);
    arguments
}

/// A single context goes on wherever it is resumed; a context that has a CPU stays there.
fn an_interrupted_request_on_another_processor(context: &mut Context) -> Outcome {
    processors::switch_on(1)?;
    let several = expected(context)? > 1;
    let file = context.sample()?;
    until_seen(context, file, "no request is interrupted", |context| {
        let elsewhere = processors::run_on(1, || resume(context));
        let answer = if several {
            expect_eq!(elsewhere[0] as u32, FFA_ERROR, "FFA_RUN of another CPU's context");
            let status = Status((elsewhere[2] as u32).cast_signed());
            expect_eq!(status, Status::INVALID_PARAMETERS, "FFA_RUN of another CPU's context");
            resume(context)
        } else {
            elsewhere
        };
        expect_eq!(result(&answer)?, u32::from(TeeResult::InProgress), "the interrupted request");
        Ok(true)
    })?;
    expect!(memory::first_other(memory::REGIONS, 0).is_none(), "memory is not clear");
    processors::switch_off(1)?;
    expect!(machine::set_strictness(Strictness::Strict), "the SPMC has lost its control");
    Ok(())
}

/// Asks once. True: the service is in use.
pub fn is_busy(parties: u64, payload: [u64; 5]) -> bool {
    let answer = smccc::smc64(REQUEST_64, request(parties, payload));
    answer[0] as u32 == RESPONSE_64 && answer[3] == BUSY.into()
}
