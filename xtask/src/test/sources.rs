//! Checks of the sources: format, lints, documentation, and where unsafe code may not be.
use super::Suite;
use crate::firmware;
use crate::process;
use crate::progress;
use crate::toolchain::{self, Toolchain};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
/// Programs whose libraries build and test on the host too.
pub const ALSO_ON_HOST: [&str; 2] = ["remoteproc-sp", "el3-spmc"];
/// Crates that may not contain unsafe code: what reads foreign bytes or decides about them.
const WITHOUT_UNSAFE: [&str; 5] = [
    "refusal/src/lib.rs",
    "abi/src/lib.rs",
    "image/src/lib.rs",
    "service/src/lib.rs",
    "tools/rproc-image/src/main.rs",
];

/// A cargo command on the host, in the workspace.
pub fn host_cargo(suite: &Suite, arguments: &[&str]) -> Command {
    let mut command = process::command(toolchain::cargo());
    command.args(arguments).current_dir(&suite.workspace.root);
    command.arg("--target-dir").arg(&suite.workspace.target);
    command
}

/// Runs a command as a check.
pub fn check(suite: &mut Suite, name: &str, command: Command) -> Result<()> {
    if !suite.wants(name) {
        return Ok(());
    }
    let step = progress::step(name);
    let mut log = String::new();
    let status = process::run(command, LIMIT, |_, line| {
        step.detail(line);
        log.push_str(line);
        log.push('\n');
        Ok(())
    })?;
    drop(step);
    if status.success() {
        suite.tally.passed(name);
    } else {
        suite.tally.failed(name, &tail(&log, 60));
    }
    Ok(())
}

/// The last lines of a log.
pub fn tail(log: &str, lines: usize) -> String {
    let all: Vec<&str> = log.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Tells why a cargo subcommand is not there, if it is not.
fn missing(subcommand: &str) -> Option<String> {
    let mut command = process::command(toolchain::cargo());
    command.args([subcommand, "--version"]);
    process::capture(command, Duration::from_secs(60))
        .is_err()
        .then(|| format!("this toolchain has no `cargo {subcommand}`"))
}

/// `cargo fmt --check`.
pub fn format(suite: &mut Suite) -> Result<()> {
    if let Some(reason) = missing("fmt") {
        suite.tally.skipped("format", &reason);
        return Ok(());
    }
    let mut command = process::command(toolchain::cargo());
    command.args(["fmt", "--all", "--check"]).current_dir(&suite.workspace.root);
    check(suite, "format", command)?;
    let mut command = process::command(toolchain::cargo());
    command.args(["fmt", "--check"]).current_dir(suite.workspace.root.join("fuzz"));
    check(suite, "format of the fuzz targets", command)
}

/// Clippy on the host and for each bare-metal program.
pub fn clippy(suite: &mut Suite) -> Result<()> {
    if let Some(reason) = missing("clippy") {
        suite.tally.skipped("clippy", &reason);
        return Ok(());
    }
    let deny = ["--", "-D", "warnings"];
    let mut command = host_cargo(suite, &["clippy", "--all-targets", "--all-features"]);
    command.args(deny);
    check(suite, "clippy host", command)?;
    let mut command = host_cargo(suite, &["clippy", "--all-targets"]);
    command.args(deny).current_dir(suite.workspace.root.join("fuzz"));
    check(suite, "clippy fuzz targets", command)?;
    let mut command = host_cargo(suite, &["clippy", "--lib", "--profile", "test"]);
    command.args(packages(&ALSO_ON_HOST)).args(deny);
    check(suite, "clippy host, libraries of the bare-metal programs", command)?;
    for program in firmware::ALL {
        let name = format!("clippy {} for {}", program.package, program.target);
        if matches!(suite.toolchain, Toolchain::Debian { .. }) {
            suite
                .tally
                .skipped(&name, "Debian's Rust toolchain has no clippy that could build the core library");
            continue;
        }
        let mut command = suite.toolchain.cargo("clippy", program.target, &suite.workspace.target)?;
        command.args(["--package", program.package]).args(deny).current_dir(&suite.workspace.root);
        check(suite, &name, command)?;
        if program == firmware::PARTITION {
            let mut command = suite.toolchain.cargo("clippy", program.target, &suite.workspace.target)?;
            command.args(["--package", program.package, "--all-features"]).args(deny);
            command.current_dir(&suite.workspace.root);
            check(suite, "clippy of the partitions that are built for tests", command)?;
        }
    }
    Ok(())
}

/// `cargo doc` with warnings denied.
pub fn doc(suite: &mut Suite) -> Result<()> {
    let mut command = host_cargo(suite, &["doc", "--no-deps", "--all-features"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    check(suite, "doc host", command)?;
    for program in firmware::ALL {
        let name = format!("doc {} for {}", program.package, program.target);
        let mut command = suite.toolchain.cargo("doc", program.target, &suite.workspace.target)?;
        command.args(["--no-deps", "--package", program.package]).current_dir(&suite.workspace.root);
        command.env("RUSTDOCFLAGS", "-D warnings");
        check(suite, &name, command)?;
    }
    Ok(())
}

/// `--package NAME` for each.
pub fn packages(names: &[&str]) -> Vec<String> {
    names.iter().flat_map(|name| ["--package".to_owned(), (*name).to_owned()]).collect()
}

/// No unsafe code where none may be, and the workspace's lints everywhere.
pub fn unsafe_rules(suite: &mut Suite) -> Result<()> {
    for file in WITHOUT_UNSAFE {
        let (name, _) = file.split_once("/src/").context("sources lie in src")?;
        let title = format!("{name} forbids unsafe code");
        let path = suite.workspace.root.join(file);
        let source =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if source.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
            suite.tally.passed(&title);
        } else {
            suite.tally.failed(&title, &format!("{} has no #![forbid(unsafe_code)]", path.display()));
        }
    }
    // The lints demand a SAFETY comment on every unsafe block.
    let mut without = Vec::new();
    for manifest in member_manifests(suite)? {
        let text = std::fs::read_to_string(&manifest)?;
        if !inherits_lints(&text) {
            without.push(manifest.display().to_string());
        }
    }
    if without.is_empty() {
        suite.tally.passed("every crate has the workspace's lints");
    } else {
        suite.tally.failed("every crate has the workspace's lints", &without.join(", "));
    }
    Ok(())
}

fn inherits_lints(manifest: &str) -> bool {
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[lints]" && line.replace(' ', "") == "workspace=true" {
            return true;
        }
    }
    false
}

/// The Cargo.toml of every member, as cargo sees them.
fn member_manifests(suite: &Suite) -> Result<Vec<PathBuf>> {
    let mut command = process::command(toolchain::cargo());
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&suite.workspace.root);
    let metadata: serde_json::Value =
        serde_json::from_str(&process::capture(command, Duration::from_secs(120))?)?;
    let members: Vec<PathBuf> = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?
        .iter()
        .filter_map(|package| package["manifest_path"].as_str())
        .map(|path| Path::new(path).to_path_buf())
        .collect();
    if members.is_empty() {
        bail!("cargo metadata names no packages");
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_count_only_in_their_own_section() {
        assert!(inherits_lints("[package]\nname = \"a\"\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nworkspace = true\n[lints.rust]\nworkspace = true\n"));
        assert!(!inherits_lints("[lints]\nworkspace = false\n"));
    }

    #[test]
    fn a_tail_has_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
