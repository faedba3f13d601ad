//! The machine's memory as the payload may touch it. The only place with loads and stores to physical addresses.
//!
//! The window is written by the remote core and the partition at any time, so accesses are volatile and results are copies.
use core::ops::Range;

/// UART0.
pub const UART0: u64 = 0x0900_0000;
/// The payload's parameters.
pub const PARAMETERS: u64 = 0x5000_0000;
/// Longest text of parameters, bytes.
pub const PARAMETERS_SIZE: usize = 0x4000;
/// Parameters and files, put there by the host before the start.
pub const FILES: Range<u64> = 0x5000_0000..0x5800_0000;
/// Free RAM, for images that are put together here.
pub const SCRATCH: Range<u64> = 0x5800_0000..0x6000_0000;
/// The window shared with the remote cores.
pub const WINDOW: Range<u64> = 0x8000_0000..0x8100_0000;
/// All regions of the Cortex-M33, which lie side by side in the window.
pub const REGIONS: Range<u64> = 0x8000_0000..0x80c7_0000;
/// The Cortex-M33's control page: its reset line.
pub const CONTROL_PAGE: u64 = 0x80ff_0000;
/// The word of the control page that has the last order: 1 release, 2 hold.
pub const ORDER: u64 = CONTROL_PAGE + 0x0c;
/// The word of the control page that tells what the remote core does: 0 held, 1 running, 2 crashed.
pub const CORE_STATE: u64 = CONTROL_PAGE + 0x18;
/// The word of the control page that counts releases from reset.
pub const RELEASES: u64 = CONTROL_PAGE + 0x28;
/// The word of the control page by which firmware is asked to stop by itself.
pub const STOP_REQUEST: u64 = CONTROL_PAGE + 0x30;
/// The word of the control page by which firmware says that it is ready to be held.
pub const STOP_ANSWER: u64 = CONTROL_PAGE + 0x34;

/// The interrupt controller: its distributor, and the first CPU's redistributor.
const INTERRUPT_CONTROLLER: Range<u64> = 0x0800_0000..0x080c_0000;

/// Tells whether a range is memory that the payload may read and write.
pub fn is_accessible(address: u64, length: u64) -> bool {
    address.checked_add(length).is_some_and(|end| {
        [FILES, SCRATCH, WINDOW].iter().any(|range| range.start <= address && end <= range.end)
    })
}

#[track_caller]
fn check(address: u64, length: u64, alignment: u64) {
    assert!(is_accessible(address, length), "the payload may not touch {address:#x}");
    assert!(address.is_multiple_of(alignment), "{address:#x} is not aligned");
}

/// Reads a word.
#[track_caller]
pub fn read_word(address: u64) -> u32 {
    check(address, 4, 4);
    // SAFETY: `check` has made sure that this is aligned RAM outside the payload's own image; the access is volatile.
    unsafe { (address as *const u32).read_volatile() }
}

/// Copies bytes out.
#[track_caller]
pub fn read(address: u64, into: &mut [u8]) {
    check(address, into.len() as u64, 1);
    for (index, byte) in into.iter_mut().enumerate() {
        // SAFETY: `check` has made sure that all of it is RAM outside the payload's own image; the access is volatile.
        *byte = unsafe { (address as *const u8).add(index).read_volatile() };
    }
}

/// Copies bytes in.
#[track_caller]
pub fn write(address: u64, bytes: &[u8]) {
    check(address, bytes.len() as u64, 1);
    for (index, byte) in bytes.iter().enumerate() {
        // SAFETY: `check` has made sure that all of it is RAM outside the payload's own image; the access is volatile.
        unsafe { (address as *mut u8).add(index).write_volatile(*byte) }
    }
}

/// Writes a register of the interrupt controller.
#[track_caller]
pub fn write_register(address: u64, value: u32) {
    assert!(
        INTERRUPT_CONTROLLER.contains(&address) && address.is_multiple_of(4),
        "no register at {address:#x}"
    );
    // SAFETY: this is an aligned register of a device that never writes to memory by itself: nobody gives it tables.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// Copies bytes from one place to another; the places must not overlap.
#[track_caller]
pub fn copy(from: u64, to: u64, length: u64) {
    let mut chunk = [0; 4096];
    let mut done = 0;
    while done < length {
        let step = (length - done).min(4096);
        let part = &mut chunk[..step as usize];
        read(from + done, part);
        write(to + done, part);
        done += step;
    }
}

/// Fills a range, whose bounds are multiples of 8, with one byte.
#[track_caller]
pub fn fill(range: Range<u64>, byte: u8) {
    check(range.start, range.end - range.start, 8);
    for address in range.step_by(8) {
        // SAFETY: `check` has made sure that this is aligned RAM outside the payload's own image; the access is volatile.
        unsafe { (address as *mut u64).write_volatile(u64::from_ne_bytes([byte; 8])) }
    }
}

/// Returns the first address in a range, whose bounds are multiples of 8, around which the bytes differ from those of as large a range
/// that begins at `other`, a multiple of 8.
#[track_caller]
pub fn first_difference(range: Range<u64>, other: u64) -> Option<u64> {
    check(range.start, range.end - range.start, 8);
    check(other, range.end - range.start, 8);
    let start = range.start;
    range.step_by(8).find(|address| {
        // SAFETY: `check` has made sure that both are aligned RAM outside the payload's own image; the accesses are volatile.
        let words =
            [*address, other + (address - start)].map(|at| unsafe { (at as *const u64).read_volatile() });
        words[0] != words[1]
    })
}

/// Returns the first address in a range, whose bounds are multiples of 8, around which not all bytes are `byte`.
#[track_caller]
pub fn first_other(range: Range<u64>, byte: u8) -> Option<u64> {
    check(range.start, range.end - range.start, 8);
    range.step_by(8).find(|address| {
        // SAFETY: `check` has made sure that this is aligned RAM outside the payload's own image; the access is volatile.
        let word = unsafe { (*address as *const u64).read_volatile() };
        word != u64::from_ne_bytes([byte; 8])
    })
}
