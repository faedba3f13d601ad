//! Any sequence of requests from two clients: one answer each, and the invariants hold after every one of them.
mod support;

use proptest::prelude::*;
use remoteproc_abi::door_d::Answer;
use remoteproc_abi::result::TeeResult;
use remoteproc_service::Caller;
use remoteproc_service::hardware::Observed;
use remoteproc_service::lifecycle::State;
use std::sync::OnceLock;
use support::*;

#[derive(Clone, Debug)]
enum Step {
    Load(Caller, usize),
    Start(Caller),
    Stop(Caller),
    Table(Caller),
    Release(Caller),
    LastError(Caller),
    Registers(Caller, [u64; 5]),
    /// The processor faults by itself.
    Crash,
    /// The hardware gets slow, or quick again.
    Slow(u32),
    /// Time goes by, milliseconds.
    Wait(u64),
}

/// Images: two that load, one without a boot address, one with a broken signature, one with a broken segment, one of noise.
fn images() -> &'static [Vec<u8>; 6] {
    static IMAGES: OnceLock<[Vec<u8>; 6]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        [
            sample(),
            second(),
            vector("01-rsa2048-m4.sig"),
            vector("negative/n09-sig-flip.sig"),
            vector("negative/n10-segbyte.sig"),
            vec![0x5a; 5000],
        ]
    })
}

fn callers() -> impl Strategy<Value = Caller> {
    prop_oneof![Just(KERNEL), Just(VM)]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (callers(), 0usize..6).prop_map(|(caller, image)| Step::Load(caller, image)),
        4 => callers().prop_map(Step::Start),
        3 => callers().prop_map(Step::Stop),
        1 => callers().prop_map(Step::Table),
        2 => callers().prop_map(Step::Release),
        1 => callers().prop_map(Step::LastError),
        1 => (callers(), any::<[u64; 5]>()).prop_map(|(caller, registers)| Step::Registers(caller, registers)),
        1 => (callers(), 0u64..0x20, any::<[u64; 3]>())
            .prop_map(|(caller, id, [a, b, c])| Step::Registers(caller, [id, M33.into(), a, b, c])),
        1 => Just(Step::Crash),
        1 => (0u32..3).prop_map(Step::Slow),
        1 => (0u64..6000).prop_map(Step::Wait),
    ]
}

fn perform(bench: &mut Bench, step: &Step) -> Option<Answer> {
    Some(match step {
        Step::Load(caller, image) => bench.load(*caller, M33, &images()[*image]),
        Step::Start(caller) => bench.start(*caller),
        Step::Stop(caller) => bench.stop(*caller),
        Step::Table(caller) => bench.table(*caller),
        Step::Release(caller) => bench.release(*caller),
        Step::LastError(caller) => bench.ask(*caller, remoteproc_abi::door_d::Request::GetLastError),
        Step::Registers(caller, registers) => bench.send(*caller, registers),
        Step::Crash => {
            if bench.machine().drivers[0].state == Observed::Running {
                bench.machine().drivers[0].crash();
            }
            return None;
        }
        Step::Slow(slowness) => {
            bench.machine().drivers[0].be_slow(*slowness);
            return None;
        }
        Step::Wait(milliseconds) => {
            bench.machine().now += milliseconds;
            return None;
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_sequence(sequence in prop::collection::vec(steps(), 1..30)) {
        let mut bench = Bench::new();
        let mut refusals = 0;
        for step in &sequence {
            let before = bench.state();
            let answer = perform(&mut bench, step);
            let after = bench.state();
            let running = bench.machine().drivers[0].state != Observed::Held;

            // One answer, of a kind that the ABI lists (`send` looks at that), and each refusal is counted.
            if let Some(answer) = answer {
                let result = answer.tee_result().unwrap();
                refusals += u64::from(!matches!(result, TeeResult::Success | TeeResult::InProgress));
            }
            prop_assert_eq!(bench.service.counters().refusals, refusals);

            // Only what was started runs, and only what was loaded is started.
            prop_assert!(!running || matches!(after, State::Running | State::Crashed), "{} runs", after);
            if after == State::Running && before != State::Running {
                prop_assert_eq!(before, State::Loaded);
            }
            if after == State::Loaded && before != State::Loaded {
                prop_assert!(matches!(step, Step::Load(_, 0..=2)), "{:?} loaded something", step);
            }
            // Nothing is left half done, and nothing is left behind.
            prop_assert_ne!(after, State::Loading);
            if after == State::Offline && before != State::Offline && !bench.machine().memory.is_untouched() {
                bench.assert_clear();
            }
        }
        // Whoever owns it can give it back, however it got here.
        bench.machine().drivers[0].be_slow(0);
        for caller in [KERNEL, VM] {
            bench.stop(caller);
            bench.release(caller);
        }
        prop_assert_eq!(bench.state(), State::Offline);
        succeeded(bench.load(VM, M33, &images()[0]));
    }
}
