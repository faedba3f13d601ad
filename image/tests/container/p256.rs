//! ECDSA P-256: what verifies, what does not and why, and what the writer writes.
use crate::board::{Driver, Memory, Refused, Success, answer, load, p256_key, public_key, test_key, vector};
use crate::elf::File;
use crate::forge::{Forge, SIGNATURE_TYPE};
use crate::golden::P256_VECTOR;
use remoteproc_image::provider::{Algorithm, Provider, PublicKey, Signed, TrustedKey};
use remoteproc_image::reader::Reader;
use remoteproc_image::software::Software;
use remoteproc_image::write::{Container, Order, OwnedPublicKey, P256Key, SigningKey};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Offsets of the TLVs, the signature and the image in the vector.
const TLVS: usize = 20;
const SIGNATURE: usize = 364;
const IMAGE: usize = SIGNATURE + 64;

/// Tells whether a signature over a digest verifies.
fn verify(key: &P256Key, digest: &[u8; 32], signature: &[u8]) -> bool {
    let algorithm = Algorithm::EcdsaP256Sha256;
    Software.verify(&key.public().as_key(), &Signed { algorithm, bytes: &[], digest, signature })
}

/// The order n of the curve's base point (SP 800-186, section 3.2.1.3), big-endian.
const ORDER: [u32; 8] =
    [0xffff_ffff, 0x0000_0000, 0xffff_ffff, 0xffff_ffff, 0xbce6_faad, 0xa717_9e84, 0xf3b9_cac2, 0xfc63_2551];

type Number = [u8; 32];

fn words(words: [u32; 8]) -> Number {
    words.map(u32::to_be_bytes).concat().try_into().unwrap()
}

/// One minus the other.
fn minus(one: Number, other: Number) -> Number {
    let mut difference = [0; 32];
    let mut borrow = false;
    for at in (0..32).rev() {
        let (byte, below) = one[at].overflowing_sub(other[at]);
        let (byte, below_again) = byte.overflowing_sub(borrow.into());
        difference[at] = byte;
        borrow = below || below_again;
    }
    assert!(!borrow);
    difference
}

fn small(number: u8) -> Number {
    let mut bytes = [0; 32];
    bytes[31] = number;
    bytes
}

/// r and s of the vector's signature.
fn signature() -> (Number, Number) {
    let container = vector(P256_VECTOR);
    (
        container[SIGNATURE..SIGNATURE + 32].try_into().unwrap(),
        container[SIGNATURE + 32..IMAGE].try_into().unwrap(),
    )
}

/// The vector with another signature.
fn with(r: Number, s: Number) -> Vec<u8> {
    let mut container = vector(P256_VECTOR);
    container[SIGNATURE..IMAGE].copy_from_slice(&[r, s].concat());
    container
}

fn trusting(container: &[u8], keys: &[PublicKey<'_>]) -> Result<Success, Refused> {
    let keys: Vec<_> = keys.iter().map(|key| TrustedKey::new("", *key)).collect();
    Driver::new(&keys).load(container)
}

fn own(container: &[u8]) -> String {
    answer(&load(container, &public_key("p256")))
}

/// Which of the two forms of a signature it is makes no difference, because signers write either; each form is a container of
/// its own, because the identity covers the signature.
#[test]
fn both_forms_of_a_signature_verify() {
    let (r, s) = signature();
    let key = public_key("p256");
    let one = load(&with(r, s), &key).unwrap();
    let other = load(&with(r, minus(words(ORDER), s)), &key).unwrap();
    assert!(one.memory.same_contents(&other.memory));
    assert_ne!(one.identity, other.identity);
}

#[test]
fn numbers_out_of_range_are_no_signature() {
    let (r, s) = signature();
    let order = words(ORDER);
    let beyond = [small(0), order, [0xff; 32]];
    let invalid = "before:SIGNATURE_INVALID";
    for number in beyond {
        assert_eq!(own(&with(number, s)), invalid, "r {number:02x?}");
        assert_eq!(own(&with(r, number)), invalid, "s {number:02x?}");
        for second in beyond {
            assert_eq!(own(&with(number, second)), invalid, "{number:02x?} {second:02x?}");
        }
    }
    // In range, and still none.
    for number in [small(1), minus(order, small(1))] {
        assert_eq!(own(&with(number, s)), invalid);
        assert_eq!(own(&with(r, number)), invalid);
        assert_eq!(own(&with(number, number)), invalid);
    }
    assert_eq!(own(&with(s, r)), invalid, "swapped");
    assert_eq!(own(&with(r, s)), "load");
}

/// Only numbers below 2^256 - n have a second spelling in 32 bytes. This key and this digest make s one of them: 1.
#[test]
fn a_number_is_not_taken_modulo_the_order() {
    let key = P256Key::from_secret(&small(1)).unwrap();
    let OwnedPublicKey::P256 { point } = key.public() else { panic!("{key:?}") };
    // With secret 1 and nonce 1, r is the x of the base point and s = digest + r, modulo n. With digest = 1 - r, s is 1.
    let r: Number = point[..32].try_into().unwrap();
    let digest = minus(words(ORDER), minus(r, small(1)));
    let verifies = |s: Number| verify(&key, &digest, &[r, s].concat());
    assert!(verifies(small(1)));
    assert!(!verifies(small(2)));
    let mut one_more = words(ORDER);
    one_more[31] += 1;
    assert!(!verifies(one_more), "n + 1 for 1");
}

#[test]
fn the_length_is_exactly_64() {
    let forge = || {
        let mut forge = Forge::new(&[File::simple()]);
        forge.set(SIGNATURE_TYPE, &[2]);
        forge.raw()
    };
    let length = "before:SIGNATURE_LENGTH";
    for bytes in [1, 32, 63, 65, 72, 128, 256] {
        assert_eq!(own(&forge().with_signature(&vec![1; bytes]).unwrap()), length, "{bytes} bytes");
    }
    // The length in the header is signed: 63 or 57 bytes and their pad take the room of 64.
    for written in [57, 63] {
        let mut container = vector(P256_VECTOR);
        container[12] = written;
        assert_eq!(own(&container), length, "{written} in the header");
    }
    assert_eq!(own(&forge().with_signature(&[1; 64]).unwrap()), "before:SIGNATURE_INVALID");
    assert_eq!(own(&forge().sign(&p256_key()).unwrap()), "load");
}

#[test]
fn each_algorithm_needs_a_key_of_its_own() {
    let (rsa, p256) = (public_key("rsa2048"), public_key("p256"));
    let (container, of_rsa) = (vector(P256_VECTOR), vector("01-rsa2048-m4.sig"));
    let none = "before:NO_TRUSTED_KEY";
    assert_eq!(answer(&trusting(&container, &[])), none);
    assert_eq!(answer(&trusting(&container, &[rsa.as_key()])), none);
    assert_eq!(answer(&trusting(&of_rsa, &[p256.as_key()])), none);
    assert_eq!(answer(&trusting(&container, &[rsa.as_key(), p256.as_key()])), "load");

    // A signature of one algorithm under the name of the other.
    let mut forge = Forge::new(&[File::simple()]);
    let named_rsa = forge.raw().sign(&p256_key()).unwrap();
    let named_p256 = forge.set(SIGNATURE_TYPE, &[2]).raw().sign(test_key()).unwrap();
    for crossed in [named_rsa, named_p256] {
        let result = trusting(&crossed, &[rsa.as_key(), p256.as_key()]);
        assert_eq!(answer(&result), "before:SIGNATURE_LENGTH");
    }
}

#[test]
fn another_key_verifies_nothing() {
    let invalid = "before:SIGNATURE_INVALID";
    let container = vector(P256_VECTOR);
    let other = P256Key::from_secret(&small(7)).unwrap();
    assert_eq!(answer(&load(&container, other.public())), invalid);
    let signer = public_key("p256");
    assert_eq!(trusting(&container, &[other.public().as_key(), signer.as_key()]).unwrap().signer.key, 1);
    // Points beside the curve, among them the one with zeros that stands for infinity elsewhere.
    let OwnedPublicKey::P256 { point } = signer else { panic!("{signer:?}") };
    let mut beside = point;
    beside[63] ^= 1;
    for point in [beside, [0; 64], [0xff; 64]] {
        assert_eq!(answer(&trusting(&container, &[PublicKey::P256 { point: &point }])), invalid);
    }
}

fn flips_never_load(bytes: Range<usize>, allowed: &[&str]) {
    let key = public_key("p256");
    let keys = [TrustedKey::new("", key.as_key())];
    let mut container = vector(P256_VECTOR);
    let mut reader = Box::new(Reader::new());
    for at in bytes {
        for bit in 0..8 {
            container[at] ^= 1 << bit;
            let refused = Driver::new(&keys).load_with(&mut reader, &container).unwrap_err();
            assert!(allowed.contains(&refused.answer().as_str()), "byte {at}: {}", refused.answer());
            assert_eq!(refused.memory, Memory::default(), "byte {at}");
            container[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_flipped_bit_in_the_metadata_never_loads() {
    let header = ["before:BAD_MAGIC", "before:BAD_VERSION", "before:SIZE_MISMATCH", "before:EMPTY_SIGNATURE"];
    let invalid = "before:SIGNATURE_INVALID";
    flips_never_load(0..TLVS, &[&header[..], &["before:SIGNATURE_LENGTH", invalid]].concat());
    let signature_type = [
        "before:SIGNATURE_TYPE_MISSING",
        "before:SIGNATURE_TYPE_UNKNOWN",
        // One bit further is P-384, where that is compiled in.
        "before:NO_TRUSTED_KEY",
        invalid,
    ];
    flips_never_load(TLVS..TLVS + 16, &signature_type);
    flips_never_load(TLVS + 16..IMAGE, &[invalid]);
}

/// RFC 6979, section A.2.5: SHA-256 of "sample" and of "test". The first s is in the upper half, so nothing normalizes it.
#[test]
fn the_nonce_is_the_one_of_rfc_6979() {
    let secret = [
        0xc9af_a9d8,
        0x45ba_7516,
        0x6b5c_2157,
        0x67b1_d693,
        0x4e50_c3db,
        0x36e8_9b12,
        0x7b8a_622b,
        0x120f_6721,
    ];
    let sample = [
        [
            0xefd4_8b2a,
            0xacb6_a8fd,
            0x1140_dd9c,
            0xd45e_81d6,
            0x9d2c_877b,
            0x56aa_f991,
            0xc34d_0ea8,
            0x4eaf_3716,
        ],
        [
            0xf7cb_1c94,
            0x2d65_7c41,
            0xd436_c7a1,
            0xb6e2_9f65,
            0xf3e9_00db,
            0xb9af_f406,
            0x4dc4_ab2f,
            0x843a_cda8,
        ],
    ];
    let test = [
        [
            0xf1ab_b023,
            0x5183_51cd,
            0x71d8_8156,
            0x7b1e_a663,
            0xed3e_fcf6,
            0xc513_2b35,
            0x4f28_d3b0,
            0xb7d3_8367,
        ],
        [
            0x019f_4113,
            0x742a_2b14,
            0xbd25_926b,
            0x49c6_4915,
            0x5f26_7e60,
            0xd381_4b4c,
            0x0cc8_4250,
            0xe46f_0083,
        ],
    ];
    let key = P256Key::from_secret(&words(secret)).unwrap();
    for (message, expected) in [("sample", sample), ("test", test)] {
        let signature = key.sign(message.as_bytes()).unwrap();
        assert_eq!(signature, expected.map(words).concat(), "{message}");
        assert!(verify(&key, &Sha256::digest(message).into(), &signature));
    }
}

/// The signer of the vector drew its nonce; everything but the signature is written the same.
#[test]
fn the_writer_writes_the_vector_but_for_the_nonce() {
    let container = Container::new(Order::Mainline).image(&vector("elf/fw_m4.elf"));
    let written = container.sign(&p256_key()).unwrap();
    let golden = vector(P256_VECTOR);
    assert!(written[..SIGNATURE] == golden[..SIGNATURE] && written[IMAGE..] == golden[IMAGE..]);
    assert_ne!(written[SIGNATURE..IMAGE], golden[SIGNATURE..IMAGE]);
    assert_eq!(own(&written), "load");
    assert!(container.sign(&p256_key()).unwrap() == written, "signed twice, written twice");
}

#[test]
fn secrets_are_in_range() {
    for secret in [small(0), words(ORDER), [0xff; 32]] {
        assert!(P256Key::from_secret(&secret).is_err());
    }
    assert!(P256Key::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).is_err());
    assert!(P256Key::from_pkcs8_der(&vector("keys/p256.pub.der")).is_err());
}
