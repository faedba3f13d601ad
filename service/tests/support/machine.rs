//! The machine under the service: a window of memory, processors that obey or fail, and a clock that stands still.
use super::{Record, Seen};
use remoteproc_image::provider::{Algorithm, CipherKey, Destination, Fault, Provider, PublicKey, Signed};
use remoteproc_image::software::{Software, SoftwareDecryption, SoftwareHasher};
use remoteproc_image::target::Region;
use remoteproc_service::configuration::Board;
use remoteproc_service::hardware::{
    Boot, Crash, DriverError, DriverProgress, Isolation, Machine, Notifier, NotifyError, Observed,
    ProcessorDriver, RemoteMemory, SecurityCounter,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Where all regions of all processors lie.
pub const WINDOW: u64 = 0x8000_0000;
pub const WINDOW_SIZE: usize = 0x0100_0000;
/// What the window is filled with before the first load.
pub const UNTOUCHED: u8 = 0xa5;

/// Fails one hardware call, chosen by its number.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    calls: Rc<Cell<usize>>,
    fails_at: Rc<Cell<Option<usize>>>,
    /// From then on all calls fail.
    for_good: Rc<Cell<bool>>,
}

impl Failure {
    /// The call with this number from now on fails.
    pub fn at(&self, call: usize, for_good: bool) {
        self.calls.set(0);
        self.fails_at.set(Some(call));
        self.for_good.set(for_good);
    }

    /// Tells whether anything failed.
    pub fn has_struck(&self) -> bool {
        self.fails_at.get().is_some_and(|at| self.calls.get() > at)
    }

    /// Nothing fails any more.
    pub fn end(&self) {
        self.fails_at.set(None);
    }

    fn strikes(&self) -> bool {
        let call = self.calls.replace(self.calls.get() + 1);
        self.fails_at.get().is_some_and(|at| call == at || (self.for_good.get() && call > at))
    }
}

/// Who may reach a region.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    size: u64,
    isolation: Isolation,
    /// The last try to set it failed.
    stuck: bool,
}

/// Who may reach which region, by the region's first physical address.
type Doors = Rc<RefCell<BTreeMap<u64, Door>>>;

pub struct FakeMemory {
    pub bytes: Vec<u8>,
    doors: Doors,
    /// Something was written and not completed.
    dirty: Rc<Cell<bool>>,
    failure: Failure,
    seen: Record,
    /// An address at which nothing can be cleared.
    pub broken: Option<u64>,
}

impl FakeMemory {
    fn range(address: u64, size: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(address.checked_sub(WINDOW).expect("inside the window")).unwrap();
        assert!(start + size <= WINDOW_SIZE, "inside the window");
        start..start + size
    }

    /// Memory is changed only while it is closed to everybody else; memory that can't be closed may be cleared.
    fn assert_closed(&self, address: u64, size: u64, clears: bool) {
        let doors = self.doors.borrow();
        let (start, door) = doors.range(..=address).next_back().expect("inside a region");
        assert!(address + size <= start + door.size, "inside one region");
        let closed = door.isolation == Isolation::Loading || (clears && door.stuck);
        assert!(closed, "{address:#x} is changed while it is open: {door:?}");
    }

    pub fn at(&self, address: u64, size: usize) -> &[u8] {
        &self.bytes[Self::range(address, size)]
    }

    /// Tells whether all of the window is as before the first load.
    pub fn is_untouched(&self) -> bool {
        self.bytes == vec![UNTOUCHED; WINDOW_SIZE]
    }

    /// What the normal world or the processor itself does.
    pub fn poke(&mut self, address: u64, bytes: &[u8]) {
        self.bytes[Self::range(address, bytes.len())].copy_from_slice(bytes);
    }
}

impl Destination for FakeMemory {
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.seen.borrow_mut().push(Seen::Write(address, bytes.len()));
        self.assert_closed(address, bytes.len() as u64, false);
        if self.failure.strikes() {
            return Err(Fault);
        }
        self.dirty.set(true);
        self.poke(address, bytes);
        Ok(())
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.seen.borrow_mut().push(Seen::Read(address, into.len()));
        if self.failure.strikes() {
            return Err(Fault);
        }
        into.copy_from_slice(self.at(address, into.len()));
        Ok(())
    }
}

impl RemoteMemory for FakeMemory {
    fn clear(&mut self, address: u64, size: u64) -> Result<(), Fault> {
        self.seen.borrow_mut().push(Seen::Clear(address, size));
        self.assert_closed(address, size, true);
        if self.failure.strikes() || self.broken.is_some_and(|at| (address..address + size).contains(&at)) {
            return Err(Fault);
        }
        self.dirty.set(true);
        self.bytes[Self::range(address, usize::try_from(size).unwrap())].fill(0);
        Ok(())
    }

    fn complete_writes(&mut self) {
        self.seen.borrow_mut().push(Seen::CompleteWrites);
        self.dirty.set(false);
    }
}

/// What firmware does that is asked to stop by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// It can't be asked.
    Deaf,
    /// Says that it is ready when it is asked once more than this.
    Obeys(u32),
    /// Goes on.
    Ignores,
    /// The way to ask it is broken.
    Broken,
}

pub struct FakeDriver {
    pub manners: Manners,
    index: usize,
    pub state: Observed,
    /// What is under way, and how often it still says Pending.
    under_way: Option<(bool, u32)>,
    /// How often an order says Pending before it is carried out.
    slowness: u32,
    pub enforces: bool,
    /// The security counter, and the highest that fits.
    pub counter: SecurityCounter,
    /// The security counter can't be written.
    pub counter_stuck: bool,
    /// Every release so far.
    pub releases: Vec<Boot>,
    /// The next release ends at once.
    pub crash_at_release: Option<Crash>,
    doors: Doors,
    dirty: Rc<Cell<bool>>,
    failure: Failure,
    seen: Record,
}

impl FakeDriver {
    pub fn crash(&mut self) {
        assert_eq!(self.state, Observed::Running);
        self.state = Observed::Crashed(Crash::Unknown);
    }

    pub fn crash_of(&mut self, crash: Crash) {
        self.crash();
        self.state = Observed::Crashed(crash);
    }

    /// From now on an order says Pending this often before it is carried out.
    pub fn be_slow(&mut self, slowness: u32) {
        self.slowness = slowness;
        self.under_way = None;
    }

    fn order(&mut self, release: bool) -> Result<DriverProgress, DriverError> {
        if self.failure.strikes() {
            self.under_way = None;
            return Err(DriverError);
        }
        let left = match self.under_way {
            Some((same, left)) if same == release => left,
            _ => self.slowness,
        };
        if left > 0 {
            self.under_way = Some((release, left - 1));
            return Ok(DriverProgress::Pending);
        }
        self.under_way = None;
        self.state = match (release, self.crash_at_release.take_if(|_| release)) {
            (true, Some(crash)) => Observed::Crashed(crash),
            (true, None) => Observed::Running,
            (false, _) => Observed::Held,
        };
        Ok(DriverProgress::Done)
    }
}

impl ProcessorDriver for FakeDriver {
    fn hold(&mut self) -> Result<DriverProgress, DriverError> {
        self.seen.borrow_mut().push(Seen::Hold(self.index));
        self.order(false)
    }

    fn release(&mut self, boot: Boot) -> Result<DriverProgress, DriverError> {
        self.seen.borrow_mut().push(Seen::Release(self.index, boot));
        assert!(!self.dirty.get(), "released before the writes were complete");
        self.releases.push(boot);
        self.order(true)
    }

    fn can_ask_to_stop(&self) -> bool {
        self.manners != Manners::Deaf
    }

    fn ask_to_stop(&mut self) -> Result<DriverProgress, DriverError> {
        self.seen.borrow_mut().push(Seen::AskToStop(self.index));
        assert_eq!(self.state, Observed::Running, "only what runs is asked");
        match &mut self.manners {
            Manners::Deaf => panic!("asked although it said that it can't be"),
            Manners::Obeys(0) => Ok(DriverProgress::Done),
            Manners::Obeys(left) => {
                *left -= 1;
                Ok(DriverProgress::Pending)
            }
            Manners::Ignores => Ok(DriverProgress::Pending),
            Manners::Broken => Err(DriverError),
        }
    }

    fn observe(&mut self) -> Result<Observed, DriverError> {
        self.seen.borrow_mut().push(Seen::Observe(self.index));
        if self.failure.strikes() { Err(DriverError) } else { Ok(self.state) }
    }

    fn isolate(&mut self, region: &Region, isolation: Isolation) -> Result<(), DriverError> {
        self.seen.borrow_mut().push(Seen::Isolate(self.index, region.physical_address, isolation));
        let stuck = self.failure.strikes();
        let mut doors = self.doors.borrow_mut();
        let door = doors.get_mut(&region.physical_address).expect("a region of the board");
        door.stuck = stuck;
        if stuck {
            return Err(DriverError);
        }
        if isolation != Isolation::Loading {
            assert!(!self.dirty.get(), "opened before the writes were complete");
        }
        door.isolation = isolation;
        Ok(())
    }

    fn enforces_isolation(&self) -> bool {
        self.enforces
    }

    fn security_counter(&mut self) -> Result<SecurityCounter, DriverError> {
        Ok(self.counter)
    }

    fn raise_security_counter(&mut self, value: u32) -> Result<(), DriverError> {
        self.seen.borrow_mut().push(Seen::RaiseCounter(self.index, value));
        if self.counter_stuck {
            return Err(DriverError);
        }
        self.counter.value = value;
        Ok(())
    }
}

/// The software provider, with a count of its signature checks.
#[derive(Default)]
pub struct FakeCrypto {
    pub checks: Cell<usize>,
}

impl Provider for FakeCrypto {
    type Hasher = SoftwareHasher;
    type Decryption = SoftwareDecryption;

    fn sha256(&self) -> SoftwareHasher {
        Software.sha256()
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        Software.supports(algorithm)
    }

    fn verify(&self, key: &PublicKey<'_>, signed: &Signed<'_>) -> bool {
        self.checks.set(self.checks.get() + 1);
        Software.verify(key, signed)
    }

    fn decryption(&self, key: &CipherKey<'_>) -> Option<SoftwareDecryption> {
        Software.decryption(key)
    }
}

/// Notifications that were signaled.
#[derive(Default)]
pub struct FakeNotifier {
    /// Endpoint and notification, in order.
    pub signaled: Vec<(u16, u8)>,
    /// The SPMC refuses.
    pub refuses: bool,
}

impl Notifier for FakeNotifier {
    fn notify(&mut self, endpoint: u16, notification: u8) -> Result<(), NotifyError> {
        if self.refuses {
            return Err(NotifyError);
        }
        self.signaled.push((endpoint, notification));
        Ok(())
    }
}

pub struct FakeMachine {
    /// `None`: the SPMC has no notifications.
    pub notifier: Option<FakeNotifier>,
    pub crypto: FakeCrypto,
    pub memory: FakeMemory,
    pub drivers: Vec<FakeDriver>,
    pub failure: Failure,
    pub doors: Doors,
    pub now: u64,
}

impl FakeMachine {
    pub fn new(board: &Board<'_>, seen: Record) -> Self {
        let (doors, dirty, failure) = (Doors::default(), Rc::new(Cell::new(false)), Failure::default());
        for region in board.processors.iter().flat_map(|processor| &processor.regions) {
            let door = Door { size: region.size.into(), isolation: Isolation::Normal, stuck: false };
            doors.borrow_mut().insert(region.physical_address, door);
        }
        let driver = |index| FakeDriver {
            manners: Manners::Deaf,
            index,
            state: Observed::Held,
            under_way: None,
            slowness: 0,
            enforces: false,
            counter: SecurityCounter { value: 0, most: 1000 },
            counter_stuck: false,
            releases: Vec::new(),
            crash_at_release: None,
            doors: doors.clone(),
            dirty: dirty.clone(),
            failure: failure.clone(),
            seen: seen.clone(),
        };
        Self {
            notifier: Some(FakeNotifier::default()),
            crypto: FakeCrypto::default(),
            drivers: (0..board.processors.len()).map(driver).collect(),
            memory: FakeMemory {
                broken: None,
                bytes: vec![UNTOUCHED; WINDOW_SIZE],
                doors: doors.clone(),
                dirty: dirty.clone(),
                failure: failure.clone(),
                seen,
            },
            failure,
            doors: doors.clone(),
            now: 1_000,
        }
    }

    /// Who may reach the regions of the M33.
    pub fn isolations(&self) -> Vec<Isolation> {
        self.doors.borrow().range(..WINDOW + 0x00d0_0000).map(|(_, door)| door.isolation).collect()
    }
}

impl Machine for FakeMachine {
    type Crypto = FakeCrypto;
    type Memory = FakeMemory;

    fn crypto(&self) -> &FakeCrypto {
        &self.crypto
    }

    fn memory(&mut self) -> &mut FakeMemory {
        &mut self.memory
    }

    fn crypto_and_memory(&mut self) -> (&FakeCrypto, &mut FakeMemory) {
        (&self.crypto, &mut self.memory)
    }

    fn driver(&mut self, index: usize) -> Option<&mut dyn ProcessorDriver> {
        self.drivers.get_mut(index).map(|driver| driver as &mut dyn ProcessorDriver)
    }

    fn milliseconds(&self) -> u64 {
        self.now
    }

    fn notifier(&mut self) -> Option<&mut dyn Notifier> {
        self.notifier.as_mut().map(|notifier| notifier as &mut dyn Notifier)
    }
}
