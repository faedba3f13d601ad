//! Runs of the payload's own tests: the system tests, and the judgement of signed containers.
use super::expectations;
use super::{Suite, events, faults, trust};
use crate::console::{Message, Speaker, Verdict};
use crate::firmware::Images;
use crate::machine::{self, Clock, Firmware, Outcome, Run};
use crate::manifest::Key;
use crate::parameters::Parameters;
use crate::progress;
use crate::sign;
use crate::window;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Bytes of the large file, of which 10 MiB are loaded.
const LARGE: usize = 16 << 20;

/// What the system tests need in the manifest: loads that count as idle soon, an endpoint that may load in one call, and a processor
/// that not everybody may use.
pub const PROPERTIES: &str = "idle-claim-ms = <1000>; one-call-endpoints = <1>; processors { m33 { attach-endpoints = <3>; }; m4 { endpoints = <0 1 2>; }; };";

/// How many messages the fuzzer sends to a partition with one execution context, and how often it has to see each command and refusal:
/// half of what it sends to the one with several, which answers them by the same code.
const FEWER_MESSAGES: [(&str, &str); 4] =
    [("random", "5000"), ("mutated", "3000"), ("calls", "4500"), ("enough", "10")];

/// How many loads of an image that changes meanwhile the partition with several execution contexts makes here, on the test bench's SPMC.
/// The group `hostile` has it make all of them.
const FEWER_FLIPS: (&str, &str) = ("flip-loads", "60");

/// How the lines begin that tell how far something is that is done very often.
const ENDURANCE: &str = "soak ";

/// How the lines begin that tell what the fuzzer has seen, what a large load took, what was told, what a load met whose image changed
/// meanwhile, and which requests were preempted.
const FACTS: [&str; 5] = ["fuzz ", "load of ", "events of ", "flips: ", "preemptions of "];

/// A good container, and another one, each with the key that signed it.
pub const SAMPLE: (&str, &str) = ("04-rsa2048-platTLV-keyinfo.sig", "rsa2048");
pub const SECOND: (&str, &str) = ("02-rsa4096-multi-m33.sig", "rsa4096");

/// The payload's own tests.
pub fn system(suite: &mut Suite) -> Result<()> {
    let (mut parameters, keys) = system_parameters(suite)?;
    if let Some(part) = &suite.part {
        parameters.set("test", part)?;
    }
    if suite.one_context {
        for (name, count) in FEWER_MESSAGES {
            parameters.set(name, count)?;
        }
    } else if matches!(suite.firmware, Firmware::Fixture) {
        let (name, count) = FEWER_FLIPS;
        parameters.set(name, count)?;
    }
    // The tests begin and end with clear memory.
    run(suite, &suite.title("system"), 0, &keys, PROPERTIES, &parameters).map(drop)
}

/// What the payload's own tests need: their files, and the keys that signed these.
pub fn system_parameters(suite: &mut Suite) -> Result<(Parameters, [Key; 2])> {
    let images = suite.images()?;
    let vectors = vectors_directory(suite);
    let own = sign::own_firmware(&suite.workspace, &images.remote_firmware)?;
    let mut parameters = parameters(suite)?;
    if let Some(seed) = suite.seed {
        parameters.set("seed", &seed.to_string())?;
    }
    place(&mut parameters, "sample", SAMPLE.0, vectors.join(SAMPLE.0), "")?;
    place(&mut parameters, "second", SECOND.0, vectors.join(SECOND.0), "")?;
    place(&mut parameters, "firmware", "remote-core-firmware.sig", own, "")?;
    place_encrypted(&mut parameters, suite, &images.remote_firmware)?;
    let own_m4 = sign::own_firmware_m4(&suite.workspace, &images.remote_firmware_m4)?;
    place(&mut parameters, "firmware-m4", "remote-core-firmware-m4.sig", own_m4, "")?;
    let large = sign::large_file(&suite.workspace, &images.remote_firmware, LARGE)?;
    place(&mut parameters, "large", "large-file.sig", large, "")?;
    Ok((parameters, [key(&vectors, SAMPLE.1)?, key(&vectors, SECOND.1)?]))
}

/// The encrypted firmware, which may be read for a dump or not.
pub fn place_encrypted(parameters: &mut Parameters, suite: &Suite, elf: &[u8]) -> Result<()> {
    for (key, dump) in [("firmware-secret", false), ("firmware-dump", true)] {
        let path = sign::encrypted_firmware(&suite.workspace, elf, dump)?;
        place(parameters, key, &format!("remote-core-{key}.sig"), path, "")?;
    }
    Ok(())
}

/// The tests of other groups with a partition of one execution context, which runs on whichever CPU calls it.
pub fn one_context(suite: &mut Suite) -> Result<()> {
    suite.one_context = true;
    let whole = suite.part.is_none();
    let others = |suite: &mut Suite| {
        vectors(suite)?;
        trust::run_all(suite)?;
        events::cases(suite)?;
        faults::run(suite)
    };
    let outcome = system(suite).and_then(|()| if whole { others(suite) } else { Ok(()) });
    suite.one_context = false;
    outcome
}

/// What both kinds of run tell the payload.
fn parameters(suite: &Suite) -> Result<Parameters> {
    let mut parameters = Parameters::new("test");
    parameters.set("contexts", if suite.one_context { "1" } else { "4" })?;
    if matches!(suite.firmware, Firmware::Prebuilt(_)) {
        // Tests that need the test bench's own controls are to be skipped, not failed.
        parameters.set("spmc", "prebuilt")?;
    }
    Ok(parameters)
}

/// Every listed container, one run for each key.
pub fn vectors(suite: &mut Suite) -> Result<()> {
    let directory = vectors_directory(suite);
    for (name, answers) in expectations::read(&directory)? {
        let mut parameters = parameters(suite)?;
        parameters.set("test", "vectors::")?;
        let mut count = 0;
        for answer in answers.iter().filter(|answer| suite.wants(&answer.file)) {
            place(&mut parameters, "vector", &answer.file, directory.join(&answer.file), &answer.expect)?;
            count += 1;
        }
        if count == 0 {
            continue;
        }
        // With a sample the payload proves after each container that a clean load still works.
        if let Some(good) = answers.iter().find(|answer| answer.expect == "load") {
            place(&mut parameters, "sample", &good.file, directory.join(&good.file), "")?;
        }
        let title = suite.title(&format!("vectors with key {name}"));
        let before = suite.tally.total();
        let outcome = run(suite, &title, window::FILL, &[key(&directory, &name)?], "", &parameters)?;
        if suite.tally.total() < before + count {
            suite.tally.failed(&title, "not every container was judged");
        }
        if outcome.remote.releases > 0 || outcome.remote_m4.releases > 0 {
            suite.tally.failed(&title, "a remote core was released from reset although nothing was started");
        }
    }
    Ok(())
}

/// Where the test vectors are.
pub fn vectors_directory(suite: &Suite) -> PathBuf {
    suite.workspace.root.join("tests/vectors")
}

/// A key of the test vectors, by its name.
pub fn key(vectors: &Path, name: &str) -> Result<Key> {
    Key::read(&vectors.join(format!("keys/{name}.pub.pem")))
}

/// Puts a file into the payload's memory, and tells it where.
pub fn place(parameters: &mut Parameters, key: &str, name: &str, path: PathBuf, rest: &str) -> Result<()> {
    let length = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
    parameters.file(key, name, path, length, rest)
}

/// Runs the payload and takes over its verdicts.
pub fn run(
    suite: &mut Suite,
    title: &str,
    fill: u8,
    keys: &[Key],
    properties: &str,
    parameters: &Parameters,
) -> Result<Outcome> {
    let images = suite.images()?;
    let (outcome, facts) =
        run_images(suite, title, fill, keys, properties, parameters, (&images, Clock::Host))?;
    for fact in facts.iter().filter(|fact| FACTS.iter().any(|start| fact.starts_with(start))) {
        println!("      {fact}");
    }
    println!("      {title}: {:.1} s", outcome.elapsed.as_secs_f64());
    Ok(outcome)
}

/// Runs the payload with these programs, by this clock, and takes over its verdicts. Returns the facts that it tells, too.
pub fn run_images(
    suite: &mut Suite,
    title: &str,
    fill: u8,
    keys: &[Key],
    properties: &str,
    parameters: &Parameters,
    (images, clock): (&Images, Clock),
) -> Result<(Outcome, Vec<String>)> {
    let step = progress::step(title);
    let mut verdicts = Verdicts::default();
    let mut facts = Vec::new();
    let firmware = suite.firmware.clone();
    let one_context = suite.one_context;
    let run = Run {
        firmware: &firmware,
        keys,
        properties,
        one_context,
        parameters,
        fill,
        doorbell: true,
        limit: suite.limit,
    };
    let outcome = machine::run_by_clock(&suite.workspace, images, &run, clock, |_, line| {
        if line.speaker != Speaker::Payload {
            return;
        }
        if let Some(message) = Message::parse(&line.text) {
            if let Message::Info(text) = &message {
                if text.starts_with(ENDURANCE) {
                    step.detail(text);
                }
                facts.push(text.clone());
            }
            if let Message::TestBegin(name) = &message {
                step.detail(name);
            }
            verdicts.take(message);
        }
    })?;
    drop(step);
    let failed = verdicts.failed() || !outcome.problems.is_empty();
    for (name, verdict) in &verdicts.ended {
        match verdict {
            Verdict::Passed => suite.tally.passed(name),
            Verdict::Failed(reason) => suite.tally.failed(name, reason),
            Verdict::Skipped(reason) => suite.tally.skipped(name, reason),
        }
    }
    for problem in verdicts.problems().iter().chain(&outcome.problems) {
        suite.tally.failed(title, problem);
    }
    if failed {
        let path = suite.workspace.keep_console(title, &outcome.console)?;
        println!("      the console is in {}", path.display());
    }
    Ok((outcome, facts))
}

/// What the payload's lines say about its tests.
#[derive(Debug, Default)]
struct Verdicts {
    ended: Vec<(String, Verdict)>,
    begun: Option<String>,
    counts: Option<[u64; 3]>,
}

impl Verdicts {
    fn take(&mut self, message: Message) {
        match message {
            Message::TestBegin(name) => self.begun = Some(name),
            Message::TestEnd { name, verdict } => {
                if self.begun.as_deref() == Some(&name) {
                    self.begun = None;
                }
                self.ended.push((name, verdict));
            }
            Message::TestsDone { counts } => self.counts = Some(counts),
            _ => {}
        }
    }

    /// What is wrong with the run as a whole.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(name) = &self.begun {
            problems.push(format!("{name} has no end"));
        }
        let mut counts = [0; 3];
        for (_, verdict) in &self.ended {
            let index = match verdict {
                Verdict::Passed => 0,
                Verdict::Failed(_) => 1,
                Verdict::Skipped(_) => 2,
            };
            counts[index] += 1;
        }
        match self.counts {
            None => problems.push("the tests have no end".to_owned()),
            Some(told) if told != counts => {
                problems.push(format!("{told:?} tests were counted, {counts:?} seen"));
            }
            Some(_) => {}
        }
        problems
    }

    fn failed(&self) -> bool {
        !self.problems().is_empty()
            || self.ended.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(lines: &[&str]) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for message in lines.iter().filter_map(|line| Message::parse(line)) {
            verdicts.take(message);
        }
        verdicts
    }

    #[test]
    fn a_complete_run_has_no_problems() {
        let good = verdicts(&["test a begin", "test a pass", "tests done passed=1 failed=0 skipped=0"]);
        assert!(!good.failed());
        let bad = verdicts(&["test a begin", "test a fail why", "tests done passed=0 failed=1 skipped=0"]);
        assert!(bad.failed() && bad.problems().is_empty());
    }

    #[test]
    fn lost_tests_are_noticed() {
        assert_eq!(verdicts(&["test a begin", "test a pass"]).problems().len(), 1);
        assert_eq!(verdicts(&["test a begin"]).problems().len(), 2);
        let lost = ["test a begin", "test a pass", "tests done passed=2 failed=0 skipped=0"];
        assert_eq!(verdicts(&lost).problems().len(), 1);
    }
}
