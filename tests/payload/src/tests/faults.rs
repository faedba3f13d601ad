//! A partition that fails: the request at hand and all later ones are answered TARGET_DEAD, what was being loaded is held in reset,
//! what runs is left alone.
//!
//! The partition is a build that fails on request (`sp/src/fault.rs`). Each case has a machine to itself: afterwards nothing works.
use super::families::message;
use super::{contexts, firmware};
use crate::context::Context;
use crate::framework::Outcome;
use crate::processors::{self, PROCESSORS};
use crate::{expect, expect_eq, failure, machine, memory, observe};
use remoteproc_abi::SERVICE_UUID;
use remoteproc_abi::door_d::{LoadArguments, Request};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc;

crate::cases! { "faults":
    panic_in_metadata
    panic_while_claimed
    panic_while_hashing
    panic_when_loaded
    panic_while_starting
    panic_while_running
    panic_in_door_t
    panic_in_the_second_family
    panic_again_while_dying
    data_abort_while_claimed
    data_abort_again_while_dying
    instruction_abort_when_loaded
    undefined_instruction_while_running
    stack_overflow_while_claimed
    stack_overflow_again_while_dying
    heap_used_up_while_hashing
    panic_with_the_tables_locked
    data_abort_with_the_window_mapped
    panic_at_the_end_of_the_stack
    panic_on_another_processor
    panic_beside_an_interrupted_load
}

/// The command that plans a fault, ways to fail, and points to fail at.
const COMMAND: u64 = 0xFA17;
const PANIC: u64 = 1;
const DATA_ABORT: u64 = 2;
const INSTRUCTION_ABORT: u64 = 3;
const UNDEFINED_INSTRUCTION: u64 = 4;
const STACK_OVERFLOW: u64 = 5;
const HEAP_USED_UP: u64 = 6;
const LATE_PANIC: u64 = 7;
const NOW: u64 = 1;
const CLIENT_READ: u64 = 2;
const REMOTE_WRITE: u64 = 3;
const REMOTE_READ: u64 = 4;
const DOOR_T: u64 = 5;
const TABLES: u64 = 6;
const WINDOW: u64 = 7;
const OUTSIDE: u64 = 9;

/// TARGET_DEAD (docs/abi.md), and the TS-RPC status of a partition that has died.
const TARGET_DEAD: u64 = 0xFFFF_3024;
const INTERNAL: u64 = 0xFFFF_FFFF;
const REQUEST_32: u32 = 0x8400_006F;
const REQUEST_2: u32 = 0xC400_008D;
const RESPONSE_64: u32 = 0xC400_0070;
const FFA_RUN: u32 = 0x8400_006D;
/// Door D's UUID in registers.
const DOOR_D: [u64; 2] = [0x0549_470a_75c2_a480, 0x081a_77a9_8614_8582];
/// The control page's words.
const HOLD: u32 = 2;
const RELEASE: u32 = 1;
const HELD: u32 = 0;
const RUNNING: u32 = 1;
/// How long the remote core's reset line may take, ms.
const RESET_WITHIN: u64 = 10_000;
/// Requests that a command may take.
const PATIENCE: u32 = 10_000;

/// Plans a fault that is not due yet.
fn plan(context: &mut Context, kind: u64, point: u64) -> Outcome {
    let answer = context.ask([COMMAND, kind, point, 0, 0])?;
    expect_eq!(
        (answer.result, answer.values),
        (0, [0; 4]),
        "the answer of a partition that fails on request"
    );
    context.dead = true;
    Ok(())
}

/// Lets the partition fail in this very request, and once more while it is dying.
fn fail_now(context: &mut Context, kind: u64, again: bool) -> Outcome {
    context.dead = true;
    let answer = context.ask([COMMAND, kind, NOW, again.into(), 0])?;
    expect_eq!((u64::from(answer.result), answer.values), (TARGET_DEAD, [0; 4]), "the answer to what failed");
    expect_dead(context)
}

/// Checks that requests of every family are answered TARGET_DEAD, again and again.
fn expect_dead(context: &mut Context) -> Outcome {
    for _ in 0..3 {
        for command in (0..=0x18).chain([COMMAND, 0xFFFF]) {
            for processor in [0, 77, u64::MAX] {
                let answer = context.ask([command, processor, 0, 0, 0])?;
                let got = (u64::from(answer.result), answer.values);
                expect_eq!(got, (TARGET_DEAD, [0; 4]), "the answer of a dead partition");
                let answer = message(context, REQUEST_2, &[DOOR_D[0], DOOR_D[1], command, processor])?;
                let mut expected = [0; 14];
                expected[0] = TARGET_DEAD;
                expect_eq!(answer[4..], expected, "its answer in the second family");
            }
        }
        for request in [
            ts_rpc::Request::GetVersion.encode(),
            ts_rpc::Request::ServiceInfo { service: SERVICE_UUID }.encode(),
            [0xFF_0001, 1, 2, 0, 0],
        ] {
            let [control, ..] = request;
            let answer = door_t(context, request)?;
            expect_eq!(answer, [control.into(), INTERNAL, 0, 0, 0], "its answer in door T");
        }
        for opcode in [0, 1, 2, 0xFFFF] {
            let answer = door_t(context, [opcode, 1, 0, 0, 0])?;
            expect_eq!(answer, [opcode.into(), 0, TARGET_DEAD, 0, 0], "its answer to a call of the service");
        }
    }
    Ok(())
}

/// A request of door T; returns w3 to w7 of the answer.
fn door_t(context: &mut Context, request: [u32; 5]) -> Outcome<[u64; 5]> {
    let [w3, w4, w5, w6, w7] = request.map(u64::from);
    let answer = message(context, REQUEST_32, &[0, w3, w4, w5, w6, w7])?;
    Ok([answer[3], answer[4], answer[5], answer[6], answer[7]])
}

/// Loads until the partition has failed.
fn fails_in_load(context: &mut Context, kind: u64, point: u64) -> Outcome {
    plan(context, kind, point)?;
    let firmware = context.firmware()?;
    let releases = memory::read_word(memory::RELEASES);
    let handle = context.share_good(&[firmware.range()])?;
    let arguments = LoadArguments { handle, total: firmware.length, offset: 0, lent: false, one_call: false };
    let request = Request::Load { processor: context.parameters.processor(), arguments }.encode();
    let in_progress = u32::from(TeeResult::InProgress);
    let mut answer = context.ask(request)?;
    for _ in 0..PATIENCE {
        if answer.result != in_progress {
            break;
        }
        machine::wait_microseconds(50);
        answer = context.ask(request)?;
    }
    expect_eq!((u64::from(answer.result), answer.values), (TARGET_DEAD, [0; 4]), "the answer to LOAD_FW");
    expect_dead(context)?;
    expect_held(releases)
}

/// Checks by the control page that the processor is held, and was not released.
fn expect_held(releases: u32) -> Outcome {
    machine::wait_until(RESET_WITHIN, || memory::read_word(memory::CORE_STATE) == HELD);
    expect_eq!(memory::read_word(memory::CORE_STATE), HELD, "the remote core's state");
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases");
    Ok(())
}

/// Loads the firmware, lets the partition fail, and checks that the processor is held.
fn fails_when_loaded(context: &mut Context, kind: u64) -> Outcome {
    firmware::load(context)?;
    let releases = memory::read_word(memory::RELEASES);
    fail_now(context, kind, false)?;
    expect_held(releases)
}

/// Lets the partition fail while it waits for the reset line: nobody knows whether the firmware runs, so it is held.
fn fails_while_starting(context: &mut Context, kind: u64, again: bool) -> Outcome {
    let signs = firmware::load(context)?;
    let heartbeat = signs.heartbeat.ok_or_else(|| failure!("the resource table names no heartbeat"))?;
    let processor = context.parameters.processor();
    for _ in 0..PATIENCE {
        let answer = context.ask(Request::Start { processor }.encode())?;
        expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the answer to START_FW");
        if memory::read_word(memory::ORDER) == RELEASE {
            break;
        }
    }
    expect_eq!(memory::read_word(memory::ORDER), RELEASE, "the order on the control page");
    fail_now(context, kind, again)?;
    expect_eq!(memory::read_word(memory::ORDER), HOLD, "the order of a dying partition");
    // It may have been released meanwhile; then the hold comes behind that.
    let mut still = None;
    machine::wait_until(RESET_WITHIN, || {
        still = observe::stands(heartbeat).ok();
        still.is_some() && memory::read_word(memory::CORE_STATE) == HELD
    });
    expect_eq!(memory::read_word(memory::CORE_STATE), HELD, "the remote core's state");
    expect!(still.is_some(), "the heartbeat moves");
    Ok(())
}

/// Starts the firmware, lets the partition fail, and checks that the firmware goes on.
fn fails_while_running(context: &mut Context, fail: impl FnOnce(&mut Context) -> Outcome) -> Outcome {
    let signs = firmware::load(context)?;
    let heartbeat = firmware::start(context, signs)?;
    let releases = memory::read_word(memory::RELEASES);
    fail(context)?;
    for _ in 0..2 {
        let now = memory::read_word(heartbeat);
        observe::wait_for_move(heartbeat, now).ok_or_else(|| failure!("the heartbeat stays {now}"))?;
    }
    expect_eq!(memory::read_word(memory::ORDER), RELEASE, "the last order on the control page");
    expect_eq!(memory::read_word(memory::CORE_STATE), RUNNING, "the remote core's state");
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases");
    Ok(())
}

fn panic_in_metadata(context: &mut Context) -> Outcome {
    fails_in_load(context, PANIC, CLIENT_READ)
}

fn panic_while_claimed(context: &mut Context) -> Outcome {
    fails_in_load(context, PANIC, REMOTE_WRITE)
}

fn panic_while_hashing(context: &mut Context) -> Outcome {
    fails_in_load(context, PANIC, REMOTE_READ)
}

fn panic_when_loaded(context: &mut Context) -> Outcome {
    fails_when_loaded(context, PANIC)
}

fn panic_while_starting(context: &mut Context) -> Outcome {
    fails_while_starting(context, PANIC, false)
}

fn panic_while_running(context: &mut Context) -> Outcome {
    fails_while_running(context, |context| fail_now(context, PANIC, false))
}

fn panic_in_door_t(context: &mut Context) -> Outcome {
    fails_while_running(context, |context| {
        plan(context, PANIC, DOOR_T)?;
        // A call that takes the service.
        let answer = door_t(context, ts_rpc::Request::RelinquishMemory { handle: 1 }.encode())?;
        expect_eq!(answer, [0xFF_0002, INTERNAL, 0, 0, 0], "the answer to what failed");
        expect_dead(context)
    })
}

fn panic_in_the_second_family(context: &mut Context) -> Outcome {
    fails_while_running(context, |context| {
        context.dead = true;
        let answer = message(context, REQUEST_2, &[DOOR_D[0], DOOR_D[1], COMMAND, PANIC, NOW])?;
        let mut expected = [0; 14];
        expected[0] = TARGET_DEAD;
        expect_eq!(answer[4..], expected, "the answer to what failed");
        expect_dead(context)
    })
}

fn panic_again_while_dying(context: &mut Context) -> Outcome {
    fails_while_starting(context, PANIC, true)
}

fn data_abort_while_claimed(context: &mut Context) -> Outcome {
    fails_in_load(context, DATA_ABORT, REMOTE_WRITE)
}

fn data_abort_again_while_dying(context: &mut Context) -> Outcome {
    fails_while_starting(context, DATA_ABORT, true)
}

fn instruction_abort_when_loaded(context: &mut Context) -> Outcome {
    fails_when_loaded(context, INSTRUCTION_ABORT)
}

fn undefined_instruction_while_running(context: &mut Context) -> Outcome {
    fails_while_running(context, |context| fail_now(context, UNDEFINED_INSTRUCTION, false))
}

fn stack_overflow_while_claimed(context: &mut Context) -> Outcome {
    fails_in_load(context, STACK_OVERFLOW, REMOTE_WRITE)
}

fn stack_overflow_again_while_dying(context: &mut Context) -> Outcome {
    fails_while_starting(context, STACK_OVERFLOW, true)
}

fn heap_used_up_while_hashing(context: &mut Context) -> Outcome {
    fails_in_load(context, HEAP_USED_UP, REMOTE_READ)
}

fn panic_with_the_tables_locked(context: &mut Context) -> Outcome {
    fails_in_load(context, PANIC, TABLES)
}

fn data_abort_with_the_window_mapped(context: &mut Context) -> Outcome {
    fails_in_load(context, DATA_ABORT, WINDOW)
}

/// The end needs more stack than is left, and has it.
fn panic_at_the_end_of_the_stack(context: &mut Context) -> Outcome {
    fails_while_starting(context, LATE_PANIC, false)
}

/// One execution context fails: all others answer TARGET_DEAD too, those that were there and those that come.
fn panic_on_another_processor(context: &mut Context) -> Outcome {
    processors::switch_on(1)?;
    fails_while_running(context, |context| {
        processors::run_on(1, || fail_now(context, PANIC, false))?;
        expect_dead(context)?;
        for processor in 2..PROCESSORS {
            processors::switch_on(processor)?;
            processors::run_on(processor, || expect_dead(context))?;
        }
        // One that starts again.
        processors::switch_off(1)?;
        processors::switch_on(1)?;
        processors::run_on(1, || expect_dead(context))
    })
}

/// An execution context fails while another one is stopped in the middle of a request: that one goes on, is answered, and only then
/// leaves the service to the end.
fn panic_beside_an_interrupted_load(context: &mut Context) -> Outcome {
    contexts::preempting(context)?;
    processors::switch_on(1)?;
    let firmware = context.firmware()?;
    let releases = memory::read_word(memory::RELEASES);
    let (handle, total) = (context.share_good(&[firmware.range()])?, firmware.length);
    plan(context, PANIC, OUTSIDE)?;
    let parties = contexts::parties(context);
    let question = context.parameters.processor().into();
    let mut in_use = false;
    for moment in 0..60 {
        if contexts::interrupted_load(context, handle, total, 1000 + 997 * (moment % 20))? {
            let busy = processors::run_on(1, || contexts::is_busy(parties, [0x12, question, 0, 0, 0]));
            if busy {
                in_use = true;
                break;
            }
            contexts::resume(context);
        }
        context.client.release().map_err(|error| failure!("release: {error}"))?;
    }
    expect!(in_use, "no request is interrupted where the service is at work");
    let answer = processors::run_on(1, || door_t(context, ts_rpc::Request::GetVersion.encode()))?;
    expect_eq!(answer, [0xFF_0000, INTERNAL, 0, 0, 0], "the answer to what failed");
    processors::run_on(1, || expect_dead(context))?;
    // Past the transport, which would hold the answer against what was asked last.
    let mut target = [0; 17];
    target[0] = u64::from(context.client.tee().service().partition) << 16;
    let answer = smccc::smc64(FFA_RUN, target);
    expect_eq!(answer[0] as u32, RESPONSE_64, "the answer to FFA_RUN");
    expect_eq!(
        answer[3],
        u64::from(u32::from(TeeResult::InProgress)),
        "the answer to the interrupted request"
    );
    expect_dead(context)?;
    expect_held(releases)
}
