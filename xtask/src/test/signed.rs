//! Demo runs of images that `rproc-image` signed: the tool and the partition agree about them.
use super::Suite;
use super::demos::{self, Fact};
use super::sources::host_cargo;
use crate::firmware;
use crate::process;
use crate::progress;
use crate::workspace::RunDirectory;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_secs(900);
const LIMIT: Duration = Duration::from_secs(60);

/// Two images, of which the second has the resource table.
const INPUTS: &str = "--in tests/vectors/elf/fw_m33_s.elf --in tests/vectors/elf/fw_m33_ns.elf";
/// A published test key, which protects nothing.
const PRIVATE: &str = "tests/vectors/keys/p256.pk8.der";
const PUBLIC: &str = "tests/vectors/keys/p256.pub.pem";
/// The decryption key of the emulated machine's manifest.
const ENCRYPTION: &str = "--enc_key tests/vectors/keys/aes256.bin";
/// What is signed about the image, as the emulated machine accepts it.
const OWN_TLVS: &str = "--security-counter 5 --target-processor 0 --board qemu-virt --resource-table --key-id \
                        --fw-version 1.2.3-test --coredump denied";
/// What the tool has to know of the platform to judge as that does.
const PLATFORM: &str = "--security-counter 5 --target-processor 0 --board qemu-virt";
/// The second image writes this word while it runs.
const WATCH: &str = "0x80080010";

/// An image and what has to happen to it.
struct Case {
    name: &'static str,
    /// Who signs: the tool, or OpenSSL between the tool's two steps.
    signer: Signer,
    /// Options of `sign` or `tbs`.
    options: &'static [&'static str],
    /// Options of `verify`, which accepts the image.
    verify: &'static [&'static str],
    exit: i32,
    facts: &'static [Fact],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    Tool,
    OpenSsl,
}

const RUNS: &[Fact] = &[
    Fact::Signature("ECDSA P-256 with SHA-256 by key \"p256\""),
    Fact::Detail("segment 0x80000000"),
    Fact::Detail("segment 0x80100000"),
    Fact::Detail("security counter raised to 5"),
    Fact::Step("table", "size 0x90"),
    Fact::Step("heartbeat", "0x80080010 moves"),
    Fact::BootAddress("0x80000000"),
    Fact::Releases(1),
];
const IS_FOR_ANOTHER: &[Fact] = &[Fact::Refusal("TARGET_MISMATCH"), Fact::Releases(0)];

const CASES: [Case; 4] = [
    Case {
        name: "signed by rproc-image: encrypted, two images, P-256, all own TLVs",
        signer: Signer::Tool,
        options: &[OWN_TLVS, ENCRYPTION],
        verify: &[PLATFORM, ENCRYPTION],
        exit: 0,
        facts: RUNS,
    },
    Case {
        name: "signed by OpenSSL between tbs and attach",
        signer: Signer::OpenSsl,
        options: &[OWN_TLVS],
        verify: &[PLATFORM],
        exit: 0,
        facts: RUNS,
    },
    Case {
        name: "signed by rproc-image for another board",
        signer: Signer::Tool,
        options: &["--board other"],
        verify: &[],
        exit: 3,
        facts: IS_FOR_ANOTHER,
    },
    Case {
        name: "signed by rproc-image for another processor",
        signer: Signer::Tool,
        options: &["--target-processor 7 --board qemu-virt"],
        verify: &[],
        exit: 3,
        facts: IS_FOR_ANOTHER,
    },
];

/// Runs them.
pub fn run(suite: &mut Suite) -> Result<()> {
    let mut tool = None;
    for case in &CASES {
        let name = format!("demo: {}", case.name);
        if !suite.wants(&name) {
            continue;
        }
        if case.signer == Signer::OpenSsl && process::find_program("openssl").is_none() {
            suite.tally.skipped(&name, "the command openssl is not installed");
            continue;
        }
        let program = match &tool {
            Some(program) => program,
            None => tool.insert(build(suite)?),
        };
        let step = progress::step(&name);
        let judged = judge(suite, program, case);
        drop(step);
        process::check_interrupt()?;
        match judged {
            Ok(()) => suite.tally.passed(&name),
            Err(error) => suite.tally.failed(&name, &format!("{error:#}")),
        }
    }
    Ok(())
}

/// Builds the tool and returns its program.
fn build(suite: &Suite) -> Result<PathBuf> {
    let arguments = ["build", "--package", "rproc-image", "--message-format=json-render-diagnostics"];
    let step = progress::step("building rproc-image");
    let messages = process::capture(host_cargo(suite, &arguments), BUILD_LIMIT)?;
    drop(step);
    firmware::executable(&messages).context("cargo named no file for rproc-image")
}

fn judge(suite: &Suite, tool: &Path, case: &Case) -> Result<()> {
    let scratch = RunDirectory::create(&suite.workspace)?;
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let (image, unsigned, signature) = (path("fw.sig"), path("fw.unsigned"), path("signature.bin"));
    // The options have no blanks in them, paths may.
    let options = || [INPUTS].into_iter().chain(case.options.iter().copied()).flat_map(str::split_whitespace);
    let run = |program: &Path, arguments: &mut dyn Iterator<Item = &str>| {
        let mut command = process::command(program);
        command.args(arguments).current_dir(&suite.workspace.root);
        process::capture(command, LIMIT).map(drop)
    };
    match case.signer {
        Signer::Tool => {
            run(tool, &mut ["sign", "--key", PRIVATE, "--out", &image].into_iter().chain(options()))?;
        }
        Signer::OpenSsl => {
            run(tool, &mut ["tbs", "--key", PUBLIC, "--out", &unsigned].into_iter().chain(options()))?;
            let key = ["dgst", "-sha256", "-keyform", "DER", "-sign", PRIVATE];
            let files = ["-out", &signature, &format!("{unsigned}.tbs")];
            run(Path::new("openssl"), &mut key.into_iter().chain(files))?;
            let files = ["--in", &unsigned, "--signature", &signature, "--out", &image];
            run(tool, &mut ["attach", "--key", PUBLIC].into_iter().chain(files))?;
        }
    }
    let platform = case.verify.iter().copied().flat_map(str::split_whitespace);
    run(tool, &mut ["verify", &image, "--key", PUBLIC].into_iter().chain(platform))?;
    demos::judge(suite, &["--image", &image, "--key", PUBLIC, "--watch", WATCH], case.exit, case.facts)
}
