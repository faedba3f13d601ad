//! Signing in two steps: what goes out is what is signed, and only the right signature comes back in.
use crate::board::{answer, load, p256_key, public_key, test_key, vector};
use crate::elf::File;
use remoteproc_image::provider::Algorithm;
use remoteproc_image::write::{
    Container, EncryptionKey, Order, OwnedPublicKey, SigningKey, Unsigned, WriteError,
};
use sha2::{Digest, Sha256};

fn container() -> Container {
    Container::new(Order::Mainline).image(&File::simple().build()).security_counter(1)
}

fn unsigned(key: &OwnedPublicKey) -> Unsigned {
    container().to_be_signed(key, key.as_key().algorithm()).unwrap()
}

#[test]
fn two_steps_write_what_one_step_writes() {
    for (key, public) in
        [(test_key() as &dyn SigningKey, public_key("rsa2048")), (&p256_key(), public_key("p256"))]
    {
        let unsigned = unsigned(&public);
        assert_eq!(unsigned.algorithm(), key.algorithm());
        let digest: [u8; 32] = Sha256::digest(unsigned.bytes()).into();
        assert_eq!(unsigned.digest(), digest);
        let signature = key.sign(unsigned.bytes()).unwrap();
        let attached = unsigned.attach(&signature, &public).unwrap();
        assert!(attached == container().sign(key).unwrap());
        // Through a file between the steps.
        let kept = unsigned.container();
        assert_eq!(kept.len(), attached.len());
        assert_eq!(answer(&load(&kept, &public)), "before:SIGNATURE_INVALID");
        assert!(Unsigned::from_container(&kept).unwrap().attach(&signature, &public).unwrap() == attached);
        // A signed file may be signed again.
        assert!(Unsigned::from_container(&attached).unwrap().bytes() == unsigned.bytes());
    }
}

/// ECDSA signatures as OpenSSL writes them: a sequence of two integers.
#[test]
fn a_signature_of_openssls_form_is_taken() {
    let public = public_key("p256");
    let unsigned = unsigned(&public);
    let signature = p256_key().sign(unsigned.bytes()).unwrap();
    let integer = |number: &[u8]| {
        let number: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let zero = number.first().is_none_or(|byte| byte & 0x80 != 0);
        let value = [vec![0; usize::from(zero)], number].concat();
        [vec![2, value.len() as u8], value].concat()
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    let der = [vec![0x30, body.len() as u8], body].concat();
    assert!(unsigned.attach(&der, &public).unwrap() == unsigned.attach(&signature, &public).unwrap());
    let mut wrong = der;
    *wrong.last_mut().unwrap() ^= 1;
    assert!(matches!(unsigned.attach(&wrong, &public), Err(WriteError::Attach(_))));
}

#[test]
fn no_other_signature_is_attached() {
    let public = public_key("rsa2048");
    let unsigned = unsigned(&public);
    let good = test_key().sign(unsigned.bytes()).unwrap();
    let refused = |signature: &[u8], key: &OwnedPublicKey| {
        assert!(matches!(unsigned.attach(signature, key), Err(WriteError::Attach(_))));
    };
    refused(&good[..255], &public);
    refused(&[good.clone(), vec![0]].concat(), &public);
    refused(&test_key().sign(b"other bytes").unwrap(), &public);
    refused(&good, &public_key("rsa4096"));
    refused(&good, &public_key("p256"));
    assert!(unsigned.attach(&good, &public).is_ok());
}

#[test]
fn what_is_no_container_is_said_to_be_none() {
    let bytes = unsigned(&public_key("rsa2048")).container();
    for length in [0, 19, 20, bytes.len() - 1] {
        assert!(
            matches!(Unsigned::from_container(&bytes[..length]), Err(WriteError::Unsigned(_))),
            "{length}"
        );
    }
    assert!(Unsigned::from_container(&vector("elf/fw_m4.elf")).is_err());
    let mut unknown = bytes;
    unknown[28] = 99;
    assert!(Unsigned::from_container(&unknown).is_err());
}

#[test]
fn a_key_that_does_not_fit_the_algorithm_is_refused() {
    let wrong = container().to_be_signed(&public_key("p256"), Algorithm::RsaPkcs1Sha256);
    assert!(matches!(wrong, Err(WriteError::Key(_))));
    let short = OwnedPublicKey::Rsa { modulus: vec![0xff; 128], exponent: 65537 };
    assert!(matches!(container().to_be_signed(&short, Algorithm::RsaPkcs1Sha256), Err(WriteError::Key(_))));
    // Vectors are drawn once: what is attached is what was to be signed.
    let file = File { parts: vec![crate::elf::Part::load(0x8000_0000, 4, &[7; 32])], ..File::default() };
    let container =
        Container::new(Order::Vendor).image(&file.build()).encrypt(EncryptionKey::new(&[1; 16]).unwrap());
    let unsigned = container.to_be_signed(&public_key("rsa2048"), Algorithm::RsaPkcs1Sha256).unwrap();
    let signature = test_key().sign(unsigned.bytes()).unwrap();
    let attached = unsigned.attach(&signature, &public_key("rsa2048")).unwrap();
    assert_eq!(answer(&load(&attached, &public_key("rsa2048"))), "after:NO_DECRYPTION_KEY");
}
