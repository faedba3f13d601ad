//! The tests with the real core.

mod cortex_m4;
mod image;

use crate::Files;
use crate::common::{Bench, DONE, processes, wait_until};
use image::{load, segments, write_program};
use remote_core_supervisor::{
    Config, ControlWord, Core, EventKind, State, Supervisor, create_window, read_window,
};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A test and its name. What it returns is printed behind the verdict.
type Test = fn(&Files) -> String;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("firmware_segments_lie_in_the_regions", firmware_segments_lie_in_the_regions),
    ("resource_table_says_where_everything_is", resource_table_says_where_everything_is),
    ("firmware_runs_until_it_is_held", firmware_runs_until_it_is_held),
    ("other_firmware_runs_after_a_reload", other_firmware_runs_after_a_reload),
    ("hard_fault_is_an_event", hard_fault_is_an_event),
    ("reset_request_is_an_event", reset_request_is_an_event),
    ("lockup_is_an_event", lockup_is_an_event),
    ("watchdog_is_an_event", watchdog_is_an_event),
    ("lockup_at_the_first_instruction_is_an_event", lockup_at_the_first_instruction_is_an_event),
    ("boot_rom_refuses_what_a_core_could_not_start", boot_rom_refuses_what_a_core_could_not_start),
    ("secure_memory_is_closed_to_the_firmware", secure_memory_is_closed_to_the_firmware),
    ("long_trace_keeps_its_newest_lines", long_trace_keeps_its_newest_lines),
    ("killed_supervisor_leaves_no_process", killed_supervisor_leaves_no_process),
    ("cortex_m4_runs_beside_the_m33", cortex_m4::runs_beside_the_m33),
    ("cortex_m4_events", cortex_m4::events),
    ("cortex_m4_starts_where_it_is_told", cortex_m4::starts_where_it_is_told),
    ("release_times", release_times),
];

const BOOT: u32 = 0x8000_0000;
const TRACE: u64 = 0x80a0_1000;
const TRACE_BYTES: usize = 0x1000;
const HEARTBEAT: u64 = 0x80a0_2000;
const REQUEST: u64 = 0x80a0_2004;

fn bench(files: &Files) -> Bench {
    Bench::new(&files.qemu, &files.boot_rom, |_| {})
}

/// A bench whose core runs the firmware.
fn running(files: &Files) -> Bench {
    let mut bench = bench(files);
    load(&bench.window, &files.firmware);
    start(&mut bench);
    bench
}

/// Releases the core and waits for its first heartbeat.
fn start(bench: &mut Bench) {
    bench.set_word(HEARTBEAT, 0);
    assert_eq!(bench.release(BOOT), DONE, "{}", bench.log());
    assert!(wait_until(|| bench.word(HEARTBEAT) > 0), "no heartbeat\n{}", bench.log());
    // The firmware takes what stood in the word for its first request, and would clear one that came meanwhile.
    assert!(wait_until(|| bench.word(REQUEST) == 0), "the first request was not taken\n{}", bench.log());
}

/// The trace as a reader sees it: up to the first NUL, which must be there.
fn trace(bench: &Bench) -> String {
    let bytes = read_window(&bench.window, TRACE, TRACE_BYTES).unwrap();
    let end = bytes.iter().position(|&byte| byte == 0).expect("no NUL in the trace");
    String::from_utf8(bytes[..end].to_vec()).unwrap()
}

/// Whether the word at `physical` keeps its value for a while.
fn stands(bench: &Bench, physical: u64) -> bool {
    let before = bench.word(physical);
    std::thread::sleep(Duration::from_millis(100));
    bench.word(physical) == before
}

fn firmware_segments_lie_in_the_regions(files: &Files) -> String {
    let segments = segments(&files.firmware);
    let private = 0x8000_0000..0x80a0_0000;
    let shared = 0x80a0_0000..0x80c0_0000;
    assert_eq!(segments.len(), 3, "{segments:x?}");
    // The M33 sees the window where it lies.
    for segment in &segments {
        let end = segment.device + segment.memory;
        assert_eq!(segment.device, segment.virtual_address);
        let in_private = private.contains(&segment.device) && end <= private.end;
        let in_shared = shared.contains(&segment.device) && end <= shared.end;
        assert!(in_private || in_shared, "{segment:x?}");
        assert!(in_private || !segment.executable, "{segment:x?}");
        assert!(!(segment.writable && segment.executable), "{segment:x?}");
        assert!(segment.bytes.len() as u64 <= segment.memory && !segment.bytes.is_empty());
    }
    for (index, one) in segments.iter().enumerate() {
        for other in &segments[index + 1..] {
            let apart = one.device + one.memory <= other.device || other.device + other.memory <= one.device;
            assert!(apart, "{one:x?} {other:x?}");
        }
    }
    let (table, bytes) = image::resource_table(&files.firmware);
    assert_eq!(table, 0x80a0_0000);
    assert!(segments.iter().any(|segment| segment.device == table && segment.bytes == bytes));
    String::new()
}

fn resource_table_says_where_everything_is(files: &Files) -> String {
    let (_, bytes) = image::resource_table(&files.firmware);
    let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    assert_eq!(words[..7], [1, 3, 0, 0, 28, 76, 144], "header");
    assert_eq!(words[7..11], [2, 0x80a0_1000, 0x1000, 0], "trace");
    assert_eq!(&bytes[44..76], b"trace0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(words[19..26], [3, 7, 0, 0, 0, 0, 0x200], "device");
    assert_eq!(words[26..31], [0x80a0_4000, 4096, 16, 0, 0], "first virtqueue");
    assert_eq!(words[31..36], [0x80a0_8000, 4096, 16, 1, 0], "second virtqueue");
    assert_eq!(words[36..39], [128, 0x80a0_2000, 0x80a0_2004], "vendor entry");
    // Segments are whole blocks of 16 bytes, so that they can be encrypted.
    assert!(bytes.len().is_multiple_of(16) && words[39..].iter().all(|word| *word == 0), "{words:x?}");
    String::new()
}

fn firmware_runs_until_it_is_held(files: &Files) -> String {
    let mut bench = running(files);
    assert_eq!(bench.state(), State::Running as u32);
    assert_eq!(bench.control(ControlWord::Releases), 1);
    let first = bench.word(HEARTBEAT);
    let begin = Instant::now();
    assert!(wait_until(|| bench.word(HEARTBEAT) > first.saturating_add(100)));
    let rate = 100.0 / begin.elapsed().as_secs_f64();
    let trace = trace(&bench);
    assert!(trace.starts_with("m33: alive, build "), "{trace}");
    assert!(trace.contains("core 0x410fd21"), "{trace}");
    assert!(trace.contains("m33: heartbeat 64, "), "{trace}");
    assert_eq!(bench.hold(), DONE);
    assert_eq!(processes(&bench.window), [0_u32; 0]);
    assert_eq!(bench.state(), State::Held as u32);
    assert!(stands(&bench, HEARTBEAT));
    let report = bench.finish();
    assert_eq!((report.releases, report.events.len(), report.failures.len()), (1, 0, 0));
    format!("{rate:.0} heartbeats/s")
}

fn other_firmware_runs_after_a_reload(files: &Files) -> String {
    let mut bench = running(files);
    assert_eq!(bench.hold(), DONE);
    load(&bench.window, &files.other_firmware);
    let counter = 0x80a0_0010;
    assert_eq!(bench.release(0x8010_0000), DONE);
    let before = bench.word(counter);
    assert!(wait_until(|| bench.word(counter) != before), "the counter stands\n{}", bench.log());
    assert!(stands(&bench, HEARTBEAT), "the first firmware still runs");
    assert_eq!(bench.hold(), DONE);
    assert!(stands(&bench, counter));
    // The same addresses, other code: two programs that differ in the value they store.
    for value in [0x11, 0x22] {
        write_program(&bench.window, BOOT, &image::store_and_stay(0x80a0_3000, value));
        assert_eq!(bench.release(BOOT), DONE);
        assert!(wait_until(|| bench.word(0x80a0_3000) == u32::from(value)), "{}", bench.log());
        assert_eq!(bench.hold(), DONE);
    }
    assert_eq!(bench.finish().releases, 4);
    String::new()
}

fn hard_fault_is_an_event(files: &Files) -> String {
    // UNDEFINSTR, and HardFault by escalation: the handler of the firmware's own (non-secure) state ran.
    assert_event(files, 1, "CFSR 0x00010000, HFSR 0x40000000\n", EventKind::HardFault)
}

/// Makes a request that ends the core, twice; returns the slowest time until the event was there.
fn assert_event(files: &Files, request: u32, line: &str, event: EventKind) -> String {
    let mut bench = running(files);
    let mut slowest = Duration::ZERO;
    for count in 1..=2 {
        let begin = Instant::now();
        bench.set_word(REQUEST, request);
        bench.wait_for_events(count);
        slowest = slowest.max(begin.elapsed());
        bench.assert_crashed(event as u32);
        assert!(trace(&bench).contains(line), "{}", trace(&bench));
        assert!(stands(&bench, HEARTBEAT));
        assert_eq!(bench.hold(), DONE);
        assert_eq!(bench.state(), State::Held as u32);
        start(&mut bench);
    }
    let report = bench.finish();
    let events: Vec<_> = report.events.iter().map(|event| (event.kind, event.release)).collect();
    assert_eq!(events, [(event, 1), (event, 2)]);
    assert_eq!(report.releases, 3);
    format!("seen within {:.1} ms; {}", slowest.as_secs_f64() * 1e3, report.events[0].detail)
}

fn reset_request_is_an_event(files: &Files) -> String {
    assert_event(files, 2, "m33: request 2: system reset\n", EventKind::GuestReset)
}

fn lockup_is_an_event(files: &Files) -> String {
    assert_event(files, 3, "m33: request 3: lockup\n", EventKind::Lockup)
}

fn watchdog_is_an_event(files: &Files) -> String {
    assert_event(files, 4, "m33: request 4: watchdog\n", EventKind::Watchdog)
}

fn lockup_at_the_first_instruction_is_an_event(files: &Files) -> String {
    let mut bench = bench(files);
    write_program(&bench.window, BOOT, &image::undefined_instruction());
    for count in 1..=10 {
        assert_eq!(bench.release(BOOT), DONE, "{}", bench.log());
        bench.wait_for_events(count);
        bench.assert_crashed(EventKind::Lockup as u32);
        assert_eq!(bench.control(ControlWord::Releases), count);
    }
    assert_eq!(bench.finish().events.len(), 10);
    String::new()
}

fn boot_rom_refuses_what_a_core_could_not_start(files: &Files) -> String {
    let mut bench = bench(files);
    let program = image::store_and_stay(0x80a0_3000, 0x33);
    write_program(&bench.window, BOOT, &program);
    write_program(&bench.window, BOOT + 0x1_0040, &program);
    let mut events = 0;
    let mut refused = |bench: &mut Bench, boot_address: u32, why: &str| {
        events += 1;
        assert_eq!(bench.release(boot_address), DONE, "{why}");
        bench.wait_for_events(events);
        bench.assert_crashed(EventKind::Lockup as u32);
        assert_ne!(bench.word(0x80a0_3000), 0x33, "{why}");
    };
    refused(&mut bench, BOOT + 0x1_0040, "a vector table that is not aligned");
    refused(&mut bench, 0x7000_0000, "an address outside the window");
    let magic = ControlWord::Magic.physical_address(Core::CortexM33);
    bench.set_word(magic, 0);
    refused(&mut bench, BOOT, "a control page without its magic");
    bench.set_word(magic, remote_core_supervisor::CONTROL_MAGIC);
    let entry = bench.word(u64::from(BOOT) + 4);
    bench.set_word(u64::from(BOOT) + 4, entry & !1);
    refused(&mut bench, BOOT, "an entry without the Thumb bit");
    // The control: the same program starts when nothing is wrong.
    bench.set_word(u64::from(BOOT) + 4, entry);
    assert_eq!(bench.release(BOOT), DONE);
    assert!(wait_until(|| bench.word(0x80a0_3000) == 0x33), "{}", bench.log());
    String::new()
}

fn secure_memory_is_closed_to_the_firmware(files: &Files) -> String {
    let mut bench = bench(files);
    // The boot ROM's secure stack. The access ends in the boot ROM's own fault handler, which locks up.
    write_program(&bench.window, BOOT, &image::store_and_stay(0x3800_0000, 0x44));
    assert_eq!(bench.release(BOOT), DONE);
    bench.wait_for_events(1);
    bench.assert_crashed(EventKind::Lockup as u32);
    String::new()
}

fn long_trace_keeps_its_newest_lines(files: &Files) -> String {
    let bench = running(files);
    // Each round ends with a request of its own number: an earlier round's end may still stand in the trace.
    for end in 97..100 {
        bench.set_word(REQUEST, 5);
        assert!(wait_until(|| bench.word(REQUEST) == 0), "{}", trace(&bench));
        // Taken up when the lines are written.
        bench.set_word(REQUEST, end);
        let last = format!("request {end}: unknown\n");
        assert!(wait_until(|| trace(&bench).contains(&last)), "{}", trace(&bench));
        let trace = trace(&bench);
        assert!(trace.len() > TRACE_BYTES / 3 && trace.len() < TRACE_BYTES, "{}", trace.len());
        assert!(trace.lines().all(|line| line.starts_with("m33: ")), "{trace}");
        let numbers: Vec<u32> = trace
            .lines()
            .filter_map(|line| line.strip_prefix("m33: request 5: line ")?.split(' ').next()?.parse().ok())
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        assert_eq!(numbers.last(), Some(&199));
    }
    String::new()
}

/// The argument that makes this program a process to be killed.
pub const VICTIM: &str = "--victim";

/// Supervises a core until it is killed.
pub fn victim(directory: &Path) -> ! {
    let path = |name: &str| directory.join(name);
    let mut config = Config::new(path("window"), path("rom"), path("log"));
    config.qemu = path("qemu");
    let _supervisor = Supervisor::start(config).unwrap();
    loop {
        std::thread::park();
    }
}

fn killed_supervisor_leaves_no_process(files: &Files) -> String {
    let directory = tempfile::tempdir().unwrap();
    let window = directory.path().join("window");
    create_window(&window, 0).unwrap();
    for (name, file) in [("rom", &files.boot_rom), ("qemu", &files.qemu)] {
        std::os::unix::fs::symlink(file.canonicalize().unwrap(), directory.path().join(name)).unwrap();
    }
    load(&window, &files.firmware);
    let word = |physical| u32::from_le_bytes(read_window(&window, physical, 4).unwrap().try_into().unwrap());
    let set = |word: ControlWord, value: u32| {
        let address = word.physical_address(Core::CortexM33);
        remote_core_supervisor::write_window(&window, address, &value.to_le_bytes()).unwrap();
    };
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM.as_ref(), directory.path()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert!(wait_until(|| word(ControlWord::Magic.physical_address(Core::CortexM33))
        == remote_core_supervisor::CONTROL_MAGIC));
    set(ControlWord::BootAddress, BOOT);
    set(ControlWord::Command, remote_core_supervisor::Command::Release as u32);
    set(ControlWord::CommandSequence, 1);
    assert!(wait_until(|| word(HEARTBEAT) > 0));
    assert_eq!(processes(&window).len(), 2, "the supervisor and the emulator");
    // SIGKILL: nothing in the victim can clean up.
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(wait_until(|| processes(&window).is_empty()), "{:?}", processes(&window));
    String::new()
}

fn release_times(files: &Files) -> String {
    let mut bench = bench(files);
    load(&bench.window, &files.firmware);
    let (mut acknowledged, mut alive, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20 {
        bench.set_word(HEARTBEAT, 0);
        let begin = Instant::now();
        assert_eq!(bench.release(BOOT), DONE);
        acknowledged.push(begin.elapsed());
        assert!(wait_until(|| bench.word(HEARTBEAT) > 0));
        alive.push(begin.elapsed());
        let begin = Instant::now();
        assert_eq!(bench.hold(), DONE);
        held.push(begin.elapsed());
    }
    let text = |times: &mut Vec<Duration>| {
        times.sort();
        let ms = |index: usize| times[index].as_secs_f64() * 1e3;
        format!("{:.1}/{:.1}/{:.1}", ms(0), ms(times.len() / 2), ms(times.len() - 1))
    };
    format!(
        "min/median/max ms of 20: release acknowledged {}, first heartbeat {}, hold acknowledged {}",
        text(&mut acknowledged),
        text(&mut alive),
        text(&mut held)
    )
}
