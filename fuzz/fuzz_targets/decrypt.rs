//! Any bytes as an ELF file that is encrypted and signed, then changed by a little.
#![no_main]
#![allow(missing_docs)]

use libfuzzer_sys::fuzz_target;
use remoteproc_fuzz::{Bench, CIPHER_KEY, SIGNATURE, SIGNATURE_TYPE};
use remoteproc_image::write::{Container, EncryptionKey, Order};
use std::cell::RefCell;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::default();
}

// The first four bytes say where TLVs and file are changed after the encryption, and how.
fuzz_target!(|bytes: &[u8]| {
    let Some(([low, high, in_tlvs, in_image], elf)) = bytes.split_first_chunk::<4>() else { return };
    let Ok(key) = EncryptionKey::new(&CIPHER_KEY) else { return };
    let container = Container::new(Order::Vendor).image(elf).security_counter(1);
    let Ok(mut raw) = container.encrypt_with_vectors(key, &[[3; 16]; 128]).layout(SIGNATURE_TYPE) else {
        return;
    };
    let at = usize::from(u16::from_le_bytes([*low, *high]));
    if let Some(byte) = raw.tlv_area.get_mut(at) {
        *byte ^= in_tlvs;
    }
    if let Some(byte) = raw.images.get_mut(at) {
        *byte ^= in_image;
    }
    let Ok(container) = raw.with_signature(&SIGNATURE) else { return };
    // Whatever was changed in the file: what loads is what was encrypted. Of a changed table nobody knows what it says.
    let mut plain = elf.to_vec();
    plain.resize(plain.len().next_multiple_of(8), 0);
    let plain = (*in_tlvs == 0).then_some(plain.as_slice());
    BENCH.with_borrow_mut(|bench| {
        let _ = bench.load_encrypted(&container, plain);
    });
});
