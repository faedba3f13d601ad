//! The back end for door T: how it finds the service, shares its buffer, and passes images on in chunks.
mod fake;
use fake::*;
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_shim::ffa::{Error as FfaError, FfaTee, RpcTee, SharedBuffer};
use remoteproc_shim::{Error, Limits, Progress, Remoteproc};
use std::cell::RefCell;
use std::rc::Rc;

const REQUEST: u64 = 0x8400_006F;
const RESPONSE: u64 = 0x8400_0070;
/// Door T's UUID in registers, as docs/abi.md writes it.
const UUID: [u64; 2] = [0x5147_5e82_d776_cdbd, 0xac43_49f8_d486_3b96];
const RPC: u64 = 0x8002;
const HANDLE: u64 = 0x0000_0009_0000_0007;
const NOT_FOUND: u64 = 0xFFFF_FFFD;
const IN_PROGRESS: u64 = 0x00A4_0001;

/// The buffer: what it holds is looked at by the test, too.
#[derive(Clone)]
struct Memory {
    bytes: Rc<RefCell<Vec<u8>>>,
    pages: [Constituent; 1],
}

impl Memory {
    fn new(page_count: u32) -> Self {
        let bytes = Rc::new(RefCell::new(vec![0x5a; page_count as usize * 4096]));
        Self { bytes, pages: [Constituent { address: 0x7000_0000, page_count }] }
    }
}

impl SharedBuffer for Memory {
    type Image = [u8];

    fn pages(&self) -> &[Constituent] {
        &self.pages
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let mut all = self.bytes.borrow_mut();
        all.get_mut(offset..offset + bytes.len()).map(|place| place.copy_from_slice(bytes)).is_some()
    }
    fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        let all = self.bytes.borrow();
        all.get(offset..offset + into.len()).map(|bytes| into.copy_from_slice(bytes)).is_some()
    }
    fn fill(&mut self, offset: u32, image: &[u8], from: u64, length: u32) -> bool {
        let from = from as usize;
        image.get(from..from + length as usize).is_some_and(|part| self.write(offset as usize, part))
    }
}

/// A call to a partition and its answer, w3 to w7 each.
fn rpc(partition: u64, asked: [u64; 5], answered: [u64; 5]) -> Step {
    (
        registers(&[&[REQUEST, partition, 0], &asked[..]].concat()),
        registers(&[&[RESPONSE, partition << 16, 0], &answered[..]].concat()),
    )
}

/// A call of the service through the buffer.
fn call(opcode: u64, status: u64, result: u64, length: u64) -> Step {
    rpc(RPC, [0x2_0000 | opcode, 7, 9, 32, 0], [0x2_0000 | opcode, status, result, length, 0])
}

/// The question for those who speak TS-RPC: two of them, one after the other.
fn ask_for_two() -> Step {
    let asked = registers(&[PARTITION_INFO_GET_REGS, UUID[0], UUID[1], 0]);
    let heads = [SUCCESS_64, 0, 24 << 48 | 1 << 16 | 1, head(0x8009, 1), 0, 0, head(RPC, 1), 0, 0];
    (asked, registers(&heads))
}

const SERVICE_INFO: [u64; 5] = [0xFF_0003, 0x75c2_a480, 0x0549_470a, 0x8614_8582, 0x081a_77a9];

/// Finds the service behind the second partition, and shares the buffer.
fn connecting(taken: u64) -> Vec<Step> {
    vec![
        ask_for_two(),
        rpc(0x8009, [0xFF_0000, 0, 0, 0, 0], [0xFF_0000, 1, 0, 0, 0]),
        rpc(0x8009, SERVICE_INFO, [0xFF_0003, NOT_FOUND, 0, 0, 0]),
        ask_for_two(),
        rpc(RPC, [0xFF_0000, 0, 0, 0, 0], [0xFF_0000, 1, 0, 0, 0]),
        rpc(RPC, SERVICE_INFO, [0xFF_0003, 0, 2, 0, 0]),
        (registers(&[MEM_SHARE, 112, 112]), registers(&[SUCCESS, 0, 7, 9])),
        rpc(RPC, [0xFF_0001, 7, 9, 0, 0], [0xFF_0001, taken, 0, 0, 0]),
    ]
}

fn reclaim() -> Step {
    (registers(&[MEM_RECLAIM, 7, 9]), registers(&[SUCCESS]))
}

fn disconnecting() -> Vec<Step> {
    vec![rpc(RPC, [0xFF_0002, 7, 9, 0, 0], [0xFF_0002, 0, 0, 0, 0]), reclaim()]
}

/// A connection with a script for what a client of door T makes of it.
fn with(steps: impl IntoIterator<Item = Step>) -> FfaTee<Script, Pages> {
    connected(connecting(0).into_iter().chain(steps))
}

#[test]
fn the_service_is_found_among_several_partitions() {
    let mut connection = with(disconnecting());
    let tee = RpcTee::connect(&mut connection, Memory::new(1)).unwrap();
    assert_eq!(tee.handle(), HANDLE);
    tee.disconnect().unwrap();
    // The descriptor names the partition that has the service.
    let transmit = &connection.buffers().transmit;
    assert_eq!(transmit[48..50], [0x02, 0x80]);
}

#[test]
fn nobody_has_the_service() {
    let none = (registers(&[PARTITION_INFO_GET_REGS, UUID[0], UUID[1], 0]), error(INVALID_PARAMETERS));
    let mut connection = connected([none]);
    assert_eq!(RpcTee::connect(&mut connection, Memory::new(1)).err(), Some(FfaError::NoService));
    // One partition speaks another version.
    let one = registers(&[SUCCESS_64, 0, 24 << 48, head(RPC, 1)]);
    let ask = || (registers(&[PARTITION_INFO_GET_REGS, UUID[0], UUID[1], 0]), one);
    let version = rpc(RPC, [0xFF_0000, 0, 0, 0, 0], [0xFF_0000, 2, 0, 0, 0]);
    let mut connection = connected([ask(), version, ask()]);
    assert_eq!(RpcTee::connect(&mut connection, Memory::new(1)).err(), Some(FfaError::NoService));
}

#[test]
fn a_buffer_that_is_not_taken_comes_back() {
    let mut connection = connected(connecting(0xFFFF_FFF8).into_iter().chain([reclaim()]));
    let error = RpcTee::connect(&mut connection, Memory::new(1)).err().unwrap();
    assert_eq!(error, FfaError::Rpc(-8));
    assert_eq!(error.to_string(), "door T answered RESOURCE_FAILURE (-8)");
}

/// Memory that the partition does not give back is not reclaimed: it may still be used there.
#[test]
fn a_buffer_that_is_not_given_back_stays_shared() {
    let refused = rpc(RPC, [0xFF_0002, 7, 9, 0, 0], [0xFF_0002, 0xFFFF_FFFF, 0, 0, 0]);
    let mut connection = with([refused]);
    let memory = Memory::new(1);
    let bytes = Rc::clone(&memory.bytes);
    let tee = RpcTee::connect(&mut connection, memory).unwrap();
    assert_eq!(tee.disconnect().err(), Some(FfaError::Rpc(-1)));
    assert_eq!(Rc::strong_count(&bytes), 2, "its memory went to somebody else");
}

/// The same for a buffer that was not taken and can't be taken back either.
#[test]
fn a_buffer_that_does_not_come_back_is_nobodys() {
    let (call, _) = reclaim();
    let steps = connecting(0xFFFF_FFF8).into_iter().chain([(call, error(DENIED))]);
    let mut connection = connected(steps);
    let memory = Memory::new(1);
    let bytes = Rc::clone(&memory.bytes);
    assert!(matches!(RpcTee::connect(&mut connection, memory).err(), Some(FfaError::Call { .. })));
    assert_eq!(Rc::strong_count(&bytes), 2, "its memory went to somebody else");
}

#[test]
fn requests_lie_in_the_buffer() {
    let memory = Memory::new(1);
    let steps = [call(2, 0, 0, 32), call(3, 0, 0xFFFF_0007, 0), call(6, NOT_FOUND, 0, 0)];
    let mut connection = with(steps);
    let mut client = Remoteproc::new(RpcTee::connect(&mut connection, memory.clone()).unwrap(), 5);
    client.start().unwrap();
    let mut expected = [0; 32];
    expected[0] = 5;
    assert_eq!(memory.bytes.borrow()[..32], expected);
    let error = client.stop(StopMode::Graceful { milliseconds: 250 }).unwrap_err();
    assert_eq!(error.to_string(), "STOP_FW was answered BAD_STATE (0xffff0007)");
    (expected[8], expected[16]) = (1, 250);
    assert_eq!(memory.bytes.borrow()[..32], expected);
    assert_eq!(client.release(), Err(Error::Tee(FfaError::Rpc(-3))));
}

#[test]
fn answers_against_the_abi_are_errors() {
    for (answer, expected) in [
        (call(2, 0, 0, 31), "against the ABI"),
        (call(2, 0, 0, 257), "against the ABI"),
        (call(2, 0, 0, 0xFFFF_FFFF), "against the ABI"),
        (rpc(RPC, [0x2_0002, 7, 9, 32, 0], [2, 0, 0, 32, 0]), "against the ABI"),
        (call(2, 0x1234, 0, 32), "unknown status 4660"),
    ] {
        let mut connection = with([answer]);
        let mut client = Remoteproc::new(RpcTee::connect(&mut connection, Memory::new(1)).unwrap(), 0);
        let error = client.start().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A partition that takes so many bytes of a chunk in each call, and notes what it was given.
struct Partition {
    memory: Memory,
    taken: Vec<u8>,
    total: u64,
    step: usize,
}

impl Partition {
    /// Answers LOAD_FW.
    fn load(&mut self) -> u64 {
        let bytes = self.memory.bytes.borrow().clone();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (chunk, total, offset) = (word(8), word(16), word(24));
        assert_eq!(total, self.total);
        let (place, length) = ((chunk & 0xFFFF_FFFF) as usize, (chunk >> 32) as usize);
        let from = self.taken.len() - offset as usize;
        let to = length.min(from + self.step);
        self.taken.extend_from_slice(&bytes[place + from..place + to]);
        let done = self.taken.len() as u64;
        let answer = [done.to_le_bytes(), total.to_le_bytes(), [0; 8], [0; 8]].concat();
        self.memory.bytes.borrow_mut()[..32].copy_from_slice(&answer);
        if done == total { 0 } else { IN_PROGRESS }
    }
}

/// A transport that has the partition answer calls of the service, and the script everything else.
struct Played {
    script: Script,
    partition: Rc<RefCell<Partition>>,
}

impl remoteproc_shim::ffa::FfaTransport for Played {
    fn call(&mut self, registers: remoteproc_shim::ffa::Registers) -> remoteproc_shim::ffa::Registers {
        if registers[0] == REQUEST && registers[3] == 0x2_0001 {
            let result = self.partition.borrow_mut().load();
            return fake::registers(&[RESPONSE, RPC << 16, 0, 0x2_0001, 0, result, 32]);
        }
        self.script.call(registers)
    }
}

#[test]
fn an_image_goes_over_in_chunks() {
    let image: Vec<u8> = (0..20_000u32).map(|byte| (byte % 251) as u8).collect();
    for (pages, step) in [(1, 5000), (1, 100), (2, 4096), (3, 1000), (9, 40_000)] {
        let memory = Memory::new(pages);
        let total = image.len() as u64;
        let partition = Partition { memory: memory.clone(), taken: Vec::new(), total, step };
        let partition = Rc::new(RefCell::new(partition));
        let mut script = Script::default();
        script.then(opening());
        let found = registers(&[SUCCESS_64, 0, 24 << 48, head(PARTITION, 0x101)]);
        script.then([(ask_registers(0, 0), found)]);
        script.then(connecting(0));
        script.then(disconnecting());
        let transport = Played { script, partition: partition.clone() };
        let mut connection = FfaTee::connect(transport, Pages::new()).unwrap();
        let mut client = Remoteproc::new(RpcTee::connect(&mut connection, memory).unwrap(), 0);
        client.set_limits(Limits { busy: 2, idle: 2 });
        let mut steps = Vec::new();
        client.load(&image, total, |Progress { done, .. }| steps.push(done)).unwrap();
        assert_eq!(partition.borrow().taken, image, "{pages} pages, {step} bytes a call");
        assert!(steps.is_sorted() && steps.last() == Some(&total));
        client.into_tee().disconnect().unwrap();
    }
}
