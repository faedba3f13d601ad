//! What each single request costs, from SMC to return, beside the bare cost of what it may do at most: one slice, one signature
//! check. In guest instructions, which the emulator counts when it is told to; the host judges the figures.
//!
//! Each command prints `info bounds call WHAT | calls N, longest I, call K, bytes done B`, each floor
//! `info bounds floor WHAT | I`.
use super::door_t;
use crate::context::Context;
use crate::floor;
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, machine, memory, say};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{Answer, LoadArguments, Request, StopMode};
use remoteproc_abi::door_t::MAX_CHUNK_LENGTH;
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_image::provider::PublicKey;
use remoteproc_refusal::Refusal;

crate::cases! { "bounds":
    floors
    questions
    life_rsa_4096
    life_p256
    life_encrypted
    much_metadata
    laborious_bytes
    wrong_signature
    wrong_hash
    many_ranges
    life_in_chunks
}

/// Nanoseconds in a second. The emulator lets one pass with each instruction.
const NANOSECONDS: u64 = 1_000_000_000;
/// Requests that one command may take.
const PATIENCE: u32 = 100_000;
/// Bytes of the container's header, and of those the lengths of TLVs and of the signature.
const HEADER: u64 = 20;
const TLV_LENGTH: u64 = 8;
const SIGNATURE_LENGTH: u64 = 12;
/// Longest signature and longest key, bytes.
const LONGEST: usize = 512;
/// The exponent of the RSA key that the host names.
const EXPONENT: u32 = 65537;
/// Most ranges that one handle may have.
const RANGES: usize = 200;

/// Turns ticks of the system counter into instructions.
fn instructions(ticks: u64) -> u64 {
    ticks.saturating_mul(NANOSECONDS / machine::frequency())
}

fn word(file: File, offset: u64) -> u64 {
    memory::read_word(file.address + offset).into()
}

/// Where a container's signature begins: behind the header and the TLV area, padded to 8.
fn signature_offset(file: File) -> u64 {
    HEADER + word(file, TLV_LENGTH).next_multiple_of(8)
}

/// Carries out a command, prints what its requests took, and returns its last answer.
fn measure(context: &mut Context, what: &str, request: Request) -> Outcome<Answer> {
    let (mut longest, mut at, mut done) = (0, 0, 0);
    for call in 1..=PATIENCE {
        let answer = context.ask(request.encode())?;
        let ticks = context.client.tee().transport().ticks();
        if ticks > longest {
            (longest, at, done) = (ticks, call, answer.values[0]);
        }
        if answer.tee_result() != Some(TeeResult::InProgress) {
            say!(
                "info bounds call {what} | calls {call}, longest {}, call {at}, bytes done {done}",
                instructions(longest)
            );
            return Ok(answer);
        }
        machine::wait_microseconds(20);
    }
    Err(failure!("{what} does not end"))
}

fn succeeds(context: &mut Context, what: &str, request: Request) -> Outcome {
    let answer = measure(context, what, request)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), what);
    Ok(())
}

fn load_request(context: &Context, handle: u64, total: u64) -> Request {
    let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
    Request::Load { processor: context.parameters.processor(), arguments }
}

/// Loads a file that is in one piece.
fn load(context: &mut Context, what: &str, file: File) -> Outcome<Answer> {
    let handle = context.share_good(&[file.range()])?;
    let request = load_request(context, handle, file.length);
    let answer = measure(context, what, request);
    context.reclaim(handle)?;
    answer
}

fn loads(context: &mut Context, what: &str, file: File) -> Outcome {
    let answer = load(context, what, file)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), what);
    Ok(())
}

/// Checks a container's signature right here. Returns what it took, ticks.
fn check_signature(file: File, key: &PublicKey<'_>) -> Outcome<u64> {
    let place = signature_offset(file);
    let length = word(file, SIGNATURE_LENGTH) as usize;
    let mut signed = [0; 16 << 10];
    let signed = signed.get_mut(..place as usize).ok_or_else(|| failure!("{}: no room", file.name))?;
    memory::read(file.address, signed);
    let mut signature = [0; LONGEST];
    let signature = signature.get_mut(..length).ok_or_else(|| failure!("{}: no room", file.name))?;
    memory::read(file.address + place, signature);
    let digest = floor::digest(signed);
    let (ticks, verified) = floor::check(key, &digest, signature);
    expect!(verified, "{}: the signature does not verify here", file.name);
    Ok(ticks)
}

/// The bytes of a key file.
fn key(file: File, into: &mut [u8]) -> Outcome<&[u8]> {
    let bytes = into.get_mut(..file.length as usize).ok_or_else(|| failure!("{}: no room", file.name))?;
    memory::read(file.address, bytes);
    Ok(bytes)
}

/// What one slice and one signature check cost without anything around them.
fn floors(context: &mut Context) -> Outcome {
    let rounds = 1 << 20;
    let counted = instructions(floor::rounds(rounds));
    expect!(
        counted.abs_diff(2 * rounds) <= rounds / 50,
        "{} instructions count as {counted}: time is not counted in instructions",
        2 * rounds
    );
    let large = context.file("large")?;
    let copied = floor::copy(large.address, memory::REGIONS.start);
    let (hashed, digest) = floor::hash(memory::REGIONS.start);
    expect!(digest != [0; 32], "no hash");
    memory::fill(memory::REGIONS.start..memory::REGIONS.start + floor::SLICE, 0);
    say!("info bounds floor copying 128 KiB | {}", instructions(copied));
    say!("info bounds floor hashing 128 KiB | {}", instructions(hashed));
    let mut bytes = [0; LONGEST];
    let modulus = key(context.file("rsa-key")?, &mut bytes)?;
    let rsa = check_signature(large, &PublicKey::Rsa { modulus, exponent: EXPONENT })?;
    say!("info bounds floor check of an RSA-4096 signature | {}", instructions(rsa));
    let mut bytes = [0; LONGEST];
    let point = key(context.file("p256-key")?, &mut bytes)?;
    let point = point.try_into().map_err(|_| failure!("the P-256 key has a wrong length"))?;
    let p256 = check_signature(context.file("large-p256")?, &PublicKey::P256 { point })?;
    say!("info bounds floor check of a P-256 signature | {}", instructions(p256));
    Ok(())
}

/// Requests that do nothing: the price of the way there and back.
fn questions(context: &mut Context) -> Outcome {
    let processor = context.parameters.processor();
    succeeds(context, "GET_INFO", Request::GetInfo)?;
    succeeds(context, "GET_PROCESSOR", Request::GetProcessor { index: 0 })?;
    succeeds(context, "GET_STATUS", Request::GetStatus { processor })?;
    succeeds(context, "GET_LAST_ERROR", Request::GetLastError)?;
    let refused = measure(context, "STOP_FW of an unknown processor", {
        Request::Stop { processor: 77, mode: StopMode::Forced }
    })?;
    context.expect_refusal(refused, Refusal::UnknownProcessor)?;
    let answer = context.ask([Command::GetCoredump as u64, 0, 0, 0, 0])?;
    context.expect_refusal(answer, Refusal::NotImplemented)
}

fn life_rsa_4096(context: &mut Context) -> Outcome {
    let processor = context.parameters.processor();
    let large = context.file("large")?;
    loads(context, "LOAD_FW, RSA-4096", large)?;
    loads(context, "LOAD_FW of the same image", large)?;
    succeeds(context, "GET_RSC_TABLE", Request::GetResourceTable { processor })?;
    succeeds(context, "START_FW", Request::Start { processor })?;
    succeeds(context, "STOP_FW", Request::Stop { processor, mode: StopMode::Forced })?;
    succeeds(context, "RELEASE_FW", Request::Release { processor })
}

fn life_p256(context: &mut Context) -> Outcome {
    let processor = context.parameters.processor();
    loads(context, "LOAD_FW, P-256", context.file("large-p256")?)?;
    succeeds(context, "RELEASE_FW after LOAD_FW", Request::Release { processor })
}

/// Hashed, decrypted, and hashed again.
fn life_encrypted(context: &mut Context) -> Outcome {
    let processor = context.parameters.processor();
    loads(context, "LOAD_FW, P-256, encrypted", context.file("encrypted-p256")?)?;
    succeeds(context, "START_FW, encrypted", Request::Start { processor })?;
    succeeds(context, "STOP_FW, encrypted", Request::Stop { processor, mode: StopMode::Forced })?;
    succeeds(context, "RELEASE_FW, encrypted", Request::Release { processor })
}

/// As much metadata as there may be, and segments that end with a slice.
fn much_metadata(context: &mut Context) -> Outcome {
    let processor = context.parameters.processor();
    for (name, first, again) in [
        ("heavy", "LOAD_FW, RSA-4096, much metadata", "LOAD_FW of the same image, RSA-4096, much metadata"),
        ("heavy-p256", "LOAD_FW, P-256, much metadata", "LOAD_FW of the same image, P-256, much metadata"),
    ] {
        let heavy = context.file(name)?;
        loads(context, first, heavy)?;
        loads(context, again, heavy)?;
        succeeds(context, "START_FW, many segments", Request::Start { processor })?;
        succeeds(context, "STOP_FW", Request::Stop { processor, mode: StopMode::Forced })?;
        succeeds(context, "RELEASE_FW", Request::Release { processor })?;
    }
    Ok(())
}

/// Each byte of the file belongs to all segments, and could begin the resource table's name.
fn laborious_bytes(context: &mut Context) -> Outcome {
    let processor = context.parameters.processor();
    loads(context, "LOAD_FW, laborious bytes", context.file("tangled")?)?;
    succeeds(context, "RELEASE_FW", Request::Release { processor })
}

/// Loads a file with one bit changed, which has to be refused so.
fn flipped(context: &mut Context, what: &str, file: File, offset: u64, refusal: Refusal) -> Outcome {
    let mut byte = [0];
    memory::read(file.address + offset, &mut byte);
    memory::write(file.address + offset, &[byte[0] ^ 1]);
    let answer = load(context, what, file);
    memory::write(file.address + offset, &byte);
    context.expect_refusal(answer?, refusal)
}

/// Every trusted key of the kind could have made the signature: all are tried.
fn wrong_signature(context: &mut Context) -> Outcome {
    for (name, what) in [
        ("heavy", "LOAD_FW with a wrong RSA-4096 signature"),
        ("heavy-p256", "LOAD_FW with a wrong P-256 signature"),
    ] {
        let heavy = context.file(name)?;
        let offset = signature_offset(heavy) + 8;
        flipped(context, what, heavy, offset, Refusal::SignatureInvalid)?;
    }
    Ok(())
}

/// A byte of the last segment is wrong: all is hashed, then all is cleared.
fn wrong_hash(context: &mut Context) -> Outcome {
    let large = context.file("large")?;
    // Behind it there is at most the pad.
    let late = large.length - 64;
    flipped(context, "LOAD_FW with a wrong segment", large, late, Refusal::SegmentHashMismatch)
}

/// A handle of as many ranges as there may be.
fn many_ranges(context: &mut Context) -> Outcome {
    let large = context.file("large")?;
    let page = |index: usize| Constituent {
        // Two neighbors change places, so that no two ranges can be joined; the bytes are in the wrong order, too.
        address: large.address + (index as u64 ^ 1) * FFA_PAGE_SIZE,
        page_count: 1,
    };
    let mut first = [Constituent { address: 0, page_count: 1 }; RANGES];
    for (index, range) in first.iter_mut().enumerate() {
        *range = page(index);
    }
    for index in (0..RANGES as u64).step_by(2) {
        swap_pages(large.address + index * FFA_PAGE_SIZE);
    }
    let handle = context.share_good(&first)?;
    let request = load_request(context, handle, large.length);
    let outcome = measure_until_consumed(context, request, RANGES as u64 * FFA_PAGE_SIZE);
    let processor = context.parameters.processor();
    let released = succeeds(context, "RELEASE_FW in mid-load", Request::Release { processor });
    for index in (0..RANGES as u64).step_by(2) {
        swap_pages(large.address + index * FFA_PAGE_SIZE);
    }
    context.reclaim(handle)?;
    outcome.and(released)
}

/// Door T: images in chunks as long as they may be.
fn life_in_chunks(context: &mut Context) -> Outcome {
    let ticks = |context: &mut Context| context.client.tee().transport().ticks();
    let most = u64::from(MAX_CHUNK_LENGTH);
    let handle = door_t::buffer(context, (most / FFA_PAGE_SIZE) as u32 + 1)?;
    let told = |what: &str, calls: u64, (longest, at, done): (u64, u64, u64)| {
        say!(
            "info bounds call {what} | calls {calls}, longest {}, call {at}, bytes done {done}",
            instructions(longest)
        );
    };
    told("RETRIEVE_MEM", 1, (ticks(context), 1, 0));
    for (name, what) in [("large", "LOAD_FW by door T, RSA-4096"), ("large-p256", "LOAD_FW by door T, P-256")]
    {
        let file = context.file(name)?;
        let (mut calls, mut longest) = (0, (0, 0, 0));
        let result = door_t::load_from(context, handle, (file, 0), most, &mut |context, done| {
            calls += 1;
            longest = longest.max((ticks(context), calls, done));
        })?;
        expect_eq!(result, TeeResult::Success.into(), what);
        told(what, calls, longest);
        let release = Request::Release { processor: context.parameters.processor() };
        expect_eq!(door_t::complete(context, handle, &release)?, TeeResult::Success.into(), "RELEASE_FW");
    }
    door_t::give_back(context, handle)
}

/// Lets two neighboring pages change places.
fn swap_pages(first: u64) {
    let (mut one, mut other) = ([0; FFA_PAGE_SIZE as usize], [0; FFA_PAGE_SIZE as usize]);
    memory::read(first, &mut one);
    memory::read(first + FFA_PAGE_SIZE, &mut other);
    memory::write(first, &other);
    memory::write(first + FFA_PAGE_SIZE, &one);
}

/// As [`measure`], until a handle's bytes are consumed.
fn measure_until_consumed(context: &mut Context, request: Request, end: u64) -> Outcome {
    let mut longest = (0, 0, 0);
    for call in 1..=PATIENCE {
        let answer = context.ask(request.encode())?;
        expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result");
        let done = answer.values[0];
        longest = longest.max((context.client.tee().transport().ticks(), call, done));
        if done >= end {
            let (ticks, at, done) = longest;
            say!(
                "info bounds call LOAD_FW from 200 ranges | calls {call}, longest {}, call {at}, bytes done {done}",
                instructions(ticks)
            );
            return Ok(());
        }
    }
    Err(failure!("the load does not get on"))
}
