//! What a refused file seems to be instead, and what would help.
use crate::layout::{Layout, word};
use crate::private_key::{hex, kind};
use remoteproc_image::provider::PublicKey;
use remoteproc_image::reader::Rejection;
use remoteproc_image::write::OwnedPublicKey;
use remoteproc_refusal::Refusal;

const MAGIC: u32 = 0x3543_a468;
const KEY_INFORMATION: u32 = 0x11;
const ENCRYPTION: u32 = 0x6;
const SECURITY_COUNTER: u32 = 0x8001;
const TARGET: u32 = 0x8002;
const KEY_ID: u32 = 0x8004;
/// What each of the two chunks of the older vendor layout starts with.
const OLD_CHUNK: u32 = 0x6907;

/// The numbers of the refusals about resource tables.
const RESOURCE_TABLE: std::ops::Range<u16> = 0x0600..0x0700;

/// Why a file can't be one to sign, if it obviously can't.
pub fn not_to_be_signed(bytes: &[u8]) -> Option<Refusal> {
    if word(bytes, 0) == Some(MAGIC) {
        Some(Refusal::InputAlreadySigned)
    } else if bytes.starts_with(b"!<arch>\n") {
        Some(Refusal::InputStaticLibrary)
    } else if !bytes.starts_with(b"\x7fELF") {
        Some(Refusal::InputNotElf)
    } else {
        None
    }
}

/// Why an ELF file can't be the firmware of an Arm processor, if its header says so; and what the header says.
pub fn not_for_a_remote_processor(elf: &[u8]) -> Option<(Refusal, String)> {
    const ARM: u32 = 40;
    const AARCH64: u32 = 183;
    let both = word(elf, 16)?;
    let (kind, machine) = (both & 0xffff, both >> 16);
    let wanted = if elf.get(4) == Some(&2) { AARCH64 } else { ARM };
    if machine != wanted {
        let hint = format!("Its e_machine is {machine}, it should be {wanted}.");
        return Some((Refusal::InputOtherArchitecture, hint));
    }
    let hint = match kind {
        2 => return None,
        1 => "It is an object file.".into(),
        3 => "It is a shared object or position-independent.".into(),
        other => format!("Its e_type is {other}."),
    };
    Some((Refusal::InputNotExecutable, hint))
}

/// What may help with a container that was refused.
pub fn hint(bytes: &[u8], rejection: Rejection, key: Option<&OwnedPublicKey>) -> Option<String> {
    match rejection.refusal {
        Refusal::BadMagic | Refusal::TooShort => of_other_files(bytes),
        Refusal::SizeMismatch | Refusal::BadVersion if is_old_layout(bytes) => Some(
            "It is of the older vendor layout (24-byte header, signature before the images), which has the same magic \
             number: sign the ELF file again with this tool or a newer script."
                .into(),
        ),
        Refusal::SizeMismatch => Some(size_hint(bytes)),
        Refusal::SignatureInvalid
        | Refusal::SignatureLength
        | Refusal::NoTrustedKey
        | Refusal::KeyIdUnknown => key.map(|key| of_key(bytes, key)),
        Refusal::NoDecryptionKey => Some(
            "Give the key that it was encrypted with, as `--enc_key FILE`: nothing inside can be verified without.".into(),
        ),
        Refusal::TargetMismatch => {
            let layout = Layout::outline(bytes)?;
            Some(format!("The file is for {}.", target_of(layout.value(TARGET)?)))
        }
        Refusal::CounterTooLow => {
            let layout = Layout::outline(bytes)?;
            let counter = layout.value(SECURITY_COUNTER).and_then(|value| word(value, 0)).unwrap_or(0);
            Some(format!("The file's counter is {counter}."))
        }
        refusal if RESOURCE_TABLE.contains(&refusal.number()) => {
            let layout = Layout::outline(bytes)?;
            layout.value(ENCRYPTION)?;
            Some("The file is encrypted: a key other than the signer's in `--enc_key` has the same effect.".into())
        }
        _ => None,
    }
}

/// The processor id and the board that an image asks for: nothing and empty for any.
pub fn wanted(layout: &Layout) -> (Option<u32>, String) {
    parts(layout.value(TARGET).unwrap_or_default())
}

fn parts(value: &[u8]) -> (Option<u32>, String) {
    let processor = word(value, 0).filter(|processor| *processor != u32::MAX);
    let board = value.get(4..).unwrap_or_default();
    (processor, String::from_utf8_lossy(board).into_owned())
}

/// A value of TARGET in words.
pub fn target_of(value: &[u8]) -> String {
    let (processor, board) = parts(value);
    let processor = processor.map_or("any processor".into(), |id| format!("processor {id}"));
    let board = if board.is_empty() { "any board".into() } else { format!("board {board:?}") };
    format!("{processor}, {board}")
}

fn of_other_files(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"\x7fELF") {
        return Some(
            "This is an unsigned ELF: sign it with `rproc-image sign --in ELF --out FILE --key KEY`.".into(),
        );
    }
    if bytes.is_empty() {
        return Some("The file is empty.".into());
    }
    if bytes.starts_with(&MAGIC.to_be_bytes()) {
        return Some(
            "Its magic number is big-endian: it was signed on a big-endian host; sign it again.".into(),
        );
    }
    None
}

/// The older layout has the same magic and version; only the sum of its lengths gives it away.
fn is_old_layout(bytes: &[u8]) -> bool {
    let at = |index: usize| word(bytes, index * 4).map(u64::from);
    let (Some(signature), Some(images), Some(tlvs), Some(platform_tlvs)) = (at(2), at(3), at(4), at(5))
    else {
        return false;
    };
    let total = bytes.len() as u64;
    let sum = 24 + signature + images + tlvs + platform_tlvs;
    let padded: u64 = 24
        + [signature, images, tlvs, platform_tlvs]
            .map(|length| length.next_multiple_of(8))
            .iter()
            .sum::<u64>();
    let chunk = usize::try_from(24 + signature + images).ok().and_then(|chunk| word(bytes, chunk));
    sum == total || padded == total || chunk == Some(OLD_CHUNK)
}

/// What the header promises, and what is there.
fn size_hint(bytes: &[u8]) -> String {
    let padded = |index: usize| u64::from(word(bytes, index * 4).unwrap_or(0)).next_multiple_of(8);
    let promised = 20 + padded(2) + padded(3) + padded(4);
    let actual = bytes.len() as u64;
    let what = if actual < promised { "the file was cut off" } else { "something was added behind the file" };
    format!("The header promises {promised} bytes, the file has {actual}: {what}, or its header was changed.")
}

/// Whose signature it may be.
fn of_key(bytes: &[u8], key: &OwnedPublicKey) -> String {
    if !key.as_key().is_acceptable() {
        let bits = key.as_key().bits();
        let what = match bits {
            ..2048 => "is too short",
            2048..=4096 => "has an even modulus or a useless exponent",
            _ => "is too long",
        };
        return format!(
            "The given key, of {bits} bits, {what}: no platform trusts it, whatever it signed. RSA keys have 2048 to 4096 bits."
        );
    }
    let layout = Layout::outline(bytes);
    let value = |kind| layout.as_ref().and_then(|layout| layout.value(kind)).map(<[u8]>::to_vec);
    let information = value(KEY_INFORMATION);
    let information =
        information.as_deref().and_then(PublicKey::from_der).map(|key| OwnedPublicKey::of(&key));
    let named = match (value(KEY_ID), information) {
        (Some(id), _) => Some(hex(&id)),
        (None, Some(key)) => Some(hex(&key.id())),
        (None, None) => None,
    };
    let own = hex(&key.id());
    match named {
        Some(named) if named == own => format!(
            "The file names the given key ({own}) as its signer: header, TLVs or signature were changed after it was signed."
        ),
        Some(named) => {
            format!("Signed by another key: this file's key id is {named}, the given key's is {own}.")
        }
        None => format!(
            "Signed by another key, or changed afterwards: the file does not name its key; the given one is {}, id {own}.",
            kind(key)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoteproc_image::reader::Rejection;

    #[test]
    fn a_key_that_nobody_trusts_is_named_before_anything_else() {
        for (bytes, what) in [(128, "1024 bits, is too short"), (768, "6144 bits, is too long")] {
            let key = OwnedPublicKey::Rsa { modulus: vec![0xff; bytes], exponent: 65537 };
            let tlvs = [(1, vec![1]), (KEY_INFORMATION, key.to_der())];
            let raw = remoteproc_image::write::RawContainer::new(&tlvs, vec![0; 8]);
            let file = raw.with_signature(&vec![1; bytes]).unwrap();
            let rejection = Rejection { refusal: Refusal::NoTrustedKey, offset: None };
            let hint = hint(&file, rejection, Some(&key)).unwrap();
            assert!(hint.contains(what) && !hint.contains("changed after"), "{hint}");
        }
    }

    #[test]
    fn the_older_layout_is_told_by_its_sum() {
        let mut bytes = Vec::new();
        // Magic, version, signature, images, TLVs, platform TLVs.
        for number in [MAGIC, 1, 256, 64, 40, 16] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(24 + 256 + 64 + 40 + 16, 0);
        assert!(is_old_layout(&bytes));
        bytes.push(0);
        assert!(!is_old_layout(&bytes));
        assert!(!is_old_layout(&bytes[..20]));
    }
}
