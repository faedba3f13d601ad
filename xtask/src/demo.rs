//! `cargo xtask demo`: one firmware image from its load to its release, shown step by step.
use crate::console::Line;
use crate::firmware;
use crate::machine::{self, Firmware};
use crate::manifest::Key;
use crate::parameters::Parameters;
use crate::progress::Transfer;
use crate::report::{self, Ending, Report};
use crate::window;
use crate::workspace::Workspace;
use crate::{setup, sign};
use anyhow::{Context, Result, bail};
use remote_core_supervisor::{Core, WINDOW};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest demo, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What the demo takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Remote processor to use: 0 is the Cortex-M33, 1 the Cortex-M4
    #[arg(long, value_name = "ID", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..2))]
    processor: u32,
    /// Signed firmware to load instead of this project's own, which comes in an image of 10 MiB for the Cortex-M33
    #[arg(long, value_name = "FILE", requires = "key")]
    image: Option<PathBuf>,
    /// Public key to trust, PEM, RSA or P-256; up to four [default: the test key that signs this project's own firmware]
    #[arg(long, value_name = "PUB.pem")]
    key: Vec<PathBuf>,
    /// Physical address of a word of the window to watch instead of the heartbeat of this project's own firmware
    #[arg(long, value_name = "PHYSICAL_ADDRESS", value_parser = parse_address)]
    watch: Option<u64>,
    /// Load the firmware, show its resource table, release it; never start it
    #[arg(long)]
    no_start: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Show the whole console
    #[arg(long, conflicts_with = "json")]
    verbose: bool,
}

fn parse_address(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let address = number.map_err(|error| error.to_string())?;
    // The control pages lie behind everything that firmware could write.
    let window = WINDOW..Core::CortexM4.control_page();
    if !window.contains(&address) || !address.is_multiple_of(4) {
        return Err(format!("no word of the window {:#x}-{:#x}", window.start, window.end));
    }
    Ok(address)
}

impl Options {
    /// Whether standard output belongs to one JSON object.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// Runs it and returns the exit code.
pub fn run(options: &Options, firmware: &Firmware) -> Result<u8> {
    let workspace = Workspace::find()?;
    let begun = Instant::now();
    let toolchain = setup::ensure()?;
    let images = firmware::build_all(&workspace, &toolchain)?;
    let built = begun.elapsed();

    let image = match &options.image {
        Some(path) => path.clone(),
        None if options.processor == 0 => sign::large_firmware(&workspace, &images.remote_firmware)?,
        None => sign::own_firmware_m4(&workspace, &images.remote_firmware_m4)?,
    };
    let length = std::fs::metadata(&image).with_context(|| format!("cannot read {}", image.display()))?.len();
    if length == 0 {
        bail!("{} is empty", image.display());
    }
    let mut key_files = options.key.clone();
    if key_files.is_empty() {
        key_files.push(workspace.root.join(sign::PUBLIC_KEY));
    }
    let keys = key_files.iter().map(|path| Key::read(path)).collect::<Result<Vec<_>>>()?;
    let parameters = parameters(options, image.clone(), length)?;

    let name = image.file_name().unwrap_or_default().to_string_lossy();
    if !options.json {
        let labels: Vec<_> = keys.iter().map(|key| key.label.as_str()).collect();
        println!("{name}, {length} bytes; trusted key: {}", labels.join(", "));
    }
    let mut report = Report::default();
    let mut transfer = Transfer::new("loading");
    let run = machine::Run {
        firmware,
        keys: &keys,
        properties: "",
        doorbell: true,
        one_context: false,
        parameters: &parameters,
        fill: window::FILL,
        limit: LIMIT,
    };
    let outcome = machine::run(&workspace, &images, &run, |raw, line| {
        show(options, &mut report, &mut transfer, raw, line);
    })?;
    drop(transfer);

    let (releases, _) = outcome.starts(options.processor);
    let ending = report.ending(&wanted_steps(options), &outcome.problems, releases);
    let log = workspace.keep_console("demo", &outcome.console)?;
    if options.json {
        println!("{:#}", report.to_json(&ending, &outcome, options.processor));
        return Ok(ending.exit_code());
    }
    if !options.verbose && !matches!(ending, Ending::Passed) {
        report::print_details(report.rest());
    }
    for problem in &outcome.problems {
        println!("  {} {problem}", report::mark(false));
    }
    match &ending {
        Ending::Passed => println!("PASS"),
        Ending::Refused { refusal, result } => {
            println!("REFUSED {:#06x} {} ({result})", *refusal as u16, refusal.name());
            println!("{}", refusal.sentence());
        }
        Ending::Failed(text) => {
            println!("FAILED {text}");
            println!("The console is in {}", log.display());
        }
    }
    println!(
        "{:.1} s, of which {:.1} s in the emulator and {:.1} s for building",
        begun.elapsed().as_secs_f64(),
        outcome.elapsed.as_secs_f64(),
        built.as_secs_f64()
    );
    Ok(ending.exit_code())
}

fn parameters(options: &Options, image: PathBuf, length: u64) -> Result<Parameters> {
    let mut parameters = Parameters::for_processor("demo", options.processor);
    // The name is for the log only; a payload parameter can't hold every file name.
    parameters.file("image", "firmware", image, length, "")?;
    if let Some(address) = options.watch {
        parameters.set("watch", &format!("{address:#x}"))?;
    }
    if options.no_start {
        parameters.set("no-start", "1")?;
    }
    Ok(parameters)
}

fn show(options: &Options, report: &mut Report, transfer: &mut Transfer, raw: &str, line: &Line) {
    if options.verbose {
        println!("{raw}");
    }
    let before = report.progress();
    let step = report.line(line);
    if step.is_some() {
        transfer.end();
    }
    if let Some(step) = step
        && !options.json
        && !options.verbose
    {
        report::print_step(step);
    }
    if let Some((done, total)) = report.progress().filter(|now| before != Some(*now))
        && !options.json
        && !options.verbose
    {
        transfer.at(done, total);
    }
}

/// The steps that a good demo shows.
fn wanted_steps(options: &Options) -> Vec<&'static str> {
    let mut steps = vec!["partition", "service", "load", "table"];
    if !options.no_start {
        steps.extend(["start", "stop"]);
        if options.watch.is_some() || options.image.is_none() {
            steps.extend(["before", "heartbeat", "stands"]);
        }
        if options.watch.is_none() && options.image.is_none() {
            steps.push("trace");
        }
    }
    steps.extend(["release", "clear"]);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_addresses_are_words_of_the_window() {
        assert_eq!(parse_address("0x80a00010"), Ok(0x80a0_0010));
        assert_eq!(parse_address("2147483648"), Ok(0x8000_0000));
        for bad in ["0x80a00011", "0x40000000", "0x80ff0000", "x", ""] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
