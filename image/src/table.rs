//! Where a resource table may lie, and whether what lies there is one: checked in memory, after everything is authenticated.
use crate::format::PF_X;
use crate::own::SignedTable;
use crate::plan::Plan;
use crate::provider::{Destination, Hasher, Provider};
use crate::reader::ResourceTable;
use crate::rejection::Rejection;
use crate::resource_table;
use crate::sections::TableHint;
use crate::target::{Access, Target};
use remoteproc_refusal::Refusal;

/// Longest resource table whose place and hash are signed, bytes: it is hashed in one call.
pub const MAX_SIGNED_TABLE: u32 = 16 * 1024;
/// Bytes read at a time.
const STEP: usize = 256;

/// Checks the table that a section header names: nothing of it is believed that is not authenticated.
pub fn check<D: Destination>(
    hint: TableHint,
    plan: &Plan,
    target: &Target<'_>,
    destination: &mut D,
) -> Result<ResourceTable, Rejection> {
    let (table, offset) = locate(hint, plan, target)?;
    validate(&table, offset, destination)?;
    Ok(table)
}

/// Checks the table that a signed TLV names.
pub fn check_signed<P: Provider, D: Destination>(
    signed: &SignedTable,
    plan: &Plan,
    provider: &P,
    target: &Target<'_>,
    destination: &mut D,
) -> Result<Option<ResourceTable>, Rejection> {
    let SignedTable { device_address, size, digest } = *signed;
    if size == 0 {
        return Ok(None);
    }
    let (table, offset) = locate(TableHint { device_address, size }, plan, target)?;
    if size > MAX_SIGNED_TABLE {
        return Err(Rejection::at(Refusal::ResourceTableTooLarge, offset));
    }
    let mut hasher = provider.sha256();
    let mut buffer = [0; STEP];
    let mut done = 0u32;
    while done < size {
        let count = (size.saturating_sub(done) as usize).min(STEP);
        let step = buffer.get_mut(..count).unwrap_or_default();
        destination
            .read(table.physical_address.saturating_add(done.into()), step)
            .map_err(|_| Rejection::at(Refusal::DestinationAbort, offset.saturating_add(done.into())))?;
        hasher.update(step);
        done = done.saturating_add(STEP as u32);
    }
    if hasher.finish() != digest {
        return Err(Rejection::at(Refusal::ResourceTableHashMismatch, offset));
    }
    validate(&table, offset, destination)?;
    Ok(Some(table))
}

/// Finds the authenticated, non-executable segment in shared memory that holds a table whole; the table's place and its container
/// offset.
fn locate(hint: TableHint, plan: &Plan, target: &Target<'_>) -> Result<(ResourceTable, u64), Rejection> {
    let TableHint { device_address, size } = hint;
    let (segment, inside) = plan
        .segments()
        .iter()
        .find_map(|segment| {
            let inside = device_address.checked_sub(segment.device_address)?;
            let end = inside.checked_add(size)?;
            (end <= segment.file_size).then_some((segment, inside))
        })
        .filter(|(segment, _)| segment.flags & PF_X == 0)
        .ok_or(Rejection::whole(Refusal::ResourceTableOutside))?;
    let offset = segment.container_offset.saturating_add(inside.into());
    if target.access(device_address) != Some(Access::Shared) {
        return Err(Rejection::at(Refusal::ResourceTableNotShared, offset));
    }
    if device_address & 3 != 0 {
        return Err(Rejection::at(Refusal::ResourceTableMisaligned, offset));
    }
    let physical_address = segment.physical_address.saturating_add(inside.into());
    Ok((ResourceTable { device_address, physical_address, size }, offset))
}

/// Validates what lies there.
fn validate<D: Destination>(
    table: &ResourceTable,
    offset: u64,
    destination: &mut D,
) -> Result<(), Rejection> {
    resource_table::validate(table.size, |at, into| {
        destination.read(table.physical_address.saturating_add(at.into()), into)
    })
    .map_err(|trouble| Rejection::at(trouble.refusal, offset.saturating_add(trouble.offset.into())))
}
