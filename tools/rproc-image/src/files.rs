//! Reading inputs, and writing outputs: whole or not at all, and never over an input.
use anyhow::{Context, Result, anyhow, bail};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Who may read an output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Whom the umask lets.
    Public,
    /// Only the owner.
    Private,
}

/// An output that is written under another name and gets its own at the end.
pub struct Output {
    file: NamedTempFile,
    path: PathBuf,
}

impl Output {
    /// Writes the bytes next to `path`, under a name of its own; it is removed if [`Output::publish`] is not called.
    /// `inputs`: files that the output may not replace, whatever links lead to them.
    pub fn prepare(path: &Path, bytes: &[u8], secrecy: Secrecy, inputs: &[&Path]) -> Result<Self> {
        refuse_inputs(path, inputs)?;
        let cannot = || format!("cannot write {}", path.display());
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if !directory.is_dir() {
            bail!("cannot write {}: there is no directory {}", path.display(), directory.display());
        }
        let mode = if secrecy == Secrecy::Private { 0o600 } else { 0o666 };
        let mut file = Builder::new()
            .prefix(".rproc-image-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(directory)
            .with_context(cannot)?;
        file.write_all(bytes).with_context(cannot)?;
        file.as_file().sync_all().with_context(cannot)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Gives the output its name; what had it before is replaced.
    pub fn publish(self) -> Result<()> {
        let path = self.path;
        self.file.persist(&path).map(drop).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Gives the output its name, unless there is already something of that name. Returns the name.
    pub fn publish_new(self) -> Result<PathBuf> {
        let path = self.path;
        match self.file.persist_noclobber(&path) {
            Ok(_) => Ok(path),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(error) => Err(error.error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

fn exists(path: &Path) -> anyhow::Error {
    anyhow!("{} exists: choose another name, or add --force", path.display())
}

/// Refuses a name that something has already.
pub fn refuse_existing(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() { Err(exists(path)) } else { Ok(()) }
}

/// Whether two outputs would have the same name, or replace the same file.
pub fn same_name(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        Some((fs::canonicalize(parent).ok()?, path.file_name()?.to_owned()))
    };
    let same_place = place(one).is_some_and(|one| Some(one) == place(other));
    same_place || same_file::is_same_file(one, other).unwrap_or(false)
}

/// Removes an output of an earlier run that the new ones would make wrong, unless it is an input.
pub fn remove_stale(path: &Path, inputs: &[&Path]) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    refuse_inputs(path, inputs)?;
    fs::remove_file(path)
        .with_context(|| format!("cannot remove {}, which is of an earlier run", path.display()))
}

/// Writes a public file.
pub fn write(path: &Path, bytes: &[u8], inputs: &[&Path]) -> Result<()> {
    Output::prepare(path, bytes, Secrecy::Public, inputs)?.publish()
}

/// Refuses an output that is an input, or something that can't be replaced.
fn refuse_inputs(path: &Path, inputs: &[&Path]) -> Result<()> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    if !metadata.is_file() {
        bail!("{} is not a regular file: choose another name for the output", path.display());
    }
    for input in inputs {
        let same = same_file::is_same_file(path, input)
            .with_context(|| format!("cannot compare {} with {}", path.display(), input.display()))?;
        if same {
            bail!(
                "the output {} is the input {}: inputs are never written, choose another name",
                path.display(),
                input.display()
            );
        }
    }
    Ok(())
}
