//! Passes the linker script to the bare-metal link; the host build (unit tests) needs none.
fn main() {
    println!("cargo:rerun-if-changed=el3-spmc.ld");
    println!("cargo:rerun-if-changed=build.rs");
    let directory = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-arg-bins=-T{directory}/el3-spmc.ld");
    }
}
