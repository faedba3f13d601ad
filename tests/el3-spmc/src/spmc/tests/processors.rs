//! Several CPUs: PSCI, execution contexts that stay on their CPU, and the one that does not.
use super::*;
use crate::manifest::POWER_OFF_MESSAGE;

const CPU_ON: u64 = CPU_ON_64 as u64;
const CPU_OFF: u64 = psci::CPU_OFF as u64;
const AFFINITY_INFO: u64 = AFFINITY_INFO_64 as u64;
const REGISTER: u64 = SECONDARY_EP_REGISTER_64 as u64;
const ENTRY: u64 = 0x6000_0100;
const SECONDARY: u64 = 0x0e30_5000;
/// PSCI results.
const ALREADY_ON: u64 = -4_i64 as u64;
const ON_PENDING: u64 = -5_i64 as u64;
const INVALID_ADDRESS: u64 = -9_i64 as u64;
const WRONG: u64 = -2_i64 as u64;
const REFUSED: u64 = -3_i64 as u64;

impl Bench {
    fn on(&mut self, processor: usize, world: World, arguments: &[u64]) -> Outcome {
        let mut registers = [0; 18];
        registers[..arguments.len()].copy_from_slice(arguments);
        self.spmc.call(&mut self.machine, &Call { world, processor, registers: &registers })
    }

    /// A partition with a context for each of four CPUs, ready on the first.
    fn several() -> Self {
        let mut bench = Self::with(Manifest { contexts: 4, power_messages: POWER_OFF_MESSAGE, ..manifest() });
        bench.secure(&[ffa::VERSION.into(), 0x10002]);
        assert_eq!(bench.secure(&[REGISTER, SECONDARY])[0], OK);
        bench.initialized()
    }

    /// Wakes a CPU; its context of the partition waits.
    fn wake(&mut self, processor: usize) {
        let outcome = self.on(0, World::Normal, &[CPU_ON, processor as u64, ENTRY, 7]);
        assert_eq!(outcome, Outcome::Wake(processor, Answer::x0(0)));
        let start = self.spmc.started(processor).unwrap();
        assert_eq!((start.entry, start.context), (ENTRY, 7));
        if start.partition.is_some() {
            let outcome = self.on(processor, World::Secure, &[ffa::MSG_WAIT.into()]);
            assert_eq!(outcome, Outcome::Switch(World::Normal, Answer::NOTHING));
        }
    }

    fn request_on(&mut self, processor: usize) -> Outcome {
        self.on(processor, World::Normal, &[DIRECT_REQ_64.into(), 0x8001, 0, 3])
    }

    fn response_on(&mut self, processor: usize) -> Outcome {
        self.on(processor, World::Secure, &[DIRECT_RESP_64.into(), 0x8001_0000])
    }
}

const BUSY_ANSWER: Outcome = Outcome::Return(Answer {
    registers: [ERROR, 0, BUSY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    count: 8,
});

#[test]
fn processors_go_on_and_off() {
    let mut bench = Bench::ready();
    let affinity = |bench: &mut Bench, target| bench.normal(&[AFFINITY_INFO, target, 0])[0];
    assert_eq!([0, 1, 4, 0x100].map(|target| affinity(&mut bench, target)), [0, 1, WRONG, WRONG]);
    assert_eq!(bench.normal(&[AFFINITY_INFO, 1, 1])[0], WRONG);
    for (arguments, result) in [
        ([4, ENTRY, 0], WRONG),
        ([1, 0x0e30_0000, 0], INVALID_ADDRESS),
        ([1, ENTRY + 2, 0], INVALID_ADDRESS),
        ([0, ENTRY, 0], ALREADY_ON),
    ] {
        assert_eq!(bench.normal(&[CPU_ON, arguments[0], arguments[1], arguments[2]])[0], result);
    }
    assert_eq!(bench.spmc.started(1), None);
    assert_eq!(bench.on(0, World::Normal, &[CPU_ON, 1, ENTRY, 9]), Outcome::Wake(1, Answer::x0(0)));
    assert_eq!(affinity(&mut bench, 1), 2);
    assert_eq!(bench.normal(&[CPU_ON, 1, ENTRY, 9])[0], ON_PENDING);
    // The partition's one context is elsewhere: the CPU goes on in the normal world at once.
    assert_eq!(bench.spmc.started(1), Some(Start { entry: ENTRY, context: 9, partition: None }));
    assert_eq!((bench.spmc.started(1), affinity(&mut bench, 1)), (None, 0));
    assert_eq!(bench.normal(&[CPU_ON, 1, ENTRY, 9])[0], ALREADY_ON);
    assert_eq!(bench.on(1, World::Normal, &[CPU_OFF]), Outcome::ProcessorOff);
    assert_eq!(affinity(&mut bench, 1), 1);
    bench.wake(1);
    for function in [CPU_ON, CPU_OFF, AFFINITY_INFO] {
        assert_eq!(bench.normal(&[psci::FEATURES.into(), function])[0], 0);
        assert_eq!(bench.secure(&[function])[0], UNKNOWN);
        assert_eq!(bench.rules(), ["psci-from-partition"]);
    }
}

#[test]
fn one_context_serves_one_processor_at_a_time() {
    let mut bench = Bench::ready();
    bench.wake(1);
    assert!(matches!(bench.request_on(1), Outcome::Switch(World::Secure, _)));
    assert_eq!(bench.request_on(0), BUSY_ANSWER);
    assert!(matches!(bench.response_on(1), Outcome::Switch(World::Normal, _)));
    assert!(matches!(bench.request_on(0), Outcome::Switch(World::Secure, _)));
    assert_eq!(bench.request_on(1), BUSY_ANSWER);
    assert!(matches!(bench.response_on(0), Outcome::Switch(World::Normal, _)));
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn each_processor_has_its_context() {
    let mut bench = Bench::several();
    // Nobody has begun there.
    assert_eq!(bench.request_on(1), BUSY_ANSWER);
    bench.wake(1);
    assert!(matches!(bench.request_on(1), Outcome::Switch(World::Secure, _)));
    assert!(matches!(bench.request_on(0), Outcome::Switch(World::Secure, _)));
    for processor in [0, 1] {
        // Each prints its own lines.
        let word = u64::from_le_bytes([b'a' + processor as u8, b' ', b'l', b'i', b'n', b'e', b'.', b' ']);
        bench.on(processor, World::Secure, &[CONSOLE_LOG_64.into(), 8, word]);
    }
    for processor in [0, 1] {
        bench.on(processor, World::Secure, &[CONSOLE_LOG_64.into(), 1, 10]);
    }
    assert_eq!(bench.machine.lines, ["[SP] a line. ", "[SP] b line. "]);
    assert!(matches!(bench.response_on(0), Outcome::Switch(World::Normal, _)));
    assert!(matches!(bench.response_on(1), Outcome::Switch(World::Normal, _)));
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn contexts_start_where_the_partition_says() {
    let mut bench = Bench::several();
    bench.on(0, World::Normal, &[CPU_ON, 2, ENTRY, 0]);
    assert_eq!(bench.spmc.started(2).unwrap().partition, Some(Some(SECONDARY)));
    assert_eq!(bench.secure(&[REGISTER, SECONDARY])[..3], [ERROR, 0, DENIED]);
    assert_eq!(bench.rules(), ["secondary-late"]);

    let mut bench = Bench::with(Manifest { contexts: 4, ..manifest() });
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    for wrong in [[0x6000_0000, 0], [SECONDARY + 1, 0], [SECONDARY, 1]] {
        assert_eq!(bench.secure(&[REGISTER, wrong[0], wrong[1]])[..3], [ERROR, 0, INVALID]);
        assert_eq!(bench.rules(), ["secondary-entry"]);
    }
    let mut bench = bench.initialized();
    bench.on(0, World::Normal, &[CPU_ON, 2, ENTRY, 0]);
    assert_eq!(bench.spmc.started(2).unwrap().partition, Some(None));

    // One context: there is nothing to start.
    let mut bench = Bench::cold();
    bench.secure(&[ffa::VERSION.into(), 0x10002]);
    assert_eq!(bench.secure(&[REGISTER, SECONDARY])[..3], [ERROR, 0, NOT_SUPPORTED]);
    assert_eq!(bench.rules().len(), 0);
}

#[test]
fn the_partition_is_told_of_a_processor_that_goes() {
    const RESPONSE: [u64; 4] = [DIRECT_RESP_32 as u64, 0x8001_8000, 0x8000_0002, 0];
    let mut bench = Bench::several();
    bench.wake(1);
    // Not in the middle of a request.
    bench.request_on(1);
    bench.spmc.signal_interrupts = true;
    assert!(bench.spmc.interrupted(&mut bench.machine, 1).is_some());
    assert_eq!(bench.on(1, World::Normal, &[CPU_OFF]), Outcome::Return(Answer::x0(REFUSED)));
    bench.on(1, World::Normal, &[ffa::RUN.into(), 0x8001_0001]);
    bench.response_on(1);

    let Outcome::Switch(World::Secure, message) = bench.on(1, World::Normal, &[CPU_OFF]) else { panic!() };
    assert_eq!(message.registers[..4], [DIRECT_REQ_32.into(), 0x8000_8001, 1 << 31, CPU_OFF]);
    assert_eq!((&message.registers[4..], message.count), (&[0; 14][..], 18));
    // Interrupts wait meanwhile.
    assert!(!bench.spmc.signals_interrupts(1));
    assert_eq!(bench.on(1, World::Secure, &RESPONSE), Outcome::ProcessorOff);
    assert_eq!(bench.rules().len(), 0);
    bench.wake(1);
    for wrong in [[RESPONSE[0], RESPONSE[1], 0, 0], [RESPONSE[0], RESPONSE[1], RESPONSE[2], REFUSED]] {
        bench.on(1, World::Normal, &[CPU_OFF]);
        assert_eq!(bench.on(1, World::Secure, &wrong), Outcome::ProcessorOff);
        assert_eq!(bench.rules(), ["power-response"]);
        bench.wake(1);
    }
    bench.on(1, World::Normal, &[CPU_OFF]);
    bench.on(1, World::Secure, &[ffa::MSG_WAIT.into()]);
    assert_eq!(bench.rules(), ["wait-in-request"]);
}
