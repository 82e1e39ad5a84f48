//! Where the state dict is in a file, and that its bits are loaded unchanged.

use mmcv_checkpoint::{CheckpointFile, ErrorKind, LoadOptions, load_file};
use mmcv_layers::ModuleExt;
use mmcv_pth::{Dtype, PthItem, TensorData, write_pth, write_safetensors};
use tch::{Device, Kind};

use crate::setup::{LOADED, entries, network, sum, write};

#[test]
fn the_usual_entries_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for (prefix, wrapper) in [
        ("", None),
        ("", Some("state_dict")),
        ("", Some("model")),
        ("", Some("ema")),
        ("module.", None),
        ("module.", Some("ema")),
        ("", Some("module")),
    ] {
        let module = network();
        let file = write(folder.path(), &entries(prefix), wrapper);
        let report = load_file(&module, &file, &LoadOptions::default()).unwrap();
        assert_eq!((report.loaded.len(), sum(&module)), (7, LOADED), "{prefix} {wrapper:?}");
    }
}

#[test]
fn another_entry_can_be_requested() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &entries(""), Some("ema_state_dict"));
    let entry = |name: &str| LoadOptions { entry: Some(name.to_owned()), ..LoadOptions::default() };
    load_file(&network(), &file, &entry("ema_state_dict")).unwrap();
    let error = load_file(&network(), &file, &entry("state_dict")).unwrap_err();
    assert!(
        error.to_string().contains("no tensors below `state_dict`; there are some below `ema_state_dict`"),
        "{error}"
    );
    // Without, it is suggested.
    let error = load_file(&network(), &file, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("with entry `ema_state_dict` 7 would"), "{error}");
}

#[test]
fn a_converted_file_keeps_its_entry_as_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let (flat, module) = (entries("state_dict."), network());
    let tensors: Vec<_> = flat.iter().map(|entry| (entry.name.clone(), entry.data())).collect();
    write_safetensors(&file, &tensors, &[]).unwrap();
    load_file(&module, &file, &LoadOptions::default()).unwrap();
    assert_eq!(sum(&module), LOADED);
    // Any other one has to be asked for: a part of the network may have that name.
    let (file, module) = (write(folder.path(), &entries("ema."), None), network());
    assert!(load_file(&module, &file, &LoadOptions::default()).is_err());
    load_file(&module, &file, &LoadOptions { entry: Some("ema".to_owned()), ..LoadOptions::default() }).unwrap();
    assert_eq!(sum(&module), LOADED);
}

#[test]
fn several_files_with_an_index_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let all = entries("state_dict.");
    let (first, second) = all.split_at(3);
    write(folder.path(), first, None);
    let tensors: Vec<_> = second.iter().map(|entry| (entry.name.clone(), entry.data())).collect();
    write_safetensors(folder.path().join("rest.safetensors"), &tensors, &[]).unwrap();
    let is_first = |name: &str| first.iter().any(|entry| entry.name == name);
    let place = |name: &str| if is_first(name) { "weights.pth" } else { "rest.safetensors" };
    let map: serde_json::Map<_, _> = all.iter().map(|entry| (entry.name.clone(), place(&entry.name).into())).collect();
    let index = folder.path().join("weights.index.json");
    std::fs::write(&index, serde_json::json!({"weight_map": map}).to_string()).unwrap();
    let module = network();
    let report = load_file(&module, &index, &LoadOptions::default()).unwrap();
    assert_eq!((report.loaded.len(), sum(&module)), (7, LOADED));
}

#[test]
fn every_bit_arrives() {
    // Signalling and quiet NaNs, infinities, subnormals, minus zero.
    let patterns: [u32; 8] =
        [0x7f80_0001, 0xffc0_1234, 0x7f80_0000, 0xff80_0000, 0x0000_0001, 0x8000_0000, 0x3f80_0000, 0xdead_beef];
    let bytes: Vec<u8> = patterns.iter().flat_map(|pattern| pattern.to_le_bytes()).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bits.pth");
    let whole = TensorData::new(Dtype::Float32, &[2, 4], &bytes).unwrap();
    let turned = TensorData::view(Dtype::Float32, &[4, 2], &[1, 4], 0, &bytes).unwrap();
    let empty = TensorData::new(Dtype::Bfloat16, &[0, 3], &[]).unwrap();
    write_pth(
        &file,
        &PthItem::mapping([("whole", whole.into()), ("turned", turned.into()), ("empty", PthItem::from(empty))]),
    )
    .unwrap();

    let found = CheckpointFile::open(&file).unwrap().state_dict(Device::Cpu).unwrap();
    let bits = |index: usize| {
        let tensor = &found[index].1;
        let mut bytes = vec![0; tensor.numel() * 4];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel()).unwrap();
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["whole", "turned", "empty"]);
    assert_eq!(bits(0), patterns);
    assert_eq!(bits(1), [0, 4, 1, 5, 2, 6, 3, 7].map(|index| patterns[index]));
    assert_eq!((found[2].1.kind(), found[2].1.size()), (Kind::BFloat16, vec![0, 3]));
}

#[test]
fn damage_is_found_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &entries(""), Some("state_dict"));
    let mut bytes = std::fs::read(&file).unwrap();
    // A byte of the last tensor's elements.
    let element = 7i64.to_le_bytes();
    let at = bytes.windows(8).rposition(|window| window == element).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let module = network();
    let before: Vec<_> = module.state_dict().iter().map(|(_, tensor)| tensor.copy()).collect();
    let error = load_file(&module, &file, &LoadOptions::default()).unwrap_err();
    assert!(matches!(*error.kind, ErrorKind::File(_)), "{error}");
    assert!(module.state_dict().iter().zip(&before).all(|((_, now), then)| now.equal(then)));
}

#[test]
fn names_of_classes_are_found_where_training_programs_put_them() {
    let folder = tempfile::tempdir().unwrap();
    let names = serde_json::json!(["cat", "dog"]);
    for (meta, expected) in [
        (serde_json::json!({"dataset_meta": {"classes": names, "palette": [[0, 1, 2]]}}), true),
        (serde_json::json!({"dataset_meta": {"CLASSES": names}}), true),
        (serde_json::json!({"CLASSES": names, "epoch": 3}), true),
        (serde_json::json!({"dataset_meta": {}, "CLASSES": names}), true),
        (serde_json::json!({"dataset_meta": {"classes": null}}), false),
        (serde_json::json!({"CLASSES": "balloon"}), false),
        (serde_json::json!({"CLASSES": [1, 2]}), false),
        (serde_json::json!({"CLASSES": []}), false),
        (serde_json::json!("none"), false),
    ] {
        let file = folder.path().join("meta.pth");
        let state = entries("");
        let tensors = PthItem::mapping(state.iter().map(|entry| (entry.name.clone(), PthItem::from(entry.data()))));
        write_pth(&file, &PthItem::mapping([("meta", PthItem::Json(meta.clone())), ("state_dict", tensors)])).unwrap();
        let expected = expected.then(|| vec!["cat".to_owned(), "dog".to_owned()]);
        assert_eq!(CheckpointFile::open(&file).unwrap().classes(), expected, "{meta}");
        assert_eq!(load_file(&network(), &file, &LoadOptions::default()).unwrap().classes, expected, "{meta}");
    }
    // A tensor beside the names, as a palette may be one.
    let file = folder.path().join("palette.pth");
    let colors = [0; 3];
    let palette = PthItem::from(TensorData::new(Dtype::Uint8, &[3], &colors).unwrap());
    let dataset = PthItem::mapping([("classes", PthItem::Json(names)), ("palette", palette)]);
    write_pth(&file, &PthItem::mapping([("meta", PthItem::mapping([("dataset_meta", dataset)]))])).unwrap();
    assert_eq!(CheckpointFile::open(&file).unwrap().classes().map(|names| names.len()), Some(2));
}

#[test]
fn a_file_that_shrinks_while_it_is_loaded_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let entries = entries("");
    let tensors: Vec<_> = entries.iter().map(|entry| (entry.name.clone(), entry.data())).collect();
    write_safetensors(&file, &tensors, &[]).unwrap();
    let opened = CheckpointFile::open(&file).unwrap();
    // Safetensors have no checksums, so that only reading finds it.
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::File::options().write(true).open(&file).unwrap().set_len(length - 100).unwrap();
    let error = opened.load_into(&network(), &LoadOptions::default()).unwrap_err();
    assert!(matches!(*error.kind, ErrorKind::PartlyWritten(_)), "{error}");
    assert!(std::error::Error::source(&error).is_some() && error.to_string().contains("incomplete"), "{error}");
}
