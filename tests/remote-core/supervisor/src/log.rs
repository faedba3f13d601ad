//! The supervisor's log file: what was done to the core, and what its emulator said.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A log that several threads write to, line by line.
#[derive(Clone)]
pub(crate) struct Log {
    file: Arc<Mutex<File>>,
    start: Instant,
}

impl Log {
    /// Creates the file; an older one is replaced.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(Mutex::new(File::create(path)?)), start: Instant::now() })
    }

    /// Time since the log was created.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Writes one line, with the time in seconds before it.
    pub(crate) fn line(&self, text: impl Display) {
        let line = format!("[{:9.4}] {text}\n", self.elapsed().as_secs_f64());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not end the supervision of a process.
        let _ = file.write_all(line.as_bytes());
    }
}
