//! Finding the service: version, ids, and the partitions behind a UUID (DEN0077, section 13 "Setup and discovery").
use super::VERSION;
use super::error::{Error, Status};
use super::transport::{BufferPair, FfaTransport, Registers, call, function_of, low, registers};
use arm_ffa::{FuncId, UuidHelper, Version};
use remoteproc_abi::{SERVICE_UUID, ts_rpc};

/// Partition property: takes direct requests.
pub const PROPERTY_RECEIVES_DIRECT_REQUESTS: u32 = 1 << 0;
/// Partition property: takes direct requests of the second family.
pub const PROPERTY_RECEIVES_DIRECT_REQUESTS_2: u32 = 1 << 9;
/// Partition property: runs in the AArch64 state, so it takes 64-bit requests.
pub const PROPERTY_AARCH64: u32 = 1 << 8;
/// Most partitions of an answer that are looked at.
const MAX_PARTITIONS: usize = 64;
/// Bytes of a partition information descriptor that this client reads; descriptors may be longer.
const DESCRIPTOR_HEAD: usize = 8;

/// A partition that offers the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its endpoint id.
    pub partition: u16,
    /// Its number of execution contexts.
    pub contexts: u16,
    /// Its properties (DEN0077, table 6.2).
    pub properties: u32,
}

impl Service {
    /// Takes the first 8 bytes of a partition information descriptor: id, contexts, properties.
    fn from_head(head: u64) -> Self {
        Self {
            partition: (head & 0xFFFF) as u16,
            contexts: (head >> 16 & 0xFFFF) as u16,
            properties: (head >> 32) as u32,
        }
    }

    /// Tells whether it takes direct requests of the second family as well.
    #[must_use]
    pub fn takes_second_family(self) -> bool {
        self.properties & PROPERTY_RECEIVES_DIRECT_REQUESTS_2 != 0
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Search {
    /// In the registers of FFA_PARTITION_INFO_GET.
    uuid: [u32; 4],
    /// Properties that a partition has to have.
    needed: u32,
    /// So many that fit are left out.
    skip: usize,
}

impl Search {
    /// For door D, which takes 64-bit requests.
    pub(super) fn door_d() -> Self {
        let needed = PROPERTY_RECEIVES_DIRECT_REQUESTS | PROPERTY_AARCH64;
        Self { uuid: UuidHelper::to_u32_regs(SERVICE_UUID), needed, skip: 0 }
    }

    /// For the partition with this number among those that speak TS-RPC.
    pub(super) fn ts_rpc(number: usize) -> Self {
        let needed = PROPERTY_RECEIVES_DIRECT_REQUESTS;
        Self { uuid: UuidHelper::to_u32_regs(ts_rpc::UUID), needed, skip: number }
    }

    /// Tells whether this is it.
    fn hits(&mut self, service: Service) -> bool {
        if service.properties & self.needed != self.needed {
            return false;
        }
        let hit = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        hit
    }
}

/// Asks for [`VERSION`] and returns what the SPMC answered, which is that or a later minor version.
pub(super) fn version<T: FfaTransport>(transport: &mut T) -> Result<Version, Error> {
    let answer = function_of(&transport.call(registers(FuncId::Version, &[u32::from(VERSION).into()])));
    // Bit 31 set is an error, NOT_SUPPORTED above all.
    let version = Version::try_from(answer).map_err(|_| Error::Version(answer))?;
    if version.0 != VERSION.0 || version.1 < VERSION.1 {
        return Err(Error::Version(answer));
    }
    Ok(version)
}

/// FFA_ID_GET or FFA_SPM_ID_GET.
pub(super) fn id<T: FfaTransport>(transport: &mut T, function: FuncId) -> Result<u16, Error> {
    let answer = call(transport, function, &[])?;
    Ok((answer[2] & 0xFFFF) as u16)
}

/// Finds the service by registers, or through the RX buffer where the SPMC does not offer that.
pub(super) fn find_service<T: FfaTransport, B: BufferPair>(
    transport: &mut T,
    buffers: &B,
    search: Search,
) -> Result<Service, Error> {
    match find_by_registers(transport, search) {
        Err(Error::Call { status: Status::NOT_SUPPORTED, .. }) => find_by_buffer(transport, buffers, search),
        Err(Error::Call { status: Status::INVALID_PARAMETERS, .. }) => Err(Error::NoService),
        other => other,
    }
}

/// FFA_PARTITION_INFO_GET_REGS, in as many calls as it takes.
fn find_by_registers<T: FfaTransport>(transport: &mut T, mut search: Search) -> Result<Service, Error> {
    let function = FuncId::PartitionInfoGetRegs;
    let [uuid0, uuid1, uuid2, uuid3] = search.uuid.map(u64::from);
    let mut next = 0u16;
    let mut tag = 0u16;
    for _ in 0..MAX_PARTITIONS {
        let arguments = [uuid1 << 32 | uuid0, uuid3 << 32 | uuid2, u64::from(tag) << 16 | u64::from(next)];
        let answer = call(transport, function, &arguments)?;
        let bad = Error::Answer { function, answer: function_of(&answer) };
        let [last, current, new_tag, size] =
            [0, 16, 32, 48].map(|shift| (answer[2] >> shift & 0xFFFF) as u16);
        let words = usize::from(size / 8);
        if words == 0 || size % 8 != 0 || current < next || current > last {
            return Err(bad);
        }
        let count = usize::from(current - next).saturating_add(1);
        if let Some(service) = heads(&answer, words, count).ok_or(bad)?.find(|service| search.hits(*service))
        {
            return Ok(service);
        }
        if current == last {
            return Err(Error::NoService);
        }
        next = current.saturating_add(1);
        tag = new_tag;
    }
    Err(Error::NoService)
}

/// Returns the heads of `count` descriptors of `words` registers each, from x3 on; `None` if they do not fit.
fn heads(answer: &Registers, words: usize, count: usize) -> Option<impl Iterator<Item = Service>> {
    let used = words.checked_mul(count)?;
    let descriptors = answer.get(3..)?.get(..used)?;
    Some(descriptors.chunks_exact(words).filter_map(<[u64]>::first).map(|head| Service::from_head(*head)))
}

/// FFA_PARTITION_INFO_GET. The size of a descriptor is the answer's, not this version's.
fn find_by_buffer<T: FfaTransport, B: BufferPair>(
    transport: &mut T,
    buffers: &B,
    search: Search,
) -> Result<Service, Error> {
    let function = FuncId::PartitionInfoGet;
    let [uuid0, uuid1, uuid2, uuid3] = search.uuid.map(u64::from);
    let answer = match call(transport, function, &[uuid0, uuid1, uuid2, uuid3, 0]) {
        Err(Error::Call { status: Status::INVALID_PARAMETERS, .. }) => return Err(Error::NoService),
        other => other?,
    };
    let found = find_in_buffer(buffers, search, low(answer[2]), low(answer[3]));
    // The RX buffer is this client's until it gives it back, whatever was in it.
    call(transport, FuncId::RxRelease, &[])?;
    match found? {
        Some(service) => Ok(service),
        None => Err(Error::NoService),
    }
}

/// Looks for a usable partition among `count` descriptors of `size` bytes in the RX buffer.
fn find_in_buffer<B: BufferPair>(
    buffers: &B,
    mut search: Search,
    count: u32,
    size: u32,
) -> Result<Option<Service>, Error> {
    let (count, size) = (count as usize, size as usize);
    if size < DESCRIPTOR_HEAD {
        return Err(Error::Answer { function: FuncId::PartitionInfoGet, answer: FuncId::Success32.into() });
    }
    for index in 0..count.min(MAX_PARTITIONS) {
        let mut head = [0; DESCRIPTOR_HEAD];
        let offset = index.checked_mul(size).ok_or(Error::Buffer)?;
        if !buffers.read(offset, &mut head) {
            return Err(Error::Buffer);
        }
        let service = Service::from_head(u64::from_le_bytes(head));
        if search.hits(service) {
            return Ok(Some(service));
        }
    }
    Ok(None)
}
