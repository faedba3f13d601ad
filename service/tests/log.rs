//! What the log says of a load, a refusal and missing isolation.
mod support;

use remoteproc_service::lifecycle::State;
use std::cell::RefCell;
use support::*;

thread_local! {
    /// The lines of this test's thread.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.with_borrow_mut(|lines| lines.push(format!("{} {}", record.level(), record.args())));
    }

    fn flush(&self) {}
}

/// What is logged meanwhile.
fn lines(what: impl FnOnce()) -> Vec<String> {
    // The second test to come here finds it set.
    let _ = log::set_logger(&Collector);
    log::set_max_level(log::LevelFilter::Info);
    LINES.take();
    what();
    LINES.take()
}

#[test]
fn a_refusal_has_name_number_and_place() {
    let mut bench = Bench::new();
    let lines = lines(|| {
        bench.load(KERNEL, M33, &vector("negative/n10-segbyte.sig"));
    });
    let (_, place) = bench.last_error(KERNEL);
    let expected =
        format!("WARN refused LOAD_FW for 0x0000: SEGMENT_HASH_MISMATCH (0x0501) at byte {}", place.unwrap());
    assert_eq!(lines.last(), Some(&expected));
    assert_eq!(lines.len(), 2, "the signature's line and the refusal's: {lines:?}");
}

#[test]
fn a_refusal_without_a_place_names_none() {
    let mut bench = Bench::new();
    let lines = lines(|| {
        bench.start(VM);
    });
    assert_eq!(lines, ["WARN refused START_FW for 0x0003: NOT_LOADED (0x1003)"]);
}

#[test]
fn a_load_names_signer_segments_table_and_secure_boot() {
    let mut bench = Bench::new();
    let lines = lines(|| succeeded(bench.load(KERNEL, M33, &second())));
    assert_eq!(
        lines[0],
        "INFO m33: signature verified: RSASSA-PKCS1-v1_5 with SHA-256 by key \"test key\" (2048 bit)"
    );
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("INFO m33: segment 0x80000000 at 0x80000000: 16 bytes, 16 in the file, r"), "{lines:#?}");
    assert!(has("INFO m33: resource table 0x80a00210 at 0x80a00210, 144 bytes"), "{lines:#?}");
    assert!(has("WARN m33: asks for a secure boot (BOOTSEC), runs non-secure"), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("INFO m33: loaded "), "{lines:#?}");
}

#[test]
fn missing_isolation_is_said_at_start() {
    let said = lines(|| drop(Bench::with(board(), |machine| machine.drivers[1].enforces = true)));
    assert!(said[0].starts_with("WARN processor 7 (m33): NO ISOLATION"), "{said:?}");
    assert_eq!(said[1], "INFO processor 9 (m4): private memory is closed by hardware");
    let mut board = board();
    board.accept_no_isolation = false;
    let said = lines(|| drop(Bench::with(board, |machine| drop(machine.drivers.pop()))));
    assert!(said[0].starts_with("ERROR processor 7 (m33): NO ISOLATION: not served"), "{said:?}");
    assert_eq!(said[1], "ERROR processor 9 (m4): no driver for \"fake\"; not served");
}

#[test]
fn start_stop_and_release_are_logged() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    let lines = lines(|| {
        succeeded(bench.start(KERNEL));
        succeeded(bench.stop(KERNEL));
        succeeded(bench.release(KERNEL));
    });
    assert_eq!(
        lines,
        [
            "INFO m33: released from reset at 0x80100000, non-secure",
            "INFO m33: stopped, memory kept",
            "INFO m33: released, memory cleared",
        ]
    );
}
