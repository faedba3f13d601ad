//! `tbs` and `attach`: signing with a key that stays in its hardware.
use crate::check::{Board, framing};
use crate::cli::{AttachArguments, TbsArguments};
use crate::failure::{Failure, Report};
use crate::files::{self, Output, Secrecy};
use crate::private_key::{algorithm_of, check_type, hex, kind, read_public};
use crate::recipe::{Recipe, inputs, sentence};
use crate::sign::{NOT_WRITTEN, report, self_check};
use remoteproc_image::provider::Algorithm;
use remoteproc_image::write::{P256Key, Unsigned, WriteError};
use remoteproc_refusal::Refusal;
use serde_json::json;
use sha2::{Digest, Sha384};
use std::path::{Path, PathBuf};

/// `FILE` with `.SUFFIX` behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The digest that the key's hardware signs, and its name; Ed25519 signs the bytes themselves.
fn digest(unsigned: &Unsigned) -> Option<(&'static str, Vec<u8>)> {
    match unsigned.algorithm() {
        Algorithm::Ed25519 => None,
        Algorithm::EcdsaP384Sha384 => Some(("SHA-384", Sha384::digest(unsigned.bytes()).to_vec())),
        _ => Some(("SHA-256", unsigned.digest().to_vec())),
    }
}

/// Runs `tbs`.
pub fn tbs(arguments: &TbsArguments) -> Result<Report, Failure> {
    let key = read_public(&arguments.key, &arguments.passphrase)?;
    check_type(&key, arguments.recipe.key_type)?;
    let algorithm = algorithm_of(&key, arguments.recipe.algorithm())?;
    let recipe = Recipe::read(&arguments.recipe, &key)?;
    let unsigned = recipe.container.to_be_signed(&key, algorithm).map_err(|error| recipe.refuse(error))?;
    if !arguments.recipe.no_check {
        // With as many bytes for the signature as the key really makes.
        framing(&unsigned.container())
            .map_err(|rejection| Failure::rejected(&arguments.out, rejection, Some(NOT_WRITTEN.into())))?;
        rehearse(&recipe, arguments)?;
    }
    let (bytes_path, digest_path) = (beside(&arguments.out, ".tbs"), beside(&arguments.out, ".digest"));
    let digest = digest(&unsigned);

    let mut inputs = inputs(&arguments.recipe, &arguments.key);
    inputs.extend(arguments.passphrase.key_pwd_file.as_deref());
    let prepare = |path: &Path, bytes: &[u8]| Output::prepare(path, bytes, Secrecy::Public, &inputs);
    // All are there before the first gets its name.
    let mut outputs = vec![prepare(&bytes_path, unsigned.bytes())?];
    if let Some((_, digest)) = &digest {
        outputs.push(prepare(&digest_path, digest)?);
    }
    outputs.push(prepare(&arguments.out, &unsigned.container())?);
    if digest.is_none() {
        // That of an earlier run is no digest of these bytes.
        files::remove_stale(&digest_path, &inputs)?;
    }
    for output in outputs {
        output.publish()?;
    }

    let mut text = format!(
        "{}: without its signature, for `attach`\n{}: {} bytes to be signed by {} with {} key {}\n",
        arguments.out.display(),
        bytes_path.display(),
        unsigned.bytes().len(),
        algorithm.name(),
        kind(&key),
        hex(&key.id()),
    );
    match &digest {
        Some((name, digest)) => {
            text.push_str(&format!("{}: their {name}, {}\n", digest_path.display(), hex(digest)));
        }
        None => text.push_str("Ed25519 signs the bytes themselves, not a digest of them.\n"),
    }
    let json = json!({
        "result": "to be signed", "file": arguments.out.display().to_string(),
        "bytes": bytes_path.display().to_string(),
        "digest_file": digest.as_ref().map(|_| digest_path.display().to_string()),
        "digest_algorithm": digest.as_ref().map(|(name, _)| name),
        "digest": digest.as_ref().map(|(_, digest)| hex(digest)),
        "algorithm": algorithm.name(), "signature_length": key.as_key().signature_length(),
        "key": kind(&key), "key_id": hex(&key.id())
    });
    Ok(Report { text, json })
}

/// Refuses what the partition would refuse, before somebody walks to the hardware to have it signed: the same container, signed
/// with a key that is good for nothing else.
fn rehearse(recipe: &Recipe, arguments: &TbsArguments) -> Result<(), Failure> {
    let key = P256Key::from_secret(&[1; 32])?;
    let mut container = recipe.container.clone();
    if arguments.recipe.key_id {
        container = container.key_id(&key.public().id());
    }
    let bytes = container.sign(&key).map_err(|error| recipe.refuse(error))?;
    let decryption_key = recipe.encryption_key.as_ref().map(|key| key.as_slice());
    self_check(&bytes, key.public(), decryption_key, &arguments.out)
}

/// Runs `attach`.
pub fn attach(arguments: &AttachArguments) -> Result<Report, Failure> {
    let key = read_public(&arguments.key, &arguments.passphrase)?;
    let container = files::read(&arguments.input)?;
    let signature = files::read(&arguments.signature)?;
    let unsigned = Unsigned::from_container(&container).map_err(|error| {
        Failure::refused(&arguments.input, Refusal::NotToBeAttached, Some(reason(&error)))
    })?;
    let bytes = unsigned.attach(&signature, &key).map_err(|error| {
        let how = match unsigned.algorithm() {
            Algorithm::Ed25519 => "over the bytes of the .tbs file, not over a digest".to_owned(),
            other => format!("by {} over the .tbs file", other.name()),
        };
        let hint = format!("{} It has to be made {how}.", reason(&error));
        Failure::refused(&arguments.signature, Refusal::AttachedSignatureInvalid, Some(hint))
    })?;
    let mut inputs = [&arguments.input, &arguments.signature, &arguments.key].map(PathBuf::as_path).to_vec();
    inputs.extend(arguments.passphrase.key_pwd_file.as_deref());
    if !arguments.no_check {
        // Encrypted segments can't be looked into here, and need not be: `verify --enc_key` does.
        match crate::check::check(&bytes, &key, &Board::default()) {
            Ok(_) => {}
            Err(rejection) if rejection.refusal == Refusal::NoDecryptionKey => {}
            Err(rejection) => {
                return Err(Failure::rejected(&arguments.input, rejection, Some(NOT_WRITTEN.into())));
            }
        }
    }
    files::write(&arguments.out, &bytes, &inputs)?;
    Ok(report("signed", &arguments.out, &bytes, &key, unsigned.algorithm().name()))
}

/// What is wrong, without what the refusal's sentence says already.
fn reason(error: &WriteError) -> String {
    match error {
        WriteError::Attach(reason) | WriteError::Unsigned(reason) => sentence(reason),
        other => sentence(&other.to_string()),
    }
}
