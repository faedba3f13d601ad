//! Preemption of the partition, FFA_YIELD and FFA_RUN.
use super::*;

const TARGET: u64 = 0x8001_0000;
const RUN: u64 = ffa::RUN as u64;
const YIELD: u64 = ffa::YIELD as u64;

/// A bench whose manifest wants interrupts signaled, serving a request.
fn signaled() -> Bench {
    let mut bench =
        Bench::with(Manifest { interrupts: InterruptAction::Signaled, ..manifest() }).initialized();
    bench.request();
    bench
}

impl Bench {
    fn interrupt(&mut self) -> Option<Outcome> {
        self.spmc.interrupted(&mut self.machine, 0)
    }

    fn preempt(&mut self) {
        let answer = Answer::eight([ffa::INTERRUPT.into(), TARGET]);
        assert_eq!(self.interrupt(), Some(Outcome::Switch(World::Normal, answer)));
    }

    fn answers(&mut self) {
        let outcome = self.outcome(World::Secure, &[DIRECT_RESP_64.into(), 0x8001_0000, 0, 7]);
        let Outcome::Switch(World::Normal, answer) = outcome else { panic!("{outcome:?}") };
        assert_eq!(answer.registers[..4], [DIRECT_RESP_64.into(), 0x8001_0000, 0, 7]);
    }
}

#[test]
fn interrupted_requests_go_on_where_they_were() {
    let mut bench = signaled();
    for _ in 0..3 {
        bench.preempt();
        assert_eq!(
            bench.outcome(World::Normal, &[RUN, TARGET]),
            Outcome::Switch(World::Secure, Answer::NOTHING)
        );
    }
    bench.answers();
    assert_eq!(bench.normal(&[RUN, TARGET])[..3], [ERROR, 0, DENIED], "nothing is interrupted any more");
    bench.request();
    bench.answers();
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn queued_interrupts_wait_unless_the_control_says_otherwise() {
    let mut bench = Bench::serving();
    assert!(!bench.spmc.signals_interrupts(0));
    assert_eq!(bench.interrupt(), None);
    bench.answers();
    assert_eq!(bench.normal(&[fixture::CONTROL.into(), fixture::SIGNAL_INTERRUPTS])[0], 0);
    assert_eq!(bench.interrupt(), None, "no request is being served");
    bench.request();
    assert!(bench.spmc.signals_interrupts(0));
    bench.preempt();
    // The control can go back meanwhile; what is interrupted can still be resumed.
    bench.normal(&[fixture::CONTROL.into(), 0]);
    assert!(matches!(bench.outcome(World::Normal, &[RUN, TARGET]), Outcome::Switch(World::Secure, _)));
    assert_eq!(bench.interrupt(), None);
    bench.answers();
}

#[test]
fn preempted_partitions_take_no_other_request() {
    let mut bench = signaled();
    bench.preempt();
    for request in [DIRECT_REQ_32, DIRECT_REQ_64] {
        assert_eq!(bench.normal(&[request.into(), 0x8001, 0, 3])[..3], [ERROR, 0, BUSY], "{request:#x}");
    }
    for (target, error) in
        [(0x8001_0001, INVALID), (0x8002_0000, INVALID), (0x8000_0000, INVALID), (0, INVALID)]
    {
        assert_eq!(bench.normal(&[RUN, target])[..3], [ERROR, 0, error], "{target:#x}");
    }
    assert!(matches!(bench.outcome(World::Normal, &[RUN, TARGET]), Outcome::Switch(World::Secure, _)));
    bench.answers();
    assert_eq!(bench.machine.violations, 0);
}

#[test]
fn memory_of_a_preempted_partition_is_not_reclaimed() {
    let mut bench = signaled();
    let handle = bench.share_handle(0x4100_0000, 2);
    assert_eq!(bench.retrieve(handle)[0], u64::from(ffa::MEM_RETRIEVE_RESP));
    bench.preempt();
    assert_eq!(bench.normal(&[fixture::PREEMPTIONS.into()])[..3], [1, 1, 1]);
    assert_eq!(bench.reclaim(handle)[..3], [ERROR, 0, DENIED]);
    bench.outcome(World::Normal, &[RUN, TARGET]);
    assert_eq!(bench.secure(&[ffa::RX_RELEASE.into()])[0], OK);
    bench.preempt();
    assert_eq!(bench.normal(&[fixture::PREEMPTIONS.into()])[..3], [2, 1, 2]);
    bench.outcome(World::Normal, &[RUN, TARGET]);
    assert_eq!(bench.relinquish(handle)[0], OK);
    bench.preempt();
    assert_eq!(bench.normal(&[fixture::PREEMPTIONS.into()])[..3], [3, 1, 2]);
    assert_eq!(bench.reclaim(handle)[0], OK);
    bench.outcome(World::Normal, &[RUN, TARGET]);
    bench.answers();
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn yields_are_passed_on_and_answered() {
    for mut bench in [Bench::serving(), signaled()] {
        let answer = Answer::eight([YIELD, TARGET, 5, 6]);
        assert_eq!(bench.outcome(World::Secure, &[YIELD, 0, 5, 6]), Outcome::Switch(World::Normal, answer));
        assert_eq!(bench.normal(&[DIRECT_REQ_64.into(), 0x8001])[..3], [ERROR, 0, BUSY]);
        assert_eq!(
            bench.outcome(World::Normal, &[RUN, TARGET]),
            Outcome::Switch(World::Secure, Answer::success(0, 0))
        );
        bench.answers();
        assert_eq!(bench.rules().len(), 0);
    }
}

#[test]
fn yields_that_break_a_rule() {
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    assert_eq!(bench.secure(&[YIELD])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["yield-without-request"]);
    let mut bench = Bench::serving();
    for (register, rule) in [(1, "yield-registers"), (4, "yield-registers"), (8, "extended-registers")] {
        let mut registers = [0; 18];
        registers[0] = YIELD;
        registers[register] = 1;
        assert_eq!(bench.secure(&registers)[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), [rule]);
    }
    assert_eq!(bench.secure(&[ffa::INTERRUPT.into()])[..3], [ERROR, 0, NOT_SUPPORTED]);
    assert_eq!(bench.rules(), ["answer-as-call"]);
    bench.answers();
}

/// The tables are walked at a preemption, too.
#[test]
fn preempted_partitions_are_looked_at() {
    let mut bench = signaled();
    // MMU on, 4 KiB granule, the table in the partition: one page of it maps the SPMC's memory.
    let registers = TranslationRegisters {
        control: 1,
        translation_control: 25 | 1 << 23,
        table_0: 0x0e32_0000,
        table_1: 0,
    };
    bench.machine.translation.set(registers);
    bench.machine.write(0x0e32_0000, &(0x0e32_1000_u64 | 3).to_le_bytes());
    bench.machine.write(0x0e32_1000 + 8 * (0x0e00_0000 >> 21), &(0x0e00_0000_u64 | 0x741).to_le_bytes());
    bench.preempt();
    assert_ne!(bench.rules().len(), 0);
}
