//! Where things are: the cores, the window and the words of the control pages, by physical address.

/// Physical address of the window's first byte.
pub const WINDOW: u64 = 0x8000_0000;
/// Bytes of the window.
pub const WINDOW_BYTES: u64 = 16 << 20;
/// Bytes of a control page.
pub const CONTROL_PAGE_BYTES: u64 = 0x1000;
/// The control page's first word once the supervisor has prepared the page ("CTRL").
pub const CONTROL_MAGIC: u32 = 0x4c52_5443;
/// The control page's layout, as this crate knows it.
pub const CONTROL_LAYOUT_VERSION: u32 = 1;

/// A remote core: an emulated board with the window in its memory, and a control page of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// QEMU's `mps2-an505`. A boot ROM enters the firmware.
    CortexM33,
    /// QEMU's `mps2-an386`. Its reset logic takes the vector table's address itself.
    CortexM4,
}

impl Core {
    /// Physical address of the core's control page.
    pub const fn control_page(self) -> u64 {
        match self {
            Self::CortexM33 => 0x80ff_0000,
            Self::CortexM4 => 0x80fe_0000,
        }
    }

    /// Device address of the window's first byte, as the core sees it.
    pub const fn window(self) -> u32 {
        match self {
            Self::CortexM33 => 0x8000_0000,
            Self::CortexM4 => 0x2100_0000,
        }
    }

    /// The emulated board.
    pub(crate) const fn board(self) -> &'static str {
        match self {
            Self::CortexM33 => "mps2-an505",
            Self::CortexM4 => "mps2-an386",
        }
    }
}

/// A 32-bit little-endian word of the control page; the value is its offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum ControlWord {
    /// [`CONTROL_MAGIC`]. Written last when the page is prepared.
    Magic = 0x00,
    /// [`CONTROL_LAYOUT_VERSION`].
    LayoutVersion = 0x04,
    /// Written last by the partition: a command is new while this differs from `AcknowledgedSequence`.
    CommandSequence = 0x08,
    /// A [`Command`].
    Command = 0x0c,
    /// Device address of the vector table. The M33's boot ROM reads it.
    BootAddress = 0x10,
    /// Sequence of the last finished command. Written last by the supervisor.
    AcknowledgedSequence = 0x14,
    /// A [`State`].
    State = 0x18,
    /// How the last command ended: zero, or why it failed.
    Result = 0x1c,
    /// Number of events so far. Written last.
    EventSequence = 0x20,
    /// The last event: an [`EventKind`].
    Event = 0x24,
    /// Number of releases so far.
    Releases = 0x28,
    /// Written by the core's firmware: [`EventKind::HardFault`] when it has met a fault and gives up. The supervisor clears it
    /// before each release; other values mean nothing.
    FirmwareReport = 0x2c,
    /// Written by the partition: what asks the firmware to stop by itself. The supervisor has no part in it.
    StopRequest = 0x30,
    /// Written by the core's firmware: `StopRequest`, repeated, when it is ready to be held.
    StopAnswer = 0x34,
}

impl ControlWord {
    /// The word's physical address in a core's control page.
    pub const fn physical_address(self, core: Core) -> u64 {
        core.control_page() + self as u64
    }
}

/// What the partition asks of the reset line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    /// Let the core run from the boot address.
    Release = 1,
    /// Hold the core in reset.
    Hold = 2,
}

/// What the core does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// In reset: there is no process.
    Held = 0,
    /// Running.
    Running = 1,
    /// It ended by itself; the last event says how. There is no process.
    Crashed = 2,
}

/// Why the core stopped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// The firmware asked for a reset.
    GuestReset = 1,
    /// The watchdog of the core's own system expired.
    Watchdog = 2,
    /// A fault that the firmware has met and reported: see [`ControlWord::FirmwareReport`].
    HardFault = 3,
    /// The core locked up: a fault while it could not take one.
    Lockup = 4,
    /// The emulator ended for another reason.
    EmulatorEnded = 5,
}

/// Values of [`ControlWord::Result`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum CommandResult {
    Done = 0,
    UnknownCommand = 1,
    EmulatorNotStarted = 2,
    AlreadyRunning = 3,
    BadBootAddress = 4,
}
