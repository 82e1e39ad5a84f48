//! Loading needs little memory beyond the module's own, whatever the format of the file.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use mmcv_checkpoint::{LoadOptions, load_file};
use mmcv_layers::{Module, ModuleExt, build_conv_layer};
use mmcv_pth::{Dtype, PthItem, TensorData, write_pth, write_safetensors};
use mmcv_registry::{Config, dict};
use tch::Kind;

use crate::forge::{self, Entry};

/// What loading may take beyond the module, in bytes: mmcv-pth gives the pages of a file back after each 16 MB, and
/// inflates what is large piece by piece.
const ALLOWED: u64 = 64 << 20;

/// Sizes of the one tensor: 256 MB.
const SHAPE: [i64; 4] = [16384, 4096, 1, 1];

/// Set for a process that loads.
const FILE: &str = "MMCV_TEST_CHECKPOINT";

fn network() -> Box<dyn Module> {
    let arguments = dict! { in_channels: SHAPE[1], out_channels: SHAPE[0], kernel_size: 1, bias: false };
    build_conv_layer(&Config::Null, &arguments).unwrap()
}

/// The bytes of the tensor: half of them can be compressed.
fn weight() -> Vec<u8> {
    let random = (0_u32..1 << 13).flat_map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes());
    let block: Vec<u8> = random.map(|byte| byte & 0x3f).chain(std::iter::repeat_n(1, 1 << 15)).collect();
    block.repeat(SHAPE.iter().product::<i64>() as usize * 4 / block.len())
}

/// The most memory that the process has held since it began, pages of mapped files included.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// `{"weight": tensor}` as a pickle; the storage has the key `0`.
fn pickle(storage: &[u8]) -> Vec<u8> {
    let [tensor, key] = [forge::tensor(storage, 0, &SHAPE, &[SHAPE[1], 1, 1, 1]), forge::text("weight")];
    [b"}".to_vec(), key, tensor, b"s.".to_vec()].concat()
}

fn write_files(folder: &Path) {
    let bytes = weight();
    let tensor = TensorData::new(Dtype::Float32, &SHAPE.map(|size| size as u64), &bytes).unwrap();
    write_pth(folder.join("stored"), &PthItem::mapping([("weight", tensor.clone().into())])).unwrap();
    write_safetensors(folder.join("safetensors"), &[("weight".to_owned(), tensor)], &[]).unwrap();

    let count = SHAPE.iter().product();
    let pickled = pickle(&forge::storage("FloatStorage", "0", count));
    let entries = [Entry::new("a/data.pkl", &pickled), Entry::deflated("a/data/0", &bytes)];
    let zip = forge::zip(&entries);
    assert!(zip.len() < bytes.len() * 3 / 4, "{} bytes deflate to {}", bytes.len(), zip.len());
    fs::write(folder.join("deflated"), zip).unwrap();

    // A legacy persistent id has a sixth item: no view.
    let storage = forge::storage("FloatStorage", "0", count);
    let storage = [&storage[..storage.len() - 2], b"NtQ"].concat();
    let records = [&count.to_le_bytes()[..], &bytes].concat();
    fs::write(folder.join("legacy"), forge::legacy(&pickle(&storage), &["0"], &records)).unwrap();
}

/// Each format is loaded in a process of its own, so that nothing else is counted.
#[test]
fn loading_takes_little_more_than_the_module() {
    if let Some(file) = std::env::var_os(FILE) {
        return println!("{}: {} MB more than the module", file.display(), load(file.as_ref()) >> 20);
    }
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    for format in ["stored", "safetensors", "deflated", "legacy"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "memory::loading_takes_little_more_than_the_module", "--nocapture"]);
        let child = command.env(FILE, folder.path().join(format)).stderr(std::process::Stdio::piped()).spawn();
        let output = child.and_then(Child::wait_with_output).unwrap();
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Loads a file; returns how many bytes that took beyond the module.
fn load(file: &Path) -> u64 {
    let module = network();
    let weight = &module.named_parameters()[0].1;
    let _ = tch::no_grad(|| weight.shallow_clone().f_zero_().unwrap());
    let before = peak();
    load_file(&*module, file, &LoadOptions::default()).unwrap();
    let more = peak() - before;
    assert!(more <= ALLOWED, "{more} bytes");
    let mut bytes = vec![0; weight.numel() * 4];
    weight.f_detach().unwrap().f_copy_data_u8(&mut bytes, weight.numel()).unwrap();
    assert!(weight.kind() == Kind::Float && bytes == self::weight());
    more
}
