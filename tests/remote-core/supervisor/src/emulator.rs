//! One process of the emulator: from its start to its end. A process runs one release of the core and is never reused,
//! because an emulator keeps translated code of memory that another process has since written.

use crate::layout::{Core, EventKind};
use crate::log::Log;
use crate::qmp::{self, Message};
use crate::supervisor::Config;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most bytes of what the emulator says that are kept for telling why it ended.
const KEPT_OUTPUT: usize = 64 << 10;
/// How long a process may take from closing its control channel to its end before it is killed.
const ENDING: Duration = Duration::from_secs(2);

/// A process of the emulator. Dropping it ends the process.
pub(crate) struct Emulator {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Message>,
    /// A message that was read too early.
    pending: Option<Message>,
    output: Output,
}

/// What came of waiting for a message.
pub(crate) enum Waited {
    /// This message.
    Message(Message),
    /// None within the time.
    Nothing,
    /// The emulator closed the channel: it has ended or is about to.
    Closed,
}

impl Emulator {
    /// Starts a process and returns when its processor runs (or has already crashed: see [`Emulator::wait`]).
    pub(crate) fn start(config: &Config, log: &Log, boot_address: u32) -> Result<Self, String> {
        let mut command = command_line(config, boot_address);
        log.line(format_args!("start: {command:?}"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let (Some(commands), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("the emulator has no standard streams".into());
        };
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(qmp::parse(&line)).is_err() {
                    break;
                }
            }
        });
        let output_log = log.clone();
        let output = Output::new(move |kept| copy_output(stderr, &output_log, kept));
        let mut emulator = Self { child, commands, messages, pending: None, output };
        match emulator.handshake(config.start_limit) {
            Ok(()) => Ok(emulator),
            Err(reason) => {
                let ending = emulator.end();
                Err(format!("{reason}; {ending}", ending = ending.text()))
            }
        }
    }

    /// The greeting, capabilities, `cont`, and the event that says that the processor runs.
    fn handshake(&mut self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        self.expect(&Message::Greeting, deadline)?;
        self.send("qmp_capabilities")?;
        self.expect(&Message::Return, deadline)?;
        self.send("cont")?;
        loop {
            match self.wait(deadline.saturating_duration_since(Instant::now())) {
                Waited::Message(Message::Resume) => return Ok(()),
                // It ran, and crashed before it could tell that it runs.
                Waited::Message(message @ (Message::GuestReset | Message::Watchdog)) => {
                    self.pending = Some(message);
                    return Ok(());
                }
                Waited::Message(Message::Error(text)) => {
                    return Err(format!("the emulator refused to run: {text}"));
                }
                Waited::Message(_) => {}
                Waited::Nothing => return Err("the emulator does not run in time".into()),
                // A firmware that locks up at its first instruction can be faster than the emulator's own news.
                Waited::Closed => {
                    self.await_exit();
                    return if locked_up(&self.output.all()) {
                        Ok(())
                    } else {
                        Err("the emulator ended at its start".into())
                    };
                }
            }
        }
    }

    fn expect(&mut self, wanted: &Message, deadline: Instant) -> Result<(), String> {
        match self.wait(deadline.saturating_duration_since(Instant::now())) {
            Waited::Message(message) if message == *wanted => Ok(()),
            Waited::Message(message) => Err(format!("the emulator said {message:?} instead of {wanted:?}")),
            Waited::Nothing => Err(format!("no {wanted:?} from the emulator in time")),
            Waited::Closed => Err(format!("the emulator ended before its {wanted:?}")),
        }
    }

    fn send(&mut self, name: &str) -> Result<(), String> {
        self.commands.write_all(qmp::command(name).as_bytes()).map_err(|error| format!("{name}: {error}"))
    }

    /// Waits for the next message.
    pub(crate) fn wait(&mut self, limit: Duration) -> Waited {
        if let Some(message) = self.pending.take() {
            return Waited::Message(message);
        }
        match self.messages.recv_timeout(limit) {
            Ok(message) => Waited::Message(message),
            Err(RecvTimeoutError::Timeout) => Waited::Nothing,
            Err(RecvTimeoutError::Disconnected) => Waited::Closed,
        }
    }

    /// Gives a process that closed its channel time to end, so that its own exit status is seen.
    pub(crate) fn await_exit(&mut self) {
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the process, and returns when it is gone.
    pub(crate) fn end(mut self) -> Ending {
        let status = kill(&mut self.child);
        let output = self.output.all();
        // The process is gone, so the channel closes after what is left in it.
        let early = self.pending.take();
        let messages = early.into_iter().chain(self.messages.iter()).collect();
        Ending { status, output, messages }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = kill(&mut self.child);
    }
}

/// Kills and waits. A process that has already ended keeps its own status.
fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    child.kill()?;
    child.wait()
}

/// How a process ended.
pub(crate) struct Ending {
    status: io::Result<ExitStatus>,
    output: String,
    messages: Vec<Message>,
}

impl Ending {
    /// What made the process end by itself, if it was not the kill.
    pub(crate) fn crash(&self) -> Option<EventKind> {
        if locked_up(&self.output) {
            return Some(EventKind::Lockup);
        }
        if let Some(kind) = self.messages.iter().find_map(crash_in) {
            return Some(kind);
        }
        let killed = self.status.as_ref().is_ok_and(|status| status.signal() == Some(KILL));
        (!killed).then_some(EventKind::EmulatorEnded)
    }

    /// Exit status and the line in which the emulator said why, if it did.
    pub(crate) fn text(&self) -> String {
        let status = match &self.status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let reason = self.output.lines().find(|line| !line.trim().is_empty() && !line.contains("warning:"));
        match reason {
            Some(line) => format!("{status}: {line}"),
            None => status,
        }
    }
}

/// SIGKILL.
const KILL: i32 = 9;

/// The event that a message stands for, if the core can't go on after it.
pub(crate) fn crash_in(message: &Message) -> Option<EventKind> {
    match message {
        Message::GuestReset => Some(EventKind::GuestReset),
        Message::Watchdog => Some(EventKind::Watchdog),
        _ => None,
    }
}

/// Whether the emulator gave up because the core locked up. It then says so and aborts.
fn locked_up(output: &str) -> bool {
    output.lines().any(|line| line.contains("fatal: Lockup"))
}

/// What the emulator says apart from messages, and the thread that reads it.
struct Output {
    kept: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn new(read: impl FnOnce(&Mutex<String>) + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&kept);
        Self { kept, reader: Some(thread::spawn(move || read(&shared))) }
    }

    /// All of it, once the process has ended.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has kept what it read before.
            let _ = reader.join();
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Copies what the emulator says into the log until it ends, and keeps the beginning.
fn copy_output(stream: impl Read, log: &Log, kept: &Mutex<String>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let text = String::from_utf8_lossy(&line);
        log.line(format_args!("emulator: {}", text.trim_end()));
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + text.len() <= KEPT_OUTPUT {
            kept.push_str(&text);
        }
        line.clear();
    }
}

/// The command that runs the emulator: killed with the thread that starts it, and leaving no core file.
fn command_line(config: &Config, boot_address: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "prlimit", "--core=0:0", "--"]);
    command.arg(&config.qemu);
    command.arg("-M").arg(format!("{},memory-backend=win", config.core.board())).args(["-m", "16M"]);
    command
        .arg("-object")
        .arg(option("memory-backend-file,id=win,size=16M,share=on,mem-path=", &config.window));
    if let Some(boot_rom) = &config.boot_rom {
        command.arg("-device").arg(option("loader,addr=0x10000000,file=", boot_rom));
    }
    if config.core == Core::CortexM4 {
        command.arg("-global").arg(format!("armv7m.init-nsvtor={boot_address:#x}"));
    }
    command.args(["-nodefaults", "-nic", "none", "-display", "none", "-serial", "null", "-monitor", "none"]);
    // A reset of the guest ends this process's use: it stops there and tells, instead of starting over.
    command.args(["-action", "reboot=shutdown,shutdown=pause,watchdog=none"]);
    command.args(["-qmp", "stdio", "-S"]);
    command
}

/// An option that ends in a path; a comma in the path is doubled, as the emulator wants it.
fn option(start: &str, path: &Path) -> OsString {
    let mut option = OsString::from(start);
    for (index, part) in path.as_os_str().as_encoded_bytes().split(|&byte| byte == b',').enumerate() {
        if index > 0 {
            option.push(",,");
        }
        option.push(OsStr::from_bytes(part));
    }
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(option("loader,file=", Path::new("/a,b/c,")), "loader,file=/a,,b/c,,");
    }

    #[test]
    fn a_lockup_is_known_by_its_line() {
        assert!(locked_up(
            "qemu: fatal: Lockup: can't escalate 3 to HardFault (current priority -1)\n\nR00=0\n"
        ));
        assert!(!locked_up("qemu-system-arm: could not open Lockup.bin\n"));
    }

    fn ending(raw_status: i32, output: &str, messages: &[Message]) -> Ending {
        Ending {
            status: Ok(ExitStatus::from_raw(raw_status)),
            output: output.into(),
            messages: messages.into(),
        }
    }

    #[test]
    fn what_happened_before_the_kill_counts() {
        assert_eq!(ending(KILL, "", &[Message::Other]).crash(), None);
        assert_eq!(
            ending(KILL, "", &[Message::Other, Message::GuestReset]).crash(),
            Some(EventKind::GuestReset)
        );
        assert_eq!(ending(KILL, "", &[Message::Watchdog]).crash(), Some(EventKind::Watchdog));
        // 6 is SIGABRT, 0x100 is exit code 1.
        assert_eq!(ending(6, "qemu: fatal: Lockup: x\n", &[]).crash(), Some(EventKind::Lockup));
        assert_eq!(ending(6, "assertion failed\n", &[]).crash(), Some(EventKind::EmulatorEnded));
        assert_eq!(ending(0x100, "", &[]).crash(), Some(EventKind::EmulatorEnded));
    }
}
