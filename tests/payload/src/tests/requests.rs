//! Requests that no client should send: each gets one answer, and changes nothing.
use crate::context::Context;
use crate::framework::Outcome;
use crate::{expect_eq, failure};
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{FLAG_LENT, FLAG_ONE_CALL};
use remoteproc_refusal::Refusal;

crate::cases! { "requests":
    unknown_commands
    reserved_commands
    reserved_flags
    reserved_processor_bits
    unknown_stop_mode
    one_call_is_not_for_everybody
    unknown_processors
    surplus_registers_are_ignored
}

const FFA_MSG_SEND_DIRECT_REQ_64: u32 = 0xC400_006F;
const FFA_MSG_SEND_DIRECT_RESP_64: u32 = 0xC400_0070;

fn refused(context: &mut Context, payload: [u64; 5], refusal: Refusal) -> Outcome {
    let answer = context.ask(payload)?;
    context.expect_refusal(answer, refusal).map_err(|error| match error {
        crate::framework::Failure::Failed(why) => {
            failure!("x3 {:#x}, x4 {:#x}: {}", payload[0], payload[1], why.as_str())
        }
        skipped => skipped,
    })
}

fn unknown_commands(context: &mut Context) -> Outcome {
    // 0xfa17 makes a partition fail that is built for that: not this one.
    for id in [0, 7, 8, 0x0f, 0x19, 0x99, 0xfa17, 0x7fff, 0xffff] {
        refused(context, [id, 0, 0, 0, 0], Refusal::UnknownCommand)?;
        refused(context, [id, u64::MAX, u64::MAX, u64::MAX, u64::MAX], Refusal::UnknownCommand)?;
    }
    Ok(())
}

fn reserved_commands(context: &mut Context) -> Outcome {
    for id in [5, 0x16, 0x17] {
        refused(context, [id, 0, 0, 0, 0], Refusal::NotImplemented)?;
    }
    Ok(())
}

fn reserved_flags(context: &mut Context) -> Outcome {
    for id in [1, 2, 3, 4, 6, 0x13] {
        for bit in (16..32).chain(34..64) {
            refused(context, [id | 1 << bit, 0, 0, 0, 0], Refusal::FlagsUnknown)?;
        }
    }
    for id in [2, 3, 4, 6, 0x13] {
        refused(context, [id | FLAG_LENT, 0, 0, 0, 0], Refusal::FlagsUnknown)?;
        refused(context, [id | FLAG_ONE_CALL, 0, 0, 0, 0], Refusal::FlagsUnknown)?;
    }
    Ok(())
}

fn reserved_processor_bits(context: &mut Context) -> Outcome {
    for id in [1, 2, 3, 4, 6] {
        refused(context, [id, 1 << 32, 0, 0, 0], Refusal::FlagsUnknown)?;
        refused(context, [id, 1 << 63, 0, 0, 0], Refusal::FlagsUnknown)?;
    }
    Ok(())
}

fn unknown_stop_mode(context: &mut Context) -> Outcome {
    for mode in [2, 1 << 32, u64::MAX] {
        refused(context, [3, 0, mode, 0, 0], Refusal::FlagsUnknown)?;
    }
    Ok(())
}

/// The manifest does not name this endpoint.
fn one_call_is_not_for_everybody(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let handle = context.share_good(&[sample.range()])?;
    let outcome = refused(context, [1 | FLAG_ONE_CALL, 0, handle, sample.length, 0], Refusal::FlagsUnknown);
    context.reclaim(handle)?;
    outcome
}

fn unknown_processors(context: &mut Context) -> Outcome {
    for processor in [2, 77, 0x8000_0000, 0xffff_ffff] {
        for id in [1, 2, 3, 4, 6, 0x11, 0x12] {
            refused(context, [id, processor, 0, 0, 0], Refusal::UnknownProcessor)?;
        }
    }
    Ok(())
}

/// x8 to x17 of a request mean nothing.
fn surplus_registers_are_ignored(context: &mut Context) -> Outcome {
    let partition = u64::from(context.client.tee().service().partition);
    let mut arguments = [u64::MAX; 17];
    arguments[..7].copy_from_slice(&[partition, 0, Command::ReleaseFirmware as u64, 0, 0, 0, 0]);
    let answer = context.call(FFA_MSG_SEND_DIRECT_REQ_64, &arguments);
    expect_eq!(answer[0] as u32, FFA_MSG_SEND_DIRECT_RESP_64, "the answer");
    expect_eq!(answer[3], 0, "the result");
    Ok(())
}
