//! The demo: one image from load to release, each step on a line of its own.
use crate::buffers::Buffers;
use crate::observe::{self, Signs};
use crate::parameters::{File, Parameters, number};
use crate::transport::Smc;
use crate::{board, memory, say};
use core::fmt::Display;
use remoteproc_abi::SERVICE_UUID;
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::result::TeeResult;
use remoteproc_refusal::Class;
use remoteproc_shim::ffa::{FfaTee, VERSION};
use remoteproc_shim::resource_table::ResourceTable;
use remoteproc_shim::{Error, Progress, Remoteproc};

/// Lines of trace text to show at most.
const TRACE_LINES: usize = 8;

/// The client as the demo uses it.
type Client = Remoteproc<FfaTee<Smc, Buffers>>;

/// How the demo ends before its end.
enum Stop {
    /// A step has failed; its line is printed.
    Failed(&'static str),
    /// The image was refused; the end line is printed.
    Refused,
}

type Step<T = ()> = Result<T, Stop>;

/// Prints that a step has failed.
fn failed(step: &'static str, why: impl Display) -> Stop {
    say!("step {step} failed {why}");
    Stop::Failed(step)
}

/// Prints that a step went well.
macro_rules! done {
    ($step:literal, $($argument:tt)*) => { say!("step {} ok {}", $step, format_args!($($argument)*)) };
}

/// Runs the demo and prints its end line.
pub fn run(parameters: &Parameters) {
    match steps(parameters) {
        Ok(()) => say!("demo pass"),
        Err(Stop::Failed(step)) => say!("demo failed {step}"),
        Err(Stop::Refused) => {}
    }
}

fn steps(parameters: &Parameters) -> Step {
    let watch = match parameters.value("watch") {
        None => None,
        Some(text) => Some(
            number(text)
                .filter(|address| address.is_multiple_of(4) && memory::WINDOW.contains(address))
                .ok_or_else(|| failed("parameters", "watch= is no word of the window"))?,
        ),
    };
    let image = parameters
        .file("image")
        .ok_or_else(|| failed("parameters", "image= is missing or not page aligned memory"))?;
    let memory = &board::processor(parameters.processor())
        .ok_or_else(|| failed("parameters", "processor= is none of this board"))?
        .memory;
    let mut client = connect(parameters)?;
    load(&mut client, image)?;
    let signs = table(&mut client)?;
    if parameters.value("no-start") == Some("1") {
        say!("info not started, as asked for");
    } else {
        run_firmware(&mut client, signs, watch)?;
    }
    client.release().map_err(|error| failed("release", error))?;
    done!("release", "the processor is given back");
    match memory::first_other(memory.clone(), 0) {
        None => done!("clear", "every byte of {:#x} to {:#x} reads zero", memory.start, memory.end - 1),
        Some(address) => return Err(failed("clear", format_args!("{address:#x} is not zero"))),
    }
    match client.tee().transport().take_breach() {
        None => Ok(()),
        Some(breach) => Err(failed("answers", format_args!("{breach:?}"))),
    }
}

fn connect(parameters: &Parameters) -> Step<Client> {
    let buffers = Buffers::take().ok_or_else(|| failed("partition", "the buffers are in use"))?;
    let tee = FfaTee::connect(Smc::default(), buffers).map_err(|error| failed("partition", error))?;
    let answered = tee.answered_version();
    done!(
        "partition",
        "FF-A {}.{} asked for, {}.{} answered, SPMC {:#06x}, this endpoint {:#06x}",
        VERSION.0,
        VERSION.1,
        answered.0,
        answered.1,
        tee.spmc_id(),
        tee.own_id()
    );
    let service = tee.service();
    done!(
        "service",
        "{SERVICE_UUID} is partition {:#06x}, execution contexts {}, properties {:#x}",
        service.partition,
        service.contexts,
        service.properties
    );
    Ok(Remoteproc::new(tee, parameters.processor()))
}

fn load(client: &mut Client, image: File) -> Step {
    say!("info loading {}, {} bytes at {:#x}", image.name, image.length, image.address);
    let before = client.tee().transport().direct_requests();
    let show = |progress: Progress| say!("progress {} {}", progress.done, progress.total);
    let outcome = client.load(&[image.range()], image.length, show);
    let requests = client.tee().transport().direct_requests() - before;
    let failure = match outcome {
        Ok(()) => {
            done!("load", "{} bytes in {requests} requests, {}", image.length, TeeResult::Success);
            return Ok(());
        }
        Err(failure) => failure,
    };
    if let Some(error) = failure.not_reclaimed {
        say!("info the image's memory could not be taken back: {error}");
    }
    let Error::Refused { result, .. } = failure.error else {
        return Err(failed("load", failure.error));
    };
    let last = client.last_error().map_err(|error| failed("load", error))?;
    let Some(last) = last else {
        return Err(failed("load", format_args!("{}, without a refusal", failure.error)));
    };
    match last.refusal {
        Some(refusal) => say!("step load failed {}, {refusal}", failure.error),
        None => say!("step load failed {}, refusal {:#06x}", failure.error, last.number),
    }
    if let Some(refusal) = last.refusal {
        say!("info {}", refusal.sentence());
    }
    if let Some(offset) = last.offset {
        say!("info at byte {offset} of the container");
    }
    if last.refusal.is_none_or(|refusal| refusal.class() == Class::Generic) {
        // The hardware failed; that says nothing about the image.
        return Err(Stop::Failed("load"));
    }
    let name = last.refusal.map_or("UNKNOWN", |refusal| refusal.name());
    let result = TeeResult::try_from(result).map_or("UNKNOWN", TeeResult::name);
    say!("demo refused {:#06x} {name} {result}", last.number);
    Err(Stop::Refused)
}

fn table(client: &mut Client) -> Step<Signs> {
    let location = client.resource_table().map_err(|error| failed("table", error))?;
    let Some(location) = location else {
        done!("table", "the firmware has no resource table");
        return Ok(Signs::default());
    };
    let bytes = observe::copy_table(client.processor(), location).ok_or_else(|| {
        failed(
            "table",
            format_args!(
                "{:#x}, size {:#x}, is not in the processor's memory",
                location.address, location.size
            ),
        )
    })?;
    let table = ResourceTable::new(&bytes).map_err(|error| failed("table", error))?;
    let mut count = 0;
    for entry in table.entries() {
        let entry = entry.map_err(|error| failed("table", error))?;
        say!("info table entry {count}: {entry}");
        count += 1;
    }
    done!("table", "at {:#x}, size {:#x}, {count} entries", location.address, location.size);
    Ok(observe::signs(client.processor(), &bytes))
}

/// Starts, watches and stops.
fn run_firmware(client: &mut Client, signs: Signs, watch: Option<u64>) -> Step {
    let word = watch.or(signs.heartbeat);
    let before = word.map(memory::read_word);
    if let (Some(address), Some(value)) = (word, before) {
        done!("before", "the word at {address:#x} is {value:#x}");
    }
    client.start().map_err(|error| failed("start", error))?;
    done!("start", "the processor is released from reset");
    match (watch, signs.trace) {
        (None, Some((address, length))) => match observe::wait_for_trace(address, length) {
            Some(text) => {
                for line in
                    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(TRACE_LINES)
                {
                    say!("info trace: {}", line.escape_ascii());
                }
                done!("trace", "read at {address:#x}, through the resource table");
            }
            // Firmware of others may keep anything in its trace buffer, and need not write soon.
            None if signs.heartbeat.is_none() => say!("info the trace buffer at {address:#x} holds no text"),
            None => return Err(failed("trace", format_args!("no text at {address:#x}"))),
        },
        (None, None) => say!("info the firmware has no trace buffer"),
        (Some(_), _) => {}
    }
    if let (Some(address), Some(before)) = (word, before) {
        let moving = |from| {
            observe::wait_for_move(address, from)
                .ok_or_else(|| failed("heartbeat", format_args!("the word at {address:#x} stays {from:#x}")))
        };
        let first = moving(before)?;
        let second = moving(first)?;
        done!("heartbeat", "the word at {address:#x} moves: {before:#x}, {first:#x}, {second:#x}");
    } else {
        say!("info nothing to watch: neither watch= nor a heartbeat in the resource table");
    }
    client.stop(StopMode::Forced).map_err(|error| failed("stop", error))?;
    done!("stop", "the processor is held in reset");
    if let Some(address) = word {
        match observe::stands(address) {
            Ok(value) => done!("stands", "the word at {address:#x} stays {value:#x}"),
            Err((first, last)) => {
                return Err(failed("stands", format_args!("{address:#x} moved: {first:#x}, {last:#x}")));
            }
        }
    }
    Ok(())
}
