//! Commands in the wrong order, commands twice, and a second load.
use crate::context::Context;
use crate::framework::Outcome;
use crate::parameters::File;
use crate::{expect, expect_eq, failure, memory};
use remoteproc_abi::door_d::StopMode;
use remoteproc_abi::status::ProcessorState;
use remoteproc_refusal::Refusal;

crate::cases! { "lifecycle":
    start_before_load
    table_before_load
    stop_and_release_twice
    load_and_release
    table_of_loaded_image
    stopped_before_started
    same_image_again
    another_image
    load_after_release
}

fn start_before_load(context: &mut Context) -> Outcome {
    let outcome = context.client.start();
    context.expect_command_refused(outcome, Refusal::NotLoaded)
}

fn table_before_load(context: &mut Context) -> Outcome {
    let outcome = context.client.resource_table();
    context.expect_command_refused(outcome, Refusal::NotLoaded)
}

fn stop_and_release_twice(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    for loaded in [false, true] {
        if loaded {
            context.load(sample).map_err(|error| failure!("{error}"))?;
        }
        for time in ["first", "second"] {
            context.client.stop(StopMode::Forced).map_err(|error| failure!("{time} stop: {error}"))?;
        }
        for time in ["first", "second"] {
            context.client.release().map_err(|error| failure!("{time} release: {error}"))?;
        }
    }
    context.expect_clear()
}

fn load_and_release(context: &mut Context) -> Outcome {
    for file in [context.sample()?, context.second()?, context.sample()?] {
        context.load(file).map_err(|error| failure!("{}: {error}", file.name))?;
        expect!(memory::first_other(memory::REGIONS, 0).is_some(), "{}: nothing was loaded", file.name);
        context.client.release().map_err(|error| failure!("{}: release: {error}", file.name))?;
        context.expect_clear()?;
        context.expect_command_refused_after_release()?;
    }
    Ok(())
}

fn table_of_loaded_image(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    context.load(sample).map_err(|error| failure!("{error}"))?;
    let first = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    let location = first.ok_or_else(|| failure!("{} has no resource table", sample.name))?;
    expect!(
        crate::observe::copy_table(context.client.processor(), location)
            .is_some_and(|table| table.starts_with(&[1, 0, 0, 0])),
        "no resource table at {:#x}, size {:#x}",
        location.address,
        location.size
    );
    let second = context.client.resource_table().map_err(|error| failure!("{error}"))?;
    expect_eq!(second, first, "the second answer");
    Ok(())
}

/// STOP of a processor that was never started asks nobody and holds nothing, in either mode: the image is loaded, and starts.
fn stopped_before_started(context: &mut Context) -> Outcome {
    let signs = super::firmware::load(context)?;
    let (order, request) = (memory::read_word(memory::ORDER), memory::read_word(memory::STOP_REQUEST));
    for mode in [StopMode::Graceful { milliseconds: 60_000 }, StopMode::Forced] {
        let requests = context.client.tee().transport().direct_requests();
        context.client.stop(mode).map_err(|error| failure!("stop: {error}"))?;
        let requests = context.client.tee().transport().direct_requests() - requests;
        expect_eq!(requests, 1, "the number of requests that the stop takes");
        let status = context.client.status().map_err(|error| failure!("GET_STATUS: {error}"))?;
        expect_eq!((status.state, status.operation), (ProcessorState::Loaded, None), "state and operation");
    }
    let after = (memory::read_word(memory::ORDER), memory::read_word(memory::STOP_REQUEST));
    expect_eq!(after, (order, request), "the control page's order and request");
    let heartbeat = super::firmware::start(context, signs)?;
    super::firmware::stop(context, heartbeat)
}

/// The second load reads no segment: the copy that it is given holds no byte of them any more.
fn same_image_again(context: &mut Context) -> Outcome {
    let sample = context.sample()?;
    context.load(sample).map_err(|error| failure!("{error}"))?;
    let mut before = [0; 4096];
    memory::read(memory::REGIONS.start + 0x10_0000, &mut before);

    let copy = File { address: memory::SCRATCH.start, ..sample };
    memory::copy(sample.address, copy.address, sample.length);
    let images = super::flips::metadata_length(copy)?;
    for offset in images..copy.length {
        memory::write(copy.address + offset, &[0xEE]);
    }
    let requests = context.client.tee().transport().direct_requests();
    context.load(copy).map_err(|error| failure!("the second load: {error}"))?;
    let requests = context.client.tee().transport().direct_requests() - requests;
    expect_eq!(requests, 1, "the number of requests that the second load takes");
    let mut after = [0; 4096];
    memory::read(memory::REGIONS.start + 0x10_0000, &mut after);
    expect!(before == after, "the second load has written");
    // The same bytes are refused when nothing is loaded.
    context.client.release().map_err(|error| failure!("{error}"))?;
    expect!(context.load(copy).is_err(), "an image without its segments loads");
    Ok(())
}

fn another_image(context: &mut Context) -> Outcome {
    let (sample, second) = (context.sample()?, context.second()?);
    context.load(sample).map_err(|error| failure!("{error}"))?;
    let outcome = context.load(second);
    context.expect_load_refused(outcome, Refusal::AnotherImageLoaded)?;
    // The first image stands.
    context.client.resource_table().map_err(|error| failure!("the first image's table: {error}"))?;
    context.load(sample).map_err(|error| failure!("the first image again: {error}"))
}

fn load_after_release(context: &mut Context) -> Outcome {
    let (sample, second) = (context.sample()?, context.second()?);
    context.load(sample).map_err(|error| failure!("{error}"))?;
    context.client.release().map_err(|error| failure!("{error}"))?;
    context.load(second).map_err(|error| failure!("{error}"))
}

impl Context {
    fn expect_command_refused_after_release(&mut self) -> Outcome {
        let outcome = self.client.start();
        self.expect_command_refused(outcome, Refusal::NotLoaded)
    }
}
