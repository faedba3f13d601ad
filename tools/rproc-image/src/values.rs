//! The values that options take.
use clap::ValueEnum;
use remoteproc_image::provider::Algorithm;
use remoteproc_image::target::{Access, Region};

/// Key types as `sign_rproc_fw.py` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum KeyType {
    /// RSA
    Rsa,
    /// Elliptic curve
    Ecc,
}

/// Algorithms by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmName {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Pkcs1,
    /// RSASSA-PSS with SHA-256
    Pss,
    /// ECDSA P-256 with SHA-256
    P256,
    /// ECDSA P-384 with SHA-384
    P384,
    /// Ed25519
    Ed25519,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Pkcs1 => Self::RsaPkcs1Sha256,
            AlgorithmName::Pss => Self::RsaPssSha256,
            AlgorithmName::P256 => Self::EcdsaP256Sha256,
            AlgorithmName::P384 => Self::EcdsaP384Sha384,
            AlgorithmName::Ed25519 => Self::Ed25519,
        }
    }
}

/// Orders of TLVs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlvOrder {
    /// By the options used
    Auto,
    /// OP-TEE's
    Mainline,
    /// The vendor's
    Vendor,
}

/// Whether dumps may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Coredump {
    /// They may
    Allowed,
    /// They may not
    Denied,
}

/// Keys that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewKey {
    /// RSA, 2048 bit
    Rsa2048,
    /// RSA, 3072 bit
    Rsa3072,
    /// RSA, 4096 bit
    Rsa4096,
    /// ECDSA P-256
    P256,
    /// ECDSA P-384
    P384,
    /// Ed25519
    Ed25519,
}

/// Reads a 32-bit number, decimal or 0x...
pub fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no 32-bit number, decimal or 0x..."))
}

/// Reads ADDRESS:SIZE:private or ADDRESS:SIZE:shared.
pub fn region(text: &str) -> Result<Region, String> {
    let mut parts = text.split(':');
    let (Some(address), Some(size), Some(access), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("a region is ADDRESS:SIZE:private or ADDRESS:SIZE:shared".into());
    };
    let access = match access {
        "private" => Access::Private,
        "shared" => Access::Shared,
        other => return Err(format!("a region is private or shared, not {other}")),
    };
    let device_address = number(address)?;
    Ok(Region { device_address, physical_address: device_address.into(), size: number(size)?, access })
}
