//! Looking at the remote core from the normal world: resource table, trace text, words that move or stand.
use crate::{board, machine, memory};
use heapless::Vec;
use remoteproc_shim::TableLocation;
use remoteproc_shim::resource_table::{Entry, ResourceTable};

/// Longest resource table that is read, bytes.
const MAX_TABLE: usize = 4096;
/// Longest trace buffer that is read, bytes.
const MAX_TRACE: usize = 4096;
/// The vendor entry of this project's own firmware: device addresses of its heartbeat and of its request word.
const VENDOR_KIND: u32 = 128;
/// How long a running core may take to show a sign of life, ms.
pub const ALIVE_WITHIN: u64 = 10_000;
/// How long a stopped core's words are watched, ms.
const STANDS_FOR: u64 = 100;

/// A private copy of a resource table.
pub type Table = Vec<u8, MAX_TABLE>;

/// The text of a trace buffer.
pub type Text = Vec<u8, MAX_TRACE>;

/// Copies a processor's table out of shared memory; `None` if it lies elsewhere or is too long.
pub fn copy_table(processor: u32, location: TableLocation) -> Option<Table> {
    let memory = &board::processor(processor)?.memory;
    let end = location.address.checked_add(location.size)?;
    if location.address < memory.start || end > memory.end {
        return None;
    }
    let mut table = Table::new();
    table.resize_default(usize::try_from(location.size).ok()?).ok()?;
    memory::read(location.address, &mut table);
    Some(table)
}

/// What this project's own firmware offers to look at.
#[derive(Clone, Copy, Default)]
pub struct Signs {
    /// Physical address and length of the first trace buffer.
    pub trace: Option<(u64, u32)>,
    /// Physical address of the heartbeat word.
    pub heartbeat: Option<u64>,
    /// Physical address of the word by which the firmware takes requests.
    pub request: Option<u64>,
}

/// Finds them in a processor's table.
pub fn signs(processor: u32, table: &Table) -> Signs {
    let mut signs = Signs::default();
    let (Some(processor), Ok(table)) = (board::processor(processor), ResourceTable::new(table)) else {
        return signs;
    };
    for entry in table.entries().flatten() {
        match entry {
            Entry::Trace { device_address, length, .. } if signs.trace.is_none() => {
                signs.trace = processor.physical(device_address, length).map(|address| (address, length));
            }
            Entry::Vendor { kind: VENDOR_KIND, data } => {
                let mut words = data.chunks_exact(4).map(|word| {
                    let device_address = u32::from_le_bytes(word.try_into().ok()?);
                    processor.physical(device_address, 4).filter(|address| address.is_multiple_of(4))
                });
                signs.heartbeat = words.next().flatten();
                signs.request = words.next().flatten();
            }
            _ => {}
        }
    }
    signs
}

/// Copies the trace text, up to the first zero byte.
pub fn trace_text(address: u64, length: u32) -> Text {
    let mut text = Text::new();
    let length = (length as usize).min(MAX_TRACE);
    // The capacity is MAX_TRACE.
    let _ = text.resize_default(length);
    memory::read(address, &mut text);
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(length);
    text.truncate(end);
    text
}

/// Waits for trace text with at least one whole line.
pub fn wait_for_trace(address: u64, length: u32) -> Option<Text> {
    let mut text = Text::new();
    machine::wait_until(ALIVE_WITHIN, || {
        text = trace_text(address, length);
        text.contains(&b'\n')
    })
    .then_some(text)
}

/// Waits until a word differs from `before`; returns the new value.
pub fn wait_for_move(address: u64, before: u32) -> Option<u32> {
    let mut now = before;
    machine::wait_until(ALIVE_WITHIN, || {
        now = memory::read_word(address);
        now != before
    })
    .then_some(now)
}

/// Watches a word for a while; `Ok` with its value if it stands, else both values.
pub fn stands(address: u64) -> Result<u32, (u32, u32)> {
    let first = memory::read_word(address);
    let mut last = first;
    let moved = machine::wait_until(STANDS_FOR, || {
        last = memory::read_word(address);
        last != first
    });
    if moved { Err((first, last)) } else { Ok(first) }
}
