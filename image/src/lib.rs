//! The signed remote-processor firmware container, version 1: read, verify, plan the load; and build and sign (feature `write`).
//!
//! One load flows through [`reader::Reader`]: metadata is copied in and authenticated, a plan is made from the signed table
//! alone, the images' bytes are pushed through in file order, every segment is hashed where it was written, and the resource
//! table is looked up there. Nothing is allocated, nothing unsigned decides where a byte goes.
//!
//! | file | purpose |
//! |---|---|
//! | `format` | what the bytes of a container and of an ELF file look like |
//! | `metadata` | collects the partition's own copy of header, TLVs and signature |
//! | `container` | decodes header and TLVs, on that copy |
//! | `signature` | finds the trusted key that signed |
//! | `plan` | the signed table becomes segments; all rules about them |
//! | `own` | this project's own TLVs |
//! | `elf_header` | headers of ELF files of 32 and 64 bits |
//! | `elf` | one image's bytes in file order: segments out, program headers compared |
//! | `sections` | finds the resource table's section meanwhile |
//! | `pieces` | windows and records in a stream of pieces |
//! | `verification` | hashes segments where they were loaded |
//! | `decryption` | decrypts segments where they were loaded, once all hashes matched |
//! | `table` | where a resource table may lie |
//! | [`resource_table`] | validates a resource table where it was loaded; shows its entries |
//! | [`reader`] | drives all of it, resumable at every byte |
//! | `public_key` | algorithms, public keys as DER, their ids, who is trusted |
//! | [`provider`], [`target`] | what the reader needs of the platform and of the processor |
//! | `software` | hash, signature and cipher by RustCrypto (features `software`, `encryption`, `pss`, `p384`, `ed25519`) |
//! | `write` | builds and signs containers (feature `write`) |
#![cfg_attr(not(any(test, feature = "write")), no_std)]
#![forbid(unsafe_code)]
// Nothing in a container may stop the partition: no panic, and no arithmetic that could overflow.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(feature = "software")]
mod cipher;
mod container;
mod decryption;
mod elf;
mod elf_header;
mod format;
mod metadata;
mod name_search;
mod own;
mod pieces;
mod plan;
pub mod provider;
mod public_key;
pub mod reader;
mod rejection;
pub mod resource_table;
mod sections;
mod signature;
#[cfg(feature = "software")]
pub mod software;
mod table;
pub mod target;
mod verification;
#[cfg(feature = "write")]
pub mod write;
