//! Further CPUs: switched on by PSCI, given work one piece at a time, switched off again.
//!
//! The MMU is off, so exclusive accesses do not work; CPUs tell each other by loads and stores of single words. The first CPU
//! waits for what it has given away, so that nothing is used by two.
use crate::framework::Outcome;
use crate::{expect_eq, failure, machine};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use remoteproc_abi::result::TeeResult;
use remoteproc_shim::ffa::Status;

/// CPUs that the tests use, the first one among them.
pub const PROCESSORS: usize = 4;
/// Bytes of a stack; as in `entry.S`.
const STACK: usize = 0x1_0000;

pub const CPU_OFF: u32 = 0x8400_0002;
pub const CPU_ON: u32 = 0xC400_0003;
pub const AFFINITY_INFO: u32 = 0xC400_0004;
/// What AFFINITY_INFO answers.
pub const ON: i64 = 0;
pub const OFF: i64 = 1;
const PENDING: i64 = 2;
/// How long a CPU may take for anything, ms.
const WITHIN: u64 = 120_000;

#[repr(align(16))]
struct Stacks(#[allow(dead_code, reason = "used by the entry code")] UnsafeCell<[[u8; STACK]; PROCESSORS]>);

// SAFETY: each CPU uses its own stack only, by the entry code.
unsafe impl Sync for Stacks {}

#[unsafe(no_mangle)]
static processor_stacks: Stacks = Stacks(UnsafeCell::new([[0; STACK]; PROCESSORS]));

/// What a CPU is to do: a function and its argument, or no function.
struct Desk {
    work: AtomicU64,
    argument: AtomicU64,
}

static DESKS: [Desk; PROCESSORS] =
    [const { Desk { work: AtomicU64::new(0), argument: AtomicU64::new(0) } }; PROCESSORS];
/// Times that a CPU has begun.
static BEGUN: [AtomicU64; PROCESSORS] = [const { AtomicU64::new(0) }; PROCESSORS];
/// Those who ask without end are to stop.
static ENOUGH: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn processor_entry() -> !;
}

/// Makes a PSCI call.
pub fn psci(function: u32, arguments: &[u64]) -> i64 {
    let mut registers = [0; 17];
    registers[..arguments.len()].copy_from_slice(arguments);
    // Results have 32 bits in the calls of that width.
    i64::from((smccc::smc64(function, registers)[0] as u32).cast_signed())
}

/// Where CPUs start.
pub fn entry() -> u64 {
    processor_entry as *const () as u64
}

/// Tells whether a CPU is on.
pub fn state(processor: usize) -> i64 {
    psci(AFFINITY_INFO, &[processor as u64, 0])
}

/// Switches a CPU on and waits until it is there.
pub fn switch_on(processor: usize) -> Outcome {
    let begun = BEGUN[processor].load(Ordering::Acquire);
    let argument = processor as u64;
    expect_eq!(psci(CPU_ON, &[argument, entry(), argument]), 0, "the result of CPU_ON");
    if !machine::wait_until(WITHIN, || BEGUN[processor].load(Ordering::Acquire) != begun) {
        return Err(failure!("CPU {processor} does not begin"));
    }
    expect_eq!(state(processor), ON, "AFFINITY_INFO of a CPU that runs");
    Ok(())
}

/// Has a CPU switch itself off, and waits until it is.
pub fn switch_off(processor: usize) -> Outcome {
    extern "C" fn off(_: u64) {
        let result = psci(CPU_OFF, &[]);
        panic!("CPU_OFF comes back with {result}");
    }
    give(processor, off, 0);
    if !machine::wait_until(WITHIN, || state(processor) == OFF) {
        return Err(failure!("CPU {processor} does not go off"));
    }
    DESKS[processor].work.store(0, Ordering::Release);
    Ok(())
}

/// Switches all CPUs but the first one off.
pub fn switch_all_off() -> Outcome {
    (1..PROCESSORS).filter(|processor| matches!(state(*processor), ON | PENDING)).try_for_each(switch_off)
}

fn give(processor: usize, work: extern "C" fn(u64), argument: u64) {
    DESKS[processor].argument.store(argument, Ordering::Release);
    DESKS[processor].work.store(work as usize as u64, Ordering::Release);
}

/// Waits for a CPU to be done. What it works on is the caller's, so there is no way on without that.
fn wait_for(processor: usize) {
    let done = machine::wait_until(WITHIN, || DESKS[processor].work.load(Ordering::Acquire) == 0);
    assert!(done, "CPU {processor} is not done");
}

/// Has a CPU do something, and waits.
pub fn run_on<R>(processor: usize, work: impl FnOnce() -> R) -> R {
    let mut place = (Some(work), None);
    run_at(processor, &mut place);
    place.1.expect("the CPU is done")
}

fn run_at<F: FnOnce() -> R, R>(processor: usize, place: &mut (Option<F>, Option<R>)) {
    extern "C" fn run<F: FnOnce() -> R, R>(place: u64) {
        // SAFETY: `run_at` waits, and meanwhile this CPU alone uses what it points to.
        let place = unsafe { &mut *(place as *mut (Option<F>, Option<R>)) };
        place.1 = place.0.take().map(|work| work());
    }
    give(processor, run::<F, R>, core::ptr::from_mut(place) as u64);
    wait_for(processor);
}

/// Switches a CPU on for one piece of work, behind which it goes off by itself, so that it does nothing else. `rest` is what this
/// CPU does again and again meanwhile.
pub fn visit<R>(processor: usize, work: impl FnOnce() -> R, mut rest: impl FnMut()) -> Outcome<R> {
    extern "C" fn run<F: FnOnce() -> R, R>(place: u64) {
        // SAFETY: `visit` waits until this CPU is off, and meanwhile this CPU alone uses what it points to.
        let place = unsafe { &mut *(place as *mut (Option<F>, Option<R>)) };
        place.1 = place.0.take().map(|work| work());
        let result = psci(CPU_OFF, &[]);
        panic!("CPU_OFF comes back with {result}");
    }
    fn give_to<F: FnOnce() -> R, R>(processor: usize, place: &mut (Option<F>, Option<R>)) {
        give(processor, run::<F, R>, core::ptr::from_mut(place) as u64);
    }
    let mut place = (Some(work), None);
    give_to(processor, &mut place);
    let argument = processor as u64;
    expect_eq!(psci(CPU_ON, &[argument, entry(), argument]), 0, "the result of CPU_ON");
    let off = machine::wait_until(WITHIN, || {
        rest();
        state(processor) == OFF
    });
    // What it works on is this function's.
    assert!(off, "CPU {processor} does not go off");
    DESKS[processor].work.store(0, Ordering::Release);
    place.1.ok_or_else(|| failure!("CPU {processor} has done nothing"))
}

/// One request again and again, and what became of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker {
    /// x1 of the direct request.
    pub parties: u64,
    /// Its payload.
    pub payload: [u64; 5],
    /// Results that are right, but for BUSY.
    pub results: [u32; 2],
    /// Values that come with them, if they are always the same.
    pub values: Option<[u64; 4]>,
    /// Answers to get; 0: until the others are done.
    pub times: u64,
    /// Answers with one of the results.
    pub answered: u64,
    /// FFA_ERROR with BUSY.
    pub refused: u64,
    /// Answers with the result BUSY.
    pub busy: u64,
    /// Most of the two in a row.
    pub longest: u64,
    /// The first answer that is none of these: x0 to x3.
    pub wrong: Option<[u64; 4]>,
}

impl Asker {
    /// Asks.
    pub fn ask(&mut self) {
        const REQUEST: u32 = 0xC400_006F;
        const RESPONSE: u64 = 0xC400_0070;
        const FFA_ERROR: u64 = 0x8400_0060;
        let mut arguments = [0; 17];
        arguments[0] = self.parties;
        arguments[2..7].copy_from_slice(&self.payload);
        let swapped = self.parties << 16 & 0xFFFF_0000 | self.parties >> 16;
        let mut row = 0;
        while self.times == 0 && ENOUGH.load(Ordering::Acquire) == 0 || self.answered < self.times {
            let answer = smccc::smc64(REQUEST, arguments);
            let [x0, x1, x2, x3, ..] = answer;
            let clean = answer[8..].iter().all(|value| *value == 0);
            let result = x3 as u32;
            if x0 == FFA_ERROR && Status((x2 as u32).cast_signed()) == Status::BUSY {
                self.refused += 1;
                row += 1;
            } else if x0 != RESPONSE || x1 != swapped || x2 != 0 || !clean {
                self.wrong = Some([x0, x1, x2, x3]);
                return;
            } else if result == u32::from(TeeResult::Busy) {
                self.busy += 1;
                row += 1;
            } else if self.results.contains(&result)
                && x3 >> 32 == 0
                && self.values.is_none_or(|values| answer[4..8] == values)
            {
                self.answered += 1;
                row = 0;
            } else {
                self.wrong = Some([x0, x1, x2, x3]);
                return;
            }
            self.longest = self.longest.max(row);
        }
    }
}

/// Has CPUs ask, each its own, the CPU after the first one the first of them, while this one does something.
pub fn ask_during<R>(askers: &mut [Asker], work: impl FnOnce() -> R) -> R {
    extern "C" fn run(asker: u64) {
        // SAFETY: `ask_during` waits, and meanwhile this CPU alone uses what it points to.
        unsafe { &mut *(asker as *mut Asker) }.ask();
    }
    ENOUGH.store(0, Ordering::Release);
    let first: *mut Asker = askers.as_mut_ptr();
    for index in 0..askers.len() {
        give(index + 1, run, first.wrapping_add(index) as u64);
    }
    let result = work();
    ENOUGH.store(1, Ordering::Release);
    (1..=askers.len()).for_each(wait_for);
    result
}

/// Has a CPU do something again and again while this one does something else.
pub fn again_during<R, F: FnMut()>(processor: usize, mut again: F, work: impl FnOnce() -> R) -> R {
    extern "C" fn run<F: FnMut()>(again: u64) {
        // SAFETY: `again_during` waits, and meanwhile this CPU alone uses what it points to.
        let again = unsafe { &mut *(again as *mut F) };
        while !enough() {
            again();
        }
    }
    ENOUGH.store(0, Ordering::Release);
    give(processor, run::<F>, core::ptr::from_mut(&mut again) as u64);
    let result = work();
    ENOUGH.store(1, Ordering::Release);
    wait_for(processor);
    result
}

/// Tells those who do something without end that they are to stop.
pub fn enough() -> bool {
    ENOUGH.load(Ordering::Acquire) != 0
}

/// Called by the entry code on every further CPU.
#[unsafe(no_mangle)]
extern "C" fn processor_main(processor: usize) -> ! {
    let desk = &DESKS[processor];
    BEGUN[processor].store(BEGUN[processor].load(Ordering::Relaxed) + 1, Ordering::Release);
    loop {
        let work = desk.work.load(Ordering::Acquire);
        if work == 0 {
            core::hint::spin_loop();
            continue;
        }
        // SAFETY: `give` has stored such a function, whole, after its argument.
        let work: extern "C" fn(u64) = unsafe { core::mem::transmute(work as usize) };
        work(desk.argument.load(Ordering::Acquire));
        desk.work.store(0, Ordering::Release);
    }
}
