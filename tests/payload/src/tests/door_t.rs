//! Door T with shared buffers: whole lives of firmware through the shim's back end, and buffers that are wrong, another's or too many.
use super::contexts::parties;
use super::families::rpc;
use crate::buffers::Buffers;
use crate::context::{Context, FfaError, HYPERVISOR};
use crate::framework::{Failure, Outcome, Text};
use crate::machine::Strictness;
use crate::parameters::File;
use crate::processors::{self, Asker};
use crate::transport::Smc;
use crate::{expect, expect_eq, failure, machine, memory, observe, say};
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::door_d::{LoadArguments, Request, StopMode};
use remoteproc_abi::door_t::{self, Chunk, REQUEST_LENGTH};
use remoteproc_abi::memory_descriptor::{Constituent, write_share};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Owner, OwnerDoor, ProcessorState};
use remoteproc_abi::ts_rpc::Request as Call;
use remoteproc_refusal::Refusal;
use remoteproc_shim::ffa::{RpcTee, SharedBuffer, Status};
use remoteproc_shim::{Error, LoadError, Remoteproc};

crate::cases! { "door_t":
    firmware_in_chunks
    ten_megabytes_in_chunks
    processors_have_names_and_regions
    what_door_d_loaded_is_refused
    what_door_t_loaded_is_refused
    a_refused_image_is_refused_by_name
    the_buffer_goes_in_mid_load
    buffers_are_their_owners
    buffers_are_counted
    buffers_need_their_tag_and_leave_to_write
    buffers_that_a_client_must_not_name
    no_ram_behind_the_buffer
    calls_that_make_no_sense
}

/// RPC statuses, as docs/abi.md has them.
const INVALID_VALUE: u64 = 0xFFFF_FFFE;
const NOT_FOUND: u64 = 0xFFFF_FFFD;
const INVALID_STATE: u64 = 0xFFFF_FFFC;
const TRANSPORT_LAYER: u64 = 0xFFFF_FFFB;
const INVALID_REQUEST_BODY: u64 = 0xFFFF_FFFA;

/// Control registers.
const RETRIEVE_MEM: u32 = 0xFF_0001;
const RELINQ_MEM: u32 = 0xFF_0002;
const GET_INFO: u32 = 0x10;

/// Buffers that one endpoint may have, and all together (docs/abi.md).
const MOST_OF_ONE: usize = 3;
const MOST: usize = 4;

/// Buffers that come and go while others ask, and how often a call is answered BUSY at most.
const ROUNDS: u32 = 100;
const MOST_BUSY: u32 = 100_000;

/// Where buffers lie: free RAM, behind what other cases use.
const PLACE: u64 = memory::SCRATCH.end - 0x80_0000;

/// Some pages of RAM as the buffer.
struct Area([Constituent; 1]);

impl Area {
    fn new(pages: u32) -> Self {
        Self([Constituent { address: PLACE, page_count: pages }])
    }

    /// The address of some bytes in it.
    fn address(&self, offset: u64, length: usize) -> Option<u64> {
        let [Constituent { address, page_count }] = self.0;
        let end = offset.checked_add(length as u64)?;
        (end <= u64::from(page_count) * FFA_PAGE_SIZE).then_some(address + offset)
    }
}

impl SharedBuffer for Area {
    type Image = File;

    fn pages(&self) -> &[Constituent] {
        &self.0
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        self.address(offset as u64, bytes.len()).map(|address| memory::write(address, bytes)).is_some()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        self.address(offset as u64, into.len()).map(|address| memory::read(address, into)).is_some()
    }

    fn fill(&mut self, offset: u32, image: &File, from: u64, length: u32) -> bool {
        if from + u64::from(length) > image.length {
            return false;
        }
        let place = self.address(offset.into(), length as usize);
        place.map(|place| memory::copy(image.address + from, place, length.into())).is_some()
    }
}

/// The client behind door T.
type Client<'a> = Remoteproc<RpcTee<'a, Smc, Buffers, Area>>;

/// Runs something with a client of door T and a buffer of some pages; cleans up behind it, however it ends.
fn with<T>(context: &mut Context, pages: u32, run: impl FnOnce(&mut Client<'_>) -> Outcome<T>) -> Outcome<T> {
    let processor = context.parameters.processor();
    let tee = RpcTee::connect(context.client.tee(), Area::new(pages))
        .map_err(|error| failure!("connecting to door T: {error}"))?;
    let mut client = Remoteproc::new(tee, processor);
    let outcome = run(&mut client);
    // Refused where the processor is another one's.
    let _ = client.stop(StopMode::Forced);
    let _ = client.release();
    let disconnected = client.into_tee().disconnect();
    let result = outcome?;
    disconnected.map_err(|error| failure!("disconnecting: {error}"))?;
    Ok(result)
}

fn load(client: &mut Client<'_>, file: File) -> Outcome {
    client.load(&file, file.length, |_| ()).map_err(|error| failure!("{}: {error}", file.name))
}

/// Checks that a command was refused so, and that GET_LAST_ERROR names it.
fn refused<T>(client: &mut Client<'_>, outcome: Result<T, Error<FfaError>>, refusal: Refusal) -> Outcome {
    expect!(matches!(outcome, Err(Error::Refused { .. })), "it is not refused; expected {refusal}");
    let last = client.last_error().map_err(|error| failure!("GET_LAST_ERROR: {error}"))?;
    expect_eq!(last.and_then(|last| last.refusal), Some(refusal), "the last error");
    Ok(())
}

/// Loads, starts, watches, stops and releases; in chunks of one page.
fn firmware_in_chunks(context: &mut Context) -> Outcome {
    let file = context.firmware()?;
    let processor = context.parameters.processor();
    with(context, 2, |client| {
        load(client, file)?;
        let location = client.resource_table().map_err(|error| failure!("{error}"))?;
        let location = location.ok_or_else(|| failure!("no resource table"))?;
        let table =
            observe::copy_table(processor, location).ok_or_else(|| failure!("the table is elsewhere"))?;
        let heartbeat =
            observe::signs(processor, &table).heartbeat.ok_or_else(|| failure!("no heartbeat in it"))?;
        client.start().map_err(|error| failure!("start: {error}"))?;
        let first = observe::wait_for_move(heartbeat, 0).ok_or_else(|| failure!("no heartbeat"))?;
        observe::wait_for_move(heartbeat, first).ok_or_else(|| failure!("the heartbeat stays {first}"))?;
        let status = client.status().map_err(|error| failure!("{error}"))?;
        let owner = Some(Owner { endpoint: HYPERVISOR, door: OwnerDoor::TsRpc });
        expect_eq!((status.state, status.owner), (ProcessorState::Running, owner), "state and owner");
        client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"))?;
        observe::stands(heartbeat).map_err(|moved| failure!("it moves after stop: {moved:?}"))?;
        client.release().map_err(|error| failure!("release: {error}"))
    })?;
    context.expect_clear()
}

/// Chunks as long as they may be.
fn ten_megabytes_in_chunks(context: &mut Context) -> Outcome {
    let file = context.large()?;
    let pages = door_t::MAX_CHUNK_LENGTH / FFA_PAGE_SIZE as u32 + 1;
    let before = context.client.tee().transport().direct_requests();
    with(context, pages, |client| {
        let mut last = 0;
        let outcome = client.load(&file, file.length, |progress| last = progress.done);
        outcome.map_err(|error| failure!("{error}"))?;
        expect_eq!(last, file.length, "the bytes done at the end");
        client.start().map_err(|error| failure!("start: {error}"))
    })?;
    let calls = context.client.tee().transport().direct_requests() - before;
    say!("info load, start and release of {} bytes over door T: {calls} calls", file.length);
    Ok(())
}

fn processors_have_names_and_regions(context: &mut Context) -> Outcome {
    let expected = context.client.describe(0).map_err(|error| failure!("{error}"))?;
    with(context, 1, |client| {
        let info = client.describe(0).map_err(|error| failure!("{error}"))?;
        expect_eq!(info, expected, "what the doors tell");
        let details = client.tee().details(0).map_err(|error| failure!("{error}"))?;
        let details = details.ok_or_else(|| failure!("there is no first processor"))?;
        expect_eq!(details.name(), "m33", "its name");
        expect_eq!(details.regions().len() as u32, info.regions, "the number of its regions");
        let [code, .., shared] = details.regions() else { return Err(failure!("it has too few regions")) };
        expect!(!code.shared && shared.shared, "the first is private, the last shared");
        expect_eq!(
            (code.device_address, code.physical_address, code.size),
            (0x8000_0000, memory::REGIONS.start, 0xa0_0000),
            "the first region"
        );
        // The second processor's device addresses are not the physical ones.
        let details = client.tee().details(1).map_err(|error| failure!("{error}"))?;
        let details = details.ok_or_else(|| failure!("there is no second processor"))?;
        expect_eq!(details.name(), "m4", "its name");
        let [code, shared] = details.regions() else { return Err(failure!("it has not two regions")) };
        expect!(!code.shared && shared.shared, "the first is private, the second shared");
        for (region, expected) in
            [(code, (0x21d0_0000, 0x80d0_0000, 0x10_0000)), (shared, (0x21e0_0000, 0x80e0_0000, 0x4_0000))]
        {
            let told = (region.device_address, region.physical_address, region.size);
            expect_eq!(told, expected, "the second processor's region");
        }
        let none = client.tee().details(99).map_err(|error| failure!("{error}"))?;
        expect!(none.is_none(), "there is a hundredth processor");
        Ok(())
    })
}

fn what_door_d_loaded_is_refused(context: &mut Context) -> Outcome {
    let (sample, second) = (context.sample()?, context.second()?);
    context.load(sample).map_err(|error| failure!("{error}"))?;
    with(context, 3, |client| {
        let outcome = client.start();
        refused(client, outcome, Refusal::NotOwner)?;
        let outcome = client.stop(StopMode::Forced);
        refused(client, outcome, Refusal::NotOwner)?;
        let outcome = client.release();
        refused(client, outcome, Refusal::NotOwner)?;
        let outcome = client.resource_table();
        refused(client, outcome, Refusal::NotOwner)?;
        for file in [sample, second] {
            let outcome = client.load(&file, file.length, |_| ());
            refused(client, outcome.map_err(|LoadError { error, .. }| error), Refusal::NotOwner)?;
        }
        Ok(())
    })?;
    let status = context.client.status().map_err(|error| failure!("{error}"))?;
    let owner = Some(Owner { endpoint: HYPERVISOR, door: OwnerDoor::Direct });
    expect_eq!((status.state, status.owner), (ProcessorState::Loaded, owner), "state and owner");
    context.client.release().map_err(|error| failure!("{error}"))
}

fn what_door_t_loaded_is_refused(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    // The buffer stays shared with the partition while door D is used.
    let handle = buffer(context, 3)?;
    let answer = load_all(context, handle, sample)?;
    expect_eq!(answer, TeeResult::Success.into(), "LOAD_FW");
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::NotOwner)?;
    let outcome = context.client.stop(StopMode::Forced);
    context.expect_command_refused(outcome, Refusal::NotOwner)?;
    let outcome = context.client.release();
    context.expect_command_refused(outcome, Refusal::NotOwner)?;
    let outcome = context.client.resource_table();
    context.expect_command_refused(outcome, Refusal::NotOwner)?;
    let outcome = context.load(sample);
    context.expect_load_refused(outcome, Refusal::NotOwner)?;
    // Nor does a load of door D take the buffer.
    let answer = context.load_handle(handle, sample.length, 0)?;
    expect!(answer.tee_result() == Some(TeeResult::BadState), "the result is {:#x}", answer.result);
    let release = Request::Release { processor: context.parameters.processor() };
    expect_eq!(complete(context, handle, &release)?, TeeResult::Success.into(), "RELEASE_FW");
    give_back(context, handle)
}

fn a_refused_image_is_refused_by_name(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let bad = File { name: "damaged", address: memory::SCRATCH.start, length: sample.length };
    memory::copy(sample.address, bad.address, sample.length);
    let last = bad.address + bad.length - 8;
    for (address, refusal) in
        [(bad.address, Refusal::BadMagic), (bad.address + 24, Refusal::SignatureTypeUnknown)]
    {
        let byte = memory::read_word(address & !3).to_le_bytes()[0] ^ 0x40;
        memory::write(address & !3, &[byte]);
        with(context, 2, |client| {
            let outcome = client.load(&bad, bad.length, |_| ());
            expect!(last > address, "the file is too short");
            match outcome {
                Err(LoadError { error, not_reclaimed: None }) => match refusal {
                    // What byte 24 belongs to differs from image to image; that it is refused does not.
                    Refusal::SignatureTypeUnknown => {
                        expect!(matches!(error, Error::Refused { .. }), "{error}");
                        Ok(())
                    }
                    _ => refused(client, Err::<(), _>(error), refusal),
                },
                _ => Err(failure!("it loads")),
            }
        })?;
        memory::copy(sample.address, bad.address, sample.length);
    }
    context.expect_clear()
}

/// Shares some pages and has the partition take them as a buffer.
pub(super) fn buffer(context: &mut Context, pages: u32) -> Outcome<u64> {
    let handle = context.share_good(&[Constituent { address: PLACE, page_count: pages }])?;
    expect_eq!(take(context, handle)?, 0, "RETRIEVE_MEM");
    Ok(handle)
}

/// RETRIEVE_MEM with tag 0; returns the status.
fn take(context: &mut Context, handle: u64) -> Outcome<u64> {
    status(context, Call::RetrieveMemory { handle, tag: 0 })
}

pub(super) fn status(context: &mut Context, call: Call) -> Outcome<u64> {
    let [_, status, rest @ ..] = rpc(context, call.encode())?;
    expect_eq!(rest, [0; 3], "the registers behind the status");
    Ok(status)
}

/// RELINQ_MEM, which has to succeed; then the memory comes back.
pub(super) fn give_back(context: &mut Context, handle: u64) -> Outcome {
    expect_eq!(status(context, Call::RelinquishMemory { handle })?, 0, "RELINQ_MEM");
    context.reclaim(handle)
}

/// One call; returns w4 to w7.
fn call(context: &mut Context, opcode: u16, handle: Option<u64>, length: u32) -> Outcome<[u64; 4]> {
    let call = Call::Call { interface: 0, opcode, handle, length, client: 0 };
    let [_, rest @ ..] = rpc(context, call.encode())?;
    Ok(rest)
}

/// One request through the buffer at `PLACE`; returns its result and the values.
fn request(context: &mut Context, handle: u64, request: &Request, chunk: Chunk) -> Outcome<(u32, [u64; 4])> {
    let (opcode, body) = door_t::encode(request, chunk).ok_or_else(|| failure!("no request for door T"))?;
    memory::write(PLACE, &body);
    let [status, result, length, w7] = call(context, opcode, Some(handle), REQUEST_LENGTH as u32)?;
    expect_eq!((status, w7), (0, 0), "the status, and w7");
    let mut values = [0; 32];
    if length > 0 {
        memory::read(PLACE, &mut values);
    }
    Ok((result as u32, door_t::decode_values(&values)))
}

/// Repeats a request until it is not answered IN_PROGRESS; returns the result.
pub(super) fn complete(context: &mut Context, handle: u64, what: &Request) -> Outcome<u32> {
    for _ in 0..100_000 {
        let (result, _) = request(context, handle, what, Chunk { place: 0, length: 0 })?;
        if result != u32::from(TeeResult::InProgress) {
            return Ok(result);
        }
        machine::wait_microseconds(50);
    }
    Err(failure!("{what:?} does not end"))
}

/// LOAD_FW of the first bytes of a file from an offset on, which lie in the buffer behind its first page.
fn load_request(context: &Context, file: File, offset: u64) -> Request {
    let arguments = LoadArguments { handle: 0, total: file.length, offset, lent: false, one_call: false };
    Request::Load { processor: context.parameters.processor(), arguments }
}

/// Puts bytes of a file behind the buffer's first page.
fn fill(file: File, offset: u64, length: u64) -> Chunk {
    memory::copy(file.address + offset, PLACE + FFA_PAGE_SIZE, length);
    Chunk { place: FFA_PAGE_SIZE as u32, length: length as u32 }
}

/// The values with which a command succeeds.
pub(super) fn values(context: &mut Context, handle: u64, what: &Request) -> Outcome<[u64; 4]> {
    let (result, values) = request(context, handle, what, Chunk { place: 0, length: 0 })?;
    expect_eq!(result, u32::from(TeeResult::Success), "the result");
    Ok(values)
}

/// As [`load_from`], as long as `go_on` says so of the bytes done; `None` if it has said otherwise.
pub(super) fn load_while(
    context: &mut Context,
    handle: u64,
    file: File,
    most: u64,
    go_on: &mut dyn FnMut(&mut Context, u64) -> Outcome<bool>,
) -> Outcome<Option<u32>> {
    let mut offset = 0;
    for _ in 0..100_000 {
        let length = (file.length - offset).min(most);
        let chunk = fill(file, offset, length);
        let what = load_request(context, file, offset);
        let mut done = offset;
        while done < offset + length || done == file.length {
            let (result, values) = request(context, handle, &what, chunk)?;
            if result != u32::from(TeeResult::InProgress) {
                return Ok(Some(result));
            }
            done = values[0];
            if !go_on(context, done)? {
                return Ok(None);
            }
        }
        offset = done;
    }
    Err(failure!("LOAD_FW does not end"))
}

/// Loads the rest of a file in chunks of up to `most` bytes; returns the result. Tells `watch` the bytes done after each call.
pub(super) fn load_from(
    context: &mut Context,
    handle: u64,
    (file, from): (File, u64),
    most: u64,
    watch: &mut dyn FnMut(&mut Context, u64),
) -> Outcome<u32> {
    let mut offset = from;
    loop {
        let length = (file.length - offset).min(most);
        let chunk = fill(file, offset, length);
        let what = load_request(context, file, offset);
        loop {
            let (result, [done, ..]) = request(context, handle, &what, chunk)?;
            watch(context, done);
            if result != u32::from(TeeResult::InProgress) {
                return Ok(result);
            }
            if done == offset + length && done < file.length {
                offset = done;
                break;
            }
            machine::wait_microseconds(50);
        }
    }
}

fn load_all(context: &mut Context, handle: u64, file: File) -> Outcome<u32> {
    load_from(context, handle, (file, 0), 2 * FFA_PAGE_SIZE, &mut |_, _| ())
}

/// The partition lets go of a buffer whatever a load does with it; the load waits, and another buffer brings the rest.
fn the_buffer_goes_in_mid_load(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let mut moments = 0;
    for calls in 0..100 {
        let handle = buffer(context, 3)?;
        let chunk = fill(sample, 0, 2 * FFA_PAGE_SIZE);
        let what = load_request(context, sample, 0);
        let mut done = 0;
        for _ in 0..calls {
            if done < u64::from(chunk.length) {
                done = request(context, handle, &what, chunk)?.1[0];
            }
        }
        // Held memory is not reclaimed; given back, it is.
        expect_eq!(context.try_reclaim(handle)?, Err(Status::DENIED), "FFA_MEM_RECLAIM of a held buffer");
        give_back(context, handle)?;
        context.expect_counts((calls > 0).into(), 0)?;
        let again = buffer(context, 3)?;
        let rest = (sample, done);
        let result = load_from(context, again, rest, 2 * FFA_PAGE_SIZE, &mut |_, _| ())?;
        expect_eq!(result, TeeResult::Success.into(), "LOAD_FW after the buffer was gone");
        let release = Request::Release { processor: context.parameters.processor() };
        expect_eq!(complete(context, again, &release)?, TeeResult::Success.into(), "RELEASE_FW");
        give_back(context, again)?;
        moments += 1;
        if done == u64::from(chunk.length) {
            expect!(moments > 2, "there were only {moments} moments");
            return Ok(());
        }
    }
    Err(failure!("the first chunk does not end"))
}

fn buffers_are_their_owners(context: &mut Context) -> Outcome {
    context.needs_machines()?;
    let handle = buffer(context, 1)?;
    expect_eq!(take(context, handle)?, INVALID_STATE, "RETRIEVE_MEM of a buffer that is held");
    memory::write(PLACE, &[0; REQUEST_LENGTH]);
    let outcome = others(context, handle);
    context.speak_as(HYPERVISOR)?;
    outcome?;
    expect_eq!(call(context, GET_INFO as u16, Some(handle), 32)?[..2], [0, 0], "GET_INFO");
    give_back(context, handle)?;
    expect_eq!(status(context, Call::RelinquishMemory { handle })?, NOT_FOUND, "a second RELINQ_MEM");
    expect_eq!(call(context, GET_INFO as u16, Some(handle), 32)?[0], NOT_FOUND, "a call without it");
    Ok(())
}

/// What another endpoint gets to hear.
fn others(context: &mut Context, handle: u64) -> Outcome {
    context.speak_as(1)?;
    expect_eq!(call(context, GET_INFO as u16, Some(handle), 32)?, [NOT_FOUND, 0, 0, 0], "another's call");
    expect_eq!(status(context, Call::RelinquishMemory { handle })?, NOT_FOUND, "another's RELINQ_MEM");
    expect_eq!(take(context, handle)?, TRANSPORT_LAYER, "another's RETRIEVE_MEM");
    Ok(())
}

fn buffers_are_counted(context: &mut Context) -> Outcome {
    context.needs_machines()?;
    let page = |index: usize| Constituent { address: PLACE + index as u64 * FFA_PAGE_SIZE, page_count: 1 };
    let mut handles = [0; MOST + 1];
    for (index, handle) in handles.iter_mut().enumerate() {
        // The hypervisor's, then those of virtual machines.
        context.speak_as(if index < MOST_OF_ONE { HYPERVISOR } else { 1 })?;
        *handle = context.share_good(&[page(index)])?;
        let expected = if index < MOST { 0 } else { NOT_FOUND };
        expect_eq!(take(context, *handle)?, expected, "RETRIEVE_MEM");
        if index + 1 == MOST_OF_ONE {
            let surplus = context.share_good(&[page(MOST + 1)])?;
            expect_eq!(take(context, surplus)?, NOT_FOUND, "RETRIEVE_MEM of one too many");
            context.reclaim(surplus)?;
        }
    }
    context.speak_as(HYPERVISOR)?;
    context.expect_counts(0, MOST as u16)?;
    // Loads of door D have room of their own.
    let sample = context.sample()?;
    context.load(sample).map_err(|error| failure!("{error}"))?;
    context.client.release().map_err(|error| failure!("{error}"))?;
    for (index, handle) in handles.into_iter().enumerate() {
        context.speak_as(if index < MOST_OF_ONE { HYPERVISOR } else { 1 })?;
        if index < MOST { give_back(context, handle)? } else { context.reclaim(handle)? }
    }
    context.speak_as(HYPERVISOR)
}

fn buffers_need_their_tag_and_leave_to_write(context: &mut Context) -> Outcome {
    let mut descriptor = [0; 4096];
    let (owner, borrower) = (context.client.tee().own_id(), context.client.tee().service().partition);
    let pages = [Constituent { address: PLACE, page_count: 1 }];
    let length =
        write_share(&mut descriptor, owner, borrower, &pages).map_err(|error| failure!("{error}"))?;
    let shared = |context: &mut Context, descriptor: &[u8]| -> Outcome<u64> {
        let shared = context.share_descriptor(descriptor)?;
        shared.map_err(|status| failure!("FFA_MEM_SHARE is answered {status}"))
    };
    // The tag is at 16.
    let tag = 0x1234_5678_9abc_def0_u64;
    descriptor[16..24].copy_from_slice(&tag.to_le_bytes());
    let handle = shared(context, &descriptor[..length])?;
    expect_eq!(take(context, handle)?, TRANSPORT_LAYER, "RETRIEVE_MEM with another tag");
    expect_eq!(status(context, Call::RetrieveMemory { handle, tag })?, 0, "RETRIEVE_MEM with the tag");
    give_back(context, handle)?;
    // The endpoint descriptor is at 48, its permissions at 50: data access read-only.
    descriptor[16..24].fill(0);
    descriptor[50] = 1;
    let handle = shared(context, &descriptor[..length])?;
    expect_eq!(take(context, handle)?, TRANSPORT_LAYER, "RETRIEVE_MEM of read-only memory");
    context.reclaim(handle)?;
    let handle = context.lend_good(&pages)?;
    expect_eq!(take(context, handle)?, TRANSPORT_LAYER, "RETRIEVE_MEM of lent memory");
    context.reclaim(handle)?;
    for handle in [0, 0x1234, u64::MAX - 1] {
        expect_eq!(take(context, handle)?, TRANSPORT_LAYER, "RETRIEVE_MEM of nothing");
    }
    Ok(())
}

fn buffers_that_a_client_must_not_name(context: &mut Context) -> Outcome {
    if !context.set_strictness(Strictness::Lenient)? {
        return Err(Failure::Skipped(Text::of(format_args!("the SPMC itself denies such shares"))));
    }
    for (mode, address) in [
        (Strictness::Lenient, 0x0e30_0000),
        (Strictness::Lenient, 0x0e00_0000),
        (Strictness::Lenient, memory::REGIONS.start),
        (Strictness::Lenient, memory::CONTROL_PAGE),
        (Strictness::Lenient, memory::UART0),
        (Strictness::Lenient, 0x1_0000_0000),
        (Strictness::LenientSecure, PLACE),
    ] {
        machine::set_strictness(mode);
        let handle = context.share_good(&[Constituent { address, page_count: 1 }]);
        machine::set_strictness(Strictness::Strict);
        let handle = handle?;
        let status = take(context, handle)?;
        expect!(status == INVALID_VALUE, "{address:#x}: RETRIEVE_MEM is answered {status:#x}");
        context.reclaim(handle)?;
    }
    context.expect_counts(0, 0)
}

/// Listed as normal memory, but this machine has no RAM there: the bus aborts, and the partition lives on.
fn no_ram_behind_the_buffer(context: &mut Context) -> Outcome {
    let good = buffer(context, 1)?;
    let handle = context.share(&[Constituent { address: 0x7000_0000, page_count: 1 }])?;
    let handle = handle.map_err(|status| failure!("FFA_MEM_SHARE is answered {status}"))?;
    expect_eq!(take(context, handle)?, 0, "RETRIEVE_MEM");
    for opcode in [GET_INFO as u16, 1, 2] {
        let answer = call(context, opcode, Some(handle), 32)?;
        expect_eq!(answer, [0, u32::from(TeeResult::AccessDenied).into(), 0, 0], "the call");
        let nothing = Chunk { place: 0, length: 0 };
        let (_, [number, ..]) = request(context, good, &Request::GetLastError, nothing)?;
        expect_eq!(number, u64::from(Refusal::MemoryAbort.number()), "the last error");
    }
    // A chunk without RAM behind it.
    let handles = [handle, good];
    for handle in handles {
        give_back(context, handle)?;
    }
    Ok(())
}

/// While the other CPUs ask without a pause: RETRIEVE_MEM and RELINQ_MEM wait for their turn, calls of the service are answered BUSY.
pub(super) fn buffers_come_and_go_meanwhile(context: &mut Context) -> Outcome {
    let parties = parties(context);
    let status = [0x12, context.parameters.processor().into(), 0, 0, 0];
    let asker = Asker { parties, payload: status, ..Asker::default() };
    let mut others = [asker; 2];
    for processor in 1..=others.len() {
        processors::switch_on(processor)?;
    }
    let mut busy = 0;
    let outcome = processors::ask_during(&mut others, || {
        for _ in 0..ROUNDS {
            let handle = buffer(context, 1)?;
            for attempt in 0..MOST_BUSY {
                let nothing = Chunk { place: 0, length: 0 };
                let (result, _) = request(context, handle, &Request::GetInfo, nothing)?;
                if result == TeeResult::Success.into() {
                    break;
                }
                expect_eq!(result, TeeResult::Busy.into(), "the result of GET_INFO");
                expect!(attempt + 1 < MOST_BUSY, "it is answered BUSY {MOST_BUSY} times");
                busy += 1;
            }
            give_back(context, handle)?;
        }
        Ok(())
    });
    outcome?;
    for asker in others {
        expect!(asker.wrong.is_none(), "another CPU is answered {:x?}", asker.wrong);
        expect!(asker.answered > 0, "another CPU is never answered");
    }
    say!("info {ROUNDS} buffers came and went, {busy} calls were answered BUSY");
    processors::switch_all_off()
}

fn calls_that_make_no_sense(context: &mut Context) -> Outcome {
    let handle = buffer(context, 1)?;
    let mut body = [0; REQUEST_LENGTH];
    for (opcode, flags, length, expected) in [
        (0x10, 0, 31, TeeResult::BadParameters),
        (0x10, 0, 33, TeeResult::BadParameters),
        (0x10, 0, 0, TeeResult::BadParameters),
        (0x10, 0, 4096, TeeResult::BadParameters),
        (0x99, 0, 32, TeeResult::BadParameters),
        (2, 1, 32, TeeResult::BadParameters),
        (1, 1, 32, TeeResult::BadParameters),
        (1, 0, 32, TeeResult::BadParameters),
        (5, 0, 32, TeeResult::NotImplemented),
    ] {
        body[4] = flags;
        memory::write(PLACE, &body);
        let answer = call(context, opcode, Some(handle), length)?;
        expect_eq!(answer, [0, u32::from(expected).into(), 0, 0], "the call");
    }
    for (handle, length) in
        [(None, 0), (None, 32), (None, u32::MAX), (Some(handle), 4097), (Some(handle), u32::MAX)]
    {
        let answer = call(context, GET_INFO as u16, handle, length)?;
        expect_eq!(answer, [INVALID_REQUEST_BODY, 0, 0, 0], "the call");
    }
    for control in [RETRIEVE_MEM | 1 << 24, RELINQ_MEM | 1 << 31, 0x1_0000 | GET_INFO, 0xFF_0004] {
        let answer = rpc(context, [control, handle as u32, (handle >> 32) as u32, 32, 0])?;
        expect_eq!(answer[1..], [INVALID_VALUE, 0, 0, 0], "the call");
    }
    give_back(context, handle)
}
