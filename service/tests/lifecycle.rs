//! The life of a processor, row by row of the contract.
mod support;

use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{FLAG_LENT, Request, StopMode};
use remoteproc_refusal::Refusal;
use remoteproc_service::hardware::{Crash, Isolation, Observed};
use remoteproc_service::lifecycle::State;
use support::machine::Manners;
use support::*;

#[test]
fn load_start_stop_release() {
    let mut bench = Bench::new();
    let image = sample();
    let answer = bench.load(KERNEL, M33, &image);
    succeeded(answer);
    assert_eq!(answer.values, [image.len() as u64, image.len() as u64, 0, 0]);
    assert_eq!(bench.state(), State::Loaded);
    assert!(bench.machine().drivers[0].releases.is_empty());

    let table = bench.table(KERNEL);
    succeeded(table);
    assert_eq!((table.values[0], table.values[1]), SAMPLE_TABLE);

    succeeded(bench.start(KERNEL));
    assert_eq!(bench.state(), State::Running);
    assert_eq!(bench.machine().drivers[0].releases, [SAMPLE_BOOT]);

    let before = bench.machine().memory.bytes.clone();
    succeeded(bench.stop(KERNEL));
    assert_eq!(bench.state(), State::Stopped);
    assert_eq!(bench.machine().drivers[0].state, Observed::Held);
    assert!(bench.machine().memory.bytes == before, "STOP keeps memory");

    succeeded(bench.release(KERNEL));
    assert_eq!(bench.state(), State::Offline);
    bench.assert_clear();
    assert_eq!(bench.machine().isolations(), [Isolation::Normal; 5]);
    assert_eq!(bench.service.counters().refusals, 0);
    assert_eq!(bench.last_error(KERNEL), (0, None));
}

#[test]
fn start_before_load_is_refused() {
    let mut bench = Bench::new();
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NotLoaded);
    let answer = bench.table(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NotLoaded);
    assert!(bench.machine().drivers[0].releases.is_empty());
}

#[test]
fn stop_and_release_are_idempotent() {
    let mut bench = Bench::new();
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    bench.assert_untouched();
    bench.bring_to(State::Running);
    for _ in 0..3 {
        succeeded(bench.stop(KERNEL));
        assert_eq!(bench.state(), State::Stopped);
    }
    for _ in 0..3 {
        succeeded(bench.release(KERNEL));
        assert_eq!(bench.state(), State::Offline);
    }
    bench.assert_clear();
}

#[test]
fn stop_in_loaded_changes_nothing() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    succeeded(bench.stop(KERNEL));
    assert_eq!(bench.state(), State::Loaded);
    succeeded(bench.start(KERNEL));
}

#[test]
fn start_of_a_running_processor_changes_nothing() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.start(KERNEL));
    assert_eq!(bench.machine().drivers[0].releases.len(), 1);
}

#[test]
fn the_same_image_again_reads_no_segment_byte() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    let before = *bench.service.counters();
    let memory = bench.machine().memory.bytes.clone();
    let image = sample();
    let answer = bench.load(KERNEL, M33, &image);
    succeeded(answer);
    assert_eq!(answer.values[0], image.len() as u64);
    let after = *bench.service.counters();
    assert_eq!(after.segment_bytes_read, before.segment_bytes_read);
    assert!(after.client_bytes_read > before.client_bytes_read, "the metadata was freshly copied in");
    assert_eq!((after.loads, after.repeated_loads), (1, 1));
    assert_eq!(after.signature_checks, before.signature_checks);
    assert!(bench.machine().memory.bytes == memory);
    let images_offset = (after.client_bytes_read - before.client_bytes_read) as usize;
    let beyond =
        |seen: &Seen| matches!(seen, Seen::ClientRead(_, at, size) if *at as usize + size > images_offset);
    assert!(!bench.take_seen().iter().any(beyond), "nothing behind the metadata was read");
    succeeded(bench.start(KERNEL));
}

#[test]
fn the_same_metadata_with_other_segments_loads_nothing_new() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    let memory = bench.machine().memory.bytes.clone();
    let mut image = sample();
    let last = image.len() - 100;
    image[last] ^= 1;
    succeeded(bench.load(KERNEL, M33, &image));
    assert!(bench.machine().memory.bytes == memory, "what was loaded is what was checked");
}

#[test]
fn another_image_while_loaded_is_refused() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    let memory = bench.machine().memory.bytes.clone();
    let answer = bench.load(KERNEL, M33, &second());
    bench.refused(KERNEL, answer, Refusal::AnotherImageLoaded);
    assert_eq!(bench.state(), State::Loaded);
    assert!(bench.machine().memory.bytes == memory);
    succeeded(bench.start(KERNEL));
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    succeeded(bench.load(KERNEL, M33, &second()));
}

#[test]
fn recovery_is_stop_load_start_without_release() {
    let mut bench = Bench::new();
    bench.bring_to(State::Crashed);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsStopped);
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    succeeded(bench.stop(KERNEL));
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsStopped);
    // The firmware has left traces, in segments and outside of them.
    bench.machine().memory.poke(0x8010_0000, &[0x55; 64]);
    bench.machine().memory.poke(0x8018_0000, &[0x55; 64]);
    let before = bench.service.counters().segment_bytes_read;
    succeeded(bench.load(KERNEL, M33, &sample()));
    assert!(bench.service.counters().segment_bytes_read > before, "loaded from its bytes");
    assert_eq!(bench.machine().memory.at(0x8018_0000, 64), [0; 64], "LOAD clears before it writes");
    let table = bench.table(KERNEL);
    assert_eq!((table.values[0], table.values[1]), SAMPLE_TABLE);
    succeeded(bench.start(KERNEL));
}

#[test]
fn recovery_may_take_another_image() {
    let mut bench = Bench::new();
    bench.bring_to(State::Stopped);
    succeeded(bench.load(KERNEL, M33, &second()));
    succeeded(bench.start(KERNEL));
    let releases = &bench.machine().drivers[0].releases;
    assert_eq!(releases.last().unwrap().address, 0x8000_0000);
    assert!(!releases.last().unwrap().secure, "BOOTSEC runs non-secure here");
}

#[test]
fn a_bad_image_after_stop_leaves_memory_and_owner_alone() {
    let mut bench = Bench::new();
    bench.bring_to(State::Stopped);
    let memory = bench.machine().memory.bytes.clone();
    let answer = bench.load(KERNEL, M33, &vector("negative/n09-sig-flip.sig"));
    bench.refused(KERNEL, answer, Refusal::SignatureInvalid);
    assert_eq!(bench.state(), State::Stopped);
    assert!(bench.machine().memory.bytes == memory, "refused before the signature verified");
    let answer = bench.load(VM, M33, &sample());
    bench.refused(VM, answer, Refusal::NotOwner);
}

#[test]
fn release_of_a_running_processor_is_refused() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    let answer = bench.release(KERNEL);
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    assert_eq!(bench.state(), State::Running);
    succeeded(bench.stop(KERNEL));
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

/// A client whose start has failed, or whose firmware has crashed, may give up without a STOP_FW: held first, then cleared.
#[test]
fn release_of_a_crashed_processor_holds_and_clears() {
    let mut bench = Bench::new();
    bench.bring_to(State::Crashed);
    bench.machine().drivers[0].be_slow(1);
    in_progress(bench.release_once(KERNEL));
    assert_eq!(bench.state(), State::Crashed, "not before the hardware holds it");
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::AnotherImageLoaded);
    succeeded(bench.release(KERNEL));
    assert_eq!(bench.state(), State::Offline);
    bench.assert_clear();
    // A stop in the middle says that it is stopped only when it is.
    bench.bring_to(State::Crashed);
    bench.machine().drivers[0].be_slow(2);
    in_progress(bench.release_once(KERNEL));
    in_progress(bench.stop_once(KERNEL));
    assert_eq!(bench.state(), State::Crashed);
    succeeded(bench.stop(KERNEL));
    assert_eq!((bench.state(), bench.machine().drivers[0].state), (State::Stopped, Observed::Held));
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

#[test]
fn load_while_running_is_refused() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    let answer = bench.load(KERNEL, M33, &sample());
    bench.refused(KERNEL, answer, Refusal::IsRunning);
    assert!(!bench.take_seen().iter().any(|seen| matches!(seen, Seen::Retrieve(_))), "nothing was retrieved");
}

#[test]
fn an_image_without_a_table_answers_zero() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &vector("edge/e12-no-resource-table.sig")));
    let table = bench.table(KERNEL);
    succeeded(table);
    assert_eq!(table.values, [0; 4]);
}

#[test]
fn what_linux_writes_into_the_table_is_allowed() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    bench.machine().memory.poke(SAMPLE_TABLE.0, &[0x77; 0x90]);
    succeeded(bench.load(KERNEL, M33, &sample()));
    succeeded(bench.start(KERNEL));
}

#[test]
fn an_image_without_a_boot_address_loads_and_does_not_start() {
    let mut bench = Bench::new();
    succeeded(bench.load(KERNEL, M33, &vector("01-rsa2048-m4.sig")));
    assert_eq!(bench.table(KERNEL).values[0], 0x80c3_0210);
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NoBootAddress);
    assert_eq!(bench.state(), State::Loaded);
    assert!(bench.machine().drivers[0].releases.is_empty());
    succeeded(bench.release(KERNEL));
    bench.assert_clear();
}

#[test]
fn a_crash_is_seen_at_the_next_request() {
    for seen in [Observed::Crashed(Crash::Lockup), Observed::Held] {
        let mut bench = Bench::new();
        bench.bring_to(State::Running);
        bench.machine().drivers[0].state = seen;
        let answer = bench.start(KERNEL);
        bench.refused(KERNEL, answer, Refusal::IsStopped);
        assert_eq!(bench.state(), State::Crashed);
        succeeded(bench.stop(KERNEL));
        assert_eq!(bench.state(), State::Stopped);
    }
}

#[test]
fn a_processor_belongs_to_one_client() {
    for state in [State::Loaded, State::Running, State::Crashed, State::Stopped] {
        let mut bench = Bench::new();
        bench.bring_to(state);
        for other in [USER, VM] {
            let answers = [
                bench.load(other, M33, &sample()),
                bench.start(other),
                bench.stop(other),
                bench.table(other),
                bench.release(other),
            ];
            for answer in answers {
                bench.refused(other, answer, Refusal::NotOwner);
            }
        }
        assert_eq!(bench.state(), state);
        assert_eq!(bench.last_error(KERNEL), (0, None), "other clients' refusals are not this one's");
    }
}

#[test]
fn after_release_another_client_may_load() {
    let mut bench = Bench::new();
    bench.bring_to(State::Loaded);
    succeeded(bench.release(KERNEL));
    succeeded(bench.load(VM, M33, &second()));
    let answer = bench.start(KERNEL);
    bench.refused(KERNEL, answer, Refusal::NotOwner);
    succeeded(bench.start(VM));
}

#[test]
fn a_refused_load_claims_nothing() {
    for (name, refusal) in [
        ("negative/n09-sig-flip.sig", Refusal::SignatureInvalid),
        ("negative/n10-segbyte.sig", Refusal::SegmentHashMismatch),
    ] {
        let mut bench = Bench::new();
        let answer = bench.load(KERNEL, M33, &vector(name));
        bench.refused(KERNEL, answer, refusal);
        assert_eq!(bench.state(), State::Offline);
        succeeded(bench.load(VM, M33, &sample()));
    }
}

#[test]
fn two_processors_do_not_touch_each_other() {
    let mut bench = Bench::new();
    bench.bring_to(State::Running);
    succeeded(bench.load(VM, M4, &vector("01-rsa2048-m4.sig")));
    succeeded(bench.ask(VM, Request::Start { processor: M4 }));
    assert_eq!(bench.service.state(M4), Some(State::Running));
    assert_eq!(bench.machine().drivers[1].releases[0].address, 0);
    let before = bench.machine().memory.at(0x8010_0000, 0x1000).to_vec();
    bench.machine().drivers.iter_mut().for_each(|driver| driver.manners = Manners::Obeys(2));
    bench.take_seen();
    let stop = Request::Stop { processor: M4, mode: StopMode::Graceful { milliseconds: 5 } };
    for _ in 0..2 {
        in_progress(bench.ask_once(VM, stop));
        assert_eq!(bench.service.state(M4), Some(State::Running));
    }
    succeeded(bench.ask_once(VM, stop));
    assert_eq!(bench.service.state(M4), Some(State::Stopped));
    let asked = bench.take_seen();
    assert!(asked.contains(&Seen::AskToStop(1)) && !asked.contains(&Seen::AskToStop(0)), "{asked:?}");
    succeeded(bench.ask(VM, Request::Release { processor: M4 }));
    assert_eq!(bench.machine().memory.at(0x80d0_0000, 0x7_0000), vec![0; 0x7_0000]);
    assert_eq!(bench.machine().memory.at(0x8010_0000, 0x1000), before);
    assert_eq!(bench.state(), State::Running);
}

#[test]
fn requests_that_make_no_sense_are_answered() {
    let mut bench = Bench::new();
    let answer = bench.send(KERNEL, &[0x99, 0, 0, 0, 0]);
    bench.refused(KERNEL, answer, Refusal::UnknownCommand);
    let answer = bench.send(KERNEL, &[2 | FLAG_LENT, M33.into(), 0, 0, 0]);
    bench.refused(KERNEL, answer, Refusal::FlagsUnknown);
    let answer = bench.send(KERNEL, &[3, M33.into(), 2, 0, 0]);
    bench.refused(KERNEL, answer, Refusal::FlagsUnknown);
    let answer = bench.ask(KERNEL, Request::Start { processor: 8 });
    bench.refused(KERNEL, answer, Refusal::UnknownProcessor);
    for id in [5, 0x16, 0x17] {
        let command = Command::try_from(id).unwrap();
        let answer = bench.ask(KERNEL, Request::Unimplemented(command));
        bench.refused(KERNEL, answer, Refusal::NotImplemented);
    }
    assert_eq!(bench.service.counters().refusals, 7);
    succeeded(bench.load(KERNEL, M33, &sample()));
    assert_eq!(bench.last_error(KERNEL).0, Refusal::NotImplemented.number(), "a success does not clear it");
}
