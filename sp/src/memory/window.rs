//! Copies from and to physical memory through the copy window: some pages are mapped, copied, and unmapped again. Nothing stays
//! mapped, and no table is allocated, whatever addresses somebody names.
use super::foreign::{self, Abort};
use super::layout;
use super::map::{PAGE_SIZE, World, hide, show};
use core::ops::Range;
use remoteproc_service::client_memory::PhysicalRange;

/// Why memory could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The addresses don't fit 48 bits.
    #[error("it does not fit 48 bits")]
    Address,
    /// The bus aborted.
    #[error("the bus aborted")]
    Abort,
}

/// Copies bytes from a physical address; it needs no alignment.
///
/// # Errors
/// Says why not; then `into` may hold some of the bytes.
pub fn read(physical: u64, world: World, into: &mut [u8]) -> Result<(), WindowError> {
    let size = into.len();
    through(physical, world, size, |place, range| match into.get_mut(range) {
        Some(part) => foreign::read(place, part),
        None => Err(Abort),
    })
}

/// Copies bytes to a physical address of the normal world; it needs no alignment.
///
/// # Errors
/// Says why not; then some of the bytes may be written.
pub fn write(physical: u64, bytes: &[u8]) -> Result<(), WindowError> {
    through(physical, World::NormalToWrite, bytes.len(), |place, range| match bytes.get(range) {
        // SAFETY: the destination lies in the copy window, whose addresses belong to no Rust object; it shows pages of the normal
        // world, of which the partition has none.
        Some(part) => unsafe { foreign::write(place, part) },
        None => Err(Abort),
    })
}

/// Shows `size` bytes from a physical address, as many as the window holds at a time. The copy is told where they are, and which of
/// the bytes they are.
fn through(
    physical: u64,
    world: World,
    size: usize,
    mut copy: impl FnMut(usize, Range<usize>) -> Result<(), Abort>,
) -> Result<(), WindowError> {
    let window = layout::window();
    let mut address = physical;
    let mut done = 0usize;
    while done < size {
        let page = address & !(PAGE_SIZE - 1);
        let in_page = (address & (PAGE_SIZE - 1)) as usize;
        // As much as the window holds behind the first page's offset.
        let length = size.saturating_sub(done).min(window.len().saturating_sub(in_page));
        let shown = (in_page.saturating_add(length) as u64).next_multiple_of(PAGE_SIZE);
        show(PhysicalRange { start: page, size: shown }, world).map_err(|_| WindowError::Address)?;
        #[cfg(feature = "fault-injection")]
        crate::fault::reach(crate::fault::Point::Window);
        let end = done.saturating_add(length);
        let result = copy(window.start.saturating_add(in_page), done..end);
        hide();
        result.map_err(|Abort| WindowError::Abort)?;
        address = address.checked_add(length as u64).ok_or(WindowError::Address)?;
        done = end;
    }
    Ok(())
}
