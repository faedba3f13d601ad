//! `sign`: ELF files and a private key become a container.
use crate::check::{Board, check};
use crate::cli::SignArguments;
use crate::failure::{Failure, Report};
use crate::private_key::{PrivateKey, check_type, hex, kind};
use crate::recipe::{Recipe, inputs};
use crate::{drawing, files};
use remoteproc_image::write::OwnedPublicKey;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Runs it.
pub fn run(arguments: &SignArguments) -> Result<Report, Failure> {
    let key = PrivateKey::read(&arguments.key, &arguments.passphrase, arguments.recipe.algorithm())?;
    check_type(&key.public, arguments.recipe.key_type)?;
    let recipe = Recipe::read(&arguments.recipe, &key.public)?;
    let bytes = recipe.container.sign(&*key.signer).map_err(|error| recipe.refuse(error))?;
    if !arguments.recipe.no_check {
        self_check(
            &bytes,
            &key.public,
            recipe.encryption_key.as_ref().map(|key| key.as_slice()),
            &arguments.out,
        )?;
    }
    let mut inputs = inputs(&arguments.recipe, &arguments.key);
    inputs.extend(arguments.passphrase.key_pwd_file.as_deref());
    files::write(&arguments.out, &bytes, &inputs)?;
    Ok(report("signed", &arguments.out, &bytes, &key.public, key.signer.algorithm().name()))
}

/// What a refusal of the tool's own check ends with.
pub const NOT_WRITTEN: &str =
    "Nothing was written. To sign for another loader, that takes such a file, add --no-check.";

/// Refuses to hand out what the partition would refuse.
pub fn self_check(
    bytes: &[u8],
    key: &OwnedPublicKey,
    decryption_key: Option<&[u8]>,
    out: &Path,
) -> Result<(), Failure> {
    check(bytes, key, &Board { decryption_key, ..Board::default() })
        .map(drop)
        .map_err(|rejection| Failure::rejected(out, rejection, Some(NOT_WRITTEN.into())))
}

/// What is told of a container that was written.
pub fn report(verb: &str, out: &Path, bytes: &[u8], key: &OwnedPublicKey, algorithm: &str) -> Report {
    let (sha256, id) = (hex(&Sha256::digest(bytes)), hex(&key.id()));
    let size = bytes.len() as u64;
    Report {
        text: format!(
            "{}: {verb}, {}, {algorithm}, {} key {id}\n",
            out.display(),
            drawing::size(size),
            kind(key)
        ),
        json: json!({
            "result": verb, "file": out.display().to_string(), "size": size, "sha256": sha256,
            "algorithm": algorithm, "key": kind(key), "key_id": id
        }),
    }
}
