//! `cargo xtask coverage`: the lines of the image crate that its own tests run, and a limit for their share.
use crate::cargo_tools::{self, Tool};
use crate::process;
use crate::progress;
use crate::report::mark;
use crate::toolchain;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(3600);
/// The crate that decides about foreign bytes.
const PACKAGE: &str = "remoteproc-image";
/// Least share of its lines, percent.
const LEAST: f64 = 95.0;

/// What the coverage command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print the tool's JSON export instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    cargo_tools::ensure_component("llvm-tools")?;
    Tool::Coverage.ensure()?;
    let step = progress::step("running the image crate's tests, instrumented");
    let mut command = process::command(toolchain::cargo());
    command.args(["llvm-cov", "--package", PACKAGE, "--all-features", "--json", "--summary-only"]);
    command.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    let text = process::capture(command, LIMIT)?;
    drop(step);
    // The tests' own lines come before the export.
    let start = text.find("{\"data\"").context("the tool exports nothing")?;
    let export: Value = serde_json::from_str(text[start..].trim()).context("the export is no JSON")?;
    let (files, share) = judge(&export)?;
    if options.json {
        println!("{export}");
    } else {
        for (name, percent) in &files {
            println!("{percent:>7.2} %  {name}");
        }
        println!("{} lines of {PACKAGE}: {share:.2} %, at least {LEAST} %", mark(share >= LEAST));
    }
    Ok(u8::from(share < LEAST))
}

/// The share of each file and of all together, percent.
fn judge(export: &Value) -> Result<(Vec<(String, f64)>, f64)> {
    let data = export["data"].get(0).context("the export has no data")?;
    let (mut files, mut covered, mut count) = (Vec::new(), 0, 0);
    for file in data["files"].as_array().context("the export names no files")? {
        let name = file["filename"].as_str().unwrap_or_default();
        let Some((_, name)) = name.split_once("/image/src/") else { continue };
        let lines = &file["summary"]["lines"];
        let number = |key: &str| lines[key].as_u64().with_context(|| format!("{name} has no {key}"));
        covered += number("covered")?;
        count += number("count")?;
        files.push((name.to_owned(), lines["percent"].as_f64().unwrap_or_default()));
    }
    anyhow::ensure!(count > 0, "no line of {PACKAGE} was counted");
    Ok((files, 100.0 * covered as f64 / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_crates_own_lines_count() {
        let file = |name: &str, covered: u64, count: u64| json!({"filename": name, "summary": {"lines": {"covered": covered, "count": count, "percent": 1.0}}});
        let files =
            [file("/x/image/src/a.rs", 90, 100), file("/x/image/src/b/c.rs", 10, 10), file("/x/y.rs", 0, 9)];
        let (files, share) = judge(&json!({"data": [{"files": files}]})).unwrap();
        assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.rs", "b/c.rs"]);
        assert!((share - 100.0 * 100.0 / 110.0).abs() < 1e-9);
        assert!(judge(&json!({"data": [{"files": []}]})).is_err());
    }
}
