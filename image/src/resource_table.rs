//! Validates a resource table where it was loaded, and reads its entries for whoever shows them (`entry.rs`), by Linux's rules
//! (`remoteproc_core.c`, `rproc_elf_find_rsc_table`).
//!
//! The table is read in small pieces through a callback, each byte at most once per rule; the work is bounded by
//! [`MAX_ENTRIES`]. Stricter than Linux in one point: entries may not lie in the table's header.
pub use entry::{Entry, Memory, Trace, Vdev, Vring, entries};

use crate::provider::Fault;
use format::{CARVEOUT, DEVMEM, Header, TRACE, VDEV, VERSION};
use remoteproc_refusal::Refusal;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

/// Most entries of a table.
pub const MAX_ENTRIES: u32 = 64;
/// Most vrings of a vdev: Linux knows two.
const MAX_VRINGS: u8 = 2;

mod entry;
mod format;

/// Why a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why.
    pub refusal: Refusal,
    /// Where, bytes from the table's start.
    pub offset: u32,
}

/// Reads pieces of a table of known size; nothing beyond its end is ever asked for.
struct Window<R> {
    size: u32,
    read: R,
}

impl<R: FnMut(u32, &mut [u8]) -> Result<(), Fault>> Window<R> {
    /// Reads one structure; `refusal` if it does not lie in the table whole.
    fn get<T: FromBytes + IntoBytes>(&mut self, offset: u32, refusal: Refusal) -> Result<T, Trouble> {
        self.room(offset, size_of::<T>() as u64, refusal)?;
        let mut value = T::new_zeroed();
        (self.read)(offset, value.as_mut_bytes())
            .map_err(|Fault| Trouble { refusal: Refusal::DestinationAbort, offset })?;
        Ok(value)
    }

    /// Checks that bytes lie in the table.
    fn room(&self, offset: u32, size: u64, refusal: Refusal) -> Result<(), Trouble> {
        if u64::from(offset).saturating_add(size) > u64::from(self.size) {
            return Err(Trouble { refusal, offset });
        }
        Ok(())
    }
}

/// Validates a table of `size` bytes. `read` copies bytes at an offset of the table.
pub fn validate(size: u32, read: impl FnMut(u32, &mut [u8]) -> Result<(), Fault>) -> Result<(), Trouble> {
    let mut table = Window { size, read };
    let refusal = Refusal::ResourceTableMalformed;
    let header: Header = table.get(0, refusal)?;
    if header.version.get() != VERSION {
        return Err(Trouble { refusal, offset: 0 });
    }
    if header.reserved.iter().any(|word| word.get() != 0) {
        return Err(Trouble { refusal, offset: 8 });
    }
    let count = header.count.get();
    let offsets = size_of::<Header>() as u32;
    table.room(offsets, u64::from(count).saturating_mul(4), refusal)?;
    if count > MAX_ENTRIES {
        return Err(Trouble { refusal: Refusal::ResourceTableTooLarge, offset: 4 });
    }
    let first_entry = offsets.saturating_add(count.saturating_mul(4));
    for index in 0..count {
        let place = offsets.saturating_add(index.saturating_mul(4));
        let offset = table.get::<U32>(place, refusal)?.get();
        if offset < first_entry || table.room(offset, 4, refusal).is_err() {
            return Err(Trouble { refusal, offset: place });
        }
        validate_entry(&mut table, offset)?;
    }
    Ok(())
}

/// Validates the entry at an offset, where at least its type lies in the table.
fn validate_entry<R: FnMut(u32, &mut [u8]) -> Result<(), Fault>>(
    table: &mut Window<R>,
    offset: u32,
) -> Result<(), Trouble> {
    let refusal = Refusal::ResourceEntryMalformed;
    let malformed = Err(Trouble { refusal, offset });
    match table.get::<U32>(offset, refusal)?.get() {
        CARVEOUT | DEVMEM if table.get::<format::Memory>(offset, refusal)?.reserved.get() != 0 => {
            return malformed;
        }
        TRACE if table.get::<format::Trace>(offset, refusal)?.reserved.get() != 0 => return malformed,
        VDEV => {
            let vdev: format::Vdev = table.get(offset, refusal)?;
            if vdev.reserved != [0; 2] || vdev.vring_count > MAX_VRINGS {
                return malformed;
            }
            let mut behind = offset.saturating_add(size_of::<format::Vdev>() as u32);
            for _ in 0..vdev.vring_count {
                let vring: format::Vring = table.get(behind, refusal)?;
                if vring.count.get() == 0 || vring.alignment.get() == 0 {
                    return Err(Trouble { refusal, offset: behind });
                }
                behind = behind.saturating_add(size_of::<format::Vring>() as u32);
            }
            table.room(behind, vdev.configuration_length.get().into(), refusal)?;
        }
        // One of the above without a mistake, a vendor's, or one that Linux does not know and leaves out: of that, its type is all that
        // has to be there.
        _ => {}
    }
    Ok(())
}
