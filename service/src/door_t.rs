//! Door T's calls: the client's buffers come and go, and a service call's arguments are copied out of one, and its answer into it.
//!
//! The buffer stays the client's to read and write while the partition holds it. What lies in it is copied in once for each call, and
//! the copy is looked at.
use crate::client_memory::{ClientMemory, EndpointId, MemoryError, SharedBuffers};
use crate::clients::{Caller, Door};
use crate::guards::Guard;
use crate::hardware::Machine;
use crate::jobs::{Portion, Source};
use crate::load::refusal_of;
use crate::ranges;
use crate::service::{Outcome, Service};
use remoteproc_abi::SERVICE_UUID;
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{self, LoadArguments};
use remoteproc_abi::door_t::{
    self, ANSWER_LENGTH, Chunk, Details, MAX_ANSWER_LENGTH, REQUEST_LENGTH, Region,
};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{Answer, Registers, Request, SERVICE, Status};
use remoteproc_image::target::Access;
use remoteproc_refusal::Refusal;

/// What the log calls the management's calls.
const RETRIEVE: &str = "RETRIEVE_MEM";

impl<M: Machine> Service<'_, M> {
    /// Answers one request of door T, given its payload registers w3 to w7. Any registers get exactly one answer.
    pub fn handle_rpc<C: SharedBuffers>(
        &mut self,
        endpoint: EndpointId,
        registers: &Registers,
        memory: &mut C,
    ) -> Registers {
        let [control, ..] = *registers;
        let caller = Caller { endpoint, door: Door::TsRpc };
        if let Some(answer) = answer_at_once(registers) {
            return answer;
        }
        let answer = match Request::decode(registers) {
            Ok(Request::RetrieveMemory { handle, tag }) => {
                Answer::Status(self.take_buffer(caller, handle, tag, memory))
            }
            Ok(Request::RelinquishMemory { handle }) => {
                Answer::Status(self.give_back_buffer(endpoint, handle, memory))
            }
            Ok(Request::Call { interface: SERVICE, opcode, handle, length, .. }) => {
                self.call(caller, opcode, handle, length, memory).unwrap_or_else(Answer::Status)
            }
            // Answered at once.
            Ok(Request::Call { .. } | Request::GetVersion | Request::ServiceInfo { .. }) | Err(_) => {
                Answer::Status(Status::InvalidValue)
            }
        };
        answer.encode(control)
    }

    /// RETRIEVE_MEM: the same check as for every memory that a client names, before anything of it is mapped.
    fn take_buffer<C: SharedBuffers>(
        &mut self,
        caller: Caller,
        handle: u64,
        tag: u64,
        memory: &mut C,
    ) -> Status {
        let owner = caller.endpoint;
        let (refusal, status) = if self.buffers.size(owner, handle).is_some() {
            (Refusal::BufferHeld, Status::InvalidState)
        } else if !self.buffers.has_room(owner) {
            (Refusal::BuffersFull, Status::NotFound)
        } else {
            match self.retrieve_buffer(owner, handle, tag, memory) {
                Ok(()) => return Status::Success,
                Err(refused) => refused,
            }
        };
        self.refuse(RETRIEVE, caller, refusal.into());
        status
    }

    /// Has the handle retrieved, looks at its ranges, and keeps it. Not inlined: the stack need not hold the ranges all the time.
    #[inline(never)]
    fn retrieve_buffer<C: SharedBuffers>(
        &mut self,
        owner: EndpointId,
        handle: u64,
        tag: u64,
        memory: &mut C,
    ) -> Result<(), (Refusal, Status)> {
        let unusable = |error: MemoryError| (refusal_of(error), Status::TransportLayer);
        let retrieved = memory.retrieve_buffer(owner, handle, tag).map_err(unusable)?;
        let judged =
            if self.guarded(Guard::RangeCheck) { ranges::check(&self.board, &retrieved) } else { Ok(()) };
        let checked = judged
            .map_err(|refusal| (refusal, Status::InvalidValue))
            .and_then(|()| memory.map(handle, &retrieved).map_err(unusable));
        if checked.is_ok() && self.buffers.add(owner, handle, ranges::total_size(&retrieved)) {
            return Ok(());
        }
        memory.relinquish(handle);
        checked.and(Err((Refusal::BuffersFull, Status::NotFound)))
    }

    /// RELINQ_MEM: a load that takes a chunk from the buffer goes on without it.
    pub(crate) fn give_back_buffer<C: ClientMemory>(
        &mut self,
        owner: EndpointId,
        handle: u64,
        memory: &mut C,
    ) -> Status {
        if !self.buffers.remove(owner, handle) {
            return Status::NotFound;
        }
        for work in self.works.iter_mut().flatten().filter(|work| work.caller.endpoint == owner) {
            work.share.take_if(|share| share.is_buffer && share.handle == handle);
        }
        memory.relinquish(handle);
        Status::Success
    }

    /// A call of the service.
    fn call<C: SharedBuffers>(
        &mut self,
        caller: Caller,
        opcode: u16,
        handle: Option<u64>,
        length: u32,
        memory: &mut C,
    ) -> Result<Answer, Status> {
        let handle = handle.ok_or(Status::InvalidRequestBody)?;
        let size = self.buffers.size(caller.endpoint, handle).ok_or(Status::NotFound)?;
        if u64::from(length) > size {
            return Err(Status::InvalidRequestBody);
        }
        let name = Command::try_from(opcode).map_or("a request", Command::name);
        let mut body = [0; REQUEST_LENGTH];
        let read = if length as usize == REQUEST_LENGTH {
            memory.read(handle, 0, &mut body).map_err(refusal_of)
        } else {
            Err(Refusal::RequestLength)
        };
        if let Err(refusal) = read {
            return Ok(returned(&self.refuse(name, caller, refusal.into()), 0));
        }
        let request = door_t::decode(opcode, &body);
        let answer = match request {
            Ok(door_d::Request::Load { processor, arguments }) => self
                .load_chunk(caller, processor, &arguments, (handle, size), memory)
                .unwrap_or_else(|refused| self.refuse(name, caller, refused)),
            Ok(request) => self.handle_request(caller, request, memory),
            Err(error) => self.refuse_malformed(opcode, caller, error),
        };
        if !matches!(answer.tee_result(), Some(TeeResult::Success | TeeResult::InProgress)) {
            return Ok(returned(&answer, 0));
        }
        let described = match request {
            Ok(door_d::Request::GetProcessor { index }) => Some(index),
            _ => None,
        };
        match self.put_answer(handle, &answer, described, memory) {
            Ok(length) => Ok(returned(&answer, length)),
            Err(error) => Ok(returned(&self.refuse(name, caller, refusal_of(error).into()), 0)),
        }
    }

    /// Writes an answer into the buffer, with the details of the processor that was asked about. Returns its length, bytes. Not
    /// inlined: the stack need not hold the answer while the request is carried out.
    #[inline(never)]
    fn put_answer<C: SharedBuffers>(
        &self,
        handle: u64,
        answer: &door_d::Answer,
        described: Option<u32>,
        memory: &mut C,
    ) -> Result<usize, MemoryError> {
        let Some(details) = described.and_then(|index| self.details(index)) else {
            memory.write(handle, 0, &door_t::encode_values(answer))?;
            return Ok(ANSWER_LENGTH);
        };
        let mut bytes = [0; MAX_ANSWER_LENGTH];
        let length = details.encode(answer, &mut bytes);
        memory.write(handle, 0, bytes.get(..length).ok_or(MemoryError::OutOfBounds)?)?;
        Ok(length)
    }

    /// LOAD_FW, from a chunk in a buffer of this many bytes.
    fn load_chunk<C: SharedBuffers>(
        &mut self,
        caller: Caller,
        processor: u32,
        arguments: &LoadArguments,
        (handle, size): (u64, u64),
        memory: &mut C,
    ) -> Outcome {
        let LoadArguments { handle: argument, total, offset, .. } = *arguments;
        let chunk = Chunk::of_argument(argument);
        let at_the_end = offset == total && total != 0;
        if !chunk.fits(size) || chunk.length == 0 && !at_the_end {
            return Err(Refusal::ChunkOutside.into());
        }
        let source = Source::Buffer { handle, place: chunk.place.into(), length: chunk.length.into() };
        let index = self.find(processor)?;
        self.load_slice(caller, index, &Portion { source, total, offset, is_all: false }, memory)
    }

    /// What GET_PROCESSOR tells here besides its values.
    fn details(&self, index: u32) -> Option<Details> {
        let processor = self.board.processors.get(usize::try_from(index).ok()?)?;
        let regions = processor.regions.iter().map(|region| Region {
            device_address: region.device_address,
            size: region.size,
            physical_address: region.physical_address,
            shared: region.access == Access::Shared,
        });
        Some(Details::new(processor.name, regions))
    }
}

/// Answers what is the same at any time, whoever asks and whatever the service does: questions about the door, and what is no request.
#[must_use]
pub fn answer_at_once(registers: &Registers) -> Option<Registers> {
    let [control, ..] = *registers;
    let answer = match Request::decode(registers) {
        Ok(Request::GetVersion) => Answer::Version,
        Ok(Request::ServiceInfo { service: SERVICE_UUID }) => Answer::Interface(SERVICE),
        Ok(Request::ServiceInfo { .. }) => Answer::Status(Status::NotFound),
        Ok(Request::RetrieveMemory { .. } | Request::RelinquishMemory { .. }) => return None,
        Ok(Request::Call { interface: SERVICE, .. }) => return None,
        Ok(Request::Call { .. }) => Answer::Status(Status::InvalidValue),
        Err(status) => Answer::Status(status),
    };
    Some(answer.encode(control))
}

/// An answer of the service, as the call tells it.
fn returned(answer: &door_d::Answer, length: usize) -> Answer {
    Answer::Returned { status: answer.result, length: u32::try_from(length).unwrap_or(0) }
}
