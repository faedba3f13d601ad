//! The values of GET_INFO, GET_PROCESSOR and GET_STATUS (`docs/abi.md`): every field's register, width and number.
use crate::door_d::Answer;
use crate::result::TeeResult;
use bitflags::bitflags;
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// Version of the ABI: bits 31:16 major, 15:0 minor.
pub const VERSION: u32 = 0x0001_0000;

bitflags! {
    /// What the service can do, or lacks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// At least one processor's private memory is not closed to the normal world by hardware.
        const NO_ISOLATION = 1 << 0;
        /// LOAD_FW works in slices, with several handles.
        const SLICES = 1 << 1;
        /// Some endpoints may load in one call.
        const ONE_CALL = 1 << 2;
        /// BIND_EVENTS works: the SPMC delivers notifications.
        const EVENTS = 1 << 3;
    }

    /// What a processor can do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Capabilities: u64 {
        /// Hardware closes its private memory to the normal world.
        const ISOLATION = 1 << 0;
        /// It boots secure if an image asks for it.
        const SECURE_BOOT = 1 << 1;
        /// It has a boot address for images that name none.
        const DEFAULT_BOOT_ADDRESS = 1 << 2;
        /// Its firmware can be asked to stop by itself.
        const GRACEFUL_STOP = 1 << 3;
        /// Its security counter rises by CONFIRM, not by START_FW.
        const COUNTER_ON_CONFIRM = 1 << 4;
    }
}

/// A processor's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive, IntoPrimitive)]
#[repr(u8)]
pub enum ProcessorState {
    /// No firmware, no owner.
    Offline = 0,
    /// Claimed by an authenticated load.
    Loading = 1,
    /// Loaded, held in reset.
    Loaded = 2,
    /// Released from reset.
    Running = 3,
    /// Released from reset, and does not run any more.
    Crashed = 4,
    /// Held in reset, owned, memory kept.
    Stopped = 5,
}

/// What the service is doing to a processor, on the way to another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive, IntoPrimitive)]
#[repr(u8)]
pub enum Operation {
    /// Holding it in reset before a load.
    HoldForLoad = 1,
    /// Releasing it from reset.
    Start = 2,
    /// Holding it in reset.
    Stop = 3,
    /// Holding it in reset before its memory is cleared.
    HoldForRelease = 4,
    /// Clearing its memory.
    Wipe = 5,
    /// Waiting for its firmware, which was asked to stop by itself.
    GracefulStop = 6,
}

/// Why a processor does not run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum Fault {
    /// It has no fault.
    None = 0,
    /// It stopped by itself, and the hardware does not tell why.
    Unknown = 1,
    /// Its firmware asked for a reset.
    Reset = 2,
    /// Its watchdog expired.
    Watchdog = 3,
    /// Its firmware reported a fault that it could not handle.
    HardFault = 4,
    /// It locked up: a fault while it could not take one.
    Lockup = 5,
    /// What runs it has ended: in emulation, the emulator.
    Gone = 6,
}

/// The door that an owner uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive, IntoPrimitive)]
#[repr(u8)]
pub enum OwnerDoor {
    /// Direct messages.
    Direct = 0,
    /// TS-RPC.
    TsRpc = 1,
}

/// The client that a processor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// FF-A endpoint id.
    pub endpoint: u16,
    /// Its door.
    pub door: OwnerDoor,
}

/// Bit of the owner value: there is an owner.
const OWNED: u64 = 1 << 32;
/// Bit of the same value: the processor's memory may be read for a dump.
const READABLE: u64 = 1 << 33;

/// What GET_INFO tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Bits 31:16 major, 15:0 minor.
    pub version: u32,
    /// Number of processors.
    pub processors: u32,
    /// Features.
    pub features: Features,
    /// Loads that can be under way at once, of all clients together.
    pub load_slots: u16,
    /// Loads that are under way.
    pub loads_under_way: u16,
    /// Memory handles that the partition holds.
    pub handles_held: u16,
}

impl Info {
    /// Makes the answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let counts = u64::from(self.load_slots)
            | u64::from(self.loads_under_way) << 16
            | u64::from(self.handles_held) << 32;
        Answer::with(
            TeeResult::Success,
            [self.version.into(), self.processors.into(), self.features.bits(), counts],
        )
    }

    /// Reads the values of an answer. Features that this version does not know are dropped; `None`: a field is out of its width.
    #[must_use]
    pub fn of(answer: &Answer) -> Option<Self> {
        let [version, processors, features, counts] = answer.values;
        Some(Self {
            version: u32::try_from(version).ok()?,
            processors: u32::try_from(processors).ok()?,
            features: Features::from_bits_truncate(features),
            load_slots: (counts & 0xFFFF) as u16,
            loads_under_way: (counts >> 16 & 0xFFFF) as u16,
            handles_held: (counts >> 32 & 0xFFFF) as u16,
        })
    }
}

/// What GET_PROCESSOR tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorInfo {
    /// The id that the other commands take.
    pub id: u32,
    /// Its state.
    pub state: ProcessorState,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Number of memory regions.
    pub regions: u32,
}

impl ProcessorInfo {
    /// Makes the answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let state = u8::from(self.state).into();
        Answer::with(
            TeeResult::Success,
            [self.id.into(), state, self.capabilities.bits(), self.regions.into()],
        )
    }

    /// Reads the values of an answer; `None`: a value is out of its width, or unknown to this version.
    #[must_use]
    pub fn of(answer: &Answer) -> Option<Self> {
        let [id, state, capabilities, regions] = answer.values;
        Some(Self {
            id: u32::try_from(id).ok()?,
            state: u8::try_from(state).ok()?.try_into().ok()?,
            capabilities: Capabilities::from_bits_truncate(capabilities),
            regions: u32::try_from(regions).ok()?,
        })
    }
}

/// What GET_STATUS tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: ProcessorState,
    /// What is being done to it.
    pub operation: Option<Operation>,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// Why it does not run any more.
    pub fault: Fault,
    /// The security counter; 0 where there is none.
    pub security_counter: u64,
    /// It is stopped, and all of its memory may be read for a dump.
    pub readable: bool,
}

impl Status {
    /// Makes the answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let state = u64::from(u8::from(self.state)) | u64::from(self.operation.map_or(0, u8::from)) << 8;
        let owner = self.owner.map_or(0, |Owner { endpoint, door }| {
            OWNED | u64::from(u8::from(door)) << 16 | u64::from(endpoint)
        });
        let owner = owner | if self.readable { READABLE } else { 0 };
        let fault = u32::from(self.fault).into();
        Answer::with(TeeResult::Success, [state, owner, fault, self.security_counter])
    }

    /// Reads the values of an answer; `None`: a value is out of its width, or unknown to this version.
    #[must_use]
    pub fn of(answer: &Answer) -> Option<Self> {
        let [states, owner, fault, security_counter] = answer.values;
        let [state, operation] = u16::try_from(states).ok()?.to_le_bytes();
        let operation = if operation == 0 { None } else { Some(operation.try_into().ok()?) };
        let readable = owner & READABLE != 0;
        let owner = if owner & OWNED == 0 {
            None
        } else {
            let door = ((owner >> 16 & 0xFF) as u8).try_into().ok()?;
            Some(Owner { endpoint: (owner & 0xFFFF) as u16, door })
        };
        let fault = u32::try_from(fault).ok()?.try_into().ok()?;
        Some(Self { state: state.try_into().ok()?, operation, owner, fault, security_counter, readable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Golden values, as docs/abi.md fixes them.
    #[test]
    fn golden() {
        let info = Info {
            version: VERSION,
            processors: 2,
            features: Features::NO_ISOLATION | Features::SLICES | Features::ONE_CALL,
            load_slots: 3,
            loads_under_way: 1,
            handles_held: 1,
        };
        assert_eq!(info.answer().encode(), [0, 0x1_0000, 2, 7, 0x0001_0001_0003]);
        assert_eq!(Info::of(&info.answer()), Some(info));

        let processor = ProcessorInfo {
            id: 9,
            state: ProcessorState::Loaded,
            capabilities: Capabilities::SECURE_BOOT | Capabilities::DEFAULT_BOOT_ADDRESS,
            regions: 5,
        };
        assert_eq!(processor.answer().encode(), [0, 9, 2, 6, 5]);
        assert_eq!(ProcessorInfo::of(&processor.answer()), Some(processor));
        let polite = ProcessorInfo { capabilities: Capabilities::GRACEFUL_STOP, ..processor };
        assert_eq!(polite.answer().encode(), [0, 9, 2, 8, 5]);

        let status = Status {
            state: ProcessorState::Crashed,
            operation: Some(Operation::Stop),
            owner: Some(Owner { endpoint: 3, door: OwnerDoor::TsRpc }),
            fault: Fault::Unknown,
            security_counter: 0,
            readable: false,
        };
        assert_eq!(status.answer().encode(), [0, 0x0304, 0x1_0001_0003, 1, 0]);
        assert_eq!(Status::of(&status.answer()), Some(status));
        let asked = Status {
            state: ProcessorState::Running,
            operation: Some(Operation::GracefulStop),
            fault: Fault::None,
            ..status
        };
        assert_eq!(asked.answer().encode(), [0, 0x0603, 0x1_0001_0003, 0, 0]);
        assert_eq!(Status::of(&asked.answer()), Some(asked));
        let dump = Status {
            state: ProcessorState::Stopped,
            operation: None,
            fault: Fault::None,
            readable: true,
            ..status
        };
        assert_eq!(dump.answer().encode(), [0, 5, 0x3_0001_0003, 0, 0]);
        assert_eq!(Status::of(&dump.answer()), Some(dump));
        let faults = [Fault::Reset, Fault::Watchdog, Fault::HardFault, Fault::Lockup, Fault::Gone];
        for (number, fault) in (2..).zip(faults) {
            let status = Status { fault, ..status };
            assert_eq!(status.answer().encode()[3], number, "{fault:?}");
            assert_eq!(Status::of(&status.answer()), Some(status));
        }
        let free = Status {
            state: ProcessorState::Offline,
            operation: None,
            owner: None,
            fault: Fault::None,
            security_counter: 0,
            readable: false,
        };
        assert_eq!(free.answer().encode(), [0; 5]);
        assert_eq!(Status::of(&free.answer()), Some(free));
    }

    proptest! {
        #[test]
        fn any_values_are_read_without_panic(values: [u64; 4]) {
            let answer = Answer { result: 0, values };
            if let Some(status) = Status::of(&answer) {
                prop_assert_eq!(Status::of(&status.answer()), Some(status));
            }
            let _ = (Info::of(&answer), ProcessorInfo::of(&answer));
        }
    }
}
