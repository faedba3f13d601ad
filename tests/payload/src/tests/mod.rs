//! The system tests, one theme a file.
mod addresses;
mod bounds;
mod claims;
mod contexts;
mod controls;
mod counters;
mod discovery;
mod door_t;
mod dump;
mod events;
mod families;
mod faults;
mod firmware;
mod flips;
mod fuzz;
mod hostile;
mod large;
mod lifecycle;
mod machines;
mod measurements;
mod places;
mod preemption;
mod processors;
mod requests;
mod scattered;
mod sharing;
mod slices;
mod soak;
mod status;
mod stop;
mod vectors;
mod waits;

use crate::context::Context;
use crate::framework::{self, Case};
use crate::parameters::Parameters;

/// All cases that are known when this is built; the vectors come from the parameters.
const THEMES: &[&[Case]] = &[
    discovery::CASES,
    requests::CASES,
    status::CASES,
    families::CASES,
    door_t::CASES,
    lifecycle::CASES,
    measurements::CASES,
    sharing::CASES,
    addresses::CASES,
    scattered::CASES,
    flips::CASES,
    hostile::CASES,
    slices::CASES,
    claims::CASES,
    machines::CASES,
    processors::CASES,
    large::CASES,
    firmware::CASES,
    stop::CASES,
    dump::CASES,
    events::CASES,
    preemption::CASES,
    contexts::CASES,
    fuzz::CASES,
];

/// Cases that need a machine of their own: an emulator that counts instructions, another build of the partition, or one that has
/// just booted. They run only where the parameters name their theme, and then nothing else does.
const SPECIAL: &[(&str, &[Case])] = &[
    ("addresses", addresses::CONTROL),
    ("bounds", bounds::CASES),
    ("counters", counters::CASES),
    ("faults", faults::CASES),
    ("hostile", hostile::CONTROL),
    ("places", places::CASES),
    ("soak", soak::CASES),
    ("waits", waits::CASES),
];

/// Runs what the parameters choose and prints the end line.
pub fn run(parameters: Parameters) {
    let mut context = match Context::new(parameters) {
        Ok(context) => context,
        Err(why) => return framework::fail_run(format_args!("{}", why.as_str())),
    };
    match context.parameters.value("theme") {
        None => {
            for case in THEMES.iter().copied().flatten() {
                framework::run(&mut context, case.name, case.run);
            }
            vectors::run(&mut context);
        }
        Some("controls") => controls::run(&mut context),
        Some(theme) => match SPECIAL.iter().find(|(name, _)| *name == theme) {
            Some((_, cases)) => {
                cases.iter().for_each(|case| framework::run(&mut context, case.name, case.run));
            }
            None => return framework::fail_run(format_args!("there is no theme {theme}")),
        },
    }
    framework::end();
}
