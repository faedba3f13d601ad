//! Only for tests: the hole that a service has which looks at client memory twice. Not in a partition that is used.
use crate::client_memory::ClientMemory;
use crate::hardware::Machine;
use crate::load::refusal_of;
use crate::result::Refused;
use crate::service::{PIECE, Service};
use remoteproc_image::provider::Destination;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// The segments were hashed, and are now copied once more.
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
                let bytes = self.buffer.get_mut(..size).ok_or(Refusal::CallOutOfOrder)?;
                let (from, to) = (segment.container_offset, segment.physical_address);
                let offset = from.saturating_add(done.into());
                memory.read(share.handle, offset, bytes).map_err(refusal_of)?;
                let address = to.saturating_add(done.into());
                self.machine.memory().write(address, bytes).map_err(|_| Refusal::DestinationAbort)?;
            }
        }
        Ok(())
    }
}
