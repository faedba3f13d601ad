//! This project's own TLVs, 0x8001 to 0x8006 (docs/image-format.md). Readers that don't know them ignore them; all are signed.
use crate::container::{Tlv, first};
use crate::format;
use crate::metadata::Metadata;
use crate::rejection::Rejection;
use remoteproc_refusal::Refusal;

/// What the image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTarget<'a> {
    /// The processor's id; nothing: any processor.
    pub processor: Option<u32>,
    /// The board's name; empty: any board.
    pub board: &'a str,
}

/// Where the resource table is, as the signer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedTable {
    /// Device address.
    pub device_address: u32,
    /// Bytes; 0: the image has no table.
    pub size: u32,
    /// SHA-256 over the table as it is loaded, decrypted.
    pub digest: [u8; 32],
}

/// The own TLVs of a container; nothing for those that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnTlvs<'a> {
    /// SECURITY_COUNTER. Missing counts as 0.
    pub security_counter: Option<u32>,
    /// TARGET.
    pub target: Option<ImageTarget<'a>>,
    /// RESOURCE_TABLE.
    pub resource_table: Option<SignedTable>,
    /// KEY_ID.
    pub key_id: Option<[u8; 32]>,
    /// VERSION.
    pub version: Option<&'a str>,
    /// COREDUMP: whether the memory of an encrypted image may be read for a dump.
    pub coredump: Option<bool>,
}

/// One 32-bit word, and what follows it.
fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// Exactly one 32-bit word.
fn only_word(bytes: &[u8]) -> Option<u32> {
    word(bytes).filter(|(_, rest)| rest.is_empty()).map(|(word, _)| word)
}

/// Printable ASCII, at most so many bytes.
fn text(bytes: &[u8], most: usize) -> Option<&str> {
    let printable = bytes.len() <= most && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    core::str::from_utf8(bytes).ok().filter(|_| printable)
}

fn target(bytes: &[u8]) -> Option<ImageTarget<'_>> {
    let (processor, board) = word(bytes)?;
    let processor = Some(processor).filter(|processor| *processor != format::ANY_PROCESSOR);
    Some(ImageTarget { processor, board: text(board, format::MAX_BOARD_NAME)? })
}

fn table(bytes: &[u8]) -> Option<SignedTable> {
    let (device_address, rest) = word(bytes)?;
    let (size, digest) = word(rest)?;
    let digest = digest.try_into().ok()?;
    // No table is declared in one way only.
    let declares_none = size == 0 && device_address == 0 && digest == [0; 32];
    (size != 0 || declares_none).then_some(SignedTable { device_address, size, digest })
}

fn coredump(bytes: &[u8]) -> Option<bool> {
    match only_word(bytes)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn version(bytes: &[u8]) -> Option<&str> {
    text(bytes, format::MAX_VERSION).filter(|version| !version.is_empty())
}

/// Reads the own TLVs. Only for authenticated metadata.
pub fn read(metadata: &Metadata) -> Result<OwnTlvs<'_>, Rejection> {
    let tlvs = metadata.tlvs();
    let find = |kind| first(&tlvs, kind);
    Ok(OwnTlvs {
        security_counter: of(find(format::TLV_SECURITY_COUNTER), only_word)?,
        target: of(find(format::TLV_TARGET), target)?,
        resource_table: of(find(format::TLV_RESOURCE_TABLE), table)?,
        key_id: of(find(format::TLV_KEY_ID), |bytes| bytes.try_into().ok())?,
        version: of(find(format::TLV_VERSION), version)?,
        coredump: of(find(format::TLV_COREDUMP), coredump)?,
    })
}

/// The meaning of a TLV's value, if there is the TLV.
fn of<'a, T>(tlv: Option<Tlv<'a>>, read: impl Fn(&'a [u8]) -> Option<T>) -> Result<Option<T>, Rejection> {
    let Some(tlv) = tlv else { return Ok(None) };
    read(tlv.value).map(Some).ok_or(Rejection::at(Refusal::OwnTlvMalformed, tlv.offset))
}
