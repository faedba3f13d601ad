//! `pubkey`: the public half of a key, and its id.
use crate::cli::PubkeyArguments;
use crate::failure::{Failure, Report};
use crate::files;
use crate::private_key::{hex, kind, read_public};
use anyhow::anyhow;
use pem_rfc7468::LineEnding;
use remoteproc_image::write::OwnedPublicKey;
use serde_json::json;
use std::path::Path;

/// A public key as PEM.
pub fn pem(key: &OwnedPublicKey) -> Result<String, anyhow::Error> {
    pem_rfc7468::encode_string("PUBLIC KEY", LineEnding::LF, &key.to_der())
        .map_err(|error| anyhow!("cannot write PEM: {error}"))
}

/// Runs it.
pub fn run(arguments: &PubkeyArguments) -> Result<Report, Failure> {
    let key = read_public(&arguments.key, &arguments.passphrase)?;
    let pem = pem(&key)?;
    let id = hex(&key.id());
    let text = match &arguments.out {
        Some(path) => {
            let bytes = if arguments.der { key.to_der() } else { pem.clone().into_bytes() };
            let passphrase = arguments.passphrase.key_pwd_file.as_deref();
            let inputs: Vec<&Path> = passphrase.into_iter().chain([arguments.key.as_path()]).collect();
            files::write(path, &bytes, &inputs)?;
            format!("{}: {} key {id}\n", path.display(), kind(&key))
        }
        None => pem.clone(),
    };
    Ok(Report { text, json: json!({ "key": kind(&key), "key_id": id, "pem": pem }) })
}
