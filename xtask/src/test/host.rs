//! Tests that run on this machine, and what their programs print about them.
use super::Suite;
use super::sources::{ALSO_ON_HOST, host_cargo, packages, tail};
use crate::firmware;
use crate::process;
use crate::progress;
use anyhow::Result;
use std::process::Command;
use std::time::Duration;

/// Programs whose tests tell what they have gone through, and the words of such a line.
const TELLING: [&str; 2] = ["exploration", "hostile"];
const TOLD: [&str; 2] = [" states, ", " loads "];

const LIMIT: Duration = Duration::from_secs(1500);

/// Runs `cargo test` for everything that builds on the host.
pub fn run(suite: &mut Suite) -> Result<()> {
    let part = suite.part.clone();
    let filter: Vec<&str> = part.iter().flat_map(|part| ["--", part.as_str()]).collect();

    let mut command = host_cargo(suite, &["test", "--all-features", "--no-fail-fast"]);
    // The supervisor's tests run the real boot ROM and firmware; with these they can't skip themselves.
    let rom = firmware::build(&suite.workspace, &suite.toolchain, &firmware::BOOT_ROM)?;
    let image = firmware::build(&suite.workspace, &suite.toolchain, &firmware::REMOTE_FIRMWARE)?;
    let image_m4 = firmware::build(&suite.workspace, &suite.toolchain, &firmware::REMOTE_FIRMWARE_M4)?;
    // What tests print is shown although they pass.
    command.env("RUST_TEST_NOCAPTURE", "1");
    command.env("REMOTE_CORE_REQUIRED", "1").env("REMOTE_CORE_FIRMWARE_M4", &image_m4.path);
    command.env("REMOTE_CORE_BOOT_ROM", &rom.path).env("REMOTE_CORE_FIRMWARE", &image.path);
    command.args(&filter);
    cargo_test(suite, "host tests", command)?;

    let mut command = host_cargo(suite, &["test", "--lib", "--no-fail-fast"]);
    command.args(packages(&ALSO_ON_HOST)).args(&filter);
    cargo_test(suite, "host tests of the bare-metal programs' libraries", command)
}

fn cargo_test(suite: &mut Suite, title: &str, command: Command) -> Result<()> {
    let step = progress::step(title);
    let (mut results, mut log) = (Results::default(), String::new());
    // One pipe: cargo names a program on one stream, the program tells its results on the other.
    let status = process::run_merged(command, LIMIT, |line| {
        results.line(line);
        step.detail(line);
        log.push_str(line);
        log.push('\n');
        Ok(())
    })?;
    drop(step);
    for line in &results.told {
        println!("      {line}");
    }
    for program in TELLING {
        let is_silent = results.programs.iter().any(|(name, counts)| name == program && counts.passed > 0)
            && !results.told.iter().any(|line| line.starts_with(program));
        if is_silent && suite.part.is_none() {
            suite.tally.failed(program, "its tests do not tell what they have gone through");
        }
    }
    for (program, counts) in &results.programs {
        suite.tally.passed_many(program, counts.passed);
    }
    for (name, reason) in &results.not_run {
        suite.tally.skipped(name, reason);
    }
    for name in &results.failures {
        suite.tally.failed(name, "");
    }
    let counted: u64 = results.programs.iter().map(|(_, counts)| counts.failed).sum();
    for _ in results.failures.len() as u64..counted {
        suite.tally.failed(title, "a test failed without telling its name");
    }
    if !status.success() {
        if results.failures.is_empty() && counted == 0 {
            suite.tally.failed(title, "the tests did not run to their end");
        }
        println!("{}", tail(&log, 100));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// What was understood of the output of `cargo test`.
#[derive(Debug, Default)]
struct Results {
    /// Test programs and their counts.
    programs: Vec<(String, Counts)>,
    failures: Vec<String>,
    /// Tests that did not run, and why.
    not_run: Vec<(String, String)>,
    /// What tests tell of themselves.
    told: Vec<String>,
    running: String,
}

impl Results {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some(program) = trimmed.strip_prefix("Running ") {
            self.running = program_name(program);
        } else if let Some(library) = trimmed.strip_prefix("Doc-tests ") {
            self.running = format!("{library}, documentation");
        } else if let Some((name, verdict)) =
            trimmed.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let name = format!("{}: {name}", self.running);
            match verdict.split([' ', ',', ':']).next() {
                Some("FAILED") => self.failures.push(name),
                Some("ignored" | "SKIPPED") => {
                    let reason = verdict.split_once([' ', ',', ':']).map(|(_, reason)| reason.trim());
                    let reason =
                        reason.filter(|reason| !reason.is_empty()).unwrap_or("the test ignores itself");
                    self.not_run.push((name, reason.to_owned()));
                }
                _ => {}
            }
        } else if TELLING.contains(&self.running.as_str()) && TOLD.iter().any(|word| trimmed.contains(word)) {
            self.told.push(format!("{}: {trimmed}", self.running));
        } else if let Some(counts) = counts(trimmed) {
            self.programs.push((self.running.clone(), counts));
        }
    }
}

/// `unittests src/lib.rs (target/debug/deps/remoteproc_abi-0123)` is a test program of remoteproc_abi.
fn program_name(text: &str) -> String {
    let file = text.rsplit(['/', '(']).next().unwrap_or(text).trim_end_matches(')');
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    if name.is_empty() { text.to_owned() } else { name.to_owned() }
}

/// Reads `test result: ok. 5 passed; 0 failed; ...` and `NAME: 5 passed, 0 failed, 0 skipped`.
fn counts(line: &str) -> Option<Counts> {
    let (_, rest) = line.split_once(": ")?;
    let rest = rest.trim_start_matches("ok. ").trim_start_matches("FAILED. ");
    let mut parts = rest.split([';', ',']).map(str::trim);
    let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some(Counts { passed, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_cargo_test_is_understood() {
        let mut results = Results::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/remoteproc_abi-00ff)",
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, needs a board",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "     Running tests/real_core.rs (target/debug/deps/real_core-11)",
            "test starts ... ok: 3 ms",
            "test stops ... SKIPPED: no emulator: none",
            "real core: 1 passed, 0 failed, 0 skipped",
            "     Running tests/exploration/main.rs (target/debug/deps/exploration-12)",
            "two clients: 5 states, 9 steps, at most 2 deep, 0.1 s",
            "without the wipe: [View]",
            "   Doc-tests remoteproc_abi",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
        ] {
            results.line(line);
        }
        let expected = [
            ("remoteproc_abi".to_owned(), Counts { passed: 1, failed: 1 }),
            ("real_core".to_owned(), Counts { passed: 1, failed: 0 }),
            ("remoteproc_abi, documentation".to_owned(), Counts { passed: 2, failed: 0 }),
        ];
        assert_eq!(results.programs, expected);
        assert_eq!(results.told, ["exploration: two clients: 5 states, 9 steps, at most 2 deep, 0.1 s"]);
        assert_eq!(results.failures, ["remoteproc_abi: a::c"]);
        let not_run = |name: &str, reason: &str| (name.to_owned(), reason.to_owned());
        let expected = [
            not_run("remoteproc_abi: a::d", "needs a board"),
            not_run("real_core: stops", "no emulator: none"),
        ];
        assert_eq!(results.not_run, expected);
    }

    #[test]
    fn other_lines_are_no_counts() {
        for line in ["note: 3 passed tests", "error: 5 failed", "", "a: b"] {
            assert_eq!(counts(line), None);
        }
    }
}
