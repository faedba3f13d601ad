//! Signs this project's own remote-core firmware with the test key.
use crate::large;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use remoteproc_image::write::{Container, EncryptionKey, Order, RsaKey};
use std::fs;
use std::path::PathBuf;

/// Private half of the key, a published test key that protects nothing.
const PRIVATE_KEY: &str = "tests/vectors/keys/rsa2048.pk8.der";
/// The decryption key of the emulated machine's manifest.
const ENCRYPTION_KEY: &str = "tests/vectors/keys/aes256.bin";
/// Public half.
pub const PUBLIC_KEY: &str = "tests/vectors/keys/rsa2048.pub.pem";

/// Signs the Cortex-M33's ELF file and returns the container's path.
pub fn own_firmware(workspace: &Workspace, elf: &[u8]) -> Result<PathBuf> {
    write(workspace, "remote-core-firmware.sig", &sign(workspace, elf)?)
}

/// Signs the Cortex-M4's, too.
pub fn own_firmware_m4(workspace: &Workspace, elf: &[u8]) -> Result<PathBuf> {
    write(workspace, "remote-core-firmware-m4.sig", &sign(workspace, elf)?)
}

/// Signs it with this security counter, and returns the container's path.
pub fn firmware_with_counter(workspace: &Workspace, elf: &[u8], counter: u32) -> Result<PathBuf> {
    let container = Container::new(Order::Mainline).image(elf).security_counter(counter);
    let name = format!("remote-core-firmware-counter-{counter}.sig");
    write(workspace, &name, &sign_container(workspace, &container)?)
}

/// Signs it encrypted, for the emulated machine's key, with the permission to read its memory for a dump or without.
pub fn encrypted_firmware(workspace: &Workspace, elf: &[u8], dump: bool) -> Result<PathBuf> {
    let path = workspace.root.join(ENCRYPTION_KEY);
    let key = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut container = Container::new(Order::Mainline).image(elf).encrypt(EncryptionKey::new(&key)?);
    if dump {
        container = container.version("1.0-dump")?.coredump(true);
    }
    let name = if dump { "remote-core-firmware-dump.sig" } else { "remote-core-firmware-secret.sig" };
    write(workspace, name, &sign_container(workspace, &container)?)
}

/// Signs the firmware with so much beside it that 10 MiB are loaded, and returns the container's path.
pub fn large_firmware(workspace: &Workspace, elf: &[u8]) -> Result<PathBuf> {
    write(workspace, "large-firmware.sig", &sign(workspace, &large::elf(elf, 0)?)?)
}

/// The same in a file of so many bytes, up to 7 fewer because images are padded: what is beyond the 10 MiB is not loaded.
pub fn large_file(workspace: &Workspace, elf: &[u8], size: usize) -> Result<PathBuf> {
    let without = sign(workspace, &large::elf(elf, 0)?)?.len();
    let filler = size.checked_sub(without).context("the large image has more bytes")? & !7;
    let container = sign(workspace, &large::elf(elf, filler)?)?;
    anyhow::ensure!(
        size.checked_sub(container.len()).is_some_and(|missing| missing < 8),
        "the file has {} bytes instead of {size}",
        container.len()
    );
    write(workspace, "large-file.sig", &container)
}

fn sign(workspace: &Workspace, elf: &[u8]) -> Result<Vec<u8>> {
    sign_container(workspace, &Container::new(Order::Mainline).image(elf))
}

fn sign_container(workspace: &Workspace, container: &Container) -> Result<Vec<u8>> {
    let path = workspace.root.join(PRIVATE_KEY);
    let key = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = RsaKey::from_pkcs8_der(&key)?;
    Ok(container.sign(&key)?)
}

fn write(workspace: &Workspace, name: &str, container: &[u8]) -> Result<PathBuf> {
    let output = workspace.output()?.join(name);
    fs::write(&output, container).with_context(|| format!("cannot write {}", output.display()))?;
    Ok(output)
}
