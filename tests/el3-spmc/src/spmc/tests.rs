//! The SPMC against a fake machine: both worlds' calls, register by register.
mod notifications;
mod preemption;
mod processors;
mod secure_interrupts;

use std::cell::Cell;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::descriptor::tests::{retrieve_bytes, share_bytes};
use crate::manifest::{InterruptAction, NON_SECURE, READ, Region, WRITE};
use crate::memory_map::Range;
use crate::stage_one::TranslationRegisters;

const NS_TX: u64 = 0x4800_0000;
const NS_RX: u64 = 0x4800_1000;
const SP_TX: u64 = 0x0e31_0000;
const SP_RX: u64 = 0x0e31_1000;
const OK: u64 = ffa::SUCCESS as u64;
const ERROR: u64 = ffa::ERROR as u64;
const DENIED: u64 = FfaError::Denied.register();
const INVALID: u64 = FfaError::InvalidParameters.register();
const NOT_SUPPORTED: u64 = FfaError::NotSupported.register();
const BUSY: u64 = FfaError::Busy.register();

#[derive(Default)]
struct Fake {
    bytes: HashMap<u64, u8>,
    lines: Vec<String>,
    violations: u64,
    translation: Cell<TranslationRegisters>,
    /// Software-generated interrupts that were raised.
    raised: Vec<u32>,
    /// Interrupts of the partition's that are held.
    held: Vec<u32>,
    /// One was acknowledged and not ended.
    active: bool,
}

impl Machine for Fake {
    fn read(&self, address: u64, buffer: &mut [u8]) {
        for (offset, byte) in buffer.iter_mut().enumerate() {
            *byte = self.bytes.get(&(address + offset as u64)).copied().unwrap_or(0);
        }
    }
    fn write(&mut self, address: u64, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            self.bytes.insert(address + offset as u64, *byte);
        }
    }
    fn firmware_line(&mut self, text: fmt::Arguments<'_>) {
        self.lines.push(format!("[EL3] {text}"));
    }
    fn partition_line(&mut self, text: fmt::Arguments<'_>) {
        self.lines.push(format!("[SP] {text}"));
    }
    fn count_violation(&mut self) {
        self.violations += 1;
    }
    fn violations(&self) -> u64 {
        self.violations
    }
    fn translation(&self) -> TranslationRegisters {
        self.translation.get()
    }
    fn raise_for_normal_world(&mut self, interrupt: u32) {
        self.raised.push(interrupt);
    }
    fn hold_secure_interrupt(&mut self, interrupt: u32, hold: bool) {
        self.held.retain(|held| *held != interrupt);
        if hold {
            self.held.push(interrupt);
        }
    }
    fn secure_interrupt_is_active(&self) -> bool {
        self.active
    }
}

/// An SPMC with its machine; violations are looked at by rule.
struct Bench {
    spmc: Spmc<'static>,
    machine: Fake,
}

fn manifest() -> Manifest {
    let mut uuids = heapless::Vec::new();
    uuids.push([1, 2, 3, 4]).unwrap();
    let mut memory = heapless::Vec::new();
    let range = Range { start: 0x8000_0000, end: 0x8100_0000 };
    memory.push(Region { range, attributes: READ | WRITE | NON_SECURE }).unwrap();
    Manifest {
        version: 0x10002,
        uuids,
        contexts: 1,
        power_messages: 0,
        machine_messages: 2,
        messaging: 1,
        interrupts: InterruptAction::Queued,
        load_address: None,
        entry_offset: 0x4000,
        boot_register: Some(0),
        memory,
        devices: heapless::Vec::new(),
        secure_interrupts: heapless::Vec::from_slice(&[40]).unwrap(),
        notifications: true,
    }
}

impl Bench {
    /// The partition is about to start.
    fn cold() -> Self {
        Self::with(manifest())
    }

    /// The partition with this manifest is about to start.
    fn with(manifest: Manifest) -> Self {
        let shares = Box::leak(Box::new(ShareTable::new()));
        let fragments = Box::leak(Box::new(Fragments::new()));
        Self { spmc: Spmc::new(manifest, 4, shares, fragments), machine: Fake::default() }
    }

    /// Both sides initialized, the partition waiting.
    fn ready() -> Self {
        Self::cold().initialized()
    }

    fn initialized(self) -> Self {
        let mut bench = self;
        assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x10002])[0], 0x10002);
        assert_eq!(bench.secure(&[RXTX_MAP_64.into(), SP_TX, SP_RX, 1])[0], OK);
        bench.waits();
        assert_eq!(bench.normal(&[ffa::VERSION.into(), 0x10002])[0], 0x10002);
        assert_eq!(bench.normal(&[RXTX_MAP_64.into(), NS_TX, NS_RX, 1])[0], OK);
        bench
    }

    /// A request is being served.
    fn serving() -> Self {
        let mut bench = Self::ready();
        bench.request();
        bench
    }

    fn outcome(&mut self, world: World, arguments: &[u64]) -> Outcome {
        let mut registers = [0; 18];
        registers[..arguments.len()].copy_from_slice(arguments);
        self.spmc.call(&mut self.machine, &Call { world, processor: 0, registers: &registers })
    }

    fn returned(&mut self, world: World, arguments: &[u64]) -> Registers {
        match self.outcome(world, arguments) {
            Outcome::Return(answer) => answer.registers,
            other => panic!("expected an answer, not {other:?}"),
        }
    }

    fn secure(&mut self, arguments: &[u64]) -> Registers {
        self.returned(World::Secure, arguments)
    }

    fn normal(&mut self, arguments: &[u64]) -> Registers {
        self.returned(World::Normal, arguments)
    }

    fn waits(&mut self) {
        assert_eq!(
            self.outcome(World::Secure, &[ffa::MSG_WAIT.into()]),
            Outcome::Switch(World::Normal, Answer::NOTHING)
        );
    }

    fn request(&mut self) {
        assert!(matches!(
            self.outcome(World::Normal, &[DIRECT_REQ_64.into(), 0x8001, 0, 3, 4]),
            Outcome::Switch(World::Secure, _)
        ));
    }

    /// The violations' rules since the last look.
    fn rules(&mut self) -> Vec<String> {
        let lines = core::mem::take(&mut self.machine.lines);
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("[EL3] violation "))
            .map(|line| line.split(':').next().unwrap().to_string())
            .collect()
    }

    fn share(&mut self, bytes: &[u8]) -> Registers {
        self.machine.write(NS_TX, bytes);
        let length = bytes.len() as u64;
        self.normal(&[MEM_SHARE_64.into(), length, length])
    }

    fn share_handle(&mut self, address: u64, pages: u32) -> u64 {
        let answer = self.share(&share_bytes(32, &[(address, pages)]));
        assert_eq!(answer[0], OK);
        answer[2] | answer[3] << 32
    }

    fn retrieve(&mut self, handle: u64) -> Registers {
        let bytes = retrieve_bytes(32, handle);
        self.machine.write(SP_TX, &bytes);
        self.secure(&[ffa::MEM_RETRIEVE_REQ.into(), bytes.len() as u64, bytes.len() as u64])
    }

    fn relinquish(&mut self, handle: u64) -> Registers {
        let mut bytes = [0; 18];
        bytes[..8].copy_from_slice(&handle.to_le_bytes());
        bytes[12] = 1;
        bytes[16..].copy_from_slice(&PARTITION_ID.to_le_bytes());
        self.machine.write(SP_TX, &bytes);
        self.secure(&[ffa::MEM_RELINQUISH.into()])
    }

    fn reclaim(&mut self, handle: u64) -> Registers {
        self.normal(&[ffa::MEM_RECLAIM.into(), handle & 0xffff_ffff, handle >> 32, 0])
    }
}

#[test]
fn version_comes_first_and_is_fixed_then() {
    let mut bench = Bench::cold();
    assert_eq!(bench.secure(&[ffa::ID_GET.into()])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["version-first"]);
    let mut bench = Bench::cold();
    assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x10001])[0], 0x10002);
    assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x10002])[0], 0x10002);
    assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x20000])[0], NOT_SUPPORTED);
    assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x8001_0002])[0], NOT_SUPPORTED);
    assert_eq!(bench.secure(&[ffa::ID_GET.into()])[..3], [OK, 0, 0x8001]);
    assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x10002])[0], 0x10002);
    assert_eq!(bench.rules().len(), 0);
    assert_eq!(bench.secure(&[ffa::VERSION.into(), 0x10001])[0], NOT_SUPPORTED);
    assert_eq!(bench.rules(), ["version-change"]);
    // The normal world asks once; its mistakes are no violations.
    assert_eq!(bench.normal(&[ffa::ID_GET.into()])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.normal(&[ffa::VERSION.into(), 0x10003])[0], 0x10002);
    assert_eq!(bench.normal(&[ffa::VERSION.into(), 0x10002])[0], NOT_SUPPORTED);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn features_and_ids() {
    let mut bench = Bench::ready();
    for (asked, property) in [(ffa::RXTX_MAP, 0x10000), (RXTX_MAP_64, 0x10000), (DIRECT_REQ_64, 0)] {
        assert_eq!(bench.normal(&[ffa::FEATURES.into(), asked.into()])[..3], [OK, 0, property]);
    }
    for asked in [DIRECT_REQ_32, DIRECT_RESP_32, DIRECT_REQ2_64, DIRECT_RESP2_64, ffa::MEM_LEND, MEM_LEND_64]
    {
        assert_eq!(bench.normal(&[ffa::FEATURES.into(), asked.into()])[..3], [OK, 0, 0]);
    }
    for asked in [ffa::MEM_DONATE, ffa::MSG_SEND_DIRECT_REQ2, ffa::YIELD, 1, 3] {
        assert_eq!(bench.normal(&[ffa::FEATURES.into(), asked.into()])[..3], [ERROR, 0, NOT_SUPPORTED]);
    }
    assert_eq!(bench.secure(&[ffa::FEATURES.into(), ffa::MEM_RETRIEVE_REQ.into(), 2])[..3], [OK, 0, 6]);
    assert_eq!(
        bench.secure(&[ffa::FEATURES.into(), ffa::MEM_RETRIEVE_REQ.into(), 0])[..3],
        [ERROR, 0, NOT_SUPPORTED]
    );
    assert_eq!(bench.normal(&[ffa::SPM_ID_GET.into()])[..3], [OK, 0, 0x8000]);
    assert_eq!(bench.normal(&[ffa::ID_GET.into()])[..3], [OK, 0, 0]);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn buffers() {
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    for (arguments, error, rule) in [
        ([SP_TX, SP_RX, 2], INVALID, "rxtx-count"),
        ([SP_TX + 8, SP_RX, 1], INVALID, "rxtx-alignment"),
        ([SP_TX, SP_TX, 1], INVALID, "rxtx-overlap"),
        ([NS_TX, SP_RX, 1], DENIED, "rxtx-memory"),
        ([SP_TX, !0xfff, 1], DENIED, "rxtx-memory"),
    ] {
        let [transmit, receive, count] = arguments;
        assert_eq!(bench.secure(&[RXTX_MAP_64.into(), transmit, receive, count])[..3], [ERROR, 0, error]);
        assert_eq!(bench.rules(), [rule]);
    }
    assert_eq!(bench.secure(&[RXTX_MAP_64.into(), SP_TX, SP_RX, 1])[0], OK);
    assert_eq!(bench.secure(&[RXTX_MAP_64.into(), SP_TX, SP_RX, 1])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["rxtx-twice"]);
    assert_eq!(bench.secure(&[ffa::RX_RELEASE.into()])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["release-nothing"]);
    assert_eq!(bench.secure(&[ffa::RXTX_UNMAP.into()])[0], OK);
    assert_eq!(bench.secure(&[ffa::RXTX_UNMAP.into()])[..3], [ERROR, 0, INVALID]);
}

#[test]
fn normal_world_buffers_are_in_real_memory_and_not_shared() {
    let mut bench = Bench::ready();
    assert_eq!(bench.normal(&[ffa::RXTX_UNMAP.into()])[0], OK);
    for address in [0x7000_0000, 0x8000_0000, SP_TX, 0x0900_0000] {
        assert_eq!(bench.normal(&[RXTX_MAP_64.into(), address, NS_RX, 1])[..3], [ERROR, 0, DENIED]);
    }
    assert_eq!(bench.normal(&[RXTX_MAP_64.into(), NS_TX, NS_RX, 1])[0], OK);
    bench.share_handle(0x4a00_0000, 1);
    assert_eq!(bench.normal(&[ffa::RXTX_UNMAP.into()])[0], OK);
    assert_eq!(bench.normal(&[RXTX_MAP_64.into(), 0x4a00_0000, NS_RX, 1])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn partition_information_both_ways() {
    let mut bench = Bench::ready();
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into(), 0, 0, 0, 0, 1])[..4], [OK, 0, 1, 0]);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into(), 1, 2, 3, 4])[..4], [OK, 0, 1, 24]);
    let mut descriptor = [0; 24];
    bench.machine.read(NS_RX, &mut descriptor);
    assert_eq!(descriptor, [1, 0x80, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into()])[..3], [ERROR, 0, BUSY]);
    assert_eq!(bench.normal(&[ffa::RX_RELEASE.into()])[0], OK);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into()])[0], OK);
    bench.machine.read(NS_RX, &mut descriptor);
    assert_eq!(descriptor[8..], [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into(), 1, 2, 3, 5])[..3], [ERROR, 0, INVALID]);
    let get_regs = u64::from(PARTITION_INFO_GET_REGS_64);
    let answer = bench.normal(&[get_regs]);
    assert_eq!(answer[..6], [0xc400_0061, 0, 24 << 48, 0x101_0001_8001, 0x2_0000_0001, 0x4_0000_0003]);
    assert_eq!(bench.normal(&[get_regs, 0, 0, 1])[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.normal(&[get_regs, 0, 0, 1 << 16])[..3], [ERROR, 0, FfaError::Retry.register()]);
    assert_eq!(bench.normal(&[get_regs, 5])[..3], [ERROR, 0, INVALID]);
}

#[test]
fn a_direct_message_there_and_back() {
    let mut bench = Bench::ready();
    let mut request = [0x99; 18];
    request[..8].copy_from_slice(&[DIRECT_REQ_64.into(), 0x8001, 0, 1 << 40, 4, 5, 6, 7]);
    let Outcome::Switch(World::Secure, answer) = bench.outcome(World::Normal, &request) else { panic!() };
    assert_eq!(answer.count, 18);
    assert_eq!(answer.registers[..8], request[..8]);
    assert_eq!(answer.registers[8..], [0; 10]);
    assert_eq!(bench.normal(&[DIRECT_REQ_64.into(), 0x8001])[..3], [ERROR, 0, BUSY]);
    let response = [DIRECT_RESP_64.into(), 0x8001_0000, 0, 1 << 41, 40, 50, 60, 70];
    let Outcome::Switch(World::Normal, answer) = bench.outcome(World::Secure, &response) else { panic!() };
    assert_eq!((answer.count, &answer.registers[..8]), (8, &response[..]));
    bench.request();
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn requests_that_are_refused() {
    let mut bench = Bench::ready();
    for (arguments, error) in [
        ([DIRECT_REQ_64.into(), 0x8001_8001, 0], INVALID),
        ([DIRECT_REQ_64.into(), 0x8002, 0], INVALID),
        ([DIRECT_REQ_64.into(), 0x8000, 0], INVALID),
        ([DIRECT_REQ_64.into(), 0x8001, 0x8000_0000], INVALID),
        ([DIRECT_REQ_64.into(), 0x8001, 1], INVALID),
        ([DIRECT_REQ_32.into(), 0xffff_8001, 0], INVALID),
        ([DIRECT_REQ_32.into(), 0x8001, 0x8000_0000], INVALID),
        ([DIRECT_REQ2_64.into(), 0x8001, 0], DENIED),
        ([ffa::MSG_SEND_DIRECT_REQ2.into(), 0x8001, 0], NOT_SUPPORTED),
        ([DIRECT_RESP_64.into(), 0x8001, 0], NOT_SUPPORTED),
        ([ffa::MSG_WAIT.into(), 0, 0], NOT_SUPPORTED),
        ([ffa::RUN.into(), 0x8001_0000, 0], DENIED),
        ([ffa::RUN.into(), 0x8001_0001, 0], INVALID),
        ([ffa::MEM_LEND.into(), 112, 112], INVALID),
        ([ffa::MEM_DONATE.into(), 112, 112], NOT_SUPPORTED),
        ([ffa::MEM_FRAG_TX.into(), 0, 0], INVALID),
        ([ffa::MEM_FRAG_RX.into(), 0, 0], NOT_SUPPORTED),
        ([ffa::MEM_RETRIEVE_REQ.into(), 80, 80], NOT_SUPPORTED),
        ([ffa::CONSOLE_LOG.into(), 1, 65], NOT_SUPPORTED),
        ([0x8400_00ef, 0, 0], NOT_SUPPORTED),
    ] {
        assert_eq!(bench.normal(&arguments)[..3], [ERROR, 0, error], "{arguments:x?}");
    }
    assert_eq!(bench.machine.violations, 0);
    // Nothing of it disturbed the partition.
    bench.request();
}

#[test]
fn each_rule_of_a_response() {
    let good = [DIRECT_RESP_64.into(), 0x8001_0000, 0, 0];
    for (arguments, error, rule) in [
        ([DIRECT_RESP_32.into(), 0x8001_0000, 0, 0], DENIED, "response-family"),
        ([DIRECT_RESP2_64.into(), 0x8001_0000, 0, 0], DENIED, "response-family"),
        ([DIRECT_RESP_64.into(), 0x8002_0000, 0, 0], INVALID, "response-ids"),
        ([DIRECT_RESP_64.into(), 0x8001_0001, 0, 0], INVALID, "response-ids"),
        ([DIRECT_RESP_64.into(), 0x1_8001_0000, 0, 0], INVALID, "response-ids"),
        ([DIRECT_RESP_64.into(), 0x8001_0000, 0x8000_0000, 0], INVALID, "response-flags"),
    ] {
        let mut bench = Bench::serving();
        assert_eq!(bench.secure(&arguments)[..3], [ERROR, 0, error]);
        assert_eq!(bench.rules(), [rule]);
        assert!(matches!(bench.outcome(World::Secure, &good), Outcome::Switch(World::Normal, _)));
    }
    for register in 8..18 {
        let mut bench = Bench::serving();
        let mut arguments = [0; 18];
        arguments[..4].copy_from_slice(&good);
        arguments[register] = 1 << 63;
        assert_eq!(bench.secure(&arguments)[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), ["extended-registers"]);
    }
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    assert_eq!(bench.secure(&good)[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["response-without-request"]);
}

#[test]
fn each_rule_of_waiting() {
    for register in [1, 2, 3, 7] {
        let mut bench = Bench::cold();
        bench.secure(&[ffa::VERSION.into(), 0x10002]);
        let mut arguments = [0; 8];
        arguments[0] = ffa::MSG_WAIT.into();
        arguments[register] = 2;
        assert_eq!(bench.secure(&arguments)[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), ["wait-registers"]);
    }
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    let mut arguments = [0; 18];
    arguments[0] = ffa::MSG_WAIT.into();
    arguments[17] = 1;
    assert_eq!(bench.secure(&arguments)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["extended-registers"]);
    let mut bench = Bench::serving();
    assert_eq!(bench.secure(&[ffa::MSG_WAIT.into()])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["wait-in-request"]);
}

#[test]
fn the_partition_may_give_up_while_it_starts_and_only_then() {
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    assert_eq!(bench.outcome(World::Secure, &[ffa::ERROR.into(), 0, NOT_SUPPORTED]), Outcome::BootFailed);
    let mut bench = Bench::serving();
    assert_eq!(bench.secure(&[ffa::ERROR.into(), 0, NOT_SUPPORTED])[..3], [ERROR, 0, NOT_SUPPORTED]);
    assert_eq!(bench.rules(), ["error-as-call"]);
}

#[test]
fn calls_that_are_not_the_partitions() {
    let mut bench = Bench::serving();
    for (function, rule) in [
        (DIRECT_REQ_64, "direct-request-to-normal-world"),
        (ffa::MEM_SHARE, "share-to-normal-world"),
        (ffa::MEM_RECLAIM, "reclaim-not-owner"),
        (ffa::RUN, "run-from-partition"),
        (ffa::SUCCESS, "answer-as-call"),
    ] {
        assert_eq!(bench.secure(&[function.into()])[0], ERROR);
        assert_eq!(bench.rules(), [rule]);
    }
    // FFA_NOTIFICATION_GET.
    assert_eq!(bench.secure(&[0x8400_0082])[..3], [ERROR, 0, NOT_SUPPORTED]);
    assert_eq!(bench.rules().len(), 0);
    assert_eq!(bench.secure(&[psci::SYSTEM_OFF.into()])[0], 0xffff_ffff);
    assert_eq!(bench.rules(), ["psci-from-partition"]);
    assert_eq!(bench.secure(&[fixture::CONTROL.into(), 1])[0], u64::MAX);
}

#[test]
fn the_log_comes_out_in_whole_lines() {
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    bench.machine.lines.clear();
    let word = |text: &[u8; 8]| u64::from_le_bytes(*text);
    let wide = u64::from(CONSOLE_LOG_64);
    assert_eq!(bench.secure(&[wide, 16, word(b"one\ntwo,"), word(b"\x1b more\r\n")])[0], OK);
    assert_eq!(bench.secure(&[ffa::CONSOLE_LOG.into(), 5, 0xffff_ffff_6c6c_6163, 0x64])[0], OK);
    assert_eq!(bench.machine.lines, ["[SP] one", "[SP] two,\\x1b more"]);
    let mut full = [0x4141_4141_4141_4141; 18];
    full[..2].copy_from_slice(&[wide, 128]);
    assert_eq!(bench.secure(&full)[0], OK);
    for (function, count) in [(wide, 0), (wide, 129), (ffa::CONSOLE_LOG.into(), 25)] {
        assert_eq!(bench.secure(&[function, count])[..3], [ERROR, 0, INVALID]);
    }
    bench.spmc.end(&mut bench.machine);
    let last = &bench.machine.lines[bench.machine.lines.len() - 3..];
    assert_eq!(last[0], format!("[SP] calld{}", "A".repeat(128)));
    assert_eq!(last[1..], ["[EL3] handles shared=0 retrieved=0", "[EL3] end violations=3"]);
}

#[test]
fn a_share_from_birth_to_end() {
    let mut bench = Bench::ready();
    let handle = bench.share_handle(0x4100_0000, 4);
    bench.request();
    let answer = bench.retrieve(handle);
    assert_eq!(answer[..3], [ffa::MEM_RETRIEVE_RESP.into(), 112, 112]);
    let mut response = [0; 112];
    bench.machine.read(SP_RX, &mut response);
    assert_eq!(response[2..4], [0x6f, 0]);
    assert_eq!(response[50], 6);
    assert_eq!(response[96..108], [0, 0, 0, 0x41, 0, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(bench.reclaim(handle)[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules().len(), 0);
    assert_eq!(bench.retrieve(handle)[..3], [ERROR, 0, BUSY]);
    assert_eq!(bench.rules(), ["rx-not-released"]);
    assert_eq!(bench.secure(&[ffa::RX_RELEASE.into()])[0], OK);
    assert_eq!(bench.retrieve(handle)[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["retrieve-twice"]);
    assert_eq!(bench.relinquish(handle)[0], OK);
    assert_eq!(bench.relinquish(handle)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["relinquish-handle"]);
    assert_eq!(bench.reclaim(handle | 1 << 40)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.reclaim(handle)[0], OK);
    assert_eq!(bench.spmc.shares.shared(), 0);
}

/// A descriptor of a share by a virtual machine.
fn share_of(sender: u8, address: u64) -> Vec<u8> {
    let mut bytes = share_bytes(32, &[(address, 1)]);
    bytes[0] = sender;
    bytes
}

#[test]
fn each_virtual_machine_speaks_and_shares_in_its_own_name() {
    let mut bench = Bench::ready();
    let answer = bench.share(&share_of(2, 0x4100_0000));
    let handle = answer[2] | answer[3] << 32;
    assert_eq!(answer[0], OK);
    // A secure endpoint is no client.
    let mut secure = share_of(2, 0x4200_0000);
    secure[1] = 0x80;
    assert_eq!(bench.share(&secure)[..3], [ERROR, 0, INVALID]);
    let request = [DIRECT_REQ_64.into(), 0x2_8001, 0];
    assert!(matches!(bench.outcome(World::Normal, &request), Outcome::Switch(World::Secure, _)));
    // Another owner's handle is the client's doing; the right one is retrieved.
    assert_eq!(bench.retrieve(handle)[..3], [ERROR, 0, INVALID]);
    let mut own = retrieve_bytes(32, handle);
    own[0] = 2;
    bench.machine.write(SP_TX, &own);
    assert_eq!(bench.secure(&[ffa::MEM_RETRIEVE_REQ.into(), 80, 80])[0], ffa::MEM_RETRIEVE_RESP.into());
    let mut response = [0; 2];
    bench.machine.read(SP_RX, &mut response);
    assert_eq!(response, [2, 0], "the sender");
    let counts = |bench: &mut Bench| bench.normal(&[fixture::COUNTS.into()])[..2].to_vec();
    assert_eq!(counts(&mut bench), [1, 1]);
    assert_eq!(bench.relinquish(handle)[0], OK);
    // The answer goes to who has asked.
    assert_eq!(bench.secure(&[DIRECT_RESP_64.into(), 0x8001_0000])[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["response-ids"]);
    let response = [DIRECT_RESP_64.into(), 0x8001_0002];
    assert!(matches!(bench.outcome(World::Secure, &response), Outcome::Switch(World::Normal, _)));
    // The hypervisor takes memory back in the owner's name and in no other.
    assert_eq!(bench.reclaim(handle)[..3], [ERROR, 0, INVALID]);
    for (id, result) in [(1, 0), (0x8001, u64::MAX), (0x1_0002, u64::MAX)] {
        assert_eq!(bench.normal(&[fixture::SPEAKER.into(), id])[0], result);
        assert_eq!(bench.reclaim(handle)[..3], [ERROR, 0, INVALID], "{id:#x}");
    }
    assert_eq!(bench.normal(&[fixture::SPEAKER.into(), 2])[0], 0);
    assert_eq!(bench.reclaim(handle)[0], OK);
    assert_eq!(counts(&mut bench), [0, 0]);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn what_a_client_leads_the_partition_to_is_no_violation() {
    let mut bench = Bench::ready();
    let mut tagged = share_bytes(32, &[(0x4200_0000, 1)]);
    tagged[16] = 7;
    let answer = bench.share(&tagged);
    let tagged = answer[2] | answer[3] << 32;
    let handle = bench.share_handle(0x4100_0000, 1);
    bench.request();
    assert_eq!(bench.retrieve(0x1234)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.retrieve(tagged)[..3], [ERROR, 0, INVALID]);
    let mut lent = retrieve_bytes(32, handle);
    lent[4] = 2 << 3;
    bench.machine.write(SP_TX, &lent);
    assert_eq!(bench.secure(&[ffa::MEM_RETRIEVE_REQ.into(), 80, 80])[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules().len(), 0);
    let mut own_tag = retrieve_bytes(32, handle);
    own_tag[16] = 1;
    bench.machine.write(SP_TX, &own_tag);
    assert_eq!(bench.secure(&[ffa::MEM_RETRIEVE_REQ.into(), 80, 80])[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules().len(), 0, "over door T the client names the tag");
    assert_eq!(bench.spmc.shares.retrieved(), 0);
}

#[test]
fn addresses_that_may_be_shared() {
    let mut bench = Bench::ready();
    for (address, pages) in [(0x4000_0000, 1), (0x7000_0000, 16), (0x8000_0000, 1), (0x80ff_f000, 1)] {
        bench.share_handle(address, pages);
    }
    for (address, pages) in [
        (0x3fff_f000, 2),
        (0x80ff_f000, 2),
        (0x0e30_0000, 1),
        (0x0900_0000, 1),
        (0x1_0000_0000, 1),
        (0x7000_f000, 1),
        (NS_TX, 1),
        (NS_RX, 1),
    ] {
        let answer = bench.share(&share_bytes(32, &[(address, pages)]));
        assert_eq!(answer[..3], [ERROR, 0, DENIED], "{address:#x}");
    }
    assert_eq!(bench.normal(&[fixture::CONTROL.into(), 3])[0], 0);
    let handle = bench.share_handle(0x0e30_0000, 1);
    assert_eq!(bench.normal(&[fixture::CONTROL.into(), 0])[0], 0);
    bench.request();
    assert_eq!(bench.retrieve(handle)[0], ffa::MEM_RETRIEVE_RESP.into());
    let mut response = [0; 4];
    bench.machine.read(SP_RX, &mut response);
    assert_eq!(response[2..], [0x2f, 0]);
    assert_eq!(bench.normal(&[fixture::VIOLATIONS.into()])[0], 0);
}

#[test]
fn lengths_of_descriptors() {
    let mut bench = Bench::ready();
    let bytes = share_bytes(32, &[(0x4100_0000, 1)]);
    bench.machine.write(NS_TX, &bytes);
    let share = u64::from(MEM_SHARE_64);
    for (arguments, error) in [
        ([share, 112, 113, 0], INVALID),
        ([share, 112, 80, 0], INVALID),
        ([share, 112, 100, 0], INVALID),
        ([share, 113, 113, 0], INVALID),
        ([share, 0, 0, 0], INVALID),
        ([share, 5000, 5000, 0], INVALID),
        ([share, 81_936, 4096, 0], FfaError::NoMemory.register()),
        ([share, 0xffff_ffff, 0xffff_ffff, 0], INVALID),
        ([share, 112, 112, 0x4100_0000], INVALID),
    ] {
        assert_eq!(bench.normal(&arguments)[..3], [ERROR, 0, error], "{arguments:x?}");
    }
    // A caller that negotiated 1.2 has 32-byte endpoint descriptors, no others.
    assert_eq!(bench.share(&share_bytes(16, &[(0x4100_0000, 1)]))[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.share(&bytes)[0], OK);
}

#[test]
fn the_partitions_mappings_are_looked_at_when_it_hands_over() {
    let mut bench = Bench::serving();
    let table = 0x0e32_0000;
    // 39-bit addresses: one level 1 table with a block that maps 0x80000000 to 0xbfffffff, beyond the window.
    let block: u64 = 0x8000_0000 | 1 << 10 | 1 << 5 | 1 << 53 | 1 << 54 | 1;
    bench.machine.write(table, &block.to_le_bytes());
    bench.machine.translation.set(TranslationRegisters {
        control: 1,
        translation_control: 25 | 1 << 23,
        table_0: table,
        table_1: 0,
    });
    let response = [DIRECT_RESP_64.into(), 0x8001_0000];
    assert!(matches!(bench.outcome(World::Secure, &response), Outcome::Switch(World::Normal, _)));
    assert_eq!(bench.rules(), ["stage1-not-its-memory"]);
}

#[test]
fn memory_given_back_must_not_stay_mapped() {
    let mut bench = Bench::ready();
    let handle = bench.share_handle(0x4100_0000, 512);
    bench.request();
    assert_eq!(bench.retrieve(handle)[0], ffa::MEM_RETRIEVE_RESP.into());
    let (table, table_2) = (0x0e32_0000_u64, 0x0e32_1000_u64);
    bench.machine.write(table, &(table_2 | 3).to_le_bytes());
    let block: u64 = 0x4100_0000 | 1 << 10 | 1 << 5 | 1 << 53 | 1 << 54 | 1;
    bench.machine.write(table_2, &block.to_le_bytes());
    bench.machine.translation.set(TranslationRegisters {
        control: 1,
        translation_control: 25 | 1 << 23,
        table_0: table,
        table_1: 0,
    });
    let response = [DIRECT_RESP_64.into(), 0x8001_0000];
    assert!(matches!(bench.outcome(World::Secure, &response), Outcome::Switch(World::Normal, _)));
    assert_eq!(bench.rules().len(), 0);
    bench.request();
    assert_eq!(bench.relinquish(handle)[0], OK);
    assert_eq!(bench.rules(), ["stage1-not-its-memory"]);
}

#[test]
fn power_and_what_is_unknown() {
    let mut bench = Bench::ready();
    assert_eq!(bench.normal(&[architecture::SMCCC_VERSION.into()])[0], 0x10002);
    assert_eq!(bench.normal(&[psci::VERSION.into()])[0], 0x10001);
    assert_eq!(bench.normal(&[psci::FEATURES.into(), psci::SYSTEM_OFF.into()])[0], 0);
    assert_eq!(bench.normal(&[psci::FEATURES.into(), 0x8400_0001])[0], 0xffff_ffff);
    assert_eq!(bench.normal(&[0xc400_0001])[0], u64::MAX);
    assert_eq!(bench.normal(&[0x8200_0000])[0], 0xffff_ffff);
    assert_eq!(bench.normal(&[0xc200_0000])[0], u64::MAX);
    assert_eq!(bench.outcome(World::Normal, &[psci::SYSTEM_OFF.into()]), Outcome::PowerOff);
    assert_eq!(bench.outcome(World::Normal, &[psci::SYSTEM_RESET.into()]), Outcome::Reset);
}

/// A manifest with a second UUID that takes REQ2.
fn two_services() -> Bench {
    let mut manifest = manifest();
    manifest.uuids.push([5, 6, 7, 8]).unwrap();
    manifest.messaging = 0x201;
    Bench::with(manifest).initialized()
}

#[test]
fn a_32_bit_message_carries_32_bits() {
    let mut bench = Bench::ready();
    let mut request = [u64::MAX; 18];
    request[..4].copy_from_slice(&[
        0xff << 32 | u64::from(DIRECT_REQ_32),
        0xff_0000_8001,
        1 << 32,
        1 << 40 | 3,
    ]);
    let Outcome::Switch(World::Secure, answer) = bench.outcome(World::Normal, &request) else { panic!() };
    assert_eq!(answer.count, 18);
    assert_eq!(answer.registers[..5], [DIRECT_REQ_32.into(), 0x8001, 0, 3, 0xffff_ffff]);
    assert_eq!(answer.registers[8..], [0; 10]);
    let mut wide = [0; 8];
    wide[..4].copy_from_slice(&[DIRECT_RESP_32.into(), 0x8001_0000, 0, 3]);
    wide[7] = 1 << 32;
    assert_eq!(bench.secure(&wide)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["response-width"]);
    for function in [DIRECT_RESP_64, DIRECT_RESP2_64] {
        assert_eq!(bench.secure(&[function.into(), 0x8001_0000])[..3], [ERROR, 0, DENIED]);
        assert_eq!(bench.rules(), ["response-family"]);
    }
    let response = [DIRECT_RESP_32.into(), 0x8001_0000, 0, 3, 1, 2, 3, 0xffff_ffff];
    let Outcome::Switch(World::Normal, answer) = bench.outcome(World::Secure, &response) else { panic!() };
    assert_eq!((answer.count, &answer.registers[..8]), (8, &response[..]));
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn the_second_family_goes_to_a_uuid_and_carries_all_registers() {
    let mut bench = two_services();
    let mut request = [0x77; 18];
    request[..4].copy_from_slice(&[DIRECT_REQ2_64.into(), 0x8001, 6 << 32 | 5, 8 << 32 | 7]);
    for uuid in [[0, 0], [6 << 32 | 5, 8 << 32 | 8], [6 << 32 | 5, 4 << 32 | 3]] {
        let mut wrong = request;
        wrong[2..4].copy_from_slice(&uuid);
        assert_eq!(bench.normal(&wrong)[..3], [ERROR, 0, INVALID]);
    }
    assert_eq!(
        bench.normal(&[DIRECT_REQ2_64.into(), 0x8001_8001, 6 << 32 | 5, 8 << 32 | 7])[..3],
        [ERROR, 0, INVALID]
    );
    let Outcome::Switch(World::Secure, answer) = bench.outcome(World::Normal, &request) else { panic!() };
    assert_eq!((answer.count, answer.registers), (18, request));
    for (register, rule) in [(2, "response2-reserved"), (3, "response2-reserved")] {
        let mut response = [0; 18];
        response[..2].copy_from_slice(&[DIRECT_RESP2_64.into(), 0x8001_0000]);
        response[register] = 1;
        assert_eq!(bench.secure(&response)[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), [rule]);
    }
    assert_eq!(bench.secure(&[DIRECT_RESP_64.into(), 0x8001_0000])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["response-family"]);
    let mut response = [9; 18];
    response[..4].copy_from_slice(&[DIRECT_RESP2_64.into(), 0x8001_0000, 0, 0]);
    let Outcome::Switch(World::Normal, answer) = bench.outcome(World::Secure, &response) else { panic!() };
    assert_eq!((answer.count, answer.registers), (18, response));
    // As under an SPMC at EL3, where wanted.
    assert_eq!(bench.normal(&[fixture::CONTROL.into(), fixture::ANY_UUID])[0], 0);
    request[2] = 0;
    assert!(matches!(bench.outcome(World::Normal, &request), Outcome::Switch(World::Secure, _)));
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn the_second_family_needs_version_1_2_on_both_sides() {
    let request = [DIRECT_REQ2_64.into(), 0x8001, 6 << 32 | 5, 8 << 32 | 7];
    for (partition, client, error) in [(0x10001, 0x10002, DENIED), (0x10002, 0x10001, NOT_SUPPORTED)] {
        let mut manifest = manifest();
        manifest.uuids.push([5, 6, 7, 8]).unwrap();
        manifest.messaging = 0x201;
        let mut bench = Bench::with(manifest);
        bench.secure(&[ffa::VERSION.into(), partition]);
        bench.waits();
        bench.normal(&[ffa::VERSION.into(), client]);
        assert_eq!(bench.normal(&request)[..3], [ERROR, 0, error]);
    }
}

#[test]
fn two_uuids_are_two_descriptors_for_a_caller_that_speaks_1_2() {
    let mut bench = two_services();
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into(), 0, 0, 0, 0, 1])[..4], [OK, 0, 2, 0]);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into()])[..4], [OK, 0, 2, 24]);
    let mut descriptors = [0; 48];
    bench.machine.read(NS_RX, &mut descriptors);
    assert_eq!(descriptors[..9], [1, 0x80, 1, 0, 1, 3, 0, 0, 1]);
    assert_eq!(descriptors[24..33], [1, 0x80, 1, 0, 1, 3, 0, 0, 5]);
    let get_regs = u64::from(PARTITION_INFO_GET_REGS_64);
    let answer = bench.normal(&[get_regs]);
    let head = 0x301_0001_8001;
    assert_eq!(answer[2..6], [24 << 48 | 1 << 16 | 1, head, 2 << 32 | 1, 4 << 32 | 3]);
    assert_eq!(answer[6..10], [head, 6 << 32 | 5, 8 << 32 | 7, 0]);
    let answer = bench.normal(&[get_regs, 0, 0, 1]);
    assert_eq!(answer[2..7], [24 << 48 | 1 << 16 | 1, head, 6 << 32 | 5, 8 << 32 | 7, 0]);
    assert_eq!(bench.normal(&[get_regs, 0, 0, 2])[..3], [ERROR, 0, INVALID]);
    let answer = bench.normal(&[get_regs, 6 << 32 | 5, 8 << 32 | 7]);
    assert_eq!(answer[2..7], [24 << 48, head, 0, 0, 0]);
    // A caller below 1.2 sees the first alone.
    let mut bench = Bench::with(bench.spmc.manifest.clone());
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    bench.waits();
    bench.normal(&[ffa::VERSION.into(), 0x10001]);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into(), 0, 0, 0, 0, 1])[..4], [OK, 0, 1, 0]);
    assert_eq!(bench.normal(&[ffa::PARTITION_INFO_GET.into(), 5, 6, 7, 8, 1])[..4], [OK, 0, 1, 0]);
}

#[test]
fn lent_memory_from_birth_to_end() {
    let mut bench = Bench::ready();
    let mut bytes = share_bytes(32, &[(0x4100_0000, 4)]);
    bytes[2] = 0;
    bench.machine.write(NS_TX, &bytes);
    let answer = bench.normal(&[MEM_LEND_64.into(), 112, 112]);
    assert_eq!(answer[0], OK);
    let handle = answer[2] | answer[3] << 32;
    bench.request();
    assert_eq!(bench.retrieve(handle)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules().len(), 0, "the client said that it was shared");
    let mut request = retrieve_bytes(32, handle);
    request[4] = 2 << 3;
    bench.machine.write(SP_TX, &request);
    let retrieve = [ffa::MEM_RETRIEVE_REQ.into(), 80, 80];
    assert_eq!(bench.secure(&retrieve)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["retrieve-lend-instruction"]);
    request[50] = 6;
    bench.machine.write(SP_TX, &request);
    assert_eq!(bench.secure(&retrieve)[..3], [ffa::MEM_RETRIEVE_RESP.into(), 112, 112]);
    let mut response = [0; 112];
    bench.machine.read(SP_RX, &mut response);
    assert_eq!((&response[2..5], response[50]), (&[0x6f, 0, 2 << 3][..], 6));
    assert_eq!(bench.reclaim(handle)[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.relinquish(handle)[0], OK);
    assert_eq!(bench.reclaim(handle)[0], OK);
    assert_eq!(bench.rules().len(), 0);
}

impl Bench {
    /// Sends the rest of a descriptor in fragments of these lengths; returns the last answer.
    fn fragments(&mut self, bytes: &[u8], first: usize, rest: &[usize]) -> Registers {
        self.machine.write(NS_TX, &bytes[..first]);
        let mut answer = self.normal(&[MEM_SHARE_64.into(), bytes.len() as u64, first as u64]);
        let mut done = first;
        for length in rest {
            assert_eq!(answer[0], ffa::MEM_FRAG_RX.into());
            assert_eq!(answer[3], done as u64);
            self.machine.write(NS_TX, &bytes[done..done + length]);
            answer = self.normal(&[ffa::MEM_FRAG_TX.into(), answer[1], answer[2], *length as u64]);
            done += length;
        }
        answer
    }
}

/// Single pages with holes between them.
fn pages(count: u64) -> Vec<(u64, u32)> {
    (0..count).map(|index| (0x4100_0000 + index * 0x2000, 1)).collect()
}

#[test]
fn a_long_share_goes_in_and_out_in_fragments() {
    let mut bench = Bench::ready();
    let bytes = share_bytes(32, &pages(500));
    assert_eq!(bytes.len(), 8096);
    let answer = bench.fragments(&bytes, 96, &[4096, 16, 3888]);
    assert_eq!(answer[0], OK);
    let handle = answer[2] | answer[3] << 32;
    bench.request();
    assert_eq!(bench.retrieve(handle)[..3], [ffa::MEM_RETRIEVE_RESP.into(), 8096, 4096]);
    let mut fetched = vec![0; 8096];
    bench.machine.read(SP_RX, &mut fetched[..4096]);
    let frag_rx = |bench: &mut Bench, handle: u64, offset: u64, last: u64| {
        let words = [ffa::MEM_FRAG_RX.into(), handle & 0xffff_ffff, handle >> 32, offset, last];
        bench.secure(&words)
    };
    assert_eq!(frag_rx(&mut bench, handle, 4096, 0)[..3], [ERROR, 0, BUSY]);
    assert_eq!(bench.rules(), ["rx-not-released"]);
    assert_eq!(bench.secure(&[ffa::RX_RELEASE.into()])[0], OK);
    for (other, offset, last, rule) in [
        (1, 4096, 0, "fetch-handle"),
        (0, 4080, 0, "fetch-offset"),
        (0, 0, 0, "fetch-offset"),
        (0, 4096, 1, "fetch-reserved"),
    ] {
        assert_eq!(frag_rx(&mut bench, handle ^ other, offset, last)[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), [rule]);
    }
    assert_eq!(bench.relinquish(handle)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["relinquish-fragments"]);
    assert_eq!(bench.retrieve(handle)[..3], [ERROR, 0, BUSY]);
    assert_eq!(bench.rules(), ["retrieve-fragments"]);
    let answer = frag_rx(&mut bench, handle, 4096, 0);
    assert_eq!(answer[..4], [ffa::MEM_FRAG_TX.into(), handle & 0xffff_ffff, handle >> 32, 4000]);
    bench.machine.read(SP_RX, &mut fetched[4096..]);
    assert_eq!(fetched[96..], bytes[96..], "the ranges");
    assert_eq!(bench.secure(&[ffa::RX_RELEASE.into()])[0], OK);
    assert_eq!(frag_rx(&mut bench, handle, 8096, 0)[..3], [ERROR, 0, INVALID]);
    assert_eq!(bench.rules(), ["fetch-handle"]);
    assert_eq!(bench.relinquish(handle)[0], OK);
    assert_eq!(bench.reclaim(handle)[0], OK);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn a_wrong_fragment_ends_the_share() {
    let bytes = share_bytes(32, &pages(500));
    for (word, value) in [(1, 0), (3, 0), (3, 24), (3, 4112), (3, 8016), (4, 1 << 16), (4, 1), (5, 1)] {
        let mut bench = Bench::ready();
        let answer = bench.fragments(&bytes, 96, &[]);
        let mut call = [ffa::MEM_FRAG_TX.into(), answer[1], answer[2], 4096, 0, 0];
        call[word] = value;
        assert_eq!(bench.normal(&call)[..3], [ERROR, 0, INVALID], "w{word} {value}");
        assert_eq!(bench.spmc.shares.shared(), 0);
        if word != 1 {
            call = [ffa::MEM_FRAG_TX.into(), answer[1], answer[2], 4096, 0, 0];
            assert_eq!(bench.normal(&call)[..3], [ERROR, 0, INVALID], "it has ended");
        }
    }
    // Ranges are checked over all fragments.
    let mut bench = Bench::ready();
    let mut twice = pages(500);
    twice[499] = twice[0];
    let answer = bench.fragments(&share_bytes(32, &twice), 4096, &[4000]);
    assert_eq!(answer[..3], [ERROR, 0, INVALID]);
    // The longest descriptor.
    let most = share_bytes(32, &pages(5114));
    assert_eq!(most.len(), 20 * 4096);
    assert_eq!(bench.fragments(&most, 4096, &[4096; 19])[0], OK);
    assert_eq!(bench.machine.violations, 0);
}

#[test]
fn each_side_has_the_endpoint_descriptors_of_its_version() {
    let size = |version: u64| if version == 0x10002 { 32 } else { 16 };
    for (partition, client) in
        [(0x10001, 0x10001), (0x10001, 0x10002), (0x10002, 0x10001), (0x10002, 0x10002)]
    {
        let mut bench = Bench::cold();
        bench.secure(&[ffa::VERSION.into(), partition]);
        assert_eq!(bench.secure(&[RXTX_MAP_64.into(), SP_TX, SP_RX, 1])[0], OK);
        bench.waits();
        bench.normal(&[ffa::VERSION.into(), client]);
        assert_eq!(bench.normal(&[RXTX_MAP_64.into(), NS_TX, NS_RX, 1])[0], OK);
        assert_eq!(
            bench.share(&share_bytes(48 - size(client), &[(0x4100_0000, 1)]))[..3],
            [ERROR, 0, INVALID]
        );
        let bytes = share_bytes(size(client), &pages(300));
        let answer = bench.fragments(&bytes, 4096, &[bytes.len() - 4096]);
        assert_eq!(answer[0], OK);
        let handle = answer[2] | answer[3] << 32;
        bench.request();
        let retrieve = |bench: &mut Bench, size: usize| {
            let bytes = retrieve_bytes(size, handle);
            bench.machine.write(SP_TX, &bytes);
            bench.secure(&[ffa::MEM_RETRIEVE_REQ.into(), bytes.len() as u64, bytes.len() as u64])
        };
        assert_eq!(retrieve(&mut bench, 48 - size(partition))[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), ["descriptor-entry-size"]);
        let total = 48 + size(partition) + 16 + 300 * 16;
        let answer = retrieve(&mut bench, size(partition));
        assert_eq!(answer[..3], [ffa::MEM_RETRIEVE_RESP.into(), total as u64, 4096]);
        let mut head = [0; 64];
        bench.machine.read(SP_RX, &mut head);
        assert_eq!(head[24], size(partition) as u8, "the size of the endpoint descriptor");
        assert_eq!(head[52], 48 + size(partition) as u8, "the offset of the composite descriptor");
        assert_eq!(bench.rules().len(), 0);
    }
}
