//! What a stop leaves in private memory, which nothing closes on this machine: kept if it may be read for a dump, else cleared.
use super::firmware::{load_file, start};
use crate::context::Context;
use crate::framework::Outcome;
use crate::observe;
use crate::{expect, expect_eq, failure, memory};
use core::ops::Range;
use remoteproc_abi::door_d::{Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Operation, ProcessorState};

crate::cases! { "dump":
    secret_firmware_leaves_nothing
    allowed_by_the_signer
    plain_firmware_may_be_read
}

/// The Cortex-M33's private regions.
const PRIVATE: [Range<u64>; 2] = [0x8000_0000..0x80a0_0000, 0x80c0_0000..0x80c3_0000];
/// The firmware's vector table, and a place that its loader cleared and it does not use.
const CODE: u64 = 0x8000_0000;
const UNUSED: u64 = 0x8090_0000;
/// What is written there while it runs.
const MARK: u32 = 0x5ec2_e7ed;

/// Loads, starts and stops firmware. Returns how often the stop was answered IN_PROGRESS while memory was cleared.
fn life(context: &mut Context, name: &str, kept: bool) -> Outcome {
    let file = context.file(name)?;
    let mut table = None;
    // The second time is a recovery: no release before it.
    for round in 0..2 {
        let signs = load_file(context, file)?;
        let found = context.client.resource_table().map_err(|error| failure!("{error}"))?;
        expect!(round == 0 || found == table, "the resource table has moved");
        table = found;
        let heartbeat = start(context, signs)?;
        memory::write(UNUSED, &MARK.to_le_bytes());
        let code = memory::read_word(CODE);
        expect!(code != 0, "no vector table");
        expect!(!status(context)?.2, "it runs and may be read");
        let clearing = stop(context)?;
        let (state, operation, readable) = status(context)?;
        expect_eq!((state, operation), (ProcessorState::Stopped, None), "state and operation");
        expect_eq!(readable, kept, "whether memory may be read");
        if kept {
            expect_eq!((memory::read_word(CODE), memory::read_word(UNUSED)), (code, MARK), "private memory");
        } else {
            for region in PRIVATE {
                let other = memory::first_other(region, 0);
                expect!(other.is_none(), "private memory is not clear at {other:#x?}");
            }
            expect!(clearing > 5, "10 MiB cleared in {clearing} requests");
        }
        // Shared memory stays in any case: heartbeat, trace and table.
        expect!(memory::read_word(heartbeat) != 0, "the heartbeat is gone");
        let (address, length) = signs.trace.ok_or_else(|| failure!("no trace buffer"))?;
        expect!(!observe::trace_text(address, length).is_empty(), "the trace is gone");
        let again = context.client.resource_table().map_err(|error| failure!("{error}"))?;
        expect_eq!(again, table, "the resource table after the stop");
    }
    context.client.release().map_err(|error| failure!("release: {error}"))?;
    expect!(!status(context)?.2, "released, and may be read");
    context.expect_clear()
}

fn status(context: &mut Context) -> Outcome<(ProcessorState, Option<Operation>, bool)> {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    Ok((status.state, status.operation, status.readable))
}

/// Stops it. Returns how many requests found it held already, and not stopped.
fn stop(context: &mut Context) -> Outcome<u32> {
    let processor = context.client.processor();
    let mut clearing = 0;
    for _ in 0..1_000_000 {
        let held = memory::read_word(memory::CORE_STATE) == 0;
        let answer = context.ask(Request::Stop { processor, mode: StopMode::Forced }.encode())?;
        match answer.tee_result() {
            Some(TeeResult::Success) => return Ok(clearing),
            Some(TeeResult::InProgress) => clearing += u32::from(held),
            _ => return Err(failure!("STOP_FW is answered {:#x}", answer.result)),
        }
        crate::machine::wait_microseconds(50);
    }
    Err(failure!("STOP_FW does not end"))
}

fn secret_firmware_leaves_nothing(context: &mut Context) -> Outcome {
    life(context, "firmware-secret", false)
}

fn allowed_by_the_signer(context: &mut Context) -> Outcome {
    life(context, "firmware-dump", true)
}

fn plain_firmware_may_be_read(context: &mut Context) -> Outcome {
    life(context, "firmware", true)
}
