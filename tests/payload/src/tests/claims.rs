//! Several clients and one processor: the payload is a hypervisor and speaks for its virtual machines. Who verifies first has it;
//! who is idle for too long loses it; nobody touches what is another one's.
use crate::context::{Context, HYPERVISOR};
use crate::framework::Outcome;
use crate::machine::{Moment, frequency, set_virtual_offset, wait_microseconds};
use crate::parameters::File;
use crate::{expect, expect_eq, failure, memory};
use core::ops::Range;
use remoteproc_abi::door_d::{Answer, LoadArguments, Request};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Owner, OwnerDoor, ProcessorState};
use remoteproc_refusal::Refusal;
use remoteproc_shim::ffa::Status;

crate::cases! { "claims":
    handles_are_their_owners
    commands_are_the_owners
    an_idle_claim_is_taken_over
    an_idle_claim_is_kept_by_its_owner
    a_client_begins_another_image
    two_clients_interleave
    three_clients_interleave
    a_fourth_client_has_no_room
    idle_loads_make_room
    the_clock_is_not_the_normal_worlds
    one_call_for_those_who_may
    one_call_for_nobody_else
}

/// The manifest's `idle-claim-ms` for these tests, with some more.
const IDLE_MICROSECONDS: u64 = 1_000_000;
/// Memory that the large image fills and the sample leaves alone.
const RESERVED: Range<u64> = 0x8040_0000..0x8050_0000;

/// A client, its image and its share.
#[derive(Clone, Copy)]
struct Client {
    endpoint: u16,
    handle: u64,
    total: u64,
}

impl Client {
    fn new(context: &mut Context, endpoint: u16, file: File) -> Outcome<Self> {
        context.speak_as(endpoint)?;
        Ok(Self { endpoint, handle: context.share_good(&[file.range()])?, total: file.length })
    }

    /// One LOAD_FW.
    fn load_now(self, context: &mut Context) -> Outcome<Answer> {
        context.speak_as(self.endpoint)?;
        let Self { handle, total, .. } = self;
        let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
        let processor = context.parameters.processor();
        context.ask(Request::Load { processor, arguments }.encode())
    }

    /// One LOAD_FW that is not the last.
    fn goes_on(self, context: &mut Context) -> Outcome<u64> {
        let answer = self.load_now(context)?;
        expect_eq!(answer.tee_result(), Some(TeeResult::InProgress), "the result");
        Ok(answer.values[0])
    }

    fn load_until(self, context: &mut Context, done: u64) -> Outcome {
        context.speak_as(self.endpoint)?;
        context.load_until(self.handle, self.total, 0, done).map(drop)
    }

    fn is_refused(self, context: &mut Context, refusal: Refusal) -> Outcome {
        let answer = self.load_now(context)?;
        context.expect_refusal(answer, refusal)
    }

    /// Follows the load to its end.
    fn finishes(self, context: &mut Context) -> Outcome {
        context.speak_as(self.endpoint)?;
        let answer = context.load_handle(self.handle, self.total, 0)?;
        expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
        expect_owner(context, ProcessorState::Loaded, Some(self.endpoint))
    }

    fn reclaims(self, context: &mut Context) -> Outcome {
        context.speak_as(self.endpoint)?;
        context.reclaim(self.handle)
    }

    fn releases(self, context: &mut Context) -> Outcome {
        context.speak_as(self.endpoint)?;
        context.client.release().map_err(|error| failure!("{error}"))
    }
}

fn expect_owner(context: &mut Context, state: ProcessorState, endpoint: Option<u16>) -> Outcome {
    let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
    let owner = endpoint.map(|endpoint| Owner { endpoint, door: OwnerDoor::Direct });
    expect_eq!((status.state, status.owner), (state, owner), "state and owner");
    Ok(())
}

/// A handle serves its owner and nobody else, and comes back to nobody else.
fn handles_are_their_owners(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    let first = Client::new(context, 1, sample)?;
    for endpoint in [HYPERVISOR, 2] {
        Client { endpoint, ..first }.is_refused(context, Refusal::HandleUnknown)?;
        let answer = context.try_reclaim(first.handle)?;
        expect_eq!(answer, Err(Status::INVALID_PARAMETERS), "FFA_MEM_RECLAIM in another's name");
    }
    // Not even while the owner is under way with it.
    first.goes_on(context)?;
    Client { endpoint: 2, ..first }.is_refused(context, Refusal::HandleUnknown)?;
    expect_eq!(context.try_reclaim(first.handle)?, Err(Status::INVALID_PARAMETERS), "in another's name");
    context.expect_counts(1, 1)?;
    first.finishes(context)?;
    first.reclaims(context)
}

/// Whoever is not the owner is refused, and changes nothing.
fn commands_are_the_owners(context: &mut Context) -> Outcome {
    let (sample, second) = (context.sample()?, context.second()?);
    let owner = Client::new(context, 1, sample)?;
    let other = Client::new(context, 2, second)?;
    context.speak_as(owner.endpoint)?;
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::NotLoaded)?;
    owner.finishes(context)?;
    for endpoint in [HYPERVISOR, 2, 0x7fff] {
        context.speak_as(endpoint)?;
        for command in [2, 3, 4, 6] {
            let answer = context.ask([command, 0, 0, 0, 0])?;
            context.expect_refusal(answer, Refusal::NotOwner)?;
        }
        expect_owner(context, ProcessorState::Loaded, Some(1))?;
    }
    other.is_refused(context, Refusal::NotOwner)?;
    // Each client is told of its own last refusal.
    context.speak_as(1)?;
    let last = context.client.last_error().map_err(|error| failure!("{error}"))?;
    expect_eq!(last.and_then(|last| last.refusal), Some(Refusal::NotLoaded), "the owner's last refusal");
    context.client.resource_table().map_err(|error| failure!("{error}"))?;
    owner.releases(context)?;
    other.finishes(context)?;
    other.releases(context)?;
    expect_owner(context, ProcessorState::Offline, None)?;
    owner.reclaims(context)?;
    other.reclaims(context)
}

/// Asks for the processor while another one's load is not idle yet. The machine may be slow: what was asked too late is not
/// counted. Returns the moment when the owner was last heard of.
fn refused_in_time(context: &mut Context, owner: Client, other: Client) -> Outcome<Moment> {
    for _ in 0..20 {
        let heard = Moment::now();
        owner.goes_on(context)?;
        let answer = other.load_now(context)?;
        if heard.elapsed_microseconds() < IDLE_MICROSECONDS {
            context.expect_refusal(answer, Refusal::NotOwner)?;
            return Ok(heard);
        }
        other.releases(context)?;
    }
    Err(failure!("the machine is too slow for this test"))
}

/// A client stops in the middle; another one gets the processor after the idle time, clear, and not before.
fn an_idle_claim_is_taken_over(context: &mut Context) -> Outcome {
    let (large, sample) = (context.large()?, context.sample()?);
    let owner = Client::new(context, 1, large)?;
    owner.load_until(context, large.length / 2)?;
    let other = Client::new(context, 2, sample)?;
    let heard = refused_in_time(context, owner, other)?;
    context.expect_counts(1, 1)?;
    expect!(memory::first_other(RESERVED, 0).is_some(), "the first client's image is not there yet");
    while heard.elapsed_microseconds() < IDLE_MICROSECONDS * 5 / 4 {
        wait_microseconds(1000);
    }
    // Until its own signature has verified, it has taken nothing.
    other.goes_on(context)?;
    context.expect_counts(2, 2)?;
    expect_owner(context, ProcessorState::Loading, Some(1))?;
    other.finishes(context)?;
    expect_eq!(memory::first_other(RESERVED, 0), None, "what is left of the first client's image");
    context.expect_counts(0, 0)?;
    owner.is_refused(context, Refusal::NotOwner)?;
    expect_owner(context, ProcessorState::Loaded, Some(2))?;
    owner.reclaims(context)?;
    other.reclaims(context)?;
    other.releases(context)
}

/// Who comes back before the other one has verified goes on.
fn an_idle_claim_is_kept_by_its_owner(context: &mut Context) -> Outcome {
    let (large, sample) = (context.large()?, context.sample()?);
    let owner = Client::new(context, 1, large)?;
    owner.load_until(context, large.length / 2)?;
    let other = Client::new(context, 2, sample)?;
    wait_microseconds(IDLE_MICROSECONDS * 5 / 4);
    other.goes_on(context)?;
    owner.goes_on(context)?;
    // Unless the machine has made a second of this moment.
    other.is_refused(context, Refusal::NotOwner)?;
    context.expect_counts(1, 1)?;
    owner.finishes(context)?;
    owner.reclaims(context)?;
    other.reclaims(context)?;
    owner.releases(context)
}

/// A client has one load that has claimed nothing: another image at offset 0 takes its place.
fn a_client_begins_another_image(context: &mut Context) -> Outcome {
    let (large, sample) = (context.large()?, context.sample()?);
    let first = Client::new(context, 1, large)?;
    let second = Client::new(context, 1, sample)?;
    first.goes_on(context)?;
    second.goes_on(context)?;
    context.expect_counts(1, 1)?;
    first.reclaims(context)?;
    second.finishes(context)?;
    second.reclaims(context)?;
    second.releases(context)
}

/// Metadata of several clients, step by step in turn: the first one whose load claims has it, the others are refused.
fn interleave(context: &mut Context, clients: &[Client]) -> Outcome {
    let loads = clients.len() as u16;
    for client in clients {
        client.goes_on(context)?;
        expect_owner(context, ProcessorState::Offline, None)?;
    }
    context.expect_counts(loads, loads)?;
    let mut winner = None;
    for _ in 0..1000 {
        for client in clients {
            if winner.is_none() {
                client.goes_on(context)?;
                let status = context.client.status().map_err(|error| failure!("{error}"))?;
                winner = status.owner.map(|owner| owner.endpoint);
            }
        }
    }
    let winner = winner.ok_or_else(|| failure!("no load ever claims"))?;
    for client in clients.iter().filter(|client| client.endpoint != winner) {
        client.is_refused(context, Refusal::NotOwner)?;
        client.reclaims(context)?;
    }
    context.expect_counts(1, 1)?;
    for client in clients.iter().filter(|client| client.endpoint == winner) {
        client.finishes(context)?;
        client.reclaims(context)?;
        client.releases(context)?;
    }
    context.expect_counts(0, 0)
}

fn two_clients_interleave(context: &mut Context) -> Outcome {
    // First, so that nothing is shared where the SPMC knows no virtual machines.
    context.speak_as(1)?;
    let (sample, second) = (context.sample()?, context.second()?);
    let clients = [Client::new(context, HYPERVISOR, sample)?, Client::new(context, 1, second)?];
    interleave(context, &clients)
}

fn three_clients_interleave(context: &mut Context) -> Outcome {
    // First, so that nothing is shared where the SPMC knows no virtual machines.
    context.speak_as(1)?;
    let (sample, second, large) = (context.sample()?, context.second()?, context.large()?);
    let clients = [
        Client::new(context, 2, large)?,
        Client::new(context, HYPERVISOR, sample)?,
        Client::new(context, 1, second)?,
    ];
    interleave(context, &clients)
}

/// Three loads under way, and a copy of the sample for a fourth client.
fn full_house(context: &mut Context) -> Outcome<([Client; 3], Client)> {
    // First, so that nothing is shared where the SPMC knows no virtual machines.
    context.speak_as(1)?;
    let (sample, second, large) = (context.sample()?, context.second()?, context.large()?);
    let clients = [
        Client::new(context, HYPERVISOR, sample)?,
        Client::new(context, 1, second)?,
        Client::new(context, 2, large)?,
    ];
    let copy = File { address: memory::SCRATCH.start, ..sample };
    memory::copy(sample.address, copy.address, copy.length);
    let fourth = Client::new(context, 3, copy)?;
    for client in clients {
        client.goes_on(context)?;
    }
    context.expect_counts(3, 3)?;
    Ok((clients, fourth))
}

fn a_fourth_client_has_no_room(context: &mut Context) -> Outcome {
    let (clients, fourth) = full_house(context)?;
    fourth.is_refused(context, Refusal::MetadataSlotsFull)?;
    fourth.is_refused(context, Refusal::MetadataSlotsFull)?;
    context.expect_counts(3, 3)?;
    // One of them gives up; then there is room.
    clients[1].releases(context)?;
    context.expect_counts(2, 2)?;
    fourth.goes_on(context)?;
    context.expect_counts(3, 3)?;
    for client in [clients[0], clients[2], fourth] {
        client.releases(context)?;
    }
    for client in clients.into_iter().chain([fourth]) {
        client.reclaims(context)?;
    }
    Ok(())
}

/// A hypervisor gives each of its machines a time of its own. One that has run for longer finds nobody idle for that.
fn the_clock_is_not_the_normal_worlds(context: &mut Context) -> Outcome {
    let (clients, fourth) = full_house(context)?;
    let hour = 3600 * frequency();
    for offset in [hour.wrapping_neg(), hour] {
        set_virtual_offset(offset);
        let refused = fourth.is_refused(context, Refusal::MetadataSlotsFull);
        set_virtual_offset(0);
        refused?;
    }
    context.expect_counts(3, 3)?;
    for client in clients {
        client.releases(context)?;
    }
    for client in clients.into_iter().chain([fourth]) {
        client.reclaims(context)?;
    }
    Ok(())
}

/// Loads that nobody goes on with make room for another one, and their clients find nothing of them.
fn idle_loads_make_room(context: &mut Context) -> Outcome {
    let (clients, fourth) = full_house(context)?;
    wait_microseconds(IDLE_MICROSECONDS * 5 / 4);
    fourth.goes_on(context)?;
    context.expect_counts(3, 3)?;
    // The one that was idle for the longest time has gone: its memory is free, and it would have to begin again.
    clients[0].reclaims(context)?;
    clients[0].is_refused(context, Refusal::HandleUnknown)?;
    fourth.finishes(context)?;
    for client in &clients[1..] {
        client.is_refused(context, Refusal::NotOwner)?;
        client.reclaims(context)?;
    }
    context.expect_counts(0, 0)?;
    fourth.reclaims(context)?;
    fourth.releases(context)
}

/// LOAD_FW with the flag ONE_CALL.
fn one_call(context: &mut Context, handle: u64, total: u64, offset: u64) -> Outcome<Answer> {
    let arguments = LoadArguments { handle, total, offset, lent: false, one_call: true };
    let processor = context.parameters.processor();
    context.ask(Request::Load { processor, arguments }.encode())
}

/// The endpoint that the manifest names loads in one request, even 10 MiB, and hears of a refusal when all is clear.
fn one_call_for_those_who_may(context: &mut Context) -> Outcome {
    let files = [context.sample()?, context.large()?];
    context.speak_as(1)?;
    for file in files {
        let handle = context.share_good(&[file.range()])?;
        let answer = one_call(context, handle, file.length, 0)?;
        expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
        expect_eq!(answer.values, [file.length, file.length, 0, 0], "the values");
        expect_owner(context, ProcessorState::Loaded, Some(1))?;
        context.client.release().map_err(|error| failure!("{error}"))?;
        let answer = one_call(context, handle, file.length, 4096)?;
        context.expect_refusal(answer, Refusal::OffsetUnexpected)?;
        context.reclaim(handle)?;
        // One page is missing; the refusal comes at once, with everything clear.
        let mut most = file.range();
        most.page_count -= 1;
        let handle = context.share_good(&[most])?;
        let answer = one_call(context, handle, file.length, 0)?;
        context.expect_refusal(answer, Refusal::ShareTooSmall)?;
        context.expect_counts(0, 0)?;
        expect_owner(context, ProcessorState::Offline, None)?;
        context.expect_clear()?;
        context.reclaim(handle)?;
    }
    // It may go on in one call with a load that it began in slices.
    let handle = context.share_good(&[files[1].range()])?;
    context.load_until(handle, files[1].length, 0, files[1].length / 4)?;
    let answer = one_call(context, handle, files[1].length, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.reclaim(handle)
}

fn one_call_for_nobody_else(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    for endpoint in [2, HYPERVISOR] {
        context.speak_as(endpoint)?;
        let handle = context.share_good(&[sample.range()])?;
        let answer = one_call(context, handle, sample.length, 0)?;
        context.expect_refusal(answer, Refusal::FlagsUnknown)?;
        context.expect_counts(0, 0)?;
        context.reclaim(handle)?;
    }
    Ok(())
}
