//! LOAD_FW: sharing, going on, and taking the memory back on every path.
mod fake;
use fake::*;
use remoteproc_abi::memory_descriptor::{Constituent, RetrieveResponse};
use remoteproc_shim::ffa::{Error as FfaError, FfaTee, Options, Status};
use remoteproc_shim::{Error, Limits, LoadError, Progress, Remoteproc};

const IN_PROGRESS: u64 = 0x00A4_0001;
const SECURITY: u64 = 0xFFFF_000F;
const TOTAL: u64 = 0x3456;
const IMAGE: [Constituent; 3] = [
    Constituent { address: 0x5020_0000, page_count: 1 },
    Constituent { address: 0x5010_0000, page_count: 2 },
    Constituent { address: 0x5030_0000, page_count: 5 },
];

type Client = Remoteproc<FfaTee<Script, Pages>>;

fn client(ranges_per_share: usize, steps: impl IntoIterator<Item = Step>) -> Client {
    let mut tee = connected(steps);
    tee.set_options(Options { ranges_per_share, resumes: 3, busy: 2, ..Options::default() });
    let mut client = Remoteproc::new(tee, 0);
    client.set_limits(Limits { busy: 2, idle: 2 });
    client
}

/// FFA_MEM_SHARE of `ranges` ranges, answered with a handle.
fn share(ranges: u64, handle: u64) -> Step {
    let length = 96 + 16 * ranges;
    (registers(&[MEM_SHARE, length, length]), registers(&[SUCCESS, 0, handle & 0xFFFF_FFFF, handle >> 32]))
}

fn reclaim(handle: u64) -> Step {
    (registers(&[MEM_RECLAIM, handle & 0xFFFF_FFFF, handle >> 32]), registers(&[SUCCESS]))
}

fn load(handle: u64, offset: u64, answer: &[u64]) -> Step {
    (request(&[1, 0, handle, TOTAL, offset]), response(answer))
}

const HANDLE: u64 = 0x8000_0002_0000_0001;

/// Loads and returns the outcome with the bytes done that were told.
fn run(client: &mut Client) -> (Result<(), LoadError<FfaError>>, Vec<u64>) {
    let mut told = vec![];
    let outcome = client.load(&IMAGE, TOTAL, |Progress { done, total }| {
        assert_eq!(total, TOTAL);
        told.push(done);
    });
    (outcome, told)
}

#[test]
fn one_share_is_loaded_in_slices_and_taken_back() {
    let mut client = client(
        200,
        [
            share(3, HANDLE),
            load(HANDLE, 0, &[IN_PROGRESS, 0x1000, TOTAL]),
            load(HANDLE, 0, &[IN_PROGRESS, 0x1000, TOTAL]),
            load(HANDLE, 0, &[IN_PROGRESS, 0x3000, TOTAL]),
            load(HANDLE, 0, &[0, TOTAL, TOTAL]),
            reclaim(HANDLE),
        ],
    );
    assert_eq!(run(&mut client), (Ok(()), vec![0x1000, 0x3000, TOTAL]));
    assert_eq!(client.tee().transport().pauses, 1, "only where nothing was done");
    let transmit = client.tee().buffers().transmit.clone();
    let descriptor = RetrieveResponse::parse(&transmit).unwrap();
    assert_eq!((descriptor.sender, descriptor.receiver), (0, 0x8001));
    // No page beyond the image's end.
    let mut ranges = IMAGE;
    ranges[2].page_count = 1;
    assert!(descriptor.ranges().eq(ranges));
}

#[test]
fn scattered_image_takes_several_shares_in_order() {
    let mut client = client(
        1,
        [
            share(1, 1),
            load(1, 0, &[IN_PROGRESS, 0x1000, TOTAL]),
            reclaim(1),
            share(1, 2),
            load(2, 0x1000, &[IN_PROGRESS, 0x2000, TOTAL]),
            load(2, 0x1000, &[IN_PROGRESS, 0x3000, TOTAL]),
            reclaim(2),
            share(1, 3),
            load(3, 0x3000, &[IN_PROGRESS, TOTAL, TOTAL]),
            load(3, 0x3000, &[0, TOTAL, TOTAL]),
            reclaim(3),
        ],
    );
    assert_eq!(run(&mut client), (Ok(()), vec![0x1000, 0x2000, 0x3000, TOTAL, TOTAL]));
}

/// A second load of the same image succeeds at once: the other shares are not made.
#[test]
fn success_ends_the_load_early() {
    let mut client = client(1, [share(1, 1), load(1, 0, &[0, TOTAL, TOTAL]), reclaim(1)]);
    assert_eq!(run(&mut client), (Ok(()), vec![TOTAL]));
}

#[test]
fn refusal_takes_the_memory_back() {
    let mut client = client(
        200,
        [
            share(3, HANDLE),
            load(HANDLE, 0, &[IN_PROGRESS, 0x1000, TOTAL]),
            load(HANDLE, 0, &[SECURITY]),
            reclaim(HANDLE),
        ],
    );
    let failure = run(&mut client).0.unwrap_err();
    assert!(matches!(failure.error, Error::Refused { result: 0xFFFF_000F, .. }));
    assert_eq!(failure.not_reclaimed, None);
    assert_eq!(failure.to_string(), "LOAD_FW was answered SECURITY (0xffff000f)");
}

/// A partition that holds the memory is told to let go before the memory is taken back.
#[test]
fn giving_up_releases_first() {
    let release = || (request(&[6, 0]), response(&[0]));
    let going = || load(HANDLE, 0, &[IN_PROGRESS, 0, TOTAL]);
    let mut stalled = client(200, [share(3, HANDLE), going(), going(), going(), release(), reclaim(HANDLE)]);
    assert!(matches!(run(&mut stalled).0.unwrap_err().error, Error::Stalled(_)));

    // Bytes done go back, exceed the share, or the call breaks.
    let first = || load(HANDLE, 0, &[IN_PROGRESS, 0x2000, TOTAL]);
    let call = request(&[1, 0, HANDLE, TOTAL, 0]);
    for second in [response(&[IN_PROGRESS, 0x1fff]), response(&[IN_PROGRESS, TOTAL + 1]), error(DENIED)] {
        let steps = [share(3, HANDLE), first(), (call, second), release(), reclaim(HANDLE)];
        let failure = run(&mut client(200, steps)).0.unwrap_err();
        assert!(!matches!(failure.error, Error::Refused { .. }));
        assert_eq!(failure.not_reclaimed, None);
    }
}

/// Before the service has begun, nothing is released: another image may be running.
#[test]
fn failing_first_call_only_takes_the_memory_back() {
    let call = (request(&[1, 0, HANDLE, TOTAL, 0]), error(DENIED));
    let failure = run(&mut client(200, [share(3, HANDLE), call, reclaim(HANDLE)])).0.unwrap_err();
    assert!(matches!(failure.error, Error::Tee(FfaError::Call { status: Status::DENIED, .. })));
}

fn release() -> Step {
    (request(&[6, 0]), response(&[0]))
}

/// What fails in a later share leaves a load under way: the service is told to let go of the memory and of the processor.
#[test]
fn giving_up_between_two_shares_releases() {
    let first = || [share(1, 1), load(1, 0, &[IN_PROGRESS, 0x1000, TOTAL])];
    // The next share fails.
    let no_room = (registers(&[MEM_SHARE, 112, 112]), error(NO_MEMORY));
    let steps = first().into_iter().chain([reclaim(1), no_room, release()]);
    let failure = run(&mut client(1, steps)).0.unwrap_err();
    assert!(matches!(failure.error, Error::Tee(FfaError::Call { status: Status(NO_MEMORY), .. })));
    assert_eq!(failure.not_reclaimed, None);
    // Its first request gets no answer, or BUSY for too long.
    let call = || request(&[1, 0, 2, TOTAL, 0x1000]);
    let steps =
        first().into_iter().chain([reclaim(1), share(1, 2), (call(), error(DENIED)), release(), reclaim(2)]);
    assert!(matches!(run(&mut client(1, steps)).0.unwrap_err().error, Error::Tee(_)));
    let busy = || (call(), response(&[0xFFFF_000D]));
    let steps =
        first().into_iter().chain([reclaim(1), share(1, 2), busy(), busy(), busy(), release(), reclaim(2)]);
    assert!(matches!(run(&mut client(1, steps)).0.unwrap_err().error, Error::Stalled(_)));
    // The first one does not come back.
    let denied = (registers(&[MEM_RECLAIM, 1, 0]), error(DENIED));
    let steps = first().into_iter().chain([denied, release()]);
    let failure = run(&mut client(1, steps)).0.unwrap_err();
    assert!(matches!(failure.not_reclaimed, Some(FfaError::Call { status: Status::DENIED, .. })));
    // A refusal has ended the load: there is nothing to release.
    let refused = (call(), response(&[SECURITY]));
    let steps = first().into_iter().chain([reclaim(1), share(1, 2), refused, reclaim(2)]);
    assert!(matches!(run(&mut client(1, steps)).0.unwrap_err().error, Error::Refused { .. }));
}

/// As many ranges in a share as the service takes, in the image's order, the rest in the next ones.
#[test]
fn more_ranges_than_a_share_has_take_several() {
    const RANGES: u64 = 450;
    let image: Vec<_> = (0..RANGES)
        .map(|index| Constituent { address: 0x6000_0000 - index * 0x2000, page_count: 1 })
        .collect();
    let total = RANGES * 0x1000 - 100;
    let mut steps = vec![];
    for (handle, first, count) in [(1, 0, 200), (2, 200, 200), (3, 400, 50)] {
        let (offset, end) = (first * 0x1000, ((first + count) * 0x1000).min(total));
        let call = request(&[1, 0, handle, total, offset]);
        let result = if end == total { 0 } else { IN_PROGRESS };
        steps.extend([share(count, handle), (call, response(&[result, end, total])), reclaim(handle)]);
    }
    let mut client = client(1000, steps);
    client.load(&image, total, |_| ()).unwrap();
    let transmit = client.tee().buffers().transmit.clone();
    let last = RetrieveResponse::parse(&transmit).unwrap();
    assert!(last.ranges().eq(image[400..].iter().copied()));
}

/// The partition holds the memory of a request that was interrupted too often: it is finished, released, and taken back.
#[test]
fn first_request_that_is_given_up_takes_the_memory_back() {
    let interrupt = || registers(&[INTERRUPT, 0x8001_0000]);
    let resume = || (registers(&[RUN, 0x8001_0000]), interrupt());
    let call = load(HANDLE, 0, &[]).0;
    let late = response(&[IN_PROGRESS, 0, TOTAL]);
    let mut client = client(
        200,
        [
            share(3, HANDLE),
            (call, interrupt()),
            resume(),
            resume(),
            resume(),
            (reclaim(HANDLE).0, error(DENIED)),
            (registers(&[RUN, 0x8001_0000]), late),
            (request(&[6, 0]), response(&[0])),
            reclaim(HANDLE),
        ],
    );
    let failure = run(&mut client).0.unwrap_err();
    assert!(matches!(failure.error, Error::Tee(FfaError::Stalled(_))));
    assert_eq!(failure.not_reclaimed, None);
}

#[test]
fn failing_reclaim_is_told_beside_the_first_error() {
    let denied = || (registers(&[MEM_RECLAIM, HANDLE & 0xFFFF_FFFF, HANDLE >> 32]), error(DENIED));
    let mut refused = client(200, [share(3, HANDLE), load(HANDLE, 0, &[SECURITY]), denied()]);
    let failure = run(&mut refused).0.unwrap_err();
    assert!(matches!(failure.error, Error::Refused { .. }));
    assert!(matches!(failure.not_reclaimed, Some(FfaError::Call { status: Status::DENIED, .. })));

    let mut loaded = client(200, [share(3, HANDLE), load(HANDLE, 0, &[0, TOTAL, TOTAL]), denied()]);
    let failure = run(&mut loaded).0.unwrap_err();
    assert_eq!(failure.to_string(), "FFA_MEM_RECLAIM was answered DENIED (-6)");
    assert!(failure.not_reclaimed.is_some());
}

#[test]
fn failing_share_reclaims_nothing() {
    let refused = (registers(&[MEM_SHARE, 144, 144]), error(NO_MEMORY));
    let failure = run(&mut client(200, [refused])).0.unwrap_err();
    assert_eq!(failure.to_string(), "FFA_MEM_SHARE was answered NO_MEMORY (-3)");
    // A request for more fragments is no success.
    let fragments = (registers(&[MEM_SHARE, 144, 144]), registers(&[0x8400_007A]));
    let failure = run(&mut client(200, [fragments])).0.unwrap_err();
    assert!(matches!(failure.error, Error::Tee(FfaError::Answer { .. })));
    assert_eq!(failure.not_reclaimed, None);
}

#[test]
fn memory_shorter_than_the_image_is_not_shared() {
    let mut client = client(200, []);
    let failure = client.load(&IMAGE, 0x8001, |_| ()).unwrap_err();
    assert_eq!(failure.error, Error::Tee(FfaError::Image));
}

/// A hypervisor loads for a virtual machine: requests and shares are in that one's name, and answers go to it.
#[test]
fn a_hypervisor_speaks_for_a_virtual_machine() {
    const MACHINE: u64 = 2;
    let mut call = request(&[1, 0, HANDLE, TOTAL, 0]);
    call[1] |= MACHINE << 16;
    let mut answer = response(&[0, TOTAL, TOTAL]);
    answer[1] |= MACHINE;
    let mut client = client(200, [share(3, HANDLE), (call, answer), reclaim(HANDLE)]);
    client.tee().speak_for(MACHINE as u16);
    assert_eq!(client.tee().own_id(), MACHINE as u16);
    client.load(&IMAGE, TOTAL, |_| ()).unwrap();
    assert_eq!(client.tee().buffers().transmit[..2], [MACHINE as u8, 0], "the sender of the share");
    // An answer to somebody else is none.
    let mut client =
        self::client(200, [share(3, HANDLE), (call, response(&[0, TOTAL, TOTAL])), reclaim(HANDLE)]);
    client.tee().speak_for(MACHINE as u16);
    assert!(client.load(&IMAGE, TOTAL, |_| ()).is_err());
}

/// Lent memory is told to the SPMC without attributes, and to the service with its flag.
#[test]
fn images_are_lent_where_that_is_wanted() {
    let lend = (
        registers(&[MEM_LEND, 96 + 48, 96 + 48]),
        registers(&[SUCCESS, 0, HANDLE & 0xFFFF_FFFF, HANDLE >> 32]),
    );
    let load = (request(&[1 << 32 | 1, 0, HANDLE, TOTAL, 0]), response(&[0, TOTAL, TOTAL]));
    let mut client = client(200, [lend, load, reclaim(HANDLE)]);
    client.tee().set_options(Options { lend: true, ..Options::default() });
    client.load(&IMAGE, TOTAL, |_| ()).unwrap();
    assert_eq!(client.tee().buffers().transmit[2..4], [0, 0], "the memory attributes");
}
