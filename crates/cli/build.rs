//! Binaries and tests of this crate find libtorch by themselves, and crates that depend on it can: see docs/downstream.md.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(argument) = std::env::var("DEP_MMCV_LAYERS_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
        println!("cargo::metadata=link_arg={argument}");
    }
}
