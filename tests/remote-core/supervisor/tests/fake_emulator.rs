//! The supervisor against scripts that pretend to be the emulator, and misbehave in every way that matters.

mod common;

use common::{Bench, DONE};
use remote_core_supervisor::{
    CONTROL_MAGIC, Command, ControlWord, Doorbell, EventKind, State, Supervisor, read_window,
};
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const UNKNOWN_COMMAND: u32 = 1;
const EMULATOR_NOT_STARTED: u32 = 2;
const ALREADY_RUNNING: u32 = 3;

/// The start of a well-behaved emulator: greeting, capabilities, `cont`.
const STARTS: &str = r#"echo '{"QMP": {"version": {}}}'
read line; case "$line" in *qmp_capabilities*) ;; *) exit 9;; esac; echo '{"return": {}}'
read line; case "$line" in *cont*) ;; *) exit 9;; esac
"#;
const RUNS: &str = "echo '{\"event\": \"RESUME\"}'; echo '{\"return\": {}}'\n";
const STAYS: &str = "exec sleep 600\n";

/// A script in the emulator's place. One at a time: a script can't be executed while another thread's new process
/// still has it open for writing.
struct Fake {
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Fake {
    fn new(parts: &[&str]) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("emulator");
        fs::write(&script, format!("#!/bin/sh\n{}", parts.concat())).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        fs::write(directory.path().join("rom"), [0; 8]).unwrap();
        Self { directory, _turn: turn }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("emulator")
    }

    fn bench(&self) -> Bench {
        Bench::new(&self.path(), &self.directory.path().join("rom"), |_| {})
    }
}

/// No process of this test program's is left, not even an ended one that nobody waited for.
fn assert_no_children() {
    let me = std::process::id().to_string();
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let children: Vec<String> = ids
        .filter_map(|id| fs::read_to_string(format!("/proc/{id}/stat")).ok())
        .filter(|stat| {
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            after_name.split_whitespace().nth(1) == Some(me.as_str())
        })
        .collect();
    assert!(children.is_empty(), "{children:?}");
}

#[test]
fn start_prepares_the_control_page_and_nothing_else() {
    let fake = Fake::new(&[STARTS, RUNS, STAYS]);
    let mut bench = fake.bench();
    assert_eq!(bench.control(ControlWord::Magic), CONTROL_MAGIC);
    assert_eq!(bench.control(ControlWord::LayoutVersion), 1);
    assert!(read_window(&bench.window, 0x80ff_0008, 0xff8).unwrap().iter().all(|&byte| byte == 0));
    assert!(read_window(&bench.window, 0x8000_0000, 0xff_0000).unwrap().iter().all(|&byte| byte == 0xa5));
    assert!(read_window(&bench.window, 0x80ff_1000, 0xf000).unwrap().iter().all(|&byte| byte == 0xa5));
    let report = bench.finish();
    assert_eq!((report.releases, report.events.len(), report.failures.len()), (0, 0, 0));
}

#[test]
fn release_and_hold() {
    let fake = Fake::new(&[STARTS, RUNS, STAYS]);
    let mut bench = fake.bench();
    for release in 1..=3 {
        assert_eq!(bench.release(0x8000_0000), DONE, "{}", bench.log());
        assert_eq!(bench.state(), State::Running as u32);
        assert_eq!(bench.control(ControlWord::Releases), release);
        assert_eq!(bench.hold(), DONE);
        assert_eq!(bench.state(), State::Held as u32);
        assert_no_children();
    }
    assert_eq!(bench.hold(), DONE, "holding a held core is no error");
    assert_eq!(bench.control(ControlWord::EventSequence), 0);
    let report = bench.finish();
    assert_eq!((report.releases, report.events.len(), report.failures.len()), (3, 0, 0));
}

#[test]
fn a_release_is_acknowledged_only_when_the_core_runs() {
    let fake = Fake::new(&[STARTS, "sleep 0.6\n", RUNS, STAYS]);
    let mut bench = fake.bench();
    bench.send(Command::Release as u32, 0x8000_0000);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(300) {
        assert!(!bench.acknowledged());
        assert_eq!((bench.state(), bench.control(ControlWord::Releases)), (State::Held as u32, 0));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bench.result(), DONE);
    assert_eq!((bench.state(), bench.control(ControlWord::Releases)), (State::Running as u32, 1));
}

#[test]
fn a_second_release_is_refused() {
    let fake = Fake::new(&[STARTS, RUNS, STAYS]);
    let mut bench = fake.bench();
    assert_eq!(bench.release(0x8000_0000), DONE);
    assert_eq!(bench.release(0x8000_0000), ALREADY_RUNNING);
    assert_eq!(bench.state(), State::Running as u32);
    let report = bench.finish();
    assert_eq!((report.releases, report.failures.len()), (1, 1));
    assert_no_children();
}

#[test]
fn an_unknown_command_changes_nothing() {
    let fake = Fake::new(&[STARTS, RUNS, STAYS]);
    let mut bench = fake.bench();
    assert_eq!(bench.release(0x8000_0000), DONE);
    bench.send(3, 0);
    assert_eq!(bench.result(), UNKNOWN_COMMAND);
    assert_eq!(bench.state(), State::Running as u32);
    assert_eq!(bench.hold(), DONE);
}

/// Releases with an emulator that can't start; the log has to tell the reason.
fn assert_not_started(mut bench: Bench, reason: &str) {
    assert_eq!(bench.release(0x8000_0000), EMULATOR_NOT_STARTED);
    assert_eq!(bench.state(), State::Held as u32);
    assert_eq!(bench.control(ControlWord::Releases), 0);
    assert_eq!(bench.control(ControlWord::EventSequence), 0);
    assert!(bench.log().contains(reason), "{}", bench.log());
    assert_no_children();
    let report = bench.finish();
    assert!(report.failures.iter().any(|failure| failure.contains(reason)), "{report:?}");
}

#[test]
fn a_missing_emulator_is_a_failed_release() {
    let fake = Fake::new(&[]);
    let rom = fake.directory.path().join("rom");
    assert_not_started(Bench::new(Path::new("/nonexistent/qemu"), &rom, |_| {}), "/nonexistent/qemu");
}

#[test]
fn an_emulator_that_refuses_its_options_is_a_failed_release() {
    let fake = Fake::new(&["echo 'qemu: unsupported machine' >&2; exit 1\n"]);
    assert_not_started(fake.bench(), "unsupported machine");
}

#[test]
fn an_emulator_that_ends_instead_of_running_is_a_failed_release() {
    let fake = Fake::new(&[STARTS, "echo 'out of memory' >&2; exit 1\n"]);
    assert_not_started(fake.bench(), "out of memory");
}

#[test]
fn an_emulator_that_refuses_to_run_is_a_failed_release() {
    let fake = Fake::new(&[STARTS, "echo '{\"error\": {\"class\": \"x\", \"desc\": \"not now\"}}'\n", STAYS]);
    assert_not_started(fake.bench(), "not now");
}

#[test]
fn a_silent_emulator_is_ended_after_its_time() {
    let fake = Fake::new(&[STAYS]);
    let rom = fake.directory.path().join("rom");
    let limit = |config: &mut remote_core_supervisor::Config| config.start_limit = Duration::from_millis(200);
    assert_not_started(Bench::new(&fake.path(), &rom, limit), "in time");
}

/// A script that runs and then does something by itself; the event and the state have to follow.
fn assert_event(then: &str, event: EventKind) {
    let fake = Fake::new(&[STARTS, RUNS, then]);
    let mut bench = fake.bench();
    for count in 1..=2 {
        assert_eq!(bench.release(0x8000_0000), DONE, "{}", bench.log());
        bench.wait_for_events(count);
        bench.assert_crashed(event as u32);
        assert_no_children();
        assert_eq!(bench.hold(), DONE);
        assert_eq!(bench.state(), State::Held as u32);
    }
    let report = bench.finish();
    let events: Vec<_> = report.events.iter().map(|event| (event.kind, event.release)).collect();
    assert_eq!(events, [(event, 1), (event, 2)]);
}

#[test]
fn events() {
    let reset = r#"echo '{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}'; "#;
    assert_event(&[reset, STAYS].concat(), EventKind::GuestReset);
    let watchdog = r#"echo '{"event": "WATCHDOG", "data": {"action": "none"}}'; "#;
    assert_event(&[watchdog, STAYS].concat(), EventKind::Watchdog);
    let lockup = "echo 'qemu: fatal: Lockup: can not escalate' >&2; kill -ABRT $$\n";
    assert_event(lockup, EventKind::Lockup);
    assert_event("exit 0\n", EventKind::EmulatorEnded);
    assert_event("kill -SEGV $$\n", EventKind::EmulatorEnded);
}

/// The event's words come before the state, and the bell last: whoever looks when it rings finds everything.
#[test]
fn the_doorbell_rings_when_the_event_can_be_read() {
    let fake = Fake::new(&[STARTS, RUNS, "sleep 0.2; exit 0\n"]);
    let doorbell = Doorbell::listen(&fake.directory.path().join("doorbell")).unwrap();
    let mut machine = UnixStream::connect(doorbell.path()).unwrap();
    machine.set_read_timeout(Some(common::LIMIT)).unwrap();
    let rom = fake.directory.path().join("rom");
    let mut bench = Bench::new(&fake.path(), &rom, |config| config.doorbell = Some(doorbell));
    for count in 1..=2 {
        assert_eq!(bench.release(0x8000_0000), DONE, "{}", bench.log());
        machine.read_exact(&mut [0]).unwrap();
        assert_eq!(bench.state(), State::Crashed as u32);
        assert_eq!(bench.control(ControlWord::Event), EventKind::EmulatorEnded as u32);
        assert_eq!(bench.control(ControlWord::EventSequence), count);
        assert_eq!(bench.hold(), DONE);
    }
    bench.finish();
    machine.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(machine.read_exact(&mut [0]).is_err(), "once for each event");
}

#[test]
fn what_the_firmware_reports_is_an_event_of_its_release_only() {
    let fake = Fake::new(&[STARTS, RUNS, STAYS]);
    let mut bench = fake.bench();
    let report = ControlWord::FirmwareReport.physical_address();
    for count in 1..=2 {
        bench.set_word(report, EventKind::HardFault as u32);
        assert_eq!(bench.release(0x8000_0000), DONE, "{}", bench.log());
        assert_eq!(bench.control(ControlWord::FirmwareReport), 0, "what was there before the release");
        bench.set_word(report, 77);
        bench.set_word(report, EventKind::HardFault as u32);
        bench.wait_for_events(count);
        bench.assert_crashed(EventKind::HardFault as u32);
        assert_no_children();
        assert_eq!(bench.hold(), DONE);
    }
    assert_eq!(bench.finish().events.len(), 2);
}

#[test]
fn an_event_right_before_its_process_ends_is_not_lost() {
    assert_event(
        r#"echo '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}'"#,
        EventKind::GuestReset,
    );
}

#[test]
fn a_lockup_faster_than_the_emulators_own_news_is_a_release_and_a_lockup() {
    let fake = Fake::new(&[STARTS, "echo 'qemu: fatal: Lockup: can not escalate' >&2; kill -ABRT $$\n"]);
    let mut bench = fake.bench();
    assert_eq!(bench.release(0x8000_0000), DONE);
    bench.wait_for_events(1);
    bench.assert_crashed(EventKind::Lockup as u32);
    assert_eq!(bench.control(ControlWord::Releases), 1);
}

#[test]
fn a_crash_that_meets_a_hold_is_reported_once() {
    let fake = Fake::new(&[STARTS, RUNS, "echo 'qemu: fatal: Lockup' >&2; kill -ABRT $$\n"]);
    let mut bench = fake.bench();
    for count in 1..=20_u64 {
        assert_eq!(bench.release(0x8000_0000), DONE);
        std::thread::sleep(Duration::from_micros(count * 100));
        assert_eq!(bench.hold(), DONE);
        assert_eq!(bench.state(), State::Held as u32);
    }
    let report = bench.finish();
    // A hold may come before the script's crash, but whatever was reported must be the lockup, once per release.
    assert!(report.events.iter().all(|event| event.kind == EventKind::Lockup), "{report:?}");
    let mut releases: Vec<_> = report.events.iter().map(|event| event.release).collect();
    releases.dedup();
    assert_eq!(releases.len(), report.events.len());
    assert!(!releases.is_empty());
}

#[test]
fn dropping_the_supervisor_ends_the_process() {
    let fake = Fake::new(&[STARTS, RUNS, STAYS]);
    let mut bench = fake.bench();
    assert_eq!(bench.release(0x8000_0000), DONE);
    bench.supervisor = None;
    assert_no_children();
    assert_eq!(bench.state(), State::Held as u32);
}

#[test]
fn start_needs_window_and_boot_rom() {
    let fake = Fake::new(&[]);
    let directory = fake.directory.path();
    let rom = directory.join("rom");
    let window = directory.join("window");
    let start = |window: &Path, rom: &Path| {
        Supervisor::start(remote_core_supervisor::Config::new(window, rom, directory.join("log")))
    };
    assert!(start(&window, &rom).unwrap_err().to_string().contains("window"));
    fs::write(&window, [0; 100]).unwrap();
    assert!(start(&window, &rom).unwrap_err().to_string().contains("100 bytes"));
    remote_core_supervisor::create_window(&window, 0).unwrap();
    assert!(start(&window, &directory.join("no-rom")).unwrap_err().to_string().contains("no-rom"));
    start(&window, &rom).unwrap();
}
