//! Direct requests: what is sent, and what the client does when the partition is busy, interrupted or yields.
mod fake;
use fake::*;
use remoteproc_abi::door_d::StopMode;
use remoteproc_refusal::Refusal;
use remoteproc_shim::ffa::{Error as FfaError, Family, Options};
use remoteproc_shim::{Error, LastError, Limits, Remoteproc, TableLocation};

const BAD_STATE: u64 = 0xFFFF_0007;
const TEE_BUSY: u64 = 0xFFFF_000D;
const IN_PROGRESS: u64 = 0x00A4_0001;

fn client(steps: impl IntoIterator<Item = Step>) -> Remoteproc<remoteproc_shim::ffa::FfaTee<Script, Pages>> {
    let mut client = Remoteproc::new(connected(steps), 1);
    client.set_limits(Limits { busy: 2, idle: 2 });
    client
}

#[test]
fn commands_are_one_request_each() {
    let mut client = client([
        (request(&[2, 1]), response(&[0])),
        (request(&[3, 1, 0]), response(&[0])),
        (request(&[3, 1, 1, 250]), response(&[0])),
        (request(&[4, 1]), response(&[0, 0x80a0_0000, 0x90])),
        (request(&[4, 1]), response(&[0, 0, 0])),
        (request(&[6, 1]), response(&[0])),
        (request(&[0x13]), response(&[0, 0x0501, 4096])),
        (request(&[0x13]), response(&[0, 0, u64::MAX])),
        (request(&[0x13]), response(&[0, 0x7777, u64::MAX])),
    ]);
    client.start().unwrap();
    client.stop(StopMode::Forced).unwrap();
    client.stop(StopMode::Graceful { milliseconds: 250 }).unwrap();
    let table = TableLocation { address: 0x80a0_0000, size: 0x90 };
    assert_eq!(client.resource_table(), Ok(Some(table)));
    assert_eq!(client.resource_table(), Ok(None));
    client.release().unwrap();
    let refusal = Some(Refusal::SegmentHashMismatch);
    assert_eq!(client.last_error(), Ok(Some(LastError { number: 0x0501, refusal, offset: Some(4096) })));
    assert_eq!(client.last_error(), Ok(None));
    assert_eq!(client.last_error(), Ok(Some(LastError { number: 0x7777, refusal: None, offset: None })));
}

#[test]
fn refusals_carry_command_and_result() {
    let mut client = client([
        (request(&[2, 1]), response(&[BAD_STATE])),
        (request(&[2, 1]), response(&[0x1234])),
        (request(&[4, 1]), response(&[0, 0x80a0_0000, 0])),
    ]);
    assert_eq!(client.start().unwrap_err().to_string(), "START_FW was answered BAD_STATE (0xffff0007)");
    assert_eq!(client.start().unwrap_err().to_string(), "START_FW was answered 0x00001234");
    assert!(matches!(client.resource_table(), Err(Error::BadAnswer(_))), "an address without a size");
}

#[test]
fn busy_is_repeated_but_not_for_ever() {
    let busy = || (request(&[2, 1]), response(&[TEE_BUSY]));
    let mut patient = client([busy(), busy(), (request(&[2, 1]), response(&[0]))]);
    assert_eq!(patient.start(), Ok(()));
    assert_eq!(patient.tee().transport().pauses, 2);
    let mut given_up = client([busy(), busy(), busy()]);
    assert!(matches!(given_up.start(), Err(Error::Stalled(_))));
}

#[test]
fn progress_is_polled_but_not_for_ever() {
    let going = || (request(&[6, 1]), response(&[IN_PROGRESS]));
    assert_eq!(client([going(), going(), (request(&[6, 1]), response(&[0]))]).release(), Ok(()));
    assert!(matches!(client([going(), going(), going()]).release(), Err(Error::Stalled(_))));
}

#[test]
fn ffa_busy_is_repeated_but_not_for_ever() {
    let busy = || (request(&[2, 1]), error(BUSY));
    let mut patient = client([busy(), busy(), (request(&[2, 1]), response(&[0]))]);
    assert_eq!(patient.start(), Ok(()));
    assert_eq!(patient.tee().transport().pauses, 2);
    let outcome = client([busy(), busy(), busy()]).start();
    assert!(matches!(outcome, Err(Error::Tee(FfaError::Stalled(_)))));
}

/// FFA_RUN goes to the endpoint and context that the answer names, whichever that is.
#[test]
fn interrupted_and_yielding_partitions_are_resumed() {
    let mut client = client([
        (request(&[2, 1]), registers(&[INTERRUPT, 0x8001_0000])),
        (registers(&[RUN, 0x8001_0000]), registers(&[YIELD, 0x8001_0003])),
        (registers(&[RUN, 0x8001_0003]), error(BUSY)),
        (registers(&[RUN, 0x8001_0003]), response(&[0])),
    ]);
    assert_eq!(client.start(), Ok(()));
    assert_eq!(client.tee().transport().pauses, 2, "for the yield and for BUSY, not for the interrupt");
    assert_eq!(
        client.tee().transport().interrupts,
        1,
        "the normal world has its interrupt before the partition goes on"
    );
}

#[test]
fn resuming_ends() {
    let run = || (registers(&[RUN, 0x8001_0000]), registers(&[INTERRUPT, 0x8001_0000]));
    let first = (request(&[2, 1]), registers(&[INTERRUPT, 0x8001_0000]));
    let outcome = client([first, run(), run(), run()]).start();
    assert!(matches!(outcome, Err(Error::Tee(FfaError::Stalled(_)))));
}

/// A request that was given up is answered some time; that answer must not be taken for the next request's.
#[test]
fn given_up_requests_are_finished_before_the_next_one() {
    let interrupt = || registers(&[INTERRUPT, 0x8001_0000]);
    let run = || registers(&[RUN, 0x8001_0000]);
    for late in [response(&[0, 0x80a0_0000, 0x90]), error(DENIED), registers(&[DIRECT_RESP2])] {
        let mut client = client([
            (request(&[4, 1]), interrupt()),
            (run(), interrupt()),
            (run(), interrupt()),
            (run(), interrupt()),
            (run(), interrupt()),
            (run(), error(BUSY)),
            (run(), late),
            (request(&[2, 1]), response(&[0])),
            (request(&[2, 1]), response(&[0])),
        ]);
        assert!(matches!(client.resource_table(), Err(Error::Tee(FfaError::Stalled(_)))));
        assert_eq!(client.start(), Ok(()));
        assert_eq!(client.start(), Ok(()), "there is nothing to finish any more");
    }
}

/// On another CPU than it was interrupted on, the partition can't be resumed: the request stays to be answered.
#[test]
fn resuming_elsewhere_is_tried_again() {
    let run = || registers(&[RUN, 0x8001_0000]);
    let mut client = client([
        (request(&[4, 1]), registers(&[INTERRUPT, 0x8001_0000])),
        (run(), error(INVALID_PARAMETERS)),
        (run(), error(INVALID_PARAMETERS)),
        (run(), response(&[0, 0x80a0_0000, 0x90])),
        (request(&[2, 1]), response(&[0])),
    ]);
    let refused = |error| matches!(error, Error::Tee(FfaError::Call { .. }));
    assert!(client.resource_table().is_err_and(refused));
    assert!(client.start().is_err_and(refused));
    assert_eq!(client.start(), Ok(()));
}

#[test]
fn answers_against_the_specification_are_refused() {
    let wrong = [
        registers(&[0x8400_0070, PARTITION << 16, 0, 0]), // 32 bits wide
        registers(&[0xC400_008E, PARTITION << 16, 0, 0]), // of the other family
        registers(&[DIRECT_RESP, 0x8002_0000, 0, 0]),     // from somebody else
        registers(&[DIRECT_RESP, PARTITION << 16 | 1, 0, 0]), // for somebody else
        registers(&[DIRECT_RESP, PARTITION << 16, 1 << 31, 0]), // a framework message
        registers(&[SUCCESS]),
    ];
    for answer in wrong {
        let outcome = client([(request(&[2, 1]), answer)]).start();
        let refused = matches!(outcome, Err(Error::Tee(FfaError::Answer { .. } | FfaError::Response { .. })));
        assert!(refused, "{answer:x?}: {outcome:?}");
    }
    let outcome = client([(request(&[2, 1]), error(DENIED))]).start();
    assert_eq!(outcome.unwrap_err().to_string(), "FFA_MSG_SEND_DIRECT_REQ was answered DENIED (-6)");
}

/// The second family names the UUID, and its payload begins one register later; an answer of the other family is none.
#[test]
fn the_second_family_is_sent_where_that_is_wanted() {
    let request = registers(&[DIRECT_REQ2, PARTITION, UUID_LOW, UUID_HIGH, 4, 1]);
    let answer = |function| registers(&[function, PARTITION << 16, 0, 0, 0, 0x80a0_0000, 0x90]);
    let mut reserved = answer(DIRECT_RESP2);
    reserved[3] = 1;
    let mut client = client([
        (request, answer(DIRECT_RESP2)),
        (request, registers(&[INTERRUPT, PARTITION << 16])),
        (registers(&[RUN, PARTITION << 16]), answer(DIRECT_RESP2)),
        (request, answer(DIRECT_RESP)),
        (request, reserved),
    ]);
    client.tee().set_options(Options { family: Family::Direct2, ..Options::default() });
    let table = TableLocation { address: 0x80a0_0000, size: 0x90 };
    assert_eq!(client.resource_table(), Ok(Some(table)));
    assert_eq!(client.resource_table(), Ok(Some(table)));
    assert!(matches!(client.resource_table(), Err(Error::Tee(FfaError::Answer { .. }))));
    assert!(matches!(client.resource_table(), Err(Error::Tee(FfaError::Response { flags: 1, .. }))));
}
