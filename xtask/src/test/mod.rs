//! `cargo xtask test`: every check of the project, one line each, and one line of counts at the end.
mod demos;
mod emulated;
mod expectations;
mod host;
mod sources;
mod tally;

use crate::firmware::{self, Images};
use crate::image::Sizes;
use crate::process;
use crate::setup;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use anyhow::{Result, anyhow, bail};
use tally::Tally;

/// A group of checks: its name, what it checks, and the checks.
type Group = (&'static str, &'static str, fn(&mut Suite) -> Result<()>);

const GROUPS: [Group; 9] = [
    ("format", "the sources are formatted", sources::format),
    ("clippy", "no lints, on the host and on each target", sources::clippy),
    ("doc", "the documentation builds without warnings", sources::doc),
    ("unsafe", "crates without unsafe code stay so", sources::unsafe_rules),
    ("host", "tests that run on this machine", host::run),
    ("image", "the partition keeps within its limits", image_limits),
    ("system", "the normal world attacks and uses the partition, in the emulator", emulated::system),
    ("vectors", "signed containers are judged as listed, in the emulator", emulated::vectors),
    ("demo", "demo runs as a user starts them", demos::run),
];

/// What the test command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One group, or a part of one: GROUP or GROUP:TEXT, as in `system:sharing::` or `demo:05`
    filter: Option<String>,
    /// What the fuzzer of the system tests begins with, instead of its fixed seed
    #[arg(long)]
    seed: Option<u64>,
    /// List the groups
    #[arg(long)]
    list: bool,
}

/// What the checks share.
struct Suite {
    workspace: Workspace,
    toolchain: Toolchain,
    images: Option<Result<Images, String>>,
    /// The part of the group that is wanted, if not all of it.
    part: Option<String>,
    /// What the fuzzer begins with, if not with its own.
    seed: Option<u64>,
    tally: Tally,
}

impl Suite {
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
    let mut suite =
        Suite { workspace, toolchain, images: None, part, seed: options.seed, tally: Tally::default() };
    for (name, what, checks) in GROUPS {
        if group.is_some_and(|group| group != name) {
            continue;
        }
        println!("{name}: {what}");
        let before = suite.tally.total();
        if let Err(error) = checks(&mut suite) {
            suite.tally.failed(name, &format!("{error:#}"));
        }
        process::check_interrupt()?;
        if suite.tally.total() == before {
            suite.tally.failed(name, "no check was run");
        }
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
