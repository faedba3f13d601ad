//! `cargo xtask mutants`: changes the decisions of the image crate one by one; its own tests have to notice each change.
use crate::cargo_tools::Tool;
use crate::process;
use crate::progress;
use crate::report::mark;
use crate::toolchain;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(4 * 3600);
/// The files whose decisions are changed.
const FILES: [&str; 5] = [
    "image/src/container.rs",
    "image/src/signature.rs",
    "image/src/verification.rs",
    "image/src/plan.rs",
    "image/src/plan/*.rs",
];
/// The survivors that are known, each with the reason why it changes nothing.
const KNOWN: &str = "docs/mutants.md";

/// What the mutants command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One part of several, as K/N: the work may be split over several runs
    #[arg(long)]
    shard: Option<String>,
    /// Mutants tried at the same time
    #[arg(long, default_value_t = 2)]
    jobs: u32,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    Tool::Mutants.ensure()?;
    let output = workspace.output()?.join("mutants");
    fs::create_dir_all(&output)?;
    let step = progress::step("trying mutants of the image crate");
    let mut command = process::command(toolchain::cargo());
    command.args([
        "mutants",
        "--package",
        "remoteproc-image",
        "--all-features",
        "--no-shuffle",
        "--colors=never",
    ]);
    // Long enough for a machine that does something else, too: what runs out of it does not end.
    command.args(["--timeout", "300"]);
    command.arg("--jobs").arg(options.jobs.to_string()).arg("--output").arg(&output);
    for file in FILES {
        command.args(["--file", file]);
    }
    if let Some(shard) = &options.shard {
        command.args(["--shard", shard]);
    }
    command.current_dir(&workspace.root);
    let mut last = String::new();
    let status = process::run_merged(command, LIMIT, |line| {
        step.detail(line);
        if !line.trim().is_empty() {
            last = line.to_owned();
        }
        Ok(())
    })?;
    drop(step);
    // 0: all were noticed; 2: some were missed; 3: some ran out of time.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo mutants failed: {last}");
    }
    println!("{last}");
    let survivors =
        fs::read_to_string(output.join("mutants.out/missed.txt")).context("no list of survivors")?;
    let known = fs::read_to_string(workspace.root.join(KNOWN)).unwrap_or_default();
    let unknown = unexplained(&survivors, &known);
    for survivor in &unknown {
        println!("{} missed: {survivor}", mark(false));
    }
    let endless = fs::read_to_string(output.join("mutants.out/timeout.txt")).unwrap_or_default();
    for change in endless.lines() {
        println!("{} does not end: {change}", mark(true));
    }
    println!("{} survivors, {} of them not explained in {KNOWN}", survivors.lines().count(), unknown.len());
    Ok(u8::from(!unknown.is_empty()))
}

/// The survivors that the page does not name. Lines and columns move, so only file and change count.
fn unexplained<'a>(survivors: &'a str, page: &str) -> BTreeSet<&'a str> {
    survivors.lines().filter(|line| !page.contains(&format!("`{}`", without_place(line)))).collect()
}

/// `image/src/plan.rs:12:3: replace < with <=` without line and column.
fn without_place(line: &str) -> String {
    match line.split_once(": ") {
        Some((place, change)) => {
            let file = place.split(':').next().unwrap_or(place);
            format!("{file}: {change}")
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_is_known_wherever_it_moved() {
        let survivors =
            "image/src/plan.rs:12:3: replace < with <= in a\nimage/src/plan.rs:14:9: delete ! in b\n";
        let page = "- `image/src/plan.rs: replace < with <= in a`: both sides are never equal";
        assert_eq!(
            unexplained(survivors, page).into_iter().collect::<Vec<_>>(),
            ["image/src/plan.rs:14:9: delete ! in b"]
        );
        assert_eq!(unexplained("", ""), BTreeSet::new());
    }
}
