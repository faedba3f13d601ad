//! Many processors: as many as a board may have, each with a state, an owner and memory of its own; what is done to one changes nothing
//! of another. And processors that are not for every endpoint.
mod support;

use heapless::Vec as Bounded;
use remoteproc_abi::door_d::{Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Info, ProcessorInfo, ProcessorState, Status};
use remoteproc_image::target::Region;
use remoteproc_refusal::Refusal;
use remoteproc_service::Caller;
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::{Board, MAX_PROCESSORS, Processor};
use remoteproc_service::jobs::MAX_LOADS;
use remoteproc_service::lifecycle::State;
use support::*;

/// Bytes of all regions of one processor of [`full_board`].
const MEMORY: usize = 0x7_0000;
/// From one processor's memory to the next one's.
const STRIDE: u64 = 0x10_0000;

/// An image that loads on each of them.
fn image() -> Vec<u8> {
    vector("01-rsa2048-m4.sig")
}

fn id(index: usize) -> u32 {
    100 + index as u32
}

fn owner(index: usize) -> Caller {
    Caller { endpoint: 20 + index as u16, ..VM }
}

/// The M4 of the usual board, `count` times.
fn board_with(count: usize) -> Board<'static> {
    let usual = board();
    let m4 = usual.processors[1].clone();
    let processor = |index: usize| {
        let moved = |region: &Region| Region {
            physical_address: region.physical_address - 0xd0_0000 + index as u64 * STRIDE,
            ..*region
        };
        let page = PhysicalRange { start: 0x80f0_0000 + index as u64 * 0x1000, size: 0x1000 };
        Processor {
            id: id(index),
            regions: m4.regions.iter().map(moved).collect(),
            registers: Bounded::from_slice(&[page]).unwrap(),
            ..m4.clone()
        }
    };
    Board { processors: (0..count).map(processor).collect(), ..usual }
}

fn bench(count: usize) -> Bench {
    Bench::with(board_with(count), |_| ())
}

fn memory(bench: &mut Bench, index: usize) -> Vec<u8> {
    bench.machine().memory.at(0x8000_0000 + index as u64 * STRIDE, MEMORY).to_vec()
}

/// State and owner, as anybody is told.
fn status(bench: &mut Bench, index: usize) -> (ProcessorState, Option<u16>) {
    let stranger = Caller { endpoint: 999, ..VM };
    let status = Status::of(&bench.ask_once(stranger, Request::GetStatus { processor: id(index) })).unwrap();
    (status.state, status.owner.map(|owner| owner.endpoint))
}

/// Every command that belongs to the owner, but LOAD_FW.
fn commands(processor: u32) -> [Request; 4] {
    [
        Request::Start { processor },
        Request::Stop { processor, mode: StopMode::Forced },
        Request::GetResourceTable { processor },
        Request::Release { processor },
    ]
}

#[test]
fn a_full_board_has_as_many_owners_as_processors() {
    let mut bench = bench(MAX_PROCESSORS);
    let image = image();
    let info = Info::of(&bench.ask_once(VM, Request::GetInfo)).unwrap();
    assert_eq!(info.processors as usize, MAX_PROCESSORS);
    for index in 0..MAX_PROCESSORS {
        let described = bench.ask_once(VM, Request::GetProcessor { index: index as u32 });
        assert_eq!(ProcessorInfo::of(&described).unwrap().id, id(index));
        succeeded(bench.load(owner(index), id(index), &image));
        bench.assert_nothing_left();
    }
    let answer = bench.ask_once(VM, Request::GetProcessor { index: MAX_PROCESSORS as u32 });
    bench.refused(VM, answer, Refusal::UnknownProcessor);
    for index in 0..MAX_PROCESSORS {
        succeeded(bench.ask(owner(index), Request::Start { processor: id(index) }));
        // The same table, at another physical address for each.
        let table = bench.ask_once(owner(index), Request::GetResourceTable { processor: id(index) });
        succeeded(table);
        let first = bench.ask_once(owner(0), Request::GetResourceTable { processor: id(0) });
        assert_eq!(table.values[0], first.values[0] + index as u64 * STRIDE);
        assert_eq!(table.values[1], first.values[1]);
    }
    for index in 0..MAX_PROCESSORS {
        let other = owner((index + 1) % MAX_PROCESSORS);
        for command in commands(id(index)) {
            let answer = bench.ask(other, command);
            bench.refused(other, answer, Refusal::NotOwner);
        }
        let answer = bench.load(other, id(index), &image);
        bench.refused(other, answer, Refusal::NotOwner);
        let running = (ProcessorState::Running, Some(owner(index).endpoint));
        assert_eq!(status(&mut bench, index), running);
        assert_eq!(bench.machine().drivers[index].releases.len(), 1);
    }
    // One in the middle goes.
    let loaded = memory(&mut bench, 0);
    let processor = id(3);
    succeeded(bench.ask(owner(3), Request::Stop { processor, mode: StopMode::Forced }));
    succeeded(bench.ask(owner(3), Request::Release { processor }));
    for index in 0..MAX_PROCESSORS {
        let expected = if index == 3 { vec![0; MEMORY] } else { loaded.clone() };
        assert!(memory(&mut bench, index) == expected, "the memory of {index}");
        let state = if index == 3 { State::Offline } else { State::Running };
        assert_eq!(bench.service.state(id(index)), Some(state));
    }
}

#[test]
fn loads_of_several_processors_interleave() {
    let mut bench = bench(MAX_PROCESSORS);
    let image = image();
    let total = image.len() as u64;
    let loads: Vec<_> = (0..MAX_LOADS)
        .map(|index| load_request(id(index), bench.share(owner(index), &image), total, 0))
        .collect();
    for (index, load) in loads.iter().enumerate() {
        in_progress(bench.ask_once(owner(index), *load));
    }
    assert_eq!(bench.service.loads_under_way(), MAX_LOADS);
    let answer = bench.load(owner(MAX_LOADS), id(MAX_LOADS), &image);
    bench.refused(owner(MAX_LOADS), answer, Refusal::MetadataSlotsFull);
    // In turn, until all have claimed; then the first one gives up.
    for _ in 0..1000 {
        for (index, load) in loads.iter().enumerate() {
            if bench.service.state(id(index)) == Some(State::Offline) {
                in_progress(bench.ask_once(owner(index), *load));
            }
        }
    }
    for index in 0..MAX_LOADS {
        assert_eq!(bench.service.state(id(index)), Some(State::Loading));
    }
    succeeded(bench.ask(owner(0), Request::Release { processor: id(0) }));
    assert_eq!(bench.service.loads_under_way(), MAX_LOADS - 1);
    assert!(memory(&mut bench, 0) == vec![0; MEMORY]);
    for (index, load) in loads.iter().enumerate().skip(1) {
        succeeded(bench.ask(owner(index), *load));
        assert!(memory(&mut bench, index) != vec![0; MEMORY], "nothing was loaded for {index}");
    }
    bench.assert_nothing_left();
    assert!(memory(&mut bench, 1) == memory(&mut bench, 2));
}

#[test]
fn a_slow_processor_keeps_nobody_waiting() {
    let mut bench = bench(3);
    let image = image();
    for index in 0..2 {
        succeeded(bench.load(owner(index), id(index), &image));
    }
    bench.machine().drivers[0].be_slow(50);
    in_progress(bench.ask_once(owner(0), Request::Start { processor: id(0) }));
    succeeded(bench.ask_once(owner(1), Request::Start { processor: id(1) }));
    in_progress(bench.ask_once(owner(0), Request::Start { processor: id(0) }));
    let stop = Request::Stop { processor: id(1), mode: StopMode::Forced };
    succeeded(bench.ask_once(owner(1), stop));
    succeeded(bench.load(owner(2), id(2), &image));
    succeeded(bench.ask(owner(0), Request::Start { processor: id(0) }));
    let states = [0, 1, 2].map(|index| bench.service.state(id(index)).unwrap());
    assert_eq!(states, [State::Running, State::Stopped, State::Loaded]);
}

#[test]
fn a_crash_is_one_processors_own() {
    let mut bench = bench(3);
    let image = image();
    for index in 0..3 {
        succeeded(bench.load(owner(index), id(index), &image));
        succeeded(bench.ask(owner(index), Request::Start { processor: id(index) }));
    }
    bench.machine().drivers[1].crash();
    let states = [0, 1, 2].map(|index| status(&mut bench, index).0);
    assert_eq!(states, [ProcessorState::Running, ProcessorState::Crashed, ProcessorState::Running]);
}

#[test]
fn a_processor_may_be_for_some_endpoints_only() {
    let listed = [owner(0), Caller { endpoint: 0, ..VM }];
    let mut board = board_with(2);
    board.processors[0].endpoints = listed.iter().map(|caller| caller.endpoint).collect();
    let mut bench = Bench::with(board, |_| ());
    let image = image();
    let unlisted = owner(1);
    let everything = |bench: &mut Bench| {
        bench.take_seen();
        for command in commands(id(0)) {
            let answer = bench.ask(unlisted, command);
            bench.refused(unlisted, answer, Refusal::EndpointNotAllowed);
        }
        let answer = bench.load(unlisted, id(0), &image);
        bench.refused(unlisted, answer, Refusal::EndpointNotAllowed);
        assert_eq!(bench.take_seen(), [], "neither the hardware nor the client's memory was looked at");
    };
    everything(&mut bench);
    bench.assert_untouched();
    for caller in listed {
        succeeded(bench.load(caller, id(0), &image));
        everything(&mut bench);
        assert_eq!(status(&mut bench, 0), (ProcessorState::Loaded, Some(caller.endpoint)));
        let described = bench.ask_once(unlisted, Request::GetProcessor { index: 0 });
        assert_eq!(ProcessorInfo::of(&described).unwrap().state, ProcessorState::Loaded);
        succeeded(bench.ask(caller, Request::Release { processor: id(0) }));
    }
    // The other processor is everybody's.
    succeeded(bench.load(unlisted, id(1), &image));
    succeeded(bench.ask(unlisted, Request::Start { processor: id(1) }));
}

/// Numbers that look random, the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}

#[test]
fn no_request_changes_another_processor() {
    const COUNT: usize = 4;
    let mut bench = bench(COUNT);
    let mut random = Random(0x7072_6f63);
    let (good, mut bad) = (image(), image());
    // The last byte of a segment's: refused behind the claim.
    bad[0x400] ^= 1;
    let (mut changes, mut refusals) = ([0; COUNT], 0);
    let mut states = [0; COUNT].map(|_: usize| (ProcessorState::Offline, None));
    for _ in 0..4000 {
        let (caller, target) = (owner(random.below(3)), random.below(COUNT));
        let before: Vec<_> = (0..COUNT).map(|index| memory(&mut bench, index)).collect();
        let answer = match random.below(6) {
            0 => bench.load(caller, id(target), if random.below(4) == 0 { &bad } else { &good }),
            1 => {
                let image = &good;
                let handle = bench.share(caller, image);
                bench.ask_once(caller, load_request(id(target), handle, image.len() as u64, 0))
            }
            command => bench.ask(caller, commands(id(target))[command - 2]),
        };
        refusals +=
            u32::from(!matches!(answer.tee_result(), Some(TeeResult::Success | TeeResult::InProgress)));
        for (index, last) in states.iter_mut().enumerate() {
            let now = status(&mut bench, index);
            let changed = now != *last || memory(&mut bench, index) != before[index];
            assert!(index == target || !changed, "a request for {target} has changed {index}");
            let foreign = last.1.is_some_and(|owner| owner != caller.endpoint);
            assert!(!(changed && foreign), "{caller:?} has changed what is {last:?}");
            changes[index] += u32::from(changed);
            *last = now;
        }
    }
    assert!(
        refusals > 500 && changes.iter().all(|count| *count > 50),
        "{refusals} refusals, {changes:?} changes"
    );
}
