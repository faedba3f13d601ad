//! A partition that fails on request: each of the payload's `faults` cases in a machine of its own, because afterwards nothing works.
use super::Suite;
use super::emulated::{key, run_images, vectors_directory};
use crate::firmware;
use crate::machine::Clock;
use crate::parameters::Parameters;
use crate::sign;
use anyhow::{Result, bail};
use std::fs;

/// Feature of a partition that fails on request.
const FEATURE: &str = "fault-injection";
/// What the partition says in the end.
const LAST_WORDS: &str = "out of service: every request is answered TARGET_DEAD";

/// The cases, and what the partition's log has to tell of each besides [`LAST_WORDS`].
const CASES: [(&str, &str); 21] = [
    ("panic_in_metadata", "error: panic"),
    ("panic_while_claimed", "error: panic"),
    ("panic_while_hashing", "error: panic"),
    ("panic_when_loaded", "error: panic"),
    ("panic_while_starting", "error: panic"),
    ("panic_while_running", "error: panic"),
    ("panic_in_door_t", "error: panic"),
    ("panic_in_the_second_family", "error: panic"),
    ("panic_again_while_dying", "error: panic"),
    // Exception classes, in ESR bits 31:26: data abort, instruction abort, undefined instruction.
    ("data_abort_while_claimed", "ESR 0x96"),
    ("data_abort_again_while_dying", "ESR 0x96"),
    ("instruction_abort_when_loaded", "ESR 0x86"),
    ("undefined_instruction_while_running", "ESR 0x2"),
    ("stack_overflow_while_claimed", "ESR 0x96"),
    ("stack_overflow_again_while_dying", "ESR 0x96"),
    ("heap_used_up_while_hashing", "error: panic"),
    ("panic_with_the_tables_locked", "error: panic"),
    ("data_abort_with_the_window_mapped", "ESR 0x96"),
    ("panic_at_the_end_of_the_stack", "error: panic"),
    ("panic_on_another_processor", "error: panic"),
    ("panic_beside_an_interrupted_load", "error: panic"),
];

/// The case that fails beside another context's request.
const BESIDE: &str = "faults::panic_beside_an_interrupted_load";

/// Runs the cases.
pub fn run(suite: &mut Suite) -> Result<()> {
    let vectors = vectors_directory(suite);
    let mut images = suite.images()?;
    let firmware = sign::own_firmware(&suite.workspace, &images.remote_firmware)?;
    let length = fs::metadata(&firmware)?.len();
    images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, FEATURE)?;
    let keys = [key(&vectors, "rsa2048")?];
    let mut seconds = 0.0;
    for (name, words) in CASES {
        let case = format!("faults::{name}");
        if !suite.wants(&case) {
            continue;
        }
        if suite.one_context && case == BESIDE {
            suite.tally.skipped(
                &suite.title(&case),
                "with one execution context there is no request beside another one",
            );
            continue;
        }
        let mut parameters = Parameters::new("test");
        parameters.set("theme", "faults")?;
        parameters.set("test", &case)?;
        parameters.file("firmware", "remote-core-firmware.sig", firmware.clone(), length, "")?;
        let before = suite.tally.total();
        let (outcome, _) =
            run_images(suite, &suite.title(&case), 0, &keys, "", &parameters, (&images, Clock::Host))?;
        if suite.tally.total() == before {
            bail!("the payload has no case {case}");
        }
        let told = |words: &str| {
            outcome.console.lines().any(|line| line.starts_with("[SP] ") && line.contains(words))
        };
        for words in [words, LAST_WORDS] {
            if !told(words) {
                suite.tally.failed(&case, &format!("the partition's log does not say {words:?}"));
            }
        }
        seconds += outcome.elapsed.as_secs_f64();
    }
    println!("      faults: {seconds:.1} s");
    Ok(())
}
