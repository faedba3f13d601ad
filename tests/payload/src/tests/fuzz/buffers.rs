//! Buffers of door T for the mix of all families: held, taken and given back at any time, and calls of all commands with them.
use super::random::Random;
use crate::context::{Context, HYPERVISOR};
use crate::framework::Outcome;
use crate::{expect_eq, failure, memory};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::SERVICE_UUID;
use remoteproc_abi::door_d::{LoadArguments, Request};
use remoteproc_abi::door_t::{self, Chunk, REQUEST_LENGTH};
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::ts_rpc::Request as Call;

/// Who has one.
pub const OWNERS: [u16; 2] = [HYPERVISOR, 1];
/// Pages of one: the request, and a chunk.
const PAGES: u32 = 2;
/// Bytes of a chunk: no image begins like that, so that no load by door T is left under way.
const CHUNK: [u8; 64] = [0x5A; 64];
const LOAD: u16 = 1;
const START: u16 = 2;

/// One buffer.
#[derive(Clone, Copy, Default)]
struct Buffer {
    endpoint: u16,
    address: u64,
    handle: u64,
    held: bool,
}

/// All of them.
#[derive(Clone, Copy, Default)]
pub struct Buffers([Buffer; 2]);

/// A call, and what it does if it is taken as it is.
pub struct Made {
    /// w3 to w7.
    pub registers: [u32; 5],
    /// The command that it carries out.
    pub opcode: Option<u16>,
}

impl Buffers {
    /// Shares them, from this address on; none is held yet.
    pub fn share(context: &mut Context, mut address: u64) -> Outcome<Self> {
        let mut all = Self::default();
        for (buffer, endpoint) in all.0.iter_mut().zip(OWNERS) {
            context.speak_as(endpoint)?;
            let handle = context.share_good(&[Constituent { address, page_count: PAGES }])?;
            *buffer = Buffer { endpoint, address, handle, held: false };
            address += u64::from(PAGES) * FFA_PAGE_SIZE;
        }
        context.speak_as(HYPERVISOR)?;
        Ok(all)
    }

    /// A valid call of one of the owners.
    pub fn call(&self, random: &mut Random, sender: u16) -> Made {
        let own = self.0.iter().find(|buffer| buffer.endpoint == sender).copied().unwrap_or_default();
        let other = self.0.iter().find(|buffer| buffer.endpoint != sender).copied().unwrap_or_default();
        let handle = if random.once_in(6) { other.handle } else { own.handle };
        let made = |call: Call| Made { registers: call.encode(), opcode: None };
        match random.below(16) {
            0 => made(Call::GetVersion),
            1 => made(Call::ServiceInfo { service: SERVICE_UUID }),
            2 | 3 => made(Call::RetrieveMemory { handle, tag: 0 }),
            4 => made(Call::RelinquishMemory { handle }),
            5 => made(Call::Call { interface: 0, opcode: LOAD, handle: None, length: 64, client: 0 }),
            // A client that has lost its buffer takes it again.
            _ if !own.held => made(Call::RetrieveMemory { handle: own.handle, tag: 0 }),
            _ => Self::command(random, own),
        }
    }

    /// Puts a request into the buffer, any command's.
    fn command(random: &mut Random, Buffer { address, handle, .. }: Buffer) -> Made {
        let known = (1..=6).chain(0x10..=0x18).nth(random.below(15) as usize).unwrap_or(LOAD);
        let opcode = if random.once_in(8) { random.below(0x20) as u16 } else { known };
        // This processor's state is followed by door D.
        let processor = if opcode == START || random.once_in(8) { 77 } else { 0 };
        let mut body = [0; REQUEST_LENGTH];
        if opcode == LOAD {
            memory::write(address + FFA_PAGE_SIZE, &CHUNK);
            let chunk = Chunk { place: FFA_PAGE_SIZE as u32, length: CHUNK.len() as u32 };
            let arguments =
                LoadArguments { handle: 0, total: 1 << 16, offset: 0, lent: false, one_call: false };
            if let Some((_, bytes)) = door_t::encode(&Request::Load { processor, arguments }, chunk) {
                body = bytes;
            }
        } else {
            body[..4].copy_from_slice(&processor.to_le_bytes());
            // The first argument: a mode, a part, an index, a notification.
            body[8] = random.below(4) as u8;
        }
        // A load whose chunk is shorter than a header would stay under way.
        if ![START, LOAD].contains(&opcode) && random.once_in(4) {
            // Behind the processor, so that no other one is meant.
            body[4 + random.below(28) as usize] = random.next() as u8;
        }
        memory::write(address, &body);
        let call = Call::Call {
            interface: 0,
            opcode,
            handle: Some(handle),
            length: REQUEST_LENGTH as u32,
            client: 0,
        };
        Made { registers: call.encode(), opcode: Some(opcode) }
    }

    /// A call was answered with success: a buffer is held, or is not any more.
    pub fn succeeded(&mut self, sender: u16, control: u32, [low, high]: [u32; 2]) {
        let handle = u64::from(high) << 32 | u64::from(low);
        for buffer in self.0.iter_mut().filter(|buffer| buffer.endpoint == sender && buffer.handle == handle)
        {
            match control {
                0xFF_0001 => buffer.held = true,
                0xFF_0002 => buffer.held = false,
                _ => {}
            }
        }
    }

    /// A virtual machine is gone.
    pub fn gone(&mut self, endpoint: u16) {
        self.0.iter_mut().filter(|buffer| buffer.endpoint == endpoint).for_each(|buffer| buffer.held = false);
    }

    /// Buffers that are held.
    pub fn held(&self) -> u16 {
        self.0.iter().map(|buffer| u16::from(buffer.held)).sum()
    }

    /// Gives all back, and takes the memory back.
    pub fn reclaim(&mut self, context: &mut Context) -> Outcome {
        for buffer in &mut self.0 {
            context.speak_as(buffer.endpoint)?;
            if core::mem::take(&mut buffer.held) {
                let parties = super::super::contexts::parties(context);
                let registers = Call::RelinquishMemory { handle: buffer.handle }.encode().map(u64::from);
                let [w3, w4, w5, w6, w7] = registers;
                let answer = context.call(super::messages::REQUEST_32, &[parties, 0, w3, w4, w5, w6, w7]);
                expect_eq!(answer[4], 0, "RELINQ_MEM at the end");
            }
            context.reclaim(buffer.handle).map_err(|_| failure!("a buffer is held that was given back"))?;
        }
        context.speak_as(HYPERVISOR)
    }
}
