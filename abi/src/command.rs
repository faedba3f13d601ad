//! The commands of the service and their numbers. Ids 1 to 6 are those of OP-TEE's remoteproc service.
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// A command id, bits 15:0 of the first payload register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u16)]
pub enum Command {
    /// Authenticate and load firmware.
    LoadFirmware = 1,
    /// Start loaded firmware.
    StartFirmware = 2,
    /// Stop the processor; its memory is kept.
    StopFirmware = 3,
    /// Tell where the resource table was loaded.
    GetResourceTable = 4,
    /// Reserved: not specified yet.
    GetCoredump = 5,
    /// Clear the firmware's memory and give the processor back.
    ReleaseFirmware = 6,
    /// Tell the ABI version, the number of processors and the features.
    GetInfo = 0x10,
    /// Tell what a processor is.
    GetProcessor = 0x11,
    /// Tell a processor's state.
    GetStatus = 0x12,
    /// Tell why this client's last refused request was refused.
    GetLastError = 0x13,
    /// Tell what was loaded since boot.
    GetMeasurements = 0x14,
    /// Ask for events as FF-A notifications.
    BindEvents = 0x15,
    /// Reserve a slot for system requests.
    ReserveSystem = 0x16,
    /// Give a slot for system requests back.
    UnreserveSystem = 0x17,
    /// The firmware that runs is to stay: raise the platform's security counter to its own.
    Confirm = 0x18,
}

impl Command {
    /// Returns the command's name, as OP-TEE's headers and the logs spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadFirmware => "LOAD_FW",
            Self::StartFirmware => "START_FW",
            Self::StopFirmware => "STOP_FW",
            Self::GetResourceTable => "GET_RSC_TABLE",
            Self::GetCoredump => "GET_COREDUMP",
            Self::ReleaseFirmware => "RELEASE_FW",
            Self::GetInfo => "GET_INFO",
            Self::GetProcessor => "GET_PROCESSOR",
            Self::GetStatus => "GET_STATUS",
            Self::GetLastError => "GET_LAST_ERROR",
            Self::GetMeasurements => "GET_MEASUREMENTS",
            Self::BindEvents => "BIND_EVENTS",
            Self::ReserveSystem => "RESERVE_SYSTEM",
            Self::UnreserveSystem => "UNRESERVE_SYSTEM",
            Self::Confirm => "CONFIRM",
        }
    }
}
