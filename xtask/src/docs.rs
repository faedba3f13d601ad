//! `cargo xtask docs`: the pages that are generated from the code, written or compared.
mod lifecycle;

use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use remoteproc_refusal::Refusal;
use std::fmt::Write as _;
use std::fs;

/// A page, from the workspace's root, and what it has to say.
type Page = (&'static str, fn() -> String);

/// The pages.
const PAGES: [Page; 2] = [("docs/refusals.md", refusals), ("docs/lifecycle.md", lifecycle::page)];

/// What the docs command takes from the command line.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Only tell whether the pages are up to date
    #[arg(long)]
    check: bool,
}

/// What the numbers of a range are about, by their high byte.
const CHAPTERS: [(u8, &str); 15] = [
    (0x01, "Framing of the container"),
    (0x02, "Authenticity"),
    (0x03, "Signed tables"),
    (0x04, "The ELF files"),
    (0x05, "Contents of segments"),
    (0x06, "Resource table"),
    (0x07, "Boot"),
    (0x08, "Use of the reader"),
    (0x09, "What the signing tool is given"),
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
    for (name, text) in PAGES {
        let path = workspace.root.join(name);
        let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if found != text() {
            bail!("{name} is not what the code says: run `cargo xtask docs`");
        }
    }
    Ok(())
}

/// Writes the pages, or compares them, and returns the exit code.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    if options.check {
        check(&workspace)?;
        return Ok(0);
    }
    for (name, text) in PAGES {
        let path = workspace.root.join(name);
        fs::write(&path, text()).with_context(|| format!("cannot write {}", path.display()))?;
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
    fn the_pages_are_up_to_date() {
        check(&Workspace::find().unwrap()).unwrap();
    }
}
