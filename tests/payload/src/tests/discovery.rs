//! Version, ids, features, and both ways to find the partition.
use crate::context::Context;
use crate::framework::Outcome;
use crate::{expect, expect_eq, failure};
use remoteproc_shim::ffa::{BufferPair, PROPERTY_AARCH64, PROPERTY_RECEIVES_DIRECT_REQUESTS, Status};

crate::cases! { "discovery":
    version_and_ids
    features
    partition_by_registers
    partition_by_buffer
    unknown_uuid
    unknown_function
}

const SMCCC_NOT_SUPPORTED: i32 = -1;
const FFA_ERROR: u32 = 0x8400_0060;
const FFA_MSG_WAIT: u32 = 0x8400_006B;
const FFA_FEATURES: u32 = 0x8400_0064;
const FFA_RX_RELEASE: u32 = 0x8400_0065;
const FFA_PARTITION_INFO_GET: u32 = 0x8400_0068;
const FFA_PARTITION_INFO_GET_REGS: u32 = 0xC400_008B;
/// The service's UUID in registers, as docs/abi.md writes it.
const UUID: [u64; 2] = [0x0549_470a_75c2_a480, 0x081a_77a9_8614_8582];
/// Door T's.
const DOOR_T: [u64; 2] = [0x5147_5e82_d776_cdbd, 0xac43_49f8_d486_3b96];
/// Partition property: takes direct requests of the second family.
const PROPERTY_RECEIVES_DIRECT_REQUESTS_2: u32 = 1 << 9;
const INVALID_PARAMETERS: Status = Status::INVALID_PARAMETERS;

fn version_and_ids(context: &mut Context) -> Outcome {
    let tee = context.client.tee();
    let version = tee.answered_version();
    expect!(version.0 == 1 && version.1 >= 2, "the version is {version:?}");
    expect_eq!(tee.own_id(), 0, "the id of the normal world's endpoint");
    expect_eq!(tee.spmc_id(), 0x8000, "the SPMC's id");
    let service = tee.service();
    expect!(service.partition > 0x8000, "the partition's id is {:#x}", service.partition);
    let contexts = super::contexts::expected(context)?;
    expect_eq!(u64::from(service.contexts), contexts, "the number of execution contexts");
    let needed = PROPERTY_RECEIVES_DIRECT_REQUESTS | PROPERTY_RECEIVES_DIRECT_REQUESTS_2 | PROPERTY_AARCH64;
    expect_eq!(service.properties & needed, needed, "the properties");
    Ok(())
}

fn features(context: &mut Context) -> Outcome {
    // RXTX_MAP, PARTITION_INFO_GET and _REGS, DIRECT_REQ of both widths, REQ2, MEM_SHARE, MEM_LEND, MEM_RECLAIM, RX_RELEASE, ID_GET.
    let offered = [
        0xC400_0066,
        0x8400_0068,
        0xC400_008B,
        0x8400_006F,
        0xC400_006F,
        0xC400_008D,
        0xC400_0073,
        0xC400_0072,
        0x8400_0077,
        0x8400_0065,
        0x8400_0069,
    ];
    for function in offered {
        if let Err(status) = context.try_call(FFA_FEATURES, &[function])? {
            return Err(failure!("FFA_FEATURES({function:#x}) is answered {status}"));
        }
    }
    let answer = context.try_call(FFA_FEATURES, &[0x8400_00E0])?;
    expect_eq!(answer.err(), Some(Status::NOT_SUPPORTED), "FFA_FEATURES of an unknown function");
    Ok(())
}

/// With no UUID asked for there is one descriptor for each, and each names its own: door T's comes first.
fn partition_by_registers(context: &mut Context) -> Outcome {
    let expected = context.client.tee().service();
    let head = u64::from(expected.properties) << 32
        | u64::from(expected.contexts) << 16
        | u64::from(expected.partition);
    for (asked, shown) in [(UUID, &[[0, 0]][..]), (DOOR_T, &[[0, 0]]), ([0, 0], &[DOOR_T, UUID])] {
        let answer = context.try_call(FFA_PARTITION_INFO_GET_REGS, &[asked[0], asked[1], 0])?;
        let answer = answer.map_err(|status| failure!("it is answered {status}"))?;
        let size = answer[2] >> 48;
        expect!(size == 24 || size == 48, "a descriptor has {size} bytes");
        let last = shown.len() as u64 - 1;
        expect_eq!(answer[2] & 0xFFFF_FFFF, last << 16 | last, "last and current index");
        for (descriptor, uuid) in answer[3..].chunks_exact(size as usize / 8).zip(shown) {
            expect_eq!(descriptor[0], head, "the descriptor");
            expect_eq!(descriptor[1..3], uuid[..], "the descriptor's UUID");
        }
    }
    Ok(())
}

fn partition_by_buffer(context: &mut Context) -> Outcome {
    let expected = context.client.tee().service();
    let [low, high] = UUID;
    let words = [low & 0xFFFF_FFFF, low >> 32, high & 0xFFFF_FFFF, high >> 32];
    let [word0, word1, word2, word3] = words;
    // Flag 1 asks for the number only, and leaves the RX buffer alone.
    let count = context.try_call(FFA_PARTITION_INFO_GET, &[word0, word1, word2, word3, 1])?;
    expect_eq!(count.map(|answer| answer[2]), Ok(1), "the number of partitions");

    let answer = context.try_call(FFA_PARTITION_INFO_GET, &[word0, word1, word2, word3, 0])?;
    let answer = answer.map_err(|status| failure!("it is answered {status}"))?;
    expect_eq!(answer[2], 1, "the number of partitions");
    expect!(answer[3] >= 24, "a descriptor has {} bytes", answer[3]);
    let mut head = [0; 8];
    let read = context.client.tee().buffers().read(0, &mut head);
    let release = context.try_call(FFA_RX_RELEASE, &[])?;
    expect!(read && release.is_ok(), "the RX buffer: read {read}, given back {:?}", release.err());
    let [id0, id1, contexts0, contexts1, properties @ ..] = head;
    expect_eq!(u16::from_le_bytes([id0, id1]), expected.partition, "the partition's id");
    expect_eq!(u16::from_le_bytes([contexts0, contexts1]), expected.contexts, "the number of contexts");
    expect_eq!(u32::from_le_bytes(properties), expected.properties, "the properties");
    Ok(())
}

fn unknown_uuid(context: &mut Context) -> Outcome {
    let answer = context.try_call(FFA_PARTITION_INFO_GET_REGS, &[UUID[0], UUID[1] ^ 1, 0])?;
    expect_eq!(answer.err(), Some(INVALID_PARAMETERS), "PARTITION_INFO_GET_REGS of an unknown UUID");
    let answer = context.try_call(FFA_PARTITION_INFO_GET, &[1, 2, 3, 4, 0])?;
    expect_eq!(answer.err(), Some(INVALID_PARAMETERS), "PARTITION_INFO_GET of an unknown UUID");
    Ok(())
}

/// A function of FF-A that no SPMC takes from the normal world, and a number that FF-A has not given to any function: who does
/// not know it as FF-A's answers as SMCCC says (DEN0028, section 5.2), in bits 31:0.
fn unknown_function(context: &mut Context) -> Outcome {
    let answer = context.try_call(FFA_MSG_WAIT, &[])?;
    expect_eq!(answer.err(), Some(Status::NOT_SUPPORTED), "FFA_MSG_WAIT of the normal world");
    let answer = context.call(0x8400_00E0, &[]);
    let [function, status] = [answer[0], answer[2]].map(|value| (value as u32).cast_signed());
    let error = function == FFA_ERROR.cast_signed() && status == Status::NOT_SUPPORTED.0;
    expect!(
        error || function == SMCCC_NOT_SUPPORTED,
        "an unknown function is answered {function:#x}, {status}"
    );
    Ok(())
}
