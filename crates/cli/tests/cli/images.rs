//! `mmcv predict` and `features` with images as they come: turned, damaged, huge, and no images; and names of classes.

use std::fs;
use std::path::Path;
use std::process::Command;

use mmcv::checkpoint::{SaveOptions, save_checkpoint};
use mmcv::models::Recipe;
use mmcv::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Said, mmcv};

const CONFIG: &str = "
model:
  type: ImageClassifier
  backbone: {type: MobileNetV2, widen_factor: 0.1}
  neck: {type: GlobalAveragePooling}
  head: {type: LinearClsHead, num_classes: 4, in_channels: 1280}
preprocess: {resize_edge: 32, crop_size: 32}
checkpoint: {source: weights.pth}
";

/// A folder with a network of four classes, `my.yaml`, whose weights have `meta` beside them.
fn folder(meta: Value) -> TempDir {
    // Some random networks of this size give one result for every image.
    tch::manual_seed(7);
    let folder = tempfile::tempdir().unwrap();
    let network = Recipe::read(&Config::from_yaml(CONFIG).unwrap()).unwrap().build(&MODELS).unwrap();
    let options = SaveOptions { meta: meta.as_object().cloned().unwrap_or_default(), ..SaveOptions::default() };
    save_checkpoint(&*network, folder.path().join("weights.pth"), &options).unwrap();
    fs::write(folder.path().join("my.yaml"), CONFIG).unwrap();
    folder
}

fn images() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images"))
}

fn predict(folder: &TempDir, arguments: &[&str]) -> Said {
    Said::by(mmcv(folder.path(), ["predict", "my.yaml"]).args(arguments).current_dir(folder.path()))
}

/// The scores of an image by their classes.
fn scores(folder: &TempDir, image: &Path, options: &[&str]) -> Vec<f64> {
    let said = predict(folder, &[&[image.to_str().unwrap(), "--json"], options].concat()).done();
    let results: Value = serde_json::from_str(&said).unwrap();
    let mut pairs: Vec<(u64, f64)> = Vec::new();
    for prediction in results[0]["predictions"].as_array().unwrap() {
        pairs.push((prediction["index"].as_u64().unwrap(), prediction["score"].as_f64().unwrap()));
    }
    pairs.sort_by_key(|(index, _)| *index);
    pairs.into_iter().map(|(_, score)| score).collect()
}

#[test]
fn images_are_turned_unless_the_config_says_otherwise() {
    let folder = folder(json!({}));
    let upright = scores(&folder, &images().join("upright.png"), &[]);
    for name in ["6.png", "5_behind.png", "8.webp"] {
        let image = images().join("exif").join(name);
        assert_eq!(scores(&folder, &image, &[]), upright, "{name}");
        let ignored = scores(&folder, &image, &["--cfg-options", "preprocess.exif=ignore"]);
        assert_ne!(ignored, upright, "{name}");
    }
    let error = predict(&folder, &["a.png", "--cfg-options", "preprocess.exif=turn"]).failed();
    assert!(error.contains("preprocess.exif") && error.contains("ignore"), "{error}");
}

#[test]
fn damaged_images_are_named_and_not_classified() {
    let folder = folder(json!({}));
    let whole = fs::read(images().join("whole/progressive.jpg")).unwrap();
    fs::write(folder.path().join("cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    for command in ["predict", "features"] {
        let mut said = mmcv(folder.path(), [command, "my.yaml", "cut.jpg"]);
        let error = Said::by(said.current_dir(folder.path())).failed();
        assert!(error.starts_with("error: cut.jpg") && error.contains("the file is truncated"), "{error}");
    }
    fs::write(folder.path().join("whole.jpg"), &whole).unwrap();
    let said = predict(&folder, &["cut.jpg", "whole.jpg"]);
    assert!(said.code == 1 && said.stdout.contains("whole.jpg") && !said.stdout.contains("cut.jpg"), "{said:?}");
}

#[test]
fn what_is_too_large_or_no_file_is_refused() {
    let folder = folder(json!({}));
    let upright = images().join("upright.png");
    let error = predict(&folder, &[upright.to_str().unwrap(), "--max-pixels", "383"]).failed();
    assert!(
        error.contains("24 x 16 = 384 pixels") && error.contains("383") && error.contains("--max-pixels"),
        "{error}"
    );
    scores(&folder, &upright, &["--max-pixels", "384"]);
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe.jpg")).status().unwrap().success());
    for name in ["pipe.jpg", "/dev/zero", "/dev/stdin"] {
        let error = predict(&folder, &[name]).failed();
        assert!(error.starts_with(&format!("error: {name}")) && error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn names_of_classes_are_as_many_as_scores() {
    let folder = folder(json!({}));
    let image = images().join("upright.png");
    let image = image.to_str().unwrap();
    assert!(predict(&folder, &[image]).done().contains("class 3"));
    for (classes, count) in [("imagenet", "1000"), ("[a, b, c]", "3"), ("[a, b, c, d, e]", "5"), ("[]", "0")] {
        fs::write(folder.path().join("my.yaml"), format!("{CONFIG}classes: {classes}\n")).unwrap();
        let error = predict(&folder, &[image]).failed();
        for words in ["classes", &format!("{count} names"), "4 scores"] {
            assert!(error.contains(words), "{error}");
        }
    }
    fs::write(folder.path().join("my.yaml"), format!("{CONFIG}classes: [a, b, c, stork]\n")).unwrap();
    assert!(predict(&folder, &[image]).done().contains("stork"));
}

#[test]
fn names_of_classes_come_from_the_checkpoint_where_the_config_has_none() {
    let names = json!(["ant", "bee", "cat", "dog"]);
    let image = images().join("upright.png");
    let image = image.to_str().unwrap();
    for meta in [json!({"dataset_meta": {"classes": names}}), json!({"CLASSES": names})] {
        let folder = folder(meta);
        let said = predict(&folder, &[image]).done();
        assert!(["ant", "bee", "cat", "dog"].iter().all(|name| said.contains(name)), "{said}");
        fs::write(folder.path().join("my.yaml"), format!("{CONFIG}classes: [a, b, c, stork]\n")).unwrap();
        let said = predict(&folder, &[image]).done();
        assert!(said.contains("stork") && !said.contains("ant"), "{said}");
    }
    let folder = folder(json!({"CLASSES": ["ant", "bee"]}));
    let error = predict(&folder, &[image]).failed();
    assert!(error.contains("of the checkpoint") && error.contains("2 names") && error.contains("4 scores"), "{error}");
}

#[test]
fn names_do_not_steer_the_terminal() {
    let folder = folder(json!({"CLASSES": ["\u{1b}[31mant", "bee\u{9b}2J", "c\nat", "gpj.\u{202e}dog"]}));
    let name = "\u{1b}[2Ja\u{7f}.png";
    fs::copy(images().join("upright.png"), folder.path().join(name)).unwrap();
    fs::write(folder.path().join("\u{1b}[2Jb.png"), "no image").unwrap();
    fs::write(folder.path().join("open_mmlab.json"), "{\"\\u001b[31mx\": \"\\u009b2J.pth\"}").unwrap();
    let odd = |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    let features = Said::by(mmcv(folder.path(), ["features", "my.yaml", name]).current_dir(folder.path()));
    for said in [
        predict(&folder, &[name]),
        predict(&folder, &[name, "--json"]),
        predict(&folder, &[name, "\u{1b}[2Jb.png", "\u{1b}[2Jc.png"]),
        predict(&folder, &["\u{1b}[2Jb.png"]),
        predict(&folder, &[name, "--device", "\u{1b}[2J"]),
        predict(&folder, &[name, "--out", "\u{1b}[2J.png"]),
        features,
        Said::by(&mut mmcv(folder.path(), ["zoo", "list"])),
        Said::by(&mut mmcv(folder.path(), ["zoo", "list", "--json"])),
        Said::by(&mut mmcv(folder.path(), ["zoo", "fetch", "\u{1b}[31mx"])),
        Said::by(&mut mmcv(folder.path(), ["zoo", "fetch", "https://h/\u{9b}2J"])),
        Said::by(&mut mmcv(folder.path(), ["ckpt", "inspect", "\u{1b}[2J.pth"])),
        Said::by(&mut mmcv(folder.path(), ["build", "\u{1b}[2J.yaml"])),
    ] {
        assert!(!odd(&said.stdout) && !odd(&said.stderr), "{said:?}");
    }
    let said = predict(&folder, &[name]).done();
    for words in ["\\u001b[2Ja\\u007f.png", "\\u001b[31mant", "bee\\u009b2J", "c\\nat", "gpj.\\u202edog"] {
        assert!(said.contains(words), "{said}");
    }
    // JSON stays JSON, with the names as they are.
    let told: Value = serde_json::from_str(&predict(&folder, &[name, "--json"]).done()).unwrap();
    assert_eq!(told[0]["image"], name);
}
