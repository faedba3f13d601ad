//! Debian's packages: installs those that are missing, and never removes one for that.
use crate::process;
use crate::progress::{self, Step};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::process::Command;
use std::time::Duration;

/// Never at the price of a package that is there: Debian's Rust toolchains conflict with each other.
const INSTALL: [&str; 4] = ["install", "-y", "--no-install-recommends", "--no-remove"];
/// The longest that an installation may take.
const LIMIT: Duration = Duration::from_secs(1200);

/// Installs packages. One that is newer than the release's, from backports, and for that keeps them out is put back to the release's
/// version.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if process::find_program("apt-get").is_none() {
        bail!("missing: {list} (Debian's names); there is no apt-get here, so install them by hand");
    }
    let Some(prefix) = privilege()? else {
        bail!("missing: {list}; to install them takes root: run `apt-get install {list}` as root");
    };
    let step = progress::step(format!("installing Debian packages {list}"));
    if apt(prefix, &INSTALL, packages, &step).is_ok() {
        return Ok(());
    }
    // An index that was never fetched, or is too old, is the usual reason.
    process::check_interrupt()?;
    step.detail("apt-get update");
    apt(prefix, &["update"], &[], &step).context("apt-get update failed")?;
    let Err(refused) = apt(prefix, &INSTALL, packages, &step) else { return Ok(()) };
    let older = in_the_way(packages).iter().map(|name| release_version(name)).collect::<Result<Vec<_>>>();
    let older = older.unwrap_or_default();
    if older.is_empty() {
        return Err(refused).with_context(|| format!("could not install {list}"));
    }
    eprintln!("xtask: putting back to this release's version, which {list} takes: {}", older.join(" "));
    let all: Vec<&str> = packages.iter().copied().chain(older.iter().map(String::as_str)).collect();
    let arguments = [INSTALL.as_slice(), &["--allow-downgrades"]].concat();
    apt(prefix, &arguments, &all, &step).with_context(|| format!("could not install {}", all.join(" ")))
}

/// The packages that an installation would remove.
fn in_the_way(packages: &[&str]) -> Vec<String> {
    let mut command = process::command("apt-get");
    command.args(["-q", "--simulate", "install", "-y", "--no-install-recommends"]).args(packages);
    removed(&process::capture(command, LIMIT).unwrap_or_default())
}

/// `Remv NAME [VERSION]`, of a simulated installation.
fn removed(simulation: &str) -> Vec<String> {
    let lines = simulation.lines().filter_map(|line| line.strip_prefix("Remv "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// `NAME=VERSION` of the newest version that the sources have.
fn release_version(name: &str) -> Result<String> {
    let mut command = process::command("apt-cache");
    command.args(["madison", name]);
    let listed = process::capture(command, LIMIT)?;
    newest(name, &listed).with_context(|| format!("no source has {name}"))
}

/// The first row of `NAME | VERSION | SOURCE`.
fn newest(name: &str, listed: &str) -> Option<String> {
    let version = listed.lines().next()?.split('|').nth(1)?.trim();
    (!version.is_empty()).then(|| format!("{name}={version}"))
}

/// What to put before a command that needs root: nothing for root, sudo if there is one.
fn privilege() -> Result<Option<&'static [&'static str]>> {
    if rustix::process::geteuid().is_root() {
        return Ok(Some(&[]));
    }
    if process::find_program("sudo").is_none() {
        return Ok(None);
    }
    if std::io::stdin().is_terminal() {
        // Asks for the password here, in the foreground; the commands that follow need none.
        eprintln!("xtask: installing packages needs root, asking sudo");
        Command::new("sudo").arg("-v").status().context("cannot start sudo")?;
    }
    Ok(Some(&["sudo", "-n"]))
}

fn apt(prefix: &[&str], arguments: &[&str], packages: &[&str], step: &Step) -> Result<()> {
    let mut words: Vec<&str> = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]);
    words.extend(arguments);
    words.extend(packages);
    let (program, rest) = words.split_first().context("empty command")?;
    let mut command = process::command(program);
    command.args(rest);
    process::run_quietly(command, LIMIT, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_put_back() {
        let simulation =
            "Reading package lists...\nRemv qemu-utils [1:10.0.2]\nInst qemu-system-arm (1:7.2 Debian)\n";
        assert_eq!(removed(simulation), ["qemu-utils"]);
        assert!(removed("Inst a (1)\n").is_empty());
        let listed = "qemu-utils | 1:7.2+b3 | http://a main\nqemu-utils | 1:7.2 | http://b main\n";
        assert_eq!(newest("qemu-utils", listed).as_deref(), Some("qemu-utils=1:7.2+b3"));
        assert_eq!(newest("qemu-utils", ""), None);
    }
}
