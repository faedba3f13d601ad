//! `rproc-image`: signs, verifies and shows signed remote-processor firmware.
//!
//! Exit codes: 0 good; 1 a wrong command line, or a file that can't be read or written; 3 refused.
//!
//! | file | purpose |
//! |---|---|
//! | `cli`, `values` | the command line, and what its options take |
//! | `failure` | why a command ends without success, and how that is told |
//! | `files` | reading inputs, writing outputs whole or not at all |
//! | `key_file` | key files of every form |
//! | `key_information` | whether `--key_info` may publish a file |
//! | `passphrase` | where a passphrase comes from |
//! | `private_key` | keys that sign |
//! | `recipe` | what is to be signed, from the command line |
//! | `sign`, `two_steps`, `verify`, `inspect`, `keygen`, `pubkey` | the commands |
//! | `check` | the complete check of a container, by the partition's own reader |
//! | `diagnosis` | what a refused file seems to be instead |
//! | `layout` | a container taken apart, without believing it |
//! | `sections` | the resource table's section in an ELF file that nobody vouches for |
//! | `memory` | memory that segments are loaded to |
//! | `drawing` | segments as a picture |
//! | `resource_table` | a resource table's entries for machines |
#![forbid(unsafe_code)]

mod check;
mod cli;
mod diagnosis;
mod drawing;
mod failure;
mod files;
mod inspect;
mod key_file;
mod key_information;
mod keygen;
mod layout;
mod memory;
mod passphrase;
mod private_key;
mod pubkey;
mod recipe;
mod resource_table;
mod sections;
mod sign;
mod two_steps;
mod values;
mod verify;

use clap::Parser;
use failure::{Failure, Report};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where it goes, and whether it is help, clap knows.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let json = arguments.command.json();
    let result = match &arguments.command {
        cli::Command::Sign(arguments) => sign::run(arguments),
        cli::Command::Verify(arguments) => verify::run(arguments),
        cli::Command::Inspect(arguments) => inspect::run(arguments),
        cli::Command::Keygen(arguments) => keygen::run(arguments),
        cli::Command::Pubkey(arguments) => pubkey::run(arguments),
        cli::Command::Tbs(arguments) => two_steps::tbs(arguments),
        cli::Command::Attach(arguments) => two_steps::attach(arguments),
    };
    let written = match &result {
        Ok(report) => print(report, json),
        Err(failure) => complain(failure, json),
    };
    match (result, written) {
        // A pipe that nobody reads any more is no success.
        (_, Err(_)) => ExitCode::from(1),
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        (Err(failure), Ok(())) => ExitCode::from(failure.exit_code()),
    }
}

fn print(report: &Report, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json { writeln!(out, "{:#}", report.json) } else { out.write_all(report.text.as_bytes()) }?;
    out.flush()
}

fn complain(failure: &Failure, json: bool) -> std::io::Result<()> {
    if json {
        writeln!(std::io::stdout(), "{:#}", failure.json())
    } else {
        write!(std::io::stderr(), "{failure}")
    }
}
