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
    /// Requests of the load, and STOP_FWs sent meanwhile.
    requests: u64,
    stops: u64,
    /// STOP_FWs that came while the other client's request was being served.
    met: u64,
    /// The longest from a STOP_FW's first SMC to the one that is served, without the client's own instructions.
    longest: u64,
    /// Bytes of the container done then, and how often it was told BUSY.
    at: u64,
    busy: u64,
    /// The same of the request that hears of the end.
    poll: u64,
    /// What a served request takes.
    own: u64,
    /// The longest of both together, with what they take.
    whole: u64,
    /// What the other CPU does between two requests of the one that waits.
    interval: u64,
    /// What a request takes that is answered BUSY.
    shortest_busy: u64,
    longest_busy: u64,
}

impl Waits {
    fn parse(facts: &[String]) -> Result<Self> {
        let value = |name: &str| -> Result<u64> {
            let found = facts
                .iter()
                .filter_map(|fact| fact.strip_prefix(WAIT)?.split_once(' '))
                .find(|fact| fact.0 == name);
            Ok(found.with_context(|| format!("the run told nothing of {name}"))?.1.trim().parse()?)
        };
        Ok(Self {
            requests: value("requests")?,
            stops: value("stops")?,
            met: value("met")?,
            longest: value("longest")?,
            at: value("at")?,
            busy: value("busy")?,
            poll: value("poll")?,
            own: value("own")?,
            whole: value("whole")?,
            interval: value("interval")?,
            shortest_busy: value("shortest-busy")?,
            longest_busy: value("longest-busy")?,
        })
    }

    /// Why this is too long, or not what was to be measured. A client that is told BUSY asks again after an interval, so it comes that
    /// much after the other one's request has ended.
    fn wrong(&self, limit: u64) -> Option<String> {
        let most = limit + self.interval;
        if self.longest.max(self.poll) > most {
            return Some(format!(
                "it waits {} instructions, the limit is {most}",
                self.longest.max(self.poll)
            ));
        }
        if self.met * 100 < self.stops * MET || self.stops == 0 {
            return Some(format!(
                "only {} of {} came while the other client was served",
                self.met, self.stops
            ));
        }
        if self.longest_busy > 2 * self.shortest_busy {
            // Then the other CPU's instructions may be among those that are taken off.
            return Some(format!("BUSY takes {} to {} instructions", self.shortest_busy, self.longest_busy));
        }
        None
    }

    fn print(&self, title: &str, limit: u64, slice: u64) {
        let Self {
            requests,
            stops,
            met,
            longest,
            at,
            busy,
            poll,
            own,
            whole,
            interval,
            shortest_busy,
            longest_busy,
        } = self;
        println!(
            "      {} {title}: {stops} STOP_FWs during {requests} requests of a load, {met} of them in the middle of one",
            mark(self.wrong(limit).is_none())
        );
        println!("        {longest:>11}  longest wait until served (at byte {at}, told BUSY {busy} times)");
        println!("        {poll:>11}  longest wait of the request that hears of the end");
        println!("        {own:>11}  own request; {whole} both requests with all their waits");
        println!("        {slice:>11}  slice, bare; limit {limit} + {interval} between two requests");
        println!("        {shortest_busy:>11}  request that is answered BUSY, up to {longest_busy}");
    }

    fn to_json(&self, limit: u64) -> Value {
        json!({
            "load_requests": self.requests, "stops": self.stops, "stops_in_the_middle": self.met,
            "longest_wait": self.longest, "longest_wait_of_poll": self.poll, "own_request": self.own,
            "longest_whole": self.whole, "interval": self.interval, "limit": limit + self.interval,
            "holds": self.wrong(limit).is_none(),
        })
    }
}

/// Measures both, and judges them by what the single requests take.
pub fn run(suite: &mut Suite, files: &Files, images: &Images, figures: &Figures) -> Result<Value> {
    let (limit, slice) = (figures.limit()?, figures.slice()?);
    let mut all = Vec::new();
    for (title, one_context) in [("waits, a context for each CPU", false), ("waits, one context", true)] {
        let mut parameters = files.parameters("waits", &[])?;
        parameters.set("contexts", if one_context { "1" } else { "4" })?;
        let before = std::mem::replace(&mut suite.one_context, one_context);
        let ran = run_images(
            suite,
            title,
            0,
            &files.keys,
            PROPERTIES,
            &parameters,
            (images, Clock::InstructionsOfTwo),
        );
        suite.one_context = before;
        let (outcome, facts) = ran?;
        let waits = Waits::parse(&facts)?;
        waits.print(title, limit, slice);
        println!("      {title}: {:.1} s", outcome.elapsed.as_secs_f64());
        let name = format!("{title}: STOP_FW waits no longer than a request takes");
        match waits.wrong(limit) {
            None => suite.tally.passed(&name),
            Some(reason) => suite.tally.failed(&name, &reason),
        }
        all.push(waits.to_json(limit));
    }
    Ok(json!({"contexts_of_all_cpus": all.first(), "one_context": all.last()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits() -> Waits {
        let lines = "requests 170,stops 100,met 95,longest 1000,at 0,busy 3,poll 900,own 50,whole 2000,interval 10,\
                     shortest-busy 5,longest-busy 6";
        let facts: Vec<String> = lines.split(',').map(|line| format!("wait {line}")).collect();
        assert!(Waits::parse(&facts[1..]).is_err());
        Waits::parse(&facts).unwrap()
    }

    #[test]
    fn a_long_wait_is_wrong_and_so_is_one_that_meets_nobody() {
        assert_eq!(waits().wrong(990), None);
        assert!(waits().wrong(989).is_some());
        assert!(Waits { poll: 1001, ..waits() }.wrong(990).is_some());
        assert!(Waits { met: 89, ..waits() }.wrong(990).is_some());
        assert!(Waits { longest_busy: 11, ..waits() }.wrong(990).is_some());
    }
}
