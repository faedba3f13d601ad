//! Progress for people: a spinner or a bar on a terminal, plain lines elsewhere. Goes to standard error.
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A piece of work that takes its time.
#[derive(Debug)]
pub struct Step {
    bar: Option<ProgressBar>,
    title: String,
}

/// Says what begins now.
pub fn step(title: impl Into<String>) -> Step {
    let title = title.into();
    if !std::io::stderr().is_terminal() {
        eprintln!("xtask: {title}");
        return Step { bar: None, title };
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    bar.set_message(title.clone());
    bar.enable_steady_tick(Duration::from_millis(100));
    Step { bar: Some(bar), title }
}

impl Step {
    /// Shows a detail of the step on a terminal.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            let short: String = text.trim().chars().take(60).collect();
            bar.set_message(format!("{}: {short}", self.title));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Plain lines that a transfer is told in.
const PLAIN_LINES: u64 = 10;

/// Bytes that are being transferred.
#[derive(Debug)]
pub struct Transfer {
    title: String,
    bar: Option<ProgressBar>,
    terminal: bool,
    /// Parts of [`PLAIN_LINES`] that were told.
    told: u64,
}

impl Transfer {
    /// Begins; shows nothing before the first bytes.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), bar: None, terminal: std::io::stderr().is_terminal(), told: 0 }
    }

    /// So many bytes of all are there.
    pub fn at(&mut self, done: u64, total: u64) {
        if let Some(line) = self.line(done, total).filter(|_| !self.terminal) {
            eprintln!("xtask: {line}");
        }
        if self.terminal {
            let bar = self.bar.get_or_insert_with(|| bar(&self.title, total));
            bar.set_position(done);
        }
    }

    /// The plain line, where one is due.
    fn line(&mut self, done: u64, total: u64) -> Option<String> {
        let part = done.saturating_mul(PLAIN_LINES) / total.max(1);
        if part <= self.told {
            return None;
        }
        self.told = part;
        Some(format!("{}: {} %, {done} of {total} bytes", self.title, part * (100 / PLAIN_LINES)))
    }

    /// All is there, or no more will come: takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(title: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(title.to_owned());
    let template = "{msg} {wide_bar:.cyan} {binary_bytes} of {binary_total_bytes}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_told_in_ten_lines() {
        let mut transfer = Transfer::new("loading");
        let lines: Vec<_> = (0..=80).filter_map(|done| transfer.line(done, 80)).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(
            (lines[0].as_str(), lines[9].as_str()),
            ("loading: 10 %, 8 of 80 bytes", "loading: 100 %, 80 of 80 bytes")
        );
        assert_eq!(transfer.line(80, 80), None, "the end is told once");
        assert_eq!(Transfer::new("loading").line(0, 0), None);
    }
}
