//! Which keys are believed: ids, keys known by hash only, revoked keys, KEY_ID; DER in and out; the further algorithms.
use crate::board::{Driver, Refused, Success, answer, p256_key, private_key, public_key, test_key, vector};
use crate::elf::File;
use crate::forge::{Forge, KEY_ID, KEY_INFORMATION, SIGNATURE_TYPE};
use proptest::prelude::*;
use remoteproc_image::provider::{PublicKey, TrustedKey};
use remoteproc_image::software::{Software, SoftwareHasher};
use remoteproc_image::write::{Container, Order, OwnedPublicKey};
use sha2::{Digest, Sha256};

fn simple() -> Forge {
    Forge::new(&[File::simple()])
}

fn trusting(container: &[u8], keys: &[TrustedKey<'_>]) -> Result<Success, Refused> {
    Driver::new(keys).load(container)
}

/// A container that carries its key.
fn with_information(information: &[u8]) -> Vec<u8> {
    simple().set(KEY_INFORMATION, information).sign()
}

#[test]
fn keys_are_written_as_der_as_openssl_writes_them() {
    for name in ["rsa2048", "rsa4096", "p256"] {
        let der = vector(&format!("keys/{name}.pub.der"));
        let key = public_key(name);
        assert!(key.to_der() == der, "{name}");
        assert_eq!(OwnedPublicKey::of(&PublicKey::from_der(&der).unwrap()), key, "{name}");
        let id: [u8; 32] = Sha256::digest(&der).into();
        assert_eq!(key.id(), id, "{name}");
        let hasher: SoftwareHasher = remoteproc_image::provider::Provider::sha256(&Software);
        assert_eq!(key.as_key().id(hasher), Some(id), "{name}");
        for length in 0..der.len() {
            assert_eq!(PublicKey::from_der(&der[..length]), None, "{name}, {length} bytes");
        }
        assert_eq!(PublicKey::from_der(&[der, vec![0]].concat()), None, "{name} and a tail");
    }
    let p384 = OwnedPublicKey::P384 { point: [7; 96] };
    let ed25519 = OwnedPublicKey::Ed25519 { point: [9; 32] };
    for key in [p384, ed25519] {
        assert_eq!(OwnedPublicKey::of(&PublicKey::from_der(&key.to_der()).unwrap()), key);
    }
    let long = OwnedPublicKey::Rsa { modulus: vec![0xff; 545], exponent: 3 };
    assert!(long.to_der().is_empty());
}

/// GET_LAST_ERROR and the tool tell where in the container it is.
#[test]
fn what_is_wrong_with_a_signature_is_told_with_its_place() {
    let container = simple().sign();
    let tlvs = u32::from_le_bytes(container[8..12].try_into().unwrap()) as u64;
    let signature = 20 + tlvs.next_multiple_of(8);
    let (own, longer) = (test_key().public(), public_key("rsa4096"));
    let mut changed = container.clone();
    changed[signature as usize] ^= 1;
    let trusted = TrustedKey::new("own", own.as_key());
    for (container, key, expected) in [
        (&changed, trusted, "before:SIGNATURE_INVALID"),
        (&container, trusted.revoked(), "before:KEY_REVOKED"),
        (&container, TrustedKey::new("longer", longer.as_key()), "before:SIGNATURE_LENGTH"),
    ] {
        let Err(refused) = trusting(container, &[key]) else { panic!("it loads, expecting {expected}") };
        assert_eq!((refused.answer().as_str(), refused.rejection.offset), (expected, Some(signature)));
    }
}

#[test]
fn a_key_known_by_its_hash_comes_with_the_image() {
    for name in ["rsa2048", "p256"] {
        let der = vector(&format!("keys/{name}.pub.der"));
        let id = public_key(name).id();
        let trusted = [TrustedKey::by_id("other", &[1; 32]), TrustedKey::by_id("own", &id)];
        let elf = File::simple().build();
        let container = Container::new(Order::Mainline).image(&elf).key_information(&der);
        let signed = match name {
            "p256" => container.sign(&p256_key()).unwrap(),
            _ => container.sign(test_key()).unwrap(),
        };
        let signer = trusting(&signed, &trusted).unwrap().signer;
        assert_eq!((signer.key, signer.id), (1, id));
        // The key is believed because of its hash, not because it is there.
        assert_eq!(answer(&trusting(&signed, &trusted[..1])), "before:KEY_INFORMATION_UNTRUSTED");
        // A trusted key, but another one signed.
        let stolen = Container::new(Order::Mainline)
            .image(&elf)
            .key_information(&public_key("rsa4096").to_der())
            .sign(&private_key("rsa2048"))
            .unwrap();
        let id = public_key("rsa4096").id();
        let trusted = [TrustedKey::by_id("long", &id)];
        assert_eq!(answer(&trusting(&stolen, &trusted)), "before:SIGNATURE_LENGTH");
    }
}

#[test]
fn the_vector_with_key_information_loads_by_hash() {
    let id = public_key("rsa2048").id();
    let container = vector("04-rsa2048-platTLV-keyinfo.sig");
    assert_eq!(answer(&trusting(&container, &[TrustedKey::by_id("hash", &id)])), "load");
    assert_eq!(
        answer(&trusting(&vector("01-rsa2048-m4.sig"), &[TrustedKey::by_id("hash", &id)])),
        "before:KEY_INFORMATION_MISSING"
    );
}

#[test]
fn key_information_that_is_no_key_is_refused() {
    for bytes in [&b"no key"[..], &[], &vector("keys/rsa2048.pub.der")[..293]] {
        let id: [u8; 32] = Sha256::digest(bytes).into();
        let trusted = [TrustedKey::by_id("hash", &id)];
        let result = trusting(&with_information(bytes), &trusted);
        assert_eq!(answer(&result), "before:KEY_INFORMATION_MALFORMED");
    }
    // A key, but of another algorithm than SIGNTYPE says.
    let id = public_key("p256").id();
    let container = with_information(&vector("keys/p256.pub.der"));
    let result = trusting(&container, &[TrustedKey::by_id("hash", &id)]);
    assert_eq!(answer(&result), "before:NO_TRUSTED_KEY");
    // Where the platform has the key itself, PKEYINFO means nothing.
    let own = public_key("rsa2048");
    let result = trusting(&with_information(b"no key"), &[TrustedKey::new("own", own.as_key())]);
    assert_eq!(answer(&result), "load");
}

#[test]
fn a_revoked_key_is_refused_by_name() {
    let own = public_key("rsa2048");
    let other = public_key("rsa4096");
    let id = own.id();
    let key = TrustedKey::new("own", own.as_key());
    let by_id = TrustedKey::by_id("own", &id);
    let other = TrustedKey::new("other", other.as_key());
    let container = with_information(&own.to_der());
    let revoked = "before:KEY_REVOKED";
    for keys in [
        &[key.revoked()][..],
        &[by_id.revoked()],
        &[other, key.revoked()],
        // Revocation outweighs trust, whichever entry comes first and whatever it knows of the key.
        &[key, key.revoked()],
        &[key.revoked(), key],
        &[key, by_id.revoked()],
        &[by_id, key.revoked()],
    ] {
        assert_eq!(answer(&trusting(&container, keys)), revoked);
    }
    // Whoever can't sign learns nothing of it.
    let forged = simple().raw().with_signature(&[1; 256]).unwrap();
    assert_eq!(answer(&trusting(&forged, &[key.revoked()])), "before:SIGNATURE_INVALID");
    assert_eq!(answer(&trusting(&container, &[other.revoked(), key])), "load");
}

#[test]
fn key_id_chooses_among_the_trusted_keys() {
    let (own, p256) = (public_key("rsa2048"), public_key("p256"));
    let keys = [TrustedKey::new("p256", p256.as_key()), TrustedKey::new("own", own.as_key())];
    let named = |id: &[u8]| simple().set(KEY_ID, id).sign();
    assert_eq!(trusting(&named(&own.id()), &keys).unwrap().signer.key, 1);
    assert_eq!(answer(&trusting(&named(&p256.id()), &keys)), "before:KEY_ID_UNKNOWN");
    assert_eq!(answer(&trusting(&named(&[0; 32]), &keys)), "before:KEY_ID_UNKNOWN");
    // Another trusted key's id: the one that signed is left out.
    let other = public_key("rsa4096");
    let keys = [keys[1], TrustedKey::new("other", other.as_key())];
    assert_eq!(answer(&trusting(&named(&other.id()), &keys)), "before:SIGNATURE_LENGTH");
    // By hash only.
    let id = own.id();
    let hashed = [TrustedKey::by_id("hash", &id)];
    let container = |key_id: &[u8]| {
        simple().set(KEY_ID, key_id).set(KEY_INFORMATION, &public_key("rsa2048").to_der()).sign()
    };
    assert_eq!(answer(&trusting(&container(&id), &hashed)), "load");
    assert_eq!(answer(&trusting(&container(&[3; 32]), &hashed)), "before:KEY_ID_UNKNOWN");
}

/// Signs with an algorithm that may not be compiled in, under its own name and under that of the others.
#[cfg(any(feature = "pss", feature = "p384", feature = "ed25519"))]
fn further(key: &impl remoteproc_image::write::SigningKey, public: &OwnedPublicKey) {
    let container =
        simple().set(SIGNATURE_TYPE, &[key.algorithm().signature_type()]).raw().sign(key).unwrap();
    let id = public.id();
    let keys = [TrustedKey::new("own", public.as_key())];
    let signer = trusting(&container, &keys).unwrap().signer;
    assert_eq!((signer.id, signer.algorithm), (id, key.algorithm().name()));
    assert_eq!(answer(&trusting(&container, &[keys[0].revoked()])), "before:KEY_REVOKED");
    let at = container.len() - simple().images[0].len() - 1;
    let mut changed = container.clone();
    changed[at] ^= 1;
    assert_eq!(answer(&trusting(&changed, &keys)), "before:SIGNATURE_INVALID");
    let mut changed = container;
    changed[50] ^= 1;
    assert_eq!(answer(&trusting(&changed, &keys)), "before:SIGNATURE_INVALID");
    for kind in [1, 2, 0x81, 0x82, 0x83] {
        if kind != key.algorithm().signature_type() {
            let named = simple().set(SIGNATURE_TYPE, &[kind]).raw().sign(key).unwrap();
            assert!(trusting(&named, &keys).is_err(), "{kind:#x}");
        }
    }
}

#[cfg(feature = "pss")]
#[test]
fn rsa_pss_loads() {
    use remoteproc_image::write::RsaPssKey;
    further(&RsaPssKey(private_key("rsa2048")), &public_key("rsa2048"));
}

#[cfg(feature = "p384")]
#[test]
fn p384_loads() {
    use remoteproc_image::write::SigningKey as _;
    let key = remoteproc_image::write::P384Key::from_secret(&[5; 48]).unwrap();
    further(&key, key.public());
    assert_eq!(key.sign(b"a").unwrap(), key.sign(b"a").unwrap());
}

#[cfg(feature = "ed25519")]
#[test]
fn ed25519_loads() {
    use remoteproc_image::write::SigningKey as _;
    let key = remoteproc_image::write::Ed25519Key::from_secret(&[5; 32]);
    further(&key, key.public());
    assert_eq!(key.sign(b"a").unwrap(), key.sign(b"a").unwrap());
}

#[test]
fn algorithms_that_are_not_compiled_in_are_unknown() {
    let compiled =
        [(0x81, cfg!(feature = "pss")), (0x82, cfg!(feature = "p384")), (0x83, cfg!(feature = "ed25519"))];
    for (kind, known) in compiled {
        let container = simple().set(SIGNATURE_TYPE, &[kind]).sign();
        let own = public_key("rsa2048");
        let result = trusting(&container, &[TrustedKey::new("own", own.as_key())]);
        assert_eq!(answer(&result) == "before:SIGNATURE_TYPE_UNKNOWN", !known, "{kind:#x}");
        assert!(result.is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_key_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = PublicKey::from_der(&bytes);
    }

    /// What is read as a key is written as the same bytes: there is one DER form of each key.
    #[test]
    fn a_changed_key_is_another_key_or_none(at in 0usize..294, byte: u8) {
        let mut der = vector("keys/rsa2048.pub.der");
        der[at] = byte;
        if let Some(key) = PublicKey::from_der(&der) {
            prop_assert_eq!(OwnedPublicKey::of(&key).to_der(), der);
        }
    }
}
