//! Memory sharing calls. A descriptor is copied once out of the caller's buffer, then checked and used from the copy.
use super::{Answer, Call, Mailbox, PARTITION_ID, Spmc, is_normal_world};
use crate::descriptor::{self, BUFFER_SIZE, CONSTITUENT_SIZE, Kind, MAXIMUM_DESCRIPTOR};
use crate::error::{FfaError, Refusal};
use crate::fragments::Incoming;
use crate::function::ffa;
use crate::machine::{Machine, World};
use crate::memory_map::{NORMAL_MEMORY, Range};

const TOO_LONG: Refusal =
    Refusal::new(FfaError::NoMemory, "fragment-limit", "the descriptor takes more than 20 fragments");

/// Size of the fixed part of a relinquish descriptor with one endpoint.
const RELINQUISH_SIZE: usize = 18;

impl Spmc<'_> {
    /// Checks w1 and w2, the lengths of a descriptor and of its first fragment in the TX buffer.
    fn lengths(call: &Call<'_>) -> Result<(usize, usize), Refusal> {
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
        Ok((total, fragment))
    }

    /// Appends a fragment in the normal world's TX buffer to what was received.
    fn receive(&mut self, machine: &dyn Machine, fragment: usize) -> Result<(), Refusal> {
        let mailbox = self.mailbox(World::Normal)?;
        let received = &mut self.fragments.received;
        let before = received.len();
        received.resize_default(before.saturating_add(fragment)).map_err(|_| TOO_LONG)?;
        if let Some(place) = received.get_mut(before..) {
            machine.read(mailbox.transmit, place);
        }
        Ok(())
    }

    fn mailbox(&self, world: World) -> Result<Mailbox, Refusal> {
        self.endpoint(world).mailbox.ok_or(Refusal::invalid("tx-not-mapped", "the caller has no TX buffer"))
    }

    /// FFA_MEM_SHARE or FFA_MEM_LEND of the normal world. One that is not complete ends another one that is not.
    pub(super) fn share(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
        kind: Kind,
    ) -> Result<Answer, Refusal> {
        let (total, fragment) = Self::lengths(call)?;
        if total > MAXIMUM_DESCRIPTOR {
            return Err(TOO_LONG);
        }
        self.fragments.incoming = None;
        self.fragments.received.clear();
        self.receive(machine, fragment)?;
        let entry_size = descriptor::endpoint_descriptor_size(self.version_of(call.world));
        if fragment < total && !descriptor::is_first_fragment(fragment, entry_size) {
            return Err(Refusal::invalid("fragment-boundary", "a fragment does not end between two ranges"));
        }
        let handle = self.shares.make_handle()?;
        if fragment < total {
            self.fragments.incoming = Some(Incoming { handle, kind, total });
            return Ok(self.want_fragment(handle));
        }
        self.add_received(handle, kind)
    }

    /// FFA_MEM_FRAG_RX to the sender: how many bytes there are.
    fn want_fragment(&self, handle: u64) -> Answer {
        let received = self.fragments.received.len() as u64;
        Answer::eight([ffa::MEM_FRAG_RX.into(), handle & 0xffff_ffff, handle >> 32, received])
    }

    /// FFA_MEM_FRAG_TX of the normal world. A fragment that is wrong ends the whole transaction.
    pub(super) fn fragment(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Result<Answer, Refusal> {
        let handle = u64::from(call.w(1)) | u64::from(call.w(2)) << 32;
        let incoming = self.fragments.incoming.take_if(|incoming| incoming.handle == handle).ok_or(
            Refusal::invalid("fragment-handle", "no descriptor with this handle is being transmitted"),
        )?;
        // The sender's id stands at the same place in a descriptor.
        let sender = self.fragments.received.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        if call.w(4) >> 16 != sender.into() || call.w(4) & 0xffff != 0 || !call.zero(5..=7) {
            return Err(Refusal::invalid(
                "fragment-sender",
                "the sender is not that of the first fragment, or registers are not zero",
            ));
        }
        let fragment = call.w(3) as usize;
        let left = incoming.total.saturating_sub(self.fragments.received.len());
        if fragment == 0 || fragment > left || fragment > BUFFER_SIZE {
            return Err(Refusal::invalid(
                "fragment-length",
                "a fragment is empty, or longer than what is missing",
            ));
        }
        if !fragment.is_multiple_of(CONSTITUENT_SIZE) {
            return Err(Refusal::invalid("fragment-boundary", "a fragment does not end between two ranges"));
        }
        self.receive(machine, fragment)?;
        if fragment < left {
            self.fragments.incoming = Some(incoming);
            return Ok(self.want_fragment(handle));
        }
        self.add_received(handle, incoming.kind)
    }

    /// Checks the descriptor that was received, and adds what it describes.
    fn add_received(&mut self, handle: u64, kind: Kind) -> Result<Answer, Refusal> {
        let bytes = &self.fragments.received;
        let entry_size = descriptor::endpoint_descriptor_size(self.version_of(World::Normal));
        let share = descriptor::decode_share(bytes, entry_size, kind)?;
        if !is_normal_world(share.header.sender) {
            return Err(Refusal::invalid("share-sender", "the sender is no endpoint of the caller's world"));
        }
        if share.entry.receiver != PARTITION_ID {
            return Err(Refusal::invalid("share-receiver", "there is no such partition"));
        }
        let buffers =
            self.normal.mailbox.map(|mailbox| [mailbox.transmit, mailbox.receive]).unwrap_or_default();
        for range in share.constituents(bytes).filter_map(|constituent| constituent.range()) {
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
        self.shares.add(handle, share, bytes, !self.ns_attribute_clear)?;
        Ok(Answer::success(handle & 0xffff_ffff, handle >> 32))
    }

    /// FFA_MEM_RECLAIM of the normal world.
    pub(super) fn reclaim(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if !call.zero(3..=7) {
            return Err(Refusal::invalid("reclaim-flags", "flags and other registers must be zero"));
        }
        let handle = u64::from(call.w(1)) | u64::from(call.w(2)) << 32;
        self.shares.reclaim(self.speaker, handle)?;
        Ok(Answer::success(0, 0))
    }

    /// FFA_MEM_RETRIEVE_REQ of the partition.
    pub(super) fn retrieve(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (total, fragment) = Self::lengths(call)?;
        if fragment != total {
            return Err(Refusal::invalid("retrieve-length", "a retrieve request is in one piece"));
        }
        let mailbox = self.mailbox(call.world)?;
        let mut buffer = [0; BUFFER_SIZE];
        let bytes = buffer
            .get_mut(..fragment)
            .ok_or(Refusal::invalid("memory-length", "the descriptor is longer than the buffer"))?;
        machine.read(mailbox.transmit, bytes);
        let entry_size = descriptor::endpoint_descriptor_size(self.version_of(call.world));
        let (header, entry) = descriptor::decode_retrieve_request(bytes, entry_size)?;
        // Before the table is touched: a refusal here must leave the share as it was.
        let receive = Self::free_receive_buffer(&mut self.partition)?;
        if self.fragments.outgoing.is_some() {
            return Err(Refusal::new(
                FfaError::Busy,
                "retrieve-fragments",
                "another description was not fetched to its end with FFA_MEM_FRAG_RX",
            ));
        }
        let response = self.shares.retrieve(PARTITION_ID, &header, &entry)?;
        // A sender's descriptor has room for an endpoint descriptor that is longer, so this fits.
        descriptor::encode_retrieve_response(&response, entry_size, &mut self.fragments.response)
            .ok_or(Refusal::new(FfaError::NoMemory, "retrieve-response", "the response does not fit"))?;
        let total = self.fragments.response.len() as u64;
        let first = self.fragments.next(header.handle, 0);
        machine.write(receive.receive, first);
        receive.receive_held = true;
        Ok(Answer::eight([ffa::MEM_RETRIEVE_RESP.into(), total, first.len() as u64]))
    }

    /// FFA_MEM_FRAG_RX of the partition: the next part of a retrieve response.
    pub(super) fn next_fragment(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
    ) -> Result<Answer, Refusal> {
        let handle = u64::from(call.w(1)) | u64::from(call.w(2)) << 32;
        let outgoing = self
            .fragments
            .outgoing
            .filter(|outgoing| outgoing.handle == handle)
            .ok_or(Refusal::invalid("fetch-handle", "no description with this handle is being fetched"))?;
        if call.w(3) as usize != outgoing.sent {
            return Err(Refusal::invalid("fetch-offset", "the offset is not the number of bytes fetched"));
        }
        if !call.zero(4..=7) {
            return Err(Refusal::invalid("fetch-reserved", "w4 to w7 must be zero"));
        }
        let receive = Self::free_receive_buffer(&mut self.partition)?;
        let next = self.fragments.next(handle, outgoing.sent);
        machine.write(receive.receive, next);
        receive.receive_held = true;
        let length = next.len() as u64;
        Ok(Answer::eight([ffa::MEM_FRAG_TX.into(), handle & 0xffff_ffff, handle >> 32, length]))
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
        if self.fragments.outgoing.is_some_and(|outgoing| outgoing.handle == handle) {
            return Err(Refusal::invalid(
                "relinquish-fragments",
                "the description was not fetched to its end with FFA_MEM_FRAG_RX",
            ));
        }
        self.shares.relinquish(PARTITION_ID, handle)?;
        self.check_mappings(machine, "FFA_MEM_RELINQUISH");
        Ok(Answer::success(0, 0))
    }
}
