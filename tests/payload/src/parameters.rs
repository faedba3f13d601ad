//! What the host wants: lines of `key=value` in ASCII, ended by a zero byte, put into RAM before the start.
//!
//! | key | in mode | value |
//! |---|---|---|
//! | mode | | `demo` or `test` |
//! | processor | both | id of the remote processor, 0 if absent |
//! | image | demo | file to load |
//! | watch | demo | physical address of a word of the window to watch |
//! | no-start | demo | `1`: load, show the resource table, release |
//! | theme | test | `bounds`, `controls`, `counters`, `faults`, `hostile` or `soak`: these cases and no others |
//! | control | test | what has to fail without which guard (`tests/controls.rs`); repeatable |
//! | test | test | prefix of the names to run; repeatable; all if absent |
//! | rounds | test | how often each event is provoked, 1 if absent |
//! | seed | test | number that random numbers begin with |
//! | random, mutated, calls, enough, starts | test | how many messages of each kind the fuzzer sends, how often it has to see everything, and how often it starts firmware |
//! | cycles, aborted | test | how often the theme `soak` does what it does |
//! | flip-loads | test | loads during which another CPU changes the image, 200 if absent |
//! | sample, second | test | files that load |
//! | large | test | this project's own firmware in a file of 16 MiB, of which 10 MiB are loaded |
//! | firmware | test | this project's own firmware for the Cortex-M33 |
//! | firmware-m4 | test | the same for the Cortex-M4 |
//! | firmware-secret, firmware-dump | test | the same for the Cortex-M33, encrypted; the second may be read for a dump |
//! | counter-4, counter-5, counter-9 | test | the same, signed with this security counter |
//! | contexts | test | number of execution contexts in the manifest |
//! | spmc | test | `prebuilt`: the SPMC is not the test bench's, so tests that need its controls are skipped |
//! | vector | test | file and what has to happen to it: `load`, `before:REFUSAL` or `after:REFUSAL` (the claim); repeatable |
//!
//! A file is `NAME,ADDRESS,LENGTH`: physical address in hexadecimal, length in bytes.
use crate::memory;
use remoteproc_abi::FFA_PAGE_SIZE;
use remoteproc_abi::memory_descriptor::Constituent;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One load from beginning to end, for a person.
    Demo,
    /// The system tests.
    Test,
}

/// A file in RAM, page aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// For people.
    pub name: &'static str,
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u64,
}

impl File {
    /// Returns the pages that hold it.
    pub fn range(&self) -> Constituent {
        let pages = self.length.div_ceil(FFA_PAGE_SIZE).max(1);
        Constituent { address: self.address, page_count: u32::try_from(pages).unwrap_or(u32::MAX) }
    }
}

/// The parameters.
#[derive(Clone, Copy)]
pub struct Parameters {
    text: &'static str,
}

impl Parameters {
    /// Takes the text out of RAM. Text that is not ASCII counts as none.
    pub fn read() -> Self {
        // SAFETY: the host has put it there before the start and nobody writes it any more: it is shared with no other world.
        let bytes =
            unsafe { core::slice::from_raw_parts(memory::PARAMETERS as *const u8, memory::PARAMETERS_SIZE) };
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = if text.is_ascii() { core::str::from_utf8(text).unwrap_or_default() } else { "" };
        Self { text }
    }

    /// Returns all values of a key.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter_map(move |line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim())
        })
    }

    /// Returns the first value of a key.
    pub fn value(&self, key: &str) -> Option<&'static str> {
        self.values(key).next()
    }

    /// Returns what to do.
    pub fn mode(&self) -> Option<Mode> {
        match self.value("mode")? {
            "demo" => Some(Mode::Demo),
            "test" => Some(Mode::Test),
            _ => None,
        }
    }

    /// Returns the processor to use.
    pub fn processor(&self) -> u32 {
        self.value("processor").and_then(number).and_then(|id| u32::try_from(id).ok()).unwrap_or(0)
    }

    /// Tells whether a test is to run: all are, unless prefixes are given.
    pub fn chooses(&self, name: &str) -> bool {
        let mut prefixes = self.values("test").peekable();
        prefixes.peek().is_none() || prefixes.any(|prefix| name.starts_with(prefix))
    }

    /// Returns the file behind a key.
    pub fn file(&self, key: &str) -> Option<File> {
        file(self.value(key)?)
    }
}

/// Reads a number, decimal or with 0x.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Reads NAME,ADDRESS,LENGTH with the address in hexadecimal, and the start of whatever follows.
pub fn file(text: &'static str) -> Option<File> {
    let mut fields = text.split(',');
    let name = fields.next()?;
    let address = fields.next()?;
    let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).ok()?;
    let length = number(fields.next()?)?;
    let usable = address.is_multiple_of(FFA_PAGE_SIZE)
        && memory::is_accessible(address, length.checked_next_multiple_of(FFA_PAGE_SIZE)?);
    usable.then_some(File { name, address, length })
}
