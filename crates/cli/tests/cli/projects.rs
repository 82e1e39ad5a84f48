//! Whole configs of OpenMMLab's projects, in every command: see `tests/fixtures/projects/generate.py`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Said, mmcv};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn fixture(name: &str) -> PathBuf {
    tests().join("fixtures/projects").join(name)
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// A project config of the fixtures, after `change`, in a folder of its own.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let mut config = read(&fixture(name));
    change(&mut config);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, config.to_string()).unwrap();
    (folder, file)
}

/// Runs a sub-command offline.
fn run(command: &str, config: &Path, arguments: &[&str]) -> Said {
    let home = tempfile::tempdir().unwrap();
    let mut command = mmcv(home.path(), [command.as_ref(), config]);
    Said::by(command.args(arguments).env("MMCV_OFFLINE", "1"))
}

fn image() -> String {
    tests().join("data/chelsea.png").to_str().unwrap().to_owned()
}

const NAMES: [&str; 3] = ["resnet50_8xb32_in1k", "mobilenet-v2_8xb32_in1k", "regnetx-400mf_8xb128_in1k"];

/// The scores of the classes in order, and their names.
fn scores(config: &Path, arguments: &[&str]) -> Vec<(f64, String)> {
    let image = image();
    let arguments = [&[image.as_str(), "--topk", "10", "--json"], arguments].concat();
    let results: Value = serde_json::from_str(&run("predict", config, &arguments).done()).unwrap();
    let mut predictions = results[0]["predictions"].as_array().unwrap().clone();
    predictions.sort_by_key(|prediction| prediction["index"].as_u64());
    let class = |prediction: &Value| prediction["class"].as_str().unwrap().to_owned();
    predictions.iter().map(|prediction| (prediction["score"].as_f64().unwrap(), class(prediction))).collect()
}

#[test]
fn predictions_are_those_of_mmpretrain() {
    let expected = read(&fixture("scores.json"));
    for name in NAMES {
        let checkpoint = fixture(&format!("{name}.pth"));
        let config = fixture(&format!("{name}.json"));
        let found = scores(&config, &["--checkpoint", checkpoint.to_str().unwrap()]);
        assert_eq!(found.len(), 10);
        let mut largest: f64 = 0.0;
        for (index, (score, class)) in found.iter().enumerate() {
            assert_eq!(*class, expected[name]["classes"][index], "{name}");
            largest = largest.max((score - expected[name]["scores"][index].as_f64().unwrap()).abs());
        }
        println!("{name}: largest difference of scores {largest:e}");
        assert!(largest < 1e-3, "{name}: {largest}");
    }
}

#[test]
fn load_from_is_the_checkpoint_and_options_change_the_project() {
    let checkpoint = fixture(&format!("{}.pth", NAMES[1]));
    let (_folder, config) = changed(&format!("{}.json", NAMES[1]), |config| {
        config["load_from"] = json!(checkpoint.to_str().unwrap());
        config["data_preprocessor"].as_object_mut().unwrap().remove("num_classes");
    });
    let plain = scores(&config, &[]);
    let options = ["--cfg-options", "test_dataloader.dataset.pipeline.1.backend=cv2"];
    let other = scores(&config, &options);
    assert!(plain != other, "the resized image differs");
    assert!(plain.iter().zip(&other).all(|(one, other)| one.1 == other.1));
    let error = run("predict", &config, &[&image(), "--cfg-options", "preproces.exif=ignore"]).failed();
    assert!(error.contains("preproces: unknown key, did you mean \"preprocess\"?"), "{error}");
}

#[test]
fn every_command_takes_a_whole_project() {
    let config = fixture(&format!("{}.json", NAMES[0]));
    let checkpoint = fixture(&format!("{}.pth", NAMES[0]));
    let checkpoint = checkpoint.to_str().unwrap();
    let built = run("build", &config, &[]).done();
    assert!(built.starts_with("ImageClassifier("), "{built}");
    let rows: Value = serde_json::from_str(&run("summary", &config, &["--json"]).done()).unwrap();
    assert_eq!(rows[0]["outputs"], json!([[1, 10]]), "an image of 224 x 224 pixels");
    let features = run("features", &config, &[&image(), "--checkpoint", checkpoint, "--out-indices", "0,2", "--json"]);
    let features: Value = serde_json::from_str(&features.done()).unwrap();
    assert_eq!(features[0]["stages"][1]["shape"], json!([64, 14, 14]));
    let arguments = ["--checkpoint", checkpoint, "--mode", "eager", "--batch-size", "1", "--runs", "1", "--json"];
    assert!(run("bench", &config, &arguments).done().contains("224"));
}

#[test]
fn mistakes_are_named_with_their_key_path() {
    let name = format!("{}.json", NAMES[0]);
    let pipeline = "test_dataloader.dataset.pipeline";
    for (keys, value, message) in [
        ("model.backbone.dept", json!(18), "model.backbone.dept: unknown key, did you mean \"depth\"?"),
        ("model.nek", json!({}), "model.nek: unknown key, did you mean \"neck\"?"),
        ("data_preprocessor.to_rbg", json!(true), "data_preprocessor.to_rbg: unknown key, did you mean \"to_rgb\"?"),
        ("data_preprocessor.type", json!("X"), "data_preprocessor.type: expected one of ClsDataPreprocessor"),
        ("load_from", json!(""), "load_from: expected the path, URL"),
    ] {
        let (_folder, config) = changed(&name, |config| {
            let mut value_at = config;
            for key in keys.split('.') {
                value_at = &mut value_at[key];
            }
            *value_at = value;
        });
        let error = run("predict", &config, &[&image()]).failed();
        assert!(error.contains(message), "{error}");
    }
    for (index, step, message) in [
        (1, json!({"type": "TopdownAffine"}), "[1].type: expected a transform that is known here"),
        (
            1,
            json!({"type": "ResizeEdge", "scale": 256, "backend": "tf"}),
            "[1].backend: expected \"cv2\" or \"pillow\"",
        ),
        (
            1,
            json!({"type": "Resize", "scale": 5, "interpolation": "box"}),
            "[1].interpolation: expected one of nearest",
        ),
        (0, json!({"type": "LoadImageFromFile", "to_float32": true}), "[0].to_float32: expected false"),
        (
            0,
            json!({"type": "Normalize", "mean": [1, 2, 3], "std": [1, 2, 3]}),
            "[1].type: expected it before Normalize",
        ),
    ] {
        let (_folder, config) = changed(&name, |config| config["test_dataloader"]["dataset"]["pipeline"][index] = step);
        let error = run("predict", &config, &[&image()]).failed();
        assert!(error.contains(&format!("{pipeline}{message}")), "{error}");
    }
}

#[test]
fn keys_of_a_recipe_win_and_its_misspelt_keys_are_errors() {
    let checkpoint = fixture(&format!("{}.pth", NAMES[0]));
    let checkpoint = checkpoint.to_str().unwrap();
    let (_folder, config) = changed(&format!("{}.json", NAMES[0]), |config| {
        config["preprocess"] = json!({"pipeline": [{"type": "Resize", "scale": 32}]});
        config["classes"] = json!(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        config["my_variable"] = json!(1);
    });
    assert_eq!(scores(&config, &["--checkpoint", checkpoint])[3].1, "3");

    // Without a key of a project, the file is a recipe.
    for command in ["build", "predict"] {
        let (_folder, config) = changed(&format!("{}.json", NAMES[0]), |config| {
            *config = json!({"model": config["model"], "preproces": {}});
        });
        let image = image();
        let arguments: &[&str] = if command == "build" { &[] } else { &[&image] };
        let error = run(command, &config, arguments).failed();
        assert!(error.contains("preproces: unknown key, did you mean \"preprocess\"?"), "{error}");
    }
}

#[test]
fn a_pipeline_of_mmcls_0_is_read() {
    let checkpoint = fixture(&format!("{}.pth", NAMES[0]));
    let checkpoint = checkpoint.to_str().unwrap();
    let (_folder, config) = changed(&format!("{}.json", NAMES[0]), |config| {
        *config = json!({
            "model": config["model"],
            "data": {"test": {"type": "ImageNet", "pipeline": [
                {"type": "LoadImageFromFile"},
                {"type": "Resize", "size": [256, -1]},
                {"type": "CenterCrop", "crop_size": 224},
                {"type": "Normalize", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "to_rgb": true},
                {"type": "ImageToTensor", "keys": ["img"]},
                {"type": "Collect", "keys": ["img"]},
            ]}},
        });
    });
    let new = scores(&fixture(&format!("{}.json", NAMES[0])), &["--checkpoint", checkpoint]);
    let old = scores(&config, &["--checkpoint", checkpoint]);
    assert_eq!(new, old);
}

/// The config of a detector, as mmdetection's, with a narrow backbone.
fn detector() -> Value {
    let stages = json!({
        "type": "ResNet", "depth": 18, "base_channels": 4, "stem_channels": 4, "norm_eval": true, "style": "pytorch",
        "frozen_stages": 1, "num_stages": 4, "out_indices": [0, 1, 2, 3],
    });
    json!({
        "default_scope": "mmdet",
        "model": {
            "type": "FasterRCNN",
            "data_preprocessor": {
                "type": "DetDataPreprocessor", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
                "bgr_to_rgb": true, "pad_mask": true, "pad_size_divisor": 32,
            },
            "backbone": stages,
            "neck": {"type": "NoSuchNeck", "in_channels": [4, 8, 16, 32]},
            "rpn_head": {"type": "RPNHead"},
            "roi_head": {"type": "StandardRoIHead"},
            "test_cfg": {"rpn": {}},
        },
        "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": [
            {"type": "LoadImageFromFile", "backend_args": null},
            {"type": "Resize", "scale": [133, 80], "keep_ratio": true},
            {"type": "LoadAnnotations", "with_bbox": true},
            {"type": "PackDetInputs", "meta_keys": ["img_id"]},
        ]}},
    })
}

#[test]
fn the_backbone_of_a_detector_computes_features() {
    let (folder, config) = changed("scores.json", |config| *config = detector());
    let built = run("build", &config, &[]);
    assert!(built.stderr.contains("left out: neck, rpn_head, roi_head"), "{built:?}");
    let backbone = json!({"model": {"type": "ImageClassifier", "backbone": detector()["model"]["backbone"]}});
    fs::write(folder.path().join("whole.json"), backbone.to_string()).unwrap();

    // A checkpoint of the whole detector has more than the backbone.
    let mut tensors = Vec::new();
    let network =
        mmcv::build_model(&mmcv::registry::Config::from_json(&backbone["model"].to_string()).unwrap()).unwrap();
    for (name, tensor) in mmcv::layers::ModuleExt::state_dict(&*network) {
        tensors.push((name, tensor));
    }
    tensors.push(("rpn_head.conv.weight".to_owned(), tch::Tensor::from_slice(&[1.0_f32])));
    let checkpoint = folder.path().join("detector.safetensors");
    tch::Tensor::write_safetensors(&tensors, &checkpoint).unwrap();
    let checkpoint = checkpoint.to_str().unwrap();
    let features = run("features", &config, &[&image(), "--checkpoint", checkpoint, "--out-indices", "1,3", "--json"]);
    let features: Value = serde_json::from_str(&features.done()).unwrap();
    // The image is resized to 80 x 120 pixels, and padded to 96 x 128.
    assert_eq!(features[0]["stages"][0]["shape"], json!([8, 12, 16]));
    assert_eq!(features[0]["stages"][1]["shape"], json!([32, 3, 4]));
    let error = run("predict", &config, &[&image(), "--checkpoint", checkpoint]).failed();
    assert!(error.contains("mmcv features"), "{error}");

    // A neck that is known computes the features: here the mean of each stage.
    let (_folder, config) = changed("scores.json", |config| {
        *config = detector();
        config["model"]["neck"] = json!({"type": "GlobalAveragePooling"});
    });
    let image = image();
    let arguments = [image.as_str(), "--checkpoint", checkpoint, "--json"];
    let features: Value = serde_json::from_str(&run("features", &config, &arguments).done()).unwrap();
    let shapes: Vec<&Value> = features[0]["stages"].as_array().unwrap().iter().map(|stage| &stage["shape"]).collect();
    assert_eq!(shapes, [&json!([4]), &json!([8]), &json!([16]), &json!([32])]);
    let features = run("features", &config, &[&arguments[..], &["--out-indices", "0,3"]].concat());
    let features: Value = serde_json::from_str(&features.done()).unwrap();
    let last = &features[0]["stages"][1];
    assert_eq!((&last["name"], &last["shape"]), (&json!("stage3"), &json!([32])));
    let error = run("features", &config, &[&arguments[..], &["--out-indices", "4"]].concat()).failed();
    assert!(error.contains("the neck has 4 outputs"), "{error}");
    // Without a checkpoint of the whole model, the neck has no weights.
    let stderr = run("features", &config, &[&image]).failed();
    assert!(stderr.contains("model.neck is left out"), "{stderr}");
}

#[test]
fn errors_name_the_line_of_a_python_config() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.py");
    fs::write(&base, "model = dict(\n    type='ResNet',\n    depth=50,\n    stem_chanels=3)\n").unwrap();
    let config = folder.path().join("config.py");
    fs::write(&config, "_base_ = 'base.py'\nmodel = dict(\n    depth=17)\n").unwrap();
    let error = run("build", &config, &[]).failed();
    let base = base.canonicalize().unwrap();
    assert!(error.contains(&format!("model.stem_chanels is set in {}:4", base.display())), "{error}");
    fs::write(&config, "_base_ = 'base.py'\nmodel = dict(\n    depth=17, stem_chanels=dict(_delete_=True))\n").unwrap();
    let error = run("build", &config, &["--cfg-options", "model.norm_cfg.type=nothing"]).failed();
    assert!(error.contains("config.py:3"), "{error}");
}

#[test]
fn without_init_no_checkpoint_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.py");
    let init = "init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')";
    fs::write(&config, format!("model = dict(type='ResNet', depth=50, {init})\n")).unwrap();
    let error = run("build", &config, &[]).failed();
    assert!(error.contains("torchvision://resnet50"), "{error}");
    let text = run("build", &config, &["--no-init", "--input", "1x3x64x64"]).done();
    assert!(text.contains("ResNet("), "{text}");
}
