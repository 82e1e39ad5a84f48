//! What `predict` and `features` make of weights that fit, fit in part, or fit in another way.

use std::fs;

use image::{Rgb, RgbImage};
use mmcv::models::Recipe;
use mmcv::prelude::*;
use serde_json::Value;
use tch::{Kind, Tensor};
use tempfile::TempDir;

use crate::{Said, mmcv};

const MODEL: &str = "
  type: ImageClassifier
  backbone: {type: ResNet, depth: 18, base_channels: 4, stem_channels: 4, num_stages: 2, strides: [1, 2], dilations: [1, 1], out_indices: [1]}
  neck: {type: GlobalAveragePooling}
  head: {type: LinearClsHead, num_classes: 4, in_channels: 8}
";

/// The state of a network under the names of the file, which may be changed.
type State = Vec<(String, Tensor)>;

/// A folder with a picture and the weights `plain.safetensors`; `my.yaml` takes its weights from the arguments.
fn folder() -> (TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "my.yaml", "checkpoint: {source: plain.safetensors, strict: false}");
    let config = Config::from_yaml(&fs::read_to_string(folder.path().join("my.yaml")).unwrap()).unwrap();
    tch::manual_seed(7);
    let state = Recipe::read(&config).unwrap().build(&MODELS).unwrap().state_dict();
    // Far from each other, so that rounding changes no order.
    for (name, tensor) in &state {
        if name == "head.fc.bias" {
            tch::no_grad(|| tensor.shallow_clone().copy_(&Tensor::from_slice(&[3f32, -1.0, 1.0, 0.0])));
        }
    }
    save(&folder, "plain", state.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect());
    let picture = RgbImage::from_fn(40, 36, |x, y| Rgb([(x * 6) as u8, (y * 7) as u8, 90]));
    picture.save(folder.path().join("a.png")).unwrap();
    (folder, state)
}

fn write(folder: &TempDir, name: &str, rest: &str) {
    let text = format!("model:{MODEL}preprocess: {{resize_edge: 32, crop_size: 32}}\n{rest}\n");
    fs::write(folder.path().join(name), text).unwrap();
}

fn save(folder: &TempDir, name: &str, state: State) {
    Tensor::write_safetensors(&state, folder.path().join(format!("{name}.safetensors"))).unwrap();
}

fn changed(state: &State, change: impl Fn(&str, &Tensor) -> Option<(String, Tensor)>) -> State {
    tch::no_grad(|| state.iter().filter_map(|(name, tensor)| change(name, tensor)).collect())
}

fn run(folder: &TempDir, arguments: &[&str]) -> Said {
    Said::by(mmcv(folder.path(), arguments).current_dir(folder.path()).env("MMCV_OFFLINE", "1"))
}

fn predict(folder: &TempDir, config: &str, more: &[&str]) -> Said {
    run(folder, &[&["predict", config, "a.png", "--json"], more].concat())
}

/// The scores by class.
fn scores(said: Said) -> Vec<f64> {
    let results: Value = serde_json::from_str(&said.done()).unwrap();
    let mut scores = vec![0.0; 4];
    for prediction in results[0]["predictions"].as_array().unwrap() {
        scores[prediction["index"].as_u64().unwrap() as usize] = prediction["score"].as_f64().unwrap();
    }
    scores
}

fn is_near(left: &[f64], right: &[f64], tolerance: f64) -> bool {
    left.iter().zip(right).all(|(left, right)| (left - right).abs() <= tolerance)
}

#[test]
fn weights_of_other_types_give_the_same_scores_and_the_report_is_shown() {
    let (folder, state) = folder();
    let said = predict(&folder, "my.yaml", &[]);
    assert!(said.stderr.contains("weights: ") && said.stderr.contains(" loaded"), "{}", said.stderr);
    let expected = scores(said);
    for (kind, name, tolerance) in
        [(Kind::Half, "float16", 1e-3), (Kind::BFloat16, "bfloat16", 2e-2), (Kind::Double, "float64", 0.0)]
    {
        let cast = changed(&state, |name, tensor| {
            let kind = if tensor.is_floating_point() { kind } else { tensor.kind() };
            Some((name.to_owned(), tensor.to_kind(kind)))
        });
        save(&folder, "other", cast);
        for strict in ["checkpoint.strict=true", "checkpoint.strict=false"] {
            let given = ["--checkpoint", "other.safetensors", "--cfg-options", strict];
            let said = predict(&folder, "my.yaml", &given);
            assert!(said.stderr.contains(&format!("cast from {name} (")), "{}", said.stderr);
            assert!(is_near(&scores(said), &expected, tolerance), "{name}");
            let error = predict(&folder, "my.yaml", &[&given[..], &["--dtype", "exact"]].concat()).failed();
            assert!(error.contains(name) && error.contains("nothing was loaded"), "{error}");
        }
        let error = predict(
            &folder,
            "my.yaml",
            &["--checkpoint", "other.safetensors", "--cfg-options", "checkpoint.dtype=exact"],
        );
        assert!(error.failed().contains("none of which is a parameter"));
    }
}

#[test]
fn what_leaves_a_parameter_random_is_refused() {
    let (folder, state) = folder();
    let kept = |name: &str, tensor: &Tensor| Some((name.to_owned(), tensor.copy()));
    let wider = |name: &str, tensor: &Tensor| {
        let mut shape = tensor.size();
        if let Some(first) = shape.first_mut() {
            *first += 3;
        }
        Some((name.to_owned(), Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu))))
    };
    let cases: [(&str, State, bool); 6] = [
        (
            "head.fc.weight",
            changed(
                &state,
                |name, tensor| if name.starts_with("head") { wider(name, tensor) } else { kept(name, tensor) },
            ),
            true,
        ),
        (
            "head.fc.bias",
            changed(&state, |name, tensor| if name == "head.fc.bias" { None } else { kept(name, tensor) }),
            true,
        ),
        (
            "backbone.conv1.weight",
            changed(
                &state,
                |name, tensor| if name == "backbone.conv1.weight" { wider(name, tensor) } else { kept(name, tensor) },
            ),
            false,
        ),
        (
            "backbone.layer2.1.bn2.bias",
            changed(&state, |name, tensor| if name.ends_with("2.1.bn2.bias") { None } else { kept(name, tensor) }),
            false,
        ),
        (
            "backbone.bn1.running_var",
            changed(&state, |name, tensor| if name == "backbone.bn1.running_var" { None } else { kept(name, tensor) }),
            false,
        ),
        (
            "backbone.layer1.0.conv1.weight",
            changed(
                &state,
                |name, tensor| if name.contains("layer1") { wider(name, tensor) } else { kept(name, tensor) },
            ),
            false,
        ),
    ];
    for (name, state, fits_backbone) in cases {
        save(&folder, "other", state);
        let error = predict(&folder, "my.yaml", &["--checkpoint", "other.safetensors"]).failed();
        assert!(error.contains(name) && error.contains("random"), "{error}");
        let features = run(&folder, &["features", "my.yaml", "a.png", "--checkpoint", "other.safetensors", "--json"]);
        assert_eq!(features.code, i32::from(!fits_backbone), "{name}: {}", features.stderr);
    }
    // Counters alone matter to nothing.
    let counters = changed(&state, |name, tensor| match name.ends_with("num_batches_tracked") {
        true => Some((name.to_owned(), tensor.to_kind(Kind::Float) + 0.5)),
        false => kept(name, tensor),
    });
    save(&folder, "other", counters);
    assert!(is_near(
        &scores(predict(&folder, "my.yaml", &["--checkpoint", "other.safetensors"])),
        &scores(predict(&folder, "my.yaml", &[])),
        0.0
    ));
}

#[test]
fn weights_may_come_from_rules_of_pretrained() {
    let (folder, state) = folder();
    let expected = scores(predict(&folder, "my.yaml", &[]));
    let half = changed(&state, |name, tensor| {
        let kind = if tensor.is_floating_point() { Kind::Half } else { tensor.kind() };
        Some((name.to_owned(), tensor.to_kind(kind)))
    });
    save(&folder, "half", half);
    for (option, tolerance) in [
        ("model.pretrained=plain.safetensors", 0.0),
        ("model.pretrained=half.safetensors", 1e-3),
        ("model.init_cfg={type: Pretrained, checkpoint: plain.safetensors}", 0.0),
    ] {
        write(&folder, "own.yaml", "");
        let found = scores(predict(&folder, "own.yaml", &["--cfg-options", option]));
        assert!(is_near(&found, &expected, tolerance), "{option}");
    }
    // The backbone alone leaves the head as it was drawn, where no other weights have it.
    let backbone = "model.backbone.init_cfg={type: Pretrained, checkpoint: plain.safetensors, prefix: backbone}";
    let error = predict(&folder, "own.yaml", &["--cfg-options", backbone]).failed();
    assert!(error.contains("2 tensors of the network, such as head.fc.bias") && error.contains("random"), "{error}");
    let head =
        changed(&state, |name, tensor| Some((name.to_owned(), tensor.copy())).filter(|_| name.starts_with("head")));
    save(&folder, "head", head);
    let found = scores(predict(&folder, "my.yaml", &["--checkpoint", "head.safetensors", "--cfg-options", backbone]));
    assert!(is_near(&found, &expected, 0.0));
    let error = predict(&folder, "own.yaml", &[]).failed();
    assert!(error.contains("there are no weights"), "{error}");
}

#[test]
fn prefixes_and_entries_are_proposed_and_can_be_given() {
    let (folder, state) = folder();
    let expected = scores(predict(&folder, "my.yaml", &[]));
    let below = |prefix: &str| changed(&state, |name, tensor| Some((format!("{prefix}{name}"), tensor.copy())));
    save(&folder, "other", below("encoder.net."));
    let error = predict(&folder, "my.yaml", &["--checkpoint", "other.safetensors"]).failed();
    assert!(error.contains("with prefix `encoder.net.` (--prefix, checkpoint.prefix)"), "{error}");
    for options in [
        ["--prefix", "encoder.net"],
        ["--entry", "encoder.net"],
        ["--cfg-options", "checkpoint.prefix=encoder.net"],
        ["--cfg-options", "checkpoint.entry=encoder.net"],
    ] {
        let given = [&["--checkpoint", "other.safetensors"], &options[..]].concat();
        assert_eq!(scores(predict(&folder, "my.yaml", &given)), expected, "{options:?}");
    }
    save(&folder, "other", below("_orig_mod."));
    let said = predict(&folder, "my.yaml", &["--checkpoint", "other.safetensors"]);
    assert!(said.stderr.contains("prefix `_orig_mod.` taken off"), "{}", said.stderr);
    assert_eq!(scores(said), expected);
}
