//! Checkpoints between the example `train_digits` and mmengine, both ways.
//!
//! It needs a Python with torch, mmengine and mmcv-lite in `MMCV_TORCH_PYTHON`, and says so if there is none.

use std::path::Path;
use std::process::Command;

use mmcv::prelude::*;
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::training::example::Trainer;
use crate::training::small;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/train_digits/continue_in_mmengine.py");

/// What the script prints.
#[derive(Deserialize)]
struct Continued {
    epoch: usize,
    before: Vec<f64>,
    after: Vec<f64>,
    file: String,
}

/// The scores of a network in a checkpoint, for the images of the script.
fn scores(file: &Path) -> Vec<f64> {
    let network = small().build_network().unwrap();
    let report = load_checkpoint(&*network, file.to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert!(report.is_complete() && report.unset.is_empty(), "{report}");
    network.train(false);
    let images = Tensor::linspace(0.0, 1.0, 4 * 64, (Kind::Float, tch::Device::Cpu)).reshape([4, 1, 8, 8]);
    Vec::try_from(network.forward(&images).unwrap().flatten(0, -1).to_kind(Kind::Double)).unwrap()
}

#[track_caller]
fn assert_close(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), 40);
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-5, "{ours}, in Python {theirs}");
    }
}

#[test]
fn a_training_goes_on_in_mmengine_and_its_checkpoint_comes_back() {
    let python = std::env::var("MMCV_TORCH_PYTHON").unwrap_or_default();
    if python.is_empty() {
        println!("not run: set MMCV_TORCH_PYTHON to a Python that has torch, mmengine and mmcv-lite");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last.pth");
    let mut trainer = Trainer::new(small()).unwrap();
    for _ in 0..2 {
        trainer.run_epoch(|_| {}).unwrap();
    }
    trainer.save(&last).unwrap();

    // Another libtorch than that of the Python package.
    let mut command = Command::new(python);
    let output = command.arg(SCRIPT).arg(&last).arg(folder.path()).env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with('{')).unwrap();
    let continued: Continued = serde_json::from_str(line).unwrap();

    assert_eq!(continued.epoch, 2);
    assert_close(&scores(&last), &continued.before);
    // What mmengine's runner writes has more in it than weights: its log, schedule and hooks.
    let theirs = Path::new(&continued.file);
    assert_close(&scores(theirs), &continued.after);
    assert_ne!(continued.before, continued.after);
    let meta = mmcv::pth::FileCheckpoint::open(theirs).unwrap().meta();
    assert_eq!(meta["meta"]["epoch"], 3);
}
