//! The control page: the order in which its words are read and written.

use crate::layout::{
    CONTROL_LAYOUT_VERSION, CONTROL_MAGIC, CONTROL_PAGE_BYTES, CommandResult, ControlWord, Core, EventKind,
    State,
};
use crate::window::Window;
use std::io;

/// The supervisor's side of the control page.
pub(crate) struct Control {
    window: Window,
    core: Core,
    acknowledged: u32,
    events: u32,
    releases: u32,
}

/// A command that was not acknowledged yet.
pub(crate) struct NewCommand {
    pub(crate) sequence: u32,
    pub(crate) command: u32,
    pub(crate) boot_address: u32,
}

impl Control {
    /// Prepares the page: the core is held, no command, no event. The magic is written last.
    pub(crate) fn prepare(window: Window, core: Core) -> io::Result<Self> {
        window.set_word(ControlWord::Magic.physical_address(core), 0)?;
        window.set_bytes(core.control_page(), &[0; CONTROL_PAGE_BYTES as usize])?;
        let control = Self { window, core, acknowledged: 0, events: 0, releases: 0 };
        control.set(ControlWord::LayoutVersion, CONTROL_LAYOUT_VERSION)?;
        control.set(ControlWord::Magic, CONTROL_MAGIC)?;
        Ok(control)
    }

    /// The command that waits, if one does.
    pub(crate) fn new_command(&self) -> io::Result<Option<NewCommand>> {
        // The sequence first and alone: the partition writes it last, so what is read after it belongs to it.
        let sequence = self.get(ControlWord::CommandSequence)?;
        if sequence == self.acknowledged {
            return Ok(None);
        }
        let command = self.get(ControlWord::Command)?;
        let boot_address = self.get(ControlWord::BootAddress)?;
        Ok(Some(NewCommand { sequence, command, boot_address }))
    }

    /// Answers a command. The sequence is written last.
    pub(crate) fn acknowledge(&mut self, sequence: u32, result: CommandResult) -> io::Result<()> {
        self.set(ControlWord::Result, result as u32)?;
        self.set(ControlWord::AcknowledgedSequence, sequence)?;
        self.acknowledged = sequence;
        Ok(())
    }

    /// Before a release: forgets what the firmware has reported.
    pub(crate) fn clear_firmware_report(&mut self) -> io::Result<()> {
        self.set(ControlWord::FirmwareReport, 0)
    }

    /// What the firmware reports of itself since its release.
    pub(crate) fn firmware_report(&self) -> io::Result<Option<EventKind>> {
        let reported = self.get(ControlWord::FirmwareReport)? == EventKind::HardFault as u32;
        Ok(reported.then_some(EventKind::HardFault))
    }

    /// Tells what the core does.
    pub(crate) fn set_state(&mut self, state: State) -> io::Result<()> {
        self.set(ControlWord::State, state as u32)
    }

    /// Counts a release, and says how many there were.
    pub(crate) fn count_release(&mut self) -> io::Result<u32> {
        self.releases = self.releases.wrapping_add(1);
        self.set(ControlWord::Releases, self.releases)?;
        Ok(self.releases)
    }

    /// Reports an event. The sequence is written last.
    pub(crate) fn report(&mut self, kind: EventKind) -> io::Result<()> {
        self.events = self.events.wrapping_add(1);
        self.set(ControlWord::Event, kind as u32)?;
        self.set(ControlWord::EventSequence, self.events)
    }

    /// Number of releases so far.
    pub(crate) fn releases(&self) -> u32 {
        self.releases
    }

    fn get(&self, word: ControlWord) -> io::Result<u32> {
        self.window.word(word.physical_address(self.core))
    }

    fn set(&self, word: ControlWord, value: u32) -> io::Result<()> {
        self.window.set_word(word.physical_address(self.core), value)
    }
}
