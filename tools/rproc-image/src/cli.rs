//! The command line. Options that `sign_rproc_fw.py` has are named as there; dashes and underscores both work.
use crate::values::{AlgorithmName, Coredump, KeyType, NewKey, TlvOrder, number, region};
use clap::{ArgAction, Args, Parser, Subcommand};
use remoteproc_image::target::Region;
use std::path::PathBuf;

/// Signs, verifies and shows signed remote-processor firmware.
///
/// Exit codes: 0 good; 1 a wrong command line, or a file that can't be read or written; 3 refused.
#[derive(Debug, Parser)]
#[command(name = "rproc-image", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign one or more ELF files
    Sign(SignArguments),
    /// Check a signed file completely: signature, signed table, every segment's hash, resource table
    Verify(VerifyArguments),
    /// Show what is in a signed file; believes nothing, verifies nothing
    Inspect(InspectArguments),
    /// Make a private key
    Keygen(KeygenArguments),
    /// Write the public half of a key, and tell its id
    Pubkey(PubkeyArguments),
    /// First of two steps for keys in hardware: write the bytes that are to be signed, and their digest
    Tbs(TbsArguments),
    /// Second step: put a signature that was made elsewhere into the file, if it verifies
    Attach(AttachArguments),
}

impl Command {
    /// Whether the answer is for a machine.
    pub const fn json(&self) -> bool {
        match self {
            Self::Sign(arguments) => arguments.json,
            Self::Verify(arguments) => arguments.json,
            Self::Inspect(arguments) => arguments.json,
            Self::Keygen(arguments) => arguments.json,
            Self::Pubkey(arguments) => arguments.json,
            Self::Tbs(arguments) => arguments.json,
            Self::Attach(arguments) => arguments.json,
        }
    }
}

/// What a container is made of.
#[derive(Debug, Args)]
pub struct RecipeArguments {
    /// An ELF file; several make one file with several images, in this order
    #[arg(long = "in", value_name = "ELF", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Check the key's type (it is read from the key)
    #[arg(long = "key_type", alias = "key-type", value_name = "TYPE", ignore_case = true)]
    pub key_type: Option<KeyType>,

    /// Put this file's bytes into the file as PKEYINFO: for most platforms the DER public key
    #[arg(long = "key_info", alias = "key-info", value_name = "FILE")]
    pub key_info: Option<PathBuf>,

    /// Add a platform TLV: ID 0x10000 to 0x1ffff, BOOTADDR or BOOTSEC; VALUE 0x... is a 32-bit number, else text
    #[arg(long = "plat-tlv", alias = "plat_tlv", num_args = 2, value_names = ["ID", "VALUE"], action = ArgAction::Append)]
    pub plat_tlv: Vec<String>,

    /// Encrypt the segments (AES-CBC) with the 16, 24 or 32 bytes in this file
    #[arg(long = "enc_key", alias = "enc-key", value_name = "FILE")]
    pub enc_key: Option<PathBuf>,

    /// Sign by this algorithm rather than the key's usual one
    #[arg(long, value_name = "NAME")]
    pub algorithm: Option<AlgorithmName>,

    /// RSA: sign with PSS; the same as --algorithm pss
    #[arg(long, conflicts_with = "algorithm")]
    pub pss: bool,

    /// Order of the TLVs; auto: the vendor's if BOOTADDR, BOOTSEC or --enc_key is used, else mainline OP-TEE's
    #[arg(long = "tlv-order", alias = "tlv_order", value_name = "ORDER", default_value = "auto")]
    pub tlv_order: TlvOrder,

    /// Security counter: a platform that has seen a higher one refuses the file
    #[arg(long = "security-counter", alias = "security_counter", value_name = "N", value_parser = number)]
    pub security_counter: Option<u32>,

    /// Only for the processor with this id
    #[arg(long = "target-processor", alias = "target_processor", value_name = "ID", value_parser = number)]
    pub target_processor: Option<u32>,

    /// Only for this board (up to 32 printable ASCII characters)
    #[arg(long, value_name = "NAME")]
    pub board: Option<String>,

    /// Sign the resource table's place and hash too (or that there is none)
    #[arg(long = "resource-table", alias = "resource_table")]
    pub resource_table: bool,

    /// Name the signing key by its id
    #[arg(long = "key-id", alias = "key_id")]
    pub key_id: bool,

    /// The firmware's version, for people (up to 64 printable ASCII characters)
    #[arg(long = "fw-version", alias = "fw_version", value_name = "TEXT")]
    pub fw_version: Option<String>,

    /// Whether memory of an encrypted image may be read for a dump
    #[arg(long, value_name = "WHETHER")]
    pub coredump: Option<Coredump>,

    /// Write the file even if this project's partition would refuse it
    #[arg(long = "no-check", alias = "no_check")]
    pub no_check: bool,
}

impl RecipeArguments {
    /// The algorithm asked for.
    pub fn algorithm(&self) -> Option<AlgorithmName> {
        if self.pss { Some(AlgorithmName::Pss) } else { self.algorithm }
    }
}

/// Where a passphrase comes from.
#[derive(Debug, Args)]
pub struct PassphraseArguments {
    /// Passphrase of an encrypted key. Other users can see it while the command runs: rather use one of the other ways
    #[arg(long = "key_pwd", alias = "key-pwd", value_name = "PASS", conflicts_with = "key_pwd_file")]
    pub key_pwd: Option<String>,

    /// File whose first line is the passphrase (or the environment variable RPROC_IMAGE_KEY_PWD, or the prompt)
    #[arg(long = "key-pwd-file", alias = "key_pwd_file", value_name = "FILE")]
    pub key_pwd_file: Option<PathBuf>,
}

/// `sign`.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// What is signed.
    #[command(flatten)]
    pub recipe: RecipeArguments,

    /// The signed file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Private key: PEM or DER; PKCS#1, SEC 1, PKCS#8, encrypted PKCS#8
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,

    /// For encrypted keys.
    #[command(flatten)]
    pub passphrase: PassphraseArguments,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The signed file
    pub file: PathBuf,

    /// Public key (or a private one, of which the public half is taken): PEM or DER
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,

    /// For encrypted keys.
    #[command(flatten)]
    pub passphrase: PassphraseArguments,

    /// Key that the segments are encrypted with
    #[arg(long = "enc_key", alias = "enc-key", value_name = "FILE")]
    pub enc_key: Option<PathBuf>,

    /// A region of the processor's memory, ADDRESS:SIZE:private or :shared; repeat for all. Default: any memory will do
    #[arg(long = "processor-region", alias = "processor_region", value_name = "REGION", value_parser = region)]
    pub regions: Vec<Region>,

    /// Check as the processor with this id does. Default: as any that the file is for
    #[arg(long = "target-processor", alias = "target_processor", value_name = "ID", value_parser = number)]
    pub target_processor: Option<u32>,

    /// Check as this board does. Default: as any that the file is for
    #[arg(long, value_name = "NAME")]
    pub board: Option<String>,

    /// Check as a platform with this security counter does
    #[arg(long = "security-counter", alias = "security_counter", value_name = "N", value_parser = number, default_value = "0")]
    pub security_counter: u32,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The signed file
    pub file: PathBuf,

    /// Key that the segments are encrypted with: shows what is inside
    #[arg(long = "enc_key", alias = "enc-key", value_name = "FILE")]
    pub enc_key: Option<PathBuf>,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `keygen`.
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// What kind of key
    #[arg(long = "type", value_name = "TYPE", default_value = "p256")]
    pub kind: NewKey,

    /// The private key, PKCS#8; only its owner may read it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Write the public key too
    #[arg(long = "pub-out", alias = "pub_out", value_name = "FILE")]
    pub pub_out: Option<PathBuf>,

    /// Encrypt the private key with a passphrase
    #[arg(long)]
    pub encrypt: bool,

    /// The passphrase.
    #[command(flatten)]
    pub passphrase: PassphraseArguments,

    /// Write DER rather than PEM
    #[arg(long)]
    pub der: bool,

    /// Replace keys of those names
    #[arg(long)]
    pub force: bool,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `pubkey`.
#[derive(Debug, Args)]
pub struct PubkeyArguments {
    /// A private or public key
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,

    /// For encrypted keys.
    #[command(flatten)]
    pub passphrase: PassphraseArguments,

    /// Where the public key goes. Without it, PEM is printed
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write DER rather than PEM: what --key_info wants
    #[arg(long, requires = "out")]
    pub der: bool,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `tbs`.
#[derive(Debug, Args)]
pub struct TbsArguments {
    /// What is signed.
    #[command(flatten)]
    pub recipe: RecipeArguments,

    /// The file without its signature, for `attach`. Beside it are written FILE.tbs, the bytes to be signed, and
    /// FILE.digest, their digest
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Public half of the key that will sign
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,

    /// For encrypted keys.
    #[command(flatten)]
    pub passphrase: PassphraseArguments,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `attach`.
#[derive(Debug, Args)]
pub struct AttachArguments {
    /// What `tbs` wrote
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,

    /// The signature: raw, or for ECDSA also DER as OpenSSL writes it
    #[arg(long, value_name = "FILE")]
    pub signature: PathBuf,

    /// Public half of the key that signed
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,

    /// For encrypted keys.
    #[command(flatten)]
    pub passphrase: PassphraseArguments,

    /// The signed file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Write the file even if this project's partition would refuse it. The signature has to verify all the same
    #[arg(long = "no-check", alias = "no_check")]
    pub no_check: bool,

    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}
