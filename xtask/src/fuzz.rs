//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, seeded from the test vectors.
mod seeds;

use crate::cargo_tools::{self, Tool};
use crate::process;
use crate::progress;
use crate::report::mark;
use crate::setup;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_secs(1500);
/// What a target may take longer than it was told to.
const GRACE: Duration = Duration::from_secs(120);
/// Longest input, bytes: the vectors are up to 28 KiB.
const LONGEST: usize = 1 << 16;

/// What the fuzz command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only this target
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// The built targets.
#[derive(Debug)]
pub struct Targets {
    programs: PathBuf,
    /// Corpus and findings; it is kept from run to run.
    work: PathBuf,
    names: Vec<String>,
}

/// What a run of one target came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Inputs tried.
    pub inputs: u64,
    /// Edges seen.
    pub coverage: u64,
    /// Why it is a finding, if it is one.
    pub finding: Option<String>,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    let targets = Targets::build(&workspace, &Targets::prepare()?)?;
    let wanted: Vec<&String> = match &options.target {
        None => targets.names().iter().collect(),
        Some(name) => targets.names().iter().filter(|target| *target == name).collect(),
    };
    ensure!(!wanted.is_empty(), "the targets are {}", targets.names().join(", "));
    let mut findings = 0;
    for name in wanted {
        let run = targets.run(name, options.seconds)?;
        println!("{} {}", mark(run.finding.is_none()), run.line(name));
        if let Some(finding) = &run.finding {
            println!("{finding}");
            findings += 1;
        }
    }
    Ok(u8::from(findings > 0))
}

impl Targets {
    /// Installs what is missing: libFuzzer's compiler, the nightly toolchain, `cargo fuzz`. Returns the host's target triple.
    pub fn prepare() -> Result<String> {
        setup::ensure_fuzzing_tools()?;
        let triple = cargo_tools::ensure_nightly()?;
        Tool::Fuzz.ensure()?;
        Ok(triple)
    }

    /// Builds, with what [`Self::prepare`] has installed, and makes the seeds.
    pub fn build(workspace: &Workspace, triple: &str) -> Result<Self> {
        let directory = workspace.root.join("fuzz");
        let target = workspace.target.join("fuzz");
        let step = progress::step("building the fuzz targets");
        // The code under test has no unsafe blocks, so a sanitizer of memory would find nothing.
        let mut command = cargo_tools::nightly("cargo");
        command.args(["fuzz", "build", "--sanitizer", "none", "--target-dir"]).arg(&target);
        command.current_dir(&directory);
        process::run_quietly(command, BUILD_LIMIT, &step).context("the fuzz targets do not build")?;
        let mut names = Vec::new();
        for entry in fs::read_dir(directory.join("fuzz_targets"))? {
            let path = entry?.path();
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
        names.sort();
        let targets = Self { programs: target.join(triple).join("release"), work: target, names };
        seeds::write(&workspace.root.join("tests/vectors"), &targets.work.join("seeds"))?;
        Ok(targets)
    }

    /// Names of the targets.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Runs a target for so many seconds, beginning with its seeds and with what earlier runs found worth keeping.
    pub fn run(&self, name: &str, seconds: u64) -> Result<Run> {
        let seeds = self.work.join("seeds").join(name);
        ensure!(seeds.is_dir(), "target {name} has no seeds");
        let corpus = self.work.join("corpus").join(name);
        let findings = self.work.join("findings");
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&findings)?;
        let step = progress::step(format!("fuzzing {name}, {seconds} s"));
        let mut command = process::command(self.programs.join(name));
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST}"));
        // What is allocated does not depend on what a length field says: the harness's own copies are all there is.
        command.args(["-timeout=10", "-malloc_limit_mb=32", "-rss_limit_mb=1024", "-print_final_stats=1"]);
        command.arg(format!("-artifact_prefix={}/{name}-", findings.display()));
        command.arg(&corpus).arg(&seeds);
        let (mut run, mut log) = (Run::default(), Vec::new());
        let limit = Duration::from_secs(seconds) + GRACE;
        let status = process::run_merged(command, limit, |line| {
            run.line_of_libfuzzer(line);
            step.detail(line);
            log.push(line.to_owned());
            Ok(())
        })?;
        if !status.success() {
            let last = log.split_off(log.len().saturating_sub(30));
            run.finding = Some(last.join("\n"));
        } else if run.inputs == 0 {
            bail!("target {name} tried nothing");
        }
        Ok(run)
    }
}

impl Run {
    fn line_of_libfuzzer(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = |key: &str| {
            let place = words.iter().position(|word| *word == key)?;
            words.get(place + 1)?.parse().ok()
        };
        if line.starts_with('#') {
            self.coverage = value("cov:").unwrap_or(self.coverage);
        }
        self.inputs = value("stat::number_of_executed_units:").unwrap_or(self.inputs);
    }

    /// One line about it.
    pub fn line(&self, name: &str) -> String {
        let outcome = if self.finding.is_some() { "A FINDING" } else { "no finding" };
        format!("{name}: {outcome} in {} inputs, {} edges seen", self.inputs, self.coverage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libfuzzers_lines_are_understood() {
        let mut run = Run::default();
        for line in [
            "INFO: seed corpus: files: 20 min: 100b max: 28004b total: 300000b rss: 40Mb",
            "#21\tINITED cov: 412 ft: 999 corp: 20/290Kb exec/s: 0 rss: 45Mb",
            "#900\tNEW    cov: 500 ft: 1001 corp: 21/291Kb lim: 65536 exec/s: 90 rss: 45Mb L: 8/8 MS: 1 CrossOver-",
            "Done 31337 runs in 21 second(s)",
            "stat::number_of_executed_units: 31337",
        ] {
            run.line_of_libfuzzer(line);
        }
        assert_eq!(run, Run { inputs: 31337, coverage: 500, finding: None });
        assert_eq!(run.line("plan"), "plan: no finding in 31337 inputs, 500 edges seen");
    }
}
