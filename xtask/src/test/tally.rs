//! The counts of a test run, and its lines.
use crate::report::mark;
use std::time::Duration;

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
    /// How long each group took.
    times: Vec<(String, Duration)>,
}

impl Tally {
    /// One check passed.
    pub fn passed(&mut self, name: &str) {
        self.passed_many(name, 1);
    }

    /// Several passed, shown as one line.
    pub fn passed_many(&mut self, name: &str, count: u64) {
        self.passed += count;
        if count == 1 {
            println!("  {} {name}", mark(true));
        } else if count > 1 {
            println!("  {} {name}: {count} passed", mark(true));
        }
    }

    /// One check failed.
    pub fn failed(&mut self, name: &str, reason: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
        let reason = reason.trim_end().replace('\n', "\n      ");
        println!("  {} {name} FAILED: {reason}", mark(false));
    }

    /// One check could not be run.
    pub fn skipped(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        println!("  - {name} SKIPPED: {reason}");
    }

    /// A group took so long.
    pub fn took(&mut self, group: &str, time: Duration) {
        self.times.push((group.to_owned(), time));
    }

    /// All that was counted.
    pub fn total(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Prints the counts and returns the exit code.
    pub fn finish(&self) -> u8 {
        for (group, time) in &self.times {
            println!("{group:<9} {:7.1} s", time.as_secs_f64());
        }
        if !self.times.is_empty() {
            let total: Duration = self.times.iter().map(|(_, time)| *time).sum();
            println!("{:<9} {:7.1} s", "total", total.as_secs_f64());
        }
        if !self.failures.is_empty() {
            println!("failed: {}", self.failures.join(", "));
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        u8::from(self.failed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_failure_fails_the_run() {
        let mut tally = Tally::default();
        tally.passed_many("a", 3);
        tally.skipped("b", "absent");
        assert_eq!((tally.total(), tally.finish()), (4, 0));
        tally.failed("c", "broken");
        assert_eq!((tally.total(), tally.finish()), (5, 1));
    }
}
