//! `mmcv export`: ONNX files.

use std::fs;

use serde_json::Value;

use crate::{Said, mmcv};

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
fn what_cannot_be_exported_is_an_error() {
    let fixed = "- {type: Conv2d, in_channels: 3, out_channels: 4, kernel_size: 3}\n- {type: Linear, in_features: 62, out_features: 7}\n";
    for (network, arguments, words) in [
        (NETWORK, &["--opset", "99"][..], "expected 13 to 22"),
        (NETWORK, &["--input", "1x4x64x64"], "channels"),
        (fixed, &["--input", "1x3x64x64", "--dynamic"], "export with fixed sizes"),
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
    for arguments in [&[][..], &["--dynamic"], &["--fixed-batch", "--no-fold"], &["--opset", "13"], &["--opset", "21"]]
    {
        let arguments = [&["--input", "1x3x64x96", "--verify", python], arguments].concat();
        let text = export(NETWORK, &arguments).0.done();
        assert!(text.contains("ONNX Runtime's outputs differ by"), "{text}");
    }
}
