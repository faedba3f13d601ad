//! The partition's side of the control page, and a look at the processes, for the tests of this crate.

use remote_core_supervisor::{
    Command, Config, ControlWord, Core, Report, State, Supervisor, create_window, read_window, write_window,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);
/// [`ControlWord::Result`] of a command that was carried out.
pub const DONE: u32 = 0;

/// A window with a supervisor, used as the partition uses it.
pub struct Bench {
    core: Core,
    pub directory: TempDir,
    pub window: PathBuf,
    /// None once it has ended.
    pub supervisor: Option<Supervisor>,
    sequence: u32,
}

impl Bench {
    /// A window filled with 0xA5 and a supervisor on it; `adjust` may change the configuration.
    pub fn new(qemu: &Path, boot_rom: &Path, adjust: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The comma is there because the emulator's options are separated by commas.
        let window = directory.path().join("window,1");
        create_window(&window, 0xa5).unwrap();
        let mut config = Config::new(&window, boot_rom, directory.path().join("log"));
        config.qemu = qemu.into();
        adjust(&mut config);
        Self::start(directory, config)
    }

    /// A Cortex-M4 with a supervisor of its own on the same window.
    #[allow(dead_code, reason = "only one of the test programs has a second core")]
    pub fn cortex_m4(&self, qemu: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::cortex_m4(&self.window, directory.path().join("log"));
        config.qemu = qemu.into();
        Self::start(directory, config)
    }

    fn start(directory: TempDir, config: Config) -> Self {
        let (core, window) = (config.core, config.window.clone());
        let supervisor = Some(Supervisor::start(config).unwrap());
        Self { core, directory, window, supervisor, sequence: 0 }
    }

    pub fn word(&self, physical: u64) -> u32 {
        u32::from_le_bytes(read_window(&self.window, physical, 4).unwrap().try_into().unwrap())
    }

    pub fn set_word(&self, physical: u64, value: u32) {
        write_window(&self.window, physical, &value.to_le_bytes()).unwrap();
    }

    pub fn control(&self, word: ControlWord) -> u32 {
        self.word(word.physical_address(self.core))
    }

    /// Gives a command without waiting for its end.
    pub fn send(&mut self, command: u32, boot_address: u32) {
        self.sequence += 1;
        self.set_word(ControlWord::BootAddress.physical_address(self.core), boot_address);
        self.set_word(ControlWord::Command.physical_address(self.core), command);
        self.set_word(ControlWord::CommandSequence.physical_address(self.core), self.sequence);
    }

    pub fn acknowledged(&self) -> bool {
        self.control(ControlWord::AcknowledgedSequence) == self.sequence
    }

    /// Waits for the end of the last command; returns its result.
    pub fn result(&self) -> u32 {
        assert!(wait_until(|| self.acknowledged()), "no acknowledge\n{}", self.log());
        self.control(ControlWord::Result)
    }

    pub fn release(&mut self, boot_address: u32) -> u32 {
        self.send(Command::Release as u32, boot_address);
        self.result()
    }

    pub fn hold(&mut self) -> u32 {
        self.send(Command::Hold as u32, 0);
        self.result()
    }

    pub fn state(&self) -> u32 {
        self.control(ControlWord::State)
    }

    /// Waits until `events` events have been reported.
    pub fn wait_for_events(&self, events: u32) {
        let seen = wait_until(|| self.control(ControlWord::EventSequence) >= events);
        assert!(seen, "no event\n{}", self.log());
    }

    /// After a crash: the state, the last event, and no process.
    pub fn assert_crashed(&self, event: u32) {
        assert!(wait_until(|| self.state() == State::Crashed as u32), "{}", self.log());
        assert_eq!(self.control(ControlWord::Event), event, "{}", self.log());
        assert_eq!(processes(&self.window), [0_u32; 0], "{}", self.log());
    }

    pub fn finish(&mut self) -> Report {
        self.supervisor.take().unwrap().finish()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// Looks every half millisecond whether something has become true.
pub fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    true
}

/// Ids of the processes, other than this one, that have the window's path on their command line.
pub fn processes(window: &Path) -> Vec<u32> {
    let wanted = window.parent().unwrap().as_os_str().as_encoded_bytes();
    let ids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|&id: &u32| id != std::process::id())
        .filter(|id| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.windows(wanted.len()).any(|part| part == wanted)
        })
        .collect()
}
