//! Links the payload with its own script.
fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bins=-T{directory}/payload.ld");
        println!("cargo::rustc-link-arg-bins=-n");
    }
    println!("cargo::rerun-if-changed=payload.ld");
}
