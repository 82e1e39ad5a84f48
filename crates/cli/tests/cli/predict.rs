//! `mmcv predict`: mistakes, and the published weights where they are in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Said, mmcv};

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model_zoo/configs/mobilenet_v2.yaml")
}

/// A folder with the picture `a.png`, 300 x 260.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(300, 260, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    picture.save(folder.path().join("a.png")).unwrap();
    folder
}

/// Runs `mmcv predict CONFIG` in `folder`, offline.
fn predict(folder: &Path, home: &Path, config: &Path, arguments: &[&str]) -> Said {
    let mut command = mmcv(home, ["predict".as_ref(), config]);
    Said::by(command.args(arguments).current_dir(folder).env("MMCV_OFFLINE", "1"))
}

#[test]
fn mistakes_in_a_config_are_told_with_their_key_path() {
    let folder = folder();
    for (backbone, key_path) in [
        ("{type: MobileNetV2, widem_factor: 1.0}", "model.backbone.widem_factor"),
        ("{type: MobileNetV3x}", "model.backbone.type"),
        ("{type: MobileNetV2, widen_factor: wide}", "model.backbone.widen_factor"),
    ] {
        let text = format!("model:\n  type: ImageClassifier\n  backbone: {backbone}\n");
        fs::write(folder.path().join("my.yaml"), text).unwrap();
        let error = predict(folder.path(), folder.path(), Path::new("my.yaml"), &["a.png"]).failed();
        assert!(error.contains("my.yaml") && error.contains(key_path), "{error}");
    }
    for options in ["model.backbone.depth=3", "preprocess.crop=3", "extra=1"] {
        let error = predict(folder.path(), folder.path(), &config(), &["a.png", "--cfg-options", options]).failed();
        assert!(error.contains(options.split('=').next().unwrap()), "{error}");
    }
}

#[test]
fn files_that_are_no_configs_are_named() {
    let folder = folder();
    fs::write(folder.path().join("broken.yaml"), "a: [1\nb: }{").unwrap();
    for (config, words) in [("broken.yaml", "YAML"), ("missing.yaml", "No such file"), ("a.png", "UTF-8")] {
        let error = predict(folder.path(), folder.path(), Path::new(config), &["a.png"]).failed();
        assert!(error.contains(config) && error.contains(words), "{error}");
    }
}

#[test]
fn weights_that_are_missing_or_wrong_are_named() {
    let folder = folder();
    fs::write(folder.path().join("text.pth"), "no weights").unwrap();
    for source in ["text.pth", "missing.pth", "torchvision://no_such_model", "torchvision://mobilenet_v2"] {
        let error = predict(folder.path(), folder.path(), &config(), &["a.png", "--checkpoint", source]).failed();
        assert!(error.contains(source), "{error}");
    }
    let source = "http://user:secret@127.0.0.1:1/model-012345.pth";
    let error = predict(folder.path(), folder.path(), &config(), &["a.png", "--checkpoint", source]).failed();
    assert!(error.contains("model-012345.pth") && !error.contains("secret"), "{error}");
}

#[test]
fn pictures_are_not_written_over_each_other() {
    let folder = folder();
    let arguments = ["a.png", "b/a.jpg", "--out", "results"];
    let error = predict(folder.path(), folder.path(), &config(), &arguments).failed();
    assert!(error.contains("results/a.png"), "{error}");
}

/// The user's cache folder, or nothing where it lacks the weights of [`config`].
fn cache() -> Option<PathBuf> {
    let zoo = mmcv_zoo::Zoo::from_env().unwrap();
    let file = zoo.path("torchvision://mobilenet_v2").unwrap();
    if !file.is_file() {
        println!("did not run: {} is missing; `cargo xtask demo` fetches it", file.display());
        return None;
    }
    Some(zoo.home().to_owned())
}

#[test]
fn predictions_are_ordered_scores() {
    let Some(cache) = cache() else { return };
    let folder = folder();
    let arguments = ["a.png", "--json", "--topk", "2000", "--out", "new/result.png"];
    let text = predict(folder.path(), &cache, &config(), &arguments).done();
    let results: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(results[0]["image"], "a.png");
    let predictions = results[0]["predictions"].as_array().unwrap();
    let scores: Vec<f64> = predictions.iter().map(|entry| entry["score"].as_f64().unwrap()).collect();
    assert_eq!(scores.len(), 1000);
    assert!(scores.is_sorted_by(|left, right| left >= right));
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-3);
    assert!(image::open(folder.path().join("new/result.png")).unwrap().height() > 0);
}

#[test]
fn pictures_that_cannot_be_used_are_named() {
    let Some(cache) = cache() else { return };
    let folder = folder();
    fs::write(folder.path().join("empty.png"), "").unwrap();
    fs::write(folder.path().join("text.png"), "text").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    RgbImage::new(1, 60_000).save(folder.path().join("thin.png")).unwrap();
    for picture in ["empty.png", "text.png", "folder", "missing.png", "thin.png"] {
        let error = predict(folder.path(), &cache, &config(), &[picture]).failed();
        assert!(error.starts_with(&format!("error: {picture}")), "{error}");
    }
}

#[test]
fn preparations_without_a_result_are_refused() {
    let Some(cache) = cache() else { return };
    let folder = folder();
    for (options, key) in [
        ("preprocess.std=[1,0,1]", "std"),
        ("preprocess.crop_size=0", "crop_size"),
        ("preprocess.resize_edge=1000000", "resize_edge"),
    ] {
        let error = predict(folder.path(), &cache, &config(), &["a.png", "--cfg-options", options]).failed();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn weights_of_other_shapes_are_refused() {
    let Some(cache) = cache() else { return };
    let folder = folder();
    let arguments = ["a.png", "--cfg-options", "model.head.num_classes=10"];
    let error = predict(folder.path(), &cache, &config(), &arguments).failed();
    assert!(error.contains("head.fc.weight") && error.contains("1000"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_picture_whose_name_is_no_text_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let Some(cache) = cache() else { return };
    let folder = folder();
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"b\xff.png"));
    fs::rename(folder.path().join("a.png"), &odd).unwrap();
    let mut command = mmcv(&cache, ["predict".as_ref(), config().as_os_str(), odd.as_os_str(), "--json".as_ref()]);
    let text = Said::by(command.env("MMCV_OFFLINE", "1")).done();
    assert!(text.contains("b\u{fffd}.png"), "{text}");
}

#[test]
fn a_fused_network_gives_the_same_classes() {
    let Some(cache) = cache() else { return };
    let folder = folder();
    let classes = |option: &str| -> Vec<(u64, f64)> {
        let text = predict(folder.path(), &cache, &config(), &["a.png", "--json", option]).done();
        let results: Value = serde_json::from_str(&text).unwrap();
        let predictions = results[0]["predictions"].as_array().unwrap().clone();
        predictions.iter().map(|entry| (entry["index"].as_u64().unwrap(), entry["score"].as_f64().unwrap())).collect()
    };
    let (eager, fused) = (classes("--fuse=never"), classes("--fuse"));
    for (one, other) in eager.iter().zip(&fused) {
        assert!(one.0 == other.0 && (one.1 - other.1).abs() < 1e-4, "{eager:?}, {fused:?}");
    }
    assert_eq!(eager.len(), 5);
}

/// So many that the network is fused, and all cores classify images.
#[test]
fn many_images_are_classified_in_order() {
    let Some(cache) = cache() else { return };
    let folder = tempfile::tempdir().unwrap();
    for index in 0..24_u32 {
        let image = RgbImage::from_fn(230 + index, 240, |x, y| {
            Rgb([(x * index) as u8, (y * (24 - index)) as u8, (x * y / (index + 1)) as u8])
        });
        image.save(folder.path().join(format!("{index:02}.png"))).unwrap();
    }
    let best = |options: &[&str]| -> Vec<(String, f64)> {
        let arguments = [&[".", "--json"], options].concat();
        let text = predict(folder.path(), &cache, &config(), &arguments).done();
        let results: Value = serde_json::from_str(&text).unwrap();
        let results = results.as_array().unwrap().iter();
        results
            .map(|result| {
                (result["image"].as_str().unwrap().to_owned(), result["predictions"][0]["score"].as_f64().unwrap())
            })
            .collect()
    };
    let expected = best(&["--fuse=never"]);
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, (0..24).map(|index| format!("./{index:02}.png")).collect::<Vec<_>>());
    for options in [&[][..], &["--batch-size", "3"], &["--fuse=never", "--batch-size", "1"]] {
        let found = best(options);
        assert_eq!(found.len(), 24);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-4, "{found:?}, {expected:?}");
        }
    }
    fs::write(folder.path().join("20.png"), "text").unwrap();
    let Said { code, stdout, stderr } = predict(folder.path(), &cache, &config(), &["."]);
    assert!(stderr.contains("20.png") && stderr.contains("1 of 24 images could not be read"), "{stderr}");
    assert!(code == 1 && stdout.contains("./19.png") && stdout.contains("./21.png"), "{stdout}");
}
