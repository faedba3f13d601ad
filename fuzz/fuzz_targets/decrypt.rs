//! Any bytes as an ELF file that is encrypted and signed, then changed by a little.
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
        let _ = bench.load_sealed(bytes);
    });
});
