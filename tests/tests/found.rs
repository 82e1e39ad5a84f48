//! Checkpoints as training programs leave them: other types, wrappers around the names, entries of other names. The files
//! are made by `tests/fixtures/loading/generate.py`.

use std::path::{Path, PathBuf};

use mmcv::checkpoint::{CheckpointFile, DtypePolicy, Error, LoadReport, load_file, load_state_dict};
use mmcv::prelude::*;
use mmcv::pth::UnknownClasses;
use tch::{Device, Kind, Tensor};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/loading/{name}.pth"))
}

/// The network of the script; where it is asked for, its `init_cfg` loads a file.
fn network(pretrained: Option<&str>) -> Box<dyn Module> {
    let init_cfg = match pretrained {
        Some(name) => config! { type: "Pretrained", checkpoint: file(name).to_str().unwrap() },
        None => Config::Null,
    };
    let conv = dict! { type: "Conv2d", in_channels: 2, out_channels: 3, kernel_size: 1 };
    let modules = dict! { conv: conv, bn: { type: "BN", num_features: 3 }, fc: { type: "Linear", in_features: 3, out_features: 2 } };
    build_model(&config! { type: "Sequential", modules: modules, init_cfg: init_cfg }).unwrap()
}

/// The tensors of the script: multiples of 1/8, and 7 in the counter.
fn check(module: &dyn Module, what: &str) {
    let state = module.state_dict();
    assert_eq!(state.len(), 9);
    for (number, (name, tensor)) in (0..).zip(&state) {
        let (count, double) = (i64::try_from(tensor.numel()).unwrap(), (Kind::Double, Device::Cpu));
        let expected = match name.as_str() {
            "bn.num_batches_tracked" => Tensor::full([1], 7.0, double),
            _ => Tensor::arange(count, double) / 8 + number,
        };
        assert!(tensor.flatten(0, -1).to_kind(Kind::Double).equal(&expected), "{what}: {name}: {tensor}");
    }
    assert!(module.named_parameters().iter().all(|(_, tensor)| tensor.kind() == Kind::Float && tensor.requires_grad()));
}

fn load(name: &str, change: impl FnOnce(&mut LoadOptions)) -> Result<(Box<dyn Module>, LoadReport), Error> {
    let module = network(None);
    let mut options = LoadOptions::default();
    change(&mut options);
    load_file(&*module, &file(name), &options).map(|report| (module, report))
}

/// The file is loaded as it is, and the report says `words`.
fn loads(name: &str, words: &[&str]) {
    let (module, report) = load(name, |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    check(&*module, name);
    let text = report.to_string();
    assert!(report.is_complete() && report.unset.is_empty(), "{name}: {text}");
    assert!(words.iter().all(|word| text.contains(word)), "{name}: {words:?} in {text}");
}

/// The file is refused with `words`, and changes nothing, strict or not.
fn refused(name: &str, words: &[&str]) {
    for strict in [true, false] {
        let module = network(None);
        let before: Vec<Tensor> = module.state_dict().iter().map(|(_, tensor)| tensor.copy()).collect();
        let options = LoadOptions { strict, ..LoadOptions::default() };
        let text = load_file(&*module, &file(name), &options).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{name}: {words:?} in {text}");
        assert!(module.state_dict().iter().zip(&before).all(|((_, now), before)| now.equal(before)), "{name}");
    }
}

#[test]
fn floats_of_any_size_are_cast_and_the_report_says_so() {
    for (name, line) in [
        ("plain", "9 of 9 loaded"),
        ("half", "8 cast from float16 (conv.weight, "),
        ("bfloat16", "8 cast from bfloat16 (conv.weight, "),
        ("double", "8 cast from float64 (conv.weight, "),
        ("all_half", "9 cast from float16"),
    ] {
        loads(name, &["9 of 9 loaded", line]);
        let module = network(Some(name));
        module.init_weights().unwrap();
        check(&*module, name);
    }
}

#[test]
fn counters_are_converted_where_they_stay_the_same() {
    for (name, line) in [
        ("float_counters", "1 cast from float32 (bn.num_batches_tracked)"),
        ("int32_counters", "1 cast from int32 (bn.num_batches_tracked)"),
        ("shaped_counters", "1 cast from int64 [1] (bn.num_batches_tracked)"),
    ] {
        loads(name, &[line]);
    }
    let text = load("broken_counters", |_| {}).unwrap_err().to_string();
    assert!(text.contains("bn.num_batches_tracked: int64 [] in the network, float32 [] in the file"), "{text}");
    // A counter that is left out makes nothing random.
    let (_, report) = load("broken_counters", |options| options.strict = false).unwrap();
    assert_eq!((report.mismatched.len(), report.unset.len()), (1, 0));
}

#[test]
fn nothing_is_cast_where_exact_types_are_asked_for() {
    for (name, found) in [
        ("half", "float16 [3]"),
        ("bfloat16", "bfloat16 [3]"),
        ("double", "float64 [3]"),
        ("int32_counters", "int32 []"),
        ("shaped_counters", "int64 [1]"),
    ] {
        let text = load(name, |options| options.dtype = DtypePolicy::Exact).unwrap_err().to_string();
        assert!(text.contains(found) && text.contains("would be converted with the dtype policy `cast`"), "{text}");
    }
    load("plain", |options| options.dtype = DtypePolicy::Exact).unwrap();
}

#[test]
fn counters_alone_are_no_weights() {
    let exact = |options: &mut LoadOptions| (options.strict, options.dtype) = (false, DtypePolicy::Exact);
    for name in ["half", "bfloat16", "double"] {
        let text = load(name, exact).unwrap_err().to_string();
        assert!(text.contains("1 of 9 would fit, none of which is a parameter"), "{name}: {text}");
    }
    refused(
        "counters_alone",
        &["none of which is a parameter", "float32 [3, 2, 1, 1] in the network, float32 [1] in the file"],
    );
    let error = network(Some("counters_alone")).init_weights().unwrap_err().to_string();
    assert!(error.contains("none of which is a parameter"), "{error}");
}

#[test]
fn wrappers_are_taken_off_where_then_everything_fits() {
    for (name, words) in [
        ("compiled", "prefix `_orig_mod.` taken off"),
        ("parallel_compiled", "prefix `_orig_mod.` taken off"),
        ("lightning", "prefix `model.` taken off"),
        ("lightning_compiled", "prefix `model._orig_mod.` taken off"),
        ("fabric", "prefix `_forward_module.module.` taken off"),
        ("fsdp", "`_fsdp_wrapped_module.`, `_checkpoint_wrapped_module.` taken off"),
        ("parallel_parts", "`module.` taken off"),
        ("deepspeed", "9 of 9 loaded"),
    ] {
        loads(name, &[words]);
    }
}

#[test]
fn wrappers_around_names_of_a_dialect_are_taken_off() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints");
    let text = std::fs::read_to_string(folder.join("networks.json")).unwrap();
    let networks: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let network = networks.iter().find(|network| network["name"] == "torchvision.regnet").unwrap();
    let module = build_model(&Config::from_json(&network["config"].to_string()).unwrap()).unwrap();
    let file = CheckpointFile::open(folder.join("torchvision.regnet.zip.pth")).unwrap();
    let state = file.state_dict(Device::Cpu).unwrap();
    let plain = load_state_dict(&*module, &state, &LoadOptions::default()).unwrap();
    for prefix in ["_orig_mod.", "model.", "model.module._orig_mod.", "_forward_module.", "module._orig_mod."] {
        let wrapped: Vec<_> = state.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.copy())).collect();
        let report = load_state_dict(&*module, &wrapped, &LoadOptions::default()).unwrap();
        assert!(report.wrapper.is_some(), "{prefix}: {report}");
        assert_eq!((&report.loaded, &report.layout), (&plain.loaded, &plain.layout), "{prefix}");

        // With a tensor that does not fit, the prefix is suggested and works.
        let mut lacking = wrapped;
        lacking.pop();
        let text = load_state_dict(&*module, &lacking, &LoadOptions::default()).unwrap_err().to_string();
        let count = lacking.len();
        let suggested = format!("with prefix `{prefix}` {count} would");
        assert!(text.contains(&suggested), "{text}");
        let options = LoadOptions { strict: false, prefix: Some(prefix.to_owned()), ..LoadOptions::default() };
        assert_eq!(load_state_dict(&*module, &lacking, &options).unwrap().loaded.len(), count, "{prefix}");
    }
}

#[test]
fn a_prefix_is_suggested_and_works() {
    let text = load("averaged", |_| {}).unwrap_err().to_string();
    assert!(text.contains("with prefix `module.` 9 would"), "{text}");
    let (module, _) = load("averaged", |options| options.prefix = Some("module".to_owned())).unwrap();
    check(&*module, "averaged");
    refused("teacher_and_student", &["with prefix `student.` or prefix `teacher.` 9 would"]);
    let (module, _) = load("teacher_and_student", |options| options.prefix = Some("teacher.".to_owned())).unwrap();
    check(&*module, "teacher");
}

#[test]
fn an_entry_is_named_and_works() {
    for (name, entry, words) in [
        ("model_state_dict", "model_state_dict", "with entry `model_state_dict` 9 would"),
        ("net", "net", "with entry `net` 9 would"),
        ("params", "params_ema", "with entry `params` or entry `params_ema` 9 would"),
        ("nested", "checkpoint.net", "with entry `checkpoint.net` 9 would"),
        ("nested_wrapped", "checkpoint.model", "with entry `checkpoint.model` 9 would"),
    ] {
        refused(name, &["the tensors are one dict further down", words]);
        let (module, report) = load(name, |options| options.entry = Some(entry.to_owned())).unwrap();
        check(&*module, name);
        assert!(report.is_complete(), "{name}: {report}");
    }
    let (module, _) = load("ema", |options| options.entry = Some("state_dict_ema".to_owned())).unwrap();
    check(&*module, "ema");
    let text = load("nested", |options| options.entry = Some("model".to_owned())).unwrap_err().to_string();
    assert!(text.contains("no tensors below `model`") && text.contains("`checkpoint.net`"), "{text}");
}

#[test]
fn a_file_without_tensors_is_told() {
    refused("empty", &["empty.pth", "the file holds no tensors"]);
}

#[test]
fn names_of_classes_come_with_the_weights() {
    for (name, expected) in [("mmengine", Some(vec!["cat".to_owned(), "dog".to_owned()])), ("plain", None)] {
        let (module, report) = load(name, |_| {}).unwrap();
        check(&*module, name);
        assert_eq!(report.classes, expected);
    }
    assert_eq!(CheckpointFile::open(file("mmcv1")).unwrap().classes().unwrap(), ["cat", "dog"]);
}

/// The state of a small ResNet under Detectron2's names.
fn detectron2(state: &[(String, Tensor)], prefix: &str) -> Vec<(String, Tensor)> {
    let mut renamed = Vec::new();
    for (name, tensor) in state.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        let parts: Vec<&str> = name.split('.').collect();
        let theirs = match *parts.as_slice() {
            ["conv1", rest] => format!("stem.conv1.{rest}"),
            ["bn1", rest] => format!("stem.conv1.norm.{rest}"),
            [layer, block, "downsample", part, rest] => {
                let norm = if part == "1" { "norm." } else { "" };
                format!("res{}.{block}.shortcut.{norm}{rest}", layer[5..].parse::<i64>().unwrap() + 1)
            }
            [layer, block, inner, rest] => {
                let (norm, number) = (if inner.starts_with("bn") { "norm." } else { "" }, &inner[inner.len() - 1..]);
                format!("res{}.{block}.conv{number}.{norm}{rest}", layer[5..].parse::<i64>().unwrap() + 1)
            }
            _ => panic!("{name}"),
        };
        renamed.push((format!("{prefix}{theirs}"), tensor.copy()));
    }
    renamed
}

#[test]
fn detectron2_has_its_own_names_of_a_resnet() {
    for depth in [18, 50] {
        let cfg = config! { type: "ResNet", depth: depth, base_channels: 4, stem_channels: 4 };
        let donor = build_model(&cfg).unwrap();
        for (prefix, head, layout) in [
            ("", "linear.weight", "dialect detectron2"),
            ("backbone.", "linear.weight", "dialect detectron2 under `backbone.`"),
            ("backbone.bottom_up.", "backbone.fpn_lateral2.weight", "dialect detectron2 under `backbone.bottom_up.`"),
        ] {
            let module = build_model(&cfg).unwrap();
            let mut state = detectron2(&donor.state_dict(), prefix);
            state.push((head.to_owned(), Tensor::zeros([3], (Kind::Float, Device::Cpu))));
            let report = load_state_dict(&*module, &state, &LoadOptions::default()).unwrap();
            assert!(report.is_complete() && report.of_head == [head], "{prefix}: {report}");
            assert_eq!(report.layout.as_deref(), Some(layout));
            for ((name, own), (_, given)) in module.state_dict().iter().zip(donor.state_dict()) {
                assert!(own.equal(&given), "{name}");
            }
        }
    }
}

/// Pickled as a whole, by a class that is on no list.
#[test]
fn a_whole_module_is_read_where_unknown_classes_are_kept_as_records() {
    let text = load("whole", |_| {}).unwrap_err().to_string();
    assert!(text.contains("state_dict()") && text.contains("UnknownClasses::Opaque"), "{text}");
    let (module, _) = load("whole", |options| options.unknown_classes = UnknownClasses::Opaque).unwrap();
    check(&*module, "whole");
}
