//! One run of the emulated machine: the application core with its secure flash, and the remote cores behind the window.
use crate::console::Line;
use crate::firmware::Images;
use crate::manifest::{self, Key};
use crate::package;
use crate::parameters::{self, Parameters};
use crate::prebuilt::{self, Folder};
use crate::process::{self, Stream};
use crate::window;
use crate::workspace::{RunDirectory, Workspace};
use anyhow::{Context, Result};
use remote_core_supervisor::{Config, ControlWord, Core, Doorbell, Report, Supervisor, WINDOW, WINDOW_BYTES};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Board that this machine is: names the manifest.
const BOARD: &str = "qemu";
const EMULATOR: &str = "qemu-system-aarch64";
/// CPUs, as many as the manifest has execution contexts.
const PROCESSORS: u32 = 4;
const PAYLOAD_ADDRESS: u64 = 0x6000_0000;

/// What runs below the partition and the payload.
#[derive(Clone, Debug)]
pub enum Firmware {
    /// The test bench's own EL3 firmware and SPMC.
    Fixture,
    /// TF-A and Hafnium, built by others.
    Prebuilt(Folder),
}

/// What a run is about.
#[derive(Debug)]
pub struct Run<'a> {
    /// What boots it.
    pub firmware: &'a Firmware,
    /// Keys that the partition trusts.
    pub keys: &'a [Key],
    /// Further properties of the manifest's node `remoteproc`, devicetree source.
    pub properties: &'a str,
    /// The partition has one execution context, whatever its manifest says, instead of one for each CPU.
    pub one_context: bool,
    /// What the payload does.
    pub parameters: &'a Parameters,
    /// What the window holds before anybody writes it.
    pub fill: u8,
    /// The supervisor rings the doorbell after events; otherwise nobody tells the partition of them.
    pub doorbell: bool,
    /// The longest that it may take.
    pub limit: Duration,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The console as it came.
    pub console: String,
    /// Everything wrong with the run itself, whatever the payload says: no end in order, violations of FF-A's rules.
    pub problems: Vec<String>,
    /// What the Cortex-M33 did.
    pub remote: Report,
    /// What the Cortex-M4 did.
    pub remote_m4: Report,
    /// Device address of each core's last boot, as its control page holds it; by the processor's id.
    pub boot_addresses: [u32; 2],
    /// From the emulator's start to its end.
    pub elapsed: Duration,
}

impl Outcome {
    /// How often a processor was released from reset, and where it was started last: a device address. By the processor's id.
    pub fn starts(&self, processor: u32) -> (u32, u32) {
        let [m33, m4] = self.boot_addresses;
        if processor == 0 { (self.remote.releases, m33) } else { (self.remote_m4.releases, m4) }
    }
}

/// How the machine's time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// As the host's.
    #[default]
    Host,
    /// One nanosecond with each instruction that is executed, in any world: the same run takes the same time on any host.
    Instructions,
    /// The same with two CPUs, which the emulator runs in turn.
    InstructionsOfTwo,
}

/// Boots the machine, lets the payload do what the parameters say, and waits for its power-off.
///
/// # Errors
/// If the run can't be prepared, or the user interrupts. What goes wrong in the run is in the outcome.
pub fn run(
    workspace: &Workspace,
    images: &Images,
    run: &Run<'_>,
    on_line: impl FnMut(&str, &Line),
) -> Result<Outcome> {
    run_by_clock(workspace, images, run, Clock::Host, on_line)
}

/// As [`run`], by the clock that is named.
///
/// # Errors
/// Those of [`run`].
pub fn run_by_clock(
    workspace: &Workspace,
    images: &Images,
    run: &Run<'_>,
    clock: Clock,
    mut on_line: impl FnMut(&str, &Line),
) -> Result<Outcome> {
    let directory = RunDirectory::create(workspace)?;
    let mut properties = run.properties.to_owned();
    if matches!(run.firmware, Firmware::Prebuilt(_)) {
        // Before any node that the others hold.
        properties.insert_str(0, "spmc = \"hafnium\"; ");
    }
    let blob = manifest::compile(workspace, &directory, BOARD, run.keys, &properties, run.one_context)?;
    let packed = package::pack(&blob, &images.partition)?;
    let payload = directory.write("payload.bin", &images.payload)?;
    let flash = match run.firmware {
        Firmware::Fixture => package::flash(&images.el3_spmc, &packed)?,
        Firmware::Prebuilt(folder) => folder.flash(workspace, &directory, &packed, &payload)?,
    };
    let flash = directory.write("flash.bin", &flash)?;
    let told = directory.write("parameters.txt", &run.parameters.bytes()?)?;
    let window = directory.path().join("window.bin");
    window::create(&window, run.fill)?;

    let mut command = process::command(EMULATOR);
    let doorbell = doorbell(&directory)?;
    // Instructions are counted on all CPUs together: one, so that what is counted is the client's wait.
    let processors = match clock {
        Clock::Host => PROCESSORS,
        Clock::Instructions => 1,
        Clock::InstructionsOfTwo => 2,
    };
    describe_machine(&mut command, run.firmware, processors, &flash, &window, &doorbell);
    if clock != Clock::Host {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    if matches!(run.firmware, Firmware::Fixture) {
        // Real firmware loads the payload itself, from the flash.
        load(&mut command, &payload, PAYLOAD_ADDRESS);
    }
    load(&mut command, &told, parameters::ADDRESS);
    for file in run.parameters.files() {
        load(&mut command, &file.path, file.address);
    }

    let log = |name: &str| directory.path().join(name);
    let supervise = |mut configuration: Config| {
        let core = configuration.core;
        configuration.doorbell = run.doorbell.then(|| doorbell.clone());
        Supervisor::start(configuration).with_context(|| format!("the {core:?}'s supervisor does not start"))
    };
    let m33 = supervise(Config::new(&window, &images.boot_rom, log("cortex-m33.log")))?;
    let m4 = supervise(Config::cortex_m4(&window, log("cortex-m4.log")))?;
    let begun = Instant::now();
    let (mut lines, mut console) = (Vec::new(), String::new());
    let mut panicked = false;
    let ended = process::run(command, run.limit, |stream, text| {
        console.push_str(text);
        console.push('\n');
        let line = if stream == Stream::Output {
            Line::parse(text)
        } else {
            Line::parse(&format!("{EMULATOR}: {text}"))
        };
        on_line(text, &line);
        let panic = matches!(run.firmware, Firmware::Prebuilt(_)) && prebuilt::is_panic(&line);
        lines.push(line);
        panicked |= panic;
        anyhow::ensure!(!panic, "the firmware has panicked");
        Ok(())
    });
    let elapsed = begun.elapsed();
    let (remote, remote_m4) = (m33.finish(), m4.finish());
    process::check_interrupt()?;

    let mut problems = match run.firmware {
        Firmware::Fixture => problems(&lines),
        Firmware::Prebuilt(_) => prebuilt::problems(&lines),
    };
    match ended {
        Ok(status) if status.success() => {}
        // The firmware's own line is among the problems already.
        Err(_) if panicked => {}
        Ok(status) => problems.push(format!("the emulator ended with {status}")),
        Err(error) => problems.push(format!("{error:#} (limit {} s)", run.limit.as_secs())),
    }
    for (core, report) in [(Core::CortexM33, &remote), (Core::CortexM4, &remote_m4)] {
        problems.extend(report.failures.iter().map(|failure| format!("{core:?}: {failure}")));
        if window::control_word(&window, core, ControlWord::Releases)? != report.releases {
            problems.push(format!(
                "the control page and the supervisor of the {core:?} disagree about the number of releases"
            ));
        }
    }
    let boot_address = |core| window::control_word(&window, core, ControlWord::BootAddress);
    let boot_addresses = [boot_address(Core::CortexM33)?, boot_address(Core::CortexM4)?];
    Ok(Outcome { console, problems, remote, remote_m4, boot_addresses, elapsed })
}

/// What the lines of the test bench's EL3 firmware say against the run. They end with a count, so that nothing can be lost.
fn problems(lines: &[Line]) -> Vec<String> {
    let mut problems: Vec<String> =
        lines.iter().filter_map(Line::violation).map(|text| format!("violation {text}")).collect();
    match lines.iter().find_map(Line::end) {
        None => problems.push("the machine was not powered off in order".to_owned()),
        Some(count) if count != problems.len() as u64 => {
            problems.push(format!("{count} violations were counted, {} reported", problems.len()));
        }
        Some(_) => {}
    }
    problems
}

/// The doorbell's socket, among the run's files, or among the system's temporary ones if their path is too long for a socket.
fn doorbell(directory: &RunDirectory) -> Result<Doorbell> {
    let name = directory.path().file_name().unwrap_or_default().to_string_lossy();
    Doorbell::listen(&directory.path().join("doorbell"))
        .or_else(|_| {
            let path = std::env::temp_dir().join(format!("remoteproc-doorbell-{name}"));
            // A process of this number may have died before it could remove it.
            let _ = std::fs::remove_file(&path);
            Doorbell::listen(&path)
        })
        .context("the doorbell can't be made")
}

fn describe_machine(
    command: &mut Command,
    firmware: &Firmware,
    processors: u32,
    flash: &Path,
    window: &Path,
    doorbell: &Doorbell,
) {
    command.args(["-machine", "virt,secure=on,virtualization=on,gic-version=3"]);
    let cpu = match firmware {
        Firmware::Fixture => "max,sme=off,pauth-impdef=on",
        // With this emulator's SVE, Hafnium ends its boot with an undefined instruction.
        Firmware::Prebuilt(_) => "max,sve=off,sme=off,pauth-impdef=on",
    };
    command.args(["-cpu", cpu, "-smp", &processors.to_string(), "-no-reboot"]);
    command.args(["-m", "768M,slots=2,maxmem=4G", "-nic", "none", "-display", "none", "-monitor", "none"]);
    command.arg("-bios").arg(flash);
    let backend = format!(
        "memory-backend-file,id=window,size={}M,mem-path={},share=on",
        WINDOW_BYTES >> 20,
        option(window)
    );
    command.arg("-object").arg(backend);
    command.arg("-device").arg(format!("pc-dimm,memdev=window,addr={:#x}", WINDOW));
    command.args(["-serial", "stdio"]);
    // The second serial port is the secure world's.
    command.arg("-chardev").arg(format!("socket,id=doorbell,path={}", option(doorbell.path())));
    command.args(["-serial", "chardev:doorbell"]);
}

fn load(command: &mut Command, file: &Path, address: u64) {
    command.arg("-device").arg(format!("loader,file={},addr={address:#x},force-raw=on", option(file)));
}

/// A path inside an emulator option, where a comma has to be doubled.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
