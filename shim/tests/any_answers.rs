//! An SPMC that answers anything: the client comes to an end without a panic, and shared memory is asked back each time.
mod fake;
use fake::*;
use proptest::prelude::*;
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_shim::ffa::{FfaTee, FfaTransport, Options, Registers};
use remoteproc_shim::{Limits, Remoteproc};

/// Answers from a list, over and over.
#[derive(Debug)]
struct Anything {
    answers: Vec<Registers>,
    next: usize,
    shares: usize,
    reclaims: usize,
}

impl FfaTransport for Anything {
    fn call(&mut self, registers: Registers) -> Registers {
        let answer = self.answers[self.next % self.answers.len()];
        self.next += 1;
        match registers[0] {
            // A connection needs its first answers to be good.
            VERSION => return fake::registers(&[0x1_0002]),
            MEM_SHARE if answer[0] == SUCCESS || answer[0] == SUCCESS_64 => self.shares += 1,
            MEM_RECLAIM => self.reclaims += 1,
            _ => {}
        }
        answer
    }

    fn pause(&mut self) {}
}

/// Answers with function ids that mean something, and values near those that are compared with.
fn answer() -> impl Strategy<Value = Registers> {
    let function = prop::sample::select(vec![
        SUCCESS,
        SUCCESS_64,
        ERROR,
        INTERRUPT,
        YIELD,
        DIRECT_RESP,
        0x8400_0070,
        0xFFFF_FFFF,
        0,
    ]);
    let value = prop_oneof![
        Just(0u64),
        Just(PARTITION << 16),
        Just(0x00A4_0001),
        Just(24 << 48),
        Just(head(PARTITION, 0x101)),
        0u64..0x4000,
        any::<u64>(),
    ];
    (function, prop::collection::vec(value, 17)).prop_map(|(function, values)| {
        let mut answer = registers(&[function]);
        answer[1..].copy_from_slice(&values);
        answer
    })
}

proptest! {
    #[test]
    fn the_client_ends(answers in prop::collection::vec(answer(), 1..24), receive in prop::collection::vec(any::<u8>(), 4096)) {
        let transport = Anything { answers, next: 0, shares: 0, reclaims: 0 };
        let mut pages = Pages::new();
        pages.receive = receive;
        let Ok(mut tee) = FfaTee::connect(transport, pages) else { return Ok(()) };
        tee.set_options(Options { ranges_per_share: 1, resumes: 5, busy: 5, ..Options::default() });
        let mut client = Remoteproc::new(tee, 0);
        client.set_limits(Limits { busy: 5, idle: 5 });
        let image = [
            Constituent { address: 0x5010_0000, page_count: 1 },
            Constituent { address: 0x5000_0000, page_count: 2 },
        ];
        for _ in 0..4 {
            let _ = client.load(&image, 0x2345, |progress| assert!(progress.done <= progress.total));
            let _ = client.resource_table();
            let _ = client.start();
            let _ = client.stop(StopMode::Forced);
            let _ = client.last_error();
            let _ = client.release();
        }
        let transport = client.tee().transport();
        prop_assert_eq!(transport.shares, transport.reclaims);
    }
}
