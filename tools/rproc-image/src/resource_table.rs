//! A resource table's entries, for people and machines (Linux, `include/linux/remoteproc.h`).
use crate::layout::word;
use serde_json::{Value, json};

/// "The processor's own choice" in an address field.
const ANY_ADDRESS: u32 = u32::MAX;

/// An entry: what it is, in one line, and for machines.
pub struct Entry {
    /// For people.
    pub text: String,
    /// For machines.
    pub json: Value,
}

/// A name of at most 32 bytes that ends at the first NUL.
fn name(bytes: &[u8], offset: usize) -> Option<String> {
    let bytes = bytes.get(offset..offset.checked_add(32)?)?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    Some(String::from_utf8_lossy(&bytes[..end]).escape_debug().to_string())
}

fn address(address: u32) -> String {
    if address == ANY_ADDRESS { "any address".into() } else { format!("{address:#010x}") }
}

/// Reads the entries, as far as they can be read.
pub fn entries(table: &[u8]) -> Vec<Entry> {
    let count = word(table, 4).unwrap_or(0).min(64) as usize;
    (0..count)
        .map(|index| {
            let offset = word(table, 16 + index * 4);
            offset
                .and_then(|offset| entry(table, offset as usize))
                .unwrap_or_else(|| Entry { text: "can't be read".into(), json: json!({ "type": null }) })
        })
        .collect()
}

fn entry(table: &[u8], offset: usize) -> Option<Entry> {
    let table = table.get(offset..)?;
    let at = |index: usize| word(table, index * 4);
    let kind = at(0)?;
    Some(match kind {
        0 | 1 => memory(table, if kind == 0 { "carveout" } else { "devmem" })?,
        2 => {
            let (da, length, name) = (at(1)?, at(2)?, name(table, 16)?);
            Entry {
                text: format!("trace     {} {length:#x} bytes \"{name}\"", address(da)),
                json: json!({ "type": "trace", "da": hex(da), "len": length, "name": name }),
            }
        }
        3 => vdev(table)?,
        128..=512 => Entry {
            text: format!("vendor    type {kind}"),
            json: json!({ "type": "vendor", "number": kind }),
        },
        other => Entry { text: format!("unknown   type {other}"), json: json!({ "type": other }) },
    })
}

fn hex(value: u32) -> String {
    format!("{value:#x}")
}

fn memory(table: &[u8], kind: &str) -> Option<Entry> {
    let at = |index: usize| word(table, index * 4);
    let (da, pa, length, flags, name) = (at(1)?, at(2)?, at(3)?, at(4)?, name(table, 24)?);
    Some(Entry {
        text: format!("{kind:<9} {} -> {} {length:#x} bytes \"{name}\"", address(da), address(pa)),
        json: json!({
            "type": kind, "da": hex(da), "pa": hex(pa), "len": length, "flags": hex(flags), "name": name
        }),
    })
}

fn vdev(table: &[u8]) -> Option<Entry> {
    let at = |index: usize| word(table, index * 4);
    let (id, notify, features, configuration) = (at(1)?, at(2)?, at(3)?, at(5)?);
    let count = *table.get(25)?;
    let mut text = format!(
        "vdev      id {id}, notify id {notify}, features {features:#x}, {configuration} bytes of configuration"
    );
    let mut rings = Vec::new();
    for index in 0..usize::from(count) {
        let ring = 7 + index * 5;
        let (da, align, num, notify) = (at(ring)?, at(ring + 1)?, at(ring + 2)?, at(ring + 3)?);
        text.push_str(&format!(
            "\n              vring {index}: {} {num} buffers, aligned to {align}, notify id {notify}",
            address(da)
        ));
        rings.push(json!({ "da": hex(da), "align": align, "num": num, "notifyid": notify }));
    }
    let json = json!({
        "type": "vdev", "id": id, "notifyid": notify, "features": hex(features),
        "config_len": configuration, "vrings": rings
    });
    Some(Entry { text, json })
}
