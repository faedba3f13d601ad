//! Calls of door T with real buffers, valid ones and such with a mistake, from two endpoints: one answer each, and afterwards
//! nothing is held and a clean load works.
use super::messages::REQUEST_32;
use super::random::Random;
use super::{ENOUGH, count, seed};
use crate::context::{Context, HYPERVISOR};
use crate::framework::{Failure, Outcome, Text};
use crate::machine::Strictness;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, machine, memory, say};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{LoadArguments, Request, StopMode};
use remoteproc_abi::door_t::{self, Chunk, MAX_ANSWER_LENGTH, REQUEST_LENGTH};
use remoteproc_abi::measurements::{Part, Question};
use remoteproc_abi::memory_descriptor::Constituent;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::ts_rpc::{Request as Call, Status};
use remoteproc_refusal::Refusal;

/// Calls without a parameter.
const CALLS: u32 = 9_000;
/// Most starts: each takes a new emulator of the remote core.
const STARTS: u32 = 3;
/// Who calls.
const ENDPOINTS: [u16; 2] = [HYPERVISOR, 1];
/// Buffers of each: the first has more than it may have held.
const BUFFERS: [usize; 2] = [4, 1];
/// Pages of a buffer.
const PAGES: u64 = 3;
/// Bytes of a buffer.
const SIZE: u64 = PAGES * FFA_PAGE_SIZE;
/// Most bytes of a chunk.
const CHUNK: u64 = 2 * FFA_PAGE_SIZE;
/// Where buffers lie: free RAM, behind the pool's.
const PLACE: u64 = memory::SCRATCH.end - 0x10_0000;
/// Most calls that one command takes to its end.
const MOST_REPEATS: u32 = 100_000;

/// The statuses that calls provoke.
const STATUSES: [Status; 6] = [
    Status::Success,
    Status::InvalidValue,
    Status::NotFound,
    Status::InvalidState,
    Status::TransportLayer,
    Status::InvalidRequestBody,
];

/// The refusals that are door T's own, and some that show that its loads get far.
const REFUSALS: [Refusal; 13] = [
    Refusal::RequestLength,
    Refusal::ChunkOutside,
    Refusal::BufferHeld,
    Refusal::BuffersFull,
    Refusal::HandleUnknown,
    Refusal::UnknownCommand,
    Refusal::FlagsUnknown,
    Refusal::UnknownProcessor,
    Refusal::OffsetUnexpected,
    Refusal::NotOwner,
    Refusal::NotLoaded,
    Refusal::BadMagic,
    Refusal::SegmentHashMismatch,
];

/// One buffer.
#[derive(Clone, Copy, Default)]
struct Buffer {
    owner: usize,
    handle: u64,
    address: u64,
    held: bool,
}

/// What a client is loading: which file, and how far it is.
#[derive(Clone, Copy)]
struct Load {
    file: File,
    done: u64,
}

struct Fuzzer<'a> {
    context: &'a mut Context,
    random: Random,
    buffers: [Buffer; 5],
    files: [File; 3],
    loads: [Load; 2],
    starts: u32,
    statuses: [u32; STATUSES.len()],
    refusals: [u32; Refusal::ALL.len()],
    commands: [u32; 0x18],
    /// The longest that a single answer took, ticks.
    longest: u64,
    /// By each endpoint.
    sent: [u32; 2],
}

/// The case.
pub fn calls_with_buffers(context: &mut Context) -> Outcome {
    if !context.set_strictness(Strictness::Strict)? {
        let why = "the SPMC knows no virtual machines";
        return Err(Failure::Skipped(Text::of(format_args!("{why}"))));
    }
    let (firmware, sample) = (context.firmware()?, context.sample()?);
    let copy = |number: u64, offset: u64, bytes: &[u8]| {
        let copy = File { address: memory::SCRATCH.start + (number << 20), ..sample };
        memory::copy(sample.address, copy.address, sample.length);
        memory::write(copy.address + offset, bytes);
        copy
    };
    let image = super::super::flips::metadata_length(sample)?;
    let headers = image + u64::from(memory::read_word(sample.address + image + 28));
    let segment = image + u64::from(memory::read_word(sample.address + headers + 4));
    // Something that is no container, and one whose first segment is not the signed one.
    let files = [firmware, copy(0, 0, &[0]), copy(1, segment, &[0x55; 8])];
    let seed = seed(context);
    let (calls, enough) = (count(context, "calls", CALLS), count(context, "enough", ENOUGH));
    let mut fuzzer = Fuzzer {
        context,
        random: Random::new(seed),
        buffers: [Buffer::default(); 5],
        files,
        loads: [Load { file: firmware, done: 0 }; 2],
        starts: 0,
        statuses: [0; STATUSES.len()],
        refusals: [0; Refusal::ALL.len()],
        commands: [0; 0x18],
        longest: 0,
        sent: [0; 2],
    };
    fuzzer.share()?;
    let outcome = fuzzer.run(calls);
    let cleaned = fuzzer.clean();
    fuzzer.print();
    outcome.and(cleaned)?;
    fuzzer.check(enough)
}

impl Fuzzer<'_> {
    /// Shares all buffers; whether they are held is up to the calls.
    fn share(&mut self) -> Outcome {
        let mut address = PLACE;
        let owners = (0..2).flat_map(|owner| core::iter::repeat_n(owner, BUFFERS[owner]));
        for (buffer, owner) in self.buffers.iter_mut().zip(owners) {
            self.context.speak_as(ENDPOINTS[owner])?;
            let handle = self.context.share_good(&[Constituent { address, page_count: PAGES as u32 }])?;
            *buffer = Buffer { owner, handle, address, held: false };
            address += SIZE;
        }
        Ok(())
    }

    fn run(&mut self, calls: u32) -> Outcome {
        for _ in 0..calls {
            let who = usize::from(self.random.once_in(4));
            self.context.speak_as(ENDPOINTS[who])?;
            match self.random.below(16) {
                0 => self.manage(who)?,
                1 => self.take_or_give(who)?,
                2 => self.strange()?,
                _ => self.command(who)?,
            }
        }
        Ok(())
    }

    /// Sends w3 to w7; returns w4 to w7.
    fn send(&mut self, request: [u32; 5]) -> Outcome<[u64; 4]> {
        let tee = self.context.client.tee();
        let parties = u64::from(tee.own_id()) << 16 | u64::from(tee.service().partition);
        let [w3, w4, w5, w6, w7] = request.map(u64::from);
        let begun = machine::ticks();
        let answer = self.context.call(REQUEST_32, &[parties, 0, w3, w4, w5, w6, w7]);
        let took = machine::ticks().wrapping_sub(begun);
        self.longest = self.longest.max(took);
        super::is_no_stall(took, request)?;
        let who = ENDPOINTS.iter().position(|endpoint| u64::from(*endpoint) == parties >> 16);
        who.into_iter().for_each(|who| self.sent[who] += 1);
        expect_eq!((answer[0] as u32, answer[3]), (REQUEST_32 + 1, w3), "function and control of the answer");
        let [_, _, _, _, payload @ .., _, _, _, _, _, _, _, _, _, _] = answer;
        // GET_VERSION's answer has no status.
        if w3 != 0xFF_0000 {
            let status =
                STATUSES.iter().position(|status| *status as i32 == (payload[0] as u32).cast_signed());
            let status = status.ok_or_else(|| failure!("{request:#x?} has the status {:#x}", payload[0]))?;
            self.statuses[status] += 1;
        }
        Ok(payload)
    }

    /// A management call that changes nothing, or with a handle that is none.
    fn manage(&mut self, who: usize) -> Outcome {
        let other = self.buffers.iter().find(|buffer| buffer.owner != who).map_or(0, |buffer| buffer.handle);
        let handle = if self.random.once_in(2) { other } else { self.random.register() };
        let call = match self.random.below(4) {
            0 => Call::GetVersion,
            1 => Call::ServiceInfo { service: remoteproc_abi::SERVICE_UUID },
            2 => Call::RetrieveMemory { handle, tag: self.random.below(2) },
            _ => Call::RelinquishMemory { handle },
        };
        let is_own = self.buffers.iter().any(|buffer| buffer.owner == who && buffer.handle == handle);
        if !is_own {
            self.send(call.encode())?;
            self.why(who)?;
        }
        Ok(())
    }

    /// RETRIEVE_MEM and RELINQ_MEM of this endpoint's own buffers, at any time.
    fn take_or_give(&mut self, who: usize) -> Outcome {
        let index = self.random.below(5) as usize;
        let Buffer { owner, handle, held, .. } = self.buffers[index];
        if owner != who {
            return Ok(());
        }
        if self.random.once_in(2) {
            let [status, ..] = self.send(Call::RetrieveMemory { handle, tag: 0 }.encode())?;
            expect!(status != 0 || !held, "a buffer is taken twice");
            self.buffers[index].held |= status == 0;
            return self.why(who);
        }
        let [status, ..] = self.send(Call::RelinquishMemory { handle }.encode())?;
        expect_eq!(status == 0, held, "a held buffer is given back, and no other one");
        self.buffers[index].held = false;
        Ok(())
    }

    /// Any registers, but those that take or give back a buffer, or carry a command out.
    fn strange(&mut self) -> Outcome {
        let mut request = [0; 5].map(|_: u32| self.random.register() as u32);
        if self.random.once_in(2) {
            request[0] &= 0xFF_0000;
        }
        let known = |buffer: &Buffer| {
            [request[1], request[2]] == [buffer.handle as u32, (buffer.handle >> 32) as u32]
        };
        if self.buffers.iter().any(known) {
            return Ok(());
        }
        self.send(request).map(drop)
    }

    /// A command through a buffer, in many cases with a mistake.
    fn command(&mut self, who: usize) -> Outcome {
        let own = |buffer: &Buffer| buffer.owner == who && buffer.held;
        let Some(buffer) = self.buffers.iter().copied().find(own) else { return self.take_or_give(who) };
        let processor = self.context.parameters.processor();
        let mut request = match self.random.below(28) {
            0..12 => self.load_request(who, processor),
            12 if self.starts < STARTS => Request::Start { processor },
            12 | 13 => Request::Start { processor: 77 },
            14 => Request::Stop { processor, mode: StopMode::Forced },
            15 => Request::Release { processor },
            16 => Request::GetResourceTable { processor },
            17 => Request::GetInfo,
            18 => Request::GetProcessor { index: self.random.below(2) as u32 },
            19 => Request::GetStatus { processor },
            20 => Request::GetLastError,
            21 => Request::BindEvents { processor, notification: self.random.below(128) },
            22 => Request::GetMeasurements(Question { part: Part::Summary, entry: 0 }),
            24 => Request::Confirm { processor },
            23 => Request::GetMeasurements(Question { part: Part::Chain, entry: self.random.below(64) }),
            _ => {
                let unimplemented = [Command::GetCoredump, Command::ReserveSystem, Command::UnreserveSystem];
                Request::Unimplemented(self.random.pick(&unimplemented))
            }
        };
        let mut chunk = Chunk { place: 0, length: 0 };
        if let Request::Load { arguments, .. } = &mut request {
            let Load { file, done } = self.loads[who];
            let length = (file.length - done).min(CHUNK);
            memory::copy(file.address + done, buffer.address + FFA_PAGE_SIZE, length);
            chunk = Chunk { place: FFA_PAGE_SIZE as u32, length: length as u32 };
            match self.random.below(16) {
                0 => chunk.length = self.random.register() as u32,
                1 => chunk.place = self.random.register() as u32,
                2 => arguments.offset = self.random.register(),
                3 => arguments.total = self.random.register(),
                _ => {}
            }
        }
        let encoded = door_t::encode(&request, chunk).ok_or_else(|| failure!("no request for door T"))?;
        let (mut opcode, mut body) = encoded;
        let mut length = REQUEST_LENGTH as u32;
        match self.random.below(24) {
            0 => length = self.random.register() as u32,
            1 => body[4 + self.random.below(4) as usize] = self.random.next() as u8,
            2 if opcode != 2 => body[self.random.below(4) as usize] ^= 1 << self.random.below(8),
            3 => opcode = 0x40 | self.random.next() as u16,
            _ => {}
        }
        self.carry_out(who, buffer, opcode, &body, length)
    }

    /// The next chunk of what this client loads, or another file's first.
    fn load_request(&mut self, who: usize, processor: u32) -> Request {
        let load = &mut self.loads[who];
        if load.done >= load.file.length || self.random.once_in(12) {
            *load = Load { file: self.random.pick(&self.files), done: 0 };
        }
        let Load { file, done: offset } = *load;
        let arguments = LoadArguments { handle: 0, total: file.length, offset, lent: false, one_call: false };
        Request::Load { processor, arguments }
    }

    /// Sends one call and, in most cases, repeats it to its end.
    fn carry_out(
        &mut self,
        who: usize,
        buffer: Buffer,
        opcode: u16,
        body: &[u8; REQUEST_LENGTH],
        length: u32,
    ) -> Outcome {
        let handle = Some(buffer.handle);
        let call = Call::Call { interface: 0, opcode, handle, length, client: 0 }.encode();
        for _ in 0..MOST_REPEATS {
            memory::write(buffer.address, body);
            let [status, result, answered, _] = self.send(call)?;
            if status != 0 {
                return Ok(());
            }
            if let Some(count) = self.commands.get_mut(usize::from(opcode)) {
                *count += 1;
            }
            let result = u32::try_from(result).ok().and_then(|result| TeeResult::try_from(result).ok());
            let result = result.ok_or_else(|| failure!("opcode {opcode:#x} has a result that is none"))?;
            let has_answer = matches!(result, TeeResult::Success | TeeResult::InProgress);
            let fits = answered <= MAX_ANSWER_LENGTH as u64;
            expect!(fits && (answered != 0) == has_answer, "{result} with an answer of {answered} bytes");
            if !has_answer {
                if opcode == 1 && result != TeeResult::BadParameters {
                    self.loads[who].done = 0;
                }
                return self.why(who);
            }
            let mut values = [0; 32];
            memory::read(buffer.address, &mut values);
            let [done, ..] = door_t::decode_values(&values);
            if result == TeeResult::Success {
                match opcode {
                    1 | 6 => self.loads[who].done = 0,
                    2 => self.starts += 1,
                    _ => {}
                }
                return Ok(());
            }
            if opcode == 1 {
                self.loads[who].done = done;
                let chunk_end = u64::from_le_bytes([
                    body[24], body[25], body[26], body[27], body[28], body[29], body[30], body[31],
                ])
                .saturating_add(u32::from_le_bytes([body[12], body[13], body[14], body[15]]).into());
                // The next chunk, or any time later.
                if done >= chunk_end || self.random.once_in(64) {
                    return Ok(());
                }
            }
            machine::wait_microseconds(20);
        }
        Err(failure!("opcode {opcode:#x} does not end"))
    }

    /// Asks why the last refused call of this endpoint was refused.
    fn why(&mut self, who: usize) -> Outcome {
        let own = |buffer: &Buffer| buffer.owner == who && buffer.held;
        let Some(buffer) = self.buffers.iter().copied().find(own) else { return Ok(()) };
        let nothing = Chunk { place: 0, length: 0 };
        let encoded = door_t::encode(&Request::GetLastError, nothing);
        let (opcode, body) = encoded.ok_or_else(|| failure!("no request for door T"))?;
        memory::write(buffer.address, &body);
        let (handle, length) = (Some(buffer.handle), REQUEST_LENGTH as u32);
        let answer = self.send(Call::Call { interface: 0, opcode, handle, length, client: 0 }.encode())?;
        expect_eq!(answer, [0, 0, 32, 0], "GET_LAST_ERROR");
        let mut values = [0; 32];
        memory::read(buffer.address, &mut values);
        let [number, ..] = door_t::decode_values(&values);
        let counts = Refusal::ALL.iter().zip(&mut self.refusals);
        for (_, count) in counts.filter(|(refusal, _)| u64::from(refusal.number()) == number) {
            *count += 1;
        }
        Ok(())
    }

    /// Whatever was loaded is stopped and released, every buffer given back, and all memory reclaimed.
    fn clean(&mut self) -> Outcome {
        let processor = self.context.parameters.processor();
        for (who, endpoint) in ENDPOINTS.into_iter().enumerate() {
            self.context.speak_as(endpoint)?;
            let first = self.buffers.iter().position(|buffer| buffer.owner == who).unwrap_or_default();
            if !self.buffers.iter().any(|buffer| buffer.owner == who && buffer.held) {
                let handle = self.buffers[first].handle;
                let [status, ..] = self.send(Call::RetrieveMemory { handle, tag: 0 }.encode())?;
                expect_eq!(status, 0, "RETRIEVE_MEM at the end");
                self.buffers[first].held = true;
            }
            let own = |buffer: &Buffer| buffer.owner == who && buffer.held;
            let buffer = self.buffers.iter().copied().find(own).ok_or_else(|| failure!("no buffer"))?;
            for request in
                [Request::Stop { processor, mode: StopMode::Forced }, Request::Release { processor }]
            {
                let encoded = door_t::encode(&request, Chunk { place: 0, length: 0 });
                let (opcode, body) = encoded.ok_or_else(|| failure!("no request for door T"))?;
                self.carry_out(who, buffer, opcode, &body, REQUEST_LENGTH as u32)?;
            }
            for index in 0..self.buffers.len() {
                let Buffer { owner, handle, held, .. } = self.buffers[index];
                if owner != who {
                    continue;
                }
                if held {
                    let [status, ..] = self.send(Call::RelinquishMemory { handle }.encode())?;
                    expect_eq!(status, 0, "RELINQ_MEM at the end");
                }
                self.context.reclaim(handle)?;
            }
        }
        self.context.speak_as(HYPERVISOR)
    }

    fn print(&self) {
        super::tell_longest("call with a buffer", self.longest);
        say!("info fuzz door T calls of endpoints {ENDPOINTS:?}: {:?}", self.sent);
        for (status, count) in STATUSES.iter().zip(self.statuses) {
            say!("info fuzz door T status {} {count}", status.name());
        }
        for (refusal, count) in Refusal::ALL.iter().zip(self.refusals).filter(|(_, count)| *count > 0) {
            say!("info fuzz door T refusal {} {count}", refusal.name());
        }
    }

    fn check(&self, enough: u32) -> Outcome {
        for (status, count) in STATUSES.iter().zip(self.statuses) {
            expect!(count >= enough, "{} was answered only {count} times", status.name());
        }
        for refusal in REFUSALS {
            let counts = Refusal::ALL.iter().zip(self.refusals);
            let count = counts.filter(|(known, _)| **known == refusal).map(|(_, count)| count).sum::<u32>();
            expect!(count >= enough, "{refusal} was answered only {count} times");
        }
        for (id, count) in (0u16..).zip(self.commands) {
            let sent = Command::try_from(id).is_ok();
            expect!(!sent || count >= enough, "command {id:#x} was called only {count} times");
        }
        Ok(())
    }
}
