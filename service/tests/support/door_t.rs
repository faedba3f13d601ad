//! A client of door T: shares a buffer, writes requests and chunks into it, reads answers out of it.
use super::{Bench, assert_one_slice, load_request};
use remoteproc_abi::door_d::{Answer, Request};
use remoteproc_abi::door_t::{self, ANSWER_LENGTH, Chunk, REQUEST_LENGTH};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{self, Registers, SERVICE};
use remoteproc_service::client_memory::EndpointId;

/// Where chunks begin.
pub const PLACE: usize = 4096;
/// No chunk.
pub const NOTHING: Chunk = Chunk { place: 0, length: 0 };

impl Bench {
    /// Sends registers; returns w4 to w7 of the answer.
    pub fn rpc(&mut self, endpoint: EndpointId, request: &ts_rpc::Request) -> [u32; 4] {
        self.rpc_registers(endpoint, &request.encode())
    }

    pub fn rpc_registers(&mut self, endpoint: EndpointId, request: &Registers) -> [u32; 4] {
        let before = self.seen.borrow().len();
        let checks = self.machine().crypto.checks.get();
        let answer = self.service.handle_rpc(endpoint, request, &mut self.client);
        assert_eq!(answer[0], request[0], "the answer repeats the control register");
        let most = self.service.loads_under_way() + self.service.buffers_held();
        assert!(self.client_held() <= most, "handles without a load");
        assert_one_slice(&self.seen.borrow()[before..]);
        assert!(self.machine().crypto.checks.get() - checks <= 1, "one signature check in one request");
        [answer[1], answer[2], answer[3], answer[4]]
    }

    /// RETRIEVE_MEM; returns the status.
    pub fn take_buffer(&mut self, endpoint: EndpointId, handle: u64) -> i32 {
        self.status_of(endpoint, &ts_rpc::Request::RetrieveMemory { handle, tag: 0 })
    }

    /// RELINQ_MEM; returns the status.
    pub fn give_back(&mut self, endpoint: EndpointId, handle: u64) -> i32 {
        self.status_of(endpoint, &ts_rpc::Request::RelinquishMemory { handle })
    }

    /// The status of a call that is answered with nothing else.
    pub fn status_of(&mut self, endpoint: EndpointId, request: &ts_rpc::Request) -> i32 {
        let [status, rest @ ..] = self.rpc(endpoint, request);
        assert_eq!(rest, [0; 3], "registers behind the status");
        status.cast_signed()
    }

    /// Shares a buffer of some pages and has it held.
    pub fn buffer(&mut self, endpoint: EndpointId, pages: usize) -> u64 {
        let handle = self.next_handle;
        self.next_handle += 1;
        self.client.share(endpoint, handle, &vec![0x5a; pages * 4096]);
        assert_eq!(self.take_buffer(endpoint, handle), 0, "RETRIEVE_MEM");
        handle
    }

    /// Calls the service; returns w4 to w7.
    pub fn call_raw(&mut self, endpoint: EndpointId, opcode: u16, handle: u64, length: u32) -> [u32; 4] {
        let handle = Some(handle);
        self.rpc(endpoint, &ts_rpc::Request::Call { interface: SERVICE, opcode, handle, length, client: 0 })
    }

    /// Calls the service with a request in the buffer. The call itself has to succeed.
    pub fn call(&mut self, endpoint: EndpointId, handle: u64, request: &Request, chunk: Chunk) -> Answer {
        let (opcode, body) = door_t::encode(request, chunk).expect("it has no flags");
        self.call_body(endpoint, handle, opcode, &body)
    }

    pub fn call_body(
        &mut self,
        endpoint: EndpointId,
        handle: u64,
        opcode: u16,
        body: &[u8; REQUEST_LENGTH],
    ) -> Answer {
        self.client.fill(handle, 0, body);
        let [status, result, length, rest] = self.call_raw(endpoint, opcode, handle, REQUEST_LENGTH as u32);
        assert_eq!((status, rest), (0, 0), "the call's status, and w7");
        let bytes = &self.client.shares[&handle].bytes;
        let has_answer = [TeeResult::Success, TeeResult::InProgress].map(u32::from).contains(&result);
        if !has_answer {
            assert_eq!(length, 0, "an answer to what was refused");
            let quiet = self.client.hostility.is_none();
            assert!(!quiet || bytes.starts_with(body), "the buffer is as it was");
            return Answer { result, values: [0; 4] };
        }
        assert!(length as usize >= ANSWER_LENGTH);
        Answer { result, values: door_t::decode_values(bytes.first_chunk().unwrap()) }
    }

    /// Repeats a call until it is answered with something else than IN_PROGRESS.
    pub fn call_out(&mut self, endpoint: EndpointId, handle: u64, request: &Request) -> Answer {
        for _ in 0..1000 {
            let answer = self.call(endpoint, handle, request, NOTHING);
            if answer.tee_result() != Some(TeeResult::InProgress) {
                return answer;
            }
        }
        panic!("{request:?} does not end");
    }

    /// Puts a part of an image into the buffer.
    pub fn fill_chunk(&mut self, handle: u64, bytes: &[u8]) -> Chunk {
        self.client.fill(handle, PLACE, bytes);
        Chunk { place: PLACE as u32, length: bytes.len() as u32 }
    }

    /// Calls LOAD_FW for a chunk until its bytes are consumed, or the answer is not IN_PROGRESS.
    pub fn load_chunk(
        &mut self,
        endpoint: EndpointId,
        handle: u64,
        processor: u32,
        (image, offset, end): (&[u8], usize, usize),
    ) -> Answer {
        let total = image.len() as u64;
        let chunk = self.fill_chunk(handle, &image[offset..end]);
        let request = load_request(processor, 0, total, offset as u64);
        for _ in 0..1000 {
            let answer = self.call(endpoint, handle, &request, chunk);
            let is_done = end < image.len() && answer.values[0] == end as u64;
            if answer.tee_result() != Some(TeeResult::InProgress) || is_done {
                return answer;
            }
            if self.client.hostility.is_some() {
                // The request may not have been what was written.
                continue;
            }
            assert_eq!(answer.values[1..], [total, 0, 0]);
            assert!((offset as u64..=end as u64).contains(&answer.values[0]), "{answer:?}");
        }
        panic!("the chunk does not end");
    }

    /// Loads an image in chunks of this length.
    pub fn load_in_chunks(
        &mut self,
        endpoint: EndpointId,
        handle: u64,
        processor: u32,
        image: &[u8],
        length: usize,
    ) -> Answer {
        let mut answer = Answer::of(TeeResult::InProgress);
        let mut offset = 0;
        while offset < image.len() && answer.tee_result() == Some(TeeResult::InProgress) {
            let end = image.len().min(offset + length);
            answer = self.load_chunk(endpoint, handle, processor, (image, offset, end));
            offset = end;
        }
        answer
    }
}
