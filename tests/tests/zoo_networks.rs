//! The networks of the zoo's names: the table, the config files made from it, and the page of their sizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mmcv::checkpoint::CheckpointLoader;
use mmcv::models::{Recipe, ZooEntry, zoo_entries, zoo_entry};
use mmcv::prelude::*;
use mmcv::registry::FromConfig;
use mmcv::zoo::Zoo;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn entries() -> Vec<ZooEntry> {
    let entries = zoo_entries().unwrap();
    assert!(entries.len() > 90);
    entries
}

/// What looks like one of the families, and is of another.
const OTHERS: [&str; 5] = ["resnest", "se-resnet", "regnet_y", "mmedit", "repvgg"];

#[test]
fn every_name_of_the_families_has_a_network() {
    let families = ["vgg", "alexnet", "resnet", "resnext", "res2net", "regnet", "mobilenet_v2", "hrnet"];
    let mut checked = 0;
    for (table, scheme) in [("open_mmlab", "open-mmlab"), ("mmcls", "mmcls"), ("torchvision", "torchvision")] {
        let text = std::fs::read_to_string(root().join(format!("model_zoo/{table}.json"))).unwrap();
        let names: BTreeMap<String, Option<String>> = serde_json::from_str(&text).unwrap();
        for name in names.keys().filter(|name| families.iter().any(|family| name.contains(family))) {
            let entry = zoo_entry(&format!("{scheme}://{name}"));
            if OTHERS.iter().any(|other| name.contains(other)) {
                let error = entry.unwrap_err().to_string();
                assert!(error.contains("there is no network for it here"), "{error}");
            } else {
                entry.unwrap_or_else(|error| panic!("{error}"));
                checked += 1;
            }
        }
    }
    assert!(checked > 130, "{checked}");
}

#[test]
fn names_of_one_file_have_one_entry() {
    for (name, expected) in [
        ("torchvision://resnet50.default", "torchvision://resnet50.imagenet1k_v2"),
        ("torchvision://ResNet50_Weights.IMAGENET1K_V1", "torchvision://resnet50"),
        ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "torchvision://resnet50"),
        ("open-mmlab://resnet50_caffe", "open-mmlab://detectron/resnet50_caffe"),
        ("openmmlab://resnet50_v1c", "open-mmlab://resnet50_v1c"),
        ("resnet50_v1c", "open-mmlab://resnet50_v1c"),
    ] {
        assert_eq!(zoo_entry(name).unwrap().name, expected, "{name}");
    }
}

/// Facts that nobody sees in the shapes: they are those of mmdetection's configs and of torchvision's documentation.
#[test]
fn pictures_are_prepared_as_the_weights_want_them() {
    let imagenet = vec![123.675, 116.28, 103.53];
    let swapped = vec![103.53, 116.28, 123.675];
    for (name, style, order, mean, std, edge) in [
        ("open-mmlab://detectron2/resnet50_caffe", Some("caffe"), "bgr", &swapped, vec![1.0; 3], 256),
        (
            "open-mmlab://detectron2/resnext101_32x8d",
            Some("pytorch"),
            "bgr",
            &swapped,
            vec![57.375, 57.12, 58.395],
            256,
        ),
        ("open-mmlab://regnetx_3.2gf", Some("pytorch"), "bgr", &swapped, vec![57.375, 57.12, 58.395], 256),
        ("open-mmlab://vgg16_caffe", None, "rgb", &imagenet, vec![1.0; 3], 256),
        ("open-mmlab://jhu/resnet50_gn_ws", Some("pytorch"), "rgb", &imagenet, vec![58.395, 57.12, 57.375], 256),
        ("torchvision://resnet50.default", Some("pytorch"), "rgb", &imagenet, vec![58.395, 57.12, 57.375], 232),
    ] {
        let entry = zoo_entry(name).unwrap();
        let recipe = Recipe::read(&entry.config).unwrap();
        assert_eq!(entry.style().as_deref(), style, "{name}");
        assert_eq!(recipe.preprocess.channel_order.to_config(), order.into(), "{name}");
        assert_eq!((&recipe.preprocess.mean, &recipe.preprocess.std), (mean, &std), "{name}");
        assert_eq!(recipe.preprocess.resize_edge, Some(edge), "{name}");
    }
}

#[test]
fn other_channel_orders_and_styles_are_reported() {
    let entry = zoo_entry("open-mmlab://detectron2/resnet50_caffe").unwrap();
    entry.check(&Recipe::read(&entry.config).unwrap()).unwrap();
    for (option, key) in [
        ("preprocess.channel_order=rgb", "preprocess.channel_order"),
        ("preprocess.std=[58.395,57.12,57.375]", "preprocess.std"),
        ("model.backbone.style=pytorch", "model.backbone.style"),
    ] {
        let mut config = entry.config.clone();
        config.set_option(option).unwrap();
        let error = entry.check(&Recipe::read(&config).unwrap()).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

/// A file as they are published for detectors: the names of the backbone alone, a bias that no ResNet has, and no classifier.
#[test]
fn a_name_is_built_and_loaded() {
    let entry = zoo_entry("open-mmlab://detectron2/resnet50_caffe").unwrap();
    let network = build_model(entry.config.get("model").unwrap()).unwrap();
    let names = |lacking: &str| {
        let state = network.state_dict().into_iter();
        let own = state.filter_map(|(name, tensor)| Some((name.strip_prefix("backbone.")?.to_owned(), tensor)));
        let mut own: Vec<_> = own.filter(|(name, _)| name != lacking).collect();
        own.push(("conv1.bias".to_owned(), tch::Tensor::ones([64], (tch::Kind::Float, tch::Device::Cpu))));
        own
    };
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("open_mmlab.json"), r#"{"detectron2/resnet50_caffe": "a.safetensors"}"#).unwrap();
    let loader = CheckpointLoader::new().with_zoo(Zoo::new(home.path()).unwrap());
    let file = home.path().join("a.safetensors");

    tch::Tensor::write_safetensors(&names(""), &file).unwrap();
    let loaded = entry.load(&loader).unwrap();
    assert_eq!(loaded.report.missing, ["head.fc.weight", "head.fc.bias"]);
    assert_eq!(loaded.report.unexpected.len(), 1, "{}", loaded.report);
    let own = loaded.network.state_dict().into_iter().zip(network.state_dict());
    for ((name, found), (_, expected)) in own.filter(|((name, _), _)| name.starts_with("backbone.")) {
        assert!(found.equal(&expected), "{name}");
    }

    tch::Tensor::write_safetensors(&names("layer3.1.conv2.weight"), &file).unwrap();
    let error = entry.load(&loader).unwrap_err().to_string();
    assert!(error.contains("backbone.layer3.1.conv2.weight"), "{error}");
}

/// The files are the table's, and each network has as many parameters as mmpretrain's and as were published.
#[test]
fn config_files_build_and_have_the_published_number_of_parameters() {
    let counts: BTreeMap<String, u64> =
        serde_json::from_str(include_str!("../fixtures/networks/parameters.json")).unwrap();
    let mut networks: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries() {
        let file = root().join("model_zoo/configs").join(entry.config_file());
        let config = Config::from_file(&file).unwrap();
        assert_eq!(config, entry.config, "{}: run `mmcv zoo configs model_zoo/configs`", file.display());
        // Several names have the same network.
        let parameters = *networks.entry(entry.network.clone()).or_insert_with(|| {
            let network =
                build_model(entry.config.get("model").unwrap()).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            network.named_parameters().iter().map(|(_, parameter)| parameter.numel() as u64).sum()
        });
        assert_eq!(Some(&parameters), counts.get(&entry.config_file()), "{}", entry.name);
        if let Some(published) = &entry.published {
            assert!(agrees(parameters, &published.parameters), "{}: {parameters}, {published:?}", entry.network);
        }
    }
}

/// Whether a number is a published one: `25,557,032`, or rounded: `25.56 M`.
fn agrees(number: u64, published: &str) -> bool {
    match published.strip_suffix(" M") {
        None => published.replace(',', "").parse() == Ok(number),
        Some(millions) => {
            let decimals = millions.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            format!("{:.decimals$}", number as f64 / 1e6) == millions
        }
    }
}
