//! Interrupts of the partition's own.
use super::*;

const TARGET: u64 = 0x8001_0000;

impl Bench {
    fn own_interrupt(&mut self) -> Outcome {
        self.spmc.secure_interrupt(&mut self.machine, 0)
    }

    #[track_caller]
    fn enters(&mut self) {
        let outcome = self.own_interrupt();
        let Outcome::Switch(World::Secure, answer) = outcome else { panic!("{outcome:?}") };
        assert_eq!((answer.registers[0], answer.count), (ffa::INTERRUPT.into(), 18));
        assert!(answer.registers[1..].iter().all(|register| *register == 0));
    }
}

#[test]
fn a_waiting_partition_is_entered_and_the_normal_world_goes_on_unchanged() {
    let mut bench = Bench::ready();
    for _ in 0..3 {
        bench.enters();
        assert!(!bench.spmc.signals_interrupts(0));
        assert_eq!(bench.secure(&[DIRECT_RESP_64.into(), TARGET])[..3], [ERROR, 0, DENIED]);
        assert_eq!(bench.rules(), ["response-without-request"]);
        bench.waits();
    }
    bench.request();
    assert_eq!(bench.rules().len(), 0);
    assert_eq!(bench.normal(&[fixture::SECURE_INTERRUPTS.into()])[0], 3);
}

#[test]
fn an_interrupt_waits_for_a_preempted_request() {
    let mut bench =
        Bench::with(Manifest { interrupts: InterruptAction::Signaled, ..manifest() }).initialized();
    bench.request();
    assert!(matches!(bench.spmc.interrupted(&mut bench.machine, 0), Some(Outcome::Switch(World::Normal, _))));
    assert_eq!(bench.own_interrupt(), Outcome::Return(Answer::NOTHING));
    assert_eq!(bench.machine.held, [40]);
    assert!(matches!(
        bench.outcome(World::Normal, &[ffa::RUN.into(), TARGET]),
        Outcome::Switch(World::Secure, _)
    ));
    assert_eq!(bench.machine.held, [40], "it still serves");
    let response = bench.outcome(World::Secure, &[DIRECT_RESP_64.into(), TARGET]);
    assert!(matches!(response, Outcome::Switch(World::Normal, _)));
    assert_eq!(bench.machine.held, [0_u32; 0]);
    bench.enters();
    assert_eq!(bench.machine.violations, 0);
}

#[test]
fn an_interrupt_that_is_not_ended_is_a_violation() {
    let mut bench = Bench::ready();
    bench.enters();
    bench.machine.active = true;
    bench.waits();
    assert_eq!(bench.rules(), ["interrupt-not-ended"]);
}

#[test]
fn an_interrupt_that_is_never_acknowledged_does_not_stop_the_normal_world() {
    let mut bench = Bench::ready();
    let mut entries = 0;
    while matches!(bench.own_interrupt(), Outcome::Switch(..)) {
        bench.waits();
        entries += 1;
        assert!(entries < 10_000);
    }
    assert_eq!(bench.rules(), ["interrupt-not-acknowledged"]);
    assert_eq!(bench.machine.held, [40]);
}
