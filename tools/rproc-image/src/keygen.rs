//! `keygen`: makes a private key.
use crate::cli::KeygenArguments;
use crate::failure::{Failure, Report};
use crate::files::{self, Output, Secrecy};
use crate::key_file::CURVE;
use crate::private_key::{ED25519, P256, P384, PrivateKey, hex, kind};
use crate::values::NewKey;
use crate::{passphrase, pubkey};
use anyhow::{Context, Result, anyhow, bail};
use pem_rfc7468::LineEnding;
use pkcs8::der::Encode;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::{AlgorithmIdentifierRef, EncodePrivateKey, PrivateKeyInfo};
use remoteproc_image::write::{OwnedPublicKey, P256Key, P384Key};
use rsa::RsaPrivateKey;
use rsa::rand_core::{OsRng, RngCore};
use sec1::EcPrivateKey;
use serde_json::json;
use zeroize::Zeroizing;

/// Rounds of PBKDF2: what is recommended for SHA-256 in 2023 and later.
const ROUNDS: u32 = 600_000;

/// Runs it.
pub fn run(arguments: &KeygenArguments) -> Result<Report, Failure> {
    // Asked first: making an RSA key takes a while.
    let name = arguments.out.display().to_string();
    refuse_outputs(arguments)?;
    let passphrase =
        if arguments.encrypt { Some(passphrase::for_new(&arguments.passphrase, &name)?) } else { None };
    let der = match arguments.kind {
        NewKey::Rsa2048 => rsa(2048),
        NewKey::Rsa3072 => rsa(3072),
        NewKey::Rsa4096 => rsa(4096),
        NewKey::P256 => curve(P256, 32, |secret| {
            Some(P256Key::from_secret(secret.try_into().ok()?).ok()?.public().clone())
        }),
        NewKey::P384 => curve(P384, 48, |secret| {
            Some(P384Key::from_secret(secret.try_into().ok()?).ok()?.public().clone())
        }),
        NewKey::Ed25519 => ed25519(),
    }?;
    let public = PrivateKey::from_pkcs8(&der, None)?.public;
    let (label, der) = match &passphrase {
        Some(passphrase) => ("ENCRYPTED PRIVATE KEY", encrypt(&der, passphrase)?),
        None => ("PRIVATE KEY", der),
    };
    let bytes = if arguments.der { der } else { pem(label, &der)? };
    let pwd_file: Vec<_> = arguments.passphrase.key_pwd_file.as_deref().into_iter().collect();
    let private = Output::prepare(&arguments.out, &bytes, Secrecy::Private, &pwd_file)?;
    let public_output = match &arguments.pub_out {
        Some(path) => {
            let bytes = if arguments.der { public.to_der() } else { pubkey::pem(&public)?.into_bytes() };
            Some(Output::prepare(path, &bytes, Secrecy::Public, &pwd_file)?)
        }
        None => None,
    };
    publish(private, public_output, arguments.force)?;
    let id = hex(&public.id());
    Ok(Report {
        text: format!("{name}: new {} key {id}\n", kind(&public)),
        json: json!({ "file": name, "key": kind(&public), "key_id": id, "encrypted": passphrase.is_some() }),
    })
}

/// Refuses outputs that can't both be written, before a passphrase is asked for and a key is made.
fn refuse_outputs(arguments: &KeygenArguments) -> Result<()> {
    let outputs = || [Some(&arguments.out), arguments.pub_out.as_ref()].into_iter().flatten();
    if let Some(public) = &arguments.pub_out
        && files::same_name(&arguments.out, public)
    {
        bail!("--out and --pub-out are the same file, {}: choose two names", public.display());
    }
    if !arguments.force {
        outputs().try_for_each(|path| files::refuse_existing(path))?;
    }
    Ok(())
}

/// Gives both keys their names. The public one goes first: an old private key is replaced only when nothing is left that could fail.
fn publish(private: Output, public: Option<Output>, force: bool) -> Result<()> {
    let public = match public {
        Some(public) if force => public.publish().map(|()| None),
        Some(public) => public.publish_new().map(Some),
        None => Ok(None),
    }?;
    if force {
        return private.publish();
    }
    private.publish_new().map(drop).inspect_err(|_| {
        // Both or none: this one was new.
        if let Some(path) = &public {
            let _ = std::fs::remove_file(path);
        }
    })
}

fn pem(label: &str, der: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let pem = pem_rfc7468::encode_string(label, LineEnding::LF, der)
        .map_err(|error| anyhow!("cannot write PEM: {error}"))?;
    Ok(Zeroizing::new(pem.into_bytes()))
}

fn random(bytes: &mut [u8]) -> Result<()> {
    OsRng.try_fill_bytes(bytes).map_err(|error| anyhow!("the system gives no random numbers: {error}"))
}

fn rsa(bits: usize) -> Result<Zeroizing<Vec<u8>>> {
    let key = RsaPrivateKey::new(&mut OsRng, bits).context("cannot make an RSA key")?;
    Ok(Zeroizing::new(key.to_pkcs8_der()?.as_bytes().to_vec()))
}

/// A key on a curve. `public_of` refuses the very few numbers that are no keys.
fn curve(
    curve: ObjectIdentifier,
    length: usize,
    public_of: impl Fn(&[u8]) -> Option<OwnedPublicKey>,
) -> Result<Zeroizing<Vec<u8>>> {
    let mut secret = Zeroizing::new(vec![0; length]);
    let public = loop {
        random(&mut secret)?;
        if let Some(public) = public_of(&secret) {
            break public;
        }
    };
    let point: &[u8] = match &public {
        OwnedPublicKey::P256 { point } => point,
        OwnedPublicKey::P384 { point } => point,
        _ => &[],
    };
    let point = [&[4], point].concat();
    let key = EcPrivateKey { private_key: &secret, parameters: None, public_key: Some(&point) };
    let key = Zeroizing::new(key.to_der()?);
    let algorithm = AlgorithmIdentifierRef { oid: CURVE, parameters: Some(AnyRef::from(&curve)) };
    Ok(Zeroizing::new(PrivateKeyInfo::new(algorithm, &key).to_der()?))
}

fn ed25519() -> Result<Zeroizing<Vec<u8>>> {
    let mut seed = Zeroizing::new(vec![0; 32]);
    random(&mut seed)?;
    // An octet string in an octet string (RFC 8410, section 7).
    let inner = Zeroizing::new(OctetStringRef::new(&seed)?.to_der()?);
    let algorithm = AlgorithmIdentifierRef { oid: ED25519, parameters: None };
    Ok(Zeroizing::new(PrivateKeyInfo::new(algorithm, &inner).to_der()?))
}

/// PBES2 with PBKDF2 and AES-256-CBC, which every OpenSSL opens.
fn encrypt(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let (mut salt, mut vector) = ([0; 16], [0; 16]);
    random(&mut salt)?;
    random(&mut vector)?;
    let parameters = Parameters::pbkdf2_sha256_aes256cbc(ROUNDS, &salt, &vector)
        .map_err(|error| anyhow!("cannot encrypt the key: {error}"))?;
    let information = PrivateKeyInfo::try_from(der).map_err(|error| anyhow!("PKCS#8: {error}"))?;
    let encrypted = information
        .encrypt_with_params(parameters, passphrase)
        .map_err(|error| anyhow!("cannot encrypt the key: {error}"))?;
    Ok(Zeroizing::new(encrypted.as_bytes().to_vec()))
}
