//! `cargo xtask docs`: the pages that are generated from the code, written or compared.
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use remoteproc_refusal::Refusal;
use std::fmt::Write as _;
use std::fs;

/// The page of the refusals, from the workspace's root.
const REFUSALS: &str = "docs/refusals.md";

/// What the docs command takes from the command line.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Only tell whether the pages are up to date
    #[arg(long)]
    check: bool,
}

/// What the numbers of a range are about, by their high byte.
const CHAPTERS: [(u8, &str); 14] = [
    (0x01, "Framing of the container"),
    (0x02, "Authenticity"),
    (0x03, "Signed tables"),
    (0x04, "The ELF files"),
    (0x05, "Contents of segments"),
    (0x06, "Resource table"),
    (0x07, "Boot"),
    (0x08, "Use of the reader"),
    (0x10, "State and owner"),
    (0x11, "Memory that a client names"),
    (0x12, "Messages"),
    (0x13, "Hardware"),
    (0x14, "Events"),
    (0x15, "Shared buffers of door T"),
];

/// The page of the refusals.
fn refusals() -> String {
    let mut page = String::from(
        "# Refusals\n\nEvery no of the partition, the image reader and the tools has a number and a name, the same everywhere: in the \
         log, in GET_LAST_ERROR\nand in a tool's message. A number never changes its meaning and is never used again. The class \
         decides about the result code on\nthe wire (`docs/abi.md`, \"Results\").\n\nThis page is written by `cargo xtask docs` from \
         the catalogue in `refusal/src/lib.rs`.\n",
    );
    for (chapter, title) in CHAPTERS {
        let _ = write!(
            page,
            "\n## 0x{chapter:02x}xx {title}\n\n| number | name | class | what is wrong, what to do |\n|---|---|---|---|\n"
        );
        for refusal in Refusal::ALL.iter().filter(|refusal| refusal.number() >> 8 == u16::from(chapter)) {
            let (number, name) = (refusal.number(), refusal.name());
            let sentence = refusal.sentence().replace('|', "\\|");
            let _ = writeln!(page, "| {number:#06x} | `{name}` | {:?} | {sentence} |", refusal.class());
        }
    }
    page
}

/// Compares the pages with the code.
///
/// # Errors
/// Names the page that is out of date.
pub fn check(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(REFUSALS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if text != refusals() {
        bail!("{REFUSALS} is not what the catalogue says: run `cargo xtask docs`");
    }
    Ok(())
}

/// Writes the pages, or compares them, and returns the exit code.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    if options.check {
        check(&workspace)?;
    } else {
        let path = workspace.root.join(REFUSALS);
        fs::write(&path, refusals()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_chapter() {
        let page = refusals();
        for refusal in Refusal::ALL {
            let number = format!("| {:#06x} | `{}` |", refusal.number(), refusal.name());
            assert_eq!(page.matches(&number).count(), 1, "{refusal}");
        }
    }

    #[test]
    fn the_page_is_up_to_date() {
        check(&Workspace::find().unwrap()).unwrap();
    }
}
