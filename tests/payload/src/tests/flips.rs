//! One bit changed anywhere in a container: it never loads.
use crate::context::Context;
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, memory, say};
use remoteproc_shim::{Error, LoadError};

crate::cases! { "flips":
    metadata
    program_headers
    segment_data
}

/// Length of the container's header, bytes: magic, version, lengths of TLVs, signature and images.
const HEADER: u64 = 20;
/// ELF program headers: length of one, and the type of those that are loaded.
pub const PROGRAM_HEADER: u64 = 32;
pub const PT_LOAD: u32 = 1;
/// Samples of each kind.
const SAMPLES: u64 = 24;

/// Reads a little-endian word of a file.
pub fn word(file: File, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    memory::read(file.address + offset, &mut bytes);
    u32::from_le_bytes(bytes)
}

/// Returns the length of header, TLVs and signature, bytes.
pub fn metadata_length(file: File) -> Outcome<u64> {
    expect!(file.length > HEADER, "{} is shorter than a header", file.name);
    let images = u64::from(word(file, 16));
    expect!(images < file.length, "{} is no container", file.name);
    Ok(file.length - images)
}

/// Flips bit `index` modulo 8 of a byte in a copy of the sample, and checks that the copy does not load.
fn refused(context: &mut Context, copy: File, offset: u64, index: u64) -> Outcome {
    expect!(offset < copy.length, "byte {offset} is outside the container");
    let releases = memory::read_word(memory::RELEASES);
    let bit = index % 8;
    let mut byte = [0];
    memory::read(copy.address + offset, &mut byte);
    memory::write(copy.address + offset, &[byte[0] ^ 1 << bit]);
    let outcome = context.load(copy);
    memory::write(copy.address + offset, &byte);
    match outcome {
        Err(LoadError { error: Error::Refused { .. }, not_reclaimed: None }) => {}
        Err(other) => return Err(failure!("byte {offset} bit {bit}: {other}")),
        Ok(()) => return Err(failure!("with bit {bit} of byte {offset} changed it loads")),
    }
    let last = context.client.last_error().map_err(|error| failure!("{error}"))?;
    let name = last.and_then(|last| last.refusal).map(|refusal| refusal.name());
    say!("info byte {offset} bit {bit}: {}", name.ok_or_else(|| failure!("no refusal has this number"))?);
    context.expect_clear()?;
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases from reset");
    Ok(())
}

/// Makes a copy of the sample, and checks that the copy loads as it is.
fn copy(context: &mut Context) -> Outcome<File> {
    let sample = context.sample()?;
    let copy = File { address: memory::SCRATCH.start, ..sample };
    memory::copy(sample.address, copy.address, sample.length);
    context.load(copy).map_err(|error| failure!("the unchanged copy: {error}"))?;
    context.client.release().map_err(|error| failure!("{error}"))?;
    Ok(copy)
}

fn metadata(context: &mut Context) -> Outcome {
    let copy = copy(context)?;
    let length = metadata_length(copy)?;
    // Each field of the header, then samples of TLVs and signature.
    for offset in (0..HEADER).step_by(4) {
        refused(context, copy, offset, offset / 4)?;
    }
    for index in 0..SAMPLES {
        refused(context, copy, HEADER + (length - HEADER) * index / SAMPLES, index)?;
    }
    refused(context, copy, length - 1, 0)
}

/// Returns offset and number of the first image's program headers in the container.
pub fn headers(file: File) -> Outcome<(u64, u64)> {
    let elf = metadata_length(file)?;
    expect_eq!(word(file, elf), u32::from_le_bytes(*b"\x7fELF"), "the first image's magic number");
    let offset = elf + u64::from(word(file, elf + 28));
    let count = u64::from(word(file, elf + 44) & 0xFFFF);
    expect!(count > 0 && offset + count * PROGRAM_HEADER <= file.length, "the program headers are outside");
    Ok((offset, count))
}

fn program_headers(context: &mut Context) -> Outcome {
    let copy = copy(context)?;
    let (offset, count) = headers(copy)?;
    for index in 0..count * 8 {
        refused(context, copy, offset + index * 4, index)?;
    }
    Ok(())
}

fn segment_data(context: &mut Context) -> Outcome {
    let copy = copy(context)?;
    let elf = metadata_length(copy)?;
    let (offset, count) = headers(copy)?;
    let mut segments = 0;
    for header in (0..count).map(|index| offset + index * PROGRAM_HEADER) {
        let (start, size) = (elf + u64::from(word(copy, header + 4)), u64::from(word(copy, header + 16)));
        if word(copy, header) != PT_LOAD || size == 0 {
            continue;
        }
        segments += 1;
        let samples = size.min(SAMPLES / 2);
        for index in 0..samples {
            refused(context, copy, start + size * index / samples, index + 3)?;
        }
        refused(context, copy, start + size - 1, 7)?;
    }
    expect!(segments > 0, "the sample has no segment");
    Ok(())
}
