//! A look at what `--key_info` is to publish: whatever the platform wants, but no private key, and hardly another's public key.
use crate::key_file::KeyFile;
use crate::private_key::hex;
use anyhow::{Result, bail};
use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{Decode, Encode, SliceReader};
use remoteproc_image::write::OwnedPublicKey;
use sec1::EcPrivateKey;
use std::path::Path;

/// What every PEM block of a private key begins with, of whatever kind and however encrypted.
const PEM_PRIVATE: &[u8] = b"PRIVATE KEY-----";

/// Refuses private keys; returns a warning if it is a public key that `key`, which signs, will not fit.
pub fn look(path: &Path, bytes: &[u8], key: &OwnedPublicKey) -> Result<Option<String>> {
    let name = path.display();
    if is_private(bytes) {
        bail!(
            "--key_info {name} is a private key: everybody could read it in the signed file. Give the public half: \
             `rproc-image pubkey --key {name} --out FILE --der`"
        );
    }
    // What is no key is the platform's affair.
    let Ok(KeyFile::Public(der)) = KeyFile::parse(bytes) else { return Ok(None) };
    let own = hex(&key.id());
    Ok(match OwnedPublicKey::from_der(&der) {
        Ok(given) if given.id() != key.id() => Some(format!(
            "--key_info {name} is another public key, id {}, than that which signs, id {own}: platforms that take the key \
             from the file will refuse it",
            hex(&given.id())
        )),
        Ok(_) if bytes != key.to_der() => Some(format!(
            "--key_info {name} is the signing key, but not as DER SubjectPublicKeyInfo: platforms that know the key by the \
             hash of that will refuse the file; `rproc-image pubkey --der` writes it"
        )),
        Ok(_) => None,
        Err(_) => Some(format!(
            "--key_info {name} is a public key of a kind that does not sign here, not that which signs, id {own}"
        )),
    })
}

/// Whether the bytes are a private key of any form, or begin with one.
fn is_private(bytes: &[u8]) -> bool {
    let private = |der: &[u8]| matches!(KeyFile::parse(der), Ok(KeyFile::Private(_) | KeyFile::Encrypted(_)));
    // A key without the name of its curve can't sign here, but is as secret.
    let secret = |der: &[u8]| private(der) || EcPrivateKey::from_der(der).is_ok();
    bytes.windows(PEM_PRIVATE.len()).any(|window| window == PEM_PRIVATE)
        || secret(bytes)
        || first_value(bytes).is_some_and(|der| secret(&der))
}

/// The DER value that the bytes begin with; something stands behind it.
fn first_value(bytes: &[u8]) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let value = AnyRef::decode(&mut reader).ok()?;
    value.to_der().ok().map(zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_told_from_anything_else() {
        let vector = |name: &str| std::fs::read(format!("../../tests/vectors/keys/{name}")).unwrap();
        let pkcs8 = vector("p256.pk8.der");
        // The private key inside: SEC 1, which does not name its curve.
        let inner = pkcs8::PrivateKeyInfo::try_from(pkcs8.as_slice()).unwrap().private_key;
        let pem =
            |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n").into_bytes();
        for private in [
            pkcs8.clone(),
            [&pkcs8, &b"\n"[..]].concat(),
            [&pkcs8, &[0; 7][..]].concat(),
            inner.to_vec(),
            vector("rsa2048-enc.pk8.der"),
            pem("RSA PRIVATE KEY"),
            pem("OPENSSH PRIVATE KEY"),
            [&vector("p256.pub.pem"), &pem("EC PRIVATE KEY")[..]].concat(),
            [&[0xff, 0], &pem("ENCRYPTED PRIVATE KEY")[..]].concat(),
        ] {
            assert!(is_private(&private), "{}", String::from_utf8_lossy(&private));
        }
        for other in
            [vector("p256.pub.der"), vector("p256.pub.pem"), vec![], vec![0x30, 0x03, 1], vec![7; 99]]
        {
            assert!(!is_private(&other), "{}", String::from_utf8_lossy(&other));
        }
    }
}
