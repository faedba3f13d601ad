//! Owns an emulated remote core, a Cortex-M33 or a Cortex-M4: its process, its reset line and its events.
//!
//! A remote core and the machine that runs the partition are emulator processes that share one file, the window. Several
//! cores share the same window; each has a control page and a supervisor of its own. The partition moves the reset line by words of the control page, which lies in the window; a thread of this
//! crate reads them there, and starts or ends the core's process. `tests/remote-core/README.md` has the control page.
//!
//! Everything is done with plain reads and writes of the file, so nothing here is unsafe.

#![forbid(unsafe_code)]

mod control;
mod doorbell;
mod emulator;
mod layout;
mod line;
mod log;
mod qmp;
mod supervisor;
mod window;

pub use doorbell::Doorbell;
pub use layout::{
    CONTROL_LAYOUT_VERSION, CONTROL_MAGIC, CONTROL_PAGE_BYTES, Command, ControlWord, Core, EventKind, State,
    WINDOW, WINDOW_BYTES,
};
pub use supervisor::{Config, Event, Report, Supervisor};
pub use window::{create_window, read_window, write_window};
