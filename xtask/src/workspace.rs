//! Where things are: the project's root, cargo's target directory, and a directory of its own for each run.
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Paths of the project.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Directory of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was started from.
    pub fn find() -> Result<Self> {
        // Set by `cargo run`; the other one helps when the program is started by hand.
        let own = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = own.parent().context("xtask has no parent directory")?.to_path_buf();
        anyhow::ensure!(root.join("Cargo.lock").is_file(), "no workspace in {}", root.display());
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(path) => std::path::absolute(path)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// What xtask makes and keeps: images, the firmware it signed, consoles of failed runs.
    pub fn output(&self) -> Result<PathBuf> {
        let path = self.target.join("xtask");
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Keeps the console of a run that failed, and returns where.
    pub fn keep_console(&self, name: &str, console: &str) -> Result<PathBuf> {
        let file_name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let path = self.output()?.join(format!("console-{file_name}.log"));
        fs::write(&path, console).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Removes directories of runs whose process was killed before it could.
fn remove_abandoned(output: &Path) {
    for entry in fs::read_dir(output).into_iter().flatten().flatten() {
        if let Some(process) = process_of(&entry.file_name().to_string_lossy())
            && !Path::new(&format!("/proc/{process}")).exists()
        {
            // Another process may be faster.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process that made the directory `run-PROCESS-NUMBER`.
fn process_of(name: &str) -> Option<u32> {
    let (process, number) = name.strip_prefix("run-")?.split_once('-')?;
    number.parse::<u32>().ok()?;
    process.parse().ok()
}

/// A directory for the files of one run. It is removed when the run ends, however it ends.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes an empty one that no other run uses.
    pub fn create(workspace: &Workspace) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let output = workspace.output()?;
        remove_abandoned(&output);
        let path = output.join(format!("run-{}-{number}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it and returns the file's path.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // A directory that stays behind is removed by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_run_directories_have_a_process() {
        assert_eq!(process_of("run-12-0"), Some(12));
        for other in ["run-12", "run-x-0", "run-12-y", "console-run-12-0.log", "remoteproc-sp.bin"] {
            assert_eq!(process_of(other), None);
        }
    }
}
