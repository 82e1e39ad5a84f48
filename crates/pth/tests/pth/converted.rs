//! Files in other formats: nothing is lost without a word.

use std::fs;
use std::path::{Path, PathBuf};

use mmcv_pth::{
    Checkpoint, ConversionReport, ConvertOptions, Dtype, Error, ErrorKind, FileCheckpoint, Format, OutputFormat,
    PthItem, TensorData, convert, write_pth,
};
use serde_json::json;

use crate::forge::{self, Entry};

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn convert_with(
    from: &Path,
    to: &Path,
    target: OutputFormat,
    options: &ConvertOptions<'_>,
) -> Result<ConversionReport, Error> {
    convert(&Checkpoint::open(from).unwrap(), to, target, options)
}

fn keys(file: &Path) -> Vec<String> {
    FileCheckpoint::open(file).unwrap().tensors().map(|raw| raw.key().to_owned()).collect()
}

/// A training checkpoint: a state dict whose tensors share a storage, an optimizer, meta.
fn training(folder: &Path) -> PathBuf {
    let file = folder.join("training.pth");
    let weight = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let view = |shape: &[u64], strides: &[u64], offset| {
        PthItem::from(TensorData::view(Dtype::Float32, shape, strides, offset, &weight).unwrap())
    };
    let state = PthItem::Mapping {
        entries: vec![
            ("z.weight".to_owned(), view(&[3, 2], &[1, 3], 0)),
            ("a.tied".to_owned(), view(&[2, 3], &[3, 1], 0)),
            ("a.last".to_owned(), view(&[1], &[1], 5)),
        ],
        metadata: Some(json!({"": {"version": 1}})),
    };
    let groups = json!([{"lr": 0.1, "params": [0, 1]}]);
    let optimizer = PthItem::mapping([
        ("state", PthItem::mapping([("0", PthItem::mapping([("step", json!(3).into()), ("m", view(&[2], &[1], 0))]))])),
        ("param_groups", PthItem::from(groups)),
    ]);
    let root = PthItem::mapping([
        ("meta", PthItem::from(json!({"epoch": 12, "names": ["é"]}))),
        ("state_dict", state),
        ("optimizer", optimizer),
    ]);
    write_pth(&file, &root).unwrap();
    file
}

#[test]
fn a_pth_file_keeps_its_form() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (training(folder.path()), folder.path().join("again.pth"));
    let converted = convert_with(&from, &to, OutputFormat::Pth, &ConvertOptions::default()).unwrap();
    assert_eq!(converted, ConversionReport { tensors: 4, ..ConversionReport::default() });
    let (old, new) = (FileCheckpoint::open(&from).unwrap(), FileCheckpoint::open(&to).unwrap());
    let facts = |file: &FileCheckpoint| {
        let tensors = file.tensors().map(|raw| {
            let place = (raw.storage(), raw.storage_offset(), raw.strides().to_vec());
            (raw.key().to_owned(), raw.shape().to_vec(), place, raw.bytes().unwrap())
        });
        (tensors.collect::<Vec<_>>(), file.meta(), file.metadata(&["state_dict"]))
    };
    assert_eq!(facts(&old), facts(&new));
    assert_eq!(new.metadata(&["state_dict"]), Some(json!({"": {"version": 1}})));
    // What has no tensors within what has some is there, too: nothing of the pickle was lost on the way.
    let third = folder.path().join("third.pth");
    convert_with(&to, &third, OutputFormat::Pth, &ConvertOptions::default()).unwrap();
    assert_eq!(fs::read(&to).unwrap(), fs::read(third).unwrap());
    let pickle = fs::read(&to).unwrap();
    assert!(pickle.windows(12).any(|window| window == b"param_groups"));
}

#[test]
fn safetensors_hold_everything_under_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (training(folder.path()), folder.path().join("all.safetensors"));
    let converted = convert_with(&from, &to, OutputFormat::Safetensors, &ConvertOptions::default()).unwrap();
    // The tied one, the last one, and the optimizer's all lie in one storage.
    assert_eq!(converted, ConversionReport { tensors: 4, unshared: 3, ..ConversionReport::default() });
    assert_eq!(keys(&to), ["state_dict.z.weight", "state_dict.a.tied", "state_dict.a.last", "optimizer.state.0.m"]);
    let written = FileCheckpoint::open(&to).unwrap();
    assert_eq!(written.format(), Format::Safetensors);
    assert_eq!(written.tensors().next().unwrap().bytes().unwrap(), floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    let expected = json!({"__metadata__": {
        "format": "pt",
        "meta": r#"{"epoch":12,"names":["é"]}"#,
        "state_dict._metadata": r#"{"":{"version":1}}"#,
        "optimizer.state.0.step": "3",
        "optimizer.param_groups": r#"[{"lr":0.1,"params":[0,1]}]"#,
    }});
    assert_eq!(written.meta(), expected);
}

#[test]
fn a_state_dict_survives_the_way_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let [there, back, again] = ["a.safetensors", "b.pth", "c.safetensors"].map(|name| folder.path().join(name));
    let weights = ConvertOptions { entry: Some("state_dict"), ..ConvertOptions::default() };
    convert_with(&training(folder.path()), &there, OutputFormat::Safetensors, &weights).unwrap();
    assert_eq!(keys(&there), ["z.weight", "a.tied", "a.last"]);
    convert_with(&there, &back, OutputFormat::Pth, &ConvertOptions::default()).unwrap();
    assert_eq!(keys(&back), ["z.weight", "a.tied", "a.last"]);
    let file = FileCheckpoint::open(&back).unwrap();
    assert_eq!((file.meta(), file.metadata(&[])), (json!({}), Some(json!({"": {"version": 1}}))));
    convert_with(&back, &again, OutputFormat::Safetensors, &ConvertOptions::default()).unwrap();
    assert_eq!(fs::read(there).unwrap(), fs::read(again).unwrap());
}

#[test]
fn an_entry_of_a_flat_file_is_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let [flat, part] = ["flat.safetensors", "part.pth"].map(|name| folder.path().join(name));
    convert_with(&training(folder.path()), &flat, OutputFormat::Safetensors, &ConvertOptions::default()).unwrap();
    let weights = ConvertOptions { entry: Some("state_dict"), ..ConvertOptions::default() };
    convert_with(&flat, &part, OutputFormat::Pth, &weights).unwrap();
    assert_eq!(keys(&part), ["z.weight", "a.tied", "a.last"]);
    assert_eq!(FileCheckpoint::open(&part).unwrap().metadata(&[]), Some(json!({"": {"version": 1}})));
    let unknown = ConvertOptions { entry: Some("ema"), ..ConvertOptions::default() };
    let error = convert_with(&flat, &part, OutputFormat::Pth, &unknown).unwrap_err();
    assert!(
        matches!(&*error.kind, ErrorKind::NoEntry { found, .. } if found.iter().any(|place| place.entry == "state_dict")),
        "{error}"
    );
}

/// `{"w": tensor, "s": sparse, "n": Namespace, 3: (1, b"\0")}` in a zip archive.
fn odd() -> Vec<u8> {
    let tensor = forge::tensor(&forge::storage("FloatStorage", "0", 4), 0, &[4], &[1]);
    let layout =
        [forge::global("torch.serialization", "_get_layout"), forge::text("torch.sparse_coo"), b"\x85R".to_vec()];
    let parts = [b"(".to_vec(), tensor.clone(), tensor.clone(), forge::sizes(&[4]), b"t".to_vec()].concat();
    let sparse = [
        forge::global("torch._utils", "_rebuild_sparse_tensor"),
        b"(".to_vec(),
        layout.concat(),
        parts,
        b"tR".to_vec(),
    ];
    let namespace = [forge::global("argparse", "Namespace"), b")\x81}b".to_vec()].concat();
    let tuple = [b"(".to_vec(), forge::int(1), b"C\x01\0t".to_vec()].concat();
    let pairs = [
        [forge::text("w"), tensor].concat(),
        [forge::text("s"), sparse.concat()].concat(),
        [forge::text("n"), namespace].concat(),
        [forge::int(3), tuple].concat(),
    ];
    let pickle = [b"\x80\x03}(".to_vec(), pairs.concat(), b"u.".to_vec()].concat();
    forge::pth(&pickle)
}

#[test]
fn what_a_format_cannot_hold_is_refused_or_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("odd.pth"), folder.path().join("new"));
    fs::write(&from, odd()).unwrap();
    for target in [OutputFormat::Pth, OutputFormat::Safetensors] {
        let error = convert_with(&from, &to, target, &ConvertOptions::default()).unwrap_err();
        let ErrorKind::Unwritable(losses) = &*error.kind else { panic!("{error}") };
        let mut paths: Vec<_> = losses.iter().map(|(path, _)| path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["n", "s"]);
        let text = error.to_string();
        assert!(
            text.contains("this format cannot hold")
                && text.contains("argparse.Namespace")
                && text.contains("sparse_coo"),
            "{text}"
        );
        assert!(!to.exists() && fs::read_dir(folder.path()).unwrap().count() == 1);

        let lossy = ConvertOptions { lossy: true, ..ConvertOptions::default() };
        let converted = convert_with(&from, &to, target, &lossy).unwrap();
        assert_eq!((converted.tensors, converted.left_out.len()), (1, 2));
        assert_eq!(keys(&to), ["w"]);
        let meta = FileCheckpoint::open(&to).unwrap().meta();
        match target {
            OutputFormat::Pth => assert_eq!(meta, json!({"3": [1, {"$bytes": "00"}]})),
            _ => assert_eq!(meta["__metadata__"]["3"], r#"[1,{"$bytes":"00"}]"#),
        }
        fs::remove_file(&to).unwrap();
    }
}

#[test]
fn deflated_storages_of_any_size_are_read_and_checked() {
    // More than is inflated at once, in two tensors: one that is most of the storage, one that is its end.
    let count = 9 << 20;
    let data: Vec<u8> = (0..count as u32).flat_map(|index| (index / 7).to_le_bytes()).collect();
    let storage = forge::storage("IntStorage", "0", count);
    let (most, end) = (count - 5, 1000);
    let pairs = [
        [forge::text("most"), forge::tensor(&storage, 5, &[most], &[1])].concat(),
        [forge::text("end"), forge::tensor(&storage, count - end, &[end], &[1])].concat(),
    ];
    let pickle = [b"}(".to_vec(), pairs.concat(), b"u.".to_vec()].concat();
    let entries = [Entry::new("a/data.pkl", &pickle), Entry::deflated("a/data/0", &data)];
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("deflated.pth"), folder.path().join("stored.pth"));
    fs::write(&from, forge::zip(&entries)).unwrap();
    convert_with(&from, &to, OutputFormat::Pth, &ConvertOptions::default()).unwrap();
    for file in [&from, &to] {
        let checkpoint = FileCheckpoint::open(file).unwrap();
        let tensors: Vec<_> = checkpoint.tensors().collect();
        assert!(*tensors[0].bytes().unwrap() == data[20..], "{}", file.display());
        assert!(*tensors[1].bytes().unwrap() == data[data.len() - 4000..]);
        assert_eq!(tensors[0].mapped().unwrap().is_some(), file == &to);
    }

    let mut wrong = entries;
    wrong[1].crc ^= 1;
    fs::write(&from, forge::zip(&wrong)).unwrap();
    let checkpoint = FileCheckpoint::open(&from).unwrap();
    let raw = checkpoint.tensors().next().unwrap();
    for error in [raw.verify().unwrap_err(), raw.bytes().unwrap_err(), checkpoint.verify().unwrap_err()] {
        assert!(error.to_string().contains("checksum"), "{error}");
    }
    let error = convert_with(&from, &folder.path().join("none.pth"), OutputFormat::Pth, &ConvertOptions::default());
    assert!(error.unwrap_err().to_string().contains("deflated.pth: bad zip archive"));
    assert!(!folder.path().join("none.pth").exists());
}
