//! Makes one linker argument of the place of libtorch, so that programs find it without `LD_LIBRARY_PATH`.
//!
//! Cargo applies it to this crate's own tests only. Crates that depend on this one are handed it as
//! `DEP_MMCV_LAYERS_LINK_ARG` and pass it on in their build scripts: see docs/downstream.md.
#![allow(clippy::print_stdout)]

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys gives no folder where it links nothing (its feature `doc-only`); Windows has no rpath.
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    if std::env::var_os("CARGO_CFG_WINDOWS").is_some() {
        return;
    }
    let argument = link_argument(&folder);
    println!("cargo::rustc-link-arg={argument}");
    println!("cargo::metadata=link_arg={argument}");
}

/// The folder becomes the rpath. Where it has libtorch_cuda.so, that is loaded with the program: nothing refers to
/// its symbols, it registers its kernels when it is loaded, and a linker drops it otherwise.
fn link_argument(folder: &str) -> String {
    let cuda = Path::new(folder).join("libtorch_cuda.so").exists();
    let keep_cuda = if cuda { ",--push-state,--no-as-needed,-ltorch_cuda,--pop-state" } else { "" };
    format!("-Wl,-rpath,{folder}{keep_cuda}")
}
