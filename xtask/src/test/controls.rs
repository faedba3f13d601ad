//! A defence is proved by its absence: one partition that takes a guard out on request, and for each guard the payload's cases that
//! must fail without it, and pass with it.
//!
//! Two guards have no case here: nothing in this machine closes memory (`Close`), and its memory can always be cleared (`WipeAgain`).
//! The exploration on the host has a control for them (`service/tests/exploration`).
use super::Suite;
use super::emulated::{
    PROPERTIES, SAMPLE, SECOND, key, place, place_encrypted, run_images, vectors_directory,
};
use crate::firmware;
use crate::machine::Clock;
use crate::manifest::Key;
use crate::parameters::Parameters;
use crate::sign;
use anyhow::Result;
#[cfg(test)]
use remoteproc_service::Guard;

/// A guard, by its name in the output and by its number in `service/src/guards.rs`; a case; and what that says when it fails.
type Control = (&'static str, u8, &'static str, &'static str);

/// Containers with one defect each, and what is said of them.
const FORGED: (&str, &str) = ("negative/n09-sig-flip.sig", "before:SIGNATURE_INVALID");
const CHANGED: (&str, &str) = ("negative/n10-segbyte.sig", "after:SEGMENT_HASH_MISMATCH");

/// In one machine.
const CONTROLS: [Control; 30] = [
    ("owner", 1, "claims::commands_are_the_owners", "expecting NOT_OWNER"),
    ("wipe-at-release", 2, "lifecycle::load_and_release", "not 0x00 throughout"),
    ("wipe-after-a-failure", 2, "vectors::negative/n10-segbyte.sig", "not 0x00 throughout"),
    (
        "hash-before-the-start",
        3,
        "firmware::changed_private_memory_does_not_start",
        "succeeds; expected SEGMENT_HASH_MISMATCH",
    ),
    ("hardware-first", 4, "firmware::answers_come_when_the_hardware_is_done", "the remote core's state"),
    ("same-image", 5, "lifecycle::another_image", "loads; expected ANOTHER_IMAGE_LOADED"),
    ("copy-once", 7, "hostile::segments_change_after_they_were_copied", "is not what was signed at"),
    ("metadata-once", 8, "hostile::metadata_changes_after_it_was_copied", "is not what was signed at"),
    ("segment-hash", 9, "vectors::negative/n10-segbyte.sig", "loads; expected SEGMENT_HASH_MISMATCH"),
    ("segment-hash-of-any-byte", 9, "flips::segment_data", "changed it loads"),
    ("signature", 10, "vectors::negative/n09-sig-flip.sig", "loads; expected SIGNATURE_INVALID"),
    ("range-check-of-the-partition", 11, "addresses::partition_memory", "RANGE_OVERLAPS_PARTITION"),
    ("range-check-of-secure-memory", 11, "addresses::secure_memory", "RANGE_OVERLAPS_PARTITION"),
    ("range-check-of-processors", 11, "addresses::window", "RANGE_OVERLAPS_PROCESSOR"),
    ("range-check-of-control-pages", 11, "addresses::control_page", "RANGE_OVERLAPS_PROCESSOR"),
    ("range-check-of-devices", 11, "addresses::devices", "RANGE_OVERLAPS_DEVICE"),
    ("range-check-of-the-rest", 11, "addresses::outside_normal_memory", "RANGE_OUTSIDE_NORMAL_MEMORY"),
    ("range-check-of-later-ranges", 11, "addresses::behind_a_good_range", "RANGE_OVERLAPS_PARTITION"),
    ("range-check-of-ends", 11, "addresses::straddling_ranges", "RANGE_OVERLAPS_PROCESSOR"),
    ("range-check-of-the-attribute", 11, "addresses::secure_attribute", "RANGE_NOT_NORMAL_WORLD"),
    ("hold-before-a-load", 13, "firmware::is_held_before_it_is_loaded", "the remote core's state"),
    ("dump", 18, "dump::secret_firmware_leaves_nothing", "whether memory may be read"),
    ("owner-gone", 17, "machines::nothing_stays_of_one_that_is_gone", "the owner is Some"),
    ("endpoint-list", 14, "processors::only_listed_endpoints_may_ask", "expecting ENDPOINT_NOT_ALLOWED"),
    ("memory-is-held", 19, "slices::held_memory_is_not_reclaimed", "the answer to FFA_MEM_RECLAIM"),
    (
        "memory-is-held-while-preempted",
        19,
        "preemption::everybody_else_waits",
        "FFA_MEM_RECLAIM of memory that the partition holds",
    ),
    ("what-was-asked-before", 21, "machines::one_goes_in_the_middle_of_one_call", "the load: Some("),
    ("turn", 22, "contexts::who_was_busy_comes_next", "never waits for the one who was busy"),
    ("clock", 23, "claims::the_clock_is_not_the_normal_worlds", "expecting METADATA_SLOTS_FULL"),
    ("owner-among-many-messages", 1, "fuzz::messages_of_all_families", "is carried out on what is"),
];

/// In another machine, whose security counter they raise.
const COUNTERS: [Control; 2] = [
    ("undoing-a-start", 6, "counters::stays_when_its_write_fails", "the order on the control page"),
    ("security-counter", 15, "counters::older_firmware_is_refused", "loads; expected COUNTER_TOO_LOW"),
];

/// Guards that only the exploration on the host takes out.
#[cfg(test)]
const ON_THE_HOST: [Guard; 2] = [Guard::Close, Guard::WipeAgain];

/// Guards that cases of [`ALONE`] take out.
#[cfg(test)]
const IN_A_CASE: [Guard; 1] = [Guard::FixUp];

/// How many messages the fuzzer sends, and how often it has to see each command and refusal: fewer than as a test of its own.
const MESSAGES: [(&str, &str); 3] = [("random", "1000"), ("mutated", "4000"), ("enough", "2")];

/// Cases of the same build that do the taking out themselves, each in a machine of its own: theme and name. Execution contexts
/// whose places were given away, and a partition that is dead afterwards.
const ALONE: [(&str, &str); 2] =
    [("places", "places::contexts_without_a_place"), ("addresses", "addresses::an_abort_without_its_fix_up")];

/// What the firmware's security counters are.
const VALUES: [u32; 3] = [4, 5, 9];

/// Runs them.
pub fn run_all(suite: &mut Suite) -> Result<()> {
    let vectors = vectors_directory(suite);
    let images = suite.images()?;
    let firmware = sign::own_firmware(&suite.workspace, &images.remote_firmware)?;
    let mut parameters = Parameters::new("test");
    place(&mut parameters, "sample", SAMPLE.0, vectors.join(SAMPLE.0), "")?;
    place(&mut parameters, "second", SECOND.0, vectors.join(SECOND.0), "")?;
    place(&mut parameters, "firmware", "remote-core-firmware.sig", firmware.clone(), "")?;
    place_encrypted(&mut parameters, suite, &images.remote_firmware)?;
    let own_m4 = sign::own_firmware_m4(&suite.workspace, &images.remote_firmware_m4)?;
    place(&mut parameters, "firmware-m4", "remote-core-firmware-m4.sig", own_m4, "")?;
    let large = sign::large_firmware(&suite.workspace, &images.remote_firmware)?;
    place(&mut parameters, "large", "large-firmware.sig", large, "")?;
    for (file, expect) in [FORGED, CHANGED] {
        place(&mut parameters, "vector", file, vectors.join(file), expect)?;
    }
    parameters.set("contexts", "4")?;
    for (name, count) in MESSAGES {
        parameters.set(name, count)?;
    }
    let keys = [key(&vectors, SAMPLE.1)?, key(&vectors, SECOND.1)?];
    try_all(suite, "controls", &CONTROLS, &keys, &mut parameters)?;

    let mut parameters = Parameters::new("test");
    place(&mut parameters, "firmware", "remote-core-firmware.sig", firmware, "")?;
    for value in VALUES {
        let path = sign::firmware_with_counter(&suite.workspace, &images.remote_firmware, value)?;
        let name = format!("counter-{value}");
        place(&mut parameters, &name, &name, path, "")?;
    }
    try_all(suite, "controls of the security counter", &COUNTERS, &keys[..1], &mut parameters)?;
    ALONE.iter().try_for_each(|(theme, case)| alone(suite, theme, case))
}

/// One case in a machine of its own.
fn alone(suite: &mut Suite, theme: &str, case: &str) -> Result<()> {
    if !suite.wants(case) {
        return Ok(());
    }
    let vectors = vectors_directory(suite);
    let mut parameters = Parameters::new("test");
    parameters.set("theme", theme)?;
    place(&mut parameters, "sample", SAMPLE.0, vectors.join(SAMPLE.0), "")?;
    let keys = [key(&vectors, SAMPLE.1)?];
    let mut images = suite.images()?;
    images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, firmware::CONTROL)?;
    let before = suite.tally.total();
    run_images(suite, case, 0, &keys, PROPERTIES, &parameters, (&images, Clock::Host))?;
    if suite.tally.total() != before + 1 {
        suite.tally.failed(case, "it was not run");
    }
    Ok(())
}

fn try_all(
    suite: &mut Suite,
    title: &str,
    controls: &[Control],
    keys: &[Key],
    parameters: &mut Parameters,
) -> Result<()> {
    parameters.set("theme", "controls")?;
    let wanted = controls.iter().filter(|(name, ..)| suite.wants(name));
    let mut count = 0;
    for (name, guard, case, reason) in wanted {
        parameters.set("control", &format!("{name},{guard},{case},{reason}"))?;
        count += 1;
    }
    if count == 0 {
        return Ok(());
    }
    let mut images = suite.images()?;
    images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, firmware::CONTROL)?;
    let before = suite.tally.total();
    let (outcome, facts) = run_images(suite, title, 0, keys, PROPERTIES, parameters, (&images, Clock::Host))?;
    for fact in facts.iter().filter(|fact| fact.starts_with("without ")) {
        println!("      {fact}");
    }
    println!("      {title}: {:.1} s", outcome.elapsed.as_secs_f64());
    if suite.tally.total() != before + count {
        suite.tally.failed(title, "not every control was tried");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guard_is_taken_out_somewhere() {
        let tried = |guard: &Guard| {
            CONTROLS.iter().chain(&COUNTERS).any(|(_, number, ..)| *number == *guard as u8)
                || ON_THE_HOST.contains(guard)
                || IN_A_CASE.contains(guard)
        };
        let forgotten: Vec<_> = Guard::ALL.into_iter().filter(|guard| !tried(guard)).collect();
        assert_eq!(forgotten, [], "add a control");
    }
}
