//! Gives the linker the partition's memory layout, and has it write relocations that the entry code applies.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let script = format!("{root}/../linker/sp.ld");
    println!("cargo:rerun-if-changed={script}");
    // The image runs where the SPMC loads it. The precompiled core library addresses code and data relative to the program
    // counter; its absolute pointers in read-only sections become relocations too (notext).
    for argument in [
        &format!("-T{script}"),
        "-pie",
        "-znotext",
        "--no-dynamic-linker",
        "-zmax-page-size=4096",
        "--hash-style=sysv",
        "--pack-dyn-relocs=relr",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
