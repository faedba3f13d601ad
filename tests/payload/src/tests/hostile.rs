//! Another CPU changes the image while it is being loaded: what is loaded is what was signed, or nothing.
//!
//! `flip-loads=` of the parameters says how many loads, `seed=` what the random numbers begin with. A byte of the metadata or of a
//! segment is flipped, stays so for a while, and is flipped back, again and again. The pauses between are made longer after a load
//! that was refused and shorter after one that was accepted, so that both come often on a fast and on a slow machine.
use super::controls;
use super::flips::{PROGRAM_HEADER, PT_LOAD, headers, metadata_length, word};
use super::fuzz::random::Random;
use crate::context::Context;
use crate::framework::{Case, Outcome};
use crate::machine::Moment;
use crate::parameters::{File, number};
use crate::{board, expect, expect_eq, failure, memory, processors, say};
use core::ops::Range;
use heapless::Vec;
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Refusal;
use remoteproc_shim::{Error, LoadError};

crate::cases! { "hostile":
    bytes_flip_while_loading
    metadata_changes_after_it_was_copied
    segments_change_after_they_were_copied
}

/// Only with a partition that takes a guard out on request (feature `control`).
pub const CONTROL: &[Case] =
    &[Case { name: "hostile::copying_twice_is_noticed", run: copying_twice_is_noticed }];

/// Loads without a parameter.
const LOADS: u64 = 200;
/// Of so many loads, at least one has to be accepted and one refused.
const SHARE: u64 = 10;
/// The seed without a parameter.
const SEED: u64 = 0x686f_7374_696c_6521;
/// The CPU that flips.
const FLIPPER: usize = 1;
/// Most segments of the image.
const SEGMENTS: usize = 16;
/// A byte stays flipped for up to 2 to the power of this, in microseconds.
const LONGEST: u64 = 14;
/// Mean pauses between two flips: the first, and the longest, in microseconds.
const PAUSE: u64 = 4_000;
const LONGEST_PAUSE: u64 = 1_000_000;
/// Where the processor's memory is drawn as it has to be, beyond the copy of the image.
const PICTURE: u64 = memory::SCRATCH.start + (32 << 20);
/// The guard that segments are copied once (`service/src/guards.rs`).
const COPY_ONCE: u64 = 7;

/// What became of a load.
enum Round {
    Refused,
    /// Accepted, and the memory holds what was signed.
    Signed,
    /// Accepted, and the memory holds something else, here.
    Unsigned(u64),
}

/// How often what was seen.
#[derive(Default)]
struct Seen {
    accepted: u64,
    /// Refused before a segment was compared, and because of one.
    refused: [u64; 2],
    /// Flips of metadata and of segments.
    flips: [u64; 2],
}

struct Attack {
    /// The image, as it was signed.
    original: File,
    /// What is shared and changed.
    copy: File,
    /// Bytes of header, TLVs and signature.
    metadata: u64,
    /// Where the file has the segments' bytes.
    segments: Vec<Range<u64>, SEGMENTS>,
    /// The processor's memory.
    window: Range<u64>,
    random: Random,
    /// Mean pause between two flips, microseconds.
    pause: u64,
    seen: Seen,
}

impl Attack {
    /// Draws the picture of an image, and makes a copy of that.
    fn on(context: &mut Context, original: File) -> Outcome<Self> {
        let seed = context.parameters.value("seed").and_then(number).unwrap_or(SEED);
        say!("info flips: seed {seed:#x}");
        let copy = File { address: memory::SCRATCH.start, ..original };
        memory::copy(original.address, copy.address, original.length);
        let window = context.processor_memory()?;
        let mut attack = Self {
            original,
            copy,
            metadata: metadata_length(original)?,
            segments: Vec::new(),
            window,
            random: Random::new(seed),
            pause: PAUSE,
            seen: Seen::default(),
        };
        attack.draw(context.client.processor())?;
        Ok(attack)
    }

    /// The same with the firmware and another CPU, and checks that an undisturbed load looks like the picture.
    fn new(context: &mut Context) -> Outcome<Self> {
        let original = context.firmware()?;
        let attack = Self::on(context, original)?;
        processors::switch_on(FLIPPER)?;
        context.load(attack.copy).map_err(|error| failure!("the unchanged copy: {error}"))?;
        if let Some(address) = attack.first_unsigned() {
            return Err(failure!("an undisturbed load is not what was signed at {address:#x}"));
        }
        attack.release(context)?;
        Ok(attack)
    }

    /// Draws what the signed segments are in memory, with zeros beyond the file's bytes and beside the segments.
    fn draw(&mut self, processor: u32) -> Outcome {
        let board = board::processor(processor).ok_or_else(|| failure!("no processor {processor}"))?;
        let Self { original, metadata, .. } = *self;
        memory::fill(PICTURE..PICTURE + (self.window.end - self.window.start), 0);
        let (first, count) = headers(original)?;
        let mut filled = false;
        for header in (0..count).map(|index| first + index * PROGRAM_HEADER) {
            let [kind, offset, address, in_file, in_memory] =
                [0, 4, 12, 16, 20].map(|field| word(original, header + field));
            if kind != PT_LOAD || in_memory == 0 {
                continue;
            }
            let physical = board.physical(address, in_memory);
            let place = physical.ok_or_else(|| failure!("{address:#x} is in no region"))? - self.window.start;
            let range = metadata + u64::from(offset)..metadata + u64::from(offset) + u64::from(in_file);
            expect!(range.end <= original.length, "a segment is outside the file");
            memory::copy(original.address + range.start, PICTURE + place, u64::from(in_file));
            filled |= in_memory > in_file;
            if in_file > 0 {
                self.segments.push(range).map_err(|_| failure!("more than {SEGMENTS} segments"))?;
            }
        }
        expect!(
            filled && !self.segments.is_empty(),
            "the image has nothing to load, or nothing to fill with zeros"
        );
        Ok(())
    }

    /// Makes a program header one that is not loaded, in the copy's signed table and in its file.
    fn drop_segment(&self, header: u64) -> Outcome {
        let Self { copy, metadata, .. } = *self;
        let is_it = |at: &u64| {
            (0..PROGRAM_HEADER).step_by(4).all(|field| word(copy, at + field) == word(copy, header + field))
        };
        let table = (0..metadata - PROGRAM_HEADER).step_by(4).find(is_it);
        let table = table.ok_or_else(|| failure!("the signed table has no such program header"))?;
        for place in [table, header] {
            memory::write(copy.address + place, &[0; 4]);
        }
        Ok(())
    }

    fn first_unsigned(&self) -> Option<u64> {
        memory::first_difference(self.window.clone(), PICTURE)
    }

    fn release(&self, context: &mut Context) -> Outcome {
        context.client.release().map_err(|error| failure!("release: {error}"))?;
        context.expect_clear()
    }

    /// One load, during which bytes flip.
    fn round(&mut self, context: &mut Context) -> Outcome<Round> {
        let Self { copy, metadata, segments, pause, seen, .. } = self;
        let mut random = Random::new(self.random.next());
        let flipper = || {
            linger(random.below(2 * *pause));
            if processors::enough() {
                return;
            }
            let place = random.below(2) as usize;
            let range = match segments.get(random.below(segments.len() as u64) as usize) {
                Some(segment) if place == 1 => segment.clone(),
                _ => 0..*metadata,
            };
            let address = copy.address + range.start + random.below(range.end - range.start);
            let mut byte = [0];
            memory::read(address, &mut byte);
            memory::write(address, &[byte[0] ^ 1 << random.below(8)]);
            seen.flips[place] += 1;
            linger(1 << random.below(LONGEST + 1));
            memory::write(address, &byte);
        };
        let file = *copy;
        let outcome = processors::again_during(FLIPPER, flipper, || context.load(file));
        match outcome {
            Ok(()) => {
                self.seen.accepted += 1;
                self.pause = (self.pause * 2 / 3).max(1);
                let other = self.first_unsigned();
                self.release(context)?;
                Ok(other.map_or(Round::Signed, Round::Unsigned))
            }
            Err(LoadError { error: Error::Refused { .. }, not_reclaimed: None }) => {
                context.expect_clear()?;
                let last = context.client.last_error().map_err(|error| failure!("{error}"))?;
                let refusal = last.and_then(|last| last.refusal);
                let refusal = refusal.ok_or_else(|| failure!("no refusal has this number"))?;
                self.seen.refused[usize::from(refusal == Refusal::SegmentHashMismatch)] += 1;
                self.pause = (self.pause * 3 / 2 + 1).min(LONGEST_PAUSE);
                Ok(Round::Refused)
            }
            Err(other) => Err(failure!("{other}")),
        }
    }

    /// Tells what was seen; the flipped bytes are all back.
    fn end(self, loads: u64) -> Outcome<Seen> {
        let Seen { accepted, refused: [before, segments], flips: [metadata, bytes] } = self.seen;
        say!(
            "info flips: {loads} loads, {metadata} flips of metadata and {bytes} of segments: {accepted} accepted, {before} \
             refused before a segment was compared, {segments} because of a segment"
        );
        let mut bytes = [[0; 512]; 2];
        for done in (0..self.original.length).step_by(512) {
            let size = (self.original.length - done).min(512) as usize;
            for (part, file) in bytes.iter_mut().zip([self.original, self.copy]) {
                memory::read(file.address + done, &mut part[..size]);
            }
            expect!(bytes[0] == bytes[1], "a byte after {done:#x} is not flipped back");
        }
        processors::switch_all_off()?;
        Ok(self.seen)
    }
}

/// Waits on the CPU that flips; not beyond the load.
fn linger(microseconds: u64) {
    let start = Moment::now();
    while start.elapsed_microseconds() < microseconds && !processors::enough() {
        core::hint::spin_loop();
    }
}

fn loads(context: &Context) -> Outcome<u64> {
    match context.parameters.value("flip-loads") {
        None => Ok(LOADS),
        Some(text) => {
            let loads = number(text).filter(|loads| *loads >= 2 * SHARE);
            loads.ok_or_else(|| failure!("flip-loads= is no number, or less than {}", 2 * SHARE))
        }
    }
}

fn bytes_flip_while_loading(context: &mut Context) -> Outcome {
    let loads = loads(context)?;
    let mut attack = Attack::new(context)?;
    for index in 0..loads {
        if let Round::Unsigned(address) = attack.round(context)? {
            return Err(failure!("load {index} was accepted and is not what was signed at {address:#x}"));
        }
        if (index + 1) % 100 == 0 {
            say!("info soak flips: {} of {loads} loads", index + 1);
        }
    }
    // A run without enough of both says nothing.
    let Seen { accepted, refused: [before, segments], flips: [metadata, bytes] } = attack.end(loads)?;
    expect_eq!(accepted + before + segments, loads, "accepted and refused");
    expect!(accepted >= loads / SHARE, "void: only {accepted} of {loads} loads were accepted");
    expect!(
        before + segments >= loads / SHARE,
        "void: only {} of {loads} loads were refused",
        before + segments
    );
    expect!(
        before > 0 && segments > 0,
        "void: {before} refused before the segments, {segments} because of them"
    );
    expect!(metadata > 0 && bytes > 0, "void: {metadata} flips of metadata, {bytes} of segments");
    Ok(())
}

/// Between two requests, when header, TLVs and signature were copied and nothing else was: a segment is dropped, from the signed table and
/// from the file; each one in turn. Nobody has signed that.
fn metadata_changes_after_it_was_copied(context: &mut Context) -> Outcome {
    let original = context.firmware()?;
    let attack = Attack::on(context, original)?;
    let Attack { copy, metadata, .. } = attack;
    let (first, count) = headers(copy)?;
    for header in (0..count).map(|index| first + index * PROGRAM_HEADER) {
        if word(original, header) != PT_LOAD || word(original, header + 16) == 0 {
            continue;
        }
        memory::copy(original.address, copy.address, original.length);
        let handle = context.share_good(&[copy.range()])?;
        let answer = context.load_once(handle, copy.length, 0)?;
        expect_eq!(answer.values[0], metadata, "the bytes that the first request copies");
        attack.drop_segment(header)?;
        let answer = context.load_handle(handle, copy.length, 0)?;
        if answer.tee_result() == Some(TeeResult::Success) {
            let place = attack.first_unsigned().unwrap_or(0);
            return Err(failure!("it was accepted, and is not what was signed at {place:#x}"));
        }
        context.expect_clear()?;
        context.reclaim(handle)?;
    }
    Ok(())
}

/// Between two requests, when all was copied and not all was hashed: whatever the segments are by then, nobody looks.
fn segments_change_after_they_were_copied(context: &mut Context) -> Outcome {
    let original = context.large()?;
    let attack = Attack::on(context, original)?;
    let copy = attack.copy;
    let handle = context.share_good(&[copy.range()])?;
    context.load_until(handle, copy.length, 0, copy.length)?;
    let longest = attack.segments.iter().max_by_key(|range| range.end - range.start);
    let longest = longest.ok_or_else(|| failure!("no segment has bytes"))?;
    let [start, end] = [longest.start, longest.end].map(|at| (copy.address + at).next_multiple_of(8));
    memory::fill(start..end - 8, 0x66);
    let answer = context.load_handle(handle, copy.length, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    if let Some(address) = attack.first_unsigned() {
        return Err(failure!("it was accepted, and is not what was signed at {address:#x}"));
    }
    context.reclaim(handle)?;
    attack.release(context)
}

/// The same loads, until one of them shows the hole.
fn copying_twice_is_noticed(context: &mut Context) -> Outcome {
    let loads = loads(context)?;
    let mut attack = Attack::new(context)?;
    controls::take_out(context, COPY_ONCE)?;
    for index in 0..loads {
        if let Round::Unsigned(address) = attack.round(context)? {
            say!("info flips: load {index} was accepted and is not what was signed at {address:#x}");
            return attack.end(index + 1).map(drop);
        }
    }
    attack.end(loads)?;
    Err(failure!("{loads} loads, and none was accepted that is not what was signed"))
}
