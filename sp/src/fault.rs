//! Faults on request, only in a partition built with the feature `fault-injection`, for the tests of the end (`dead.rs`).
//!
//! Command 0xFA17 of door D, which is none of the ABI's: x4 = way to fail (1 panic, 2 data abort, 3 instruction abort, 4 undefined
//! instruction, 5 overflow of the stack, 6 heap used up, 7 panic with nearly no stack left), x5 = point to fail at (1 in this request,
//! 2 the next read of client memory, 3 the next write into a processor's memory, 4 the next read of it, 5 the next request of door
//! T, 6 the next change of the copy window, 7 the next copy through it, 9 the next request of
//! door T before it takes the service), x6 = 1: fail once more in the same way while dying. Answered with 0 where nothing has failed yet, with all ones for numbers that mean nothing.
//!
//! x4 = 8 is another kind: the hardware fails, not the partition. The next write of a security counter is not done, and the driver
//! says so; x5 and x6 are 0. x4 = 9 is a question: the answer's x4 is the number of bytes of the heap that are in use, after x5
//! more were leaked.
//!
//! An SError can't be provoked here: the partition masks it, and nothing below the SPMC can raise one.
extern crate alloc;

use crate::heap;
use crate::memory::layout;
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use remoteproc_abi::door_d::Registers;
use remoteproc_image::target::Region;
use remoteproc_service::hardware::{
    Boot, DriverError, DriverProgress, Isolation, Observed, ProcessorDriver, SecurityCounter,
};

/// The command.
const COMMAND: u64 = 0xFA17;
/// No fault is due.
const NONE: u64 = 0;
/// The next write of a security counter fails.
const COUNTER_WRITE: u64 = 8;
/// How much of the heap is in use?
const HEAP_IN_USE: u64 = 9;
/// Most bytes of the heap that are leaked on request.
const MOST_LEAKED: usize = 1024;

/// What is left of the stack for a panic that comes late, bytes.
const ROOM: usize = 512;

/// Where a fault can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Point {
    /// In the request that asks for it, with the service's lock held.
    Now = 1,
    /// Client memory is read: metadata, or segments.
    ClientRead = 2,
    /// A processor's memory is written: it is claimed.
    RemoteWrite = 3,
    /// A processor's memory is read: hashed.
    RemoteRead = 4,
    /// A 32-bit request is being answered.
    DoorT = 5,
    /// The copy window is about to be mapped, with the lock on the translation tables held.
    Tables = 6,
    /// The copy window shows client memory.
    Window = 7,
    /// The partition is dying, and about to hold a processor.
    Dying = 8,
    /// A 32-bit request has come, and the service's lock is not taken yet.
    Outside = 9,
}

/// Where a fault is due, and which; for each of the two that can be.
static DUE: [[AtomicU64; 2]; 2] = [const { [const { AtomicU64::new(NONE) }; 2] }; 2];

/// The next write of a security counter is to fail.
static COUNTER_WRITE_FAILS: AtomicBool = AtomicBool::new(false);

/// Takes the command; `None` for other requests.
pub fn command(request: &Registers) -> Option<Registers> {
    let [command, kind, point, again, _] = *request;
    if command != COMMAND {
        return None;
    }
    if [kind, point, again] == [COUNTER_WRITE, 0, 0] {
        COUNTER_WRITE_FAILS.store(true, Ordering::Relaxed);
        return Some([0; 5]);
    }
    if kind == HEAP_IN_USE {
        let leaked = usize::try_from(point).unwrap_or(0).min(MOST_LEAKED);
        black_box(alloc::vec![0u8; leaked].leak());
        return Some([0, heap::in_use() as u64, 0, 0, 0]);
    }
    let known =
        (1..=7).contains(&kind) && (matches!(point, 1..=7) || point == Point::Outside as u64) && again <= 1;
    if !known {
        return Some([u64::MAX, 0, 0, 0, 0]);
    }
    let [first, second] = &DUE;
    plan(first, point, kind);
    if again == 1 {
        plan(second, Point::Dying as u64, kind);
    }
    reach(Point::Now);
    Some([0; 5])
}

fn plan([point, kind]: &[AtomicU64; 2], at: u64, what: u64) {
    point.store(at, Ordering::Relaxed);
    kind.store(what, Ordering::Relaxed);
}

/// Fails if a fault is due here.
pub fn reach(here: Point) {
    for [point, kind] in &DUE {
        if point.load(Ordering::Relaxed) == here as u64 {
            // Once.
            point.store(NONE, Ordering::Relaxed);
            fail(kind.load(Ordering::Relaxed));
        }
    }
}

#[allow(clippy::panic, reason = "that is what is asked for")]
fn fail(kind: u64) {
    match kind {
        // Nothing is mapped there.
        // SAFETY: not sound, and meant so: the access faults.
        2 => drop(unsafe { black_box(0x100usize as *const u64).read_volatile() }),
        3 => {
            let data = DUE.as_ptr();
            // SAFETY: not sound, and meant so: data is not executable, the jump faults.
            unsafe { asm!("br {}", in(reg) data, options(noreturn)) }
        }
        // SAFETY: an instruction that is defined to be undefined; it faults.
        4 => unsafe { asm!("udf #0", options(noreturn)) },
        5 => {
            overflow(0, 0);
        }
        7 => {
            overflow(0, layout::stack().start.saturating_add(ROOM));
        }
        6 => loop {
            black_box(alloc::vec![0u8; 1024].leak());
        },
        _ => panic!(),
    }
}

/// Uses the stack up; panics when it gets below an address.
#[inline(never)]
#[allow(clippy::panic, reason = "that is what is asked for")]
fn overflow(depth: u64, end: usize) -> u64 {
    let mut room = [depth; 32];
    if black_box(&mut room).as_ptr().addr() < end {
        panic!();
    }
    if depth == u64::MAX {
        return 0;
    }
    overflow(black_box(depth.wrapping_add(1)), end).wrapping_add(room[0])
}

/// A driver whose hardware fails when that is asked for.
#[derive(Debug)]
pub struct Unreliable<D>(pub D);

impl<D: ProcessorDriver> ProcessorDriver for Unreliable<D> {
    fn limit_ms(&self) -> u64 {
        self.0.limit_ms()
    }

    fn hold(&mut self) -> Result<DriverProgress, DriverError> {
        self.0.hold()
    }

    fn release(&mut self, boot: Boot) -> Result<DriverProgress, DriverError> {
        self.0.release(boot)
    }

    fn can_ask_to_stop(&self) -> bool {
        self.0.can_ask_to_stop()
    }

    fn ask_to_stop(&mut self) -> Result<DriverProgress, DriverError> {
        self.0.ask_to_stop()
    }

    fn observe(&mut self) -> Result<Observed, DriverError> {
        self.0.observe()
    }

    fn isolate(&mut self, region: &Region, isolation: Isolation) -> Result<(), DriverError> {
        self.0.isolate(region, isolation)
    }

    fn enforces_isolation(&self) -> bool {
        self.0.enforces_isolation()
    }

    fn security_counter(&mut self) -> Result<SecurityCounter, DriverError> {
        self.0.security_counter()
    }

    fn raise_security_counter(&mut self, value: u32) -> Result<(), DriverError> {
        // Once.
        if COUNTER_WRITE_FAILS.swap(false, Ordering::Relaxed) {
            return Err(DriverError);
        }
        self.0.raise_security_counter(value)
    }
}
