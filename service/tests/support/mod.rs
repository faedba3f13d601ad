//! A machine and clients made of paper: every call is recorded, and misuse panics.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod client;
pub mod door_t;
pub mod machine;

use client::FakeClient;
use heapless::Vec as Bounded;
use machine::{FakeMachine, WINDOW, WINDOW_SIZE};
use remoteproc_abi::door_d::{Answer, LoadArguments, Registers, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Operation, ProcessorState, Status};
use remoteproc_image::provider::TrustedKey;
use remoteproc_image::target::{Access, BootSecurity, Region};
use remoteproc_image::write::{Container, Order, OwnedPublicKey, RsaKey};
use remoteproc_refusal::Refusal;
use remoteproc_service::client_memory::{ClientMemory, PhysicalRange};
use remoteproc_service::configuration::{Board, Processor};
use remoteproc_service::hardware::{Boot, Isolation};
use remoteproc_service::lifecycle::State;
use remoteproc_service::result::result_of;
use remoteproc_service::slice::{CLEARED_PER_HASHED, SLICE};
use remoteproc_service::{Caller, Door, Service, Storage, goes_on_by_itself};
use std::cell::RefCell;
use std::rc::Rc;

/// The kernel, over door D.
pub const KERNEL: Caller = Caller { endpoint: 0, door: Door::Direct };
/// The same endpoint's user space.
pub const USER: Caller = Caller { endpoint: 0, door: Door::TsRpc };
/// A virtual machine.
pub const VM: Caller = Caller { endpoint: 3, door: Door::Direct };

/// A client that can't loop.
pub const ONE_CALLER: Caller = Caller { endpoint: 4, door: Door::Direct };

/// The processor of all tests, and a second one.
pub const M33: u32 = 7;
pub const M4: u32 = 9;

/// What the fakes saw, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Hold(usize),
    Release(usize, Boot),
    Observe(usize),
    AskToStop(usize),
    /// First physical address of the region.
    Isolate(usize, u64, Isolation),
    /// Physical address and bytes.
    Clear(u64, u64),
    Write(u64, usize),
    Read(u64, usize),
    CompleteWrites,
    Retrieve(u64),
    Map(u64),
    /// Handle, offset, bytes.
    ClientRead(u64, u64, usize),
    Relinquish(u64),
    /// Handle, offset, bytes.
    ClientWrite(u64, u64, usize),
    RaiseCounter(usize, u32),
}

pub type Record = Rc<RefCell<Vec<Seen>>>;

/// A file of the test vectors.
pub fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A container that loads, with a boot address in private memory and a resource table.
pub fn sample() -> Vec<u8> {
    vector("04-rsa2048-platTLV-keyinfo.sig")
}

/// Firmware with a security counter.
pub fn counting(counter: u32) -> Vec<u8> {
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let container =
        Container::new(Order::Mainline).image(&vector("elf/fw_m33_ns.elf")).boot_address(0x8010_0000);
    container.security_counter(counter).sign(&key).unwrap()
}

/// Another one that loads: two images, BOOTADDR, BOOTSEC.
pub fn second() -> Vec<u8> {
    vector("05-st-rsa2048-bootaddr-sec.sig")
}

/// Where the sample's resource table is.
pub const SAMPLE_TABLE: (u64, u64) = (0x80a0_0210, 0x90);
/// Where the sample boots.
pub const SAMPLE_BOOT: Boot = Boot { address: 0x8010_0000, secure: false };

fn region(device_address: u32, physical_address: u64, size: u32, access: Access) -> Region {
    Region { device_address, physical_address, size, access }
}

/// A board like the QEMU one, with smaller regions and a second processor.
pub fn board() -> Board<'static> {
    let key = OwnedPublicKey::from_der(&vector("keys/rsa2048.pub.der")).unwrap();
    let key: &'static OwnedPublicKey = Box::leak(Box::new(key));
    let range = |start, size| PhysicalRange { start, size };
    let m33 = Processor {
        id: M33,
        name: "m33",
        compatible: "fake",
        regions: Bounded::from_slice(&[
            region(0x8000_0000, 0x8000_0000, 0x0020_0000, Access::Private),
            region(0x80a0_0000, 0x80a0_0000, 0x1_0000, Access::Shared),
            region(0, 0x80c0_0000, 0x1_0000, Access::Private),
            region(0x1000_0000, 0x80c1_0000, 0x2_0000, Access::Private),
            region(0x1002_0000, 0x80c3_0000, 0x4_0000, Access::Shared),
        ])
        .unwrap(),
        registers: Bounded::from_slice(&[range(0x80ff_0000, 0x1000)]).unwrap(),
        default_boot_address: Some(0x8000_0000),
        boot_security: BootSecurity::RunsNonSecure,
        endpoints: Bounded::new(),
        attach_endpoints: Bounded::new(),
        counter_on_confirm: false,
    };
    let m4 = Processor {
        id: M4,
        name: "m4",
        regions: Bounded::from_slice(&[
            region(0, 0x80d0_0000, 0x1_0000, Access::Private),
            region(0x1000_0000, 0x80d1_0000, 0x2_0000, Access::Private),
            region(0x1002_0000, 0x80d3_0000, 0x4_0000, Access::Shared),
        ])
        .unwrap(),
        registers: Bounded::from_slice(&[range(0x80fe_0000, 0x1000)]).unwrap(),
        default_boot_address: Some(0),
        ..m33.clone()
    };
    Board {
        name: "paper",
        accept_no_isolation_encrypted: false,
        decryption_key: None,
        processors: Bounded::from_iter([m33, m4]),
        keys: Bounded::from_iter([TrustedKey::new("test key", key.as_key())]),
        normal_memory: Bounded::from_slice(&[
            range(0x4000_0000, 0x2000_0000),
            range(0x6000_0000, 0x2000_0000),
        ])
        .unwrap(),
        devices: Bounded::from_slice(&[range(0x0800_0000, 0x0800_0000), range(0x5000_0000, 0x1000)]).unwrap(),
        reserved: Bounded::from_slice(&[range(0x0e00_0000, 0x0100_0000)]).unwrap(),
        accept_no_isolation: true,
        strict_platform_tlvs: false,
        idle_claim_ms: 5_000,
        one_call_endpoints: Bounded::from_slice(&[ONE_CALLER.endpoint]).unwrap(),
    }
}

/// A service with everything around it.
pub struct Bench {
    pub service: Service<'static, FakeMachine>,
    pub client: FakeClient,
    pub seen: Record,
    next_handle: u64,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(board(), |_| ())
    }

    /// A bench whose board and machine the test has changed.
    pub fn with(board: Board<'static>, change: impl FnOnce(&mut FakeMachine)) -> Self {
        let seen = Record::default();
        let mut machine = FakeMachine::new(&board, seen.clone());
        change(&mut machine);
        let storage = Box::leak(Box::new(Storage::new()));
        let service = Service::new(board, machine, storage);
        seen.borrow_mut().clear();
        Self { service, client: FakeClient::new(seen.clone()), seen, next_handle: 1 }
    }

    pub fn machine(&mut self) -> &mut FakeMachine {
        self.service.machine_mut()
    }

    /// Sends registers and returns the answer. No more memory is held than loads are under way.
    /// ONE_CALL is repeated here, as the partition does it.
    pub fn send(&mut self, caller: Caller, registers: &Registers) -> Answer {
        for _ in 0..PATIENCE {
            let answer = self.send_once(caller, registers);
            if !goes_on_by_itself(registers, &answer) {
                return answer;
            }
        }
        panic!("it does not end");
    }

    /// One slice.
    pub fn send_once(&mut self, caller: Caller, registers: &Registers) -> Answer {
        let before = self.seen.borrow().len();
        let checks = self.machine().crypto.checks.get();
        let answer = self.service.handle(caller, registers, &mut self.client);
        assert!(answer.tee_result().is_some(), "{answer:?} is no result of docs/abi.md");
        let most = self.service.loads_under_way() + self.service.buffers_held();
        assert!(self.client.held() <= most, "handles without a load");
        assert_one_slice(&self.seen.borrow()[before..]);
        let checks = self.machine().crypto.checks.get() - checks;
        assert!(checks <= 1, "{checks} signature checks in one request");
        answer
    }

    pub fn ask_once(&mut self, caller: Caller, request: Request) -> Answer {
        self.send(caller, &request.encode())
    }

    /// Repeats a request until it is answered with something else than IN_PROGRESS, or for a while.
    pub fn ask(&mut self, caller: Caller, request: Request) -> Answer {
        let mut answer = self.ask_once(caller, request);
        for _ in 0..PATIENCE {
            if answer.tee_result() != Some(TeeResult::InProgress) {
                break;
            }
            answer = self.ask_once(caller, request);
        }
        answer
    }

    /// Nothing is left of any load: no handle, no room in use.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(
            (self.client.held(), self.service.loads_under_way(), self.service.buffers_held()),
            (0, 0, 0),
            "handles held, loads under way, buffers held"
        );
    }

    /// Shares an image at a place where a client may share; returns the handle.
    pub fn share(&mut self, caller: Caller, image: &[u8]) -> u64 {
        let handle = self.next_handle;
        self.next_handle += 1;
        self.client.share(caller.endpoint, handle, image);
        handle
    }

    pub fn load(&mut self, caller: Caller, processor: u32, image: &[u8]) -> Answer {
        let handle = self.share(caller, image);
        self.load_handle(caller, processor, handle, image.len() as u64)
    }

    pub fn load_handle(&mut self, caller: Caller, processor: u32, handle: u64, total: u64) -> Answer {
        self.ask(caller, load_request(processor, handle, total, 0))
    }

    /// One LOAD_FW for the M33.
    pub fn load_once(&mut self, caller: Caller, handle: u64, total: u64, offset: u64) -> Answer {
        self.ask_once(caller, load_request(M33, handle, total, offset))
    }

    pub fn start(&mut self, caller: Caller) -> Answer {
        self.ask(caller, Request::Start { processor: M33 })
    }

    pub fn stop(&mut self, caller: Caller) -> Answer {
        self.ask(caller, Request::Stop { processor: M33, mode: StopMode::Forced })
    }

    pub fn release(&mut self, caller: Caller) -> Answer {
        self.ask(caller, Request::Release { processor: M33 })
    }

    /// One graceful STOP_FW of the M33.
    pub fn stop_gracefully_once(&mut self, caller: Caller, milliseconds: u64) -> Answer {
        self.ask_once(caller, Request::Stop { processor: M33, mode: StopMode::Graceful { milliseconds } })
    }

    pub fn start_once(&mut self, caller: Caller) -> Answer {
        self.ask_once(caller, Request::Start { processor: M33 })
    }

    pub fn stop_once(&mut self, caller: Caller) -> Answer {
        self.ask_once(caller, Request::Stop { processor: M33, mode: StopMode::Forced })
    }

    pub fn release_once(&mut self, caller: Caller) -> Answer {
        self.ask_once(caller, Request::Release { processor: M33 })
    }

    pub fn table(&mut self, caller: Caller) -> Answer {
        self.ask(caller, Request::GetResourceTable { processor: M33 })
    }

    pub fn last_error(&mut self, caller: Caller) -> (u16, Option<u64>) {
        self.ask(caller, Request::GetLastError).as_last_error()
    }

    pub fn client_held(&self) -> usize {
        self.client.held()
    }

    /// State and operation of the M33, as GET_STATUS tells them.
    pub fn status(&mut self) -> (ProcessorState, Option<Operation>) {
        let status = Status::of(&self.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap();
        (status.state, status.operation)
    }

    /// The endpoint that owns the M33, as GET_STATUS tells it.
    pub fn owner(&mut self) -> Option<u16> {
        let status = Status::of(&self.ask_once(VM, Request::GetStatus { processor: M33 })).unwrap();
        status.owner.map(|owner| owner.endpoint)
    }

    /// Bytes that were read through a handle.
    pub fn reads_of(&self, handle: u64) -> u64 {
        let size = |seen: &Seen| match seen {
            Seen::ClientRead(of, _, size) if *of == handle => *size as u64,
            _ => 0,
        };
        self.seen.borrow().iter().map(size).sum()
    }

    pub fn state(&self) -> State {
        self.service.state(M33).unwrap()
    }

    /// Brings the M33 into a state, owned by the kernel.
    pub fn bring_to(&mut self, state: State) {
        if state != State::Offline {
            succeeded(self.load(KERNEL, M33, &sample()));
        }
        if matches!(state, State::Running | State::Crashed | State::Stopped) {
            succeeded(self.start(KERNEL));
        }
        match state {
            State::Crashed => {
                self.machine().drivers[0].crash();
                succeeded(self.table(KERNEL));
            }
            State::Stopped => succeeded(self.stop(KERNEL)),
            _ => {}
        }
        assert_eq!(self.state(), state);
        self.seen.borrow_mut().clear();
    }

    /// Asserts that the answer is this refusal's, and that GET_LAST_ERROR names it.
    #[track_caller]
    pub fn refused(&mut self, caller: Caller, answer: Answer, refusal: Refusal) {
        let (number, _) = self.last_error(caller);
        let named = Refusal::from_number(number).map(Refusal::name);
        assert_eq!(
            (answer.tee_result(), named),
            (Some(result_of(refusal)), Some(refusal.name())),
            "answer and GET_LAST_ERROR"
        );
        assert_eq!(answer.values, [0; 4]);
    }

    /// Asserts that all memory of all processors is as before the first load.
    #[track_caller]
    pub fn assert_untouched(&mut self) {
        assert!(self.machine().memory.is_untouched(), "the window was touched");
    }

    /// Asserts that the M33's regions hold nothing but zeros, and that nothing else was touched.
    #[track_caller]
    pub fn assert_clear(&mut self) {
        let regions = board().processors[0].regions.clone();
        let memory = &self.machine().memory.bytes;
        let mut expected = vec![0xa5; WINDOW_SIZE];
        for region in &regions {
            let start = (region.physical_address - WINDOW) as usize;
            expected[start..start + region.size as usize].fill(0);
        }
        assert!(*memory == expected, "the regions are not clear, or something beside them was touched");
    }

    /// What the fakes have seen since the last call of this.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        self.seen.take()
    }
}

/// How often a request is repeated at most.
const PATIENCE: usize = 1_000;

pub fn load_request(processor: u32, handle: u64, total: u64, offset: u64) -> Request {
    let arguments = LoadArguments { handle, total, offset, lent: false, one_call: false };
    Request::Load { processor, arguments }
}

/// What one request did is at most one slice.
#[track_caller]
pub fn assert_one_slice(seen: &[Seen]) {
    let (mut hashed, mut cleared) = (0, 0);
    for seen in seen {
        match seen {
            // Resource tables are read a word at a time, and not as segments are.
            Seen::Read(_, size) if *size < 64 => {}
            // Nor is the request in a buffer of door T.
            Seen::ClientRead(_, 0, 32) => {}
            Seen::ClientRead(_, _, size) | Seen::Read(_, size) => hashed += size,
            Seen::Clear(_, size) => cleared += *size as usize,
            _ => {}
        }
    }
    let spent = hashed + cleared.div_ceil(CLEARED_PER_HASHED);
    assert!(spent <= SLICE, "{hashed} bytes copied and hashed, {cleared} cleared, in one request");
}

#[track_caller]
pub fn succeeded(answer: Answer) {
    assert_eq!(answer.tee_result(), Some(TeeResult::Success), "{answer:?}");
}

#[track_caller]
pub fn in_progress(answer: Answer) {
    assert_eq!(answer.tee_result(), Some(TeeResult::InProgress), "{answer:?}");
}
