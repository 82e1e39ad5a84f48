//! `mmcv export`: ONNX files.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use mmcv::checkpoint::{SaveOptions, save_checkpoint};
use mmcv::layers::{Forward, Module};
use mmcv::models::Recipe;
use mmcv::registry::Config;
use serde_json::Value;
use tch::{CModule, Tensor};

use crate::{CLASSIFIER, Said, mmcv};

const NETWORK: &str = "type: ResNet\ndepth: 18\nbase_channels: 8\nstem_channels: 8\nout_indices: [1, 3]\n";

/// Runs `mmcv export net.yaml --onnx net.onnx` with these arguments in a folder with this network.
fn export(network: &str, arguments: &[&str]) -> (Said, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.yaml"), network).unwrap();
    let mut command = mmcv(folder.path(), ["export", "net.yaml", "--onnx", "new/net.onnx"]);
    let said = Said::by(command.args(arguments).current_dir(folder.path()));
    (said, fs::read(folder.path().join("new/net.onnx")).unwrap_or_default())
}

#[test]
fn a_network_becomes_the_same_file_each_time() {
    let arguments = ["--input", "1x3x64x64", "--json"];
    let (said, file) = export(NETWORK, &arguments);
    let report: Value = serde_json::from_str(&said.done()).unwrap();
    assert_eq!((&report["file"], &report["opset"]), (&Value::from("new/net.onnx"), &Value::from(17)));
    assert!(report["nodes"].as_u64() > Some(30) && report["parameters"].as_u64() > Some(100_000), "{report}");
    for name in ["layer1.0.conv1.weight", "Conv", "output1", "batch"] {
        assert!(file.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
    }
    assert!(!file.windows(18).any(|part| part == b"BatchNormalization"));
    assert_eq!(export(NETWORK, &arguments).1, file);
    let (said, unfolded) = export(NETWORK, &["--input", "1x3x64x64", "--no-fold"]);
    assert!(said.done().contains("opset 17"));
    assert!(unfolded.windows(18).any(|part| part == b"BatchNormalization"));
}

#[test]
fn a_file_says_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("net.yaml"), CLASSIFIER).unwrap();
    let recipe = Recipe::read(&Config::from_file(path.join("net.yaml")).unwrap()).unwrap();
    let network = recipe.build(&mmcv::MODELS).unwrap();
    save_checkpoint(&*network, path.join("net.pth"), &SaveOptions::default()).unwrap();
    let arguments = ["export", "net.yaml", "--checkpoint", "net.pth", "--onnx", "net.onnx", "--preprocess"];
    Said::by(mmcv(path, arguments).current_dir(path)).done();
    let digest = mmcv::zoo::Digest::of_reader(fs::File::open(path.join("net.pth")).unwrap()).unwrap().to_string();
    let file = fs::read(path.join("net.onnx")).unwrap();
    for words in ["mmcv-rs", "net.yaml", "net.pth", &digest, "LinearClsHead", r#"["a","b","c","d","e"]"#, "resize_edge"]
    {
        assert!(file.windows(words.len()).any(|part| part == words.as_bytes()), "{words}");
    }
}

#[test]
fn what_cannot_be_exported_is_an_error() {
    let fixed = "- {type: Conv2d, in_channels: 3, out_channels: 4, kernel_size: 3}\n- {type: Linear, in_features: 62, out_features: 7}\n";
    for (network, arguments, words) in [
        (NETWORK, &["--opset", "99"][..], "expected 13 to 22"),
        (NETWORK, &["--input", "1x4x64x64"], "channels"),
        (fixed, &["--input", "1x3x64x64", "--dynamic"], "export with fixed sizes"),
        (NETWORK, &["--input", "1x3x64x64", "--preprocess"], "the config has no preprocessing"),
        (NETWORK, &["--input", "1x3x64x64", "--softmax"], "for one output"),
    ] {
        let (said, file) = export(network, arguments);
        let error = said.failed();
        assert!(error.contains(words) && file.is_empty(), "{error}");
    }
}

/// With a Python that has ONNX Runtime.
#[test]
fn onnx_runtime_computes_the_same() {
    let Some(python) = std::env::var_os("MMCV_ONNX_PYTHON") else {
        println!("did not run: MMCV_ONNX_PYTHON is no Python with onnxruntime");
        return;
    };
    let python = python.to_str().unwrap();
    for arguments in [
        &[][..],
        &["--dynamic"],
        &["--fixed-batch", "--no-fold"],
        &["--opset", "13"],
        &["--opset", "21"],
        &["--external-data"],
        &["--fp16"],
        &["--fp16", "--no-fold", "--dynamic"],
    ] {
        let arguments = [&["--input", "1x3x64x96", "--verify", python], arguments].concat();
        let text = export(NETWORK, &arguments).0.done();
        assert!(text.contains("ONNX Runtime's outputs differ by"), "{text}");
    }
    let bgr = CLASSIFIER.replace("crop_size", "channel_order: bgr, crop_size");
    for (network, precision) in [(CLASSIFIER, &[][..]), (&bgr, &[]), (&bgr, &["--fp16"])] {
        let arguments = [&["--preprocess", "--softmax", "--dynamic", "--verify", python], precision].concat();
        let text = export(network, &arguments).0.done();
        assert!(text.contains("ONNX Runtime's outputs differ by"), "{text}");
    }
}

/// With a Python that has ONNX Runtime, and with the published weights.
#[test]
fn an_exported_classifier_takes_images() {
    let Some(python) = std::env::var_os("MMCV_ONNX_PYTHON") else {
        println!("did not run: MMCV_ONNX_PYTHON is no Python with onnxruntime");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let config = root.join("model_zoo/configs/mobilenet_v2.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmcv"));
    command.arg("export").arg(&config).args(["--preprocess", "--softmax", "--onnx"]).arg(&file);
    let said = Said::by(command.env("MMCV_OFFLINE", "1"));
    if said.code != 0 && said.stderr.contains("MMCV_OFFLINE") {
        println!("did not run: the weights of MobileNetV2 are not in the cache");
        return;
    }
    said.done();
    let image = image::open(root.join("tests/data/chelsea.png")).unwrap().into_rgb8();
    let pixels = Tensor::from_slice(image.as_raw()).view([i64::from(image.height()), i64::from(image.width()), 3]);
    let recipe = Recipe::read(&Config::from_file(&config).unwrap()).unwrap();
    let pixels = recipe.preprocess.resize_and_crop(&pixels).unwrap().permute([0, 2, 3, 1]).contiguous();
    let scores = run(&file, &pixels, &python);
    let (best, score) = scores.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1)).unwrap();
    assert_eq!(recipe.classes.unwrap().names()[best], "Egyptian cat");
    assert_eq!(format!("{score:.4}"), "0.7166");
    assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-4);
}

/// The numbers that ONNX Runtime returns for images in 8 bits.
fn run(file: &Path, pixels: &Tensor, python: &OsStr) -> Vec<f32> {
    let program = include_str!("../../src/torch/commands/export/run.py");
    let mut command = Command::new(python);
    command.args(["-c", program, "onnxruntime"]).arg(file).args(pixels.size().iter().map(i64::to_string));
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let bytes = Vec::<u8>::try_from(&pixels.flatten(0, -1)).unwrap();
    process.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn weights_can_have_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("net.yaml"), NETWORK).unwrap();
    let mut files = Vec::new();
    for name in ["new/net.onnx", "new/net.onnx"] {
        let arguments = ["export", "net.yaml", "--input", "1x3x64x64", "--external-data", "--json", "--onnx", name];
        let report: Value = serde_json::from_str(&Said::by(mmcv(path, arguments).current_dir(path)).done()).unwrap();
        assert_eq!(report["data"], Value::from("new/net.onnx.data"));
        files.push([fs::read(path.join(name)).unwrap(), fs::read(path.join("new/net.onnx.data")).unwrap()]);
    }
    assert_eq!(files[0], files[1]);
    let [small, data] = &files[0];
    assert!(small.len() < 100_000 && data.len() > 500_000, "{} and {} bytes", small.len(), data.len());
    for words in ["location", "net.onnx.data", "offset", "length"] {
        assert!(small.windows(words.len()).any(|part| part == words.as_bytes()), "{words}");
    }
    assert_eq!(fs::read_dir(path.join("new")).unwrap().count(), 2);
}

#[test]
fn torchscript_returns_the_numbers_of_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("net.yaml"), CLASSIFIER).unwrap();
    let recipe = Recipe::read(&Config::from_file(path.join("net.yaml")).unwrap()).unwrap();
    let network = recipe.build(&mmcv::MODELS).unwrap();
    network.train(false);
    save_checkpoint(&*network, path.join("net.pth"), &SaveOptions::default()).unwrap();
    let input = Tensor::rand([1, 3, 64, 64], tch::kind::FLOAT_CPU);
    let expected = network.forward(&input).unwrap();
    let mut files = Vec::new();
    for (name, options) in [("a.pt", &[][..]), ("b.pt", &[]), ("c.pt", &["--no-fold"])] {
        let arguments = ["export", "net.yaml", "--checkpoint", "net.pth", "--torchscript", name];
        Said::by(mmcv(path, arguments).args(options).current_dir(path)).done();
        let script = CModule::load(path.join(name)).unwrap();
        let found = script.forward_ts(&[&input]).unwrap();
        assert!((&found - &expected).abs().max().double_value(&[]) < 1e-5);
        assert!(!found.requires_grad());
        let names: Vec<String> = script.named_parameters().unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"backbone.layer1.0.conv1.weight".to_owned()), "{names:?}");
        files.push(fs::read(path.join(name)).unwrap());
    }
    assert_eq!(files[0], files[1]);
    let arguments = ["export", "net.yaml", "--torchscript", "a.pt", "--softmax"];
    assert_eq!(Said::by(mmcv(path, arguments).current_dir(path)).code, 2);
}
