//! `mmcv config`: configs of every format, with bases, as text.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Said, mmcv};

/// A config in Python with bases in Python and YAML.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("base.py", "model = dict(\n    type='ResNet',\n    depth=50)\nscale = (224, 224)\n"),
        ("schedule.yaml", "lr: 0.1\nsteps: [30, 60]\n"),
        ("child.py", "_base_ = ['base.py', 'schedule.yaml']\nmodel = dict(depth=18)\nlr = _base_.lr / 4\n"),
        ("broken.py", "x = y\n"),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn config(folder: &TempDir, arguments: &[&str]) -> Said {
    let arguments = [&["config"], arguments].concat();
    Said::by(mmcv(folder.path(), arguments).current_dir(folder.path()))
}

#[test]
fn a_config_is_printed_in_each_format() {
    let folder = folder();
    let json = config(&folder, &["child.py", "--json"]).done();
    let expected = json!({
        "model": { "type": "ResNet", "depth": 18 },
        "scale": [224, 224],
        "lr": 0.025,
        "steps": [30, 60],
    });
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), expected);
    let typed = config(&folder, &["child.py", "--typed"]).done();
    assert!(typed.contains("\"scale\": {\"__tuple__\": [224, 224]}"), "{typed}");
    let python = config(&folder, &["child.py"]).done();
    assert!(python.starts_with("model = dict(type='ResNet', depth=18)\nscale = (224, 224)\n"), "{python}");
    fs::write(folder.path().join("again.py"), &python).unwrap();
    assert_eq!(config(&folder, &["again.py", "--typed"]).done(), typed, "it reads back as the same");
    let yaml = config(&folder, &["child.py", "--yaml"]).done();
    fs::write(folder.path().join("again.yaml"), &yaml).unwrap();
    assert_eq!(config(&folder, &["again.yaml", "--json"]).done(), json);
}

#[test]
fn options_override_as_in_mmengine() {
    let folder = folder();
    let options = ["child.py", "--json", "--cfg-options", "model.depth=34", "new.key=(1,a)", "steps=None"];
    let found: Value = serde_json::from_str(&config(&folder, &options).done()).unwrap();
    assert_eq!(found["model"]["depth"], 34);
    assert_eq!(found["new"]["key"], json!([1, "a"]));
    assert_eq!(found["steps"], Value::Null);
}

#[test]
fn a_value_is_traced_to_the_line_that_set_it() {
    let folder = folder();
    let said = config(&folder, &["child.py", "--origin", "model.depth"]).done();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].ends_with("child.py:2") && lines[1].ends_with("base.py:3"), "{said}");
    let error = config(&folder, &["child.py", "--origin", "model.width"]).failed();
    assert!(error.contains("the config has no value at model.width"), "{error}");
}

#[test]
fn the_difference_of_two_configs_is_shown_by_line() {
    let folder = folder();
    let said = config(&folder, &["base.py", "--diff", "child.py"]).done();
    assert!(
        said.contains("-model = dict(type='ResNet', depth=50)\n+model = dict(type='ResNet', depth=18)\n"),
        "{said}"
    );
    assert!(said.contains(" scale = (224, 224)\n") && said.contains("+lr = 0.025\n"), "{said}");
}

#[test]
fn several_configs_are_one_line_each() {
    let folder = folder();
    let said = config(&folder, &["base.py", "broken.py", "--typed"]);
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["config"]["model"]["depth"], 50);
    assert!(lines[1]["error"].as_str().unwrap().contains("broken.py:1:5: NameError: name 'y' is not defined"));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("1 of 2 configs could not be read"), "{}", said.stderr);
}
