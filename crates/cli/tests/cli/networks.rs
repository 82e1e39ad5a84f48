//! Networks of the zoo by their names: `mmcv zoo show`, `predict` and `features` with weights from a user's own table.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use mmcv::models::Recipe;
use mmcv::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Said, mmcv, run};

const NAME: &str = "resnet18_v1c";

/// A cache folder whose `open-mmlab://resnet18_v1c` has random weights, named as those for mmdetection are: with or without
/// the classifier, and two pictures, one in a folder inside.
fn home(with_classifier: bool) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let entry = mmcv::models::zoo_entry(NAME).unwrap();
    let network = Recipe::read(&entry.config).unwrap().build(&MODELS).unwrap();
    let named: Vec<_> = network
        .state_dict()
        .into_iter()
        .filter(|(name, _)| with_classifier || !name.starts_with("head."))
        .map(|(name, tensor)| (name.replace("backbone.", "").replace("head.fc.", "fc."), tensor))
        .collect();
    tch::Tensor::write_safetensors(&named, home.path().join("v1c.safetensors")).unwrap();
    fs::write(home.path().join("open_mmlab.json"), format!("{{\"{NAME}\": \"v1c.safetensors\"}}")).unwrap();
    for name in ["pictures/a.png", "pictures/b/c.png"] {
        let file = home.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let shade = name.len() as u32;
        RgbImage::from_fn(260, 240, |x, y| Rgb([(x * shade) as u8, y as u8, 7])).save(file).unwrap();
    }
    home
}

fn by(home: &TempDir, arguments: &[&str]) -> Said {
    Said::by(mmcv(home.path(), arguments).current_dir(home.path()).env("MMCV_OFFLINE", "1"))
}

fn json(said: Said) -> Value {
    serde_json::from_str(&said.done()).unwrap()
}

#[test]
fn a_folder_is_classified_with_a_name_alone() {
    let home = home(true);
    let results = json(by(&home, &["predict", NAME, "pictures", "--topk", "3", "--json", "--out", "drawn"]));
    assert_eq!(results.as_array().unwrap().len(), 2);
    assert_eq!(results[1]["image"], "pictures/b/c.png");
    assert_eq!(results[0]["predictions"].as_array().unwrap().len(), 3);
    assert!(home.path().join("drawn/a.png").is_file() && home.path().join("drawn/b/c.png").is_file());
    // One by one they give the same as in a batch.
    let alone = json(by(&home, &["predict", NAME, "pictures", "--topk", "3", "--json", "--batch-size", "1"]));
    assert_eq!(alone[1]["predictions"][0]["class"], results[1]["predictions"][0]["class"]);
    let score = |results: &Value| results[1]["predictions"][0]["score"].as_f64().unwrap();
    assert!((score(&alone) - score(&results)).abs() < 1e-6);
}

/// What training on several devices wrote, and a picture that is none beside those that are.
#[test]
fn prefixes_and_broken_pictures_do_no_harm() {
    let home = home(true);
    let state = tch::Tensor::read_safetensors(home.path().join("v1c.safetensors")).unwrap();
    let prefixed: Vec<_> = state.into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor)).collect();
    tch::Tensor::write_safetensors(&prefixed, home.path().join("parallel.safetensors")).unwrap();
    let arguments = ["predict", NAME, "pictures", "--json", "--topk", "1"];
    let expected = json(by(&home, &arguments));
    assert_eq!(json(by(&home, &[&arguments[..], &["--checkpoint", "parallel.safetensors"]].concat())), expected);

    fs::write(home.path().join("pictures/a2.jpg"), "no picture").unwrap();
    let said = by(&home, &[&arguments[..], &["--out", "drawn"]].concat());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("a2.jpg") && said.stderr.contains("1 of 3 images"), "{}", said.stderr);
    assert_eq!(serde_json::from_str::<Value>(&said.stdout).unwrap(), expected);
    assert!(home.path().join("drawn/b/c.png").is_file() && !home.path().join("drawn/a2.png").exists());
    let error = by(&home, &["predict", NAME, "pictures/a2.jpg"]).failed();
    assert!(error.contains("expected PNG, JPEG, WebP or BMP"), "{error}");
    let error = by(&home, &["features", NAME, "pictures/a.png", "--out", "features.txt"]).failed();
    assert!(error.contains("FILE.safetensors"), "{error}");
}

#[test]
fn weights_without_a_classifier_give_features_and_no_classes() {
    let home = home(false);
    let error = by(&home, &["predict", NAME, "pictures"]).failed();
    assert!(error.contains("head.fc.weight") && error.contains("mmcv features"), "{error}");
    let arguments = ["features", NAME, "pictures", "--out-indices", "1,3", "--out", "out", "--png", "drawn", "--json"];
    let results = json(by(&home, &arguments));
    let stages = &results[1]["stages"];
    assert_eq!((&stages[0]["name"], &stages[0]["shape"]), (&"stage1".into(), &serde_json::json!([128, 28, 28])));
    assert_eq!((&stages[1]["name"], &stages[1]["shape"]), (&"stage3".into(), &serde_json::json!([512, 7, 7])));
    let written = tch::Tensor::read_safetensors(home.path().join("out/b/c.safetensors")).unwrap();
    let (_, stage) = written.iter().find(|(name, _)| name == "stage3").unwrap();
    let mean = stages[1]["mean"].as_f64().unwrap();
    assert!((stage.mean(tch::Kind::Double).double_value(&[]) - mean).abs() < 1e-6);
    assert!(home.path().join("drawn/a.png").is_file());

    let pooled = json(by(&home, &["features", NAME, "pictures/b/c.png", "--pooled", "--out", "c.npy", "--json"]));
    let values = pooled[0]["stages"][0]["values"].as_array().unwrap();
    assert_eq!(values.len(), 512);
    let array = tch::Tensor::read_npy(home.path().join("c.npy")).unwrap();
    assert!((array.double_value(&[5]) - values[5].as_f64().unwrap()).abs() < 1e-6);
    let error = by(&home, &["features", NAME, "pictures", "--out-indices", "4"]).failed();
    assert!(error.contains("model.backbone.out_indices") && error.contains("0 to 3"), "{error}");
}

#[test]
fn a_config_takes_its_weights_from_a_name() {
    let home = home(true);
    let backbone =
        format!("type: ResNetV1c\ndepth: 18\ninit_cfg: {{type: Pretrained, checkpoint: 'open-mmlab://{NAME}'}}\n");
    fs::write(home.path().join("my.yaml"), backbone).unwrap();
    let said = by(&home, &["build", "my.yaml", "--explain"]).done();
    assert!(said.contains("weight [512x256x3x3]: loaded by init_cfg (Pretrained)"), "{said}");
}

#[test]
fn the_colours_are_those_of_the_weights() {
    let home = home(true);
    let config = home.path().join("my.yaml");
    let show = by(&home, &["zoo", "show", NAME, "--config"]).done();
    let predict = |text: &str, more: &[&str]| {
        fs::write(&config, text).unwrap();
        by(&home, &[&["predict", "my.yaml", "pictures/a.png", "--json"], more].concat())
    };
    let expected = json(predict(&show, &[]));
    let error = predict(&show.replace("channel_order: rgb", "channel_order: bgr"), &[]).failed();
    assert!(error.contains("preprocess.channel_order: \"rgb\""), "{error}");
    // Without preprocessing of its own, a config has that of its weights, and so have weights that are given instead.
    let (model, rest) = show.split_once("preprocess:").unwrap();
    let checkpoint = &rest[rest.find("checkpoint:").unwrap()..];
    assert_eq!(json(predict(&format!("{model}{checkpoint}"), &[])), expected);
    let other = show.replace("channel_order: rgb", "channel_order: bgr").replace(NAME, "no_such_name");
    assert_eq!(json(predict(&other, &["--checkpoint", NAME])), expected);
    assert_ne!(json(predict(&show, &["--cfg-options", "preprocess.channel_order=bgr"])), expected);
    // A copy of the file is known by its name.
    fs::create_dir(home.path().join("copies")).unwrap();
    fs::copy(home.path().join("v1c.safetensors"), home.path().join("copies/v1c.safetensors")).unwrap();
    assert_eq!(json(predict(&other, &["--checkpoint", "copies/v1c.safetensors"])), expected);
}

#[test]
fn a_name_is_shown_with_all_that_belongs_to_it() {
    let shown = json(run(["zoo", "show", "open-mmlab://detectron2/resnet50_caffe", "--json"]));
    assert_eq!((&shown["style"], &shown["colours"]), (&"caffe".into(), &"bgr".into()));
    assert_eq!((&shown["network"], &shown["dialect"]), (&"resnet50_caffe".into(), &"torchvision".into()));
    assert_eq!(shown["config"]["model"]["backbone"]["depth"], 50);
    let text = run(["zoo", "show", "torchvision://resnet50.default"]).done();
    assert!(text.contains("torchvision://resnet50.imagenet1k_v2") && text.contains("232"), "{text}");
    let error = run(["zoo", "networks", "darknet53"]).failed();
    assert!(error.contains("darknet53"), "{error}");
    let error = run(["zoo", "show", "darknet53"]).failed();
    assert!(error.contains("there is no network for it here"), "{error}");
    let error = run(["predict", "resnet50_v1", "a.png"]).failed();
    assert!(error.contains("there is no such file") && error.contains("resnet50_v1c"), "{error}");
}

/// Sizes and costs of all networks, which takes the better part of a minute.
#[test]
fn the_page_of_the_networks_is_in_step() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/networks.md");
    let written = fs::read_to_string(page).unwrap_or_default();
    let made = run(["zoo", "networks", "--markdown"]).done();
    assert!(written == made, "run `mmcv zoo networks --markdown > docs/networks.md`");
    let rows = made.lines().filter(|line| line.contains("://"));
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let &[_, _, _, _, all, of_kernels, published, ..] = cells.as_slice() else { panic!("{row}") };
        assert!(published == "-" || agrees(published, all) || agrees(published, of_kernels), "{row}");
    }
}

/// Whether a published number of multiply-adds, such as `4.09 G`, is one that was counted: up to one of its last digits, or 0.1 %.
fn agrees(published: &str, counted: &str) -> bool {
    let (number, unit) = published.split_once(' ').unwrap();
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let scale = if unit == "Gi" { f64::from(1 << 30) / 1e9 } else { 1.0 };
    let (number, counted): (f64, f64) = (number.parse().unwrap(), counted.trim_end_matches(" G").parse().unwrap());
    let error = (number - counted / scale).abs();
    error <= 0.1_f64.powi(decimals as i32) || error <= 0.001 * number
}
