//! Time, power, and the fixture's control call.
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use smccc::psci;

/// Counter frequency to assume where the firmware has not set one, Hz.
const DEFAULT_FREQUENCY: u64 = 62_500_000;
/// Sets how the SPMC fixture treats shares.
const FIXTURE_SET: u32 = 0xC300_0001;
/// Asks the SPMC fixture for the number of violations so far.
const FIXTURE_VIOLATIONS: u32 = 0xC300_0002;
/// Asks it for the number of preemptions so far.
const FIXTURE_PREEMPTIONS: u32 = 0xC300_0003;
/// Asks the SPMC fixture what is shared and mapped.
const FIXTURE_COUNTS: u32 = 0xC300_0004;
/// Tells the SPMC fixture in whose name memory is reclaimed.
const FIXTURE_SPEAKER: u32 = 0xC300_0005;

/// Has the SPMC fixture send a framework message.
const FIXTURE_FRAMEWORK: u32 = 0xC300_0007;

/// A moment, in ticks of the system counter.
#[derive(Clone, Copy)]
pub struct Moment(u64);

impl Moment {
    /// Returns the present.
    pub fn now() -> Self {
        Self(CNTPCT_EL0.get())
    }

    /// Returns the ticks since this moment.
    pub fn elapsed_ticks(self) -> u64 {
        CNTPCT_EL0.get().wrapping_sub(self.0)
    }

    /// Returns the microseconds since this moment.
    pub fn elapsed_microseconds(self) -> u64 {
        let ticks = u128::from(self.elapsed_ticks());
        u64::try_from(ticks * 1_000_000 / u128::from(frequency())).unwrap_or(u64::MAX)
    }
}

/// Returns the system counter, read behind everything that was done before.
pub fn ticks() -> u64 {
    barrier::isb(barrier::SY);
    CNTPCT_EL0.get()
}

/// Returns the system counter's frequency, Hz.
pub fn frequency() -> u64 {
    match CNTFRQ_EL0.get() {
        0 => DEFAULT_FREQUENCY,
        frequency => frequency,
    }
}

/// Sets what the virtual counter lags behind the physical one on this CPU, ticks modulo 2^64.
pub fn set_virtual_offset(ticks: u64) {
    // SAFETY: the register exists at EL2, and nothing here reads the virtual counter.
    unsafe {
        core::arch::asm!("msr cntvoff_el2, {}", "isb", in(reg) ticks, options(nomem, nostack, preserves_flags));
    }
}

/// Waits.
pub fn wait_microseconds(microseconds: u64) {
    let start = Moment::now();
    while start.elapsed_microseconds() < microseconds {
        core::hint::spin_loop();
    }
}

/// Waits until `condition` holds; false if it does not within the time.
pub fn wait_until(milliseconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let start = Moment::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed_microseconds() > milliseconds.saturating_mul(1000) {
            return false;
        }
        wait_microseconds(100);
    }
}

/// Ends the machine.
pub fn power_off() -> ! {
    let answer = psci::system_off::<smccc::Smc>();
    crate::say!("PSCI SYSTEM_OFF came back: {answer:?}");
    loop {
        core::hint::spin_loop();
    }
}

/// How the SPMC fixture treats what a strict one refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// It denies them.
    Strict,
    /// It takes any address, as an SPMC without knowledge of the memory does.
    Lenient,
    /// The same, and tells the partition that the memory is secure.
    LenientSecure,
    /// It delivers requests of the second family whatever their UUID, as an SPMC at EL3 does.
    AnyUuid,
    /// It is strict, and interrupts of the normal world preempt the partition, whatever its manifest says.
    Preempting,
}

/// Sets how strict the fixture is. False: it has no such control.
pub fn set_strictness(strictness: Strictness) -> bool {
    let flags = match strictness {
        Strictness::Strict => 0,
        Strictness::Lenient => 1,
        Strictness::LenientSecure => 3,
        Strictness::AnyUuid => 4,
        Strictness::Preempting => 8,
    };
    fixture(FIXTURE_SET, flags) == 0
}

/// Returns how many violations of the specification the fixture has seen.
pub fn violations() -> u64 {
    fixture(FIXTURE_VIOLATIONS, 0)
}

/// What the SPMC fixture knows of memory that changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Shares that exist.
    pub shared: u64,
    /// Shares that the partition holds.
    pub retrieved: u64,
    /// Entries of the partition's stage 1 tables that map memory.
    pub mapped: u64,
}

/// Returns what the fixture counts; `None` if the SPMC is another one.
pub fn counts() -> Option<Counts> {
    let [shared, retrieved, mapped, ..] = smccc::smc64(FIXTURE_COUNTS, [0; 17]);
    // What SMCCC answers for an unknown function.
    (shared != u64::MAX).then_some(Counts { shared, retrieved, mapped })
}

/// Has memory reclaimed in this endpoint's name. False: the SPMC has no such control.
pub fn set_speaker(endpoint: u16) -> bool {
    fixture(FIXTURE_SPEAKER, endpoint.into()) == 0
}

/// Has the fixture send the partition a framework message: function, sender, number, w3 to w5. Returns x0 to x7 of the partition's
/// answer; `None`: it sends no such message.
pub fn framework_message(function: u32, sender: u16, number: u32, payload: [u64; 3]) -> Option<[u64; 8]> {
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[function.into(), sender.into(), number.into()]);
    arguments[3..6].copy_from_slice(&payload);
    let answer = smccc::smc64(FIXTURE_FRAMEWORK, arguments);
    let [x0, x1, x2, x3, x4, x5, x6, x7, ..] = answer;
    (x0 != u64::MAX).then_some([x0, x1, x2, x3, x4, x5, x6, x7])
}

/// How often the fixture has preempted the partition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Preemptions {
    /// All.
    pub all: u64,
    /// While the partition had a description of memory in its RX buffer.
    pub receiving: u64,
    /// While it held memory.
    pub holding: u64,
}

/// Returns how often the fixture has preempted the partition.
pub fn preemptions() -> Preemptions {
    let [all, receiving, holding, ..] = smccc::smc64(FIXTURE_PREEMPTIONS, [0; 17]);
    Preemptions { all, receiving, holding }
}

fn fixture(function: u32, argument: u64) -> u64 {
    let mut arguments = [0; 17];
    arguments[0] = argument;
    smccc::smc64(function, arguments)[0]
}
