//! The one console of all worlds: who said what, in lines.
use crate::prebuilt;

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The test bench's EL3 firmware.
    El3,
    /// Firmware that others built: TF-A, Hafnium.
    Firmware,
    /// The partition.
    Partition,
    /// The normal world.
    Payload,
    /// Nobody that can be named: the emulator, or a line without its mark.
    Unknown,
}

/// A line and its speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who.
    pub speaker: Speaker,
    /// What, without the mark.
    pub text: String,
}

impl Line {
    /// Takes the mark off.
    pub fn parse(line: &str) -> Self {
        let marks = [("[EL3] ", Speaker::El3), ("[SP] ", Speaker::Partition), ("[NS] ", Speaker::Payload)];
        for (mark, speaker) in marks {
            if let Some(text) = line.strip_prefix(mark) {
                return Self { speaker, text: text.to_owned() };
            }
        }
        // Hafnium's mark for what a partition logs.
        if let Some(text) = after_vcpu_mark(line) {
            return Self { speaker: Speaker::Partition, text: text.to_owned() };
        }
        let speaker = if prebuilt::is_firmware_line(line) { Speaker::Firmware } else { Speaker::Unknown };
        Self { speaker, text: line.to_owned() }
    }

    /// The rule and text of a violation that the EL3 firmware noticed.
    pub fn violation(&self) -> Option<&str> {
        if self.speaker != Speaker::El3 {
            return None;
        }
        self.text.strip_prefix("violation ")
    }

    /// The number of violations, from the EL3 firmware's last line.
    pub fn end(&self) -> Option<u64> {
        if self.speaker != Speaker::El3 {
            return None;
        }
        self.text.strip_prefix("end violations=")?.trim().parse().ok()
    }
}

/// The text behind `[8001 0] `: endpoint id in hexadecimal, number of the execution context. The partition is the only one.
fn after_vcpu_mark(line: &str) -> Option<&str> {
    let (mark, text) = line.strip_prefix('[')?.split_once("] ")?;
    let (endpoint, context) = mark.split_once(' ')?;
    context.parse::<u16>().ok()?;
    (u16::from_str_radix(endpoint, 16).ok()? == PARTITION).then_some(text)
}

/// Endpoint id that the SPMC gives to its first partition.
const PARTITION: u16 = 0x8001;

/// What the payload says, in either mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A step of the demo.
    Step {
        /// Its name.
        name: String,
        /// Whether it did what it should.
        ok: bool,
        /// The facts.
        text: String,
    },
    /// More facts.
    Info(String),
    /// How far a load is.
    Progress {
        /// Bytes that are loaded.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The demo's last word.
    Passed,
    /// The demo's last word: the image was refused.
    Refused {
        /// The refusal's number.
        number: u16,
        /// Its name.
        name: String,
        /// The wire's result code.
        result: String,
    },
    /// The demo's last word: the step that failed.
    Failed(String),
    /// A test begins.
    TestBegin(String),
    /// A test has ended.
    TestEnd {
        /// Its name.
        name: String,
        /// How.
        verdict: Verdict,
    },
    /// The tests' last word.
    TestsDone {
        /// Counts: passed, failed, skipped.
        counts: [u64; 3],
    },
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should, and why.
    Failed(String),
    /// Not run, and why.
    Skipped(String),
}

impl Message {
    /// Understands a line of the payload; `None` for what follows no rule.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        match kind {
            "info" => Some(Self::Info(rest.to_owned())),
            "step" => {
                let (name, rest) = rest.split_once(' ')?;
                let (verdict, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let ok = match verdict {
                    "ok" => true,
                    "failed" => false,
                    _ => return None,
                };
                Some(Self::Step { name: name.to_owned(), ok, text: text.to_owned() })
            }
            "progress" => {
                let (done, total) = rest.split_once(' ')?;
                Some(Self::Progress { done: done.parse().ok()?, total: total.parse().ok()? })
            }
            "demo" => Self::demo_end(rest),
            "test" => Self::test(rest),
            "tests" => Some(Self::TestsDone { counts: counts(rest.strip_prefix("done ")?)? }),
            _ => None,
        }
    }

    fn demo_end(text: &str) -> Option<Self> {
        if text == "pass" {
            return Some(Self::Passed);
        }
        let mut words = text.split_whitespace();
        match words.next()? {
            "failed" => Some(Self::Failed(words.next()?.to_owned())),
            "refused" => {
                let number = u16::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
                let name = words.next()?.to_owned();
                Some(Self::Refused { number, name, result: words.collect::<Vec<_>>().join(" ") })
            }
            _ => None,
        }
    }

    fn test(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(' ')?;
        let (word, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = name.to_owned();
        let verdict = match word {
            "begin" => return Some(Self::TestBegin(name)),
            "pass" => Verdict::Passed,
            "fail" => Verdict::Failed(reason.to_owned()),
            "skip" => Verdict::Skipped(reason.to_owned()),
            _ => return None,
        };
        Some(Self::TestEnd { name, verdict })
    }
}

fn counts(text: &str) -> Option<[u64; 3]> {
    let mut words = text.split_whitespace();
    let mut counts = [0; 3];
    for (count, key) in counts.iter_mut().zip(["passed=", "failed=", "skipped="]) {
        *count = words.next()?.strip_prefix(key)?.parse().ok()?;
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_speakers() {
        let line = Line::parse("[SP] FF-A 1.2");
        assert_eq!((line.speaker, line.text.as_str()), (Speaker::Partition, "FF-A 1.2"));
        assert_eq!(Line::parse("qemu: [SP] no").speaker, Speaker::Unknown);
        let line = Line::parse("[8001 0] FF-A [1] 2");
        assert_eq!((line.speaker, line.text.as_str()), (Speaker::Partition, "FF-A [1] 2"));
        for other in ["[8002 0] x", "[8001] x", "[8001 x] x", "[zz 0] x", " [8001 0] x"] {
            assert_eq!(Line::parse(other).speaker, Speaker::Unknown, "{other}");
        }
        assert_eq!(Line::parse("NOTICE:  BL31: v2").speaker, Speaker::Firmware);
        assert_eq!(Line::parse("[EL3] violation RX_HELD: text").violation(), Some("RX_HELD: text"));
        assert_eq!(Line::parse("[NS] violation RX_HELD: text").violation(), None);
        assert_eq!(Line::parse("[EL3] end violations=2").end(), Some(2));
        assert_eq!(Line::parse("[SP] end violations=0").end(), None);
    }

    #[test]
    fn the_demo_speaks_in_steps() {
        let step = |name: &str, ok, text: &str| {
            Some(Message::Step { name: name.to_owned(), ok, text: text.to_owned() })
        };
        assert_eq!(Message::parse("step load ok 14764 bytes"), step("load", true, "14764 bytes"));
        assert_eq!(Message::parse("step start failed BUSY"), step("start", false, "BUSY"));
        assert_eq!(Message::parse("step stop ok"), step("stop", true, ""));
        assert_eq!(Message::parse("step stop maybe"), None);
        assert_eq!(Message::parse("progress 5 10"), Some(Message::Progress { done: 5, total: 10 }));
        assert_eq!(Message::parse("progress 5"), None);
        assert_eq!(Message::parse("demo pass"), Some(Message::Passed));
        assert_eq!(Message::parse("demo failed load"), Some(Message::Failed("load".to_owned())));
        assert_eq!(
            Message::parse("demo refused 0x0501 SEGMENT_HASH_MISMATCH SECURITY"),
            Some(Message::Refused {
                number: 0x501,
                name: "SEGMENT_HASH_MISMATCH".to_owned(),
                result: "SECURITY".to_owned()
            })
        );
        assert_eq!(Message::parse("demo refused 1281 X Y"), None);
    }

    #[test]
    fn tests_have_verdicts() {
        let end = |name: &str, verdict| Some(Message::TestEnd { name: name.to_owned(), verdict });
        assert_eq!(Message::parse("test a begin"), Some(Message::TestBegin("a".to_owned())));
        assert_eq!(Message::parse("test a pass"), end("a", Verdict::Passed));
        assert_eq!(
            Message::parse("test a fail no answer"),
            end("a", Verdict::Failed("no answer".to_owned()))
        );
        assert_eq!(Message::parse("test a skip no file"), end("a", Verdict::Skipped("no file".to_owned())));
        assert_eq!(Message::parse("test a"), None);
        assert_eq!(
            Message::parse("tests done passed=3 failed=0 skipped=1"),
            Some(Message::TestsDone { counts: [3, 0, 1] })
        );
        assert_eq!(Message::parse("tests done passed=3"), None);
    }
}
