//! What has to hold between the parts of a board.
use super::ManifestError;
use remoteproc_image::target::{Access, Region};
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::{Board, Processor};

/// Pages of 4 KiB, the finest that regions are mapped and shared by.
const PAGE: u64 = 4096;

/// Checks ids, ranges and overlaps.
pub(super) fn board<'a>(board: &Board<'a>) -> Result<(), ManifestError<'a>> {
    let lists =
        [("normal-memory", &board.normal_memory), ("devices", &board.devices), ("reserved", &board.reserved)];
    for (name, list) in lists {
        list.iter().try_for_each(|range| whole_pages(name, range))?;
    }
    for (index, processor) in board.processors.iter().enumerate() {
        alone(processor)?;
        for reserved in &board.reserved {
            apart(processor, reserved, "reserved")?;
        }
        for earlier in board.processors.iter().take(index) {
            if earlier.id == processor.id {
                return Err(ManifestError::DuplicateId { processor: processor.name, id: processor.id });
            }
            // Registers may be common to two processors (a reset controller); memory may not.
            for theirs in earlier.regions.iter().map(physical) {
                apart(processor, &theirs, earlier.name)?;
            }
            for registers in &earlier.registers {
                regions_apart(processor, registers, earlier.name)?;
            }
        }
    }
    Ok(())
}

/// Checks one processor for itself.
fn alone<'a>(processor: &Processor<'a>) -> Result<(), ManifestError<'a>> {
    let name = processor.name;
    for registers in &processor.registers {
        whole_pages(name, registers)?;
        regions_apart(processor, registers, name)?;
    }
    for (index, region) in processor.regions.iter().enumerate() {
        let range = physical(region);
        whole_pages(name, &range)?;
        let aligned = u64::from(region.device_address).is_multiple_of(PAGE);
        let last = region.size.checked_sub(1).and_then(|size| region.device_address.checked_add(size));
        if !aligned || last.is_none() {
            return Err(ManifestError::BadRange { owner: name, start: range.start });
        }
        for other in processor.regions.iter().take(index) {
            if range.overlaps(&physical(other)) {
                return Err(ManifestError::Overlap { processor: name, start: range.start, other: name });
            }
            if device(region).overlaps(&device(other)) {
                let start = region.device_address.into();
                return Err(ManifestError::Overlap { processor: name, start, other: name });
            }
        }
    }
    if let Some(address) = processor.default_boot_address {
        let inside =
            |region: &Region| region.access == Access::Private && region.translate(address, 1).is_some();
        if !processor.regions.iter().any(inside) {
            return Err(ManifestError::BadBootAddress { processor: name, address });
        }
    }
    Ok(())
}

/// Checks that neither regions nor registers of a processor touch a range.
fn apart<'a>(
    processor: &Processor<'a>,
    range: &PhysicalRange,
    other: &'a str,
) -> Result<(), ManifestError<'a>> {
    regions_apart(processor, range, other)?;
    if let Some(own) = processor.registers.iter().find(|own| own.overlaps(range)) {
        return Err(ManifestError::Overlap { processor: processor.name, start: own.start, other });
    }
    Ok(())
}

/// Checks that no region of a processor touches a range.
fn regions_apart<'a>(
    processor: &Processor<'a>,
    range: &PhysicalRange,
    other: &'a str,
) -> Result<(), ManifestError<'a>> {
    if let Some(own) = processor.regions.iter().map(physical).find(|own| own.overlaps(range)) {
        return Err(ManifestError::Overlap { processor: processor.name, start: own.start, other });
    }
    Ok(())
}

fn whole_pages<'a>(owner: &'a str, range: &PhysicalRange) -> Result<(), ManifestError<'a>> {
    let aligned = range.start.is_multiple_of(PAGE) && range.size.is_multiple_of(PAGE);
    if aligned && range.size != 0 && range.start.checked_add(range.size).is_some() {
        Ok(())
    } else {
        Err(ManifestError::BadRange { owner, start: range.start })
    }
}

fn physical(region: &Region) -> PhysicalRange {
    PhysicalRange { start: region.physical_address, size: region.size.into() }
}

/// The region as the processor sees it, in the same shape.
fn device(region: &Region) -> PhysicalRange {
    PhysicalRange { start: region.device_address.into(), size: region.size.into() }
}
