//! Signs this project's own remote-core firmware with the test key.
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use remoteproc_image::write::{Container, Order, RsaKey};
use std::fs;
use std::path::PathBuf;

/// Private half of the key, a published test key that protects nothing.
const PRIVATE_KEY: &str = "tests/vectors/keys/rsa2048.pk8.der";
/// Public half.
pub const PUBLIC_KEY: &str = "tests/vectors/keys/rsa2048.pub.pem";

/// Signs the ELF file and returns the container's path.
pub fn own_firmware(workspace: &Workspace, elf: &[u8]) -> Result<PathBuf> {
    let path = workspace.root.join(PRIVATE_KEY);
    let key = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = RsaKey::from_pkcs8_der(&key)?;
    let container = Container::new(Order::Mainline).image(elf).sign(&key)?;
    let output = workspace.output()?.join("remote-core-firmware.sig");
    fs::write(&output, container).with_context(|| format!("cannot write {}", output.display()))?;
    Ok(output)
}
