//! Demo runs, started as a user starts them: exit code and JSON are judged.
use super::{Suite, signed};
use crate::large;
use crate::machine::Firmware;
use crate::process::{self, Stream};
use crate::progress;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::ExitStatus;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

/// A demo run and what it has to show.
struct Case {
    name: &'static str,
    /// Paths are below the workspace's root.
    arguments: &'static [&'static str],
    exit: i32,
    facts: &'static [Fact],
}

/// Something that the JSON has to say.
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    /// The text of a step contains this.
    Step(&'static str, &'static str),
    /// The partition's log or the payload's lines before some step contain this.
    Detail(&'static str),
    /// The line about the signature contains this.
    Signature(&'static str),
    /// The load was told in at least so many steps, upwards to at least so many bytes.
    Progress { steps: usize, bytes: u64 },
    /// The core was released so often.
    Releases(u64),
    /// The core was started here.
    BootAddress(&'static str),
    /// The demo failed, and the text about it contains this.
    Failure(&'static str),
    /// The image was refused for this.
    Refusal(&'static str),
}

const RSA2048: &str = "tests/vectors/keys/rsa2048.pub.pem";
const RSA4096: &str = "tests/vectors/keys/rsa4096.pub.pem";
const P256: &str = "tests/vectors/keys/p256.pub.pem";
const VECTOR_01: &str = "tests/vectors/01-rsa2048-m4.sig";
const VECTOR_02: &str = "tests/vectors/02-rsa4096-multi-m33.sig";
const VECTOR_03: &str = "tests/vectors/03-ecdsa-p256-m4.sig";
const VECTOR_04: &str = "tests/vectors/04-rsa2048-platTLV-keyinfo.sig";
const VECTOR_05: &str = "tests/vectors/05-st-rsa2048-bootaddr-sec.sig";
const VECTOR_06: &str = "tests/vectors/06-st-enc-aes256cbc-rsa2048.sig";
const REFUSED: &str = "tests/vectors/negative/n10-segbyte.sig";

const CASES: &[Case] = &[
    Case {
        name: "own firmware",
        arguments: &[],
        exit: 0,
        facts: &[
            Fact::Signature("rsa2048"),
            Fact::Progress { steps: LARGE_STEPS, bytes: large::LOADED as u64 },
            Fact::Step("table", "0x80a00000"),
            Fact::Step("heartbeat", "0x80a02000"),
            Fact::Detail("trace: "),
            Fact::BootAddress("0x80000000"),
            Fact::Releases(1),
        ],
    },
    Case {
        name: "own firmware on the Cortex-M4",
        arguments: &["--processor", "1"],
        exit: 0,
        facts: &[
            Fact::Detail("m4: segment 0x21d00000 at 0x80d00000"),
            Fact::Step("table", "0x80e00000, size 0xa0"),
            Fact::Detail("trace: m4: alive"),
            Fact::Step("heartbeat", "0x80e02000"),
            Fact::Step("clear", "0x80d00000 to 0x80e3ffff"),
            Fact::BootAddress("0x21d00000"),
            Fact::Releases(1),
        ],
    },
    Case {
        name: "04 on the Cortex-M4, which has other memory",
        arguments: &["--processor", "1", "--image", VECTOR_04, "--key", RSA2048],
        exit: 3,
        facts: &[Fact::Refusal("SEGMENT_OUTSIDE_REGIONS"), Fact::Releases(0)],
    },
    Case {
        name: "04, a word of the window is watched",
        arguments: &["--image", VECTOR_04, "--key", RSA2048, "--watch", "0x80a00010"],
        exit: 0,
        facts: &[
            Fact::Step("table", "0x80a00210, size 0x90"),
            Fact::Step("before", "0x80a00010"),
            Fact::Step("heartbeat", "0x80a00010 moves"),
            Fact::Step("stands", "0x80a00010"),
            Fact::BootAddress("0x80100000"),
            Fact::Releases(1),
        ],
    },
    Case {
        name: "02, RSA-4096, two images",
        arguments: &["--image", VECTOR_02, "--key", RSA4096, "--watch", "0x80080010"],
        exit: 0,
        facts: &[
            Fact::Signature("4096"),
            Fact::Detail("segment 0x80000000"),
            Fact::Detail("segment 0x80100000"),
            Fact::Step("heartbeat", "0x80080010 moves"),
            Fact::Releases(1),
        ],
    },
    Case {
        name: "02, nothing to watch",
        arguments: &["--image", VECTOR_02, "--key", RSA4096],
        exit: 0,
        facts: &[Fact::Step("start", "released"), Fact::Step("stop", ""), Fact::Releases(1)],
    },
    Case {
        name: "05, boot address and secure boot",
        arguments: &["--image", VECTOR_05, "--key", RSA2048, "--watch", "0x80080010"],
        exit: 0,
        facts: &[
            Fact::Step("heartbeat", "0x80080010 moves"),
            Fact::Detail("BOOTSEC"),
            Fact::BootAddress("0x80000000"),
            Fact::Releases(1),
        ],
    },
    Case {
        name: "06, encrypted",
        arguments: &["--image", VECTOR_06, "--key", RSA2048, "--watch", "0x80a00010"],
        exit: 0,
        facts: &[
            Fact::Step("table", "0x80a00210, size 0x90"),
            Fact::Step("heartbeat", "0x80a00010 moves"),
            Fact::BootAddress("0x80100000"),
            Fact::Releases(1),
        ],
    },
    Case {
        name: "01, not started",
        arguments: &["--image", VECTOR_01, "--key", RSA2048, "--no-start"],
        exit: 0,
        facts: &[Fact::Step("table", "0x80c30210, size 0x90"), Fact::Releases(0)],
    },
    Case {
        name: "03, ECDSA P-256, an RSA key trusted beside",
        arguments: &["--image", VECTOR_03, "--key", RSA2048, "--key", P256, "--no-start"],
        exit: 0,
        facts: &[
            Fact::Signature("ECDSA P-256 with SHA-256 by key \"p256\""),
            Fact::Step("table", "0x80c30210, size 0x90"),
            Fact::Releases(0),
        ],
    },
    Case {
        name: "01, RSA, a P-256 key trusted beside",
        arguments: &["--image", VECTOR_01, "--key", P256, "--key", RSA2048, "--no-start"],
        exit: 0,
        facts: &[Fact::Signature("by key \"rsa2048\""), Fact::Releases(0)],
    },
    Case {
        name: "a changed file is refused",
        arguments: &["--image", REFUSED, "--key", RSA2048],
        exit: 3,
        facts: &[Fact::Refusal("SEGMENT_HASH_MISMATCH"), Fact::Releases(0)],
    },
    Case {
        name: "another key is refused",
        arguments: &["--image", VECTOR_04, "--key", RSA4096],
        exit: 3,
        facts: &[Fact::Refusal("SIGNATURE_LENGTH"), Fact::Releases(0)],
    },
    Case {
        name: "a step that fails names itself",
        // Nobody writes this word of the shared region.
        arguments: &["--image", VECTOR_04, "--key", RSA2048, "--watch", "0x80b00000"],
        exit: 1,
        facts: &[Fact::Failure("heartbeat"), Fact::Releases(1)],
    },
    Case {
        name: "an image without a key is a usage error",
        arguments: &["--image", VECTOR_04],
        exit: 1,
        facts: &[],
    },
    Case {
        name: "an image of another algorithm than the key's is refused",
        arguments: &["--image", VECTOR_04, "--key", P256],
        exit: 3,
        facts: &[Fact::Refusal("NO_TRUSTED_KEY"), Fact::Releases(0)],
    },
    Case {
        name: "a file that is no public key is an error",
        arguments: &["--image", VECTOR_04, "--key", "tests/vectors/README.md"],
        exit: 1,
        facts: &[],
    },
];

/// The cases whose outcome depends on the firmware below the partition.
const ON_PREBUILT_FIRMWARE: [&str; 3] =
    ["own firmware", "05, boot address and secure boot", "a changed file is refused"];

/// A slice is 128 KiB, and each is told.
const LARGE_STEPS: usize = (large::LOADED as usize) >> 17;
/// A demo as a person sees it who has no terminal.
const PLAIN: &str = "demo: the progress of a load in plain lines";

/// Runs them.
pub fn run(suite: &mut Suite) -> Result<()> {
    let prebuilt = matches!(suite.firmware, Firmware::Prebuilt(_));
    let name = suite.title(PLAIN);
    if suite.wants(&name) && !prebuilt {
        match plain(suite) {
            Ok(()) => suite.tally.passed(&name),
            Err(error) => suite.tally.failed(&name, &format!("{error:#}")),
        }
    }
    for case in CASES {
        let name = suite.title(&format!("demo: {}", case.name));
        if !suite.wants(&name) || prebuilt && !ON_PREBUILT_FIRMWARE.contains(&case.name) {
            continue;
        }
        let step = progress::step(&name);
        let judged = judge(suite, case.arguments, case.exit, case.facts);
        drop(step);
        process::check_interrupt()?;
        match judged {
            Ok(()) => suite.tally.passed(&name),
            Err(error) => suite.tally.failed(&name, &format!("{error:#}")),
        }
    }
    if prebuilt { Ok(()) } else { signed::run(suite) }
}

/// Runs a demo; returns its exit code, output and errors.
fn start(suite: &Suite, arguments: &[&str]) -> Result<(ExitStatus, String, String)> {
    let mut command = process::command(std::env::current_exe()?);
    match &suite.firmware {
        Firmware::Fixture => command.arg("demo"),
        Firmware::Prebuilt(folder) => command.args(["run", "--demo", "--firmware"]).arg(folder.path()),
    };
    command.args(arguments).current_dir(&suite.workspace.root);
    let (mut output, mut error) = (String::new(), String::new());
    let status = process::run(command, LIMIT, |stream, line| {
        let text = if stream == Stream::Output { &mut output } else { &mut error };
        text.push_str(line);
        text.push('\n');
        Ok(())
    })?;
    Ok((status, output, error))
}

/// Ten lines tell how far the load is; output ends with the verdict.
fn plain(suite: &Suite) -> Result<()> {
    let (status, output, error) = start(suite, &["--no-start"])?;
    let told = error.lines().filter(|line| line.starts_with("xtask: loading: ")).count();
    let ended = output.lines().any(|line| line == "PASS");
    if !status.success() || !ended || told != 10 || !error.contains("loading: 100 %") {
        bail!("it ended with {status} and {told} lines of progress\n{error}{output}");
    }
    Ok(())
}

/// Runs a demo and checks its exit code and what it shows.
pub fn judge(suite: &Suite, arguments: &[&str], exit: i32, facts: &[Fact]) -> Result<()> {
    let arguments: Vec<_> = ["--json"].iter().chain(arguments).copied().collect();
    let (status, output, error) = start(suite, &arguments)?;
    if status.code() != Some(exit) {
        bail!("it ended with {status} instead of exit code {exit}\n{error}{output}");
    }
    if facts.is_empty() {
        return Ok(());
    }
    let shown: Value = serde_json::from_str(&output).context("its output is not JSON")?;
    for fact in facts {
        if !fact.holds(&shown) {
            bail!("{fact:?} was not shown\n{output}");
        }
    }
    Ok(())
}

impl Fact {
    fn holds(self, shown: &Value) -> bool {
        let contains = |value: &Value, text: &str| value.as_str().is_some_and(|value| value.contains(text));
        let steps = shown["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Self::Step(name, text) => steps
                .iter()
                .any(|step| step["name"] == name && step["ok"] == true && contains(&step["text"], text)),
            Self::Detail(text) => steps
                .iter()
                .filter_map(|step| step["details"].as_array())
                .flatten()
                .any(|detail| contains(detail, text)),
            Self::Signature(text) => contains(&shown["signature"], text),
            Self::Progress { steps, bytes } => {
                let told: Vec<u64> =
                    shown["progress"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
                told.len() >= steps && told.is_sorted() && told.last().is_some_and(|last| *last >= bytes)
            }
            Self::Releases(count) => shown["releases"] == count,
            Self::BootAddress(address) => shown["boot_address"] == address,
            Self::Failure(text) => contains(&shown["failure"], text),
            Self::Refusal(name) => shown["refusal"]["name"] == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cases_for_prebuilt_firmware_exist() {
        for name in ON_PREBUILT_FIRMWARE {
            assert!(CASES.iter().any(|case| case.name == name), "{name}");
        }
    }

    #[test]
    fn facts_are_found_in_what_was_shown() {
        let shown = json!({
            "steps": [{"name": "table", "ok": true, "text": "at 0x10, size 0x90", "details": ["partition: BOOTSEC"]},
                      {"name": "stop", "ok": false, "text": "BUSY", "details": []}],
            "signature": "by key \"rsa2048\"", "releases": 1, "boot_address": "0x80000000",
            "progress": [1, 5, 5], "refusal": null, "failure": "heartbeat: it stands",
        });
        for (fact, holds) in [
            (Fact::Step("table", "size 0x90"), true),
            (Fact::Step("table", "0x91"), false),
            (Fact::Step("stop", "BUSY"), false),
            (Fact::Detail("BOOTSEC"), true),
            (Fact::Detail("trace"), false),
            (Fact::Signature("rsa2048"), true),
            (Fact::Signature("rsa4096"), false),
            (Fact::Progress { steps: 3, bytes: 5 }, true),
            (Fact::Progress { steps: 4, bytes: 5 }, false),
            (Fact::Progress { steps: 3, bytes: 6 }, false),
            (Fact::Releases(1), true),
            (Fact::Releases(0), false),
            (Fact::BootAddress("0x80000000"), true),
            (Fact::Failure("heartbeat"), true),
            (Fact::Failure("stop"), false),
            (Fact::Refusal("BAD_MAGIC"), false),
        ] {
            assert_eq!(fact.holds(&shown), holds, "{fact:?}");
        }
    }
}
