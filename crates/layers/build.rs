//! Sets the linker argument with which programs find libtorch without `LD_LIBRARY_PATH`.
//!
//! Cargo applies it only to this crate's own tests. The build scripts of dependent crates read it from
//! `DEP_MMCV_LAYERS_LINK_ARG` and pass it on: see docs/downstream.md.
#![allow(clippy::print_stdout)]

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys sets no folder if it does not link (feature `doc-only`); Windows has no rpath.
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    if std::env::var_os("CARGO_CFG_WINDOWS").is_some() {
        return;
    }
    let argument = link_argument(&folder);
    println!("cargo::rustc-link-arg={argument}");
    println!("cargo::metadata=link_arg={argument}");
}

/// The folder becomes the rpath. If it contains libtorch_cuda.so, the program loads that too: it registers its kernels when
/// it is loaded, and the linker would drop it because nothing refers to its symbols.
fn link_argument(folder: &str) -> String {
    let cuda = Path::new(folder).join("libtorch_cuda.so").exists();
    let keep_cuda = if cuda { ",--push-state,--no-as-needed,-ltorch_cuda,--pop-state" } else { "" };
    format!("-Wl,-rpath,{folder}{keep_cuda}")
}
