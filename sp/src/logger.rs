//! The `log` crate's back end: FFA_CONSOLE_LOG, whole lines.
use crate::ffa;
use arm_ffa::FfaError;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, Ordering};
use log::{Level, LevelFilter, Log, Metadata, Record};
use remoteproc_sp::console::{Line, Width, calls};
use remoteproc_sp::message::{Registers, error_status};

/// The SPMC knows the 32-bit call only.
static NARROW: AtomicBool = AtomicBool::new(false);

struct Console;

static CONSOLE: Console = Console;

/// Makes the console the log's back end. From here on log lines are printed; the FF-A version must have been agreed.
pub fn start() {
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = Line::new();
        let prefix = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        // A line takes any text; what does not fit is cut.
        let _ = write!(line, "{prefix}{}", record.args());
        print(line.end());
    }

    fn flush(&self) {}
}

/// Prints bytes. What the SPMC does not take is lost: there is nobody to tell.
fn print(bytes: &[u8]) {
    if !NARROW.load(Ordering::Relaxed) {
        for (index, registers) in calls(bytes, Width::Bits64).enumerate() {
            let answer = ffa::call(&registers);
            if index == 0 && refused_as_unknown(&answer) {
                NARROW.store(true, Ordering::Relaxed);
                break;
            }
        }
    }
    if NARROW.load(Ordering::Relaxed) {
        for registers in calls(bytes, Width::Bits32) {
            ffa::call(&registers);
        }
    }
}

/// Tells whether the SPMC does not know a call.
fn refused_as_unknown(answer: &Registers) -> bool {
    error_status(answer) == Some(FfaError::NotSupported.into())
}
