//! Direct messages, random ones and valid ones with a mistake.
use super::buffers::{Buffers, Made, OWNERS};
use super::pool::{Item, ONE_CALLER, Pool};
use super::random::Random;
use crate::context::HYPERVISOR;
use remoteproc_abi::door_d::{FLAG_LENT, FLAG_ONE_CALL};

/// DIRECT_REQ, 32 bit: door T.
pub const REQUEST_32: u32 = 0x8400_006F;
/// DIRECT_REQ, 64 bit: door D.
pub const REQUEST_64: u32 = 0xC400_006F;
/// DIRECT_REQ2: door D.
pub const REQUEST_2: u32 = 0xC400_008D;
/// Door D's UUID in registers, as docs/abi.md writes it.
pub const DOOR_D: [u64; 2] = [0x0549_470a_75c2_a480, 0x081a_77a9_8614_8582];
/// Door T's.
pub const DOOR_T: [u64; 2] = [0x5147_5e82_d776_cdbd, 0xac43_49f8_d486_3b96];

/// START_FW and STOP_FW, which the fuzzer must not send at any time.
pub const START: u64 = 2;
pub const STOP: u64 = 3;
const LOAD: u64 = 1;
pub const RELEASE: u64 = 6;
const GET_LAST_ERROR: u64 = 0x13;
const GET_MEASUREMENTS: u64 = 0x14;
const BIND_EVENTS: u64 = 0x15;

/// What the fuzzer believes of the processor, from the answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is loaded.
    Offline,
    /// Firmware is loaded.
    Loaded,
    /// It runs.
    Running,
    /// It was stopped.
    Stopped,
}

/// A message: who sends it, function id, and x2 to x17.
#[derive(Clone, Copy)]
pub struct Message {
    /// The normal-world endpoint in whose name it is sent.
    pub sender: u16,
    /// Function id.
    pub function: u32,
    /// x2 to x17.
    pub registers: [u64; 16],
    /// What is carried out by door T, if it was made as a command and not changed.
    pub opcode: Option<u16>,
    /// It was valid but for a mistake in one place or two, which the partition has to notice.
    pub mistaken: bool,
}

impl Message {
    /// A message with registers from x2 on, its payload last.
    fn new(function: u32, front: &[u64], payload: [u64; 5]) -> Self {
        let mut registers = [0; 16];
        for (register, value) in registers.iter_mut().zip(front.iter().chain(&payload)) {
            *register = *value;
        }
        Self { sender: HYPERVISOR, function, registers, opcode: None, mistaken: false }
    }

    /// A command to door D, of either family.
    pub fn door_d(random: &mut Random, sender: u16, payload: [u64; 5]) -> Self {
        let message = if random.once_in(2) {
            Self::new(REQUEST_64, &[0], payload)
        } else {
            Self::new(REQUEST_2, &DOOR_D, payload)
        };
        Self { sender, ..message }
    }

    /// The first LOAD_FW of a handle; of one with a part of an image, in one call.
    pub fn load(random: &mut Random, sender: u16, item: Item) -> Self {
        let lent = if item.lent { FLAG_LENT } else { 0 };
        let one_call = if item.partial { FLAG_ONE_CALL } else { 0 };
        Self::door_d(random, sender, [LOAD | lent | one_call, 0, item.handle, item.length, 0])
    }

    /// The same, of another processor.
    pub fn of_processor(mut self, processor: u64) -> Self {
        if let Some(index) = self.payload() {
            self.registers[index + 1] = processor;
        }
        self
    }

    /// The index of the first payload register in `registers`, for a message to door D.
    fn payload(&self) -> Option<usize> {
        match self.function {
            REQUEST_64 if self.registers[0] == 0 => Some(1),
            REQUEST_2 if self.registers[..2] == DOOR_D => Some(2),
            _ => None,
        }
    }

    /// The command and the processor of a message to door D.
    pub fn command(&self) -> Option<(u64, u64)> {
        self.payload().map(|index| (self.registers[index], self.registers[index + 1]))
    }

    /// The control register of a message to door T.
    pub fn control(&self) -> Option<u32> {
        (self.function == REQUEST_32 && self.registers[0] as u32 == 0).then_some(self.registers[1] as u32)
    }

    /// Changes a register a little or a lot; some changes of some values are none.
    fn change(&mut self, random: &mut Random, index: usize) {
        let before = self.registers[index];
        self.registers[index] = changed(random, before);
        self.mistaken |= self.registers[index] != before;
    }

    /// Makes another command of a message to door D.
    pub fn become_harmless(&mut self) {
        if let Some(index) = self.payload() {
            self.registers[index] = GET_LAST_ERROR;
            self.mistaken = false;
        }
    }
}

/// A message of any family with anything in its registers; now and then the command is a small number.
pub fn random(random: &mut Random) -> Message {
    let mut message = Message::new(random.pick(&[REQUEST_32, REQUEST_64, REQUEST_2]), &[], [0; 5]);
    for register in &mut message.registers {
        *register = random.register();
    }
    match message.function {
        REQUEST_2 => {
            let uuid = random.pick(&[DOOR_D, DOOR_D, DOOR_T]);
            if !random.once_in(8) {
                message.registers[..2].copy_from_slice(&uuid);
            }
        }
        _ if !random.once_in(8) => message.registers[0] = 0,
        _ => {}
    }
    if let Some(index) = message.payload()
        && random.once_in(3)
    {
        message.registers[index] = random.below(0x20);
    }
    message
}

/// The endpoint that the manifest does not list for processor 1.
const UNLISTED: u16 = 3;

/// A valid message, in many cases with a mistake: in what a load names, or in any one register.
pub fn mutated(
    random: &mut Random,
    (pool, buffers): (&Pool, &Buffers),
    state: State,
    sender: u16,
) -> Message {
    if random.once_in(4) {
        return mutated_rpc(random, buffers);
    }
    let command = match state {
        // These tell something here that they do not tell elsewhere.
        State::Stopped if random.once_in(2) => START,
        State::Running if random.once_in(2) => random.pick(&[RELEASE, STOP]),
        // Most images are told apart only while another one is loaded.
        State::Loaded if random.once_in(3) => random.pick(&[LOAD, LOAD, RELEASE]),
        State::Offline if random.once_in(2) => LOAD,
        _ => random.pick(&[
            LOAD, LOAD, LOAD, LOAD, LOAD, LOAD, LOAD, LOAD, START, START, STOP, 4, 4, 5, RELEASE, RELEASE,
            0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        ]),
    };
    let mut payload = [command, 0, 0, 0, 0];
    let mut mistaken = false;
    if command == LOAD {
        let item = pool.pick(random, sender);
        if item.lent {
            payload[0] |= FLAG_LENT;
        }
        if item.partial || random.once_in(if sender == ONE_CALLER { 3 } else { 24 }) {
            payload[0] |= FLAG_ONE_CALL;
        }
        payload[2] = item.handle;
        payload[3] = match random.below(12) {
            0 => random.below(20),
            1 => item.length + 1 + random.below(8),
            2 => item.length << 20,
            _ => item.length,
        };
        payload[4] = if random.once_in(12) { random.register() } else { 0 };
        // An image that is linked for processor 0.
        if random.once_in(24) {
            payload[1] = 1;
        }
        mistaken = payload[1] != 0 || payload[3] != item.length || payload[4] != 0;
    }
    if command == GET_MEASUREMENTS && random.once_in(2) {
        // A load that is not kept, or not yet.
        payload[1] = 3;
        payload[2] = random.below(1 << 32) + (1 << 32);
    }
    if command == BIND_EVENTS {
        // Half of them are no notification's id.
        payload[2] = random.below(128);
    }
    // The processor that is not for this endpoint.
    if sender == UNLISTED && random.once_in(4) {
        payload[1] = 1;
    }
    let mut message = Message { mistaken, ..Message::door_d(random, sender, payload) };
    if random.once_in(2) {
        let index = message.payload().unwrap_or(0) + random.below(5) as usize;
        message.change(random, index);
    }
    message
}

/// A valid message to door T by one of those who have a buffer, in many cases with one register changed.
fn mutated_rpc(random: &mut Random, buffers: &Buffers) -> Message {
    let sender = random.pick(&OWNERS);
    let Made { registers, opcode } = buffers.call(random, sender);
    let mut message = Message { sender, opcode, ..Message::new(REQUEST_32, &[0], registers.map(u64::from)) };
    if random.once_in(2) {
        let index = 1 + random.below(5) as usize;
        message.change(random, index);
        message.opcode = None;
    }
    message
}

/// A value that is a little or much different.
fn changed(random: &mut Random, value: u64) -> u64 {
    match random.below(5) {
        0 => value ^ 1 << random.below(64),
        1 => value.wrapping_add(1),
        2 => value.wrapping_sub(1),
        3 => 0,
        _ => random.register(),
    }
}
