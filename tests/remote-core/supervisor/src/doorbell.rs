//! The doorbell: a byte into a serial port of the machine that runs the partition, whose interrupt tells it to look.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The byte. The interrupt counts, not what came.
const RING: [u8; 1] = [b'!'];

/// A socket that the machine's emulator connects to. Clones are the same doorbell: several cores may share it.
#[derive(Clone, Debug)]
pub struct Doorbell {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    listener: UnixListener,
    machine: Option<UnixStream>,
}

impl Doorbell {
    /// Makes the socket, where there must be no file yet. The emulator is to be started later.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        let inner = Inner { listener, machine: None };
        Ok(Self { path: path.to_owned(), inner: Arc::new(Mutex::new(inner)) })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rings. Fails if no machine is connected; a machine that is behind with reading has been rung enough.
    pub(crate) fn ring(&self) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.machine.is_none() {
            let (machine, _) = inner.listener.accept()?;
            machine.set_nonblocking(true)?;
            inner.machine = Some(machine);
        }
        let Some(machine) = &mut inner.machine else { return Ok(()) };
        match machine.write_all(&RING) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                inner.machine = None;
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let path = self.listener.local_addr().ok();
        if let Some(path) = path.as_ref().and_then(|address| address.as_pathname()) {
            // The directory may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_ring_is_one_byte_and_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        let doorbell = Doorbell::listen(&directory.path().join("doorbell")).unwrap();
        assert!(doorbell.ring().is_err(), "nobody is there");
        let mut machine = UnixStream::connect(doorbell.path()).unwrap();
        doorbell.ring().unwrap();
        doorbell.clone().ring().unwrap();
        let mut bytes = [0; 2];
        machine.read_exact(&mut bytes).unwrap();
        // The socket's buffer fills up; that must not stop whoever rings.
        for _ in 0..1_000_000 {
            doorbell.ring().unwrap();
        }
        drop(machine);
        assert!(doorbell.ring().is_err());
        let path = doorbell.path().to_owned();
        drop(doorbell);
        assert!(!path.exists());
    }
}
