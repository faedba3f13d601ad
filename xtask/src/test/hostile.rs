//! An image that another CPU changes while it is being loaded: the payload's `hostile` case, and a control with a partition that
//! copies the segments a second time, where the same loads must show one that is not what was signed.
use super::Suite;
use super::emulated::{SAMPLE, key, place, run, run_images, vectors_directory};
use crate::firmware;
use crate::machine::Clock;
use crate::parameters::Parameters;
use crate::sign;
use anyhow::Result;

/// Most loads of the control, which ends with the first that shows the hole: many more than it takes.
const CONTROL_LOADS: u32 = 2_000;

/// Runs the case, then the control.
pub fn run_all(suite: &mut Suite) -> Result<()> {
    flips(suite, "hostile", None)?;
    control(suite)
}

/// So many loads, or as many as the case makes by itself, with the partition as it is released.
pub fn flips(suite: &mut Suite, title: &str, loads: Option<u32>) -> Result<()> {
    let mut parameters = parameters(suite)?;
    parameters.set("test", "hostile::")?;
    if let Some(loads) = loads {
        parameters.set("flip-loads", &loads.to_string())?;
    }
    let keys = [key(&vectors_directory(suite), SAMPLE.1)?];
    run(suite, title, 0, &keys, "", &parameters).map(drop)
}

/// The same loads show what copying once keeps away.
fn control(suite: &mut Suite) -> Result<()> {
    let mut images = suite.images()?;
    images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, firmware::CONTROL)?;
    let mut parameters = parameters(suite)?;
    parameters.set("theme", "hostile")?;
    parameters.set("flip-loads", &CONTROL_LOADS.to_string())?;
    let keys = [key(&vectors_directory(suite), SAMPLE.1)?];
    let title = "hostile, control that copies twice";
    let (outcome, facts) = run_images(suite, title, 0, &keys, "", &parameters, (&images, Clock::Host))?;
    for fact in facts.iter().filter(|fact| fact.starts_with("flips: ")) {
        println!("      {fact}");
    }
    println!("      {title}: {:.1} s", outcome.elapsed.as_secs_f64());
    Ok(())
}

/// The files that the cases need.
fn parameters(suite: &mut Suite) -> Result<Parameters> {
    let elf = suite.images()?.remote_firmware;
    let own = sign::own_firmware(&suite.workspace, &elf)?;
    let mut parameters = Parameters::new("test");
    if let Some(seed) = suite.seed {
        parameters.set("seed", &seed.to_string())?;
    }
    place(&mut parameters, "firmware", "remote-core-firmware.sig", own, "")?;
    let sample = vectors_directory(suite).join(SAMPLE.0);
    place(&mut parameters, "sample", SAMPLE.0, sample, "")?;
    let large = sign::large_firmware(&suite.workspace, &elf)?;
    place(&mut parameters, "large", "large-firmware.sig", large, "")?;
    Ok(parameters)
}
