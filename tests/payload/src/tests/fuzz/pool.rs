//! Memory that the fuzzer's LOAD_FW may name: good, damaged, and hostile.
use super::random::Random;
use crate::context::Context;
use crate::framework::Outcome;
use crate::machine::{Strictness, set_strictness};
use crate::parameters::File;
use crate::{expect, failure, memory};
use heapless::Vec;
use remoteproc_abi::memory_descriptor::Constituent;

/// A handle, and what a client would say of it.
#[derive(Clone, Copy)]
pub struct Item {
    /// FF-A memory handle.
    pub handle: u64,
    /// Bytes of the container in it.
    pub length: u64,
    /// It was lent.
    pub lent: bool,
}

/// Bytes between two copies in the scratch memory.
const STEP: u64 = 1 << 20;
/// Bytes of metadata that the partition has room for.
const METADATA_ROOM: u32 = 16 << 10;
/// Bytes of a container's header.
const HEADER: u64 = 20;

/// The handles.
pub struct Pool(Vec<Item, 20>);

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
        pool.add(Item { handle, length: lent.length, lent: true })?;
        // Wrong magic number, wrong version, no TLVs; and wrong signatures, which are told only while nothing is loaded.
        let wrong = signature(sample);
        for (offset, bytes) in [
            (0, &[0][..]),
            (4, &[3]),
            (8, &[0; 4]),
            (wrong, &[0x55; 8]),
            (wrong + 64, &[0x55; 8]),
            (wrong + 128, &[0x55; 8]),
        ] {
            let damaged = copy(sample);
            memory::write(damaged.address + offset, bytes);
            pool.share(context, damaged)?;
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
        pool.add(Item { handle, length: sample.length, lent: false })?;
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
            pool.add(Item { handle: handle?, length: sample.length, lent: false })?;
        }
        Ok(pool)
    }

    /// Shares a file.
    fn share(&mut self, context: &mut Context, file: File) -> Outcome {
        let handle = context.share_good(&[file.range()])?;
        self.add(Item { handle, length: file.length, lent: false })
    }

    fn add(&mut self, item: Item) -> Outcome {
        self.0.push(item).map_err(|_| failure!("too many handles"))
    }

    /// Returns a handle.
    pub fn pick(&self, random: &mut Random) -> Item {
        random.pick(&self.0)
    }

    /// Takes all memory back: none of it may be held.
    pub fn reclaim(&self, context: &mut Context) -> Outcome {
        for item in &self.0 {
            context.reclaim(item.handle)?;
        }
        Ok(())
    }
}

/// The offset of the signature in a container: behind header and TLVs.
fn signature(file: File) -> u64 {
    HEADER + u64::from(memory::read_word(file.address + 8))
}
