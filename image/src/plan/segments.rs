//! The rules about segments, one by one, and about the boot address among them.
use super::{BOOT_ALIGNMENT, Plan, Segment};
use crate::format::{BLOCK_SIZE, ENCRYPTED_ENTRY_SIZE, PF_X, PT_LOAD, ProgramHeader};
use crate::metadata::Metadata;
use crate::rejection::Rejection;
use crate::target::{Access, BootSecurity, Target};
use remoteproc_refusal::Refusal;

impl Plan {
    /// An ENCTABLE holds PT_LOAD entries of whole blocks, and zeros that count the other program headers.
    pub(super) fn check_encrypted(
        &self,
        metadata: &Metadata,
        offset: u64,
        header: &ProgramHeader,
    ) -> Result<(), Refusal> {
        let bytes = metadata.range(offset, offset.saturating_add(ENCRYPTED_ENTRY_SIZE as u64));
        if header.kind.get() != PT_LOAD && bytes.iter().any(|byte| *byte != 0) {
            return Err(Refusal::EncryptionTableMalformed);
        }
        if !header.file_size.get().is_multiple_of(BLOCK_SIZE as u32) {
            return Err(Refusal::EncryptedSegmentSize);
        }
        Ok(())
    }

    /// One entry of the signed table: nothing if it loads nothing, else a segment that keeps all rules.
    pub(super) fn plan_segment(
        &mut self,
        header: &ProgramHeader,
        index: usize,
        target: &Target<'_>,
    ) -> Result<(), Refusal> {
        if header.kind.get() != PT_LOAD {
            return Ok(());
        }
        let (file_size, memory_size) = (header.file_size.get(), header.memory_size.get());
        if file_size > memory_size {
            return Err(Refusal::SegmentSizes);
        }
        if memory_size == 0 {
            return Ok(());
        }
        let device_address = header.physical_address.get();
        // The last byte's address has to exist; one past it need not.
        if device_address.checked_add(memory_size.saturating_sub(1)).is_none() {
            return Err(Refusal::SegmentAddressOverflow);
        }
        let (physical_address, access) = target
            .regions
            .iter()
            .find_map(|region| Some((region.translate(device_address, memory_size)?, region.access)))
            .ok_or(Refusal::SegmentOutsideRegions)?;
        if header.flags.get() & PF_X != 0 && access != Access::Private {
            return Err(Refusal::ExecutableInShared);
        }
        let end = physical_address.saturating_add(memory_size.into());
        let overlaps = |other: &Segment| {
            let other_end = other.physical_address.saturating_add(other.memory_size.into());
            physical_address < other_end && other.physical_address < end
        };
        if self.segments.iter().any(overlaps) {
            return Err(Refusal::SegmentsOverlap);
        }
        let entry = u8::try_from(index).map_err(|_| Refusal::TooManySegments)?;
        self.entries.push(entry).map_err(|_| Refusal::TooManySegments)?;
        self.segments
            .push(Segment {
                image: 0,
                container_offset: 0,
                device_address,
                physical_address,
                file_size,
                memory_size,
                flags: header.flags.get(),
            })
            .map_err(|_| Refusal::TooManySegments)
    }

    /// The boot address, and what BOOTSEC means on this target.
    pub(super) fn plan_boot(
        &mut self,
        address: Option<(u32, u64)>,
        security: Option<(u32, u64)>,
        target: &Target<'_>,
    ) -> Result<(), Rejection> {
        self.asks_secure = security.is_some_and(|(value, _)| value != 0);
        if self.asks_secure && target.boot_security == BootSecurity::Refused {
            return Err(Rejection {
                refusal: Refusal::BootSecurityUnsupported,
                offset: security.map(|(_, offset)| offset),
            });
        }
        if let Some((address, offset)) = address {
            self.check_boot(address, target).map_err(|refusal| Rejection::at(refusal, offset))?;
            self.boot_address = Some(address);
        } else {
            // The manifest's address is a guess for images that name none: if it does not fit this image, the image can be
            // loaded all the same, and START has no address to go to.
            self.boot_address =
                target.default_boot_address.filter(|address| self.check_boot(*address, target).is_ok());
        }
        Ok(())
    }

    /// A boot address lies in what a segment loads from the file, in private memory, at a multiple of [`BOOT_ALIGNMENT`].
    fn check_boot(&self, address: u32, target: &Target<'_>) -> Result<(), Refusal> {
        let inside = |segment: &Segment| {
            address.checked_sub(segment.device_address).is_some_and(|at| at < segment.file_size)
        };
        if !self.segments.iter().any(inside) {
            return Err(Refusal::BootAddressOutside);
        }
        if address & BOOT_ALIGNMENT.saturating_sub(1) != 0 {
            return Err(Refusal::BootAddressMisaligned);
        }
        if target.access(address) != Some(Access::Private) {
            return Err(Refusal::BootAddressInShared);
        }
        Ok(())
    }
}
