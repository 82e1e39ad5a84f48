//! `mmcv bench`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Said, mmcv};

const NETWORK: &str = "
type: Sequential
modules:
  - {type: ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3, padding: 1, norm_cfg: {type: BN}}
  - {type: ConvModule, in_channels: 8, out_channels: 4, kernel_size: 3, act_cfg: null}
";

/// A folder with the config `network.yaml`, and the path of that file.
fn network() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("network.yaml");
    fs::write(&file, NETWORK).unwrap();
    (home, file)
}

/// `mmcv bench` on the network with one thread.
fn bench(arguments: &[&str]) -> Said {
    let (home, file) = network();
    Said::by(mmcv(home.path(), ["bench", "--threads", "1", "--size", "16"]).arg(&file).args(arguments))
}

fn json(arguments: &[&str]) -> Vec<Value> {
    let said = bench(&[&["--json", "--runs", "3"], arguments].concat()).done();
    serde_json::from_str(&said).unwrap()
}

#[test]
fn json_has_an_object_for_each_network() {
    let (home, file) = network();
    let other = file.display().to_string();
    let results = json(&["--batch-size", "2", &other]);
    drop(home);
    assert_eq!(results.len(), 2);
    for result in &results {
        assert_eq!(result["input"], serde_json::json!([2, 3, 16, 16]));
        assert_eq!((&result["threads"], &result["runs"]), (&1.into(), &3.into()));
        let milliseconds = |name: &str| result[name].as_f64().unwrap();
        let quartiles = ["least_ms", "lower_quartile_ms", "median_ms", "upper_quartile_ms"].map(milliseconds);
        assert!(quartiles[0] > 0.0 && quartiles.is_sorted(), "{result}");
        let rate = 2000.0 / milliseconds("median_ms");
        assert!((milliseconds("images_per_second") / rate - 1.0).abs() < 1e-9, "{result}");
    }
}

#[test]
fn training_and_half_precision_run() {
    let [result] = json(&["--train"]).try_into().unwrap();
    assert_eq!((&result["task"], &result["mode"]), (&"training".into(), &"eager".into()));
    let [result] = json(&["--dtype", "bf16"]).try_into().unwrap();
    assert_eq!((&result["task"], &result["dtype"]), (&"inference".into(), &"bf16".into()));
}

#[test]
fn a_profile_has_every_module_with_its_own_work() {
    let [result] = json(&["--profile"]).try_into().unwrap();
    let parts = result["profile"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["", "0", "0.conv", "0.bn", "0.activate", "1", "1.conv"]);
    assert_eq!((&parts[2]["class"], &parts[2]["outputs"]), (&"Conv2d".into(), &"1x8x16x16".into()));
    assert_eq!(parts[2]["multiply_adds"], 8 * 3 * 9 * 16 * 16);
    assert!(parts.iter().all(|part| part["ms"].as_f64().unwrap() > 0.0), "{result}");
    let text = bench(&["--profile", "--runs", "1"]).done();
    assert!(text.contains("Conv2d") && text.contains("GFLOP/s") && text.contains("share"), "{text}");
}

#[test]
fn the_fused_form_is_measured_beside_the_eager_one() {
    let [eager, fused] = json(&["--mode", "eager,fused", "--profile"]).try_into().unwrap();
    assert_eq!((&eager["mode"], &fused["mode"]), (&"eager".into(), &"fused".into()));
    let operators = fused["profile"].as_array().unwrap();
    assert!(!operators.is_empty() && operators.len() < eager["profile"].as_array().unwrap().len(), "{fused}");
    assert!(operators.iter().any(|part| part["operator"].as_str().unwrap().contains("convolution")), "{fused}");
    let text = bench(&["--mode", "eager,fused", "--runs", "1"]).done();
    assert!(text.contains("speed") && text.contains("1.00x"), "{text}");
}

#[test]
fn deviations_are_those_of_the_type() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("classifier.yaml");
    let classifier = "
type: ImageClassifier
backbone: {type: MobileNetV2, widen_factor: 0.25}
neck: {type: GlobalAveragePooling}
head: {type: LinearClsHead, num_classes: 10, in_channels: 1280}
";
    fs::write(&file, classifier).unwrap();
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/chelsea.png");
    let run = |arguments: &[&str]| {
        let size = ["bench", "--threads", "1", "--size", "32", "--batch-size", "20", "--runs", "1"];
        let command = [&size, &["--mode", "eager,fused", "--deviation", photo][..], arguments].concat();
        Said::by(mmcv(home.path(), &command).arg(&file)).done()
    };
    let found = |dtype| -> Vec<Value> {
        let said = run(&["--json", "--dtype", dtype]);
        let results: Vec<Value> = serde_json::from_str(&said).unwrap();
        assert!(results[0].get("deviation").is_none(), "the network is not compared with itself: {said}");
        ["photo", "crops"].map(|pictures| results[1]["deviation"][pictures].clone()).to_vec()
    };
    let number = |found: &Value, name: &str| found[name].as_f64().unwrap();
    let exact = found("f32");
    assert_eq!(exact[1]["images"], 200);
    // oneDNN computes in bfloat16 from AVX-512 on; other processors compute in f32 instead.
    let has_bf16 = std::is_x86_feature_detected!("avx512bw");
    if !has_bf16 {
        println!("did not run: that bfloat16 rounds, since this processor has no AVX-512");
    }
    for (exact, rounded) in exact.iter().zip(found("bf16")) {
        let share = |found: &Value| number(found, "largest_difference") / number(found, "largest_score");
        assert!(
            share(exact) < 1e-4 && (share(&rounded) > 1e-4) == has_bf16 && share(&rounded) < 0.1,
            "{exact} {rounded}"
        );
        assert_eq!(exact["same_class"], exact["images"]);
        assert!(number(exact, "mean_difference") <= number(exact, "largest_difference"));
    }
    let text = run(&[]);
    assert!(text.contains("same class") && text.contains("200/200"), "{text}");
}

/// What `--interactive` answers to these lines.
fn converse(lines: &str) -> Vec<String> {
    let (home, file) = network();
    let mut command = mmcv(home.path(), ["bench", "--interactive", "--size", "16"]);
    let mut child = command.arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn another_program_says_when_to_run() {
    let answers = converse("run\nwalk\n\nrun\r\nquit\nrun\n");
    let [ready, first, walk, empty, second] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(ready, "ready");
    for milliseconds in [first, second] {
        assert!(milliseconds.parse::<f64>().unwrap() > 0.0, "{answers:?}");
    }
    assert!(walk.starts_with("error: ") && walk.contains("walk"), "{answers:?}");
    assert!(empty.starts_with("error: "), "{answers:?}");
    assert_eq!(converse("run").len(), 2, "the last line may have no end");
    assert_eq!(converse(""), ["ready"]);
}

#[test]
fn another_program_gets_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let (input, short) = (folder.path().join("input of 16.f32"), folder.path().join("short.f32"));
    let bytes: Vec<u8> = (0..3 * 16 * 16).flat_map(|index| (index as f32 / 768.0).to_le_bytes()).collect();
    fs::write(&input, &bytes).unwrap();
    fs::write(&short, &bytes[4..]).unwrap();
    let answers = converse(&format!("output {}\noutput {}\noutput none\n", input.display(), short.display()));
    let [_, numbers, short, none] = &answers[..] else { panic!("{answers:?}") };
    let numbers: Vec<f32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(numbers.len() > 1 && numbers.iter().any(|number| *number != 0.0), "{numbers:?}");
    assert!(short.starts_with("error: ") && short.contains("3068 bytes"), "{short}");
    assert!(none.starts_with("error: ") && none.contains("none"), "{none}");
}

#[test]
fn mistakes_are_named_before_anything_runs() {
    let (home, file) = network();
    let file = file.display().to_string();
    for arguments in [
        &["bench"][..],
        &["bench", &file, "--batch-size", "0"],
        &["bench", &file, "--batch", "0"],
        &["bench", &file, "--mode", "quick"],
        &["bench", &file, "--runs", "0"],
        &["bench", &file, "--train", "--dtype", "bf16"],
        &["bench", &file, "--interactive", "--json"],
        &["bench", &file, &file, "--interactive"],
        &["bench", &file, "--deviation", "cat.png"],
        &["bench", &file, &file, "--checkpoint", "a.pth"],
    ] {
        let said = Said::by(&mut mmcv(home.path(), arguments));
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}: {}", said.stderr);
    }
    let failed = |arguments: &[&str]| Said::by(&mut mmcv(home.path(), arguments)).failed();
    let error = failed(&["bench", &file, "--cfg-options", "modules.0.kernel_sise=3"]);
    assert!(error.contains("network.yaml") && error.contains("modules[0].kernel_sise"), "{error}");
    let error = failed(&["bench", &file, "--cfg-options", "modules.1.in_channels=4"]);
    assert!(error.contains("network.yaml") && error.contains("in_channels"), "{error}");
    let missing = Path::new(&file).with_file_name("none.yaml").display().to_string();
    assert!(failed(&["bench", &missing]).contains("none.yaml"));
    assert!(failed(&["bench", &file, "--checkpoint", "none.pth"]).contains("none.pth"));
}
