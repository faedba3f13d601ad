//! Any bytes as a TLV area and an image, in a container whose lengths are right: what is refused is refused by the plan's rules.
#![no_main]
#![allow(missing_docs)]

use libfuzzer_sys::fuzz_target;
use remoteproc_fuzz::{Bench, SIGNATURE};
use remoteproc_image::write::RawContainer;
use std::cell::RefCell;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::default();
}

// The first two bytes say how much of the rest is the TLV area.
fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (tlv_area, image) = rest.split_at(length);
    let mut images = image.to_vec();
    images.resize(images.len().next_multiple_of(8), 0);
    let mut container = RawContainer::new(&[], images);
    container.tlv_area = tlv_area.to_vec();
    let Ok(container) = container.with_signature(&SIGNATURE) else { return };
    BENCH.with_borrow_mut(|bench| {
        let _ = bench.load(&container);
    });
});
