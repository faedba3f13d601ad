//! Progress for people: a spinner on a terminal, one plain line per step elsewhere. Goes to standard error.
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
