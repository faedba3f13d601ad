//! All states that clients and failing hardware can bring the service to, gone through one by one. It is the service itself that
//! answers, not a model of it: `model.rs` puts it into each state and lets everything happen that can happen there.
//!
//! Each exploration prints how many states it found. The controls take one guard out of the service and must find what it kept away.
mod images;
mod judge;
mod machine;
mod model;

use images::Image;
use machine::Trouble;
use model::{Action, Exploration};
use remoteproc_service::{Caller, Door, Guard};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

/// The kernel, and user space, which is the same endpoint behind another door.
const KERNEL: Caller = Caller { endpoint: 0, door: Door::Direct };
const USER: Caller = Caller { endpoint: 0, door: Door::TsRpc };
/// A virtual machine.
const MACHINE: Caller = Caller { endpoint: 3, door: Door::Direct };

/// Goes through all states. `least`: fewer would mean that something was left out.
fn explore(name: &str, least: usize, model: Exploration) {
    let start = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {states} states, {steps} steps, at most {depth} deep, {seconds:.1} s");
    checker.assert_properties();
    assert!(states >= least, "only {states} states");
}

/// Goes on until one of these properties is broken, whatever else is.
fn finds(name: &str, properties: &'static [&'static str], mut model: Exploration) {
    model.only = Some(properties);
    let wanted = HasDiscoveries::AnyOf(properties.iter().copied().collect());
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let found = checker.discoveries();
    let path = properties.iter().find_map(|property| found.get(property));
    let path = path.unwrap_or_else(|| panic!("without {name} something else is found: {found:?}"));
    println!("without {name}: {:?} after {:?}", path.last_state(), path.clone().into_actions());
}

#[test]
fn two_doors_of_one_endpoint_and_every_image() {
    explore("two doors, every image", 2_000, Exploration::new(1, &[KERNEL, USER], &Image::ALL, false));
}

#[test]
fn two_endpoints_and_every_image() {
    explore("two endpoints, every image", 2_000, Exploration::new(1, &[KERNEL, MACHINE], &Image::ALL, false));
}

#[test]
fn an_endpoint_that_the_manifest_does_not_list() {
    let model = Exploration::new(1, &[KERNEL, MACHINE], &Image::ALL, false).listing(&[KERNEL.endpoint]);
    explore("an endpoint that is not listed", 70, model);
}

#[test]
fn two_clients_and_two_processors() {
    let model = Exploration::new(2, &[USER, MACHINE], &[Image::Good], false);
    explore("two clients, two processors", 3_000, model);
}

#[test]
fn one_client_every_image_and_every_failure() {
    let model = Exploration::new(1, &[KERNEL], &Image::ALL, true);
    explore("one client, every image, every failure", 5_000, model);
}

#[test]
fn a_processor_that_runs_when_the_partition_boots() {
    let mut model = Exploration::new(1, &[KERNEL], &Image::ALL, true);
    model.foreign = true;
    explore("a processor that runs at first, every failure", 5_000, model);
}

#[test]
fn one_client_every_failure_and_memory_that_hardware_closes() {
    let images = [Image::Good, Image::Other, Image::Changed, Image::ChangedCode];
    let mut model = Exploration::new(1, &[KERNEL], &images, true);
    model.enforces = true;
    explore("one client, hardware closes memory, every failure", 2_500, model);
}

#[test]
fn two_doors_and_every_failure() {
    let model = Exploration::new(1, &[KERNEL, USER], &[Image::Good], true);
    explore("two doors, every failure", 80_000, model);
}

#[test]
fn two_endpoints_and_every_failure() {
    let model = Exploration::new(1, &[KERNEL, MACHINE], &[Image::Good], true);
    explore("two endpoints, every failure", 80_000, model);
}

#[test]
fn events_confirmations_and_handovers_between_two_endpoints() {
    let images = [Image::Good, Image::Other];
    let model = Exploration::new(1, &[KERNEL, MACHINE], &images, false).with_more(&[MACHINE.endpoint]);
    explore("events, confirmations, handovers", 2_500, model);
}

#[test]
fn events_confirmations_and_every_failure() {
    let model =
        Exploration::new(1, &[KERNEL], &[Image::Good, Image::Other], true).with_more(&[MACHINE.endpoint]);
    explore("events, confirmations, every failure", 6_000, model);
}

/// Two rules that no guard stands for: the judge itself is shown a step that breaks them.
#[test]
fn the_judge_notices_who_is_told_and_what_counts() {
    let images = [Image::Good];
    let model = Exploration::new(1, &[KERNEL, MACHINE], &images, false).with_more(&[MACHINE.endpoint]);
    let before = model.init_states().remove(0);
    let judged = |change: fn(&mut model::Point)| {
        let mut after = before.clone();
        change(&mut after);
        let action = Action::Rings(Trouble::None);
        let step = judge::Step { action, before: &before, after: &after, answer: None };
        judge::step(&model, &step).map(|broken| broken.property)
    };
    assert_eq!(judged(|_| ()), None);
    assert_eq!(judged(|after| after.world.told.push((MACHINE.endpoint, 8))), Some(judge::TOLD));
    assert_eq!(judged(|after| after.world.cores[0].counter = 1), Some(judge::STATE));
}

/// One client or two, all images, every failure, without a guard.
fn without(guard: Guard, clients: &[Caller]) -> Exploration {
    let mut model = Exploration::new(1, clients, &Image::ALL, true);
    model.removed = Some(guard);
    model
}

#[test]
fn control_without_the_owner_check() {
    finds("the owner check", &[judge::OTHERS], without(Guard::Owner, &[KERNEL, USER]));
}

#[test]
fn control_without_the_list_of_endpoints() {
    let model = without(Guard::EndpointList, &[KERNEL, MACHINE]).listing(&[KERNEL.endpoint]);
    finds("the list of endpoints", &[judge::OTHERS], model);
}

#[test]
fn control_without_the_wipe() {
    finds("the wipe", &[judge::CLEAR], without(Guard::Wipe, &[KERNEL]));
}

#[test]
fn control_without_the_hash_before_the_start() {
    finds("the hash before the start", &[judge::HARDWARE], without(Guard::Seal, &[KERNEL]));
}

#[test]
fn control_without_waiting_for_the_hardware() {
    finds(
        "waiting for the hardware",
        &[judge::STATE, judge::ANSWER],
        without(Guard::HardwareFirst, &[KERNEL]),
    );
}

#[test]
fn control_without_comparing_the_image() {
    finds("comparing the image", &[judge::ANSWER], without(Guard::SameImage, &[KERNEL]));
}

#[test]
fn control_without_holding_what_did_not_start() {
    finds("holding what did not start", &[judge::STATE], without(Guard::UndoStart, &[KERNEL]));
}

/// It gets as far as running.
#[test]
fn control_without_the_signature() {
    let mut model = Exploration::new(1, &[KERNEL], &[Image::Forged], true);
    model.removed = Some(Guard::Signature);
    finds("the signature", &[judge::HARDWARE], model);
}

/// So does what only the hash of the segments finds: data, and where hardware closes memory, so that there is no second hash, code.
#[test]
fn control_without_the_hash_of_the_segments() {
    for (image, enforces) in [(Image::Changed, false), (Image::ChangedCode, true)] {
        let mut model = Exploration::new(1, &[KERNEL], &[image], true);
        model.removed = Some(Guard::SegmentHash);
        model.enforces = enforces;
        finds("the hash of the segments", &[judge::HARDWARE], model);
    }
}

#[test]
fn control_without_holding_what_a_gone_machine_had() {
    finds(
        "holding what a virtual machine that is gone had",
        &[judge::OTHERS],
        without(Guard::OwnerGone, &[KERNEL, MACHINE]),
    );
}

#[test]
fn control_without_judging_the_ranges() {
    finds("judging the ranges", &[judge::HARDWARE], without(Guard::RangeCheck, &[KERNEL]));
}

#[test]
fn control_without_closing_the_memory() {
    finds("closing the memory", &[judge::HARDWARE], without(Guard::Close, &[KERNEL]));
}

#[test]
fn control_without_holding_what_is_loaded() {
    let mut model = without(Guard::HoldBeforeLoad, &[KERNEL]);
    model.foreign = true;
    finds("holding what is loaded", &[judge::HARDWARE], model);
}

#[test]
fn control_without_the_security_counter() {
    finds("the security counter", &[judge::HARDWARE], without(Guard::SecurityCounter, &[KERNEL]));
}

#[test]
fn control_without_another_try_to_wipe() {
    finds("another try to wipe", &[judge::HOME], without(Guard::WipeAgain, &[KERNEL]));
}
