//! `cargo xtask soak`: what only shows when it is done very often. Too long for every change.
use super::Suite;
use super::emulated::{SAMPLE, SECOND, key, place, run_images, system_parameters, vectors_directory};
use super::events;
use crate::firmware;
use crate::machine::{Clock, Firmware};
use crate::parameters::Parameters;
use crate::setup;
use crate::sign;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::time::Duration;

/// A build of the partition that tells how much of its heap is in use.
const FEATURE: &str = "fault-injection";
/// The longest that one part may take.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// The case that shows that something lost is noticed.
const CONTROL: &str = "soak::a_leak_is_noticed";

/// What the soak command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only the parts whose names contain this: messages, cycles, aborted, flips, events
    part: Option<String>,
    /// Random messages
    #[arg(long, default_value_t = 1_000_000)]
    random: u32,
    /// Valid messages with mistakes
    #[arg(long, default_value_t = 100_000)]
    mutated: u32,
    /// Calls of door T with buffers
    #[arg(long, default_value_t = 50_000)]
    calls: u32,
    /// How often each command and each refusal that messages can provoke has to be seen
    #[arg(long, default_value_t = 100)]
    enough: u32,
    /// Loads with a start, a stop and a release
    #[arg(long, default_value_t = 2_000)]
    cycles: u32,
    /// Loads that end before their time
    #[arg(long, default_value_t = 2_000)]
    aborted: u32,
    /// Loads whose image another CPU changes meanwhile
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(20..))]
    flips: u32,
    /// Rounds of each event: hard fault, reset, lockup, watchdog
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// With one execution context of the partition for all CPUs
    #[arg(long)]
    one_context: bool,
    /// What the random numbers begin with, instead of a fixed seed
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it and returns the exit code.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    let toolchain = setup::ensure()?;
    let mut suite = Suite::new(workspace, toolchain, Firmware::Fixture, options.part.clone());
    suite.seed = options.seed;
    suite.one_context = options.one_context;
    suite.limit = LIMIT;
    if suite.wants("messages") {
        messages(&mut suite, options)?;
    }
    for (name, case, times) in
        [("cycles", "soak::cycles", options.cycles), ("aborted", "soak::aborted_loads", options.aborted)]
    {
        if suite.wants(name) {
            often(&mut suite, (name, case, times))?;
        }
    }
    if suite.wants("flips") {
        super::hostile::flips(&mut suite, "soak: flips", Some(options.flips))?;
    }
    if suite.wants("events") {
        suite.rounds = options.rounds;
        // All of its cases, not those whose names contain the part's.
        suite.part = None;
        events::run_all(&mut suite)?;
    }
    if suite.tally.total() == 0 {
        bail!("no part has such a name");
    }
    Ok(suite.tally.finish())
}

/// Many messages of all families, with the partition as it is released.
fn messages(suite: &mut Suite, options: &Options) -> Result<()> {
    let (mut parameters, keys) = system_parameters(suite)?;
    parameters.set("test", "fuzz::")?;
    let numbers = [
        ("random", options.random),
        ("mutated", options.mutated),
        ("calls", options.calls),
        ("enough", options.enough),
        ("starts", options.enough),
    ];
    for (name, number) in numbers {
        parameters.set(name, &number.to_string())?;
    }
    super::emulated::run(suite, "soak: messages", 0, &keys, super::emulated::PROPERTIES, &parameters)
        .map(drop)
}

/// One of the theme's cases, so many times.
fn often(suite: &mut Suite, (name, case, times): (&str, &str, u32)) -> Result<()> {
    let mut images = suite.images()?;
    let vectors = vectors_directory(suite);
    let own = sign::own_firmware(&suite.workspace, &images.remote_firmware)?;
    let large = sign::large_firmware(&suite.workspace, &images.remote_firmware)?;
    images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, FEATURE)?;
    let mut parameters = Parameters::new("test");
    parameters.set("theme", "soak")?;
    parameters.set("test", CONTROL)?;
    parameters.set("test", case)?;
    parameters.set(name, &times.to_string())?;
    if let Some(seed) = suite.seed {
        parameters.set("seed", &seed.to_string())?;
    }
    place(&mut parameters, "sample", SAMPLE.0, vectors.join(SAMPLE.0), "")?;
    place(&mut parameters, "firmware", "remote-core-firmware.sig", own, "")?;
    place(&mut parameters, "large", "large-firmware.sig", large, "")?;
    let keys = [key(&vectors, SAMPLE.1)?, key(&vectors, SECOND.1)?];
    let title = format!("soak: {name}");
    let (outcome, facts) = run_images(suite, &title, 0, &keys, "", &parameters, (&images, Clock::Host))?;
    if !facts.iter().any(|fact| fact.starts_with("soak ") && fact.contains(&format!(" {times} times; "))) {
        suite.tally.failed(&title, "it was not done so often");
    }
    // The seed, what was done how often, and what was counted before and after; not how far it was.
    let how_far = format!(" of {times}");
    for fact in facts.iter().filter(|fact| fact.starts_with("soak ") && !fact.ends_with(&how_far)) {
        println!("      {fact}");
    }
    println!("      {title}: {:.1} s", outcome.elapsed.as_secs_f64());
    Ok(())
}
