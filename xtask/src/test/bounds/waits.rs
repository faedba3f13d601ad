//! How long a client's STOP_FW waits while another one loads from another CPU: with a context for each CPU, and with one for all.
use super::{Figures, Files};
use crate::firmware::Images;
use crate::machine::Clock;
use crate::report::mark;
use crate::test::Suite;
use crate::test::emulated::run_images;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The second processor's control page is where the payload plays it.
const PROPERTIES: &str = "processors { m4 { registers = <0x0 0x80fd0000 0x1000>; }; };";
/// How the payload's lines begin.
const WAIT: &str = "wait ";
/// Of a hundred STOP_FWs, so many have to come while the other client's request is being served.
const MET: u64 = 90;

/// What a run has measured, in instructions where it is no number of anything.
#[derive(Debug, PartialEq, Eq)]
struct Waits {
    /// Requests of the load, and STOP_FWs sent in two such loads.
    requests: u64,
    stops: u64,
    /// STOP_FWs that came while the other client's request was being served.
    met: u64,
    /// The longest from the beginning of that request to its end, from which on the STOP_FW is served.
    longest: u64,
    /// Bytes of the container done then.
    at: u64,
    /// The same of the request that hears of the end.
    end: u64,
    /// What the second client's request takes when it is served.
    own: u64,
    /// What a request takes that is answered BUSY. Who waits and has just asked hears of the end so much later.
    anew: u64,
    /// The longest of both of a STOP_FW's requests together, with what they take.
    whole: u64,
    /// What was taken off for the interruption of the first client's request.
    interruption: u64,
}

impl Waits {
    fn parse(facts: &[String]) -> Result<Self> {
        let value = |name: &str| -> Result<u64> {
            let mut values = facts.iter().filter_map(|fact| fact.strip_prefix(WAIT)?.split_once(' '));
            let found = values.find(|(known, _)| *known == name);
            Ok(found.with_context(|| format!("the run told nothing of {name}"))?.1.trim().parse()?)
        };
        Ok(Self {
            requests: value("requests")?,
            stops: value("stops")?,
            met: value("met")?,
            longest: value("longest")?,
            at: value("at")?,
            end: value("end")?,
            own: value("own")?,
            anew: value("anew")?,
            whole: value("whole")?,
            interruption: value("interruption")?,
        })
    }

    /// Why this is too long, or not what was to be measured.
    fn wrong(&self, limit: u64) -> Option<String> {
        let longest = self.longest.max(self.end);
        if longest > limit {
            return Some(format!("it waits {longest} instructions, the limit is {limit}"));
        }
        if self.met * 100 < self.stops * MET || self.stops < self.requests {
            let Self { met, stops, requests, .. } = self;
            return Some(format!("{met} of {stops} came while one of {requests} requests was served"));
        }
        None
    }

    fn print(&self, title: &str, limit: u64, slice: u64) {
        let Self { requests, stops, met, longest, at, end, own, anew, whole, interruption } = self;
        let mark = mark(self.wrong(limit).is_none());
        println!(
            "      {mark} {title}: {stops} STOP_FWs, {met} of them in the middle of one of {requests} requests"
        );
        println!("        {longest:>11}  longest wait until STOP_FW is served (at byte {at})");
        println!("        {end:>11}  longest wait of the request that hears of its end");
        println!("        {own:>11}  its own request; {whole} both requests with their waits");
        println!(
            "        {anew:>11}  a request that is answered BUSY by the partition, as the other client's next one was"
        );
        println!("        {interruption:>11}  taken off: the interruption by which this is measured");
        println!("        {slice:>11}  slice, bare; the limit is {limit}");
    }

    fn to_json(&self, limit: u64) -> Value {
        json!({
            "load_requests": self.requests, "stops": self.stops, "stops_in_the_middle": self.met,
            "longest_wait": self.longest, "longest_wait_for_the_end": self.end, "own_request": self.own,
            "answered_busy": self.anew, "longest_whole": self.whole, "limit": limit,
            "holds": self.wrong(limit).is_none(),
        })
    }
}

/// Measures both, and judges them by what the single requests take.
pub fn run(suite: &mut Suite, files: &Files, images: &Images, figures: &Figures) -> Result<Value> {
    let (limit, slice) = (figures.limit()?, figures.slice()?);
    let mut all = Vec::new();
    for (title, one_context) in [("waits, a context for each CPU", false), ("waits, one context", true)] {
        let waits = measure(suite, files, images, title, one_context)?;
        waits.print(title, limit, slice);
        let name = format!("{title}: STOP_FW waits no longer than a request takes");
        match waits.wrong(limit) {
            None => suite.tally.passed(&name),
            Some(reason) => suite.tally.failed(&name, &reason),
        }
        all.push(waits.to_json(limit));
    }
    Ok(json!({"contexts_of_all_cpus": all.first(), "one_context": all.last()}))
}

/// The same with a partition without the limit: the wait has to exceed it by far.
pub fn control(suite: &mut Suite, files: &Files, images: &Images, figures: &Figures) -> Result<()> {
    let limit = figures.limit()?;
    let waits = measure(suite, files, images, "waits, control without the limit", false)?;
    println!("      without the limit: STOP_FW waits {} instructions, limit {limit}", waits.longest);
    let name = "without the limit, STOP_FW waits longer";
    if waits.met > 0 && waits.longest > limit.saturating_mul(super::BY_FAR) {
        suite.tally.passed(name);
    } else {
        suite.tally.failed(name, "it does not exceed the limit by far");
    }
    Ok(())
}

/// Runs the case with these images.
fn measure(
    suite: &mut Suite,
    files: &Files,
    images: &Images,
    title: &str,
    one_context: bool,
) -> Result<Waits> {
    let mut parameters = files.parameters("waits", &[])?;
    parameters.set("contexts", if one_context { "1" } else { "4" })?;
    let before = std::mem::replace(&mut suite.one_context, one_context);
    let clock = Clock::InstructionsOfTwo;
    let ran = run_images(suite, title, 0, &files.keys, PROPERTIES, &parameters, (images, clock));
    suite.one_context = before;
    let (outcome, facts) = ran?;
    println!("      {title}: {:.1} s", outcome.elapsed.as_secs_f64());
    Waits::parse(&facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits() -> Waits {
        let lines = "requests 100,stops 100,met 95,longest 1000,at 0,end 900,own 50,anew 10,whole 2000,interruption 5";
        let facts: Vec<String> = lines.split(',').map(|line| format!("wait {line}")).collect();
        assert!(Waits::parse(&facts[1..]).is_err());
        Waits::parse(&facts).unwrap()
    }

    #[test]
    fn a_long_wait_is_wrong_and_so_is_one_that_meets_nobody() {
        assert_eq!(waits().wrong(1000), None);
        assert!(waits().wrong(999).is_some());
        assert!(Waits { end: 1001, ..waits() }.wrong(1000).is_some());
        assert!(Waits { met: 89, ..waits() }.wrong(1000).is_some());
        assert!(Waits { stops: 99, ..waits() }.wrong(1000).is_some());
    }
}
