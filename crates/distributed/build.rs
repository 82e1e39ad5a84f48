//! Compiles the C++ shim and the bridge to it against the headers of the libtorch that torch-sys found. Binaries and tests of
//! this crate find libtorch by themselves: see docs/downstream.md.
#![allow(clippy::print_stdout)]

use std::path::Path;

const SOURCES: [&str; 3] = ["shim/group.cpp", "shim/reducer.cpp", "shim/sync_bn.cpp"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-changed=src/bridge.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    println!("cargo::rerun-if-env-changed=MMCV_NCCL_INCLUDE");
    if let Ok(argument) = std::env::var("DEP_MMCV_LAYERS_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
    // torch-sys gives no folder if it links nothing (its feature `doc-only`).
    let Ok(library) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    let include = Path::new(&library).join("../include");
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut build = cxx_build::bridge("src/bridge.rs");
    build
        .std("c++20")
        .warnings(false)
        // Stand-ins for the headers of gloo, which libtorch does not come with: see shim/gloo/README.md.
        .include("shim")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .define("GLOG_USE_GLOG_EXPORT", None)
        .define("USE_C10D_GLOO", None)
        .files(SOURCES);
    if std::env::var_os("CARGO_FEATURE_NCCL").is_some() {
        build.define("USE_C10D_NCCL", None);
        let folders = std::env::var_os("MMCV_NCCL_INCLUDE").unwrap_or_default();
        build.includes(std::env::split_paths(&folders));
        println!("cargo::rustc-link-lib=torch_cuda");
        println!("cargo::rustc-link-lib=c10_cuda");
    }
    build.compile("mmcv_distributed_shim");
}
