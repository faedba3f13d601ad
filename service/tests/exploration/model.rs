//! The state space: the service itself, with the machine and the clients around it, and everything that can happen next.
use super::images::{CODE, DATA, Image, container};
use super::judge::{self, Broken, Step};
use super::machine::{NORMAL_MEMORY, PaperClients, PaperMachine, REGION, Shared, Shares, Trouble, World};
use remoteproc_abi::door_d::{Answer, LoadArguments, Request, StopMode};
use remoteproc_image::provider::TrustedKey;
use remoteproc_image::software::SoftwareHasher;
use remoteproc_image::target::{Access, BootSecurity, Region};
use remoteproc_image::write::{OwnedPublicKey, RsaKey};
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::{Board, Processor};
use remoteproc_service::exploration::{Frozen, View};
use remoteproc_service::hardware::{Crash, Observed};
use remoteproc_service::lifecycle::{Pending, State};
use remoteproc_service::{Caller, Guard, Service, Storage};
use stateright::{Model, Property};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// A claim that is idle for longer may be taken over, milliseconds.
pub const IDLE: u64 = 1_000;
/// A moment longer than every limit, milliseconds.
const LONG: u64 = 6_000;

/// How long firmware is given to stop by itself, milliseconds.
const PATIENCE: u64 = 5_000;

/// The service under test.
type PaperService<'s> = Service<'s, PaperMachine>;

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    Load(Image),
    Start,
    Stop,
    GracefulStop,
    Release,
    Table,
    Status,
    Bind,
    Confirm,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client asks something of a processor, both by their indices, while something does not work.
    Asks(usize, usize, Ask, Trouble),
    /// A virtual machine is gone, by its index among the clients, while something does not work.
    Leaves(usize, Trouble),
    /// A processor that runs stops by itself.
    Crashes(usize),
    /// The reset line does what it was told before anybody looks.
    Settles(usize),
    /// The normal world changes a processor's private memory, where no hardware keeps it from that.
    Tampers(usize),
    /// Time passes.
    Waits,
    /// The doorbell rings.
    Rings(Trouble),
}

/// Everything there is between two requests.
#[derive(Clone)]
pub struct Point {
    pub frozen: Frozen<SoftwareHasher>,
    pub world: World,
    /// What the last step has broken.
    pub broken: Option<Broken>,
    fingerprint: u64,
}

impl Point {
    pub fn view(&self, processor: usize) -> View {
        self.frozen.view(processor, self.world.now, IDLE).expect("a processor of the board")
    }
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let views: Vec<_> = (0..self.world.cores.len()).map(|index| self.view(index)).collect();
        write!(formatter, "{views:?} {:?}", self.broken)
    }
}

/// A board, its clients, and what they may do.
pub struct Exploration {
    board: Board<'static>,
    pub clients: Vec<Caller>,
    shares: Shares,
    images: Vec<Image>,
    troubles: bool,
    /// A guard that is taken out.
    pub removed: Option<Guard>,
    /// The properties that are looked at, if not all.
    pub only: Option<&'static [&'static str]>,
    /// The hardware keeps others out of what is closed.
    pub enforces: bool,
    /// Processors run when the partition boots.
    pub foreign: bool,
    /// Clients bind events and confirm what runs.
    pub more: bool,
}

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../tests/vectors/keys/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The notification that a client binds a processor's events to: no two are the same.
pub fn notification(client: usize, processor: usize) -> u8 {
    (client * 8 + processor) as u8
}

fn handle(client: usize, image: Image) -> u64 {
    (client as u64 + 1) << 8 | image as u64
}

/// A board whose processors lie 64 KiB apart.
fn board(processors: usize) -> Board<'static> {
    let key: &'static OwnedPublicKey =
        Box::leak(Box::new(OwnedPublicKey::from_der(&vector("rsa2048.pub.der")).expect("a key")));
    let region = |processor: usize, device_address: u32, access| Region {
        device_address,
        physical_address: processor as u64 * 0x1_0000 + u64::from(device_address),
        size: REGION as u32,
        access,
    };
    let processor = |index: usize| Processor {
        id: index as u32,
        name: "core",
        compatible: "paper",
        regions: heapless::Vec::from_slice(&[
            region(index, CODE, Access::Private),
            region(index, DATA, Access::Shared),
        ])
        .expect("two regions"),
        registers: heapless::Vec::new(),
        default_boot_address: None,
        boot_security: BootSecurity::RunsNonSecure,
        endpoints: heapless::Vec::new(),
        attach_endpoints: heapless::Vec::new(),
        counter_on_confirm: false,
    };
    Board {
        name: "paper",
        processors: (0..processors).map(processor).collect(),
        keys: heapless::Vec::from_iter([TrustedKey::new("test key", key.as_key())]),
        normal_memory: heapless::Vec::from_iter([NORMAL_MEMORY]),
        devices: heapless::Vec::new(),
        reserved: heapless::Vec::new(),
        accept_no_isolation: true,
        accept_no_isolation_encrypted: false,
        decryption_key: None,
        strict_platform_tlvs: false,
        idle_claim_ms: IDLE as u32,
        one_call_endpoints: heapless::Vec::new(),
    }
}

impl Exploration {
    /// `troubles`: hardware fails, time passes, processors crash, memory is tampered with.
    pub fn new(processors: usize, clients: &[Caller], images: &[Image], troubles: bool) -> Self {
        let key = RsaKey::from_pkcs8_der(&vector("rsa2048.pk8.der")).expect("a key");
        let mut shares = Shares::new();
        for (client, caller) in clients.iter().enumerate() {
            for image in images {
                let start = if *image == Image::Elsewhere { CODE.into() } else { NORMAL_MEMORY.start };
                let range = PhysicalRange { start, size: 0x1000 };
                let share = (caller.endpoint, container(*image, &key), range);
                shares.insert(handle(client, *image), share);
            }
        }
        Self {
            board: board(processors),
            clients: clients.to_vec(),
            shares,
            images: images.to_vec(),
            troubles,
            removed: None,
            only: None,
            enforces: false,
            foreign: false,
            more: false,
        }
    }

    fn request(&self, client: usize, processor: usize, ask: Ask) -> Request {
        let processor = processor as u32;
        match ask {
            Ask::Load(image) => {
                let handle = handle(client, image);
                let total = self.shares[&handle].1.len() as u64;
                let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
                Request::Load { processor, arguments }
            }
            Ask::Start => Request::Start { processor },
            Ask::Stop => Request::Stop { processor, mode: StopMode::Forced },
            Ask::GracefulStop => {
                Request::Stop { processor, mode: StopMode::Graceful { milliseconds: PATIENCE } }
            }
            Ask::Release => Request::Release { processor },
            Ask::Table => Request::GetResourceTable { processor },
            Ask::Status => Request::GetStatus { processor },
            Ask::Bind => {
                let notification = notification(client, processor as usize).into();
                Request::BindEvents { processor, notification }
            }
            Ask::Confirm => Request::Confirm { processor },
        }
    }

    /// Puts the service of a point to work, and returns what became of the world.
    fn work<T>(
        &self,
        point: &Point,
        trouble: Trouble,
        work: impl FnOnce(&mut PaperService<'_>, &mut PaperClients<'_>) -> T,
    ) -> (T, World) {
        thread_local! {
            static STORAGE: RefCell<Box<Storage<SoftwareHasher>>> = RefCell::new(Box::new(Storage::new()));
        }
        let mut world = point.world.clone();
        world.trouble = trouble;
        world.reached.clear();
        world.told.clear();
        let world: Shared = Rc::new(RefCell::new(world));
        let outcome = STORAGE.with_borrow_mut(|storage| {
            let machine = PaperMachine::new(&world);
            let mut service = Service::thaw(self.board.clone(), machine, storage, &point.frozen);
            let mut clients = PaperClients { shares: &self.shares, world: world.clone() };
            work(&mut service, &mut clients)
        });
        let mut world = world.borrow().clone();
        world.trouble = Trouble::None;
        (outcome, world)
    }

    /// Lets a client ask something of the service of this point.
    fn ask(&self, point: &mut Point, client: usize, processor: usize, ask: Ask, trouble: Trouble) -> Answer {
        let registers = self.request(client, processor, ask).encode();
        let ((answer, frozen), world) = self.work(point, trouble, |service, clients| {
            let answer = service.handle(self.clients[client], &registers, clients);
            (answer, service.freeze())
        });
        (point.frozen, point.world) = (frozen, world);
        answer
    }

    fn seal(&self, mut point: Point) -> Point {
        let mut hasher = DefaultHasher::new();
        let Point { frozen, world, broken, .. } = &point;
        frozen.fingerprint(world.now, IDLE, &mut hasher);
        (&world.cores, &world.held, broken).hash(&mut hasher);
        point.fingerprint = hasher.finish();
        point
    }

    /// What the request can meet: everything that it gets to.
    fn troubles(&self, point: &Point, client: usize, processor: usize, ask: Ask) -> Vec<Trouble> {
        if !self.troubles {
            return vec![Trouble::None];
        }
        let registers = self.request(client, processor, ask).encode();
        let ((), world) = self.work(point, Trouble::None, |service, clients| {
            service.handle(self.clients[client], &registers, clients);
        });
        world.reached.into_iter().chain([Trouble::None]).collect()
    }

    /// The service begins.
    fn boot(&self, world: World, storage: &mut Storage<SoftwareHasher>) -> Point {
        let shared = Rc::new(RefCell::new(world));
        let mut service = Service::new(self.board.clone(), PaperMachine::new(&shared), storage);
        service.remove(self.removed);
        let frozen = service.freeze();
        let mut world = shared.borrow().clone();
        (world.trouble, world.reached) = (Trouble::None, BTreeSet::new());
        self.seal(Point { frozen, world, broken: None, fingerprint: 0 })
    }

    /// Whoever owns a processor can give it back, whatever has happened before, once the hardware obeys.
    fn has_a_way_home(&self, point: &Point) -> bool {
        const REQUESTS: usize = 40;
        const WAYS: [&[Ask]; 2] = [&[Ask::Stop, Ask::Release], &[Ask::Release]];
        (0..self.world_size()).all(|processor| {
            let view = point.view(processor);
            if view.state == State::Offline {
                return true;
            }
            // What is nobody's is given back by anybody whom the manifest lists.
            let is_whose = |client: usize| match view.owner {
                Some(owner) => self.clients[client] == owner,
                None => self.allows(client, processor),
            };
            let client = (0..self.clients.len()).find(|client| is_whose(*client)).expect("a client");
            let owner = self.clients[client];
            // Whoever has no order under way that runs it or stops it gives it back with RELEASE_FW alone: so does a client whose
            // start has failed.
            let at_rest = view.state != State::Running
                && !matches!(view.pending, Some(Pending::Start | Pending::Stop | Pending::GracefulStop));
            let ways = if at_rest { &WAYS[..] } else { &WAYS[..1] };
            ways.iter().all(|way| {
                let way = way.iter().cycle().take(REQUESTS);
                let home = |service: &mut PaperService<'_>, clients: &mut PaperClients<'_>| {
                    way.map(|ask| self.request(client, processor, *ask).encode()).any(|registers| {
                        service.handle(owner, &registers, clients);
                        service.state(processor as u32) == Some(State::Offline)
                    })
                };
                self.work(point, Trouble::None, home).0
            })
        })
    }

    /// Tells whether a property is looked at.
    pub fn looks_at(&self, property: &str) -> bool {
        self.only.is_none_or(|only| only.contains(&property))
    }

    /// Only these endpoints may ask something of the processors.
    pub fn listing(mut self, endpoints: &[u16]) -> Self {
        for processor in &mut self.board.processors {
            processor.endpoints = heapless::Vec::from_slice(endpoints).expect("a short list");
        }
        self
    }

    /// Clients bind events, and confirm what runs: with that the security counter rises. These endpoints may take over what runs.
    pub fn with_more(mut self, attaching: &[u16]) -> Self {
        self.more = true;
        for processor in &mut self.board.processors {
            processor.attach_endpoints = heapless::Vec::from_slice(attaching).expect("a short list");
            processor.counter_on_confirm = true;
        }
        self
    }

    /// Tells whether a client may take over a processor that runs.
    pub fn may_attach(&self, client: usize, processor: usize) -> bool {
        self.board.processors[processor].attach_endpoints.contains(&self.clients[client].endpoint)
    }

    /// Tells whether a client may ask something of a processor.
    pub fn allows(&self, client: usize, processor: usize) -> bool {
        self.board.processors[processor].is_for(self.clients[client].endpoint)
    }

    fn world_size(&self) -> usize {
        self.board.processors.len()
    }
}

impl Model for Exploration {
    type State = Point;
    type Action = Action;

    fn init_states(&self) -> Vec<Point> {
        let mut storage = Box::new(Storage::new());
        let mut world = World::new(self.world_size());
        world.enforces = self.enforces;
        world.notifies = self.more;
        if !self.foreign {
            return vec![self.boot(world, &mut storage)];
        }
        for core in &mut world.cores {
            (core.state, core.foreign, core.told_to_hold) = (Observed::Running, true, false);
        }
        if self.removed == Some(Guard::HoldBeforeLoad) {
            // A service that does not look: it finds what is held, and that runs.
            let mut point = self.boot(World::new(self.world_size()), &mut storage);
            point.world = world;
            return vec![self.seal(point)];
        }
        let troubles =
            [Trouble::None, Trouble::SlowReset, Trouble::NoReset, Trouble::LyingReset, Trouble::Observe];
        let boot = |trouble| self.boot(World { trouble, ..world.clone() }, &mut storage);
        troubles.map(boot).into()
    }

    fn actions(&self, point: &Point, actions: &mut Vec<Action>) {
        if point.broken.is_some() {
            return;
        }
        let loads = self.images.iter().map(|image| Ask::Load(*image));
        let others = [Ask::Start, Ask::Stop, Ask::GracefulStop, Ask::Release, Ask::Table, Ask::Status];
        let more = [Ask::Bind, Ask::Confirm].into_iter().filter(|_| self.more);
        let asks: Vec<Ask> = loads.chain(others).chain(more).collect();
        for processor in 0..self.world_size() {
            for client in 0..self.clients.len() {
                for ask in &asks {
                    for trouble in self.troubles(point, client, processor, *ask) {
                        actions.push(Action::Asks(client, processor, *ask, trouble));
                    }
                }
            }
            let core = &point.world.cores[processor];
            if core.state == Observed::Running && (self.troubles || self.more) {
                actions.push(Action::Crashes(processor));
            }
            if !self.troubles {
                continue;
            }
            if core.under_way.is_some() {
                actions.push(Action::Settles(processor));
            }
            // What is changed while the firmware is being released, nothing but hardware could find.
            let view = point.view(processor);
            let open = !self.enforces && matches!(view.state, State::Loading | State::Loaded);
            if open && core.under_way != Some(true) {
                actions.push(Action::Tampers(processor));
            }
        }
        for client in 0..self.clients.len() {
            if self.clients[client].endpoint != 0 {
                let all = [Trouble::None, Trouble::SlowReset, Trouble::NoReset, Trouble::LyingReset];
                let number = if self.troubles { all.len() } else { 1 };
                actions.extend(all[..number].iter().map(|trouble| Action::Leaves(client, *trouble)));
            }
        }
        if self.troubles {
            actions.push(Action::Waits);
        }
        if self.more {
            let all = [Trouble::None, Trouble::Observe, Trouble::Notify];
            let number = if self.troubles { all.len() } else { 1 };
            actions.extend(all[..number].iter().map(|trouble| Action::Rings(*trouble)));
        }
    }

    fn next_state(&self, before: &Point, action: Action) -> Option<Point> {
        let mut after = before.clone();
        after.world.told.clear();
        let mut answer = None;
        match action {
            Action::Asks(client, processor, ask, trouble) => {
                answer = Some(self.ask(&mut after, client, processor, ask, trouble));
            }
            Action::Leaves(client, trouble) => {
                let endpoint = self.clients[client].endpoint;
                (after.frozen, after.world) = self.work(before, trouble, |service, clients| {
                    service.forget(endpoint, clients);
                    service.freeze()
                });
            }
            Action::Crashes(processor) => {
                after.world.cores[processor].state = Observed::Crashed(Crash::Unknown)
            }
            Action::Settles(processor) => {
                let core = &mut after.world.cores[processor];
                core.state = match core.under_way {
                    Some(true) => Observed::Running,
                    _ => Observed::Held,
                };
            }
            Action::Tampers(processor) => after.world.cores[processor].memory[0][5] = 0xee,
            Action::Waits => after.world.now += LONG,
            Action::Rings(trouble) => {
                (after.frozen, after.world) = self.work(before, trouble, |service, _| {
                    service.look_around();
                    service.freeze()
                });
            }
        }
        let step = Step { action, before, after: &after, answer };
        let counts = |broken: &Broken| self.looks_at(broken.property);
        let by_step = judge::step(self, &step).filter(counts);
        after.broken = by_step.or_else(|| judge::state(&after).filter(counts));
        Some(self.seal(after))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(judge::HARDWARE, |_, point: &Point| judge::holds(point, judge::HARDWARE)),
            Property::always(judge::OTHERS, |_, point: &Point| judge::holds(point, judge::OTHERS)),
            Property::always(judge::CLEAR, |_, point: &Point| judge::holds(point, judge::CLEAR)),
            Property::always(judge::ANSWER, |_, point: &Point| judge::holds(point, judge::ANSWER)),
            Property::always(judge::STATE, |_, point: &Point| judge::holds(point, judge::STATE)),
            Property::always(judge::TOLD, |_, point: &Point| judge::holds(point, judge::TOLD)),
            Property::always(judge::HOME, |model: &Self, point: &Point| {
                let matters = point.broken.is_none() && model.looks_at(judge::HOME);
                !matters || model.has_a_way_home(point)
            }),
        ]
    }
}
