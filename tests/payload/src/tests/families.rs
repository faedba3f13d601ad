//! Every family of messages: 32 bit, 64 bit, the second family, framework messages. One answer each, in its family and width.
use crate::context::Context;
use crate::framework::Outcome;
use crate::machine::{self, Strictness};
use crate::{expect, expect_eq, failure};
use remoteproc_abi::SERVICE_UUID;
use remoteproc_abi::command::Command;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{Request, UUID};
use remoteproc_refusal::Refusal;
use remoteproc_shim::ffa::{Family, Options, Registers, Status};

crate::cases! { "families":
    door_t_finds_the_service
    door_t_refuses_what_it_can_not_do
    upper_halves_are_no_part_of_32_bits
    second_family_is_the_same_client
    second_family_ignores_what_it_does_not_use
    second_family_of_another_uuid
    second_family_of_an_unlisted_uuid
    framework_messages_are_the_spmcs
    the_shim_speaks_the_second_family
    images_may_be_lent
    lent_memory_that_is_said_to_be_shared
}

const FFA_ERROR: u32 = 0x8400_0060;
const REQUEST_32: u32 = 0x8400_006F;
const REQUEST_64: u32 = 0xC400_006F;
const REQUEST_2: u32 = 0xC400_008D;
/// Door D's UUID in registers, as docs/abi.md writes it.
pub(super) const DOOR_D: [u64; 2] = [0x0549_470a_75c2_a480, 0x081a_77a9_8614_8582];
/// Door T's.
const DOOR_T: [u64; 2] = [0x5147_5e82_d776_cdbd, 0xac43_49f8_d486_3b96];

/// Sends a direct message and takes the answer, which the transport looks at; the function of the answer is the request's plus one.
pub fn message(context: &mut Context, function: u32, payload: &[u64]) -> Outcome<Registers> {
    let mut arguments = [0; 17];
    let tee = context.client.tee();
    arguments[0] = u64::from(tee.own_id()) << 16 | u64::from(tee.service().partition);
    arguments[1..=payload.len()].copy_from_slice(payload);
    let mut answer = context.call(function, &arguments);
    // Another CPU's request is being answered, and the partition has one context.
    while answer[0] as u32 == FFA_ERROR && (answer[2] as u32).cast_signed() == Status::BUSY.0 {
        machine::wait_microseconds(50);
        answer = context.call(function, &arguments);
    }
    expect_eq!(answer[0], u64::from(function + 1), "the answer");
    Ok(answer)
}

/// A request of door T; returns w3 to w7 of the answer.
pub fn rpc(context: &mut Context, request: [u32; 5]) -> Outcome<[u64; 5]> {
    let [w3, w4, w5, w6, w7] = request.map(u64::from);
    let answer = message(context, REQUEST_32, &[0, w3, w4, w5, w6, w7])?;
    Ok([answer[3], answer[4], answer[5], answer[6], answer[7]])
}

fn door_t_finds_the_service(context: &mut Context) -> Outcome {
    expect_eq!(rpc(context, [0xFF_0000, 0, 0, 0, 0])?, [0xFF_0000, 1, 0, 0, 0], "GET_VERSION");
    let service = Request::ServiceInfo { service: SERVICE_UUID }.encode();
    expect_eq!(rpc(context, service)?, [0xFF_0003, 0, 0, 0, 0], "SERVICE_INFO");
    let other = Request::ServiceInfo { service: UUID }.encode();
    expect_eq!(rpc(context, other)?, [0xFF_0003, 0xFFFF_FFFD, 0, 0, 0], "SERVICE_INFO of another service");
    Ok(())
}

fn door_t_refuses_what_it_can_not_do(context: &mut Context) -> Outcome {
    for (control, status) in [
        (0xFF_0001, -5i32),
        (0xFF_0002, -3),
        (0xFF_0004, -2),
        (0xFF_FFFF, -2),
        (0x1, -3),
        (0x1_0001, -2),
        (0xFE_0001, -2),
        (0x0100_0001, -2),
        (0x8000_0001, -2),
    ] {
        let answer = rpc(context, [control, 0x1234, 0, 0, 0])?;
        let expected = [control.into(), status.cast_unsigned().into(), 0, 0, 0];
        expect_eq!(answer, expected, "the answer");
    }
    let answer = rpc(context, [1, u32::MAX, u32::MAX, 0, 0])?;
    expect_eq!(answer, [1, 0xFFFF_FFFA, 0, 0, 0], "a call without memory");
    Ok(())
}

fn upper_halves_are_no_part_of_32_bits(context: &mut Context) -> Outcome {
    let high = 0xDEAD_BEEF << 32;
    let answer = message(context, REQUEST_32, &[high, high | 0xFF_0000, high, high, high, high, high, high])?;
    expect_eq!(answer[3..8], [0xFF_0000, 1, 0, 0, 0], "GET_VERSION");
    Ok(())
}

/// A command by the second family.
fn command_2(context: &mut Context, payload: [u64; 5]) -> Outcome<[u64; 5]> {
    let [x4, x5, x6, x7, x8] = payload;
    let answer = message(context, REQUEST_2, &[DOOR_D[0], DOOR_D[1], x4, x5, x6, x7, x8])?;
    Ok([answer[4], answer[5], answer[6], answer[7], answer[8]])
}

/// The same, repeated until it is answered with something else than IN_PROGRESS.
fn complete_2(context: &mut Context, payload: [u64; 5]) -> Outcome<[u64; 5]> {
    for _ in 0..100_000 {
        let answer = command_2(context, payload)?;
        if answer[0] != u64::from(u32::from(TeeResult::InProgress)) {
            return Ok(answer);
        }
    }
    Err(failure!("command {:#x} does not end", payload[0]))
}

fn second_family_is_the_same_client(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    context.load(sample).map_err(|error| failure!("{error}"))?;
    // What one family loaded, the other owns.
    let table = context.ask([4, 0, 0, 0, 0])?;
    let [result, address, size, ..] = command_2(context, [4, 0, 0, 0, 0])?;
    expect_eq!((result, [address, size]), (0, [table.values[0], table.values[1]]), "GET_RSC_TABLE");
    expect_eq!(complete_2(context, [6, 0, 0, 0, 0])?, [0; 5], "RELEASE_FW");
    let bad_state = u64::from(u32::from(TeeResult::BadState));
    expect_eq!(command_2(context, [2, 0, 0, 0, 0])?, [bad_state, 0, 0, 0, 0], "START_FW");
    let last = context.client.last_error().map_err(|error| failure!("{error}"))?;
    expect_eq!(last.and_then(|last| last.refusal), Some(Refusal::NotLoaded), "the last error");
    let handle = context.share_good(&[sample.range()])?;
    let answer = complete_2(context, [1, 0, handle, sample.length, 0])?;
    context.reclaim(handle)?;
    expect_eq!(answer[0], 0, "LOAD_FW");
    context.client.release().map_err(|error| failure!("{error}"))
}

/// x9 to x17 of such a request mean nothing.
fn second_family_ignores_what_it_does_not_use(context: &mut Context) -> Outcome {
    let mut payload = [u64::MAX; 16];
    payload[..4].copy_from_slice(&[DOOR_D[0], DOOR_D[1], Command::ReleaseFirmware as u64, 0]);
    let answer = message(context, REQUEST_2, &payload)?;
    expect_eq!(answer[4..], [0; 14], "the answer");
    Ok(())
}

/// The partition takes this family behind door D alone.
fn second_family_of_another_uuid(context: &mut Context) -> Outcome {
    let answer = message(context, REQUEST_2, &[DOOR_T[0], DOOR_T[1], 6])?;
    expect_eq!(answer[4], u64::from(u32::from(TeeResult::NotSupported)), "the result");
    Ok(())
}

/// The SPMC refuses such a message; behind one that does not, the partition does.
fn second_family_of_an_unlisted_uuid(context: &mut Context) -> Outcome {
    let partition = context.client.tee().service().partition.into();
    for uuid in [[0, 0], [DOOR_D[0], DOOR_D[1] ^ 1], [u64::MAX, u64::MAX]] {
        let answer = context.call(REQUEST_2, &[partition, uuid[0], uuid[1], 6]);
        // An SPMC that delivers it leaves the refusal to the partition.
        let refused = [answer[0], answer[4]] == [0xC400_008E, u32::from(TeeResult::NotSupported).into()];
        let delivered = context.parameters.value("spmc") == Some("prebuilt") && refused;
        expect!(answer[0] as u32 == 0x8400_0060 || delivered, "the SPMC answers {:#x}", answer[0]);
    }
    if !context.set_strictness(Strictness::AnyUuid)? {
        return Ok(());
    }
    for uuid in [[0, 0], [DOOR_D[0], DOOR_D[1] ^ 1], [u64::MAX, u64::MAX]] {
        let answer = message(context, REQUEST_2, &[uuid[0], uuid[1], 6])?;
        expect_eq!(answer[4], u64::from(u32::from(TeeResult::NotSupported)), "the result");
        expect_eq!(answer[5..], [0; 13], "the rest");
    }
    Ok(())
}

/// The normal world sends none: the SPMC refuses them, and the partition goes on.
/// The message that a virtual machine is gone.
const DESTROYED: u64 = 6;

fn framework_messages_are_the_spmcs(context: &mut Context) -> Outcome {
    let partition = context.client.tee().service().partition.into();
    // Of machines that go the partition wants to hear, and a real SPMC lets a hypervisor say so.
    let delivered = (context.parameters.value("spmc") == Some("prebuilt")).then_some(DESTROYED);
    for number in (0..16).chain([0x55, 0xFF]).filter(|number| Some(*number) != delivered) {
        for function in [REQUEST_32, REQUEST_64] {
            let answer = context.try_call(function, &[partition, 1 << 31 | number, 0x8400_0002])?;
            expect_eq!(answer.err(), Some(Status::INVALID_PARAMETERS), "the SPMC's status");
        }
    }
    Ok(())
}

fn the_shim_speaks_the_second_family(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let tee = context.client.tee();
    expect!(tee.service().takes_second_family(), "the partition does not offer it");
    tee.set_options(Options { family: Family::Direct2, ..Options::default() });
    let loaded = context.load(sample);
    let released = context.client.release();
    context.client.tee().set_options(Options::default());
    loaded.map_err(|error| failure!("{error}"))?;
    released.map_err(|error| failure!("{error}"))
}

fn images_may_be_lent(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    context.client.tee().set_options(Options { lend: true, ..Options::default() });
    let outcome = context.load(sample);
    context.client.tee().set_options(Options::default());
    outcome.map_err(|error| failure!("{error}"))?;
    context.client.release().map_err(|error| failure!("{error}"))
}

/// The partition retrieves as the client says; the SPMC knows better, and the memory comes back.
fn lent_memory_that_is_said_to_be_shared(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let handle = context.lend_good(&[sample.range()])?;
    let answer = context.load_handle(handle, sample.length, 0)?;
    let outcome = context.expect_refusal(answer, Refusal::HandleUnknown);
    context.reclaim(handle)?;
    outcome
}
