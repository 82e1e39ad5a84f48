//! Compiles the C++ shim and the bridge to it against the headers of the libtorch that torch-sys found. Binaries and tests of
//! this crate find libtorch by themselves: see docs/downstream.md.
#![allow(clippy::print_stdout)]

use std::path::Path;

const SOURCES: [&str; 8] = [
    "shim/call.cpp",
    "shim/library.cpp",
    "shim/onednn.cpp",
    "shim/parallel.cpp",
    "shim/script.cpp",
    "shim/tensor.cpp",
    "shim/trace.cpp",
    "shim/watched.cpp",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-changed=src/bridge.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    if let Ok(argument) = std::env::var("DEP_MMCV_LAYERS_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
    // torch-sys gives no folder if it links nothing (its feature `doc-only`).
    let Ok(library) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    let include = Path::new(&library).join("../include");
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    cxx_build::bridge("src/bridge.rs")
        .std("c++20")
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .define("GLOG_USE_GLOG_EXPORT", None)
        .files(SOURCES)
        .compile("mmcv_fuse_shim");
}
