//! `load_checkpoint` into an existing network, against `torch.load` and `load_state_dict`.
//!
//! ```sh
//! MMCV_PYTHON=~/mmcv-reference/bin/python cargo bench -p mmcv-checkpoint --bench load
//! ```
//!
//! Prints a table in Markdown: medians, the file in the page cache. Without `MMCV_PYTHON`, only this crate is measured. Both
//! sides match names and shapes and copy all tensors; this crate also compares the checksums.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mmcv_checkpoint::{LoadOptions, SaveOptions, load_checkpoint, save_checkpoint};
use mmcv_layers::{Sequential, build_conv_layer};
use mmcv_registry::{Config, dict};

/// Measurements, of which the median counts.
const ROUNDS: usize = 7;
/// The number of convolutions, and the channels of each.
const NETWORKS: [(usize, i64); 2] = [(40, 256), (100, 512)];
/// The same network and measurement in Python: layers, channels, rounds, file.
const PYTHON: &str = "
import statistics, sys, time, torch
layers, channels, rounds = map(int, sys.argv[1:4])
net = torch.nn.Sequential(*[torch.nn.Conv2d(channels, channels, 3) for _ in range(layers)])
times = []
for _ in range(rounds + 1):
    start = time.perf_counter()
    net.load_state_dict(torch.load(sys.argv[4], map_location='cpu')['state_dict'])
    times.append(time.perf_counter() - start)
print(statistics.median(times[1:]))
";

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    println!("| file | loader | milliseconds |\n| --- | --- | ---: |");
    for (layers, channels) in NETWORKS {
        let file = folder.join(format!("load-{layers}x{channels}.pth"));
        let network = network(layers, channels);
        save_checkpoint(&network, &file, &SaveOptions::default()).unwrap();
        let megabytes = std::fs::metadata(&file).unwrap().len() / 1_000_000;
        println!("| {megabytes} MB, zip | `load_checkpoint` | {:.1} |", 1e3 * measure(&network, &file));
        if let Some(python) = std::env::var_os("MMCV_PYTHON") {
            let numbers = [layers.to_string(), channels.to_string(), ROUNDS.to_string()];
            let output = Command::new(python).args(["-c", PYTHON]).args(numbers).arg(&file).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
            println!("| {megabytes} MB, zip | `torch.load`, `load_state_dict` | {:.1} |", 1e3 * seconds);
        }
        std::fs::remove_file(file).unwrap();
    }
}

fn network(layers: usize, channels: i64) -> Sequential {
    let arguments = dict! { in_channels: channels, out_channels: channels, kernel_size: 3 };
    Sequential::new((0..layers).map(|_| build_conv_layer(&Config::Null, &arguments).unwrap()).collect())
}

/// The median time in seconds, after one round that warms up.
fn measure(network: &Sequential, file: &Path) -> f64 {
    let mut seconds = Vec::new();
    for _ in 0..=ROUNDS {
        let start = Instant::now();
        load_checkpoint(network, file.to_str().unwrap(), &LoadOptions::default()).unwrap();
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}
