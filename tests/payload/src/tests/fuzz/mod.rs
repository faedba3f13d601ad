//! Direct messages by the thousand, random ones and valid ones with mistakes: one answer each, and afterwards a clean load.
//!
//! `random=`, `mutated=`, `calls=`, `enough=` and `starts=` of the parameters say how many. The seed is `seed=`, or a fixed one; it is
//! printed. So are the numbers of messages of each family, of each command and of each refusal that a client can provoke with messages
//! alone: each has to be seen often enough to count.
mod buffers;
mod counts;
mod crowd;
mod door_t;
mod framework;
mod messages;
mod pool;
pub mod random;

use crate::context::{Context, HYPERVISOR};
use crate::framework::{Failure, Outcome, Text};
use crate::machine::{self, Strictness};
use crate::parameters::number;
use crate::{expect, expect_eq, failure, memory, say};
use buffers::Buffers;
use counts::Counts;
use door_t::calls_with_buffers;
use messages::{Message, State};
use pool::Pool;
use random::Random;
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::ProcessorState;
use remoteproc_shim::ffa::Registers;

crate::cases! { "fuzz":
    messages_of_all_families
    calls_with_buffers
}

/// Random messages without a parameter.
const RANDOM: u32 = 10_000;
/// Valid messages with mistakes without a parameter. As many again have none.
const MUTATED: u32 = 6_000;
/// How often each command and each refusal has to be seen without a parameter.
const ENOUGH: u32 = 20;
/// Messages between two lines about how far it is.
const REPORT: u32 = 50_000;
/// The seed without a parameter.
const SEED: u64 = 0x7265_6d6f_7465_7072;
/// Of so many times that each refusal has to be seen, one start without a parameter: each takes a new emulator of the remote core, and
/// while it runs, and after it was stopped, several are refused.
const PER_START: u32 = 5;
/// Messages for which firmware that was started runs on, and stays stopped.
const PATIENCE: u32 = 60;

/// The processor whose state is followed.
const PROCESSOR: u64 = 0;

/// Who sends messages.
const ENDPOINTS: [u16; 4] = [HYPERVISOR, 1, 2, 3];
/// Which of them may take over what runs, as the manifest says.
const ATTACHING: u16 = 3;
/// Once in so many messages while nothing is loaded, several clients load at once.
const CROWDS: u64 = 80;
/// Once in so many messages it is one of the framework.
const FRAMEWORK: u64 = 24;
/// No single answer takes so long, ms: much longer than a slice takes in an emulator on a busy host, but no client would wait longer. A
/// load in one call is an exception that the manifest makes; the images here are small.
const STALLED: u64 = 2_000;
/// Where the buffers of the mix lie: free RAM, behind the pool's.
const BUFFERS: u64 = memory::SCRATCH.end - 0x20_0000;
/// Of this many loads of the hypervisor, one is left as it is after its first request; the others are gone on with to their end.
const LEFT: u64 = 4;
/// Most requests that one load takes.
const MOST_REPEATS: u32 = 100_000;

/// Sends messages and looks at the answers.
struct Fuzzer<'a> {
    context: &'a mut Context,
    random: Random,
    counts: Counts,
    state: State,
    starts: u32,
    /// Starts that are wanted, and no more.
    wanted_starts: u32,
    /// Messages until the state may be left.
    patience: u32,
    /// Loads are not gone on with.
    in_crowd: bool,
    /// Whose the processor is, if it is anybody's.
    owner: u16,
    /// Buffers of door T.
    buffers: Buffers,
    /// The longest that a single answer took, ticks.
    longest: u64,
}

/// The seed of a case, which it tells.
fn seed(context: &Context) -> u64 {
    let seed = context.parameters.value("seed").and_then(number).unwrap_or(SEED);
    say!("info fuzz seed {seed:#x}");
    seed
}

/// A count of the parameters.
fn count(context: &Context, key: &str, otherwise: u32) -> u32 {
    let count = context.parameters.value(key).and_then(number);
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(otherwise)
}

fn messages_of_all_families(context: &mut Context) -> Outcome {
    let seed = seed(context);
    let (messages, mutated, enough) = (
        count(context, "random", RANDOM),
        count(context, "mutated", MUTATED),
        count(context, "enough", ENOUGH),
    );
    let wanted_starts = count(context, "starts", (enough / PER_START).max(1));
    if !context.set_strictness(Strictness::Strict)? {
        let why = "the pool of handles needs shares that only the test bench's SPMC takes";
        return Err(Failure::Skipped(Text::of(format_args!("{why}"))));
    }
    counts::check_lists()?;
    let pool = Pool::new(context)?;
    let buffers = Buffers::share(context, BUFFERS)?;
    let mut fuzzer = Fuzzer {
        context,
        random: Random::new(seed),
        counts: Counts::default(),
        state: State::Offline,
        starts: 0,
        wanted_starts,
        patience: 0,
        in_crowd: false,
        owner: HYPERVISOR,
        buffers,
        longest: 0,
    };
    let outcome = fuzzer.run(&pool, messages, mutated);
    let Fuzzer { counts, owner, mut buffers, longest, starts, .. } = fuzzer;
    counts.print();
    tell_longest("message", longest);
    context.client.tee().speak_for(owner);
    let stopped = context.client.stop(StopMode::Forced).map_err(|error| failure!("stop: {error}"));
    let released = context.client.release().map_err(|error| failure!("release: {error}"));
    // Whatever went wrong: what was shared is taken back.
    context.client.tee().speak_for(HYPERVISOR);
    let reclaimed = pool.reclaim(context);
    let given_back = buffers.reclaim(context);
    outcome.and(stopped).and(released).and(reclaimed).and(given_back)?;
    expect!(counts.answers() >= messages.saturating_add(mutated), "only {} answers", counts.answers());
    say!("info fuzz starts carried out: {starts}");
    expect!(starts >= wanted_starts, "of {wanted_starts} starts only {starts} were carried out");
    counts.check(enough)
}

/// Prints the longest time of a single answer.
fn tell_longest(what: &str, ticks: u64) {
    let microseconds = ticks.saturating_mul(1000) / (machine::frequency() / 1000).max(1);
    say!("info fuzz longest answer to a {what}: {microseconds} microseconds, limit {STALLED} ms");
}

/// Checks that a single answer did not take so long that its client would call that a stall.
fn is_no_stall(ticks: u64, what: impl core::fmt::Debug) -> Outcome {
    let milliseconds = ticks / (machine::frequency() / 1000).max(1);
    expect!(milliseconds < STALLED, "{what:x?} is answered after {milliseconds} ms");
    Ok(())
}

impl Fuzzer<'_> {
    /// Makes a call whose answer may not take long.
    fn ask(&mut self, function: u32, arguments: &[u64]) -> Outcome<Registers> {
        let begun = machine::ticks();
        let answer = self.context.call(function, arguments);
        let took = machine::ticks().wrapping_sub(begun);
        self.longest = self.longest.max(took);
        is_no_stall(took, (function, arguments))?;
        Ok(answer)
    }

    fn run(&mut self, pool: &Pool, random: u32, mutated: u32) -> Outcome {
        for index in 0..random {
            if index > 0 && index % REPORT == 0 {
                say!("info soak messages: {index} random");
            }
            if self.random.once_in(FRAMEWORK) {
                self.framework()?;
                continue;
            }
            let mut message = messages::random(&mut self.random);
            message.sender = self.sender();
            self.send(message)?;
        }
        while self.counts.mistaken() < mutated {
            if self.state == State::Offline && self.random.once_in(CROWDS) {
                self.crowd(pool)?;
                continue;
            }
            if self.random.once_in(FRAMEWORK) {
                self.framework()?;
                continue;
            }
            let sender = self.sender();
            let message = messages::mutated(&mut self.random, (pool, &self.buffers), self.state, sender);
            self.send(message)?;
        }
        Ok(())
    }

    /// Who speaks next: in most cases the owner, or the hypervisor, which has most of the handles.
    fn sender(&mut self) -> u16 {
        let usual = if self.state == State::Offline { HYPERVISOR } else { self.owner };
        if self.random.once_in(6) { self.random.pick(&ENDPOINTS) } else { usual }
    }

    /// Whether a command, sent now, would start firmware too often or leave a state too early.
    fn is_untimely(&self, command: u64, processor: u64) -> bool {
        let (starting, stopping, loading, releasing) =
            (command == 2, command == 3, command & 0xFFFF == 1, command == 6);
        processor == PROCESSOR
            && match self.state {
                State::Offline => false,
                State::Loaded => starting && self.starts >= self.wanted_starts,
                State::Running => stopping && self.patience > 0,
                State::Stopped => (loading || releasing) && self.patience > 0,
            }
    }

    /// Repeats a load as a client does, until it is answered with something else than IN_PROGRESS; returns the last result.
    fn go_on(&mut self, message: &Message, arguments: &[u64; 17], mut result: u64) -> Outcome<u64> {
        let mut done = 0;
        for _ in 0..MOST_REPEATS {
            if result != u64::from(u32::from(TeeResult::InProgress)) {
                return Ok(result);
            }
            if done == u64::MAX {
                // The memory was used up and does not hold all of the image: such a load begins again and again.
                let (client, processor) =
                    (&mut self.context.client, message.command().map_or(0, |(_, id)| id));
                client.select(processor as u32);
                let released = client.release();
                client.select(PROCESSOR as u32);
                released.map_err(|error| failure!("release: {error}"))?;
                return Ok(result);
            }
            let answer = self.ask(message.function, arguments)?;
            expect_eq!(answer[0] as u32, message.function + 1, "the answer's function");
            result = result_of(message, &answer);
            let now = answer[if message.function == messages::REQUEST_2 { 5 } else { 4 }];
            done = if now < done { u64::MAX } else { now };
        }
        Err(failure!("a load does not end"))
    }

    fn send(&mut self, mut message: Message) -> Outcome {
        self.patience = self.patience.saturating_sub(1);
        if let Some((command, processor)) = message.command()
            && self.is_untimely(command, processor)
        {
            message.become_harmless();
        }
        let mut arguments = [0; 17];
        let tee = self.context.client.tee();
        tee.speak_for(message.sender);
        arguments[0] = u64::from(message.sender) << 16 | u64::from(tee.service().partition);
        arguments[1..].copy_from_slice(&message.registers);
        let mut answer = self.ask(message.function, &arguments)?;
        // An interrupt in between is no answer: the partition goes on.
        while matches!(answer[0] as u32, 0x8400_0062 | 0x8400_006C) {
            answer = self.ask(0x8400_006D, &[answer[1]])?;
        }
        let (control, command) = (message.control(), message.command());
        let function = answer[0] as u32;
        if function == 0x8400_0060 {
            // Framework messages, other flags, and UUIDs that are not listed never reach the partition.
            expect!(control.is_none() && command.is_none(), "the SPMC refuses {:#x?}", message.registers);
            expect!(
                message.registers[..2] != messages::DOOR_T || message.function != messages::REQUEST_2,
                "the SPMC refuses a listed UUID"
            );
            self.counts.refused_by_spmc();
            return Ok(());
        }
        expect_eq!(function, message.function + 1, "the answer's function");
        if message.mistaken {
            self.counts.had_a_mistake();
        }
        let mut result = result_of(&message, &answer);
        let elsewhere = command.is_some_and(|(_, processor)| processor != PROCESSOR);
        let is_left = message.sender == HYPERVISOR && self.random.once_in(LEFT) && !elsewhere;
        if message.command().is_some_and(|(command, _)| command & 0xFFFF == 1) && !is_left && !self.in_crowd {
            result = self.go_on(&message, &arguments, result)?;
        }
        match (control, command) {
            (Some(control), _) => {
                expect_eq!(answer[3], u64::from(control), "the control register of the answer");
                self.counts.rpc(message.sender, control);
                self.follow_door_t(&message, control, [answer[4], answer[5]])?;
            }
            (None, Some((command, processor))) => {
                self.counts.command(message.sender, message.function, command);
                self.follow(message.sender, command, processor, result)?;
            }
            // The second family at door T.
            (None, None) => {
                expect_eq!(result, u64::from(u32::from(TeeResult::NotSupported)), "the result");
                self.counts.other_uuid();
            }
        }
        Ok(())
    }

    /// Follows the buffers, and counts the commands that door T has carried out.
    fn follow_door_t(&mut self, message: &Message, control: u32, [status, result]: [u64; 2]) -> Outcome {
        if status != 0 || control == 0xFF_0000 {
            return Ok(());
        }
        let handle = [message.registers[2] as u32, message.registers[3] as u32];
        self.buffers.succeeded(message.sender, control, handle);
        if let Some(opcode) = message.opcode {
            let result = u32::try_from(result).ok().and_then(|result| TeeResult::try_from(result).ok());
            expect!(result.is_some(), "opcode {opcode:#x} has a result that is none");
            self.counts.command_by_door_t(opcode);
        }
        Ok(())
    }

    /// Checks that a command that is carried out is its owner's.
    fn is_for(&self, sender: u16, command: u64) -> Outcome {
        let of_the_owner = [1, 2, 3, 4, 6].contains(&(command & 0xFFFF));
        let taken_over = command & 0xFFFF == 2 && self.state == State::Running && sender == ATTACHING;
        expect!(
            !of_the_owner || self.state == State::Offline || sender == self.owner || taken_over,
            "command {command:#x} of endpoint {sender} is carried out on what is {}'s",
            self.owner
        );
        Ok(())
    }

    /// Its owner may load what is stopped. If that fails after it was cleared, it is nobody's.
    fn follow_failed_load(&mut self) -> Outcome {
        if self.state == State::Stopped {
            let status = self.context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
            if status.owner.is_none() {
                expect_eq!(status.state, ProcessorState::Offline, "the state of what is nobody's");
                self.state = State::Offline;
            }
        }
        Ok(())
    }

    /// Follows the processor's state, and asks why a request was refused.
    fn follow(&mut self, sender: u16, command: u64, processor: u64, result: u64) -> Outcome {
        let result = u32::try_from(result).ok().and_then(|result| TeeResult::try_from(result).ok());
        if processor == PROCESSOR && matches!(result, Some(TeeResult::Success | TeeResult::InProgress)) {
            self.is_for(sender, command)?;
        }
        match result {
            None => return Err(failure!("command {command:#x} has a result that is none")),
            Some(TeeResult::InProgress) => {
                // How long the hardware takes differs from run to run. Waiting for it, as a client does, keeps that out of what
                // the messages after this one meet.
                let client = &mut self.context.client;
                match command & 0xFFFF {
                    2 => client.start(),
                    3 => client.stop(StopMode::Forced),
                    6 => client.release(),
                    _ => return Ok(()),
                }
                .map_err(|error| failure!("command {command:#x}: {error}"))?;
            }
            Some(TeeResult::Success) => {}
            Some(_) => {
                let last = self.context.client.last_error().map_err(|error| failure!("{error}"))?;
                let refusal = last.and_then(|last| last.refusal);
                let refusal =
                    refusal.ok_or_else(|| failure!("command {command:#x} is refused without a reason"))?;
                self.counts.refusal(refusal);
                if processor == PROCESSOR && sender == self.owner && command & 0xFFFF == 1 {
                    self.follow_failed_load()?;
                }
                return Ok(());
            }
        }
        if processor != PROCESSOR {
            // No image here fits another processor's memory, so that one stays as it is.
            expect!(command & 0xFFFF != 1, "an image of the Cortex-M33 loads on processor {processor:#x}");
            return Ok(());
        }
        let next = match (command & 0xFFFF, self.state) {
            (1, _) => {
                self.owner = sender;
                State::Loaded
            }
            (2, State::Loaded) => {
                self.starts += 1;
                State::Running
            }
            // The manifest lets one endpoint take it over.
            (2, State::Running) => {
                self.owner = sender;
                State::Running
            }
            (3, State::Running) => State::Stopped,
            (6, _) => State::Offline,
            _ => return Ok(()),
        };
        if next != self.state {
            self.patience = PATIENCE;
        }
        self.state = next;
        Ok(())
    }
}

/// The result in an answer of door D.
fn result_of(message: &Message, answer: &Registers) -> u64 {
    if message.function == messages::REQUEST_2 { answer[4] } else { answer[3] }
}
