//! `cargo xtask test`: every check of the project, one line each, and one line of counts at the end.
mod bounds;
mod controls;
mod demos;
mod emulated;
mod events;
mod expectations;
mod faults;
mod fuzzing;
mod host;
mod hostile;
mod prebuilt;
mod signed;
pub mod soak;
mod sources;
mod tally;
mod trust;

use crate::firmware::{self, Images};
use crate::image::Sizes;
use crate::machine::Firmware;
use crate::process;
use crate::setup;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use anyhow::{Result, anyhow, bail};
use std::time::{Duration, Instant};
use tally::Tally;

/// A group of checks: its name, what it checks, and the checks.
type Group = (&'static str, &'static str, fn(&mut Suite) -> Result<()>);

const GROUPS: [Group; 18] = [
    ("format", "the sources are formatted", sources::format),
    ("clippy", "no lints, on the host and on each target", sources::clippy),
    ("doc", "the documentation builds without warnings", sources::doc),
    ("unsafe", "crates without unsafe code stay so", sources::unsafe_rules),
    ("host", "tests that run on this machine", host::run),
    ("fuzz", "each fuzz target runs for a short time", fuzzing::run),
    ("image", "the partition keeps within its limits", image_limits),
    ("system", "the normal world attacks and uses the partition, in the emulator", emulated::system),
    (
        "contexts",
        "the same, and vectors, trust, events and faults, with one execution context of the partition for all processors",
        emulated::one_context,
    ),
    ("vectors", "signed containers are judged as listed, in the emulator", emulated::vectors),
    ("trust", "revoked keys, keys known by hash, and the security counter, in the emulator", trust::run_all),
    (
        "bounds",
        "no request takes longer than one slice or one signature check, and no client waits longer, in instructions",
        bounds::run,
    ),
    ("faults", "a partition that fails answers TARGET_DEAD and holds what it was loading", faults::run),
    (
        "hostile",
        "an image that changes while it is loaded; and a control that copies twice",
        hostile::run_all,
    ),
    (
        "controls",
        "each defence is proved by its absence: without it, the cases that prove it fail",
        controls::run_all,
    ),
    (
        "events",
        "what the remote core does by itself reaches its owner; and a control without the doorbell",
        events::run_all,
    ),
    ("demo", "demo runs as a user starts them", demos::run),
    ("firmware", "demo, system and vectors on prebuilt TF-A and Hafnium", prebuilt::run),
];

/// What the test command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One group, or a part of one: GROUP or GROUP:TEXT, as in `system:sharing::` or `demo:05`
    filter: Option<String>,
    /// What the random numbers of the system tests begin with, instead of fixed seeds
    #[arg(long)]
    seed: Option<u64>,
    /// How often the group `events` provokes each event
    #[arg(long, default_value_t = events::ROUNDS)]
    rounds: u32,
    /// Print the figures of the group `bounds` as one JSON object, too
    #[arg(long)]
    json: bool,
    /// List the groups
    #[arg(long)]
    list: bool,
}

/// The longest run of the emulator, on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// What the checks share.
struct Suite {
    workspace: Workspace,
    toolchain: Toolchain,
    /// What boots the emulated machine.
    firmware: Firmware,
    images: Option<Result<Images, String>>,
    /// The partition has one execution context instead of one for each CPU.
    one_context: bool,
    /// The part of the group that is wanted, if not all of it.
    part: Option<String>,
    /// What the fuzzer begins with, if not with its own.
    seed: Option<u64>,
    /// How often each event is provoked.
    rounds: u32,
    /// Figures are wanted as JSON, too.
    json: bool,
    /// The longest that one run of the emulator may take.
    limit: Duration,
    tally: Tally,
}

impl Suite {
    fn new(workspace: Workspace, toolchain: Toolchain, firmware: Firmware, part: Option<String>) -> Self {
        Self {
            workspace,
            toolchain,
            firmware,
            images: None,
            one_context: false,
            part,
            seed: None,
            rounds: events::ROUNDS,
            json: false,
            limit: LIMIT,
            tally: Tally::default(),
        }
    }

    /// A run's title: the same tests run on more than one firmware.
    fn title(&self, name: &str) -> String {
        let contexts = if self.one_context { ", one execution context" } else { "" };
        match self.firmware {
            Firmware::Fixture => format!("{name}{contexts}"),
            Firmware::Prebuilt(_) => format!("{name}{contexts} on prebuilt firmware"),
        }
    }

    /// The programs, built once.
    fn images(&mut self) -> Result<Images> {
        if self.images.is_none() {
            let built = firmware::build_all(&self.workspace, &self.toolchain);
            self.images = Some(built.map_err(|error| format!("{error:#}")));
        }
        match &self.images {
            Some(Ok(images)) => Ok(images.clone()),
            Some(Err(text)) => Err(anyhow!("{text}")),
            None => bail!("the programs were not built"),
        }
    }

    /// Whether a check of the group is wanted.
    fn wants(&self, name: &str) -> bool {
        self.part.as_deref().is_none_or(|part| name.contains(part))
    }
}

/// Runs the checks and returns the exit code.
pub fn run(options: &Options) -> Result<u8> {
    if options.list {
        for (name, what, _) in GROUPS {
            println!("{name:<8} {what}");
        }
        return Ok(0);
    }
    let (group, part) = match options.filter.as_deref() {
        None => (None, None),
        Some(filter) => match filter.split_once(':') {
            None => (Some(filter), None),
            Some((group, part)) => (Some(group), Some(part.to_owned())),
        },
    };
    if let Some(group) = group
        && !GROUPS.iter().any(|(name, _, _)| *name == group)
    {
        bail!("no group {group:?}; `cargo xtask test --list` lists them");
    }
    let workspace = Workspace::find()?;
    setup::ensure_components();
    let toolchain = setup::ensure()?;
    setup::ensure_test_tools()?;
    let mut suite = Suite::new(workspace, toolchain, Firmware::Fixture, part);
    suite.seed = options.seed;
    suite.rounds = options.rounds;
    suite.json = options.json;
    for (name, what, checks) in GROUPS {
        if group.is_some_and(|group| group != name) {
            continue;
        }
        println!("{name}: {what}");
        let (before, start) = (suite.tally.total(), Instant::now());
        if let Err(error) = checks(&mut suite) {
            suite.tally.failed(name, &format!("{error:#}"));
        }
        process::check_interrupt()?;
        if suite.tally.total() == before {
            suite.tally.failed(name, "no check was run");
        }
        suite.tally.took(name, start.elapsed());
    }
    Ok(suite.tally.finish())
}

/// Runs the payload's tests and the containers on prebuilt firmware; `demo` is the exit code of a demo that was shown before.
pub fn run_on_firmware(firmware: Firmware, part: Option<String>, demo: Option<u8>) -> Result<u8> {
    let workspace = Workspace::find()?;
    let toolchain = setup::ensure()?;
    let mut suite = Suite::new(workspace, toolchain, firmware, part);
    match demo {
        None => {}
        Some(0) => suite.tally.passed("demo"),
        Some(code) => suite.tally.failed("demo", &format!("it ended with exit code {code}")),
    }
    let before = suite.tally.total();
    prebuilt::tests(&mut suite)?;
    if suite.tally.total() == before {
        suite.tally.failed("tests", "none has such a name");
    }
    Ok(suite.tally.finish())
}

fn image_limits(suite: &mut Suite) -> Result<()> {
    let sizes = Sizes::measure(&suite.workspace, &suite.toolchain)?;
    match sizes.excess() {
        None => suite.tally.passed("image limits"),
        Some(text) => suite.tally.failed("image limits", &text),
    }
    Ok(())
}
