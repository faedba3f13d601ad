//! What is to be signed, from the command line: the ELF files, their TLVs and the order of those.
use crate::cli::RecipeArguments;
use crate::failure::Failure;
use crate::values::{Coredump, TlvOrder, number};
use crate::{diagnosis, files, key_information};
use anyhow::{Context, Result, anyhow, bail};
use remoteproc_image::write::{Container, EncryptionKey, Order, OwnedPublicKey, WriteError};
use remoteproc_refusal::Refusal;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Platform TLV: boot address.
const BOOT_ADDRESS: u32 = 0x10001;
/// Platform TLV: secure boot.
const BOOT_SECURITY: u32 = 0x10002;

/// A container to be, and what it needs to be checked.
pub struct Recipe {
    /// Everything but the signature.
    pub container: Container,
    /// What the segments are encrypted with.
    pub encryption_key: Option<Zeroizing<Vec<u8>>>,
    inputs: Vec<PathBuf>,
}

impl Recipe {
    /// Reads all inputs. `key` will sign.
    pub fn read(arguments: &RecipeArguments, key: &OwnedPublicKey) -> Result<Self, Failure> {
        let platform = platform_tlvs(&arguments.plat_tlv)?;
        let vendor = arguments.enc_key.is_some() || platform.iter().any(|tlv| tlv.by_name);
        let order = match arguments.tlv_order {
            TlvOrder::Mainline => Order::Mainline,
            TlvOrder::Vendor => Order::Vendor,
            TlvOrder::Auto if vendor => Order::Vendor,
            TlvOrder::Auto => Order::Mainline,
        };
        let mut container = Container::new(order);
        for path in &arguments.inputs {
            let bytes = files::read(path)?;
            if let Some(refusal) = diagnosis::not_to_be_signed(&bytes) {
                return Err(Failure::refused(path, refusal, None));
            }
            if !arguments.no_check
                && let Some((refusal, hint)) = diagnosis::not_for_a_remote_processor(&bytes)
            {
                return Err(Failure::refused(path, refusal, Some(hint)));
            }
            container = container.image(&bytes);
        }
        if let Some(path) = &arguments.key_info {
            let bytes = Zeroizing::new(files::read(path)?);
            if let Some(warning) = key_information::look(path, &bytes, key)? {
                // Not part of the answer, which may be for a machine.
                let _ = writeln!(std::io::stderr(), "warning: {warning}");
            }
            container = container.key_information(&bytes);
        }
        for tlv in platform {
            container = container.platform(tlv.kind, &tlv.value).map_err(anyhow::Error::new)?;
        }
        container = own_tlvs(container, arguments, key).map_err(|error| refuse(error, &arguments.inputs))?;
        let encryption_key = match &arguments.enc_key {
            None => None,
            Some(path) => {
                let bytes = Zeroizing::new(files::read(path)?);
                let key = EncryptionKey::new(&bytes).with_context(|| format!("{}", path.display()))?;
                container = container.encrypt(key);
                Some(bytes)
            }
        };
        Ok(Self { container, encryption_key, inputs: arguments.inputs.clone() })
    }

    /// Why the container can't be written, told of the file that is the reason.
    pub fn refuse(&self, error: WriteError) -> Failure {
        refuse(error, &self.inputs)
    }
}

/// Files that an output may not replace.
pub fn inputs<'a>(arguments: &'a RecipeArguments, key: &'a Path) -> Vec<&'a Path> {
    let files = arguments.inputs.iter().chain(&arguments.key_info).chain(&arguments.enc_key);
    files.map(PathBuf::as_path).chain([key]).collect()
}

/// An ELF file's defects are refusals; everything else is the command line's.
fn refuse(error: WriteError, inputs: &[PathBuf]) -> Failure {
    match error {
        WriteError::Elf { image, header, reason } => {
            let path = inputs.get(image).map_or(Path::new("image"), PathBuf::as_path);
            let hint = match header {
                Some(header) => sentence(&format!("program header {header}: {reason}")),
                None => sentence(reason),
            };
            Failure::refused(path, Refusal::InputCannotBeSigned, Some(hint))
        }
        WriteError::ResourceTable(reason) => {
            let path = inputs.first().map_or(Path::new("image"), PathBuf::as_path);
            let hint = sentence(&format!("resource table: {reason}"));
            Failure::refused(path, Refusal::ResourceTableNotSignable, Some(hint))
        }
        other => other.into(),
    }
}

/// A reason with its capital and full stop.
pub fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// Adds this project's own TLVs, those that are asked for.
fn own_tlvs(
    mut container: Container,
    arguments: &RecipeArguments,
    key: &OwnedPublicKey,
) -> Result<Container, WriteError> {
    if let Some(counter) = arguments.security_counter {
        container = container.security_counter(counter);
    }
    if arguments.target_processor.is_some() || arguments.board.is_some() {
        let board = arguments.board.as_deref().unwrap_or_default();
        container = container.target(arguments.target_processor, board)?;
    }
    if arguments.resource_table {
        container = container.resource_table_of_images()?;
    }
    if arguments.key_id {
        container = container.key_id(&key.id());
    }
    if let Some(version) = &arguments.fw_version {
        container = container.version(version)?;
    }
    if let Some(coredump) = arguments.coredump {
        container = container.coredump(coredump == Coredump::Allowed);
    }
    Ok(container)
}

/// A platform TLV of the command line.
#[derive(Debug, PartialEq, Eq)]
struct PlatformTlv {
    kind: u32,
    value: Vec<u8>,
    /// It was called by its name.
    by_name: bool,
}

fn platform_tlvs(words: &[String]) -> Result<Vec<PlatformTlv>> {
    let mut seen = BTreeSet::new();
    let pairs = words.chunks_exact(2).map(|pair| platform_tlv(&pair[0], &pair[1]));
    pairs
        .map(|tlv| {
            let tlv = tlv?;
            if !seen.insert(tlv.kind) {
                bail!("--plat-tlv {:#x} is given twice: readers only see the first", tlv.kind);
            }
            Ok(tlv)
        })
        .collect()
}

fn platform_tlv(id: &str, value: &str) -> Result<PlatformTlv> {
    let (kind, by_name) = match id {
        "BOOTADDR" => (BOOT_ADDRESS, true),
        "BOOTSEC" => (BOOT_SECURITY, true),
        other => {
            let kind = number(other).map_err(|_| {
                anyhow!("--plat-tlv {other}: the id is a number, 0x10000 to 0x1ffff, or BOOTADDR or BOOTSEC")
            })?;
            (kind, false)
        }
    };
    let is_number = value.starts_with("0x") || by_name;
    let value = if is_number {
        let number = number(value).map_err(|error| anyhow!("--plat-tlv {id}: {error}"))?;
        number.to_le_bytes().to_vec()
    } else {
        value.as_bytes().to_vec()
    };
    Ok(PlatformTlv { kind, value, by_name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_tlvs_are_read_as_the_script_reads_them() {
        let tlv = |id, value| platform_tlv(id, value).ok();
        let made = |kind, value: &[u8], by_name| Some(PlatformTlv { kind, value: value.to_vec(), by_name });
        assert_eq!(tlv("0x10001", "0x80100000"), made(0x10001, &[0, 0, 0x10, 0x80], false));
        assert_eq!(tlv("65537", "0x1"), made(0x10001, &[1, 0, 0, 0], false));
        assert_eq!(tlv("0x1ffff", "12"), made(0x1ffff, b"12", false), "text");
        assert_eq!(tlv("BOOTADDR", "0x80000000"), made(0x10001, &[0, 0, 0, 0x80], true));
        assert_eq!(tlv("BOOTSEC", "1"), made(0x10002, &[1, 0, 0, 0], true), "a name takes a number");
        for (id, value) in
            [("bootaddr", "0x0"), ("0x10001", "0x100000000"), ("0x10001", "0xg"), ("BOOTSEC", "yes")]
        {
            assert_eq!(tlv(id, value), None, "{id} {value}");
        }
    }

    #[test]
    fn a_platform_tlv_given_twice_is_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(platform_tlvs(&words("BOOTADDR 0x0 BOOTSEC 0x1")).is_ok());
        assert!(platform_tlvs(&words("BOOTADDR 0x0 0x10001 0x1")).is_err());
    }
}
