//! Controls: each case that proves a defence has to fail in a partition without that defence, and to pass in the same partition with it.
//!
//! The partition is a build that takes a guard out on request (`sp/src/guards.rs`). What is tried without what comes from the
//! parameters: `control=NAME,GUARD,CASE,REASON`, where CASE has to fail with REASON in what it says.
use super::{SPECIAL, THEMES, contexts, vectors};
use crate::context::{Context, HYPERVISOR};
use crate::framework::{self, Failure, Outcome, Text};
use crate::parameters::number;
use crate::{expect_eq, failure, say};

/// The command that takes a guard out.
const COMMAND: u64 = 0xFA18;
/// No guard.
const NONE: u64 = 0;

/// Takes a guard out, by its number; whichever was out stands again.
pub fn take_out(context: &mut Context, guard: u64) -> Outcome {
    let answer = context.ask([COMMAND, guard, 0, 0, 0])?;
    expect_eq!((answer.result, answer.values), (0, [0; 4]), "the answer of a partition for controls");
    Ok(())
}

/// Runs what each `control=` says.
pub fn run(context: &mut Context) {
    let parameters = context.parameters;
    for text in parameters.values("control") {
        let name = text.split(',').next().unwrap_or_default();
        let name = Text::of(format_args!("controls::{name}"));
        framework::run(context, name.as_str(), |context| control(context, text));
    }
}

fn control(context: &mut Context, text: &'static str) -> Outcome {
    let mut fields = text.splitn(4, ',');
    let mut field = || fields.next().ok_or_else(|| failure!("the parameter is malformed: {text}"));
    let (name, guard, case, reason) = (field()?, field()?, field()?, field()?);
    let guard = number(guard).ok_or_else(|| failure!("{guard} is no number"))?;
    take_out(context, guard)?;
    let outcome = run_case(context, case).and_then(|()| context.expect_nothing_held());
    // A request that it has left interrupted goes on first; if there is none, that is refused.
    context.client.tee().transport().storm = None;
    let _ = contexts::resume(context);
    context.speak_as(HYPERVISOR)?;
    take_out(context, NONE)?;
    // Whatever it has done without its guard, the partition can clear away with it.
    if context.settle().is_err() {
        context.prepare()?;
        if let Ok(sample) = context.sample() {
            context.load(sample).map_err(|error| failure!("a load after {case}: {error}"))?;
        }
        context.settle()?;
    }
    match outcome {
        Ok(()) => return Err(failure!("{case} passes")),
        Err(Failure::Failed(why)) if why.as_str().contains(reason) => {
            say!("info without {name}: {case} fails: {}", why.as_str());
        }
        Err(Failure::Failed(why)) => return Err(failure!("{case} fails otherwise: {}", why.as_str())),
        Err(Failure::Skipped(why)) => return Err(Failure::Skipped(why)),
    }
    context.prepare()?;
    run_case(context, case)
}

/// Runs a case by its name.
fn run_case(context: &mut Context, name: &str) -> Outcome {
    let special = SPECIAL.iter().map(|(_, cases)| *cases);
    match THEMES.iter().copied().chain(special).flatten().find(|case| case.name == name) {
        Some(case) => (case.run)(context),
        None => vectors::judge_by_name(context, name),
    }
}
