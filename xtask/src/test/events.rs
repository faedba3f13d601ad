//! What the remote core does by itself, and how its owner hears of it: the payload's `events` cases in several rounds, and a control
//! whose supervisor does not ring the doorbell, where each case that waits for a notification must fail.
use super::Suite;
use super::emulated::{PROPERTIES, SAMPLE, key, place, run, vectors_directory};
use crate::console::{Message, Verdict};
use crate::machine::{self, Run};
use crate::parameters::Parameters;
use crate::sign;
use anyhow::Result;
use std::time::Duration;

/// Rounds of each event, unless the command line says otherwise.
pub const ROUNDS: u32 = 5;
/// The longest that the control may take: each of its cases waits in vain.
const LIMIT: Duration = Duration::from_secs(200);
/// The cases that can't pass without the doorbell, each for each reason.
const CONTROL: [&str; 4] =
    ["events::hard_fault", "events::system_reset", "events::lockup", "events::watchdog"];
/// What they have to say then.
const WHY: &str = "no notification";

/// Runs the cases, then the control.
pub fn run_all(suite: &mut Suite) -> Result<()> {
    cases(suite)?;
    if suite.part.is_none() { control(suite) } else { Ok(()) }
}

/// Runs the cases.
pub fn cases(suite: &mut Suite) -> Result<()> {
    let before = suite.tally.total();
    let mut parameters = parameters(suite)?;
    parameters.set("test", suite.part.as_deref().unwrap_or("events::"))?;
    parameters.set("rounds", &suite.rounds.to_string())?;
    let keys = [key(&vectors_directory(suite), SAMPLE.1)?];
    run(suite, "events", 0, &keys, PROPERTIES, &parameters)?;
    if suite.part.is_none() && suite.tally.total() < before + CONTROL.len() as u64 {
        suite.tally.failed("events", "cases are missing");
    }
    Ok(())
}

/// Each event has to be missed where nothing rings.
fn control(suite: &mut Suite) -> Result<()> {
    let mut parameters = parameters(suite)?;
    CONTROL.iter().try_for_each(|case| parameters.set("test", case))?;
    let keys = [key(&vectors_directory(suite), SAMPLE.1)?];
    let images = suite.images()?;
    let firmware = suite.firmware.clone();
    let run = Run {
        firmware: &firmware,
        keys: &keys,
        properties: "",
        one_context: suite.one_context,
        parameters: &parameters,
        fill: 0,
        doorbell: false,
        limit: LIMIT,
    };
    let mut failed = Vec::new();
    let outcome = machine::run(&suite.workspace, &images, &run, |_, line| {
        if let Some(Message::TestEnd { name, verdict: Verdict::Failed(reason) }) = Message::parse(&line.text)
            && reason.contains(WHY)
        {
            failed.push(name);
        }
    })?;
    let title = "control: without the doorbell no event is told";
    let passed: Vec<_> = CONTROL.iter().filter(|case| !failed.iter().any(|name| name == *case)).collect();
    if !passed.is_empty() {
        let path = suite.workspace.keep_console("events control", &outcome.console)?;
        println!("      the console is in {}", path.display());
        suite.tally.failed(title, &format!("not so: {passed:?}"));
    } else if let Some(problem) = outcome.problems.first() {
        suite.tally.failed(title, problem);
    } else {
        suite.tally.passed(title);
    }
    Ok(())
}

/// The files that the cases need.
fn parameters(suite: &mut Suite) -> Result<Parameters> {
    let elf = suite.images()?.remote_firmware;
    let own = sign::own_firmware(&suite.workspace, &elf)?;
    let mut parameters = Parameters::new("test");
    place(&mut parameters, "firmware", "remote-core-firmware.sig", own, "")?;
    let sample = vectors_directory(suite).join(SAMPLE.0);
    place(&mut parameters, "sample", SAMPLE.0, sample, "")?;
    Ok(parameters)
}
