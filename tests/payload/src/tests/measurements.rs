//! GET_MEASUREMENTS: what was loaded is told to anybody, and the chain is what the entries make of it.
use crate::context::{Context, MACHINES};
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, floor, memory};
use remoteproc_abi::measurements::{ENTRY_SIZE, Entry, KEPT};
use remoteproc_refusal::Refusal;
use remoteproc_shim::Log;

crate::cases! { "measurements":
    each_load_is_entered
    the_chain_is_computed_again
    anybody_may_ask
    a_refused_load_is_not_entered
}

/// Longest part of a container that a signature covers here, bytes.
const MOST: usize = 2048;

fn log(context: &mut Context) -> Outcome<Log> {
    context.client.measurements().map_err(|error| failure!("GET_MEASUREMENTS: {error}"))
}

fn entry(context: &mut Context, number: u64) -> Outcome<Entry> {
    context.client.measurement(number).map_err(|error| failure!("entry {number}: {error}"))
}

fn load_and_release(context: &mut Context, file: File) -> Outcome {
    context.load(file).map_err(|error| failure!("{}: {error}", file.name))?;
    context.client.release().map_err(|error| failure!("release: {error}"))
}

/// SHA-256 over header and TLV area of a container, as the file has them.
fn signed_part(file: File) -> Outcome<[u8; 32]> {
    let mut bytes = [0; MOST];
    let address = file.range().address;
    let header = bytes.first_chunk_mut::<20>().ok_or_else(|| failure!("no room"))?;
    memory::read(address, header);
    let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
    let covered = bytes.get_mut(..20 + length.next_multiple_of(8)).ok_or_else(|| failure!("too long"))?;
    memory::read(address, covered);
    Ok(floor::digest(covered))
}

fn each_load_is_entered(context: &mut Context) -> Outcome {
    let before = log(context)?.summary.count;
    let files = [context.sample()?, context.second()?, context.firmware()?];
    for file in files {
        load_and_release(context, file)?;
    }
    let after = log(context)?.summary;
    expect_eq!(after.count, before + 3, "the number of loads");
    expect_eq!(after.first, after.count.saturating_sub(KEPT as u64), "the first that is kept");
    let mut signers = [[0; 32]; 3];
    for ((file, signer), number) in files.into_iter().zip(&mut signers).zip(before..) {
        let entry = entry(context, number)?;
        expect_eq!(entry.signed, signed_part(file)?, "the digest of what was signed");
        expect_eq!(entry.processor, context.parameters.processor(), "the processor");
        expect_eq!(entry.security_counter, 0, "the security counter");
        *signer = entry.signer;
    }
    // The first and the last are of one key, the second is of another one.
    expect_eq!(signers[0], signers[2], "the same signer");
    expect!(signers[0] != signers[1] && signers[0] != [0; 32], "two signers are one");
    Ok(())
}

/// From the digest over what is not kept, entry by entry, to the digest over all: so many loads that some are not kept.
fn the_chain_is_computed_again(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    while log(context)?.summary.count <= KEPT as u64 {
        load_and_release(context, sample)?;
    }
    let Log { summary, chain, base } = log(context)?;
    expect!(summary.first > 0 && base != [0; 32], "nothing was dropped");
    let mut computed = base;
    for number in summary.first..summary.count {
        let mut bytes = [0; 32 + ENTRY_SIZE];
        let (before, new) = bytes.split_at_mut(32);
        before.copy_from_slice(&computed);
        new.copy_from_slice(&entry(context, number)?.bytes());
        computed = floor::digest(&bytes);
    }
    expect_eq!(computed, chain, "the chain");
    for number in [summary.first - 1, summary.count] {
        let outcome = context.client.measurement(number);
        context.expect_command_refused(outcome, Refusal::MeasurementUnknown)?;
    }
    // One more load, one more link.
    load_and_release(context, sample)?;
    let mut bytes = [0; 32 + ENTRY_SIZE];
    let (before, new) = bytes.split_at_mut(32);
    before.copy_from_slice(&chain);
    new.copy_from_slice(&entry(context, summary.count)?.bytes());
    expect_eq!(log(context)?.chain, floor::digest(&bytes), "the chain with one more load");
    Ok(())
}

fn anybody_may_ask(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    context.load(sample).map_err(|error| failure!("{error}"))?;
    let own = log(context)?;
    let last = entry(context, own.summary.count - 1)?;
    for machine in MACHINES {
        context.speak_as(machine)?;
        expect_eq!(log(context)?, own, "the log, as another client reads it");
        expect_eq!(entry(context, own.summary.count - 1)?, last, "its last entry");
    }
    context.speak_as(crate::context::HYPERVISOR)?;
    context.client.release().map_err(|error| failure!("release: {error}"))
}

fn a_refused_load_is_not_entered(context: &mut Context) -> Outcome {
    let before = log(context)?;
    let sample = context.sample()?;
    // The last byte of the TLV area.
    let address = sample.range().address + 20;
    let byte = memory::read_word(address);
    memory::write(address, &(byte ^ 0x100).to_le_bytes());
    let outcome = context.load(sample);
    memory::write(address, &byte.to_le_bytes());
    expect!(outcome.is_err(), "a changed container loads");
    expect_eq!(log(context)?, before, "the log after a refused load");
    load_and_release(context, sample)?;
    expect_eq!(log(context)?.summary.count, before.summary.count + 1, "the number of loads");
    Ok(())
}
