//! Finds the built component, so that the crate can embed it.
//!
//! A crate that embeds a WebAssembly file cannot build it itself: cargo builds for one target at a time. So the
//! component is built first, by `cargo xtask component`, and a check of the sources works without it.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=URLPOOL_COMPONENT");
    println!("cargo::rustc-check-cfg=cfg(urlpool_component)");

    let built = match env::var_os("URLPOOL_COMPONENT") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/component/urlpool.wasm"),
    };
    // A path that does not exist makes cargo run this again each time, until the component is there.
    println!("cargo::rerun-if-changed={}", built.display());
    if let Ok(built) = built.canonicalize() {
        println!("cargo::rustc-cfg=urlpool_component");
        println!("cargo::rustc-env=URLPOOL_COMPONENT_FILE={}", built.display());
    }
}
