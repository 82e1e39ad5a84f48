//! Names, shapes and types: what fits, what is reported, what is proposed.

use mmcv_checkpoint::{
    Change, DtypePolicy, ErrorKind, LoadOptions, ReviseKeys, Suggestion, load_file, load_state_dict,
};
use mmcv_layers::ModuleExt;
use mmcv_pth::Dtype;
use tch::{Device, Kind, Tensor};

use crate::setup::{Entry, LOADED, entries, network, refused, sum, write};

fn load(entries: &[Entry], options: &LoadOptions) -> Result<mmcv_checkpoint::LoadReport, mmcv_checkpoint::Error> {
    let folder = tempfile::tempdir().unwrap();
    load_file(&network(), &write(folder.path(), entries, None), options)
}

fn lenient() -> LoadOptions {
    LoadOptions { strict: false, ..LoadOptions::default() }
}

#[test]
fn another_prefix_is_suggested_and_works() {
    let report = refused(load(&entries("backbone.net."), &LoadOptions::default()));
    let suggestion = Suggestion { change: Change::Prefix("backbone.net.".to_owned()), would_load: 7 };
    assert_eq!(report.suggestions, [suggestion]);
    let text = report.to_string();
    assert!(text.starts_with("0 of 6 loaded; with prefix `backbone.net.` 7 would\n6 missing (0.weight, "), "{text}");
    let options = LoadOptions { prefix: Some("backbone.net".to_owned()), ..LoadOptions::default() };
    assert_eq!(load(&entries("backbone.net."), &options).unwrap().loaded.len(), 7);
    // The same for a prefix that was asked for and is not there.
    let options = LoadOptions { prefix: Some("neck".to_owned()), ..LoadOptions::default() };
    assert!(refused(load(&entries("backbone."), &options)).to_string().contains("with prefix `backbone.` 7 would"));
}

#[test]
fn a_renaming_is_suggested_and_works() {
    let mut found = entries("");
    found.iter_mut().for_each(|entry| entry.name = entry.name.replace("0.", "conv."));
    let text = refused(load(&found, &LoadOptions::default())).to_string();
    assert!(text.starts_with("5 of 7 would fit"), "{text}");
    let mut found = entries("");
    found.iter_mut().for_each(|entry| entry.name = entry.name.replace("1.", "bn."));
    let text = refused(load(&found, &LoadOptions::default())).to_string();
    assert!(text.contains(r"with revise_keys (`^bn\.`, `1.`) 5 would"), "{text}");
    let revise_keys = ReviseKeys::new([(r"^bn\.", "1.")]).unwrap();
    assert_eq!(load(&found, &LoadOptions { revise_keys, ..LoadOptions::default() }).unwrap().loaded.len(), 7);
}

#[test]
fn a_prefix_ends_at_a_dot() {
    let mut found = entries("net.");
    found.extend(entries("net2."));
    let options = LoadOptions { prefix: Some("net".to_owned()), ..LoadOptions::default() };
    let report = load(&found, &options).unwrap();
    assert_eq!((report.loaded.len(), report.unexpected.len()), (7, 0));
}

#[test]
fn types_are_converted_unless_exact_ones_are_asked_for() {
    let mut found = entries("");
    for entry in found.iter_mut().filter(|entry| entry.name == "1.bias") {
        (entry.dtype, entry.bytes) = (Dtype::Float64, 0.5f64.to_le_bytes().repeat(3));
    }
    let exact = LoadOptions { dtype: DtypePolicy::Exact, ..LoadOptions::default() };
    let report = refused(load(&found, &exact));
    assert!(!report.written && report.mismatched[0].castable);
    let text = report.to_string();
    assert!(text.contains("1 mismatched (1.bias: float32 [3] in the network, float64 [3] in the file)"), "{text}");
    assert!(text.contains("dtype policy `cast`"), "{text}");
    let report = load(&found, &LoadOptions { strict: false, ..exact }).unwrap();
    assert_eq!((report.loaded.len(), report.parameters, report.unset), (6, 3, vec!["1.bias".to_owned()]));

    let module = network();
    let folder = tempfile::tempdir().unwrap();
    let report = load_file(&module, &write(folder.path(), &found, None), &LoadOptions::default()).unwrap();
    assert!(report.to_string().contains("1 cast from float64 (1.bias)"), "{report}");
    assert_eq!((report.loaded.len(), sum(&module)), (7, LOADED));
    assert!(module.named_parameters().iter().all(|(_, tensor)| tensor.kind() == Kind::Float));
}

#[test]
fn a_float_that_is_no_integer_never_becomes_one() {
    let mut found = entries("");
    for entry in found.iter_mut().filter(|entry| entry.dtype == Dtype::Int64) {
        (entry.dtype, entry.bytes) = (Dtype::Float32, 7.5f32.to_le_bytes().to_vec());
    }
    let report = refused(load(&found, &LoadOptions::default()));
    assert_eq!((report.mismatched.len(), report.mismatched[0].castable), (1, false));
}

#[test]
fn both_shapes_are_told() {
    let mut found = entries("");
    for entry in found.iter_mut().filter(|entry| entry.name == "1.bias") {
        (entry.shape, entry.bytes) = (vec![1], vec![0; 4]);
    }
    let report = refused(load(&found, &LoadOptions::default()));
    assert_eq!((&report.mismatched[0].expected.shape[..], &report.mismatched[0].found.shape[..]), (&[3][..], &[1][..]));
}

#[test]
fn a_refusal_changes_nothing() {
    let module = network();
    let before = sum(&module);
    let mut found = entries("");
    found.pop();
    found.push(Entry { name: "fc.weight".to_owned(), dtype: Dtype::Float32, shape: vec![1], bytes: vec![0; 4] });
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &found, None);
    let error = load_file(&module, &file, &LoadOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("weights.pth") && text.contains("1 unexpected (fc.weight)"), "{text}");
    assert_eq!(sum(&module), before);
}

#[test]
fn tensors_in_memory_are_matched_in_the_same_way() {
    let (from, to) = (network(), network());
    let report = load_state_dict(&to, &from.state_dict(), &LoadOptions::default()).unwrap();
    assert!(report.is_complete() && report.written);
    for ((name, left), (_, right)) in from.state_dict().iter().zip(to.state_dict()) {
        assert!(left.equal(&right) && left.data_ptr() != right.data_ptr(), "{name}");
    }
    let short = &from.state_dict()[1..];
    assert_eq!(refused(load_state_dict(&to, short, &LoadOptions::default())).missing, ["0.weight"]);
    let wrong = [("0.weight".to_owned(), Tensor::zeros([1], (Kind::Float, Device::Cpu)))];
    assert_eq!(refused(load_state_dict(&to, &wrong, &lenient())).mismatched.len(), 1);
}

#[test]
fn a_device_that_is_missing_changes_nothing() {
    let module = network();
    let before = sum(&module);
    let options = LoadOptions { device: Some(Device::Cuda(97)), ..LoadOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &entries(""), None);
    let error = load_file(&module, &file, &options).unwrap_err();
    assert!(matches!(*error.kind, ErrorKind::Module(_)), "{error}");
    assert_eq!(sum(&module), before);
    let options = LoadOptions { device: Some(Device::Cpu), ..LoadOptions::default() };
    load_file(&module, &file, &options).unwrap();
    assert_eq!(sum(&module), LOADED);
}

#[test]
fn memory_that_does_not_lie_in_a_row_is_filled_all_the_same() {
    let module = network();
    let weight = &module.named_parameters()[0].1;
    let transposed = weight.transpose(0, 3).contiguous().transpose(0, 3);
    let mut handle = weight.shallow_clone();
    handle.f_set_data(&transposed).unwrap();
    assert!(!weight.is_contiguous());
    let folder = tempfile::tempdir().unwrap();
    load_file(&module, &write(folder.path(), &entries(""), None), &LoadOptions::default()).unwrap();
    assert_eq!(sum(&module), LOADED);
}
