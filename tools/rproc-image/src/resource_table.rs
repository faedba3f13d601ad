//! A resource table's entries for machines. For people the image crate writes them.
use remoteproc_image::resource_table::{Entry, Memory, Vring};
use serde_json::{Value, json};

/// An entry in JSON; `None` is one that can't be read.
pub fn value(entry: Option<&Entry>) -> Value {
    match entry {
        Some(Entry::Carveout(area)) => memory(area, "carveout"),
        Some(Entry::Devmem(area)) => memory(area, "devmem"),
        Some(Entry::Trace(trace)) => json!({
            "type": "trace", "da": hex(trace.device_address), "len": trace.length, "name": trace.name.to_string()
        }),
        Some(Entry::Vdev(vdev)) => json!({
            "type": "vdev", "id": vdev.id, "notifyid": vdev.notify_id, "features": hex(vdev.device_features),
            "config_len": vdev.configuration_length, "vrings": vdev.vrings.iter().map(ring).collect::<Vec<_>>()
        }),
        Some(Entry::Vendor(number)) => json!({ "type": "vendor", "number": number }),
        Some(Entry::Unknown(number)) => json!({ "type": number }),
        Some(_) | None => json!({ "type": null }),
    }
}

fn hex(value: u32) -> String {
    format!("{value:#x}")
}

fn memory(area: &Memory, kind: &str) -> Value {
    json!({
        "type": kind, "da": hex(area.device_address), "pa": hex(area.physical_address), "len": area.length,
        "flags": hex(area.flags), "name": area.name.to_string()
    })
}

fn ring(vring: &Vring) -> Value {
    json!({
        "da": hex(vring.device_address), "align": vring.alignment, "num": vring.count, "notifyid": vring.notify_id
    })
}
