//! Memory that the fuzzer's LOAD_FW may name: good, damaged, and hostile.
use super::random::Random;
use crate::context::{Context, HYPERVISOR, MACHINES};
use crate::framework::Outcome;
use crate::machine::{Strictness, set_strictness};
use crate::parameters::File;
use crate::{expect, failure, memory};
use heapless::Vec;
use remoteproc_abi::memory_descriptor::Constituent;

/// A handle, and what a client would say of it.
#[derive(Clone, Copy)]
pub struct Item {
    /// Whose it is.
    pub endpoint: u16,
    /// FF-A memory handle.
    pub handle: u64,
    /// Bytes of the container in it.
    pub length: u64,
    /// It was lent.
    pub lent: bool,
    /// It holds only a part of the container, and is for loads in one call.
    pub partial: bool,
}

impl Item {
    fn new(endpoint: u16, handle: u64, file: File) -> Self {
        Self { endpoint, handle, length: file.length, lent: false, partial: false }
    }
}

/// The endpoint that the manifest of the system tests lets load in one call.
pub const ONE_CALLER: u16 = 1;
/// Copies of an image whose damage is told late or once in a load, so that all are seen often enough.
const COPIES: usize = 2;
/// Bytes between two copies in the scratch memory.
const STEP: u64 = 1 << 20;
/// Bytes of metadata that the partition has room for.
const METADATA_ROOM: u32 = 16 << 10;
/// Bytes of a container's header.
const HEADER: u64 = 20;

/// The handles.
pub struct Pool(Vec<Item, 80>);

impl Pool {
    /// Makes them.
    pub fn new(context: &mut Context) -> Outcome<Self> {
        let mut pool = Self(Vec::new());
        let (firmware, sample) = (context.firmware()?, context.sample()?);
        let mut place = memory::SCRATCH.start;
        let mut copy = |file: File| {
            let copy = File { address: place, ..file };
            memory::copy(file.address, place, file.length);
            place += STEP;
            copy
        };
        // The firmware that may be started comes twice, shared and lent; so does another image, which is told apart only while
        // the firmware is loaded.
        pool.share(context, copy(firmware))?;
        pool.share(context, copy(sample))?;
        pool.share(context, copy(sample))?;
        let lent = copy(firmware);
        let handle = context.lend_good(&[lent.range()])?;
        pool.add(Item { lent: true, ..Item::new(HYPERVISOR, handle, lent) })?;
        // Images of the virtual machines, and for the one that may load in one call a part of one.
        for endpoint in MACHINES {
            context.speak_as(endpoint)?;
            pool.share(context, copy(firmware))?;
            pool.share(context, copy(sample))?;
        }
        context.speak_as(ONE_CALLER)?;
        let part = copy(sample);
        let handle = context.share_good(&[Constituent { page_count: 1, ..part.range() }])?;
        pool.add(Item { partial: true, ..Item::new(ONE_CALLER, handle, part) })?;
        context.speak_as(HYPERVISOR)?;
        // Wrong magic number, wrong version, no TLVs, no signature; wrong signatures. Most are told only while nothing is loaded.
        let wrong = signature(sample);
        for (offset, bytes) in [
            (0, &[0][..]),
            (4, &[3]),
            (8, &[0; 4]),
            (12, &[0; 4]),
            (wrong, &[0x55; 8]),
            (wrong + 128, &[0x55; 8]),
        ] {
            let damaged = copy(sample);
            memory::write(damaged.address + offset, bytes);
            pool.share(context, damaged)?;
        }
        // A SIGNTYPE that is missing, unknown, or of no key. An image that is no ELF file, its headers elsewhere, others or fewer,
        // and a wrong byte in its first segment.
        let image = super::super::flips::metadata_length(sample)?;
        let headers = image + u64::from(memory::read_word(sample.address + image + 28));
        let segment = image + u64::from(memory::read_word(sample.address + headers + 4));
        for (offset, bytes) in [
            (20, &[0x7F][..]),
            (28, &[0x66]),
            (28, &[2]),
            (image, &[0]),
            (image + 28, &[0xFF; 4]),
            (image + 32, &[0xFF; 4]),
            (image + 44, &[1, 0]),
            (headers + 20, &[0x55; 4]),
            (segment, &[0x55; 8]),
        ] {
            for _ in 0..COPIES {
                let damaged = copy(sample);
                memory::write(damaged.address + offset, bytes);
                pool.share(context, damaged)?;
            }
        }
        pool.share_damaged_sections(context, &mut copy, sample)?;
        // A TLV that says it is longer than there is room; and in the place of the key, which nobody asks for here, the id of a key that
        // nobody trusts, with the rest of the place behind it.
        for _ in 0..COPIES {
            let damaged = copy(sample);
            memory::write(damaged.address + 24, &[0xFF; 4]);
            pool.share(context, damaged)?;
            let other = copy(sample);
            let place = other.address + tlv(sample, KEY_INFORMATION)?;
            let length = memory::read_word(place + 4).next_multiple_of(8);
            memory::write(place, &KEY_ID.to_le_bytes());
            memory::write(place + 4, &32_u32.to_le_bytes());
            memory::write(place + 40, &0x1_FFFE_u32.to_le_bytes());
            memory::write(place + 44, &(length - 40).to_le_bytes());
            pool.share(context, other)?;
        }
        // TLVs that take more room than there is, and lengths that add up.
        let mut large = copy(sample);
        let tlvs = memory::read_word(large.address + 8);
        memory::write(large.address + 8, &METADATA_ROOM.to_le_bytes());
        large.length += u64::from(METADATA_ROOM - tlvs);
        pool.share(context, large)?;
        // Too many ranges.
        let mut ranges = Vec::<Constituent, { remoteproc_abi::MAX_RANGES + 1 }>::new();
        while !ranges.is_full() {
            let address = place + ranges.len() as u64 * 0x2000;
            let _ = ranges.push(Constituent { address, page_count: 1 });
        }
        let handle = context.share_surplus(&ranges)?;
        pool.add(Item::new(HYPERVISOR, handle, sample))?;
        // The partition, the processor, a device, nothing, memory without RAM, and memory that is said to be secure.
        for (mode, address) in [
            (Strictness::Lenient, 0x0e30_0000),
            (Strictness::Strict, memory::REGIONS.start),
            (Strictness::Lenient, memory::UART0),
            (Strictness::Lenient, 0x1_0000_0000),
            (Strictness::Strict, 0x7000_0000),
            (Strictness::LenientSecure, memory::SCRATCH.end - 0x1_0000),
        ] {
            expect!(set_strictness(mode), "the SPMC has no control for this test");
            let handle = context.share_good(&[Constituent { address, page_count: 4 }]);
            set_strictness(Strictness::Strict);
            pool.add(Item::new(HYPERVISOR, handle?, sample))?;
        }
        Ok(pool)
    }

    /// Images whose section headers, which nobody signs, were changed: too many of them, two tables, a table elsewhere, a table that
    /// is none. And a signature's length that fits no key.
    fn share_damaged_sections(
        &mut self,
        context: &mut Context,
        copy: &mut impl FnMut(File) -> File,
        sample: File,
    ) -> Outcome {
        let image = super::super::flips::metadata_length(sample)?;
        let word = |offset: u64| memory::read_word(sample.address + image + offset);
        let sections = u64::from(word(32));
        let count = u64::from(word(48) & 0xFFFF);
        // Addresses of segments in the order of their program headers: private, private and executable, shared, the table's.
        let program_headers = u64::from(word(28));
        let segment = |index: u64| word(program_headers + 32 * index + 12);
        let table = segment(3);
        let header = |index: u64| sections + 40 * index;
        let of_table =
            (0..count).map(header).find(|header| word(header + 12) == table && word(header + 20) > 0);
        let of_table = of_table.ok_or_else(|| failure!("the sample has no section for its table"))?;
        let size = word(of_table + 20);
        let place = |address: u32, size: u32| {
            let [a, b, c, d] = address.to_le_bytes();
            let [e, f, g, h] = size.to_le_bytes();
            // Address, offset (which nobody reads), size.
            [a, b, c, d, 0, 0, 0, 0, e, f, g, h]
        };
        for damage in [
            place(segment(1), 16),
            place(segment(0), 16),
            place(table + 2, size - 4),
            place(table + 4, size - 4),
            place(table, size / 2),
        ] {
            for _ in 0..COPIES {
                let damaged = copy(sample);
                memory::write(damaged.address + image + of_table + 12, &damage);
                self.share(context, damaged)?;
            }
        }
        for _ in 0..COPIES {
            // The section before it has its name, too.
            let twice = copy(sample);
            memory::write(twice.address + image + of_table - 40, &word(of_table).to_le_bytes());
            self.share(context, twice)?;
            // Section headers over all of the file, and something in its gaps that looks like many.
            let many = copy(sample);
            for gap in [0x100..0x1000, 0x1010..0x2000, 0x2020..0x3000u64] {
                for at in gap.step_by(16) {
                    memory::write(many.address + image + at, &[1; 16]);
                }
            }
            memory::write(many.address + image + 32, &0x100_u32.to_le_bytes());
            // None of them has the names.
            memory::write(many.address + image + 48, &[0x20, 1, 0, 0]);
            self.share(context, many)?;
            let length = copy(sample);
            memory::write(length.address + 12, &[0xFF, 0]);
            self.share(context, length)?;
        }
        Ok(())
    }

    /// Shares a file.
    fn share(&mut self, context: &mut Context, file: File) -> Outcome {
        let handle = context.share_good(&[file.range()])?;
        self.add(Item::new(context.client.tee().own_id(), handle, file))
    }

    /// Returns the handle of a part of an image.
    pub fn part(&self) -> Outcome<Item> {
        let item = self.0.iter().find(|item| item.partial);
        item.copied().ok_or_else(|| failure!("there is no part of an image"))
    }

    fn add(&mut self, item: Item) -> Outcome {
        self.0.push(item).map_err(|_| failure!("too many handles"))
    }

    /// Returns a handle, in most cases one of this endpoint's.
    pub fn pick(&self, random: &mut Random, endpoint: u16) -> Item {
        loop {
            let item = random.pick(&self.0);
            if item.endpoint == endpoint || random.once_in(16) {
                return item;
            }
        }
    }

    /// Returns the handle of an endpoint's image, which loads.
    pub fn image(&self, endpoint: u16) -> Outcome<Item> {
        let item = self.0.iter().find(|item| item.endpoint == endpoint);
        item.copied().ok_or_else(|| failure!("endpoint {endpoint} has no image"))
    }

    /// Takes all memory back: none of it may be held.
    pub fn reclaim(&self, context: &mut Context) -> Outcome {
        for item in &self.0 {
            context.speak_as(item.endpoint)?;
            context.reclaim(item.handle)?;
        }
        context.speak_as(HYPERVISOR)
    }
}

/// The types of two TLVs.
const KEY_INFORMATION: u32 = 0x11;
const KEY_ID: u32 = 0x8004;

/// The offset of a TLV in a container.
fn tlv(file: File, kind: u32) -> Outcome<u64> {
    let mut offset = HEADER;
    while offset < signature(file) {
        if memory::read_word(file.address + offset) == kind {
            return Ok(offset);
        }
        offset += 8 + u64::from(memory::read_word(file.address + offset + 4)).next_multiple_of(8);
    }
    Err(failure!("{} has no TLV {kind:#x}", file.name))
}

/// The offset of the signature in a container: behind header and TLVs.
fn signature(file: File) -> u64 {
    HEADER + u64::from(memory::read_word(file.address + 8))
}
