//! `inspect`: what is in a file. Nothing is verified; the answer says so.
use crate::cli::InspectArguments;
use crate::failure::{Failure, Report};
use crate::layout::{Layout, Tlv, word};
use crate::private_key::{hex, kind};
use crate::{check, diagnosis, drawing, files, resource_table};
use remoteproc_image::provider::{Algorithm, PublicKey};
use remoteproc_image::resource_table::entries;
use remoteproc_image::write::OwnedPublicKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use zeroize::Zeroizing;

/// Runs it.
pub fn run(arguments: &InspectArguments) -> Result<Report, Failure> {
    let key = match &arguments.enc_key {
        Some(path) => Some(Zeroizing::new(files::read(path)?)),
        None => None,
    };
    let bytes = files::read(&arguments.file)?;
    let refuse =
        |rejection| Failure::rejected(&arguments.file, rejection, diagnosis::hint(&bytes, rejection, None));
    check::framing(&bytes).map_err(refuse)?;
    let key = key.as_ref().map(|key| key.as_slice());
    let layout = Layout::read(&bytes, key).ok_or_else(|| {
        anyhow::anyhow!("{}: the header passed, yet the file can't be read", arguments.file.display())
    })?;
    Ok(Report { text: text(arguments, &layout, bytes.len()), json: json(arguments, &layout, &bytes) })
}

/// A TLV's name in the format's documents.
fn name(kind: u32) -> &'static str {
    match kind {
        0x01 => "SIGNTYPE",
        0x02 => "HASHTYPE",
        0x03 => "NUM_IMG",
        0x04 => "IMGTYPE",
        0x05 => "IMGSIZE",
        0x06 => "ENCTYPE",
        0x10 => "HASHTABLE",
        0x11 => "PKEYINFO",
        0x12 => "ENCTABLE",
        0x8001 => "SECURITY_COUNTER",
        0x8002 => "TARGET",
        0x8003 => "RESOURCE_TABLE",
        0x8004 => "KEY_ID",
        0x8005 => "VERSION",
        0x8006 => "COREDUMP",
        0x10000..=0x1ffff => "PLATFORM",
        _ => "unknown",
    }
}

/// What a TLV's value means.
fn meaning(tlv: &Tlv) -> Option<String> {
    let number = word(&tlv.value, 0).filter(|_| tlv.value.len() == 4);
    let byte = tlv.value.first().copied().filter(|_| tlv.value.len() == 1);
    match tlv.kind {
        0x01 => byte.and_then(Algorithm::from_signature_type).map(|algorithm| algorithm.name().into()),
        0x02 => (byte? == 1).then(|| "SHA-256".into()),
        0x03 => byte.map(|count| if count == 1 { "1 image".into() } else { format!("{count} images") }),
        0x04 => {
            let kinds = tlv.value.iter().map(|kind| match kind {
                1 => "ELF".to_owned(),
                2 => "encrypted ELF".to_owned(),
                other => format!("type {other}"),
            });
            Some(kinds.collect::<Vec<_>>().join(", "))
        }
        0x05 => {
            let sizes = tlv.value.chunks_exact(4).filter_map(|size| word(size, 0));
            Some(sizes.map(|size| format!("{size} bytes")).collect::<Vec<_>>().join(", "))
        }
        0x06 => (byte? == 1).then(|| "AES-CBC".into()),
        0x10 => Some(format!("{} entries", tlv.value.len() / 64)),
        0x12 => Some(format!("{} entries", tlv.value.len() / 80)),
        0x11 => {
            let key = OwnedPublicKey::of(&PublicKey::from_der(&tlv.value)?);
            Some(format!("{} key {}", kind(&key), hex(&key.id())))
        }
        0x8001..=0x8006 => Some(own_meaning(tlv).unwrap_or_else(|| "malformed: OWN_TLV_MALFORMED".into())),
        0x10001 | 0x10002 => {
            let number = number?;
            Some(match tlv.kind {
                0x10001 => format!("BOOTADDR {number:#010x}"),
                _ if number == 0 => "BOOTSEC non-secure".into(),
                _ => "BOOTSEC secure".into(),
            })
        }
        _ => None,
    }
}

/// What an own TLV says; nothing if the reader refuses it (docs/image-format.md).
fn own_meaning(tlv: &Tlv) -> Option<String> {
    let value = tlv.value.as_slice();
    let printable = |text: &[u8]| text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let number = word(value, 0).filter(|_| value.len() == 4);
    match tlv.kind {
        0x8001 => Some(number?.to_string()),
        0x8002 if (4..=36).contains(&value.len()) && printable(&value[4..]) => {
            Some(diagnosis::target_of(value))
        }
        0x8003 if value == [0; 40] => Some("none".into()),
        0x8003 if value.len() == 40 && word(value, 4) != Some(0) => {
            Some(format!("{:#010x}, {} bytes", word(value, 0)?, word(value, 4)?))
        }
        0x8004 if value.len() == 32 => Some(hex(value)),
        0x8005 if (1..=64).contains(&value.len()) && printable(value) => {
            Some(format!("{:?}", String::from_utf8_lossy(value)))
        }
        0x8006 => match number? {
            0 => Some("denied".into()),
            1 => Some("allowed".into()),
            _ => None,
        },
        _ => None,
    }
}

fn text(arguments: &InspectArguments, layout: &Layout, size: usize) -> String {
    let header = &layout.header;
    let mut text = format!(
        "{}: container version {}, {size} bytes (not verified: `rproc-image verify` does that)\n\n",
        arguments.file.display(),
        header.version
    );
    let _ = writeln!(text, "  offset      bytes  part");
    let _ = writeln!(text, "  {:<8} {:>8}  header", 0, 20);
    let _ = writeln!(text, "  {:<8} {:>8}  TLVs", 20, header.tlv_length);
    let _ = writeln!(text, "  {:<8} {:>8}  signature", layout.signature_offset, header.signature_length);
    for (index, (offset, size)) in layout.images.iter().enumerate() {
        let _ = writeln!(text, "  {offset:<8} {size:>8}  image {index}");
    }
    let _ = writeln!(text, "\nSigned digest (SHA-256) {}", hex(&layout.signed_digest));
    let _ = writeln!(text, "\nTLVs\n  offset   type     bytes  meaning");
    for tlv in &layout.tlvs {
        let what = match meaning(tlv) {
            Some(meaning) => format!("{}: {meaning}", name(tlv.kind)),
            None => format!("{} {}", name(tlv.kind), shortened(&tlv.value)),
        };
        let _ = writeln!(text, "  {:<8} {:<#7x} {:>6}  {what}", tlv.offset, tlv.kind, tlv.value.len());
    }
    let _ = writeln!(text, "\nMemory map (device addresses)");
    text.push_str(&drawing::memory_map(layout));
    if layout.is_encrypted() && arguments.enc_key.is_none() {
        text.push_str("\nThe segments are encrypted: --enc_key shows what is inside.\n");
    }
    if let Some(place) = &layout.resource_table {
        let by = if place.signed { "named by a signed TLV" } else { "named by a section header, unsigned" };
        let _ =
            writeln!(text, "\nResource table at {:#010x}, {} bytes, {by}", place.device_address, place.size);
        match layout.resource_table_bytes() {
            Some(bytes) => {
                for (index, entry) in entries(bytes).enumerate() {
                    let entry = entry.map_or("can't be read".into(), |entry| entry.to_string());
                    let _ = writeln!(text, "  {index:<2} {}", entry.replace('\n', "\n     "));
                }
            }
            None => text.push_str("  its bytes can't be shown: encrypted, or in no segment\n"),
        }
    } else {
        text.push_str("\nNo resource table\n");
    }
    for note in &layout.notes {
        let _ = writeln!(text, "\nNote: {note}");
    }
    text
}

/// The first bytes of a value, in hexadecimal.
fn shortened(value: &[u8]) -> String {
    match value.get(..16) {
        Some(start) if value.len() > 16 => format!("{}...", hex(start)),
        _ => hex(value),
    }
}

fn json(arguments: &InspectArguments, layout: &Layout, bytes: &[u8]) -> Value {
    let header = &layout.header;
    let tlvs: Vec<_> = layout
        .tlvs
        .iter()
        .map(|tlv| {
            json!({
                "type": format!("{:#x}", tlv.kind), "name": name(tlv.kind), "offset": tlv.offset,
                "len": tlv.value.len(), "hex": hex(&tlv.value), "meaning": meaning(tlv)
            })
        })
        .collect();
    let segments: Vec<_> = layout
        .segments
        .iter()
        .map(|segment| {
            json!({
                "image": segment.image, "da": format!("{:#x}", segment.device_address),
                "filesz": segment.file_size, "memsz": segment.memory_size, "flags": drawing::rights(segment.flags),
                "offset": segment.offset, "stored_sha256": hex(&segment.digest),
                "hash_matches": segment.hash_matches,
                "loaded_sha256_with_zero_fill": segment.loaded.as_ref().map(|bytes| hex(&Sha256::digest(bytes)))
            })
        })
        .collect();
    // A signed TLV does not say which image: the segment that holds the table does.
    let image_of = |address: u32| {
        let holds = |start: u32, size: u32| address.checked_sub(start).is_some_and(|inside| inside < size);
        let segment =
            layout.segments.iter().find(|segment| holds(segment.device_address, segment.memory_size));
        segment.map(|segment| segment.image)
    };
    let table = layout.resource_table.as_ref().map(|place| {
        let entries = layout.resource_table_bytes().map(|bytes| {
            entries(bytes).map(|entry| resource_table::value(entry.as_ref())).collect::<Vec<_>>()
        });
        json!({
            "image": place.image.or_else(|| image_of(place.device_address)),
            "da": format!("{:#x}", place.device_address), "size": place.size,
            "signed": place.signed, "entries": entries
        })
    });
    json!({
        "file": arguments.file.file_name().map(|name| name.to_string_lossy()),
        "size": bytes.len(),
        "sha256": hex(&Sha256::digest(bytes)),
        "verified": false,
        "header": {
            "magic": format!("{:#x}", header.magic), "version": header.version, "tlv_len": header.tlv_length,
            "sign_len": header.signature_length, "img_len": header.image_length
        },
        "offsets": { "tlv": 20, "sign": layout.signature_offset, "images": layout.images_offset },
        "signed_digest_sha256": hex(&layout.signed_digest),
        "encrypted": layout.is_encrypted(),
        "tlvs": tlvs,
        "segments": segments,
        "resource_table": table,
        "notes": layout.notes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_tlv_that_the_reader_refuses_is_shown_as_malformed() {
        let shown = |kind, value: &[u8]| meaning(&Tlv { kind, offset: 0, value: value.to_vec() });
        let malformed = Some("malformed: OWN_TLV_MALFORMED".to_owned());
        assert_eq!(shown(0x8006, &[0, 0, 0, 0]).as_deref(), Some("denied"));
        assert_eq!(shown(0x8006, &[1, 0, 0, 0]).as_deref(), Some("allowed"));
        assert_eq!(shown(0x8003, &[0; 40]).as_deref(), Some("none"));
        let bad: [(u32, &[u8]); 9] = [
            (0x8006, &[2, 0, 0, 0]),
            (0x8006, &[1]),
            (0x8001, &[1, 0, 0]),
            (0x8002, &[0; 3]),
            (0x8002, &[0, 0, 0, 0, 0xff]),
            (0x8003, &[0; 39]),
            (0x8004, &[0; 31]),
            (0x8005, b""),
            (0x8005, b"\x07"),
        ];
        for (kind, value) in bad {
            assert_eq!(shown(kind, value), malformed, "{kind:#x} {value:?}");
        }
    }
}
