//! The Cortex-M4, whose device addresses are not the physical ones, alone and beside the Cortex-M33.

use super::image::{self, load_for, resource_table, segments, store_and_stay};
use super::{bench, running, stands};
use crate::Files;
use crate::common::{Bench, DONE, processes, wait_until};
use remote_core_supervisor::{Core, EventKind, State, read_window, write_window};

/// Device address of the firmware's vector table.
const BOOT: u32 = 0x21d0_0000;
/// The same memory by its physical address.
const BOOT_PHYSICAL: u64 = 0x80d0_0000;
/// Physical addresses of what the firmware writes.
const TRACE: u64 = 0x80e0_1000;
const HEARTBEAT: u64 = 0x80e0_2000;
const REQUEST: u64 = 0x80e0_2004;
/// The supervisor's answer to a boot address that no vector table can have.
const BAD_BOOT_ADDRESS: u32 = 4;

/// A Cortex-M4 on a bench's window, with its firmware loaded and running.
fn started(files: &Files, beside: &Bench) -> Bench {
    let mut m4 = beside.cortex_m4(&files.qemu);
    load_for(Core::CortexM4, &m4.window, &files.firmware_m4);
    start(&mut m4);
    m4
}

fn start(m4: &mut Bench) {
    m4.set_word(HEARTBEAT, 0);
    assert_eq!(m4.release(BOOT), DONE, "{}", m4.log());
    assert!(wait_until(|| m4.word(HEARTBEAT) > 0), "no heartbeat\n{}", m4.log());
    assert!(wait_until(|| m4.word(REQUEST) == 0), "the first request was not taken\n{}", m4.log());
}

fn trace(m4: &Bench) -> String {
    let bytes = read_window(&m4.window, TRACE, 0x1000).unwrap();
    String::from_utf8(bytes.split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap()
}

/// Both run at once, each its own firmware; to hold one changes nothing for the other.
pub fn runs_beside_the_m33(files: &Files) -> String {
    for segment in segments(&files.firmware_m4) {
        assert!((0x21d0_0000..0x21e4_0000).contains(&segment.device), "{segment:x?}");
    }
    let (table, bytes) = resource_table(&files.firmware_m4);
    assert_eq!(table, 0x21e0_0000);
    assert_eq!(bytes[32..36], 0x21e0_1000_u32.to_le_bytes(), "the trace's device address");
    let mut m33 = running(files);
    let mut m4 = started(files, &m33);
    assert_eq!(processes(&m4.window).len(), 2);
    assert!(trace(&m4).starts_with("m4: alive, "), "{}", trace(&m4));
    // The part number of the Cortex-M4.
    assert!(trace(&m4).lines().next().unwrap().contains("core 0x410fc24"), "{}", trace(&m4));
    for heartbeat in [super::HEARTBEAT, HEARTBEAT] {
        assert!(!stands(&m4, heartbeat), "{heartbeat:#x}");
    }
    assert_eq!(m33.hold(), DONE);
    assert!(stands(&m33, super::HEARTBEAT) && !stands(&m4, HEARTBEAT));
    super::start(&mut m33);
    assert_eq!(m4.hold(), DONE);
    assert!(!stands(&m33, super::HEARTBEAT) && stands(&m4, HEARTBEAT));
    assert_eq!(m33.hold(), DONE);
    assert_eq!(processes(&m4.window), [0_u32; 0]);
    let told = [m33.finish(), m4.finish()].map(|report| (report.releases, report.events.len()));
    assert_eq!(told, [(2, 0), (1, 0)]);
    String::new()
}

/// What the core does by itself: its own reset, lockup and watchdog.
pub fn events(files: &Files) -> String {
    let stand = bench(files);
    let mut m4 = started(files, &stand);
    let kinds = [(2, EventKind::GuestReset), (3, EventKind::Lockup), (4, EventKind::Watchdog)];
    for (count, (request, kind)) in (1..).zip(kinds) {
        m4.set_word(REQUEST, request);
        m4.wait_for_events(count);
        m4.assert_crashed(kind as u32);
        assert_eq!(stand.state(), State::Held as u32, "the other core's state");
        assert_eq!(m4.hold(), DONE);
        start(&mut m4);
    }
    m4.set_word(REQUEST, 1);
    assert!(wait_until(|| trace(&m4).contains("m4: fault at 0x21d0")), "{}", trace(&m4));
    assert!(stands(&m4, HEARTBEAT));
    assert_eq!(m4.finish().events.len(), kinds.len());
    String::new()
}

/// The vector table's address is a device address, and has to be aligned.
pub fn starts_where_it_is_told(files: &Files) -> String {
    let stand = bench(files);
    let mut m4 = stand.cortex_m4(&files.qemu);
    let word = 0x80e0_3000;
    for (offset, value) in [(0, 0x11), (0x2000, 0x22)] {
        let program = image::assemble(BOOT + offset, 0x21d8_0000, &store_and_stay(0x21e0_3000, value));
        write_window(&m4.window, BOOT_PHYSICAL + u64::from(offset), &program).unwrap();
    }
    for (offset, value) in [(0, 0x11), (0x2000, 0x22), (0, 0x11)] {
        assert_eq!(m4.release(BOOT + offset), DONE);
        assert!(wait_until(|| m4.word(word) == value), "{}", m4.log());
        assert_eq!(m4.hold(), DONE);
    }
    assert_eq!(m4.release(BOOT + 0x2040), BAD_BOOT_ADDRESS);
    assert_eq!(m4.state(), State::Held as u32);
    assert_eq!(m4.finish().releases, 3);
    String::new()
}
