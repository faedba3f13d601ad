//! The page of the states: every row of the service's one table of transitions.
use remoteproc_service::lifecycle::{Ask, Event, Input, Pending, State, Verdict, transition};
use std::fmt::Write as _;

const START: &str = "# Life of a processor

What a processor is to its clients, what each command does in each state, and what moves it from one state to another. A state
changes only after the hardware has done what it was told; until then an operation is pending.

This page is written by `cargo xtask docs` from the table in `service/src/lifecycle.rs`, which is all that the service goes by. That
a processor belongs to its owner, and what others may ask, is decided before (`docs/abi.md`, \"Claims\").

## States

";

/// What each state means.
const fn meaning(state: State) -> &'static str {
    match state {
        State::Offline => "no firmware, no owner; its memory is clear, but for what was there at boot",
        State::Loading => "claimed by a client whose image was authenticated; its memory is being written",
        State::Loaded => "every byte of the firmware was checked; held in reset",
        State::Running => "released from reset",
        State::Crashed => {
            "released from reset and, as far as is known, not running: it faulted, or a start went wrong"
        }
        State::Stopped => {
            "held in reset; it has to be loaded again before it starts. Its memory is kept, unless a stop had to clear it or clearing has failed"
        }
    }
}

const fn operation(pending: Option<Pending>) -> &'static str {
    match pending {
        None => "when nothing is pending",
        Some(Pending::Load) => "while it is held in reset for a load",
        Some(Pending::Start) => "while it is being released from reset",
        Some(Pending::GracefulStop) => "while its firmware was asked to stop by itself, and runs",
        Some(Pending::Stop) => "while it is being held in reset",
        Some(Pending::Release) => "while it is held in reset for RELEASE_FW",
        Some(Pending::Wipe) => "while its memory is being cleared",
        Some(Pending::Hold) => "while it is nobody's and being held in reset",
        Some(Pending::Clear) => "while it is nobody's and its memory is being cleared",
    }
}

const fn command(ask: Ask) -> &'static str {
    match ask {
        Ask::Load => "LOAD_FW",
        Ask::Start => "START_FW",
        Ask::Stop => "STOP_FW",
        Ask::GetResourceTable => "GET_RSC_TABLE",
        Ask::Release => "RELEASE_FW",
    }
}

const fn happening(event: Event) -> &'static str {
    match event {
        Event::Claimed => "an image's signature has verified, and the processor is held",
        Event::ClaimedAgain => "the same of a load that was given up: by its owner, or after idle time",
        Event::LoadDone => "the last check of a load has passed",
        Event::Wiped => "its memory was cleared",
        Event::WipeFailed => "its memory could not be cleared",
        Event::Started => "the hardware has released it from reset",
        Event::StartUndone => "a start has failed, and it is held again",
        Event::StartLost => {
            "a start has failed, and the hardware does not say that it is held, or a stop has to clear its memory"
        }
        Event::CrashSeen => "the hardware says that it does not run any more",
        Event::Held => "the hardware holds it",
        Event::OwnerGone => "its owner is gone: it is nobody's from now on",
        Event::HeldForNobody => "the hardware holds it, and it is nobody's",
        Event::FoundRunning => "it runs when the partition boots",
        Event::FoundAstray => {
            "it has stopped by itself when the partition boots, or the hardware does not say"
        }
    }
}

fn answer(verdict: Verdict) -> String {
    match verdict {
        Verdict::Proceed => "carried out".to_owned(),
        Verdict::AlreadySo => "SUCCESS, nothing to do".to_owned(),
        Verdict::OnlyTheSame => "SUCCESS for the same image, else `ANOTHER_IMAGE_LOADED`".to_owned(),
        Verdict::Refuse(refusal) => format!("`{}`", refusal.name()),
        Verdict::Become(state) => format!("**{state}**"),
        Verdict::Impossible => String::new(),
    }
}

/// A table's head: the first column's title, then one for each of the others.
fn head(page: &mut String, first: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    let _ = writeln!(page, "| {first} | {} |", columns.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(columns.len() + 1));
}

/// The page.
pub fn page() -> String {
    let mut page = START.to_owned();
    head(&mut page, "state", std::iter::once("what it means".to_owned()));
    for state in State::ALL {
        let _ = writeln!(page, "| {state} | {} |", meaning(state));
    }
    for pending in std::iter::once(None).chain(Pending::ALL.map(Some)) {
        let _ = write!(page, "\n## Commands, {}\n\n", operation(pending));
        head(&mut page, "state", Ask::ALL.into_iter().map(|ask| command(ask).to_owned()));
        for state in State::ALL {
            let cells = Ask::ALL.map(|ask| answer(transition(state, pending, Input::Ask(ask))));
            let _ = writeln!(page, "| {state} | {} |", cells.join(" | "));
        }
    }
    page.push_str("\n## What happens\n\nAn empty cell can't happen there.\n\n");
    head(&mut page, "event", State::ALL.into_iter().map(|state| state.to_string()));
    for event in Event::ALL {
        let cells = State::ALL.map(|state| answer(transition(state, None, Input::Event(event))));
        let _ = writeln!(page, "| {} | {} |", happening(event), cells.join(" | "));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_on_the_page() {
        let page = page();
        let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| event")).count();
        let tables = 1 + 1 + Pending::ALL.len();
        // Each table of states has a head; that of the events was left out.
        assert_eq!(rows, tables * (State::ALL.len() + 1) + Event::ALL.len());
    }
}
