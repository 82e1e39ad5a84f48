//! `mmcv quantize`, and the files in `predict` and `bench`.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::{CLASSIFIER, Said, mmcv};

/// A folder with a network, its weights, and pictures.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.yaml"), CLASSIFIER).unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for seed in 0..4_u32 {
        let pixel =
            |x: u32, y: u32| Rgb([(x * (seed + 3)) as u8, (y * 5 + seed * 40) as u8, (x * y / (seed + 1)) as u8]);
        RgbImage::from_fn(90, 80, pixel).save(folder.path().join(format!("photos/{seed}.png"))).unwrap();
    }
    let recipe = mmcv_models::Recipe::read(&mmcv_registry::Config::from_yaml(CLASSIFIER).unwrap()).unwrap();
    let network = recipe.build(&mmcv_models::MODELS).unwrap();
    let weights = folder.path().join("weights.pth");
    mmcv_checkpoint::save_checkpoint(&*network, &weights, &mmcv_checkpoint::SaveOptions::default()).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Said {
    Said::by(mmcv(folder, arguments).current_dir(folder))
}

#[test]
fn a_quantized_network_needs_no_checkpoint() {
    let folder = folder();
    let quantize =
        ["quantize", "net.yaml", "--checkpoint", "weights.pth", "--calibrate", "photos", "--crops", "3", "--json"];
    let run = |arguments: &[&str]| run(folder.path(), arguments);
    let report: Value = serde_json::from_str(&run(&[&quantize[..], &["--out", "new/net.st"]].concat()).done()).unwrap();
    assert_eq!((&report["images"], &report["inputs"], &report["scores"]["inputs"]), (&3.into(), &12.into(), &4.into()));
    assert_eq!(report["layers"].as_array().map(Vec::len), Some(21), "{report}");
    let file = fs::read(folder.path().join("new/net.st")).unwrap();
    run(&[&quantize[..], &["--out", "again.st"]].concat()).done();
    assert!(file == fs::read(folder.path().join("again.st")).unwrap(), "the same network has the same file");

    let predict = ["predict", "net.yaml", "photos", "--json"];
    let eight: Value =
        serde_json::from_str(&run(&[&predict[..], &["--quantized", "new/net.st"]].concat()).done()).unwrap();
    let exact: Value =
        serde_json::from_str(&run(&[&predict[..], &["--checkpoint", "weights.pth"]].concat()).done()).unwrap();
    for (eight, exact) in eight.as_array().unwrap().iter().zip(exact.as_array().unwrap()) {
        let score = |report: &Value| report["predictions"][0]["score"].as_f64().unwrap();
        assert!((score(eight) - score(exact)).abs() < 0.05, "{eight} {exact}");
    }
    let bench = [
        "bench",
        "net.yaml",
        "--mode",
        "eager,fused",
        "--quantized",
        "new/net.st",
        "--size",
        "64",
        "--runs",
        "2",
        "--json",
    ];
    let rows: Value = serde_json::from_str(&run(&bench).done()).unwrap();
    assert_eq!((&rows[0]["dtype"], &rows[1]["dtype"]), (&"f32".into(), &"int8".into()));
}

#[test]
fn mistakes_are_told() {
    let folder = folder();
    let run = |arguments: &[&str]| run(folder.path(), arguments).failed();
    let quantize = ["quantize", "net.yaml", "--out", "net.st", "--calibrate"];
    assert!(run(&[&quantize[..], &["photos"]].concat()).contains("--checkpoint"));
    assert!(run(&[&quantize[..], &["none", "--checkpoint", "weights.pth"]].concat()).contains("none"));
    let predict = ["predict", "net.yaml", "photos", "--quantized"];
    assert!(run(&[&predict[..], &["none.st"]].concat()).contains("cannot read none.st"));
    assert!(run(&[&predict[..], &["photos/0.png"]].concat()).contains("no safetensors file"));
}
