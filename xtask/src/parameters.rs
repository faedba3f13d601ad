//! What the payload is told to do: `key=value` lines at a fixed address, and files in its memory.
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Where the payload reads its parameters.
pub const ADDRESS: u64 = 0x5000_0000;
/// Room for them, bytes, with the NUL at the end.
const MAX: usize = 16 << 10;
/// Where the first file goes.
const FILES: u64 = 0x5010_0000;
/// Where the room for files ends.
const FILES_END: u64 = 0x5800_0000;
const PAGE: u64 = 0x1000;

/// A file that the emulator puts into the payload's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// On the host.
    pub path: PathBuf,
    /// Physical address.
    pub address: u64,
}

/// Parameters under construction.
#[derive(Clone, Debug)]
pub struct Parameters {
    lines: Vec<String>,
    files: Vec<Placed>,
    next: u64,
}

impl Parameters {
    /// Begins with the mode (`demo` or `test`), for processor 0.
    pub fn new(mode: &str) -> Self {
        Self::for_processor(mode, 0)
    }

    /// The same for the processor with this id.
    pub fn for_processor(mode: &str, processor: u32) -> Self {
        let lines = vec![format!("mode={mode}"), format!("processor={processor}")];
        Self { lines, files: Vec::new(), next: FILES }
    }

    /// Adds a line.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if value.contains(['\n', '\0']) || !value.is_ascii() {
            bail!("the payload's parameter {key} can't be {value:?}");
        }
        self.lines.push(format!("{key}={value}"));
        Ok(())
    }

    /// Adds a file under a name, with the payload's line for it: `KEY=NAME,ADDRESS,LENGTH` and what follows.
    pub fn file(&mut self, key: &str, name: &str, path: PathBuf, length: u64, rest: &str) -> Result<()> {
        if name.contains(',') {
            bail!("the name {name:?} contains a comma");
        }
        let address = self.next;
        let end = address.saturating_add(length).div_ceil(PAGE).saturating_mul(PAGE).saturating_add(PAGE);
        if length == 0 || end > FILES_END {
            bail!(
                "{} has {length} bytes, the payload has room for 1 to {}",
                path.display(),
                FILES_END - address
            );
        }
        self.next = end;
        self.files.push(Placed { path, address });
        let comma = if rest.is_empty() { "" } else { "," };
        self.set(key, &format!("{name},{address:x},{length}{comma}{rest}"))
    }

    /// The bytes for [`ADDRESS`].
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes: Vec<u8> =
            self.lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        bytes.push(0);
        if bytes.len() > MAX {
            bail!("the payload's parameters have {} bytes, it reads {MAX}", bytes.len());
        }
        Ok(bytes)
    }

    /// The files.
    pub fn files(&self) -> &[Placed] {
        &self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_files_are_rendered() {
        let mut parameters = Parameters::new("test");
        parameters.file("vector", "a.sig", "x".into(), 4097, "before:BAD_MAGIC").unwrap();
        parameters.file("sample", "b.sig", "y".into(), 1, "").unwrap();
        parameters.set("test", "share_").unwrap();
        let text = String::from_utf8(parameters.bytes().unwrap()).unwrap();
        assert_eq!(
            text,
            "mode=test\nprocessor=0\nvector=a.sig,50100000,4097,before:BAD_MAGIC\n\
             sample=b.sig,50103000,1\ntest=share_\n\0"
        );
        assert_eq!(parameters.files()[1], Placed { path: "y".into(), address: 0x5010_3000 });
    }

    #[test]
    fn what_the_payload_could_not_read_is_refused() {
        let mut parameters = Parameters::new("demo");
        assert!(parameters.set("image", "two\nlines").is_err());
        assert!(parameters.file("image", "a,b", "x".into(), 1, "").is_err());
        assert!(parameters.file("image", "a", "x".into(), 0, "").is_err());
        assert!(parameters.file("image", "a", "x".into(), 1 << 28, "").is_err());
        for _ in 0..4096 {
            parameters.set("test", "name").unwrap();
        }
        assert!(parameters.bytes().is_err());
    }
}
