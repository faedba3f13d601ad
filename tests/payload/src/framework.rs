//! The test framework: cases in lists, chosen by name, one line for each outcome.
//!
//! A case returns an error where it fails. A panic, or an exception, fails the case that runs and ends the run.
use crate::context::Context;
use crate::say;
use core::fmt::{self, Arguments};
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use heapless::String;

/// Why a case did not pass.
pub enum Failure {
    /// Something is not as it should be.
    Failed(Text),
    /// The parameters lack what the case needs.
    Skipped(Text),
}

/// The outcome of a case or a part of it.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A line's worth of text; what does not fit is cut off.
#[derive(Default)]
pub struct Text(String<240>);

impl Text {
    /// Formats text.
    pub fn of(arguments: Arguments) -> Self {
        let mut text = Self::default();
        // `write_str` never fails.
        let _ = fmt::write(&mut text, arguments);
        text
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.push(character).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Makes a [`Failure`].
#[macro_export]
macro_rules! failure {
    ($($argument:tt)*) => {
        $crate::framework::Failure::Failed($crate::framework::Text::of(format_args!($($argument)*)))
    };
}

/// Fails the case unless a condition holds.
#[macro_export]
macro_rules! expect {
    ($condition:expr, $($argument:tt)*) => {
        if !$condition {
            return Err($crate::failure!($($argument)*));
        }
    };
}

/// Fails the case unless two values are equal.
#[macro_export]
macro_rules! expect_eq {
    ($left:expr, $right:expr, $what:expr) => {{
        let (left, right) = (&$left, &$right);
        if *left != *right {
            return Err($crate::failure!("{} is {:#x?}, not {:#x?}", $what, left, right));
        }
    }};
}

/// One case.
pub struct Case {
    /// THEME::NAME.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&mut Context) -> Outcome,
}

/// Lists the cases of a theme. A function that is in no list is dead code, which the compiler reports.
#[macro_export]
macro_rules! cases {
    ($theme:literal: $($function:ident)*) => {
        /// The cases of this theme.
        pub const CASES: &[$crate::framework::Case] = &[
            $($crate::framework::Case { name: concat!($theme, "::", stringify!($function)), run: $function },)*
        ];
    };
}

static PASSED: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);
static SKIPPED: AtomicU32 = AtomicU32::new(0);
/// The name of the case that runs, for the panic handler; all zero outside of cases.
static RUNNING: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];

/// Counts; with loads and stores only, because exclusive accesses do not work with the MMU off.
fn count(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
}

fn set_running(name: &str) {
    let bytes = name.bytes().chain(core::iter::repeat(0));
    for (place, byte) in RUNNING.iter().zip(bytes) {
        place.store(byte, Ordering::Relaxed);
    }
}

/// Runs one case, if the parameters choose it.
pub fn run(context: &mut Context, name: &str, case: impl FnOnce(&mut Context) -> Outcome) {
    if !context.parameters.chooses(name) {
        return;
    }
    say!("test {name} begin");
    set_running(name);
    let outcome = context.prepare().and_then(|()| case(context)).and_then(|()| context.expect_nothing_held());
    // Whatever the case did, the next one finds the processor released, and a clean load works.
    let after = context.settle();
    set_running("");
    match (outcome, after) {
        (Ok(()), Ok(())) => {
            count(&PASSED);
            say!("test {name} pass");
        }
        (Err(Failure::Failed(why)), _) => {
            count(&FAILED);
            say!("test {name} fail {}", why.as_str());
        }
        (_, Err(Failure::Failed(why) | Failure::Skipped(why))) => {
            count(&FAILED);
            say!("test {name} fail afterwards: {}", why.as_str());
        }
        (Err(Failure::Skipped(why)), Ok(())) => {
            count(&SKIPPED);
            say!("test {name} skip {}", why.as_str());
        }
    }
}

/// Prints the end line.
pub fn end() {
    let [passed, failed, skipped] =
        [&PASSED, &FAILED, &SKIPPED].map(|counter| counter.load(Ordering::Relaxed));
    say!("tests done passed={passed} failed={failed} skipped={skipped}");
}

/// Fails the run from outside of any case.
pub fn fail_run(what: Arguments) {
    count(&FAILED);
    say!("test run begin");
    say!("test run fail {what}");
    end();
}

/// Called by the panic handler: fails the case that runs. False: none runs.
pub fn panicked(what: Arguments) -> bool {
    let mut name = String::<64>::new();
    for byte in RUNNING.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|byte| *byte != 0) {
        // As many characters as there are bytes.
        let _ = name.push(char::from(byte));
    }
    if name.is_empty() {
        return false;
    }
    count(&FAILED);
    say!("test {name} fail {what}");
    end();
    true
}
