//! The project's front door: builds everything, runs it in the emulator, tests it, measures the partition.
#![forbid(unsafe_code)]

mod cargo_tools;
mod console;
mod coverage;
mod demo;
mod docs;
mod elf;
mod firmware;
mod fuzz;
mod image;
mod large;
mod machine;
mod manifest;
mod mutants;
mod package;
mod packages;
mod parameters;
mod prebuilt;
mod process;
mod progress;
mod report;
mod run;
mod setup;
mod sign;
mod test;
mod toolchain;
mod window;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Something went wrong, or the command line was not understood.
const FAILED: u8 = 1;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what building and running need: Rust targets, the emulator, the devicetree compiler
    Setup,
    /// Build the bare-metal programs
    Build,
    /// Load, start, watch, stop and release firmware on the emulated remote core, step by step
    #[command(
        after_help = "Exit codes: 0 all steps succeeded, 1 a step failed or the command could not run, \
                            3 the partition refused the image"
    )]
    Demo(demo::Options),
    /// Boot the same partition on TF-A and Hafnium binaries that you have: the demo, then the system tests
    #[command(
        after_help = "Exit codes: as those of demo with --demo, else 0 all passed, 1 a check failed or the command \
                            could not run"
    )]
    Run(run::Options),
    /// Run every check; the last line has the counts
    Test(test::Options),
    /// Do the same thing very often, and see that nothing gathers: messages, starts, loads that end early, crashes; long
    Soak(test::soak::Options),
    /// Write the pages of the documentation that are generated from the code
    Docs(docs::Options),
    /// Show the sizes of the partition's image beside their limits
    Image(image::Options),
    /// Fuzz the reader of containers, long
    Fuzz(fuzz::Options),
    /// Measure which lines of the image crate its own tests run
    Coverage(coverage::Options),
    /// Change the image crate's decisions one by one and see which changes its own tests miss
    Mutants(mutants::Options),
}

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        }
    };
    let code = process::catch_interrupts().and_then(|()| run(&command_line.command));
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(command: &Command) -> Result<u8> {
    match command {
        Command::Setup => {
            let toolchain = setup::ensure()?;
            println!("everything is there; the bare-metal programs are built with {}", toolchain.name());
            Ok(0)
        }
        Command::Build => {
            let workspace = workspace::Workspace::find()?;
            let images = firmware::build_all(&workspace, &setup::ensure()?)?;
            for (name, size) in [
                ("partition", images.partition.len()),
                ("EL3 firmware", images.el3_spmc.len()),
                ("payload", images.payload.len()),
                ("Cortex-M33's firmware (ELF)", images.remote_firmware.len()),
                ("Cortex-M4's firmware (ELF)", images.remote_firmware_m4.len()),
            ] {
                println!("{name}: {size} bytes");
            }
            println!("raw images: {}", workspace.output()?.display());
            Ok(0)
        }
        Command::Demo(options) => demo::run(options, &machine::Firmware::Fixture),
        Command::Run(options) => run::run(options),
        Command::Test(options) => test::run(options),
        Command::Soak(options) => test::soak::run(options),
        Command::Docs(options) => docs::run(options),
        Command::Image(options) => image::run(options),
        Command::Fuzz(options) => fuzz::run(options),
        Command::Coverage(options) => coverage::run(options),
        Command::Mutants(options) => mutants::run(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
        let parse = |words: &[&str]| CommandLine::try_parse_from([&["xtask", "run"], words].concat());
        assert!(parse(&["--firmware", "d", "--demo", "--json"]).is_ok());
        assert!(parse(&["--firmware", "d", "--test", "sharing::"]).is_ok());
        assert!(parse(&["--firmware", "d", "--demo", "--test", "x"]).is_err());
        assert!(parse(&["--demo"]).is_err());
    }
}
