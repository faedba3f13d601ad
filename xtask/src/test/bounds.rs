//! The longest that anybody waits: each single request of the payload's `bounds` cases, in executed instructions, beside the bare
//! cost of one slice and of one signature check in the same run. And a control without the limit, which must not pass.
mod images;
mod waits;

use super::Suite;
use super::emulated::{key, run_images, vectors_directory};
use crate::firmware;
use crate::machine::Clock;
use crate::manifest::Key;
use crate::parameters::Parameters;
use crate::report::mark;
use anyhow::{Context, Result, bail};
use remoteproc_image::write::{Container, EncryptionKey, Order, OwnedPublicKey, P256Key, RsaKey};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// How much longer than the longer of slice and signature check a request may take, percent.
const TOLERANCE: u64 = 5;
/// The control has to exceed the limit so many times.
const BY_FAR: u64 = 10;
/// Feature of a partition without the limit.
const UNBOUNDED: &str = "control-unbounded";
/// How the payload's lines begin.
const CALL: &str = "bounds call ";
const FLOOR: &str = "bounds floor ";

/// A command's longest request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    what: String,
    /// Requests that the command took.
    calls: u64,
    /// Instructions of the longest.
    longest: u64,
    /// Which of them it was.
    at: u64,
    /// Bytes of the container done then, where the command counts them.
    done: u64,
}

/// What a run has measured.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    calls: Vec<Call>,
    floors: Vec<(String, u64)>,
}

impl Figures {
    fn parse(facts: &[String]) -> Result<Self> {
        let mut figures = Self::default();
        for fact in facts {
            if let Some(text) = fact.strip_prefix(CALL) {
                figures.calls.push(call(text).with_context(|| format!("not understood: {fact}"))?);
            } else if let Some(text) = fact.strip_prefix(FLOOR) {
                let (what, cost) = text.split_once(" | ").with_context(|| format!("no figure: {fact}"))?;
                figures.floors.push((what.to_owned(), cost.trim().parse()?));
            }
        }
        Ok(figures)
    }

    fn floor(&self, part: &str) -> Result<u64> {
        let found = self.floors.iter().find(|(what, _)| what.contains(part));
        found.map(|(_, cost)| *cost).with_context(|| format!("the run told nothing of {part}"))
    }

    /// The larger of one slice (copied and hashed) and one signature check.
    fn larger(&self) -> Result<u64> {
        let slice = self.slice()?;
        Ok(slice.max(self.floor("RSA-4096")?).max(self.floor("P-256")?))
    }

    /// One slice: copied and hashed.
    fn slice(&self) -> Result<u64> {
        Ok(self.floor("copying")? + self.floor("hashing")?)
    }

    fn longest(&self) -> Result<&Call> {
        self.calls.iter().max_by_key(|call| call.longest).context("no request was measured")
    }

    /// What the longest request may take.
    fn limit(&self) -> Result<u64> {
        Ok(self.larger()? * (100 + TOLERANCE) / 100)
    }

    fn print(&self) -> Result<()> {
        println!("      bare, instructions:");
        for (what, cost) in &self.floors {
            println!("        {cost:>11}  {what}");
        }
        println!("      longest request of each command, from SMC to return:");
        for Call { what, calls, longest, at, done } in &self.calls {
            let bytes = if *done > 0 { format!(", at byte {done}") } else { String::new() };
            println!("        {longest:>11}  {what} (request {at} of {calls}{bytes})");
        }
        let (longest, limit) = (self.longest()?, self.limit()?);
        println!(
            "      {} longest of all {}: {}; limit {limit}",
            mark(longest.longest <= limit),
            longest.longest,
            longest.what
        );
        Ok(())
    }

    fn to_json(&self) -> Result<Value> {
        let floors: Vec<Value> =
            self.floors.iter().map(|(what, cost)| json!({"what": what, "instructions": cost})).collect();
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| {
                json!({
                    "what": call.what, "requests": call.calls, "longest_instructions": call.longest,
                    "longest_request": call.at, "bytes_done": call.done,
                })
            })
            .collect();
        Ok(json!({
            "bare": floors,
            "commands": calls,
            "longest_instructions": self.longest()?.longest,
            "limit_instructions": self.limit()?,
            "holds": self.longest()?.longest <= self.limit()?,
        }))
    }
}

/// Reads `WHAT | calls N, longest I, call K, bytes done B`.
fn call(text: &str) -> Option<Call> {
    let (what, figures) = text.split_once(" | ")?;
    let mut figures = figures.split(", ");
    let mut figure = |name: &str| figures.next()?.strip_prefix(name)?.trim().parse().ok();
    Some(Call {
        what: what.to_owned(),
        calls: figure("calls ")?,
        longest: figure("longest ")?,
        at: figure("call ")?,
        done: figure("bytes done ")?,
    })
}

/// The files that the payload measures with, and the keys that the partition trusts.
struct Files {
    files: Vec<(&'static str, PathBuf, u64)>,
    keys: Vec<Key>,
}

impl Files {
    fn make(suite: &Suite, m4: &[u8]) -> Result<Self> {
        let vectors = vectors_directory(suite);
        let private = |name: &str| {
            let path = vectors.join("keys").join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let rsa = RsaKey::from_pkcs8_der(&private("rsa4096.pk8.der")?)?;
        let p256 = P256Key::from_pkcs8_der(&private("p256.pk8.der")?)?;
        // The one that the manifest has.
        let cipher = EncryptionKey::new(&private("aes256.bin")?)?;
        let (own, curve) = (key(&vectors, "rsa4096")?, key(&vectors, "p256")?);
        let OwnedPublicKey::Rsa { modulus, exponent } = &own.key else { bail!("rsa4096 is no RSA key") };
        let OwnedPublicKey::P256 { point } = &curve.key else { bail!("p256 is no key of P-256") };

        // Another key of each kind, tried before the one that has signed.
        let mut other = modulus.clone();
        other[100] ^= 1;
        let other = OwnedPublicKey::Rsa { modulus: other, exponent: *exponent };
        let other = Key::new("rsa", other);
        let other_curve = P256Key::from_secret(&[1; 32])?.public().clone();
        let other_curve = Key::new("curve", other_curve);
        let mut files = Vec::new();
        let output = suite.workspace.output()?;
        for (name, bytes) in [
            ("large", images::large(&rsa)?),
            ("large-p256", images::large(&p256)?),
            ("heavy", images::heavy(&rsa)?),
            ("heavy-p256", images::heavy(&p256)?),
            ("encrypted-p256", images::large_encrypted(&p256, cipher)?),
            ("tangled", images::tangled(&p256)?),
            ("small", Container::new(Order::Mainline).image(m4).sign(&p256)?),
            ("rsa-key", modulus.clone()),
            ("p256-key", point.to_vec()),
        ] {
            let path = output.join(format!("bounds-{name}.bin"));
            fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
            files.push((name, path, bytes.len() as u64));
        }
        Ok(Self { files, keys: vec![other, other_curve, own, curve] })
    }

    fn parameters(&self, theme: &str, cases: &[&str]) -> Result<Parameters> {
        let mut parameters = Parameters::new("test");
        parameters.set("theme", theme)?;
        for case in cases {
            parameters.set("test", case)?;
        }
        for (name, path, length) in &self.files {
            parameters.file(name, name, path.clone(), *length, "")?;
        }
        Ok(parameters)
    }
}

/// Measures the partition, then the one without the limit.
pub fn run(suite: &mut Suite) -> Result<()> {
    let mut images = suite.images()?;
    let files = Files::make(suite, &images.remote_firmware_m4)?;

    let part = suite.part.clone();
    let wanted: Vec<&str> = part.iter().flat_map(|part| ["bounds::floors", part.as_str()]).collect();
    let parameters = files.parameters("bounds", &wanted)?;
    let counted = Clock::Instructions;
    let (outcome, facts) = run_images(suite, "bounds", 0, &files.keys, "", &parameters, (&images, counted))?;
    let figures = Figures::parse(&facts)?;
    figures.print()?;
    let (longest, limit) = (figures.longest()?.clone(), figures.limit()?);
    if longest.longest <= limit {
        suite.tally.passed("no request takes longer than the larger of one slice and one signature check");
    } else {
        let reason = format!("{} takes {} instructions, the limit is {limit}", longest.what, longest.longest);
        suite
            .tally
            .failed("no request takes longer than the larger of one slice and one signature check", &reason);
    }

    let waits = waits::run(suite, &files, &images, &figures)?;

    images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, UNBOUNDED)?;
    let parameters = files.parameters("bounds", &["bounds::floors", "bounds::life_rsa"])?;
    let title = "bounds, control without the limit";
    let (control_outcome, facts) =
        run_images(suite, title, 0, &files.keys, "", &parameters, (&images, counted))?;
    let control = Figures::parse(&facts)?;
    let (worst, limit) = (control.longest()?, control.limit()?);
    println!("      without the limit: {} takes {} instructions, limit {limit}", worst.what, worst.longest);
    if worst.longest > limit.saturating_mul(BY_FAR) {
        suite.tally.passed("without the limit, the same test fails");
    } else {
        suite.tally.failed("without the limit, the same test fails", "it does not exceed the limit by far");
    }
    waits::control(suite, &files, &images, &figures)?;
    if suite.json {
        println!(
            "{:#}",
            json!({"bounds": figures.to_json()?, "waits": waits, "without_limit": control.to_json()?})
        );
    }
    let seconds = (outcome.elapsed + control_outcome.elapsed).as_secs_f64();
    println!("      bounds: {seconds:.1} s");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(lines: &[&str]) -> Figures {
        Figures::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    const LINES: [&str; 6] = [
        "bounds floor copying 128 KiB | 100",
        "bounds floor hashing 128 KiB | 900",
        "bounds floor check of an RSA-4096 signature | 800",
        "bounds floor check of a P-256 signature | 2000",
        "bounds call GET_INFO | calls 1, longest 10, call 1, bytes done 0",
        "bounds call LOAD_FW, large | calls 170, longest 2100, call 3, bytes done 4096",
    ];

    #[test]
    fn the_limit_is_the_larger_floor_and_five_percent() {
        let figures = figures(&LINES);
        assert_eq!((figures.larger().unwrap(), figures.limit().unwrap()), (2000, 2100));
        let longest = figures.longest().unwrap();
        assert_eq!((longest.what.as_str(), longest.calls, longest.at), ("LOAD_FW, large", 170, 3));
        assert_eq!(figures.to_json().unwrap()["holds"], true);
    }

    #[test]
    fn missing_figures_are_noticed() {
        assert!(figures(&LINES[1..]).limit().is_err());
        assert!(figures(&LINES[..4]).longest().is_err());
        assert!(Figures::parse(&["bounds call X | calls".to_owned()]).is_err());
    }
}
