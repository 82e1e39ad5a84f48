//! Loading needs little memory beyond the module's own.
#![cfg(target_os = "linux")]

use mmcv_checkpoint::{LoadOptions, SaveOptions, load_file, save_checkpoint};
use mmcv_layers::{ModuleExt, build_conv_layer};
use mmcv_registry::{Config, dict};

/// What loading may take beyond the module, in bytes: mmcv-pth gives the pages of a file back after each 64 MB while it
/// compares checksums, and the rest is little.
const ALLOWED: u64 = 64 << 20;

/// Set for the process that loads.
const FILE: &str = "MMCV_TEST_CHECKPOINT";

/// One tensor of 128 MB.
fn network() -> Box<dyn mmcv_layers::Module> {
    let arguments = dict! { in_channels: 4096, out_channels: 8192, kernel_size: 1, bias: false };
    build_conv_layer(&Config::Null, &arguments).unwrap()
}

/// The most memory that the process has held since it began, pages of mapped files included.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// Runs in a process of its own, so that other tests are not counted.
#[test]
fn loading_takes_little_more_than_the_module() {
    let Some(file) = std::env::var_os(FILE) else {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large.pth");
        save_checkpoint(&*network(), &file, &SaveOptions::default()).unwrap();
        let test = "memory::loading_takes_little_more_than_the_module";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", test, "--nocapture"]).env(FILE, &file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let module = network();
    let weight = &module.named_parameters()[0].1;
    let _ = tch::no_grad(|| weight.shallow_clone().f_zero_().unwrap());
    let before = peak();
    load_file(&*module, file.as_ref(), &LoadOptions::default()).unwrap();
    let more = peak() - before;
    println!("{} MB more than the module", more >> 20);
    assert!(more <= ALLOWED, "{more} bytes");
    assert!(weight.abs().sum(tch::Kind::Float).double_value(&[]) > 0.0);
}
