//! The machine and the clients' memory as plain values: copied with each state, compared with others, and failing on request.
use super::images::{CODE, Image};
use remoteproc_image::provider::{Algorithm, CipherKey, Destination, Fault, Provider, PublicKey, Signed};
use remoteproc_image::software::{Software, SoftwareDecryption, SoftwareHasher};
use remoteproc_image::target::Region;
use remoteproc_service::client_memory::{ClientMemory, EndpointId, MemoryError, PhysicalRange, Retrieved};
use remoteproc_service::hardware::{
    Boot, DriverError, DriverProgress, Isolation, Machine, Notifier, NotifyError, Observed, ProcessorDriver,
    RemoteMemory, SecurityCounter,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Mutex;

/// Bytes of each region.
pub const REGION: usize = 256;
/// Regions of each processor: one private, one shared.
pub const REGIONS: usize = 2;

/// What does not work during one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The firmware ignores that it is asked to stop.
    Ignores,
    /// It can't be asked.
    NoAsking,
    /// The reset line is not done yet with what it is told.
    SlowReset,
    /// The reset line does not answer, and does nothing.
    NoReset,
    /// The reset line says that it failed, and has done it.
    LyingReset,
    /// The processor's state can't be read.
    Observe,
    /// The firewall refuses.
    Isolate,
    /// The processor's memory can't be cleared.
    Clear,
    /// Nor written.
    Write,
    /// Nor read.
    Read,
    /// The security counter can't be read.
    ReadCounter,
    /// Nor raised.
    RaiseCounter,
    /// The client has taken its memory back.
    Retrieve,
    /// It aborts when it is read.
    ClientRead,
    /// The SPMC does not deliver a notification.
    Notify,
}

/// One processor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    pub state: Observed,
    /// What the reset line is busy with: whether it is a release.
    pub under_way: Option<bool>,
    /// The last order was a hold.
    pub told_to_hold: bool,
    pub isolation: [Isolation; REGIONS],
    pub memory: [[u8; REGION]; REGIONS],
    pub counter: u32,
    /// Somebody has released it before the partition booted, and nobody has held it since.
    pub foreign: bool,
}

impl Core {
    fn new() -> Self {
        Self {
            state: Observed::Held,
            under_way: None,
            told_to_hold: true,
            isolation: [Isolation::Normal; REGIONS],
            memory: [[0; REGION]; REGIONS],
            counter: 0,
            foreign: false,
        }
    }

    pub fn is_clear(&self) -> bool {
        self.memory.iter().flatten().all(|byte| *byte == 0)
    }

    /// The trusted image that the memory holds, and nothing else; and its security counter.
    pub fn holds(&self) -> Option<(Image, u32)> {
        let is = |memory: &[u8; REGION], bytes: &[u8]| {
            memory.starts_with(bytes) && memory[bytes.len()..].iter().all(|byte| *byte == 0)
        };
        let [private, shared] = &self.memory;
        Image::TRUSTED.into_iter().find(|(image, _)| is(private, &image.code()) && is(shared, &image.data()))
    }
}

/// Everything below the service.
#[derive(Clone, Debug)]
pub struct World {
    pub cores: Vec<Core>,
    /// Handles that the partition holds.
    pub held: BTreeSet<u64>,
    /// Milliseconds.
    pub now: u64,
    /// What does not work now.
    pub trouble: Trouble,
    /// What could have failed since the request began.
    pub reached: BTreeSet<Trouble>,
    /// What must not have happened.
    pub wrong: Option<&'static str>,
    /// The hardware keeps others out of what is closed.
    pub enforces: bool,
    /// The SPMC has notifications; who was told during the last step, and by which.
    pub notifies: bool,
    pub told: Vec<(EndpointId, u8)>,
}

impl World {
    pub fn new(cores: usize) -> Self {
        Self {
            cores: vec![Core::new(); cores],
            held: BTreeSet::new(),
            now: 10_000,
            trouble: Trouble::None,
            reached: BTreeSet::new(),
            wrong: None,
            enforces: false,
            notifies: false,
            told: Vec::new(),
        }
    }

    /// Tells whether this fails now, and notes that it could.
    fn fails(&mut self, trouble: Trouble) -> bool {
        self.reached.insert(trouble);
        self.trouble == trouble
    }

    /// Which region of which processor an address is in, and where.
    fn find(&self, address: u64, size: usize) -> (usize, usize, usize) {
        let index = usize::try_from(address / 0x1_0000).expect("an address");
        let rest = usize::try_from(address % 0x1_0000).expect("an offset");
        let region = (rest / 0x1000).checked_sub(1).expect("inside a region");
        let offset = rest % 0x1000;
        assert!(region < REGIONS && offset + size <= REGION, "{address:#x} is inside a region");
        (index, region, offset)
    }
}

pub type Shared = Rc<RefCell<World>>;

pub struct PaperMemory(Shared);

impl PaperMemory {
    fn change(&mut self, address: u64, size: usize, change: impl FnOnce(&mut [u8])) {
        let mut world = self.0.borrow_mut();
        let (index, region, offset) = world.find(address, size);
        let core = &mut world.cores[index];
        change(&mut core.memory[region][offset..offset + size]);
        if core.state != Observed::Held {
            world.wrong = Some("memory of a processor that runs is changed");
        }
    }
}

impl Destination for PaperMemory {
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        if self.0.borrow_mut().fails(Trouble::Write) {
            return Err(Fault);
        }
        self.change(address, bytes.len(), |memory| memory.copy_from_slice(bytes));
        let mut world = self.0.borrow_mut();
        let (index, region, _) = world.find(address, bytes.len());
        if world.cores[index].isolation[region] != Isolation::Loading {
            world.wrong = Some("memory is written while others can reach it");
        }
        Ok(())
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        let mut world = self.0.borrow_mut();
        if world.fails(Trouble::Read) {
            return Err(Fault);
        }
        let (index, region, offset) = world.find(address, into.len());
        into.copy_from_slice(&world.cores[index].memory[region][offset..offset + into.len()]);
        Ok(())
    }
}

impl RemoteMemory for PaperMemory {
    fn clear(&mut self, address: u64, size: u64) -> Result<(), Fault> {
        if self.0.borrow_mut().fails(Trouble::Clear) {
            return Err(Fault);
        }
        self.change(address, usize::try_from(size).expect("a size"), |memory| memory.fill(0));
        Ok(())
    }

    fn complete_writes(&mut self) {}
}

struct PaperDriver {
    index: usize,
    world: Shared,
}

impl PaperDriver {
    fn order(&mut self, release: bool) -> Result<DriverProgress, DriverError> {
        let mut world = self.world.borrow_mut();
        let [slow, none, lying] =
            [Trouble::SlowReset, Trouble::NoReset, Trouble::LyingReset].map(|trouble| world.fails(trouble));
        let core = &mut world.cores[self.index];
        let is_new = core.under_way != Some(release);
        let held = core.holds();
        let counter = core.counter;
        let does = !(slow || none);
        core.told_to_hold = !release;
        core.under_way = slow.then_some(release);
        core.foreign &= release || !does;
        if does {
            core.state = match (release, core.state) {
                // It has stopped by itself meanwhile.
                (true, crashed @ Observed::Crashed(_)) if !is_new => crashed,
                (true, _) => Observed::Running,
                (false, _) => Observed::Held,
            };
        }
        if release && is_new {
            match held {
                None => world.wrong = Some("something runs that was not authenticated"),
                Some((_, of_image)) if of_image < counter => {
                    world.wrong = Some("older firmware runs than the security counter allows");
                }
                Some(_) => {}
            }
        }
        match (slow, none || lying) {
            (true, _) => Ok(DriverProgress::Pending),
            (_, true) => Err(DriverError),
            _ => Ok(DriverProgress::Done),
        }
    }
}

impl ProcessorDriver for PaperDriver {
    fn hold(&mut self) -> Result<DriverProgress, DriverError> {
        self.order(false)
    }

    fn release(&mut self, boot: Boot) -> Result<DriverProgress, DriverError> {
        let expected = Boot { address: CODE, secure: false };
        if boot != expected {
            self.world.borrow_mut().wrong = Some("it boots where no signer said so");
        }
        self.order(true)
    }

    fn can_ask_to_stop(&self) -> bool {
        true
    }

    fn ask_to_stop(&mut self) -> Result<DriverProgress, DriverError> {
        let mut world = self.world.borrow_mut();
        let core = &world.cores[self.index];
        // After a stop that has failed, as it seems, nobody knows that it is held.
        if core.state == Observed::Held && !core.told_to_hold {
            world.wrong = Some("a processor is asked to stop that is held");
        }
        let [ignores, fails] = [Trouble::Ignores, Trouble::NoAsking].map(|trouble| world.fails(trouble));
        match (ignores, fails) {
            (true, _) => Ok(DriverProgress::Pending),
            (_, true) => Err(DriverError),
            _ => Ok(DriverProgress::Done),
        }
    }

    fn observe(&mut self) -> Result<Observed, DriverError> {
        let mut world = self.world.borrow_mut();
        if world.fails(Trouble::Observe) { Err(DriverError) } else { Ok(world.cores[self.index].state) }
    }

    fn isolate(&mut self, region: &Region, isolation: Isolation) -> Result<(), DriverError> {
        let mut world = self.world.borrow_mut();
        if world.fails(Trouble::Isolate) {
            return Err(DriverError);
        }
        let (index, region, _) = world.find(region.physical_address, 1);
        assert_eq!(index, self.index, "each driver has its own regions");
        world.cores[index].isolation[region] = isolation;
        Ok(())
    }

    fn enforces_isolation(&self) -> bool {
        self.world.borrow().enforces
    }

    fn security_counter(&mut self) -> Result<SecurityCounter, DriverError> {
        let mut world = self.world.borrow_mut();
        if world.fails(Trouble::ReadCounter) {
            return Err(DriverError);
        }
        Ok(SecurityCounter { value: world.cores[self.index].counter, most: 10 })
    }

    fn raise_security_counter(&mut self, value: u32) -> Result<(), DriverError> {
        let mut world = self.world.borrow_mut();
        if world.fails(Trouble::RaiseCounter) {
            return Err(DriverError);
        }
        let core = &mut world.cores[self.index];
        let may = core.state != Observed::Held && value > core.counter;
        core.counter = value;
        if !may {
            world.wrong = Some("the security counter changes although nothing newer runs");
        }
        Ok(())
    }
}

/// The software provider. A signature is checked once, and its outcome remembered: it is the same each time.
pub struct Crypto;

/// Outcomes of signature checks, by digest and signature.
static CHECKED: Mutex<Option<HashMap<Vec<u8>, bool>>> = Mutex::new(None);

impl Provider for Crypto {
    type Hasher = SoftwareHasher;
    type Decryption = SoftwareDecryption;

    fn sha256(&self) -> SoftwareHasher {
        Software.sha256()
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        Software.supports(algorithm)
    }

    fn verify(&self, key: &PublicKey<'_>, signed: &Signed<'_>) -> bool {
        let mut known = CHECKED.lock().expect("nobody panicked with it");
        let question = [signed.digest.as_slice(), signed.signature].concat();
        *known.get_or_insert_default().entry(question).or_insert_with(|| Software.verify(key, signed))
    }

    fn decryption(&self, key: &CipherKey<'_>) -> Option<SoftwareDecryption> {
        Software.decryption(key)
    }
}

/// The way to the owners.
struct PaperNotifier(Shared);

impl Notifier for PaperNotifier {
    fn notify(&mut self, endpoint: EndpointId, notification: u8) -> Result<(), NotifyError> {
        let mut world = self.0.borrow_mut();
        if world.fails(Trouble::Notify) {
            return Err(NotifyError);
        }
        world.told.push((endpoint, notification));
        Ok(())
    }
}

/// The machine that a service works on.
pub struct PaperMachine {
    crypto: Crypto,
    memory: PaperMemory,
    drivers: Vec<PaperDriver>,
    notifier: PaperNotifier,
    world: Shared,
}

impl PaperMachine {
    pub fn new(world: &Shared) -> Self {
        let count = world.borrow().cores.len();
        Self {
            crypto: Crypto,
            memory: PaperMemory(world.clone()),
            drivers: (0..count).map(|index| PaperDriver { index, world: world.clone() }).collect(),
            notifier: PaperNotifier(world.clone()),
            world: world.clone(),
        }
    }
}

impl Machine for PaperMachine {
    type Crypto = Crypto;
    type Memory = PaperMemory;

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn memory(&mut self) -> &mut PaperMemory {
        &mut self.memory
    }

    fn crypto_and_memory(&mut self) -> (&Crypto, &mut PaperMemory) {
        (&self.crypto, &mut self.memory)
    }

    fn driver(&mut self, index: usize) -> Option<&mut dyn ProcessorDriver> {
        self.drivers.get_mut(index).map(|driver| driver as &mut dyn ProcessorDriver)
    }

    fn milliseconds(&self) -> u64 {
        self.world.borrow().now
    }

    fn notifier(&mut self) -> Option<&mut dyn Notifier> {
        let notifies = self.world.borrow().notifies;
        notifies.then_some(&mut self.notifier)
    }
}

/// What clients share, by handle: it stays for ever, whose it is, and where it lies.
pub type Shares = BTreeMap<u64, (EndpointId, Vec<u8>, PhysicalRange)>;

/// Where the normal world's memory is.
pub const NORMAL_MEMORY: PhysicalRange = PhysicalRange { start: 0x4000_0000, size: 0x1_0000 };

/// The clients' memory.
pub struct PaperClients<'s> {
    pub shares: &'s Shares,
    pub world: Shared,
}

impl ClientMemory for PaperClients<'_> {
    fn retrieve(&mut self, owner: EndpointId, handle: u64, _lent: bool) -> Result<Retrieved, MemoryError> {
        let mut world = self.world.borrow_mut();
        let known = self.shares.get(&handle).is_some_and(|(of, ..)| *of == owner);
        if known && world.held.contains(&handle) {
            return Err(MemoryError::InUse);
        }
        if world.fails(Trouble::Retrieve) || !known {
            return Err(MemoryError::UnknownHandle);
        }
        world.held.insert(handle);
        let mut retrieved = Retrieved { normal_world: true, ..Retrieved::default() };
        let (_, _, range) = &self.shares[&handle];
        retrieved.ranges.push(*range).expect("there is room for one");
        Ok(retrieved)
    }

    fn map(&mut self, handle: u64, _retrieved: &Retrieved) -> Result<(), MemoryError> {
        assert!(self.world.borrow().held.contains(&handle), "mapped without being held");
        Ok(())
    }

    fn read(&mut self, handle: u64, offset: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        let mut world = self.world.borrow_mut();
        assert!(world.held.contains(&handle), "read without being held");
        if world.fails(Trouble::ClientRead) {
            return Err(MemoryError::Abort);
        }
        let start = usize::try_from(offset).expect("an offset");
        let (_, bytes, range) = &self.shares[&handle];
        if !NORMAL_MEMORY.overlaps(range) {
            world.wrong = Some("memory is read that is not the client's");
        }
        into.copy_from_slice(&bytes[start..start + into.len()]);
        Ok(())
    }

    fn relinquish(&mut self, handle: u64) {
        self.world.borrow_mut().held.remove(&handle);
    }

    fn held(&self) -> usize {
        self.world.borrow().held.len()
    }
}
