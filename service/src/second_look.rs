//! Only for tests: the holes that a service has which looks at client memory twice. Not in a partition that is used.
use crate::client_memory::ClientMemory;
use crate::guards::Believer;
use crate::hardware::Machine;
use crate::load::refusal_of;
use crate::result::Refused;
use crate::service::{PIECE, Service};
use remoteproc_image::provider::Destination;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// The segments were hashed, and what of them lies in the memory that the load reads now is copied once more.
    pub(crate) fn copy_again<C: ClientMemory>(
        &mut self,
        place: usize,
        memory: &mut C,
    ) -> Result<(), Refused> {
        let Some(share) = self.work(place)?.share else { return Ok(()) };
        let reader = self.readers.get(place).ok_or(Refusal::CallOutOfOrder)?;
        for segment in reader.segments() {
            for done in (0..segment.file_size).step_by(PIECE) {
                let size = segment.file_size.saturating_sub(done).min(PIECE as u32) as usize;
                let offset = segment.container_offset.saturating_add(done.into());
                let in_share = offset.checked_sub(share.offset);
                let ends = offset.saturating_add(size as u64) <= share.end;
                let Some(in_share) = in_share.filter(|_| ends) else { continue };
                let bytes = self.buffer.get_mut(..size).ok_or(Refusal::CallOutOfOrder)?;
                let from = share.place.saturating_add(in_share);
                memory.read(share.handle, from, bytes).map_err(refusal_of)?;
                let address = segment.physical_address.saturating_add(done.into());
                self.machine.memory().write(address, bytes).map_err(|_| Refusal::DestinationAbort)?;
            }
        }
        Ok(())
    }

    /// The signature has verified, and header, TLVs and signature are copied once more, and believed.
    pub(crate) fn copy_metadata_again<C: ClientMemory>(
        &mut self,
        place: usize,
        memory: &mut C,
    ) -> Result<(), Refused> {
        let work = *self.work(place)?;
        let reader = self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?;
        // In one piece of memory with the container's beginning, or not at all.
        let Some(share) = work.share.filter(|share| share.offset == 0) else { return Ok(()) };
        reader.begin(work.total)?;
        while !reader.metadata_complete() {
            let size = reader.metadata_missing().min(PIECE);
            let bytes = self.buffer.get_mut(..size).ok_or(Refusal::CallOutOfOrder)?;
            let from = share.place.saturating_add(reader.position());
            memory.read(share.handle, from, bytes).map_err(refusal_of)?;
            reader.push_metadata(bytes)?;
        }
        let believer = Believer { crypto: self.machine.crypto(), believes: true };
        reader.authenticate(&believer, &self.board.keys)?;
        Ok(())
    }
}
