//! Which keys and which counters the partition trusts. Each set of keys is a manifest of its own; each of the payload's `counters`
//! cases has a machine of its own, because the counter stays until the partition boots again.
use super::Suite;
use super::emulated::{key, place, run, run_images, vectors_directory};
use crate::firmware;
use crate::machine::Clock;
use crate::manifest::Key;
use crate::parameters::Parameters;
use crate::sign;
use anyhow::{Result, bail};

/// Two containers of the same key, with the key as PKEYINFO and without.
const WITH_KEY: &str = "04-rsa2048-platTLV-keyinfo.sig";
const WITHOUT_KEY: &str = "01-rsa2048-m4.sig";
/// Says that it is of that key, too, but its signature was changed.
const FORGED: &str = "negative/n09-sig-flip.sig";
/// A container of another key.
const OTHER: &str = "03-ecdsa-p256-m4.sig";

/// Keys of one manifest, and what has to happen to containers there. The last one loads.
struct Trust {
    name: &'static str,
    keys: Vec<Key>,
    containers: &'static [(&'static str, &'static str)],
}

/// What the firmware's security counters are.
const COUNTERS: [u32; 3] = [4, 5, 9];
/// The payload's cases.
const CASES: [&str; 5] = [
    "rises_when_the_firmware_runs",
    "lower_and_missing_are_refused",
    "stays_without_a_start",
    "stays_when_the_start_is_refused",
    "older_firmware_is_refused",
];
/// The one whose manifest leaves the counter to the owner.
const CONFIRMED: (&str, &str) = ("rises_when_confirmed", "processors { m33 { counter-on-confirm; }; };");
/// The one whose partition is a build that fails on request, and the feature of that.
const FAILING: (&str, &str) = ("stays_when_its_write_fails", "fault-injection");

/// Runs the cases.
pub fn run_all(suite: &mut Suite) -> Result<()> {
    let vectors = vectors_directory(suite);
    let (own, other) = (key(&vectors, "rsa2048")?, key(&vectors, "p256")?);
    let refused: &[_] = &[
        (WITH_KEY, "before:KEY_REVOKED"),
        (WITHOUT_KEY, "before:KEY_REVOKED"),
        // Whoever can't sign learns nothing of it.
        (FORGED, "before:SIGNATURE_INVALID"),
        (OTHER, "load"),
    ];
    let by_hash: &[_] = &[(WITHOUT_KEY, "before:KEY_INFORMATION_MISSING"), (WITH_KEY, "load")];
    let revoked_hash: &[_] = &[(WITH_KEY, "before:KEY_REVOKED"), (OTHER, "load")];
    for trust in [
        Trust { name: "revoked-key", keys: vec![own.clone().revoked(), other.clone()], containers: refused },
        Trust {
            // Revocation outweighs trust.
            name: "trusted-and-revoked",
            keys: vec![own.clone(), own.clone().by_hash().revoked(), other.clone()],
            containers: refused,
        },
        Trust { name: "key-by-hash", keys: vec![own.clone().by_hash()], containers: by_hash },
        Trust {
            name: "revoked-key-by-hash",
            keys: vec![own.clone().by_hash().revoked(), other],
            containers: revoked_hash,
        },
    ] {
        judge(suite, &trust)?;
    }
    counters(suite, &own)
}

/// Boots a partition that trusts so, and hands it the containers.
fn judge(suite: &mut Suite, trust: &Trust) -> Result<()> {
    let vectors = vectors_directory(suite);
    let mut parameters = Parameters::new("test");
    parameters.set("test", "vectors::")?;
    let mut count = 0;
    for (file, expect) in trust.containers {
        let name = format!("{}/{file}", trust.name);
        if suite.wants(&format!("vectors::{name}")) {
            place(&mut parameters, "vector", &name, vectors.join(file), expect)?;
            count += 1;
        }
    }
    let Some((good, "load")) = trust.containers.last() else { bail!("{}: nothing loads", trust.name) };
    if count == 0 {
        return Ok(());
    }
    // After each container the payload proves with it that a clean load still works.
    place(&mut parameters, "sample", good, vectors.join(good), "")?;
    let before = suite.tally.total();
    let outcome = run(suite, trust.name, 0, &trust.keys, "", &parameters)?;
    if suite.tally.total() < before + count {
        suite.tally.failed(trust.name, "not every container was judged");
    }
    if outcome.remote.releases > 0 {
        suite.tally.failed(trust.name, "the remote core was released although nothing was started");
    }
    Ok(())
}

/// The payload's cases about the security counter.
fn counters(suite: &mut Suite, own: &Key) -> Result<()> {
    let mut images = suite.images()?;
    let elf = images.remote_firmware.clone();
    let own_firmware = sign::own_firmware(&suite.workspace, &elf)?;
    for name in CASES.into_iter().chain([CONFIRMED.0, FAILING.0]) {
        let case = format!("counters::{name}");
        if !suite.wants(&case) {
            continue;
        }
        let mut parameters = Parameters::new("test");
        parameters.set("theme", "counters")?;
        parameters.set("test", &case)?;
        place(&mut parameters, "firmware", "remote-core-firmware.sig", own_firmware.clone(), "")?;
        for counter in COUNTERS {
            let path = sign::firmware_with_counter(&suite.workspace, &elf, counter)?;
            let name = format!("counter-{counter}");
            place(&mut parameters, &name, &name, path, "")?;
        }
        let before = suite.tally.total();
        if name == FAILING.0 {
            images.partition = firmware::build_test_partition(&suite.workspace, &suite.toolchain, FAILING.1)?;
        }
        let keys = std::slice::from_ref(own);
        let properties = if name == CONFIRMED.0 { CONFIRMED.1 } else { "" };
        run_images(suite, &case, 0, keys, properties, &parameters, (&images, Clock::Host))?;
        if suite.tally.total() == before {
            bail!("the payload has no case {case}");
        }
    }
    Ok(())
}
