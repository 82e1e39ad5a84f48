//! Binaries and tests of this crate find libtorch by themselves: see docs/downstream.md.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(argument) = std::env::var("DEP_MMCV_LAYERS_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
}
