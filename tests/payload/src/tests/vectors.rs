//! Containers with a known judgement, handed in by the host: good ones load, broken ones are refused for their own defect.
use crate::context::Context;
use crate::framework::{self, Outcome, Text};
use crate::parameters::{File, file};
use crate::{expect_eq, failure, memory};
use remoteproc_refusal::Refusal;

/// What fills the processor's memory before each load.
const FILLER: u8 = 0xA5;

/// What has to happen to a container.
#[derive(Clone, Copy)]
enum Expectation {
    /// It loads.
    Load,
    /// It is refused before the signature verified: nothing may have been written.
    Before(Refusal),
    /// It is refused later: everything must have been cleared.
    After(Refusal),
}

/// Runs one case for each `vector=`.
pub fn run(context: &mut Context) {
    let parameters = context.parameters;
    for (index, text) in parameters.values("vector").enumerate() {
        let name = match text.split_once(',') {
            Some((name, _)) => Text::of(format_args!("vectors::{name}")),
            None => Text::of(format_args!("vectors::{index}")),
        };
        framework::run(context, name.as_str(), |context| {
            let (file, expectation) =
                parse(text).ok_or_else(|| failure!("the parameter is malformed: {text}"))?;
            judge(context, file, expectation)
        });
    }
}

/// Judges the container of this name, `vectors::` and its file.
pub fn judge_by_name(context: &mut Context, name: &str) -> Outcome {
    let file = name.strip_prefix("vectors::").ok_or_else(|| failure!("there is no case {name}"))?;
    let parameters = context.parameters;
    let text = parameters.values("vector").find(|text| text.split(',').next() == Some(file));
    let (file, expectation) = text.and_then(parse).ok_or_else(|| failure!("there is no container {file}"))?;
    judge(context, file, expectation)
}

fn parse(text: &'static str) -> Option<(File, Expectation)> {
    let expectation = text.split(',').nth(3)?;
    let refusal = |name: &str| Refusal::ALL.iter().copied().find(|refusal| refusal.name() == name);
    let expectation = match expectation.split_once(':') {
        None if expectation == "load" => Expectation::Load,
        Some(("before", name)) => Expectation::Before(refusal(name)?),
        Some(("after", name)) => Expectation::After(refusal(name)?),
        _ => return None,
    };
    Some((file(text)?, expectation))
}

fn judge(context: &mut Context, file: File, expectation: Expectation) -> Outcome {
    let releases = memory::read_word(memory::RELEASES);
    memory::fill(memory::REGIONS, FILLER);
    let outcome = context.load(file);
    let verdict = match expectation {
        Expectation::Load => {
            outcome.map_err(|error| failure!("{error}")).and_then(|()| match context.client.release() {
                Ok(()) => context.expect_clear(),
                Err(error) => Err(failure!("release: {error}")),
            })
        }
        Expectation::Before(refusal) => {
            context.expect_load_refused(outcome, refusal).and_then(|()| context.expect_filled(FILLER))
        }
        Expectation::After(refusal) => {
            context.expect_load_refused(outcome, refusal).and_then(|()| context.expect_clear())
        }
    };
    // What a refusal before the claim left is this case's own filler.
    if matches!(expectation, Expectation::Before(_)) {
        memory::fill(memory::REGIONS, 0);
    }
    expect_eq!(memory::read_word(memory::RELEASES), releases, "the number of releases from reset");
    verdict
}
