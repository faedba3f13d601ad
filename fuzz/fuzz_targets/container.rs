//! Any bytes as a container: header, TLVs, signature's length, images.
#![no_main]
#![allow(missing_docs)]

use libfuzzer_sys::fuzz_target;
use remoteproc_fuzz::Bench;
use std::cell::RefCell;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    BENCH.with_borrow_mut(|bench| {
        let _ = bench.load(bytes);
    });
});
