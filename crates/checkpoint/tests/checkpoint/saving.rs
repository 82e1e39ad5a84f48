//! What `save_checkpoint` writes is read back.

use mmcv_checkpoint::{CheckpointFile, ErrorKind, LoadOptions, SaveOptions, State, load_file, save_checkpoint};
use mmcv_layers::ModuleExt;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::setup::network;

#[test]
fn weights_meta_and_optimizer_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("epoch_3.pth");
    let saved = network();
    let momentum = Tensor::arange(54, (Kind::Float, Device::Cpu)).view([3, 2, 3, 3]);
    let state = State::mapping([("0.weight", State::mapping([("momentum_buffer", State::from(momentum.copy()))]))]);
    let groups = State::Json(json!([{"lr": 0.1, "params": ["0.weight"]}]));
    let options = SaveOptions {
        meta: json!({"epoch": 3, "iter": 120, "CLASSES": ["cat"]}).as_object().cloned().unwrap(),
        optimizer: Some(State::mapping([("state", state), ("param_groups", groups)])),
        entries: vec![("param_schedulers".to_owned(), json!([{"last_step": 3}]).into())],
    };
    save_checkpoint(&saved, &file, &options).unwrap();

    let module = network();
    assert!(load_file(&module, &file, &LoadOptions::default()).unwrap().is_complete());
    for ((name, left), (_, right)) in saved.state_dict().iter().zip(module.state_dict()) {
        assert!(left.equal(&right), "{name}");
    }
    let opened = CheckpointFile::open(&file).unwrap();
    let meta = opened.meta();
    assert_eq!(meta["meta"], json!({"epoch": 3, "iter": 120, "CLASSES": ["cat"]}));
    assert_eq!(meta["param_schedulers"], json!([{"last_step": 3}]));
    assert_eq!(meta["message_hub"]["log_scalars"], json!({}));
    let optimizer = opened.tensors_below(&["optimizer"], Device::Cpu).unwrap();
    assert_eq!(optimizer[0].0, "state.0.weight.momentum_buffer");
    assert!(optimizer[0].1.equal(&momentum));
    let names: Vec<_> = opened.state_dict(Device::Cpu).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, saved.state_dict().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    let versions = opened.raw().unwrap().metadata(&["state_dict"]).unwrap();
    assert_eq!((&versions[""]["version"], &versions["1"]["version"]), (&json!(1), &json!(2)));
}

#[test]
fn shared_memory_stays_shared_and_strides_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.pth");
    let tensor = Tensor::arange(6, (Kind::Int64, Device::Cpu)).view([2, 3]);
    let entries = [("a", tensor.shallow_clone()), ("b", tensor.shallow_clone()), ("turned", tensor.transpose(0, 1))];
    let state = State::mapping(entries.map(|(name, tensor)| (name, State::from(tensor))));
    let options = SaveOptions { entries: vec![("extra".to_owned(), state)], ..SaveOptions::default() };
    save_checkpoint(&network(), &file, &options).unwrap();
    let opened = CheckpointFile::open(&file).unwrap();
    let raws = opened.raw().unwrap().tensors_below(&["extra"]).unwrap();
    assert_eq!(raws[0].storage(), raws[1].storage());
    let found = opened.tensors_below(&["extra"], Device::Cpu).unwrap();
    assert!(found[2].1.equal(&tensor.transpose(0, 1)));
}

#[test]
fn what_cannot_be_saved_is_named_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.pth");
    let sparse = Tensor::eye(2, (Kind::Float, Device::Cpu)).to_sparse_sparse_dim(2);
    let state = State::mapping([("mask", State::from(sparse))]);
    let options = SaveOptions { entries: vec![("extra".to_owned(), state)], ..SaveOptions::default() };
    let error = save_checkpoint(&network(), &file, &options).unwrap_err();
    assert!(matches!(&*error.kind, ErrorKind::Tensor { name, .. } if name == "extra.mask"), "{error}");
    assert!(!file.exists());
    let error = save_checkpoint(&network(), folder.path().join("no/a.pth"), &SaveOptions::default()).unwrap_err();
    assert!(matches!(*error.kind, ErrorKind::File(_)), "{error}");
}
