//! A short run of every fuzz target.
use super::Suite;
use super::sources::{check, host_cargo};
use crate::fuzz::Targets;
use anyhow::Result;

/// How long each target runs: long runs are `cargo xtask fuzz`.
const SECONDS: u64 = 10;

/// Runs the targets.
pub fn run(suite: &mut Suite) -> Result<()> {
    let triple = match Targets::prepare() {
        Ok(triple) => triple,
        Err(error) => {
            crate::process::check_interrupt()?;
            suite.tally.skipped("fuzz targets", &format!("{error:#}"));
            return Ok(());
        }
    };
    let targets = match Targets::build(&suite.workspace, &triple) {
        Ok(targets) => targets,
        Err(error) => {
            suite.tally.failed("fuzz targets", &format!("{error:#}"));
            return Ok(());
        }
    };
    let mut command = host_cargo(suite, &["test", "--lib", "--quiet"]);
    command.current_dir(suite.workspace.root.join("fuzz"));
    check(suite, "what the fuzz targets share reaches the end of a load", command)?;
    for name in targets.names().iter().filter(|name| suite.wants(name)).cloned().collect::<Vec<_>>() {
        let run = targets.run(&name, SECONDS)?;
        match &run.finding {
            None => suite.tally.passed(&format!("fuzz {}", run.line(&name))),
            Some(finding) => suite.tally.failed(&format!("fuzz {name}"), finding),
        }
    }
    Ok(())
}
