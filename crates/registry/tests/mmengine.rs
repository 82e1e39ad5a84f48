//! Config files as mmengine reads them, with the feature `pyconfig`.
#![cfg(feature = "pyconfig")]
#![allow(clippy::unwrap_used)]

use std::fs;

use mmcv_registry::{Config, FromConfig, KeyPath, load_options};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read(files: &[(&str, &str)]) -> Result<String, String> {
    let folder = folder(files);
    let read = Config::from_file(folder.path().join(files[0].0));
    read.map(|config| config.to_string()).map_err(|error| error.to_string())
}

#[test]
fn a_file_has_the_values_that_mmcv_config_shows() {
    for (name, text) in [
        ("a.yaml", "a: [yes, off, 010, 1e-5, 1.0e-5, 1:30, 0o17, .inf, ~]\nb: !!python/tuple [1]\n"),
        ("a.yml", "\u{feff}a: {b: 1, b: 2}"),
        ("a.json", r#"{"a": [1, -0, 1e400, NaN, 12345678901234567890], "a": 2, "b": "\u00e9"}"#),
        ("a.py", "a = dict(b=(1, 2))"),
    ] {
        let folder = folder(&[(name, text)]);
        let file = folder.path().join(name);
        let shown = mmcv_pyconfig::load(&file, &load_options()).unwrap();
        assert_eq!(Config::from_file(&file).unwrap().to_string(), Config::from(&shown.data).to_string());
    }
    assert_eq!(read(&[("a.yaml", "a: [yes, 010, 1e-5]")]).unwrap(), "{a: [true, 8, \"1e-5\"]}");
    assert_eq!(
        read(&[("a.json", r#"{"a": 1, "a": 12345678901234567890}"#)]).unwrap(),
        r#"{a: "12345678901234567890"}"#
    );
}

#[test]
fn bases_and_templates_are_those_of_mmengine() {
    let files = [
        ("a.yaml", "_base_: [b.py, c.json]\na: {x: 2}\nd: {{ _base_.a.y }}\ne: '{{ fileBasenameNoExtension }}'\n"),
        ("b.py", "a = dict(x=1, y=[3])"),
        ("c.json", r#"{"c": {"z": true}}"#),
    ];
    assert_eq!(read(&files).unwrap(), r#"{a: {x: 2, y: [3]}, c: {z: true}, d: [3], e: "a"}"#);
    let cycle = read(&[("a.yaml", "_base_: b.yaml"), ("b.yaml", "_base_: a.yaml")]).unwrap_err();
    assert!(cycle.contains("the bases form a cycle") && cycle.matches("a.yaml").count() >= 2, "{cycle}");
    let missing = read(&[("a.yaml", "_base_: b.yaml")]).unwrap_err();
    assert!(missing.contains("b.yaml") && missing.contains("does not exist"), "{missing}");
    for (text, told) in [
        ("1", "expected a dict"),
        ("a: [", "a.yaml:1:"),
        ("a: !!python/object/apply:os.system [ls]", "runs code in Python"),
        ("_base_: 3", "`_base_` is a text"),
    ] {
        let error = read(&[("a.yaml", text)]).unwrap_err();
        assert!(error.contains(told), "{text}: {error}");
    }
    let error = read(&[("a.json", "\u{feff}{}")]).unwrap_err();
    assert!(error.contains("byte order mark"), "{error}");
}

/// mmengine refuses lists; here they are the layers of a network.
#[test]
fn lists_are_read_too() {
    for (name, text) in [
        ("a.yaml", "# layers\n---\n- {type: ReLU}\n- 2\n"),
        ("b.yaml", "[{type: ReLU}, 2]"),
        ("c.json", "\n[{\"type\": \"ReLU\"}, 2]"),
    ] {
        let folder = folder(&[(name, text)]);
        let config = Config::from_file(folder.path().join(name)).unwrap();
        assert_eq!(config.to_json(), r#"[{"type":"ReLU"},2]"#, "{name}");
    }
    let error = read(&[("a.yaml", "_base_: b.yaml"), ("b.yaml", "- 1")]).unwrap_err();
    assert!(error.contains("expected a dict"), "{error}");
}

/// PyYAML takes `1e-5` for a text, and where a number is wanted it can only be meant as one.
#[test]
fn a_number_without_a_point_is_read_where_one_is_wanted() {
    let folder = folder(&[("a.yaml", "eps: 1e-5\nmomentum: [1E+2, -3e4, 1.5e3, 2]\n")]);
    let config = Config::from_file(folder.path().join("a.yaml")).unwrap();
    let Config::Dict(dict) = &config else { unreachable!() };
    let root = KeyPath::root();
    assert_eq!(f64::from_config(dict.get("eps").unwrap(), &root).unwrap(), 1e-5);
    assert_eq!(Vec::<f64>::from_config(dict.get("momentum").unwrap(), &root).unwrap(), [100.0, -3e4, 1500.0, 2.0]);
    assert_eq!(String::from_config(dict.get("eps").unwrap(), &root).unwrap(), "1e-5");
    for text in ["1e", "e5", "nan", "1", "1.5", "0x1e5", " 1e5", "1_0e5", "1e5x", ""] {
        assert!(f64::from_config(&Config::from(text), &root).is_err(), "{text}");
    }
}
