//! Door T as a back end: what Linux's TS-TEE driver does for its clients, over a connection that stands already. Finds the service
//! among the partitions that speak TS-RPC, shares one buffer with it, and passes requests and images through that, chunk by chunk.
use super::discovery::{self, Search};
use super::error::Error;
use super::transport::{BufferPair, FfaTransport};
use super::{FfaTee, memory, message};
use crate::tee::{Share, Tee};
use remoteproc_abi::door_d::{Answer, Request};
use remoteproc_abi::door_t::{
    self, ANSWER_LENGTH, Chunk, Details, MAX_ANSWER_LENGTH, MAX_CHUNK_LENGTH, REQUEST_LENGTH,
};
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{Registers, Request as Call, Status, VERSION};
use remoteproc_abi::{FFA_PAGE_SIZE, SERVICE_UUID};

/// Most partitions that are asked for the service.
const MAX_PARTITIONS: usize = 64;

/// The memory that is shared with the partition: whole pages, which the partition reads and writes during calls.
pub trait SharedBuffer {
    /// Where the bytes of an image lie, in this client's terms.
    type Image: ?Sized;

    /// Returns its physical pages, in order; at most 16 ranges.
    fn pages(&self) -> &[Constituent];
    /// Copies `bytes` in, from `offset` on. False: they do not fit.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> bool;
    /// Copies bytes out, from `offset` on. False: they lie outside.
    fn read(&self, offset: usize, into: &mut [u8]) -> bool;
    /// Copies `length` bytes of the image, from byte `from` of it on, in at `offset`. False: they lie outside of one of the two.
    fn fill(&mut self, offset: u32, image: &Self::Image, from: u64, length: u32) -> bool;
}

/// The client of door T. Its connection is its own until it disconnects.
#[derive(Debug)]
pub struct RpcTee<'a, T: FfaTransport, B: BufferPair, S: SharedBuffer> {
    connection: &'a mut FfaTee<T, B>,
    buffer: S,
    /// Bytes of the buffer.
    size: u64,
    handle: u64,
    partition: u16,
    interface: u8,
    /// What of the image is in the buffer: its offset in the image, and its place.
    chunk: Option<(u64, Chunk)>,
}

/// Sends one call.
fn call<T: FfaTransport, B: BufferPair>(
    connection: &mut FfaTee<T, B>,
    partition: u16,
    call: Call,
) -> Result<Registers, Error> {
    let registers = call.encode();
    let FfaTee { transport, unanswered, options, own_id, .. } = connection;
    let answer = message::rpc_request(transport, unanswered, *options, *own_id, partition, registers)?;
    let ([control, ..], [asked, ..]) = (answer, registers);
    if control == asked { Ok(answer) } else { Err(Error::RpcAnswer(answer)) }
}

/// The status of an answer, as an error if it is not SUCCESS.
fn succeeded(answer: Registers) -> Result<Registers, Error> {
    let [_, status, ..] = answer;
    if status == Status::Success as u32 { Ok(answer) } else { Err(Error::Rpc(status.cast_signed())) }
}

/// Asks a partition for the service: version, then interface id. `None`: it does not have it.
fn interface_of<T: FfaTransport, B: BufferPair>(
    connection: &mut FfaTee<T, B>,
    partition: u16,
) -> Result<Option<u8>, Error> {
    let [_, version, ..] = call(connection, partition, Call::GetVersion)?;
    if version != VERSION {
        return Ok(None);
    }
    match succeeded(call(connection, partition, Call::ServiceInfo { service: SERVICE_UUID })?) {
        Ok(answer) => {
            let [_, _, interface, ..] = answer;
            u8::try_from(interface).map(Some).map_err(|_| Error::RpcAnswer(answer))
        }
        Err(_) => Ok(None),
    }
}

impl<'a, T: FfaTransport, B: BufferPair, S: SharedBuffer> RpcTee<'a, T, B, S> {
    /// Finds the service behind door T, shares the buffer and has the partition take it.
    ///
    /// # Errors
    /// Says which call failed. The buffer is this client's again, unless taking it back is what failed: then that is the error, and the
    /// buffer is forgotten.
    pub fn connect(connection: &'a mut FfaTee<T, B>, buffer: S) -> Result<Self, Error> {
        let pages =
            buffer.pages().iter().fold(0u64, |sum, range| sum.saturating_add(range.page_count.into()));
        let size = pages.saturating_mul(FFA_PAGE_SIZE);
        for number in 0..MAX_PARTITIONS {
            let FfaTee { transport, buffers, .. } = &mut *connection;
            let partition = discovery::find_service(transport, buffers, Search::ts_rpc(number))?.partition;
            let Some(interface) = interface_of(connection, partition)? else { continue };
            let handle = match share(connection, partition, buffer.pages()) {
                Ok(handle) => handle,
                Err((error, ours)) => {
                    if !ours {
                        core::mem::forget(buffer);
                    }
                    return Err(error);
                }
            };
            return Ok(Self { connection, buffer, size, handle, partition, interface, chunk: None });
        }
        Err(Error::NoService)
    }

    /// Has the partition give the buffer back, and takes it back.
    ///
    /// # Errors
    /// The partition may still use the buffer: it is forgotten, so that nobody gets its memory.
    pub fn disconnect(self) -> Result<S, Error> {
        let Self { connection, buffer, handle, partition, .. } = self;
        let given_back = call(connection, partition, Call::RelinquishMemory { handle })
            .and_then(succeeded)
            .and_then(|_| memory::reclaim(&mut connection.transport, handle));
        match given_back {
            Ok(()) => Ok(buffer),
            Err(error) => {
                core::mem::forget(buffer);
                Err(error)
            }
        }
    }

    /// Returns the handle of the buffer.
    pub fn handle(&self) -> u64 {
        self.handle
    }

    /// Returns the buffer, for what this back end does not do.
    pub fn buffer(&mut self) -> &mut S {
        &mut self.buffer
    }

    /// Returns the connection, for calls that this back end does not make.
    pub fn connection(&mut self) -> &mut FfaTee<T, B> {
        self.connection
    }

    /// Sends payload registers w3 to w7 to the partition, and returns those of the answer.
    ///
    /// # Errors
    /// The partition has not answered, or not by the rules.
    pub fn call(&mut self, request: Call) -> Result<Registers, Error> {
        call(self.connection, self.partition, request)
    }

    /// Tells the name and the memory of the processor with this index, counted from 0; `None`: there is no such processor.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn details(&mut self, index: u32) -> Result<Option<Details>, Error> {
        let (answer, length) = self.ask(&Request::GetProcessor { index })?;
        if answer.tee_result() != Some(TeeResult::Success) {
            return Ok(None);
        }
        let mut bytes = [0; MAX_ANSWER_LENGTH];
        let bytes = bytes.get_mut(ANSWER_LENGTH..length).ok_or(Error::Buffer)?;
        if !self.buffer.read(ANSWER_LENGTH, bytes) {
            return Err(Error::Buffer);
        }
        Details::decode(bytes).map(Some).ok_or(Error::Buffer)
    }

    /// Puts a request into the buffer, calls the service, and takes the answer out. Returns the answer's length, too.
    fn ask(&mut self, request: &Request) -> Result<(Answer, usize), Error> {
        let chunk = match (request, self.chunk) {
            (Request::Load { arguments, .. }, Some((offset, chunk))) if arguments.offset == offset => chunk,
            // The bytes that it speaks of are not in the buffer.
            (Request::Load { .. }, _) => return Err(Error::Image),
            _ => Chunk { place: 0, length: 0 },
        };
        let (opcode, body) = door_t::encode(request, chunk).ok_or(Error::Image)?;
        if !self.buffer.write(0, &body) {
            return Err(Error::Buffer);
        }
        let (interface, handle, length) = (self.interface, Some(self.handle), REQUEST_LENGTH as u32);
        let registers = self.call(Call::Call { interface, opcode, handle, length, client: 0 })?;
        let [_, _, result, length, _] = succeeded(registers)?;
        let mut answer = Answer { result, values: [0; 4] };
        if !matches!(answer.tee_result(), Some(TeeResult::Success | TeeResult::InProgress)) {
            return Ok((answer, 0));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut values = [0; ANSWER_LENGTH];
        if !(ANSWER_LENGTH..=MAX_ANSWER_LENGTH).contains(&length) || !self.buffer.read(0, &mut values) {
            return Err(Error::RpcAnswer(registers));
        }
        answer.values = door_t::decode_values(&values);
        Ok((answer, length))
    }
}

/// Shares the buffer with a partition and has it taken. If it is not taken, it is this client's again, which an error tells with
/// `true`, unless taking it back has failed.
fn share<T: FfaTransport, B: BufferPair>(
    connection: &mut FfaTee<T, B>,
    partition: u16,
    pages: &[Constituent],
) -> Result<u64, (Error, bool)> {
    let FfaTee { transport, buffers, own_id, .. } = &mut *connection;
    let parties = memory::Parties { owner: *own_id, borrower: partition };
    let handle = memory::share(transport, buffers, parties, false, pages).map_err(|error| (error, true))?;
    let taken = call(connection, partition, Call::RetrieveMemory { handle, tag: 0 }).and_then(succeeded);
    if let Err(error) = taken {
        memory::reclaim(&mut connection.transport, handle).map_err(|error| (error, false))?;
        return Err((error, true));
    }
    Ok(handle)
}

impl<T: FfaTransport, B: BufferPair, S: SharedBuffer> Tee for RpcTee<'_, T, B, S> {
    type Error = Error;
    type Image = S::Image;

    /// Copies the next chunk into the buffer, behind the request; in a buffer of several pages it begins at a page.
    fn share(&mut self, image: &S::Image, offset: u64, total: u64) -> Result<Share, Error> {
        let place = if self.size > FFA_PAGE_SIZE { FFA_PAGE_SIZE } else { REQUEST_LENGTH as u64 };
        let length =
            total.saturating_sub(offset).min(self.size.saturating_sub(place)).min(MAX_CHUNK_LENGTH.into());
        let (Ok(place), Ok(length)) = (u32::try_from(place), u32::try_from(length)) else {
            return Err(Error::Image);
        };
        self.chunk = None;
        if length == 0 || !self.buffer.fill(place, image, offset, length) {
            return Err(Error::Image);
        }
        self.chunk = Some((offset, Chunk { place, length }));
        Ok(Share { handle: self.handle, length: length.into(), lent: false })
    }

    /// The buffer stays shared; what was in it is not the image's any more.
    fn reclaim(&mut self, _share: Share) -> Result<(), Error> {
        self.chunk = None;
        Ok(())
    }

    fn invoke(&mut self, request: &Request) -> Result<Answer, Error> {
        self.ask(request).map(|(answer, _)| answer)
    }

    fn pause(&mut self) {
        self.connection.pause();
    }
}
