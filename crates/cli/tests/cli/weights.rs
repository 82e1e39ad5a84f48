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
fn weights_of_other_types_give_the_same_scores_and_are_told() {
    let (folder, state) = folder();
    let said = predict(&folder, "my.yaml", &[]);
    assert_eq!(said.stderr, "", "nothing was changed that would have to be told");
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
            assert!(
                said.stderr.starts_with("weights: ") && said.stderr.contains(&format!("cast from {name} (")),
                "{}",
                said.stderr
            );
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
        let said = predict(&folder, "own.yaml", &["--cfg-options", option]);
        assert_eq!(said.stderr.contains("cast from float16 ("), option.contains("half"), "{option}: {}", said.stderr);
        assert!(is_near(&scores(said), &expected, tolerance), "{option}");
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
fn a_network_without_tensors_needs_no_weights() {
    let (folder, _) = folder();
    fs::write(folder.path().join("pool.yaml"), "model: {type: GlobalAveragePooling}\npreprocess: {crop_size: 32}\n")
        .unwrap();
    let said = run(&folder, &["features", "pool.yaml", "a.png", "--pooled", "--json"]).done();
    let results: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(results[0]["stages"][0]["values"].as_array().unwrap().len(), 3, "{said}");
}

#[test]
fn prefixes_and_entries_are_proposed_and_can_be_given() {
    let (folder, state) = folder();
    let expected = scores(predict(&folder, "my.yaml", &[]));
    let below = |prefix: &str| changed(&state, |name, tensor| Some((format!("{prefix}{name}"), tensor.copy())));
    save(&folder, "other", below("encoder.net."));
    let error = predict(&folder, "my.yaml", &["--checkpoint", "other.safetensors"]).failed();
    assert!(error.contains("with prefix `encoder.net.`"), "{error}");
    assert!(error.contains("`--prefix`, or `checkpoint.prefix` in the config"), "{error}");
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

#[test]
fn a_head_of_another_width_is_told_by_its_key() {
    let (folder, state) = folder();
    let wider = changed(&state, |name, tensor| {
        let tensor = if name == "head.fc.weight" {
            Tensor::zeros([4, 6], (Kind::Float, tch::Device::Cpu))
        } else {
            tensor.copy()
        };
        Some((name.to_owned(), tensor))
    });
    save(&folder, "other", wider);
    let given = ["--checkpoint", "other.safetensors", "--cfg-options", "model.head.in_channels=6"];
    let error = predict(&folder, "my.yaml", &given).failed();
    assert!(
        error.contains("model.head.in_channels: 6 does not fit") && error.contains("set in_channels to 8"),
        "{error}"
    );
    assert!(!error.contains("in_features"), "{error}");
}

#[test]
fn images_with_too_few_channels_for_the_backbone_are_told_by_its_key() {
    let (folder, state) = folder();
    let deeper = changed(&state, |name, tensor| {
        let tensor = if tensor.dim() == 4 && tensor.size()[1] == 3 {
            Tensor::cat(&[tensor, &tensor.slice(1, 0, 1, 1)], 1)
        } else {
            tensor.copy()
        };
        Some((name.to_owned(), tensor))
    });
    save(&folder, "other", deeper);
    for command in ["predict", "features"] {
        let given = [command, "my.yaml", "a.png", "--checkpoint", "other.safetensors"];
        let option = ["--cfg-options", "model.backbone.in_channels=4"];
        let error = run(&folder, &[&given[..], &option].concat()).failed();
        assert!(
            error.contains("model.backbone.in_channels: 4 does not fit") && error.contains("set in_channels to 3"),
            "{command}: {error}"
        );
    }
}

/// Each limit is what one of the checks finds too small: a parameter, an input, a layer.
#[test]
fn what_takes_more_memory_than_there_is_is_refused_before_it_is_taken() {
    let (folder, _) = folder();
    let limited = |bytes: &str, arguments: &[&str]| {
        let mut command = mmcv(folder.path(), arguments);
        Said::by(command.current_dir(folder.path()).env("MMCV_OFFLINE", "1").env("MMCV_MAX_MEMORY", bytes))
    };
    let large = ["--cfg-options", "preprocess.resize_edge=128", "preprocess.crop_size=128"];
    let given = |command| [&[command, "my.yaml", "a.png", "--json"], &large[..]].concat();
    for command in ["predict", "features"] {
        limited("100000000", &given(command)).done();
        let error = limited("200000", &given(command)).failed();
        assert!(error.contains("running the network on an input of shape [1, 3, 128, 128] would take"), "{error}");
        let error = limited("100000", &given(command)).failed();
        assert!(
            error.contains("an input of shape [1, 3, 128, 128] would take 0.2 MB, and 0.1 MB are available"),
            "{error}"
        );
        let error = limited("500", &given(command)).failed();
        assert!(error.contains("a parameter of shape") && error.contains("MMCV_MAX_MEMORY"), "{error}");
    }
    let error = run(&folder, &["build", "my.yaml", "--input", "1x3x1000000x1000000"]).failed();
    assert!(error.contains("an input of shape [1, 3, 1000000, 1000000] would take 12000.0 GB"), "{error}");
    let error = run(&folder, &["bench", "my.yaml", "--size", "1000000", "--runs", "1"]).failed();
    assert!(error.contains("would take 12000.0 GB"), "{error}");
    for channels in ["1000000000", "1000000000000"] {
        fs::write(
            folder.path().join("wide.yaml"),
            format!("{{type: Conv2d, in_channels: 1000, out_channels: {channels}, kernel_size: 9}}"),
        )
        .unwrap();
        let error = run(&folder, &["build", "wide.yaml"]).failed();
        assert!(error.contains("a parameter of shape [1000000000"), "{error}");
    }
}

/// Each is a network, the shape of an input, and what the error has to say and must not say.
#[test]
fn advice_names_the_key_that_the_config_has_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let head = |channels: i64| {
        format!(
            "{{model: {{type: ImageClassifier, backbone: {{type: MobileNetV2, widen_factor: 0.1}}, \
             neck: {{type: GlobalAveragePooling}}, \
             head: {{type: LinearClsHead, num_classes: 4, in_channels: {channels}}}}}}}"
        )
    };
    let resnet = "{type: ResNet, depth: 18, base_channels: 4, stem_channels: 4}";
    let cases: [(String, &str, &[&str], &[&str]); 6] = [
        (head(640), "1x3x32x32", &["model.head.in_channels: 640 does not fit", "set in_channels to 1280, or "], &["in_features"]),
        // The input of this network cannot be chosen.
        (head(1280), "1x4x32x32", &["in_channels is 3", "has 4 channels; have the previous layer output 3"], &["set "]),
        (resnet.to_owned(), "1x4x32x32", &["in_channels: 3 does not fit", "set in_channels to 4, or "], &[]),
        (resnet.to_owned(), "1x3x32x32x32", &["conv_cfg.type: Conv2d does not fit", "4D input"], &[]),
        (
            "[{type: ConvModule, in_channels: 3, out_channels: 4, kernel_size: 3}, {type: Linear, in_features: 5, out_features: 2}]".to_owned(),
            "1x3x8x8",
            &["[1].in_features: 5 does not fit", "set in_features to 6, or "],
            &[],
        ),
        (
            "[{type: ConvModule, in_channels: 3, out_channels: 4, kernel_size: 5, norm_cfg: {type: BN}}]".to_owned(),
            "1x3x4x4",
            &["[0].kernel_size: [5, 5] does not fit", "a smaller kernel"],
            &[],
        ),
    ];
    for (text, input, said, unsaid) in cases {
        fs::write(folder.path().join("network.yaml"), &text).unwrap();
        let error = run(&folder, &["build", "network.yaml", "--input", input]).failed();
        assert!(said.iter().all(|part| error.contains(part)), "{text}: {said:?} in {error}");
        assert!(!unsaid.iter().any(|part| error.contains(part)), "{text}: {unsaid:?} in {error}");
    }
}
