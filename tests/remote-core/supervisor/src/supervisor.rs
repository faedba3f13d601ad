//! What users of this crate hold: the supervisor, its configuration and its report.

use crate::control::Control;
use crate::doorbell::Doorbell;
use crate::layout::{Core, EventKind};
use crate::line::ResetLine;
use crate::log::Log;
use crate::window::Window;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the supervisor works with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The core.
    pub core: Core,
    /// The window's file: see [`create_window`](crate::create_window).
    pub window: PathBuf,
    /// The Cortex-M33's secure boot ROM: its ELF file, or its raw image. The Cortex-M4 has none.
    pub boot_rom: Option<PathBuf>,
    /// `qemu-system-arm`: a path, or a name that the shell would find.
    pub qemu: PathBuf,
    /// The log to write. An older one is replaced.
    pub log: PathBuf,
    /// How long the emulator may take to start.
    pub start_limit: Duration,
    /// What is rung after each event, so that the partition looks at the control page. None: it has to look by itself.
    pub doorbell: Option<Doorbell>,
}

impl Config {
    /// The usual configuration of a Cortex-M33: `qemu-system-arm` from the search path, 20 s for its start, and no doorbell.
    pub fn new(window: impl Into<PathBuf>, boot_rom: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        let boot_rom = Some(boot_rom.into());
        Self { core: Core::CortexM33, boot_rom, ..Self::cortex_m4(window, log) }
    }

    /// The same of a Cortex-M4.
    pub fn cortex_m4(window: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            core: Core::CortexM4,
            window: window.into(),
            boot_rom: None,
            qemu: "qemu-system-arm".into(),
            log: log.into(),
            start_limit: Duration::from_secs(20),
            doorbell: None,
        }
    }
}

/// Something that the core did by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it did.
    pub kind: EventKind,
    /// In which release, from 1.
    pub release: u32,
    /// When, since the supervisor's start.
    pub time: Duration,
    /// How its process ended, for people.
    pub detail: String,
}

/// What happened between start and finish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How often the core was released from reset.
    pub releases: u32,
    /// What the core did by itself, in order.
    pub events: Vec<Event>,
    /// Commands that could not be carried out, and why.
    pub failures: Vec<String>,
}

/// The owner of the core's process. Dropping it ends the process.
#[derive(Debug)]
pub struct Supervisor {
    finish: Arc<AtomicBool>,
    thread: Option<JoinHandle<Report>>,
}

impl Supervisor {
    /// Prepares the control page, with the core held in reset, and begins to watch it.
    ///
    /// Fails if the window's file does not exist or has the wrong size, if there is no boot ROM, or if the log can't
    /// be written. A missing emulator shows as a failed release.
    pub fn start(config: Config) -> io::Result<Self> {
        let missing = |error: io::Error, path: &PathBuf| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        let log = Log::create(&config.log).map_err(|error| missing(error, &config.log))?;
        if let Some(boot_rom) = &config.boot_rom {
            std::fs::File::open(boot_rom).map_err(|error| missing(error, boot_rom))?;
        }
        let window = Window::open(&config.window).map_err(|error| missing(error, &config.window))?;
        let control = Control::prepare(window, config.core)?;
        let finish = Arc::new(AtomicBool::new(false));
        let line = ResetLine::new(config, log, control);
        let told = Arc::clone(&finish);
        // The emulator dies with the thread that starts it, so one thread lives as long as the supervisor.
        let thread = thread::Builder::new().name("remote-core".into()).spawn(move || line.run(&told))?;
        Ok(Self { finish, thread: Some(thread) })
    }

    /// Ends the core's process if it runs, and tells what happened.
    pub fn finish(mut self) -> Report {
        self.end()
    }

    fn end(&mut self) -> Report {
        self.finish.store(true, Ordering::Release);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(report)) => report,
            Some(Err(_)) => {
                Report { failures: vec!["the supervisor's thread panicked".into()], ..Report::default() }
            }
            None => Report::default(),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}
