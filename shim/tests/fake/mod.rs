//! A scripted SPMC: every call must be the one that the script expects next, and gets the script's answer.
#![allow(dead_code, reason = "each test file uses its own part")]
use remoteproc_shim::ffa::{BufferPair, FfaTee, FfaTransport, Options, Registers};
use std::collections::VecDeque;

/// The partition's id.
pub const PARTITION: u64 = 0x8001;
pub const SUCCESS: u64 = 0x8400_0061;
pub const SUCCESS_64: u64 = 0xC400_0061;
pub const ERROR: u64 = 0x8400_0060;
pub const INTERRUPT: u64 = 0x8400_0062;
pub const YIELD: u64 = 0x8400_006C;
pub const RUN: u64 = 0x8400_006D;
pub const VERSION: u64 = 0x8400_0063;
pub const ID_GET: u64 = 0x8400_0069;
pub const SPM_ID_GET: u64 = 0x8400_0085;
pub const RXTX_MAP: u64 = 0xC400_0066;
pub const RXTX_UNMAP: u64 = 0x8400_0067;
pub const RX_RELEASE: u64 = 0x8400_0065;
pub const PARTITION_INFO_GET: u64 = 0x8400_0068;
pub const PARTITION_INFO_GET_REGS: u64 = 0xC400_008B;
pub const MEM_SHARE: u64 = 0xC400_0073;
pub const MEM_LEND: u64 = 0xC400_0072;
pub const MEM_RECLAIM: u64 = 0x8400_0077;
pub const DIRECT_REQ: u64 = 0xC400_006F;
pub const DIRECT_RESP: u64 = 0xC400_0070;
pub const DIRECT_REQ2: u64 = 0xC400_008D;
pub const DIRECT_RESP2: u64 = 0xC400_008E;

pub const NOT_SUPPORTED: i32 = -1;
pub const INVALID_PARAMETERS: i32 = -2;
pub const NO_MEMORY: i32 = -3;
pub const BUSY: i32 = -4;
pub const DENIED: i32 = -6;

/// The service's UUID in registers, as docs/abi.md writes it.
pub const UUID_LOW: u64 = 0x0549_470a_75c2_a480;
pub const UUID_HIGH: u64 = 0x081a_77a9_8614_8582;

/// Registers with these at the start and zeros behind.
pub fn registers(values: &[u64]) -> Registers {
    let mut registers = [0; 18];
    registers[..values.len()].copy_from_slice(values);
    registers
}

/// FFA_ERROR with a status in 32 bits.
pub fn error(status: i32) -> Registers {
    registers(&[ERROR, 0, u64::from(status.cast_unsigned())])
}

/// One call and its answer.
pub type Step = (Registers, Registers);

#[derive(Debug, Default)]
pub struct Script {
    steps: VecDeque<Step>,
    pub pauses: usize,
    pub interrupts: usize,
}

impl Script {
    /// Appends steps.
    pub fn then(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.steps.is_empty(), "calls that were not made: {:x?}", self.steps);
        }
    }
}

impl FfaTransport for Script {
    fn call(&mut self, registers: Registers) -> Registers {
        let (expected, answer) =
            self.steps.pop_front().unwrap_or_else(|| panic!("unexpected call {registers:x?}"));
        assert_eq!(registers, expected, "\n  made     {registers:x?}\n  expected {expected:x?}");
        answer
    }

    fn interrupted(&mut self) {
        self.interrupts += 1;
    }

    fn pause(&mut self) {
        self.pauses += 1;
    }
}

/// The RX/TX pair, in memory.
#[derive(Debug)]
pub struct Pages {
    pub transmit: Vec<u8>,
    pub receive: Vec<u8>,
}

impl Pages {
    pub fn new() -> Self {
        Self { transmit: vec![0; 4096], receive: vec![0; 4096] }
    }
}

impl BufferPair for Pages {
    fn transmit_address(&self) -> u64 {
        0x6000_1000
    }
    fn receive_address(&self) -> u64 {
        0x6000_2000
    }
    fn page_count(&self) -> u8 {
        1
    }
    fn write(&mut self, bytes: &[u8]) -> bool {
        match self.transmit.get_mut(..bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => return false,
        }
        true
    }
    fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        match self.receive.get(offset..offset + into.len()) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return false,
        }
        true
    }
}

/// The calls of a connection up to the mapped buffers.
pub fn opening() -> Vec<Step> {
    vec![
        (registers(&[VERSION, 0x1_0002]), registers(&[0x1_0003])),
        (registers(&[ID_GET]), registers(&[SUCCESS, 0, 0])),
        (registers(&[SPM_ID_GET]), registers(&[SUCCESS, 0, 0x8000])),
        (registers(&[RXTX_MAP, 0x6000_1000, 0x6000_2000, 1]), registers(&[SUCCESS])),
    ]
}

/// The question for the service by registers, from an index on.
pub fn ask_registers(index: u64, tag: u64) -> Registers {
    registers(&[PARTITION_INFO_GET_REGS, UUID_LOW, UUID_HIGH, tag << 16 | index])
}

/// Id, one execution context, and properties of a partition, as the first 8 bytes of its descriptor.
pub fn head(id: u64, properties: u64) -> u64 {
    properties << 32 | 1 << 16 | id
}

/// A connection to partition 0x8001, with a script for what follows.
pub fn connected(steps: impl IntoIterator<Item = Step>) -> FfaTee<Script, Pages> {
    let mut script = Script::default();
    script.then(opening());
    let found = registers(&[SUCCESS_64, 0, 24 << 48, head(PARTITION, 0x101)]);
    script.then([(ask_registers(0, 0), found)]);
    script.then(steps);
    let mut tee = FfaTee::connect(script, Pages::new()).expect("the script connects");
    tee.set_options(Options { resumes: 3, busy: 2, ..Options::default() });
    tee
}

/// A request with payload registers.
pub fn request(payload: &[u64]) -> Registers {
    registers(&[&[DIRECT_REQ, PARTITION, 0], payload].concat())
}

/// Its answer with payload registers.
pub fn response(payload: &[u64]) -> Registers {
    registers(&[&[DIRECT_RESP, PARTITION << 16, 0], payload].concat())
}
