//! Memory sharing calls. A descriptor is copied once out of the caller's buffer, then checked and used from the copy.
use super::{Answer, Call, Mailbox, NORMAL_WORLD_ID, PARTITION_ID, Spmc};
use crate::descriptor::{self, BUFFER_SIZE, Constituent, Kind};
use crate::error::{FfaError, Refusal};
use crate::function::ffa;
use crate::machine::{Machine, World};
use crate::memory_map::{NORMAL_MEMORY, Range};

/// Size of the fixed part of a relinquish descriptor with one endpoint.
const RELINQUISH_SIZE: usize = 18;

impl Spmc<'_> {
    /// Copies the descriptor of a call whose w1 and w2 are its lengths and whose buffer is TX.
    fn copy_descriptor<'b>(
        &self,
        machine: &dyn Machine,
        call: &Call<'_>,
        buffer: &'b mut [u8; BUFFER_SIZE],
    ) -> Result<&'b [u8], Refusal> {
        let (total, fragment) = (call.w(1) as usize, call.w(2) as usize);
        if !call.zero(3..=7) {
            return Err(Refusal::invalid(
                "memory-buffer",
                "only the TX buffer is supported, other registers are zero",
            ));
        }
        if fragment > total || fragment > BUFFER_SIZE {
            return Err(Refusal::invalid(
                "memory-length",
                "the fragment is longer than the descriptor or the buffer",
            ));
        }
        if fragment != total {
            return Err(Refusal::new(FfaError::NotSupported, "memory-fragments", "descriptors in fragments"));
        }
        let mailbox = self.mailbox(call.world)?;
        let descriptor = buffer
            .get_mut(..fragment)
            .ok_or(Refusal::invalid("memory-length", "the descriptor is longer than the buffer"))?;
        machine.read(mailbox.transmit, descriptor);
        Ok(descriptor)
    }

    fn mailbox(&self, world: World) -> Result<Mailbox, Refusal> {
        self.endpoint(world).mailbox.ok_or(Refusal::invalid("tx-not-mapped", "the caller has no TX buffer"))
    }

    /// FFA_MEM_SHARE or FFA_MEM_LEND of the normal world.
    pub(super) fn share(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
        kind: Kind,
    ) -> Result<Answer, Refusal> {
        let mut buffer = [0; BUFFER_SIZE];
        let bytes = self.copy_descriptor(machine, call, &mut buffer)?;
        let entry_size = descriptor::endpoint_descriptor_size(self.version_of(call.world));
        let share = descriptor::decode_share(bytes, entry_size, kind)?;
        if share.header.sender != NORMAL_WORLD_ID {
            return Err(Refusal::invalid("share-sender", "the sender is not the caller"));
        }
        if share.entry.receiver != PARTITION_ID {
            return Err(Refusal::invalid("share-receiver", "there is no such partition"));
        }
        let buffers =
            self.normal.mailbox.map(|mailbox| [mailbox.transmit, mailbox.receive]).unwrap_or_default();
        for range in share.constituents.iter().filter_map(Constituent::range) {
            if !self.lenient_addresses && !NORMAL_MEMORY.contains(&range) {
                return Err(Refusal::denied("share-address", "the memory is not the normal world's"));
            }
            if buffers.iter().filter_map(|&page| Range::pages(page, 1)).any(|page| page.overlaps(&range))
                && self.normal.mailbox.is_some()
            {
                return Err(Refusal::denied("share-buffer", "the memory is an RX or TX buffer"));
            }
            if self.shares.overlaps(&range) {
                return Err(Refusal::denied("share-twice", "a page is shared already"));
            }
        }
        let handle = self.shares.add(share, !self.ns_attribute_clear)?;
        Ok(Answer::success(handle & 0xffff_ffff, handle >> 32))
    }

    /// FFA_MEM_RECLAIM of the normal world.
    pub(super) fn reclaim(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if !call.zero(3..=7) {
            return Err(Refusal::invalid("reclaim-flags", "flags and other registers must be zero"));
        }
        let handle = u64::from(call.w(1)) | u64::from(call.w(2)) << 32;
        self.shares.reclaim(NORMAL_WORLD_ID, handle)?;
        Ok(Answer::success(0, 0))
    }

    /// FFA_MEM_RETRIEVE_REQ of the partition.
    pub(super) fn retrieve(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Result<Answer, Refusal> {
        let mut buffer = [0; BUFFER_SIZE];
        let bytes = self.copy_descriptor(machine, call, &mut buffer)?;
        let entry_size = descriptor::endpoint_descriptor_size(self.version_of(call.world));
        let (header, entry) = descriptor::decode_retrieve_request(bytes, entry_size)?;
        // Before the table is touched: a refusal here must leave the share as it was.
        let receive = Self::free_receive_buffer(&mut self.partition)?;
        let response = self.shares.retrieve(PARTITION_ID, &header, &entry)?;
        // A share has at most MAXIMUM_RANGES ranges, so its response always fits.
        let length = descriptor::encode_retrieve_response(&response, entry_size, &mut buffer)
            .ok_or(Refusal::new(FfaError::NoMemory, "retrieve-response", "the response does not fit"))?;
        if let Some(bytes) = buffer.get(..length) {
            machine.write(receive.receive, bytes);
        }
        receive.receive_held = true;
        let length = length as u64;
        Ok(Answer::eight([ffa::MEM_RETRIEVE_RESP.into(), length, length]))
    }

    /// FFA_MEM_RELINQUISH of the partition.
    pub(super) fn relinquish(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
    ) -> Result<Answer, Refusal> {
        if !call.zero(1..=7) {
            return Err(Refusal::invalid("relinquish-registers", "w1 to w7 must be zero"));
        }
        let mailbox = self.mailbox(call.world)?;
        let mut bytes = [0; RELINQUISH_SIZE];
        machine.read(mailbox.transmit, &mut bytes);
        let handle = descriptor::decode_relinquish(&bytes, PARTITION_ID)?;
        self.shares.relinquish(PARTITION_ID, handle)?;
        self.check_mappings(machine, "FFA_MEM_RELINQUISH");
        Ok(Answer::success(0, 0))
    }
}
