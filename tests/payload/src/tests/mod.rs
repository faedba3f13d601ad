//! The system tests, one theme a file.
mod addresses;
mod discovery;
mod families;
mod firmware;
mod flips;
mod fuzz;
mod lifecycle;
mod preemption;
mod requests;
mod scattered;
mod sharing;
mod vectors;

use crate::context::Context;
use crate::framework::{self, Case};
use crate::parameters::Parameters;

/// All cases that are known when this is built; the vectors come from the parameters.
const THEMES: &[&[Case]] = &[
    discovery::CASES,
    requests::CASES,
    families::CASES,
    lifecycle::CASES,
    sharing::CASES,
    addresses::CASES,
    scattered::CASES,
    flips::CASES,
    firmware::CASES,
    preemption::CASES,
    fuzz::CASES,
];

/// Runs what the parameters choose and prints the end line.
pub fn run(parameters: Parameters) {
    let mut context = match Context::new(parameters) {
        Ok(context) => context,
        Err(why) => return framework::fail_run(format_args!("{}", why.as_str())),
    };
    for case in THEMES.iter().copied().flatten() {
        framework::run(&mut context, case.name, case.run);
    }
    vectors::run(&mut context);
    framework::end();
}
