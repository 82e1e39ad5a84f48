//! The published weights of MobileNetV2 give torchvision's numbers.
//!
//! The weights (14 MB) are not in the repository: `cargo xtask demo` or `cargo xtask test` puts them into the cache. The
//! expected logits were made by `tests/fixtures/mobilenet_v2_logits.py`.

use std::path::{Path, PathBuf};

use mmcv::checkpoint::load_file;
use mmcv::fuse::{FuseOptions, Precision, deviation, fuse, random_crops};
use mmcv::models::Recipe;
use mmcv::prelude::*;
use mmcv_tests::device;
use tch::{Device, Kind, Tensor};

/// The cached weights, or nothing where they are missing.
fn weights() -> Option<PathBuf> {
    let zoo = mmcv::zoo::Zoo::from_env().unwrap();
    let file = zoo.path("torchvision://mobilenet_v2").unwrap();
    if !file.is_file() {
        println!("did not run: {} is missing; `cargo xtask demo` fetches it", file.display());
        return None;
    }
    Some(file)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn logits_are_those_of_torchvision() {
    let Some(file) = weights() else { return };
    let device = device().unwrap();
    let config = Config::from_file(root().join("model_zoo/configs/mobilenet_v2.yaml")).unwrap();
    let recipe = Recipe::read(&config).unwrap();
    let network = recipe.build(&mmcv::MODELS).unwrap();
    let report = load_file(&*network, &file, &recipe.checkpoint.unwrap().options().unwrap()).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.loaded.len(), network.state_dict().len());

    network.to_device(device).unwrap();
    network.train(false);
    tch::manual_seed(0);
    let input = Tensor::randn([1, 3, 224, 224], (Kind::Float, Device::Cpu));
    let logits = tch::no_grad(|| network.forward(&input.to_device(device))).unwrap().to_device(Device::Cpu);
    let fixture = Tensor::read_safetensors(root().join("tests/fixtures/mobilenet_v2_logits.safetensors")).unwrap();
    let (_, expected) = &fixture[0];
    let difference = (logits - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-3, "largest difference {difference}");
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() {
    let Some(file) = weights() else { return };
    let module = build_model(&config! { type: "MobileNetV2", widen_factor: 0.5 }).unwrap();
    let before: Vec<_> = module.state_dict().into_iter().map(|(_, tensor)| tensor.copy()).collect();
    let error = load_file(&*module, &file, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("mobilenet_v2-b0353104.pth") && error.contains("mismatched"), "{error}");
    let after = module.state_dict();
    assert!(before.iter().zip(&after).all(|(before, (_, after))| before.equal(after)));
}

/// On 200 crops of the bundled photo; the difference is that of bfloat16's 8 bits through 53 layers.
#[test]
fn bfloat16_names_the_classes_of_float32() {
    let Some(file) = weights() else { return };
    let config = Config::from_file(root().join("model_zoo/configs/mobilenet_v2.yaml")).unwrap();
    let recipe = Recipe::read(&config).unwrap();
    let network = recipe.build(&mmcv::MODELS).unwrap();
    load_file(&*network, &file, &recipe.checkpoint.unwrap().options().unwrap()).unwrap();
    network.train(false);
    network.to_device(device().unwrap()).unwrap();
    let photo = tch::vision::image::load(root().join("tests/data/chelsea.png")).unwrap().to_kind(Kind::Float);
    let channels = |numbers: [f32; 3]| Tensor::from_slice(&numbers).reshape([1, 3, 1, 1]);
    let crops = random_crops(&photo, 200, 224, 0).unwrap();
    let crops = (crops - channels([123.675, 116.28, 103.53])) / channels([58.395, 57.12, 57.375]);
    let batches = crops.to_device(device().unwrap()).split(8, 0);
    let mut options = FuseOptions::default();
    let exact = fuse(&*network, &[8, 3, 224, 224], &options).unwrap();
    options.precision = Precision::Bf16;
    let quick = fuse(&*network, &[8, 3, 224, 224], &options).unwrap();
    let same = deviation(&*network, &exact, &batches[..2]).unwrap();
    assert!(same.agree == 16 && same.largest < 1e-3, "{same:?}");
    let found = deviation(&exact, &quick, &batches).unwrap();
    println!("{found:?}");
    assert!(found.images == 200 && found.agree >= 190 && found.mean < 0.1, "{found:?}");
}
