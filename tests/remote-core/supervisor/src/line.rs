//! The reset line: carries out the control page's commands and reports what the core does by itself.

use crate::control::{Control, NewCommand};
use crate::emulator::{Emulator, Ending, Waited, crash_in};
use crate::layout::{Command, CommandResult, Core, EventKind, State};
use crate::log::Log;
use crate::supervisor::{Config, Event, Report};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often the control page is looked at.
const POLL: Duration = Duration::from_millis(1);
/// A core takes a vector table's address without its low bits, so another address would silently start from another table.
const VECTOR_TABLE_ALIGNMENT: u32 = 128;

/// The thread's work, from the prepared control page until it is told to finish.
pub(crate) struct ResetLine {
    config: Config,
    log: Log,
    control: Control,
    emulator: Option<Emulator>,
    report: Report,
}

impl ResetLine {
    pub(crate) fn new(config: Config, log: Log, control: Control) -> Self {
        Self { config, log, control, emulator: None, report: Report::default() }
    }

    /// Works until `finish` is set, then ends what runs.
    pub(crate) fn run(mut self, finish: &AtomicBool) -> Report {
        if let Err(error) = self.serve(finish) {
            self.log.line(format_args!("control page: {error}"));
            self.report.failures.push(format!("control page: {error}"));
        }
        self.report.releases = self.control.releases();
        self.report
    }

    fn serve(&mut self, finish: &AtomicBool) -> io::Result<()> {
        while !finish.load(Ordering::Acquire) {
            self.watch()?;
            if let Some(command) = self.control.new_command()? {
                self.obey(&command)?;
            }
        }
        self.log.line("finish");
        self.hold()
    }

    /// Waits a moment for what the core does by itself.
    fn watch(&mut self) -> io::Result<()> {
        let Some(emulator) = &mut self.emulator else {
            thread::sleep(POLL);
            return Ok(());
        };
        match emulator.wait(POLL) {
            Waited::Nothing => match self.control.firmware_report()? {
                Some(kind) => self.crashed(Some(kind)),
                None => Ok(()),
            },
            Waited::Message(message) => match crash_in(&message) {
                Some(kind) => self.crashed(Some(kind)),
                None => Ok(()),
            },
            Waited::Closed => {
                emulator.await_exit();
                self.crashed(None)
            }
        }
    }

    /// Ends the process of a core that can't go on, and reports why.
    fn crashed(&mut self, kind: Option<EventKind>) -> io::Result<()> {
        let Some(ending) = self.emulator.take().map(Emulator::end) else {
            return Ok(());
        };
        // What the firmware has reported came before anything that its emulator had to say.
        let reported = self.control.firmware_report()?;
        let kind = reported.or(kind).or_else(|| ending.crash()).unwrap_or(EventKind::EmulatorEnded);
        self.happened(kind, &ending)?;
        // Last: whoever sees this state finds the event.
        self.control.set_state(State::Crashed)?;
        self.ring();
        Ok(())
    }

    /// Tells the partition to look.
    fn ring(&self) {
        if let Some(doorbell) = &self.config.doorbell
            && let Err(error) = doorbell.ring()
        {
            self.log.line(format_args!("the doorbell does not ring: {error}"));
        }
    }

    fn happened(&mut self, kind: EventKind, ending: &Ending) -> io::Result<()> {
        let (release, time) = (self.control.releases(), self.log.elapsed());
        let event = Event { kind, release, time, detail: ending.text() };
        self.log.line(format_args!("event: {kind:?} in release {release} ({})", event.detail));
        self.report.events.push(event);
        self.control.report(kind)
    }

    fn obey(&mut self, command: &NewCommand) -> io::Result<()> {
        let result = if command.command == Command::Release as u32 {
            self.release(command.boot_address)?
        } else if command.command == Command::Hold as u32 {
            self.hold()?;
            CommandResult::Done
        } else {
            let text = format!("command {:#x} is unknown", command.command);
            self.failed(text, CommandResult::UnknownCommand)
        };
        self.control.acknowledge(command.sequence, result)?;
        self.log
            .line(format_args!("command {} with sequence {}: {result:?}", command.command, command.sequence));
        Ok(())
    }

    fn release(&mut self, boot_address: u32) -> io::Result<CommandResult> {
        if self.emulator.is_some() {
            return Ok(self.failed("release: the core runs already".into(), CommandResult::AlreadyRunning));
        }
        self.control.clear_firmware_report()?;
        if !boot_address.is_multiple_of(VECTOR_TABLE_ALIGNMENT) && self.config.core == Core::CortexM4 {
            // The M33's boot ROM refuses it by itself.
            let text = format!("release: no vector table can lie at {boot_address:#010x}");
            return Ok(self.failed(text, CommandResult::BadBootAddress));
        }
        match Emulator::start(&self.config, &self.log, boot_address) {
            Ok(emulator) => {
                self.emulator = Some(emulator);
                let release = self.control.count_release()?;
                self.control.set_state(State::Running)?;
                self.log.line(format_args!("release {release} from {boot_address:#010x}"));
                Ok(CommandResult::Done)
            }
            Err(reason) => Ok(self.failed(format!("release: {reason}"), CommandResult::EmulatorNotStarted)),
        }
    }

    /// Ends the process if there is one. What the core did before that is not lost.
    fn hold(&mut self) -> io::Result<()> {
        let ending = self.emulator.take().map(Emulator::end);
        self.control.set_state(State::Held)?;
        if let Some(ending) = ending
            && let Some(kind) = self.control.firmware_report()?.or_else(|| ending.crash())
        {
            self.happened(kind, &ending)?;
        }
        Ok(())
    }

    fn failed(&mut self, text: String, result: CommandResult) -> CommandResult {
        self.log.line(&text);
        self.report.failures.push(text);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Window, create_window};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// The script ends its work before the hold, and nobody looks between: only the hold can find the event.
    fn event_found_by_hold(last_act: &str) -> Vec<EventKind> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let script = format!(
            "#!/bin/sh\necho '{{\"QMP\": {{}}}}'\nread line; echo '{{\"return\": {{}}}}'\n\
             read line; echo '{{\"event\": \"RESUME\"}}'\n{last_act}\n"
        );
        fs::write(path("emulator"), script).unwrap();
        fs::set_permissions(path("emulator"), Permissions::from_mode(0o755)).unwrap();
        create_window(&path("window"), 0).unwrap();
        let mut config = Config::new(path("window"), path("rom"), path("log"));
        config.qemu = path("emulator");
        let log = Log::create(&config.log).unwrap();
        let core = config.core;
        let control = Control::prepare(Window::open(&config.window).unwrap(), core).unwrap();
        let mut line = ResetLine::new(config, log, control);
        assert_eq!(line.release(0).unwrap(), CommandResult::Done);
        if let Some(emulator) = &mut line.emulator {
            emulator.await_exit();
        }
        line.hold().unwrap();
        let window = Window::open(&path("window")).unwrap();
        let word = |word: crate::ControlWord| window.word(word.physical_address(core)).unwrap();
        assert_eq!(word(crate::ControlWord::State), State::Held as u32);
        assert_eq!(word(crate::ControlWord::EventSequence) as usize, line.report.events.len());
        line.report.events.iter().map(|event| event.kind).collect()
    }

    #[test]
    fn a_hold_finds_what_happened_before_it() {
        let reset = r#"echo '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}'"#;
        assert_eq!(event_found_by_hold(reset), [EventKind::GuestReset]);
        assert_eq!(event_found_by_hold("echo 'qemu: fatal: Lockup' >&2; exit 134"), [EventKind::Lockup]);
        assert_eq!(event_found_by_hold("exit 1"), [EventKind::EmulatorEnded]);
    }
}
