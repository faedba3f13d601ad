//! What a demo showed: collected from the console, judged, and printed for a person or as JSON.
use crate::console::{Line, Message, Speaker};
use crate::machine::Outcome;
use crate::prebuilt;
use remoteproc_refusal::Refusal;
use serde_json::{Value, json};
use std::io::IsTerminal;

/// A step and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether it did what it should.
    pub ok: bool,
    /// The facts.
    pub text: String,
    /// What the partition and the normal world said on the way.
    pub details: Vec<String>,
}

/// How the demo ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was shown.
    Passed,
    /// The partition refused the image.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The wire's result code.
        result: String,
    },
    /// Something went wrong, and where.
    Failed(String),
}

/// The demo so far.
#[derive(Debug, Default)]
pub struct Report {
    steps: Vec<Step>,
    details: Vec<String>,
    signature: Option<String>,
    /// The bytes that were told to be loaded, each with the bytes in all.
    progress: Vec<(u64, u64)>,
    last: Option<Message>,
}

impl Report {
    /// Takes a line of the console. Returns the step that it ends, if it ends one.
    pub fn line(&mut self, line: &Line) -> Option<&Step> {
        match line.speaker {
            Speaker::Partition => {
                if line.text.contains("signature verified") {
                    self.signature = Some(line.text.clone());
                }
                self.details.push(format!("partition: {}", line.text));
            }
            Speaker::El3 if line.end().is_some() => {}
            Speaker::El3 => self.details.push(format!("EL3: {}", line.text)),
            Speaker::Firmware if !prebuilt::is_worth_showing(&line.text) => {}
            Speaker::Firmware => self.details.push(format!("firmware: {}", line.text)),
            Speaker::Payload => match Message::parse(&line.text) {
                Some(Message::Info(text)) => self.details.push(text),
                Some(Message::Progress { done, total }) => self.progress.push((done, total)),
                Some(Message::Step { name, ok, text }) => {
                    let details = std::mem::take(&mut self.details);
                    self.steps.push(Step { name, ok, text, details });
                    return self.steps.last();
                }
                Some(last @ (Message::Passed | Message::Refused { .. } | Message::Failed(_))) => {
                    self.last = Some(last);
                }
                Some(_) => {}
                None => self.details.push(line.text.clone()),
            },
            Speaker::Unknown if !line.text.is_empty() => self.details.push(line.text.clone()),
            Speaker::Unknown => {}
        }
        None
    }

    /// The last bytes that were told to be loaded, and the bytes in all.
    pub fn progress(&self) -> Option<(u64, u64)> {
        self.progress.last().copied()
    }

    /// What was said after the last step.
    pub fn rest(&self) -> &[String] {
        &self.details
    }

    /// Judges the demo. `wanted` are the steps that a good one shows; `problems` and `releases` come from the run.
    pub fn ending(&self, wanted: &[&str], problems: &[String], releases: u32) -> Ending {
        if let Some(problem) = problems.first() {
            return Ending::Failed(self.where_it_failed(problem));
        }
        match &self.last {
            Some(Message::Passed) => self.passed(wanted),
            Some(Message::Refused { number, name, result }) => match Refusal::from_number(*number) {
                Some(refusal) if refusal.name() == name => {
                    if releases > 0 {
                        return Ending::Failed(
                            "the remote core was released although the image was refused".into(),
                        );
                    }
                    Ending::Refused { refusal, result: result.clone() }
                }
                _ => Ending::Failed(format!("load: no refusal has number {number:#06x} and name {name}")),
            },
            Some(Message::Failed(step)) => {
                let text = self.steps.iter().rev().find(|shown| shown.name == *step).map(|shown| &shown.text);
                Ending::Failed(text.map_or_else(|| step.clone(), |text| format!("{step}: {text}")))
            }
            _ => Ending::Failed(self.where_it_failed("the demo has no end")),
        }
    }

    fn passed(&self, wanted: &[&str]) -> Ending {
        if let Some(bad) = self.steps.iter().find(|step| !step.ok) {
            return Ending::Failed(format!("{}: {}", bad.name, bad.text));
        }
        if let Some(missing) = wanted.iter().find(|name| !self.steps.iter().any(|step| step.name == **name)) {
            return Ending::Failed(format!("{missing}: this step was never shown"));
        }
        if self.signature.is_none() {
            return Ending::Failed("load: the partition did not say who signed the image".into());
        }
        Ending::Passed
    }

    fn where_it_failed(&self, problem: &str) -> String {
        match self.steps.last() {
            Some(step) => format!("after {}: {problem}", step.name),
            None => format!("partition: {problem}"),
        }
    }

    /// The whole demo of this processor as JSON.
    pub fn to_json(&self, ending: &Ending, outcome: &Outcome, processor: u32) -> Value {
        let (releases, boot_address) = outcome.starts(processor);
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| json!({"name": step.name, "ok": step.ok, "text": step.text, "details": step.details}))
            .collect();
        let (result, refusal, failure) = match ending {
            Ending::Passed => ("passed", Value::Null, Value::Null),
            Ending::Failed(text) => ("failed", Value::Null, json!(text)),
            Ending::Refused { refusal, result } => {
                let refusal = json!({
                    "number": *refusal as u16, "name": refusal.name(),
                    "sentence": refusal.sentence(), "result": result,
                });
                ("refused", refusal, Value::Null)
            }
        };
        json!({
            "result": result,
            "refusal": refusal,
            "failure": failure,
            "steps": steps,
            "signature": self.signature,
            "progress": self.progress.iter().map(|(done, _)| done).collect::<Vec<_>>(),
            "problems": outcome.problems,
            "processor": processor,
            "releases": releases,
            "boot_address": format!("{boot_address:#010x}"),
            "seconds": outcome.elapsed.as_secs_f64(),
        })
    }
}

impl Ending {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed(_) => 1,
            Self::Refused { .. } => 3,
        }
    }
}

/// Prints a step.
pub fn print_step(step: &Step) {
    println!("  {} {:<10} {}", mark(step.ok), step.name, step.text);
    print_details(&step.details);
}

/// Prints what was said on the way.
pub fn print_details(details: &[String]) {
    for detail in details {
        println!("      {}", dim(detail));
    }
}

/// A check mark or a cross.
pub fn mark(ok: bool) -> &'static str {
    match (ok, colored()) {
        (true, true) => "\x1b[32m✓\x1b[0m",
        (false, true) => "\x1b[31m✗\x1b[0m",
        (true, false) => "✓",
        (false, false) => "✗",
    }
}

fn dim(text: &str) -> String {
    if colored() { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

fn colored() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::default();
        for line in lines {
            report.line(&Line::parse(line));
        }
        report
    }

    const GOOD: [&str; 6] = [
        "[NS] step service ok found",
        "[SP] m33: signature verified: RSA by key \"k\" (2048 bit)",
        "[NS] info loading 1 bytes",
        "[NS] progress 1 1",
        "[NS] step load ok 1 bytes",
        "[NS] demo pass",
    ];

    #[test]
    fn details_belong_to_the_step_they_lead_to() {
        let report = report(&GOOD);
        assert_eq!(report.steps[1].details.len(), 2);
        assert_eq!(report.progress(), Some((1, 1)));
        assert_eq!(report.ending(&["service", "load"], &[], 1), Ending::Passed);
    }

    #[test]
    fn a_pass_needs_every_step_and_the_signer() {
        let failed =
            |ending: Ending, part: &str| matches!(&ending, Ending::Failed(text) if text.contains(part));
        assert!(failed(report(&GOOD).ending(&["service", "load", "trace"], &[], 1), "trace"));
        assert!(failed(report(&[GOOD[0], GOOD[4], GOOD[5]]).ending(&["load"], &[], 1), "signed"));
        assert!(failed(report(&GOOD[..5]).ending(&["load"], &[], 1), "no end"));
        assert!(failed(report(&GOOD).ending(&["load"], &["violation X".to_owned()], 1), "violation X"));
        let bad = report(&["[NS] step stop failed BUSY", "[NS] demo failed stop"]);
        assert!(failed(bad.ending(&[], &[], 1), "stop: BUSY"));
    }

    #[test]
    fn a_refusal_must_be_of_the_catalogue_and_release_nothing() {
        let end = |text: &str, releases| report(&[text]).ending(&["load"], &[], releases);
        let refused = "[NS] demo refused 0x0102 BAD_MAGIC BAD_PARAMETERS";
        assert_eq!(end(refused, 0).exit_code(), 3);
        assert_eq!(end(refused, 1).exit_code(), 1);
        assert_eq!(end("[NS] demo refused 0x0102 TOO_SHORT BAD_PARAMETERS", 0).exit_code(), 1);
        assert_eq!(end("[NS] demo refused 0xfffe NO_SUCH BAD_PARAMETERS", 0).exit_code(), 1);
    }
}
