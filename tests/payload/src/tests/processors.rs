//! Two remote processors and their owners: each runs its own firmware at the same time, and nobody reaches the other one's. The second,
//! a Cortex-M4, has device addresses of its own.
use super::firmware;
use crate::board::{self, M4, M33};
use crate::context::{Context, HYPERVISOR};
use crate::framework::{Failure, Outcome};
use crate::observe::{self, Signs};
use crate::parameters::File;
use crate::{expect, expect_eq, failure, machine, memory};
use core::ops::Range;
use remoteproc_abi::door_d::{Answer, LoadArguments, Request};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Owner, OwnerDoor, ProcessorState};
use remoteproc_refusal::Refusal;
use remoteproc_shim::TableLocation;

crate::cases! { "processors":
    both_run_at_once
    stop_and_release_leave_the_other_alone
    a_crash_leaves_the_other_alone
    table_is_reported_at_its_physical_address
    loads_of_both_interleave
    an_aborted_load_leaves_the_other_alone
    one_client_owns_both
    firmware_of_another_processor_is_refused
    only_listed_endpoints_may_ask
}

/// Who owns which processor in these cases, and who has nothing to do with either.
const OWNERS: [(u32, u16); 2] = [(M33, 1), (M4, 2)];
const OUTSIDER: u16 = 0;
/// The endpoint that the manifest of these tests does not list for the Cortex-M4.
const UNLISTED: u16 = 3;
/// The Cortex-M4's private memory, physical addresses.
const PRIVATE_M4: Range<u64> = 0x80d0_0000..0x80e0_0000;
/// What the Cortex-M4's firmware asks for in its resource table: a trace buffer, at this device address.
const TRACE_M4: u32 = 0x21e0_1000;

/// A processor with its owner.
#[derive(Clone, Copy)]
struct Owned {
    processor: u32,
    endpoint: u16,
}

impl Owned {
    /// The owner of these cases; where the SPMC knows no virtual machines, the hypervisor owns both.
    fn new(context: &mut Context, processor: u32) -> Outcome<Self> {
        let endpoint =
            OWNERS.into_iter().find(|(owned, _)| *owned == processor).map_or(OUTSIDER, |(_, id)| id);
        match context.speak_as(endpoint) {
            Ok(()) => Ok(Self { processor, endpoint }),
            Err(Failure::Skipped(_)) => Ok(Self { processor, endpoint: context.client.tee().own_id() }),
            Err(failed) => Err(failed),
        }
    }

    /// Both, with their firmware loaded.
    fn load_both(context: &mut Context) -> Outcome<[(Self, Signs); 2]> {
        let [m33, m4] = [Self::new(context, M33)?, Self::new(context, M4)?];
        Ok([(m33, m33.load(context)?), (m4, m4.load(context)?)])
    }

    /// Both, running.
    fn start_both(context: &mut Context) -> Outcome<[(Self, u64); 2]> {
        let loaded = Self::load_both(context)?;
        let mut both = loaded.map(|(owned, _)| (owned, 0));
        for ((owned, heartbeat), (_, signs)) in both.iter_mut().zip(loaded) {
            owned.speak(context)?;
            *heartbeat = firmware::start(context, signs)?;
        }
        Ok(both)
    }

    /// From now on the owner speaks, of this processor.
    fn speak(self, context: &mut Context) -> Outcome {
        context.select(self.processor);
        context.speak_as(self.endpoint)
    }

    fn load(self, context: &mut Context) -> Outcome<Signs> {
        self.speak(context)?;
        let file = firmware_of(context, self.processor)?;
        firmware::load_file(context, file)
    }

    fn release(self, context: &mut Context) -> Outcome {
        self.speak(context)?;
        context.client.release().map_err(|error| failure!("{error}"))?;
        context.expect_clear()
    }

    /// Anybody may ask for the state and the owner.
    fn expect(self, context: &mut Context, state: ProcessorState) -> Outcome {
        context.select(self.processor);
        let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
        let owner = Owner { endpoint: self.endpoint, door: OwnerDoor::Direct };
        let owner = (state != ProcessorState::Offline).then_some(owner);
        expect_eq!((status.state, status.owner), (state, owner), "state and owner");
        Ok(())
    }

    /// Whoever is not the owner is refused everything that changes something or tells where something is.
    fn is_closed_to(self, context: &mut Context, endpoint: u16, refusal: Refusal) -> Outcome {
        context.select(self.processor);
        context.speak_as(endpoint)?;
        // START, STOP, GET_RSC_TABLE, RELEASE.
        for command in [2, 3, 4, 6] {
            let answer = context.ask([command, self.processor.into(), 0, 0, 0])?;
            context.expect_refusal(answer, refusal)?;
        }
        let file = firmware_of(context, self.processor)?;
        let outcome = context.load(file);
        context.expect_load_refused(outcome, refusal)
    }
}

fn firmware_of(context: &Context, processor: u32) -> Outcome<File> {
    if processor == M4 { context.firmware_m4() } else { context.firmware() }
}

fn expect_moves(heartbeat: u64) -> Outcome {
    let now = memory::read_word(heartbeat);
    expect!(observe::wait_for_move(heartbeat, now).is_some(), "the heartbeat at {heartbeat:#x} stands");
    Ok(())
}

/// How often a processor was released from reset.
fn releases(processor: u32) -> Outcome<u32> {
    let board = board::processor(processor).ok_or_else(|| failure!("no processor {processor}"))?;
    Ok(memory::read_word(board.releases))
}

/// Both run their own firmware at the same time, each owned by its virtual machine and closed to everybody else.
fn both_run_at_once(context: &mut Context) -> Outcome {
    // First, so that this is skipped where the SPMC knows no virtual machines.
    context.speak_as(1)?;
    let before = [releases(M33)?, releases(M4)?];
    let loaded = Owned::load_both(context)?;
    let closed = |context: &mut Context, state| {
        for (owned, _) in loaded {
            for (_, other) in OWNERS.into_iter().filter(|(processor, _)| *processor != owned.processor) {
                owned.is_closed_to(context, other, Refusal::NotOwner)?;
            }
            owned.is_closed_to(context, OUTSIDER, Refusal::NotOwner)?;
            owned.expect(context, state)?;
        }
        Ok(())
    };
    closed(context, ProcessorState::Loaded)?;
    let mut heartbeats = [0; 2];
    for (heartbeat, (owned, signs)) in heartbeats.iter_mut().zip(loaded) {
        owned.speak(context)?;
        *heartbeat = firmware::start(context, signs)?;
    }
    for _ in 0..3 {
        heartbeats.into_iter().try_for_each(expect_moves)?;
    }
    for ((_, signs), name) in loaded.into_iter().zip(["m33: alive", "m4: alive"]) {
        let (address, length) = signs.trace.ok_or_else(|| failure!("no trace buffer"))?;
        let text = observe::wait_for_trace(address, length).ok_or_else(|| failure!("no trace text"))?;
        expect!(text.starts_with(name.as_bytes()), "the trace at {address:#x} does not begin with {name}");
    }
    closed(context, ProcessorState::Running)?;
    heartbeats.into_iter().try_for_each(expect_moves)?;
    for ((owned, _), heartbeat) in loaded.into_iter().zip(heartbeats) {
        owned.speak(context)?;
        firmware::stop(context, heartbeat)?;
    }
    closed(context, ProcessorState::Stopped)?;
    for (owned, _) in loaded {
        owned.release(context)?;
    }
    let after = before.map(|count| count.wrapping_add(1));
    expect_eq!([releases(M33)?, releases(M4)?], after, "the numbers of releases from reset");
    Ok(())
}

/// In either order: one is stopped, released, loaded and started again while the other one goes on.
fn stop_and_release_leave_the_other_alone(context: &mut Context) -> Outcome {
    let [first, second] = Owned::start_both(context)?;
    for ((owned, heartbeat), (other, others)) in [(first, second), (second, first)] {
        owned.speak(context)?;
        firmware::stop(context, heartbeat)?;
        expect_moves(others)?;
        owned.release(context)?;
        expect_moves(others)?;
        other.expect(context, ProcessorState::Running)?;
        let signs = owned.load(context)?;
        firmware::start(context, signs)?;
        expect_moves(others)?;
    }
    for (owned, heartbeat) in [first, second] {
        owned.speak(context)?;
        firmware::stop(context, heartbeat)?;
        owned.release(context)?;
    }
    Ok(())
}

/// A lockup of one is that one's alone; its owner brings it back.
fn a_crash_leaves_the_other_alone(context: &mut Context) -> Outcome {
    let [first, second] = Owned::start_both(context)?;
    for ((owned, heartbeat), (other, others)) in [(first, second), (second, first)] {
        // The request word lies behind the heartbeat.
        memory::write(heartbeat + 4, &firmware::LOCKUP.to_le_bytes());
        context.select(owned.processor);
        let crashed = machine::wait_until(observe::ALIVE_WITHIN, || {
            context.client.status().is_ok_and(|status| status.state == ProcessorState::Crashed)
        });
        expect!(crashed, "processor {} does not crash", owned.processor);
        expect_moves(others)?;
        other.expect(context, ProcessorState::Running)?;
        owned.speak(context)?;
        firmware::stop(context, heartbeat)?;
        let signs = owned.load(context)?;
        firmware::start(context, signs)?;
        expect_moves(others)?;
    }
    for (owned, heartbeat) in [first, second] {
        owned.speak(context)?;
        firmware::stop(context, heartbeat)?;
        owned.release(context)?;
    }
    Ok(())
}

/// The image names device addresses only; what the partition reports, and what is there, is the physical one.
fn table_is_reported_at_its_physical_address(context: &mut Context) -> Outcome {
    Owned::new(context, M4)?.speak(context)?;
    let file = context.firmware_m4()?;
    context.load(file).map_err(|error| failure!("{}: {error}", file.name))?;
    let location = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    let expected = TableLocation { address: 0x80e0_0000, size: 160 };
    expect_eq!(location, Some(expected), "where the resource table is");
    let mut table = [0; 160];
    memory::read(expected.address, &mut table);
    let word = |index: usize| {
        table.chunks_exact(4).nth(index).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
    };
    // Version 1, three entries; the first is a trace buffer at its device address.
    expect_eq!([word(0), word(1), word(7), word(8)], [1, 3, 2, TRACE_M4].map(Some), "the table's words");
    // The vector table, where no address of the image is: stack and entry, as the core sees them.
    let [stack, entry] = [memory::read_word(0x80d0_0000), memory::read_word(0x80d0_0004)];
    expect!((0x21d8_0000..0x21e0_0000).contains(&stack), "the stack is {stack:#x}");
    expect!((0x21d0_0000..0x21d8_0000).contains(&entry), "the entry is {entry:#x}");
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.expect_clear()
}

/// A load in slices.
#[derive(Clone, Copy)]
struct Load {
    owned: Owned,
    handle: u64,
    total: u64,
}

impl Load {
    fn new(context: &mut Context, owned: Owned, file: File) -> Outcome<Self> {
        owned.speak(context)?;
        Ok(Self { owned, handle: context.share_good(&[file.range()])?, total: file.length })
    }

    /// One LOAD_FW.
    fn go_on(self, context: &mut Context) -> Outcome<Answer> {
        let Self { owned, handle, total } = self;
        owned.speak(context)?;
        let arguments = LoadArguments { handle, total, offset: 0, lent: false, one_call: false };
        context.ask(Request::Load { processor: owned.processor, arguments }.encode())
    }

    fn reclaim(self, context: &mut Context) -> Outcome {
        self.owned.speak(context)?;
        context.reclaim(self.handle)
    }
}

/// The large image for the Cortex-M33 and the firmware of the Cortex-M4, both under way.
fn two_loads(context: &mut Context) -> Outcome<[Load; 2]> {
    let (large, small) = (context.large()?, context.firmware_m4()?);
    let [m33, m4] = [Owned::new(context, M33)?, Owned::new(context, M4)?];
    Ok([Load::new(context, m33, large)?, Load::new(context, m4, small)?])
}

/// Slice by slice in turn; the small one is loaded and released again and again until the large one is done.
fn loads_of_both_interleave(context: &mut Context) -> Outcome {
    // First, so that this is skipped where the SPMC knows no virtual machines: one client can't begin two loads at once.
    context.speak_as(1)?;
    let [large, small] = two_loads(context)?;
    let mut rounds = 0;
    for _ in 0..100_000 {
        let answer = small.go_on(context)?;
        match answer.tee_result() {
            Some(TeeResult::InProgress) => {}
            Some(TeeResult::Success) => {
                rounds += 1;
                small.owned.expect(context, ProcessorState::Loaded)?;
                expect!(memory::first_other(PRIVATE_M4, 0).is_some(), "nothing was loaded");
                small.owned.release(context)?;
            }
            other => return Err(failure!("the small image's load is answered {other:?}")),
        }
        let answer = large.go_on(context)?;
        match answer.tee_result() {
            Some(TeeResult::InProgress) => {}
            Some(TeeResult::Success) => break,
            other => return Err(failure!("the large image's load is answered {other:?}")),
        }
    }
    expect!(rounds >= 3, "the small image was loaded {rounds} times meanwhile");
    large.owned.expect(context, ProcessorState::Loaded)?;
    small.owned.release(context)?;
    // What was loaded among the other one's slices runs.
    large.owned.speak(context)?;
    let location = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    let table = location.and_then(|location| observe::copy_table(M33, location));
    let table = table.ok_or_else(|| failure!("no resource table"))?;
    let heartbeat = firmware::start(context, observe::signs(M33, &table))?;
    firmware::stop(context, heartbeat)?;
    large.owned.release(context)?;
    large.reclaim(context)?;
    small.reclaim(context)
}

/// Who gives up a load clears his own processor's memory, and nothing else.
fn an_aborted_load_leaves_the_other_alone(context: &mut Context) -> Outcome {
    let [large, small] = two_loads(context)?;
    large.owned.speak(context)?;
    context.load_until(large.handle, large.total, 0, large.total / 4)?;
    small.owned.speak(context)?;
    let answer = context.load_handle(small.handle, small.total, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    large.owned.release(context)?;
    small.owned.expect(context, ProcessorState::Loaded)?;
    expect!(memory::first_other(PRIVATE_M4, 0).is_some(), "the other processor's memory was cleared");
    context.expect_counts(0, 0)?;
    // The other way round.
    large.owned.speak(context)?;
    context.load_until(large.handle, large.total, 0, large.total / 4)?;
    small.owned.release(context)?;
    large.owned.expect(context, ProcessorState::Loading)?;
    large.owned.speak(context)?;
    let answer = context.load_handle(large.handle, large.total, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    large.owned.release(context)?;
    large.reclaim(context)?;
    small.reclaim(context)
}

/// A client has room for one load that has claimed nothing; behind the claim it may begin the other processor's.
fn one_client_owns_both(context: &mut Context) -> Outcome {
    let (large, small) = (context.large()?, context.firmware_m4()?);
    let owner = |processor| Owned { processor, endpoint: HYPERVISOR };
    let large = Load::new(context, owner(M33), large)?;
    let small = Load::new(context, owner(M4), small)?;
    large.go_on(context)?;
    let answer = small.go_on(context)?;
    context.expect_refusal(answer, Refusal::MetadataSlotsFull)?;
    large.owned.speak(context)?;
    context.load_until(large.handle, large.total, 0, large.total / 4)?;
    small.owned.speak(context)?;
    let answer = context.load_handle(small.handle, small.total, 0)?;
    expect_eq!(answer.tee_result(), Some(TeeResult::Success), "the result");
    large.owned.expect(context, ProcessorState::Loading)?;
    large.owned.release(context)?;
    small.owned.expect(context, ProcessorState::Loaded)?;
    small.owned.release(context)?;
    large.reclaim(context)?;
    small.reclaim(context)
}

/// An image that is linked for one processor does not load on the other, and leaves nothing there.
fn firmware_of_another_processor_is_refused(context: &mut Context) -> Outcome {
    for (processor, file) in [(M33, context.firmware_m4()?), (M4, context.firmware()?)] {
        context.select(processor);
        let outcome = context.load(file);
        context.expect_load_refused(outcome, Refusal::SegmentOutsideRegions)?;
        context.expect_clear()?;
    }
    Ok(())
}

/// The manifest lists who may use the Cortex-M4. Everybody else may only ask how it is.
fn only_listed_endpoints_may_ask(context: &mut Context) -> Outcome {
    let m4 = Owned { processor: M4, endpoint: 2 };
    let m33 = Owned { processor: M33, endpoint: UNLISTED };
    m4.is_closed_to(context, UNLISTED, Refusal::EndpointNotAllowed)?;
    m4.expect(context, ProcessorState::Offline)?;
    let signs = m4.load(context)?;
    m4.is_closed_to(context, UNLISTED, Refusal::EndpointNotAllowed)?;
    m4.expect(context, ProcessorState::Loaded)?;
    let described = context.client.describe(M4).map_err(|error| failure!("GET_PROCESSOR: {error}"))?;
    expect_eq!((described.id, described.state), (M4, ProcessorState::Loaded), "GET_PROCESSOR");
    // The other processor has no such list.
    m33.load(context)?;
    m33.release(context)?;
    m4.speak(context)?;
    let heartbeat = firmware::start(context, signs)?;
    m4.is_closed_to(context, UNLISTED, Refusal::EndpointNotAllowed)?;
    m4.speak(context)?;
    firmware::stop(context, heartbeat)?;
    m4.release(context)
}
