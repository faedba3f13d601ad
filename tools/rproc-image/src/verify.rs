//! `verify`: says whether the partition would take a file, as far as that does not depend on the board.
use crate::check::{Board, check};
use crate::cli::VerifyArguments;
use crate::failure::{Failure, Report};
use crate::private_key::{hex, kind, read_public};
use crate::{diagnosis, drawing, files};
use serde_json::json;
use std::fmt::Write;
use zeroize::Zeroizing;

/// Runs it.
pub fn run(arguments: &VerifyArguments) -> Result<Report, Failure> {
    let key = read_public(&arguments.key, &arguments.passphrase)?;
    let decryption_key = match &arguments.enc_key {
        Some(path) => Some(Zeroizing::new(files::read(path)?)),
        None => None,
    };
    let bytes = files::read(&arguments.file)?;
    let board = Board {
        decryption_key: decryption_key.as_ref().map(|key| key.as_slice()),
        regions: &arguments.regions,
        processor: arguments.target_processor,
        name: arguments.board.as_deref(),
        security_counter: arguments.security_counter,
    };
    let checked = check(&bytes, &key, &board).map_err(|rejection| {
        let hint = diagnosis::hint(&bytes, rejection, Some(&key));
        Failure::rejected(&arguments.file, rejection, hint)
    })?;

    let (signer, loaded) = (&checked.signer, &checked.loaded);
    let id = hex(&signer.id);
    let mut text = format!(
        "{}: good\n  signed with {}, {} key {id}\n",
        arguments.file.display(),
        signer.algorithm,
        kind(&key)
    );
    let total: u64 = checked.segments.iter().map(|(segment, _)| u64::from(segment.memory_size)).sum();
    let _ = writeln!(
        text,
        "  {} segments, {} of memory, all hashes match",
        checked.segments.len(),
        drawing::size(total)
    );
    match loaded.boot_address {
        Some(address) => {
            let how = if loaded.secure { "secure" } else { "non-secure" };
            let _ = writeln!(text, "  boots at {address:#010x}, {how}");
        }
        None => text.push_str("  names no boot address: the partition's manifest has to\n"),
    }
    match &loaded.resource_table {
        Some(table) => {
            let _ =
                writeln!(text, "  resource table at {:#010x}, {} bytes", table.device_address, table.size);
        }
        None => text.push_str("  no resource table\n"),
    }
    if loaded.encrypted {
        let dumps = if loaded.coredump_allowed { "allowed" } else { "denied" };
        let _ = writeln!(text, "  encrypted; dumps of its memory are {dumps}");
    }
    // A resource table would have come out as nonsense: nothing else tells that the key was the signer's.
    let key_checked = loaded.encrypted.then(|| loaded.resource_table.is_some());
    if key_checked == Some(false) {
        text.push_str(
            "  not checked: whether this is the decryption key, as there is no resource table to show it (CBC tells nothing)\n",
        );
    }
    if let Some(version) = &checked.version {
        let _ = writeln!(text, "  version {version:?}");
    }
    if loaded.security_counter > 0 {
        let _ = writeln!(text, "  security counter {}", loaded.security_counter);
    }
    let (processor, board) = &checked.wanted;
    if let Some(processor) = processor {
        let _ = writeln!(text, "  only for processor {processor}");
    }
    if !board.is_empty() {
        let _ = writeln!(text, "  only for board {board:?}");
    }
    let segments: Vec<_> = checked
        .segments
        .iter()
        .map(|(segment, digest)| {
            json!({
                "image": segment.image,
                "da": format!("{:#x}", segment.device_address),
                "filesz": segment.file_size,
                "memsz": segment.memory_size,
                "loaded_sha256_with_zero_fill": hex(digest),
            })
        })
        .collect();
    let json = json!({
        "result": "good",
        "file": arguments.file.display().to_string(),
        "algorithm": signer.algorithm,
        "key": kind(&key),
        "key_id": id,
        "segments": segments,
        "boot_address": loaded.boot_address.map(|address| format!("{address:#x}")),
        "boots_secure": loaded.secure,
        "resource_table": loaded.resource_table.map(|table| json!({
            "da": format!("{:#x}", table.device_address), "size": table.size
        })),
        "version": checked.version,
        "security_counter": loaded.security_counter,
        "target": json!({ "processor": processor, "board": board }),
        "encrypted": loaded.encrypted,
        "decryption_key_checked": key_checked,
        "coredump_allowed": loaded.coredump_allowed,
    });
    Ok(Report { text, json })
}
