//! Calls that set an endpoint up: version, features, buffers, partition information.
use super::{
    Answer, Call, DIRECT_REQ_32, DIRECT_REQ_64, DIRECT_REQ2_64, DIRECT_RESP_32, DIRECT_RESP_64,
    DIRECT_RESP2_64, Endpoint, MEM_LEND_64, MEM_RETRIEVE_REQ_64, MEM_SHARE_64, Mailbox, PARTITION_ID,
    PARTITION_INFO_GET_REGS_64, RXTX_MAP_64, Spmc,
};
use crate::error::{FfaError, Refusal};
use crate::function::{SMC64, ffa};
use crate::machine::{Machine, World};
use crate::manifest::{MAXIMUM_UUIDS, RECEIVES_DIRECT_REQUESTS, RECEIVES_DIRECT_REQUESTS_2, VERSION};
use crate::memory_map::{NORMAL_RAM, PAGE_SIZE, PARTITION, Range};
use heapless::Vec;

/// Bytes of a partition information descriptor.
const DESCRIPTOR_SIZE: u64 = 24;
/// Properties: the partition runs in AArch64.
const AARCH64: u32 = 1 << 8;
/// FFA_FEATURES(MEM_RETRIEVE_REQ): the caller understands the NS bit. Answer: supported, with retrieval by hypervisor bit
/// as Hafnium shows it.
const NS_BIT: u32 = 1 << 1;
const RETRIEVE_PROPERTIES: u64 = 0x6;

impl Spmc<'_> {
    /// FFA_VERSION. The lower of the two minor versions counts from then on.
    pub(super) fn version(&mut self, machine: &mut dyn Machine, call: &Call<'_>) -> Answer {
        const REFUSED: u64 = FfaError::NotSupported.register();
        let asked = call.w(1);
        // Bit 31 must be zero; another major version, or 1.0 with its other descriptors, is not spoken here.
        if asked >> 16 != 1 || asked & 0xffff == 0 {
            machine
                .firmware_line(format_args!("note FFA_VERSION {asked:#x} of {:?} world refused", call.world));
            return Answer::x0(REFUSED);
        }
        let agreed = asked.min(VERSION);
        let repeat_allowed = call.world == World::Secure;
        let endpoint = self.endpoint_mut(call.world);
        let change = endpoint.version.is_some_and(|version| version != agreed);
        if (endpoint.version_fixed && change) || (endpoint.version.is_some() && !repeat_allowed) {
            if call.world == World::Secure {
                const RULE: Refusal = Refusal::new(
                    FfaError::NotSupported,
                    "version-change",
                    "the version changed after another call",
                );
                self.refuse(machine, call, RULE);
            }
            return Answer::x0(REFUSED);
        }
        endpoint.version = Some(agreed);
        Answer::x0(VERSION.into())
    }

    /// FFA_FEATURES.
    pub(super) fn features(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (asked, properties) = (call.w(1), call.w(2));
        let retrieve = matches!(asked, ffa::MEM_RETRIEVE_REQ | MEM_RETRIEVE_REQ_64);
        if !retrieve && properties != 0 {
            return Err(Refusal::invalid(
                "features-properties",
                "only MEM_RETRIEVE_REQ has input properties",
            ));
        }
        if let Some(answer) = self.notification_feature(call) {
            return Ok(answer);
        }
        let secure = call.world == World::Secure;
        let known = match asked {
            ffa::ERROR
            | ffa::SUCCESS
            | ffa::INTERRUPT
            | ffa::VERSION
            | ffa::FEATURES
            | ffa::ID_GET
            | ffa::SPM_ID_GET
            | ffa::RXTX_MAP
            | RXTX_MAP_64
            | ffa::RXTX_UNMAP
            | ffa::RX_RELEASE
            | ffa::PARTITION_INFO_GET
            | PARTITION_INFO_GET_REGS_64
            | DIRECT_REQ_32
            | DIRECT_REQ_64
            | DIRECT_RESP_32
            | DIRECT_RESP_64
            | DIRECT_REQ2_64
            | DIRECT_RESP2_64 => true,
            ffa::RUN
            | ffa::MEM_SHARE
            | MEM_SHARE_64
            | ffa::MEM_LEND
            | MEM_LEND_64
            | ffa::MEM_FRAG_TX
            | ffa::MEM_RECLAIM => !secure,
            ffa::MSG_WAIT
            | ffa::YIELD
            | ffa::SECONDARY_EP_REGISTER
            | super::SECONDARY_EP_REGISTER_64
            | ffa::CONSOLE_LOG
            | super::CONSOLE_LOG_64
            | ffa::MEM_RETRIEVE_REQ
            | MEM_RETRIEVE_REQ_64
            | ffa::MEM_RETRIEVE_RESP
            | ffa::MEM_FRAG_RX
            | ffa::MEM_RELINQUISH => secure,
            _ => false,
        };
        if !known {
            return Ok(Answer::error(FfaError::NotSupported));
        }
        if retrieve {
            // From 1.1 on a caller has to say that it knows the NS bit.
            if properties != NS_BIT {
                return Ok(Answer::error(FfaError::NotSupported));
            }
            return Ok(Answer::success(RETRIEVE_PROPERTIES, 0));
        }
        // One page at most, 4 KiB at least (DEN0077A 1.2, table 13.14).
        let buffers = matches!(asked, ffa::RXTX_MAP | RXTX_MAP_64);
        Ok(Answer::success(if buffers { 1 << 16 } else { 0 }, 0))
    }

    /// FFA_RXTX_MAP.
    pub(super) fn map_buffers(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (transmit, receive) = (call.argument(1), call.argument(2));
        if call.w(3) != 1 || !call.zero(4..=7) {
            return Err(Refusal::invalid(
                "rxtx-count",
                "the buffers must be one page each, other registers zero",
            ));
        }
        if !transmit.is_multiple_of(PAGE_SIZE) || !receive.is_multiple_of(PAGE_SIZE) {
            return Err(Refusal::invalid("rxtx-alignment", "the buffers must be page aligned"));
        }
        if transmit == receive {
            return Err(Refusal::invalid("rxtx-overlap", "the buffers must not overlap"));
        }
        if self.endpoint(call.world).mailbox.is_some() {
            return Err(Refusal::denied("rxtx-twice", "the buffers are mapped already"));
        }
        let home = match call.world {
            World::Normal => NORMAL_RAM,
            World::Secure => PARTITION,
        };
        for address in [transmit, receive] {
            let inside = Range::pages(address, 1)
                .is_some_and(|page| home.contains(&page) && !self.shares.overlaps(&page));
            if !inside {
                return Err(Refusal::denied(
                    "rxtx-memory",
                    "a buffer is not in the caller's own memory, or is shared",
                ));
            }
        }
        self.endpoint_mut(call.world).mailbox = Some(Mailbox { transmit, receive, receive_held: false });
        Ok(Answer::success(0, 0))
    }

    /// FFA_RXTX_UNMAP.
    pub(super) fn unmap_buffers(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if !call.zero(1..=7) {
            return Err(Refusal::invalid("unmap-reserved", "no id is expected, other registers are zero"));
        }
        match self.endpoint_mut(call.world).mailbox.take() {
            Some(_) => Ok(Answer::success(0, 0)),
            None => Err(Refusal::invalid("unmap-nothing", "no buffers are mapped")),
        }
    }

    /// FFA_RX_RELEASE.
    pub(super) fn release_receive_buffer(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if !call.zero(1..=7) {
            return Err(Refusal::invalid("release-reserved", "no id is expected, other registers are zero"));
        }
        match &mut self.endpoint_mut(call.world).mailbox {
            Some(mailbox) if mailbox.receive_held => {
                mailbox.receive_held = false;
                Ok(Answer::success(0, 0))
            }
            _ => Err(Refusal::denied("release-nothing", "the RX buffer holds nothing")),
        }
    }

    /// The mailbox of a world if its RX buffer is free.
    pub(super) fn free_receive_buffer(endpoint: &mut Endpoint) -> Result<&mut Mailbox, Refusal> {
        match &mut endpoint.mailbox {
            Some(mailbox) if !mailbox.receive_held => Ok(mailbox),
            Some(_) => Err(Refusal::new(
                FfaError::Busy,
                "rx-not-released",
                "the RX buffer was not released with FFA_RX_RELEASE",
            )),
            None => Err(Refusal::new(FfaError::Busy, "rx-not-mapped", "the caller has no RX buffer")),
        }
    }

    fn partition_properties(&self) -> u32 {
        // Sending direct requests is nothing the normal world can use; the other bits are the manifest's.
        (self.manifest.messaging & (RECEIVES_DIRECT_REQUESTS | RECEIVES_DIRECT_REQUESTS_2)) | AARCH64
    }

    /// The UUID words of the descriptors that answer the question for `uuid`. Without a UUID there is one descriptor for each of
    /// the partition's; a caller below 1.2 sees the first alone, as under Hafnium.
    fn match_uuid(&self, caller: World, uuid: [u32; 4]) -> Result<Vec<[u32; 4], MAXIMUM_UUIDS>, Refusal> {
        let uuids = &self.manifest.uuids;
        if uuid == [0; 4] {
            let shown = if self.version_of(caller) < VERSION { 1 } else { uuids.len() };
            Ok(uuids.iter().take(shown).copied().collect())
        } else if uuids.contains(&uuid) {
            // The caller knows the UUID it asked for; the field is zero then (DEN0077A 1.2, table 6.1).
            Ok([[0; 4]].into_iter().collect())
        } else {
            Err(Refusal::invalid("info-uuid", "no partition has this UUID"))
        }
    }

    /// FFA_PARTITION_INFO_GET.
    pub(super) fn partition_information(
        &mut self,
        machine: &mut dyn Machine,
        call: &Call<'_>,
    ) -> Result<Answer, Refusal> {
        let flags = call.w(5);
        if flags > 1 || !call.zero(6..=7) {
            return Err(Refusal::invalid("info-flags", "unknown flags"));
        }
        let shown = self.match_uuid(call.world, [call.w(1), call.w(2), call.w(3), call.w(4)])?;
        let count = shown.len() as u64;
        if flags == 1 {
            return Ok(Answer::success(count, 0));
        }
        let mut descriptors = [0; DESCRIPTOR_SIZE as usize * MAXIMUM_UUIDS];
        for (descriptor, uuid) in descriptors.chunks_exact_mut(DESCRIPTOR_SIZE as usize).zip(&shown) {
            for (place, word) in descriptor.chunks_exact_mut(8).zip(self.descriptor(*uuid)) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        let mailbox = Self::free_receive_buffer(self.endpoint_mut(call.world))?;
        if let Some(used) = descriptors.get(..DESCRIPTOR_SIZE as usize * shown.len()) {
            machine.write(mailbox.receive, used);
        }
        mailbox.receive_held = true;
        Ok(Answer::success(count, DESCRIPTOR_SIZE))
    }

    /// A partition information descriptor: id, execution contexts, properties, UUID.
    fn descriptor(&self, uuid: [u32; 4]) -> [u64; 3] {
        let [word0, word1, word2, word3] = uuid.map(u64::from);
        [
            u64::from(PARTITION_ID)
                | (u64::from(self.manifest.contexts) & 0xffff) << 16
                | u64::from(self.partition_properties()) << 32,
            word0 | word1 << 32,
            word2 | word3 << 32,
        ]
    }

    /// FFA_PARTITION_INFO_GET_REGS. All descriptors of the one partition fit one answer.
    pub(super) fn partition_information_registers(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (low, high) = (call.x(1), call.x(2));
        let (index, tag) = (call.x(3) & 0xffff, (call.x(3) >> 16) & 0xffff);
        if call.x(3) >> 32 != 0 || !call.zero(4..=17) {
            return Err(Refusal::invalid("info-reserved", "reserved registers must be zero"));
        }
        let uuid = [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
        let shown = self.match_uuid(call.world, uuid)?;
        if tag != 0 {
            return Err(Refusal::new(FfaError::Retry, "info-tag", "the tag is not the one given out"));
        }
        let first = index as usize;
        let last = shown.len().saturating_sub(1);
        if first > last {
            return Err(Refusal::invalid("info-index", "there are fewer descriptors"));
        }
        let mut registers = [0; 18];
        registers[0] = u64::from(ffa::SUCCESS | SMC64);
        // Last index, current index, tag 0, size of one descriptor.
        registers[2] = DESCRIPTOR_SIZE << 48 | (last as u64) << 16 | last as u64;
        for (place, uuid) in registers[3..].chunks_exact_mut(3).zip(shown.iter().skip(first)) {
            place.copy_from_slice(&self.descriptor(*uuid));
        }
        Ok(Answer { registers, count: 18 })
    }
}
