//! Where in a file the state dict is found.

use mmcv_pth::{
    Checkpoint, CompareOptions, Dtype, ErrorKind, PthItem, TensorData, TensorGroup, compare, write_pth,
    write_safetensors,
};
use serde_json::json;
use tempfile::TempDir;

const BYTES: [u8; 4] = [1, 2, 3, 4];

fn tensor() -> TensorData<'static> {
    TensorData::new(Dtype::Float32, &[1], &BYTES).unwrap()
}

/// `{"conv.weight": tensor, "conv.bias": tensor}`.
fn state() -> PthItem<'static> {
    PthItem::mapping([("conv.weight", tensor().into()), ("conv.bias", tensor().into())])
}

fn open(folder: &TempDir, root: &PthItem<'_>) -> Checkpoint {
    let file = folder.path().join("a.pth");
    write_pth(&file, root).unwrap();
    Checkpoint::open(file).unwrap()
}

fn keys(found: &mmcv_pth::StateDict<'_>) -> Vec<String> {
    found.tensors.iter().map(|raw| raw.key().to_owned()).collect()
}

fn entries(places: &[TensorGroup]) -> Vec<(&str, usize)> {
    places.iter().map(|place| (place.entry.as_str(), place.tensors)).collect()
}

#[test]
fn the_usual_entries_are_found_as_before() {
    let folder = tempfile::tempdir().unwrap();
    for (root, entry) in [
        (state(), ""),
        (PthItem::mapping([("state_dict", state()), ("ema", state())]), "state_dict"),
        (PthItem::mapping([("epoch", json!(1).into()), ("model", state())]), "model"),
        (PthItem::mapping([("ema", state())]), "ema"),
        (PthItem::mapping([("blobs", state())]), "blobs"),
    ] {
        let file = open(&folder, &root);
        let found = file.find(None).unwrap();
        assert_eq!(
            (found.entry.as_str(), keys(&found)),
            (entry, vec!["conv.weight".to_owned(), "conv.bias".to_owned()])
        );
        assert!(found.nested.is_empty());
    }
    // A tensor that is called like one.
    let file = open(&folder, &PthItem::mapping([("model", tensor().into()), ("head", tensor().into())]));
    assert_eq!(keys(&file.find(None).unwrap()), ["model", "head"]);
}

#[test]
fn a_state_dict_further_down_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nested = |outer: &str, inner: PthItem<'static>| PthItem::mapping([(outer.to_owned(), inner)]);
    let optimizer = nested("state", nested("0", nested("step", tensor().into())));
    for (root, entry, deeper) in [
        (nested("net", state()), "", vec![("net", 2)]),
        (nested("params", state()), "", vec![("params", 2)]),
        (nested("model_state_dict", state()), "", vec![("model_state_dict", 2)]),
        (nested("state_dict", nested("model", state())), "state_dict", vec![("state_dict.model", 2)]),
        (nested("nets", nested("teacher", state())), "", vec![("nets.teacher", 2)]),
        (
            PthItem::mapping([("optimizer", optimizer), ("net", state())]),
            "",
            vec![("net", 2), ("optimizer.state.0", 1)],
        ),
    ] {
        let file = open(&folder, &root);
        let found = file.find(None).unwrap();
        assert_eq!((found.entry.as_str(), entries(&found.nested)), (entry, deeper.clone()));
        let place = deeper[0].0;
        let found = file.find(Some(place)).unwrap();
        assert_eq!((keys(&found), found.nested.len()), (vec!["conv.weight".to_owned(), "conv.bias".to_owned()], 0));
        let error = file.find(Some("teacher")).unwrap_err();
        assert!(error.to_string().contains(&format!("`{place}` (2 tensors)")), "{error}");
    }
}

#[test]
fn files_without_tensors_say_so() {
    let folder = tempfile::tempdir().unwrap();
    for root in [PthItem::mapping([("epoch", json!(1).into())]), json!([1]).into(), PthItem::mapping::<&str>([])] {
        for entry in [None, Some("state_dict")] {
            let error = open(&folder, &root).find(entry).unwrap_err();
            assert!(matches!(*error.kind, ErrorKind::NoTensors), "{error}");
        }
    }
}

#[test]
fn an_entry_is_a_dotted_path_in_any_format() {
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("a.safetensors");
    let names = ["ema.net.weight", "ema.net.bias", "ema.head", "other"];
    write_safetensors(&flat, &names.map(|name| (name.to_owned(), tensor())), &[]).unwrap();
    let file = Checkpoint::open(&flat).unwrap();
    assert_eq!(keys(&file.find(Some("ema.net")).unwrap()), ["weight", "bias"]);
    let error = file.find(Some("net")).unwrap_err().to_string();
    assert!(error.contains("`ema` (3 tensors)"), "{error}");
    // Keys with dots, lists, and a path that could be meant in two ways.
    let list = PthItem::List(vec![state(), state()]);
    let file = open(&folder, &PthItem::mapping([("a.b", PthItem::mapping([("c", list)])), ("a", json!(1).into())]));
    assert_eq!(keys(&file.find(Some("a.b.c.1")).unwrap()), ["conv.weight", "conv.bias"]);
    let options = CompareOptions { entry: Some("nothing"), ..CompareOptions::default() };
    let error = compare(&file, &Checkpoint::open(&flat).unwrap(), &options).unwrap_err();
    assert!(matches!(*error.kind, ErrorKind::NoEntry { .. }), "{error}");
}
