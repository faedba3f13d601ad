//! Tells the sources which core they are built for, by the target, and gives the linker that core's memory layout.

use std::env;

fn main() {
    for file in ["build.rs", "cortex-m33.ld", "cortex-m4.ld", "sections.ld"] {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rustc-check-cfg=cfg(cortex_m4)");
    let m4 = env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv7em-"));
    if m4 {
        println!("cargo:rustc-cfg=cortex_m4");
    }
    let bare_metal = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    if let (true, Ok(directory)) = (bare_metal, env::var("CARGO_MANIFEST_DIR")) {
        let layout = if m4 { "cortex-m4.ld" } else { "cortex-m33.ld" };
        println!("cargo:rustc-link-arg-bins=-L{directory}");
        println!("cargo:rustc-link-arg-bins=-T{directory}/{layout}");
        println!("cargo:rustc-link-arg-bins=--nmagic");
        println!("cargo:rustc-link-arg-bins=--strip-debug");
    }
}
