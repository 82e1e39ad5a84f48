//! Opening and loading checkpoints, against `torch.load` and the crates `pytorch-reader` and `safetensors`.
//!
//! ```sh
//! MMCV_PYTHON=~/mmcv-reference/bin/python cargo bench -p mmcv-pth --bench load
//! ```
//!
//! Prints tables in Markdown: medians, every measurement in a process of its own, in turns, the file in the page cache,
//! after the process has loaded a small file of the same format. *Open* is to know the names, types and shapes of all
//! tensors; *load* is that and a copy of the elements of each in memory of its own. Memory is what the process takes at
//! most beyond what it had before, pages of a mapped file included. The last table hashes a file, against
//! `openssl dgst`. The files are made by `MMCV_PYTHON`, a Python with torch, and stay in the target folder.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use memmap2::Mmap;
use mmcv_pth::{Checkpoint, ConvertOptions, FileCheckpoint, OutputFormat, convert, read_all};
use pytorch_reader::PytorchReader;
use safetensors::SafeTensors;
use sha2::{Digest as _, Sha256};

/// Measurements of each side, of which the median counts.
const ROUNDS: usize = 7;
/// Kind, megabytes, number of tensors.
const FILES: [(&str, usize, usize); 3] = [("legacy", 83, 220), ("zip", 89, 44), ("zip", 1000, 400)];
const READERS_OF_PTH: [&str; 4] = ["mmcv-pth", "pytorch-reader", "torch", "torch-mmap"];
const READERS_OF_SAFETENSORS: [&str; 2] = ["mmcv-pth", "safetensors"];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load.py");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", reader, what, small, file] => measure(reader, what, Path::new(small), Path::new(file)),
        _ => compare(),
    }
}

fn compare() {
    let Some(python) = std::env::var_os("MMCV_PYTHON") else {
        println!("Set MMCV_PYTHON to a Python with torch: it makes the files.");
        return;
    };
    let python = Path::new(&python);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
    fs::create_dir_all(&folder).unwrap();
    println!("| file | | reader | milliseconds | MB of memory |\n| --- | --- | --- | ---: | ---: |");
    let mut largest = PathBuf::new();
    for (kind, megabytes, tensors) in FILES {
        let small = make(python, kind, 1, 8, &folder);
        let file = make(python, kind, megabytes, tensors, &folder);
        for what in ["open", "load"] {
            let readers = READERS_OF_PTH.iter().filter(|reader| match **reader {
                // Without a map everything is loaded, and legacy files cannot be mapped.
                "torch" => what == "load",
                "torch-mmap" => kind == "zip",
                _ => true,
            });
            table(python, &format!("{megabytes} MB, {kind}"), what, readers, &small, &file);
            let twins = [&small, &file].map(|file| file.with_extension("safetensors"));
            let name = format!("{megabytes} MB, safetensors");
            table(python, &name, what, READERS_OF_SAFETENSORS.iter(), &twins[0], &twins[1]);
        }
        largest = file;
    }
    println!();
    hashing(&largest);
}

/// A file of `torch.save`, and its twin in safetensors beside it, unless they are there.
fn make(python: &Path, kind: &str, megabytes: usize, tensors: usize, folder: &Path) -> PathBuf {
    let file = folder.join(format!("{kind}-{megabytes}.pth"));
    if !file.exists() {
        let part = file.with_extension("part");
        let mut command = Command::new(python);
        command.args([SCRIPT, "make", kind, &megabytes.to_string(), &tensors.to_string()]).arg(&part);
        assert!(command.status().unwrap().success(), "{command:?}");
        fs::rename(part, &file).unwrap();
    }
    let twin = file.with_extension("safetensors");
    if !twin.exists() {
        convert(&Checkpoint::open(&file).unwrap(), &twin, OutputFormat::Safetensors, &ConvertOptions::default())
            .unwrap();
    }
    file
}

/// One row for each reader.
fn table<'a>(
    python: &Path,
    name: &str,
    what: &str,
    readers: impl Iterator<Item = &'a &'a str>,
    small: &Path,
    file: &Path,
) {
    let readers: Vec<_> = readers.collect();
    let mut results = vec![Vec::new(); readers.len()];
    for _ in 0..ROUNDS {
        for (reader, results) in readers.iter().zip(&mut results) {
            results.push(started(python, reader, what, small, file));
        }
    }
    for (reader, results) in readers.iter().zip(results) {
        let (seconds, bytes): (Vec<f64>, Vec<f64>) = results.into_iter().unzip();
        let (seconds, bytes) = (median(seconds), median(bytes));
        let reader = match **reader {
            "torch" => "`torch.load`",
            "torch-mmap" => "`torch.load(mmap=True)`",
            other => other,
        };
        println!("| {name} | {what} | {reader} | {:.1} | {:.1} |", 1e3 * seconds, bytes / 1e6);
    }
}

/// Seconds and bytes of one measurement in a new process.
fn started(python: &Path, reader: &str, what: &str, small: &Path, file: &Path) -> (f64, f64) {
    let mut command = match reader.strip_prefix("torch") {
        Some(how) => {
            let mut command = Command::new(python);
            command.args([SCRIPT, "measure", &format!("{what}{how}")]);
            command
        }
        None => {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["measure", reader, what]);
            command
        }
    };
    let output = command.args([small, file]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

fn measure(reader: &str, what: &str, small: &Path, file: &Path) {
    let load = what == "load";
    let run = |file| match reader {
        "mmcv-pth" => mmcv_pth(file, load),
        "pytorch-reader" => pytorch_reader(file, load),
        _ => safetensors(file, load),
    };
    drop(run(small));
    File::create("/proc/self/clear_refs").unwrap().write_all(b"5").unwrap();
    let before = memory("VmRSS:");
    let start = Instant::now();
    let (tensors, bytes) = run(file);
    let seconds = start.elapsed().as_secs_f64();
    println!("{seconds} {} {tensors}", memory("VmHWM:").saturating_sub(before));
    assert!(bytes.len() == tensors || !load);
}

type Copies = Vec<Vec<u8>>;

fn mmcv_pth(file: &Path, load: bool) -> (usize, Copies) {
    let checkpoint = FileCheckpoint::open(file).unwrap();
    let mut copies = Copies::new();
    for tensor in checkpoint.tensors() {
        black_box((tensor.key(), tensor.dtype(), tensor.shape()));
        if load {
            copies.push(vec![0; tensor.byte_count() as usize]);
        }
    }
    if load {
        read_all(checkpoint.tensors().zip(copies.iter_mut().map(Vec::as_mut_slice)).collect()).unwrap();
    }
    (checkpoint.tensors().len(), copies)
}

fn pytorch_reader(file: &Path, load: bool) -> (usize, Copies) {
    let reader = PytorchReader::new(file).unwrap();
    let mut copies = Copies::new();
    for tensor in reader.tensors().values() {
        black_box((&tensor.name, tensor.dtype(), tensor.shape()));
        if load {
            copies.push(tensor.read().unwrap());
        }
    }
    (reader.tensors().len(), copies)
}

fn safetensors(file: &Path, load: bool) -> (usize, Copies) {
    let file = File::open(file).unwrap();
    // SAFETY: nothing else changes the file meanwhile.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.unwrap();
    let tensors = SafeTensors::deserialize(&map).unwrap();
    let mut copies = Copies::new();
    for (name, tensor) in tensors.iter() {
        black_box((name, tensor.dtype(), tensor.shape()));
        if load {
            copies.push(tensor.data().to_vec());
        }
    }
    (tensors.len(), copies)
}

/// The digest of the whole file, and of its tensors, against openssl.
fn hashing(file: &Path) {
    let bytes = fs::metadata(file).unwrap().len() as f64;
    let mut seconds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        seconds[0].push(timed(|| {
            let output = Command::new("openssl").args(["dgst", "-sha256"]).arg(file).output();
            assert!(output.is_ok_and(|output| output.status.success()), "openssl is needed");
        }));
        seconds[1].push(timed(|| drop(black_box(sha256(file)))));
        seconds[2]
            .push(timed(|| drop(black_box(mmcv_pth::inspect(file, &mmcv_pth::OpenOptions::new(), true).unwrap()))));
    }
    println!("| SHA-256 of {:.0} MB | MB per second |\n| --- | ---: |", bytes / 1e6);
    let names = [
        "`openssl dgst -sha256`",
        "a file read in pieces, as mmcv-zoo does",
        "`mmcv_pth::inspect`, checksums and tensor by tensor",
    ];
    for (name, seconds) in names.into_iter().zip(seconds) {
        println!("| {name} | {:.0} |", bytes / 1e6 / median(seconds));
    }
}

fn sha256(file: &Path) -> impl AsRef<[u8]> {
    let (mut file, mut hasher, mut piece) = (File::open(file).unwrap(), Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece).unwrap() {
            0 => return hasher.finalize(),
            length => hasher.update(&piece[..length]),
        }
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Bytes, from a line of `/proc/self/status`.
fn memory(key: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
