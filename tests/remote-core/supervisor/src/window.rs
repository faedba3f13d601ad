//! The window file: the memory that both emulators map, reached by physical address.

use crate::layout::{WINDOW, WINDOW_BYTES};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Creates the window's file, every byte `fill`. An existing file is replaced, so no emulator may be using it.
pub fn create_window(path: &Path, fill: u8) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![fill; 1 << 20];
    for _ in 0..WINDOW_BYTES >> 20 {
        file.write_all(&block)?;
    }
    Ok(())
}

/// Reads `length` bytes of the window at physical address `physical`.
///
/// Bytes outside the window are refused as [`io::ErrorKind::InvalidInput`].
pub fn read_window(path: &Path, physical: u64, length: usize) -> io::Result<Vec<u8>> {
    let offset = offset(physical, length)?;
    let mut bytes = vec![0; length];
    File::open(path)?.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Writes `bytes` into the window at physical address `physical`.
///
/// Bytes outside the window are refused as [`io::ErrorKind::InvalidInput`].
pub fn write_window(path: &Path, physical: u64, bytes: &[u8]) -> io::Result<()> {
    let offset = offset(physical, bytes.len())?;
    OpenOptions::new().write(true).open(path)?.write_all_at(bytes, offset)
}

/// The open window file.
pub(crate) struct Window(File);

impl Window {
    /// Opens an existing file, which must have the window's size.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        if length != WINDOW_BYTES {
            let text = format!("{}: {length} bytes instead of {WINDOW_BYTES}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self(file))
    }

    /// Reads the little-endian word at physical address `physical`.
    pub(crate) fn word(&self, physical: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        let offset = offset(physical, bytes.len())?;
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes the little-endian word at physical address `physical`.
    pub(crate) fn set_word(&self, physical: u64, value: u32) -> io::Result<()> {
        self.set_bytes(physical, &value.to_le_bytes())
    }

    /// Writes bytes at physical address `physical`.
    pub(crate) fn set_bytes(&self, physical: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset(physical, bytes.len())?)
    }
}

/// The file offset of `length` bytes at a physical address, if they all lie in the window.
fn offset(physical: u64, length: usize) -> io::Result<u64> {
    let inside = physical.checked_sub(WINDOW).and_then(|offset| {
        let end = offset.checked_add(u64::try_from(length).ok()?)?;
        (end <= WINDOW_BYTES).then_some(offset)
    });
    inside.ok_or_else(|| {
        let text = format!("{length} bytes at {physical:#x} are not in the window");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_land_at_their_physical_address() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("window");
        create_window(&path, 0xa5).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0x100_0000);
        write_window(&path, 0x80a0_0000, &[1, 2, 3, 4]).unwrap();
        assert_eq!(read_window(&path, 0x809f_ffff, 6).unwrap(), [0xa5, 1, 2, 3, 4, 0xa5]);
        let raw = std::fs::read(&path).unwrap();
        assert_eq!(raw[0xa0_0000..0xa0_0004], [1, 2, 3, 4]);
        assert_eq!(Window::open(&path).unwrap().word(0x80a0_0000).unwrap(), 0x0403_0201);
    }

    #[test]
    fn addresses_outside_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("window");
        create_window(&path, 0).unwrap();
        for (physical, length) in
            [(0x7fff_ffff, 1), (0x80ff_fffd, 4), (0x8100_0000, 1), (u64::MAX, 2), (0, 0)]
        {
            assert_eq!(read_window(&path, physical, length).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(
                write_window(&path, physical, &vec![0; length]).unwrap_err().kind(),
                io::ErrorKind::InvalidInput
            );
        }
        read_window(&path, 0x80ff_fffc, 4).unwrap();
    }

    #[test]
    fn a_file_of_another_size_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("window");
        std::fs::write(&path, [0; 4096]).unwrap();
        assert!(Window::open(&path).is_err());
    }
}
