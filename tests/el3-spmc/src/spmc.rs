//! The SPMC: takes every SMC of both worlds, checks it, answers it or changes worlds.
//!
//! It is SPMD (forwarder of the normal world) and SPMC (of the one partition) in one. State is kept for each endpoint
//! and each execution context. A partition with one context runs on whichever CPU calls it; one with several has a context for
//! each CPU, which stays there. The normal world is a hypervisor, which speaks for itself and for its virtual machines.
mod framework;
mod mappings;
mod memory;
mod message;
mod notifications;
mod preemption;
mod processors;
mod secure_interrupts;
mod setup;

use core::fmt;

use crate::console_log::ConsoleLog;
use crate::descriptor::Kind;
use crate::error::{FfaError, Refusal};
use crate::fragments::Fragments;
use crate::function::{SMC64, architecture, ffa, fixture, psci};
use crate::machine::{Machine, World, violate};
use crate::manifest::Manifest;
use crate::notifications::Notifications;
use crate::share_table::ShareTable;
use crate::stage_one::TranslationRegisters;
use preemption::Preemptions;
use processors::Power;
pub use processors::Start;
use secure_interrupts::SecureInterrupts;

/// Endpoint id of the normal world's hypervisor or OS.
pub const NORMAL_WORLD_ID: u16 = 0;
/// Bit of an endpoint id: it is in the secure world.
const SECURE_ID: u16 = 1 << 15;
/// Endpoint id of the partition.
pub const PARTITION_ID: u16 = 0x8001;
/// Endpoint id of this SPMC.
pub const SPMC_ID: u16 = 0x8000;
/// CPUs served, and execution contexts of the partition, at most.
pub const MAXIMUM_PROCESSORS: usize = 8;
/// SMCCC 1.2.
const SMCCC_VERSION: u64 = 0x1_0002;
/// PSCI 1.1.
const PSCI_VERSION: u64 = 0x1_0001;
/// SMCCC's "unknown function" in a 32-bit register.
const UNKNOWN: u64 = 0xffff_ffff;

/// Registers x0 to x17 of a call or an answer.
pub type Registers = [u64; 18];

/// Registers to write before a world goes on: the first `count` of x0 to x17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Values.
    pub registers: Registers,
    /// How many of them are written; the others keep what they had.
    pub count: usize,
}

impl Answer {
    /// Writes nothing.
    pub const NOTHING: Self = Self { registers: [0; 18], count: 0 };

    /// Writes x0 alone.
    pub const fn x0(value: u64) -> Self {
        let mut registers = [0; 18];
        registers[0] = value;
        Self { registers, count: 1 }
    }

    /// Writes x0 to x7: the given ones, then zeros.
    pub fn eight<const N: usize>(values: [u64; N]) -> Self {
        let mut registers = [0; 18];
        for (register, value) in registers.iter_mut().take(8).zip(values) {
            *register = value;
        }
        Self { registers, count: 8 }
    }

    /// FFA_SUCCESS with w2 and w3.
    pub fn success(w2: u64, w3: u64) -> Self {
        Self::eight([ffa::SUCCESS.into(), 0, w2, w3])
    }

    /// FFA_ERROR with its code.
    pub fn error(error: FfaError) -> Self {
        Self::eight([ffa::ERROR.into(), 0, error.register()])
    }
}

/// What happens after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The caller goes on with this answer.
    Return(Answer),
    /// The other world goes on, with these registers.
    Switch(World, Answer),
    /// The machine is switched off.
    PowerOff,
    /// The machine is reset.
    Reset,
    /// The partition gave up during its initialization.
    BootFailed,
    /// The caller goes on with this answer, and the CPU of this index is woken: see [`Spmc::started`].
    Wake(usize, Answer),
    /// The calling CPU is off from now on, until it is woken.
    ProcessorOff,
}

/// One SMC.
#[derive(Clone, Copy, Debug)]
pub struct Call<'r> {
    /// World of the caller.
    pub world: World,
    /// Linear index of the CPU.
    pub processor: usize,
    /// x0 to x17.
    pub registers: &'r Registers,
}

impl Call<'_> {
    /// Function identifier.
    pub fn function(&self) -> u32 {
        self.registers[0] as u32
    }

    /// A 32-bit argument: the upper half of the register is no part of it.
    fn w(&self, index: usize) -> u32 {
        self.registers[index] as u32
    }

    /// A 64-bit argument.
    fn x(&self, index: usize) -> u64 {
        self.registers[index]
    }

    /// An argument as wide as the call's convention makes it.
    fn argument(&self, index: usize) -> u64 {
        if self.function() & SMC64 != 0 { self.x(index) } else { self.w(index).into() }
    }

    /// Whether all of these registers are zero, at the width of the convention.
    fn zero(&self, indices: core::ops::RangeInclusive<usize>) -> bool {
        indices.into_iter().all(|index| self.argument(index) == 0)
    }
}

/// RX and TX buffer of an endpoint, one page each.
#[derive(Clone, Copy, Debug)]
struct Mailbox {
    /// The endpoint writes, we read. Physical address.
    transmit: u64,
    /// We write, the endpoint reads. Physical address.
    receive: u64,
    /// The endpoint has not released what we wrote.
    receive_held: bool,
}

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Endpoint {
    version: Option<u32>,
    /// Another call came after FFA_VERSION.
    version_fixed: bool,
    mailbox: Option<Mailbox>,
}

/// State of one execution context of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContextState {
    /// Its CPU is off.
    Off,
    /// Has been told that its CPU goes off.
    PoweringDown,
    /// Before its first FFA_MSG_WAIT.
    Initializing,
    /// In FFA_MSG_WAIT or after a direct response.
    Waiting,
    /// Serving a direct request of `client`, made with `function`.
    Serving { client: u16, function: u32 },
    /// Serving a framework message with this number, of the hypervisor or the SPMC.
    Told { sender: u16, function: u32, message: u64 },
    /// Interrupted in serving a request, until FFA_RUN.
    Preempted { client: u16, function: u32 },
    /// Entered with FFA_INTERRUPT for an interrupt of its own, until FFA_MSG_WAIT.
    Handling,
    /// Has given its turn away in that with FFA_YIELD, until FFA_RUN.
    Yielded { client: u16, function: u32 },
}

/// The SPMC's whole state, but for the shares.
#[derive(Debug)]
pub struct Spmc<'s> {
    manifest: Manifest,
    shares: &'s mut ShareTable,
    fragments: &'s mut Fragments,
    normal: Endpoint,
    partition: Endpoint,
    contexts: [ContextState; MAXIMUM_PROCESSORS],
    /// Of each execution context, so that lines that are printed at the same time stay whole.
    logs: [ConsoleLog; MAXIMUM_PROCESSORS],
    power: [Power; MAXIMUM_PROCESSORS],
    /// CPUs of the machine.
    processors: usize,
    /// Where the partition's further contexts start, if it has said so.
    secondary_entry: Option<u64>,
    /// The partition's, when it was last looked at.
    translation: TranslationRegisters,
    lenient_addresses: bool,
    ns_attribute_clear: bool,
    any_uuid: bool,
    /// In whose name the normal world reclaims memory.
    speaker: u16,
    signal_interrupts: bool,
    preemptions: Preemptions,
    notifications: Notifications,
    secure_interrupts: SecureInterrupts,
}

impl<'s> Spmc<'s> {
    /// An SPMC for the partition with this manifest, which is about to be entered on the first of so many CPUs.
    pub fn new(
        manifest: Manifest,
        processors: usize,
        shares: &'s mut ShareTable,
        fragments: &'s mut Fragments,
    ) -> Self {
        let mut contexts = [ContextState::Off; MAXIMUM_PROCESSORS];
        let mut power = [Power::Off; MAXIMUM_PROCESSORS];
        contexts[0] = ContextState::Initializing;
        power[0] = Power::On;
        Self {
            manifest,
            shares,
            fragments,
            normal: Endpoint::default(),
            partition: Endpoint::default(),
            contexts,
            logs: [const { ConsoleLog::new() }; MAXIMUM_PROCESSORS],
            power,
            processors,
            secondary_entry: None,
            translation: TranslationRegisters::default(),
            lenient_addresses: false,
            ns_attribute_clear: false,
            any_uuid: false,
            speaker: NORMAL_WORLD_ID,
            signal_interrupts: false,
            preemptions: Preemptions::default(),
            notifications: Notifications::default(),
            secure_interrupts: SecureInterrupts::default(),
        }
    }

    /// Handles one SMC.
    pub fn call(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        let function = call.function();
        if call.world == World::Normal {
            self.secure_interrupts.normal_world_called();
        }
        match function {
            architecture::SMCCC_VERSION => Outcome::Return(Answer::x0(SMCCC_VERSION)),
            architecture::FEATURES => Outcome::Return(Answer::x0(match call.w(1) {
                architecture::SMCCC_VERSION | architecture::FEATURES => 0,
                _ => UNKNOWN,
            })),
            fixture::CONTROL if call.world == World::Normal => {
                self.lenient_addresses = call.x(1) & fixture::LENIENT_ADDRESSES != 0;
                self.ns_attribute_clear = call.x(1) & fixture::NS_ATTRIBUTE_CLEAR != 0;
                self.any_uuid = call.x(1) & fixture::ANY_UUID != 0;
                self.signal_interrupts = call.x(1) & fixture::SIGNAL_INTERRUPTS != 0;
                Outcome::Return(Answer::x0(0))
            }
            fixture::VIOLATIONS if call.world == World::Normal => {
                Outcome::Return(Answer::x0(machine.violations()))
            }
            fixture::COUNTS if call.world == World::Normal => {
                let mapped = self.mapped_entries(machine);
                let (shared, retrieved) = (self.shares.shared() as u64, self.shares.retrieved() as u64);
                Outcome::Return(Answer { count: 3, ..Answer::eight([shared, retrieved, mapped]) })
            }
            fixture::SPEAKER if call.world == World::Normal => {
                let id = u16::try_from(call.x(1)).ok().filter(|id| is_normal_world(*id));
                self.speaker = id.unwrap_or(self.speaker);
                Outcome::Return(Answer::x0(if id.is_some() { 0 } else { u64::MAX }))
            }
            fixture::PREEMPTIONS if call.world == World::Normal => {
                let Preemptions { all, receiving, holding } = self.preemptions;
                Outcome::Return(Answer::eight([all, receiving, holding]))
            }
            fixture::SECURE_INTERRUPTS if call.world == World::Normal => {
                Outcome::Return(Answer::x0(self.secure_interrupts.delivered()))
            }
            fixture::FRAMEWORK if call.world == World::Normal => self.framework_request(call),
            _ if (psci::FIRST..=psci::LAST).contains(&(function & !SMC64)) => self.psci(machine, call),
            _ if (ffa::FIRST..=ffa::LAST).contains(&(function & !SMC64)) => self.ffa(machine, call),
            _ => Outcome::Return(Answer::x0(if function & SMC64 != 0 { u64::MAX } else { UNKNOWN })),
        }
    }

    /// Last lines of a run: what the partition left unprinted, the shares, the verdict.
    pub fn end(&mut self, machine: &mut dyn Machine) {
        for log in &mut self.logs {
            log.flush(machine);
        }
        let (shared, retrieved) = (self.shares.shared(), self.shares.retrieved());
        machine.firmware_line(format_args!("handles shared={shared} retrieved={retrieved}"));
        let violations = machine.violations();
        machine.firmware_line(format_args!("end violations={violations}"));
    }

    fn psci(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        if call.world == World::Secure {
            violate(
                machine,
                "psci-from-partition",
                format_args!("PSCI function {:#x} is not the partition's", call.function()),
            );
            return Outcome::Return(Answer::x0(UNKNOWN));
        }
        match call.function() {
            psci::VERSION => Outcome::Return(Answer::x0(PSCI_VERSION)),
            psci::FEATURES => Outcome::Return(Answer::x0(match call.w(1) {
                psci::VERSION
                | psci::FEATURES
                | psci::CPU_OFF
                | psci::CPU_ON
                | CPU_ON_64
                | psci::AFFINITY_INFO
                | AFFINITY_INFO_64
                | psci::SYSTEM_OFF
                | psci::SYSTEM_RESET
                | architecture::SMCCC_VERSION => 0,
                _ => UNKNOWN,
            })),
            psci::CPU_ON | CPU_ON_64 => self.processor_on(call),
            psci::CPU_OFF => self.processor_off(call),
            psci::AFFINITY_INFO | AFFINITY_INFO_64 => Outcome::Return(Answer::x0(self.affinity_info(call))),
            psci::SYSTEM_OFF => Outcome::PowerOff,
            psci::SYSTEM_RESET => Outcome::Reset,
            function => Outcome::Return(Answer::x0(if function & SMC64 != 0 { u64::MAX } else { UNKNOWN })),
        }
    }

    fn ffa(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Outcome {
        let function = call.function();
        if function == ffa::VERSION {
            return Outcome::Return(self.version(machine, call));
        }
        let endpoint = self.endpoint_mut(call.world);
        endpoint.version_fixed = true;
        if endpoint.version.is_none() {
            const RULE: Refusal =
                Refusal::denied("version-first", "FFA_VERSION must come before any other FF-A call");
            return Outcome::Return(self.refuse(machine, call, RULE));
        }
        // A call that changes the state of the partition's execution context has its own rules; all others answer.
        match (function, call.world) {
            (ffa::MSG_WAIT, World::Secure) => return self.wait(machine, call),
            (ffa::ERROR, World::Secure) => return self.partition_error(machine, call),
            (
                DIRECT_RESP_32 | DIRECT_RESP_64 | ffa::MSG_SEND_DIRECT_RESP2 | DIRECT_RESP2_64,
                World::Secure,
            ) => {
                return self.direct_response(machine, call);
            }
            (DIRECT_REQ_32 | DIRECT_REQ_64 | DIRECT_REQ2_64, World::Normal) => {
                return self.direct_request(machine, call);
            }
            (ffa::YIELD, World::Secure) => return self.give_turn_away(machine, call),
            (ffa::RUN, World::Normal) => return self.run(machine, call),
            _ => {}
        }
        if let Some(result) = self.notification_call(machine, call) {
            return Outcome::Return(result.unwrap_or_else(|refusal| self.refuse(machine, call, refusal)));
        }
        let result = match (function, call.world) {
            (ffa::FEATURES, _) => self.features(call),
            (ffa::ID_GET, world) => Ok(Answer::success(endpoint_id(world).into(), 0)),
            (ffa::SPM_ID_GET, _) => Ok(Answer::success(SPMC_ID.into(), 0)),
            (ffa::RXTX_MAP | RXTX_MAP_64, _) => self.map_buffers(call),
            (ffa::RXTX_UNMAP, _) => self.unmap_buffers(call),
            (ffa::SECONDARY_EP_REGISTER | SECONDARY_EP_REGISTER_64, World::Secure) => {
                self.register_secondary_entry(call)
            }
            (ffa::RX_RELEASE, _) => self.release_receive_buffer(call),
            (ffa::PARTITION_INFO_GET, _) => self.partition_information(machine, call),
            (PARTITION_INFO_GET_REGS_64, _) => self.partition_information_registers(call),
            (ffa::CONSOLE_LOG | CONSOLE_LOG_64, World::Secure) => self.console_log(machine, call),
            (ffa::MEM_SHARE | MEM_SHARE_64, World::Normal) => self.share(machine, call, Kind::Share),
            (ffa::MEM_LEND | MEM_LEND_64, World::Normal) => self.share(machine, call, Kind::Lend),
            (ffa::MEM_FRAG_TX, World::Normal) => self.fragment(machine, call),
            (ffa::MEM_FRAG_RX, World::Secure) => self.next_fragment(machine, call),
            (ffa::MEM_RECLAIM, World::Normal) => self.reclaim(call),
            (ffa::MEM_RETRIEVE_REQ | MEM_RETRIEVE_REQ_64, World::Secure) => self.retrieve(machine, call),
            (ffa::MEM_RELINQUISH, World::Secure) => self.relinquish(machine, call),
            (_, World::Secure) => match never_for_the_partition(function) {
                Some(refusal) => Err(refusal),
                None => {
                    machine.firmware_line(format_args!(
                        "note partition called {function:#x}, not supported here"
                    ));
                    Ok(Answer::error(FfaError::NotSupported))
                }
            },
            (_, World::Normal) => Ok(Answer::error(FfaError::NotSupported)),
        };
        Outcome::Return(result.unwrap_or_else(|refusal| self.refuse(machine, call, refusal)))
    }

    /// FFA_ERROR for the caller; if that is the partition, and no client led it there, a violation as well.
    fn refuse(&mut self, machine: &mut dyn Machine, call: &Call<'_>, refusal: Refusal) -> Answer {
        if call.world == World::Secure {
            if refusal.provoked {
                machine.firmware_line(format_args!("note {}: {}", refusal.rule, refusal.text));
            } else {
                violate(machine, refusal.rule, format_args!("{} ({})", refusal.text, CallText(call)));
            }
        }
        Answer::error(refusal.error)
    }

    fn endpoint(&self, world: World) -> &Endpoint {
        match world {
            World::Normal => &self.normal,
            World::Secure => &self.partition,
        }
    }

    fn endpoint_mut(&mut self, world: World) -> &mut Endpoint {
        match world {
            World::Normal => &mut self.normal,
            World::Secure => &mut self.partition,
        }
    }

    /// FF-A version of an endpoint; calls before FFA_VERSION never get as far as to ask.
    fn version_of(&self, world: World) -> u32 {
        self.endpoint(world).version.unwrap_or(crate::manifest::VERSION)
    }
}

const DIRECT_REQ_32: u32 = ffa::MSG_SEND_DIRECT_REQ;
const DIRECT_REQ_64: u32 = ffa::MSG_SEND_DIRECT_REQ | SMC64;
const DIRECT_RESP_32: u32 = ffa::MSG_SEND_DIRECT_RESP;
const DIRECT_RESP_64: u32 = ffa::MSG_SEND_DIRECT_RESP | SMC64;
const DIRECT_REQ2_64: u32 = ffa::MSG_SEND_DIRECT_REQ2 | SMC64;
const DIRECT_RESP2_64: u32 = ffa::MSG_SEND_DIRECT_RESP2 | SMC64;
const SECONDARY_EP_REGISTER_64: u32 = ffa::SECONDARY_EP_REGISTER | SMC64;
const CPU_ON_64: u32 = psci::CPU_ON | SMC64;
const AFFINITY_INFO_64: u32 = psci::AFFINITY_INFO | SMC64;
const RXTX_MAP_64: u32 = ffa::RXTX_MAP | SMC64;
const CONSOLE_LOG_64: u32 = ffa::CONSOLE_LOG | SMC64;
const PARTITION_INFO_GET_REGS_64: u32 = ffa::PARTITION_INFO_GET_REGS | SMC64;
const MEM_LEND_64: u32 = ffa::MEM_LEND | SMC64;
const MEM_SHARE_64: u32 = ffa::MEM_SHARE | SMC64;
const MEM_RETRIEVE_REQ_64: u32 = ffa::MEM_RETRIEVE_REQ | SMC64;

/// Whether an id is one of the normal world's endpoints: the hypervisor, or a virtual machine that it vouches for.
pub const fn is_normal_world(id: u16) -> bool {
    id & SECURE_ID == 0
}

/// Endpoint id of a world's caller.
const fn endpoint_id(world: World) -> u16 {
    match world {
        World::Normal => NORMAL_WORLD_ID,
        World::Secure => PARTITION_ID,
    }
}

/// Calls that exist in FF-A and that no partition may make of the normal world or for itself; a breach if it does.
fn never_for_the_partition(function: u32) -> Option<Refusal> {
    Some(match function & !SMC64 {
        ffa::MSG_SEND_DIRECT_REQ | ffa::MSG_SEND_DIRECT_REQ2 => Refusal::denied(
            "direct-request-to-normal-world",
            "a partition sends the normal world no direct request",
        ),
        ffa::MEM_SHARE | ffa::MEM_LEND | ffa::MEM_DONATE => Refusal::denied(
            "share-to-normal-world",
            "a partition shares, lends and donates nothing to the normal world",
        ),
        ffa::MEM_RECLAIM => Refusal::denied("reclaim-not-owner", "the partition owns no shared memory"),
        ffa::RUN => Refusal::denied("run-from-partition", "there is no other execution context to run"),
        ffa::SUCCESS | ffa::INTERRUPT | ffa::MEM_RETRIEVE_RESP => Refusal::new(
            FfaError::NotSupported,
            "answer-as-call",
            "an answer's identifier was used as a call",
        ),
        _ => return None,
    })
}

/// A call's registers, as a report shows them.
struct CallText<'c, 'r>(&'c Call<'r>);

impl fmt::Display for CallText<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x0-x7")?;
        for value in &self.0.registers[..8] {
            write!(f, " {value:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
