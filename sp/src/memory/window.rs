//! Reads physical memory through the copy window: some pages are mapped, copied from, and unmapped again. Nothing stays mapped,
//! and no table is allocated, whatever addresses somebody names.
use super::foreign::{self, Abort};
use super::layout;
use super::map::{PAGE_SIZE, World, hide, show};
use remoteproc_service::client_memory::PhysicalRange;

/// Why memory could not be read.
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
    let window = layout::window();
    let mut address = physical;
    let mut rest = into;
    while !rest.is_empty() {
        let page = address & !(PAGE_SIZE - 1);
        let in_page = (address & (PAGE_SIZE - 1)) as usize;
        // As much as the window holds behind the first page's offset.
        let length = rest.len().min(window.len().saturating_sub(in_page));
        let size = (in_page.saturating_add(length) as u64).next_multiple_of(PAGE_SIZE);
        let (part, tail) = rest.split_at_mut(length);
        show(PhysicalRange { start: page, size }, world).map_err(|_| WindowError::Address)?;
        #[cfg(feature = "fault-injection")]
        crate::fault::reach(crate::fault::Point::Window);
        let result = foreign::read(window.start.saturating_add(in_page), part);
        hide();
        result.map_err(|Abort| WindowError::Abort)?;
        address = address.checked_add(length as u64).ok_or(WindowError::Address)?;
        rest = tail;
    }
    Ok(())
}
