//! `mmcv build` and `mmcv summary`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Said, mmcv, run};

const NETWORK: &str = "
model:
  type: Sequential
  modules:
    - {type: ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3, padding: 1, norm_cfg: {type: BN}}
    - {type: MaxPool2d, kernel_size: 2}
    - {type: ConvModule, in_channels: 8, out_channels: 4, kernel_size: 3, act_cfg: null}
  init_cfg: {type: Constant, layer: BatchNorm2d, val: 0.5}
";

/// The command on a config file with that text.
fn on(text: &str, arguments: &[&str]) -> Said {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("network.yaml");
    std::fs::write(&file, text).unwrap();
    let (command, options) = arguments.split_first().unwrap();
    Said::by(mmcv(home.path(), [Path::new(command)]).arg(&file).args(options))
}

#[test]
fn json_says_where_everything_comes_from() {
    let said = on(NETWORK, &["build", "--input", "1x3x8x8", "--json"]).done();
    let network: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(network["parameters"], 3 * 8 * 9 + 8 + 8 + 8 * 4 * 9 + 4);
    assert_eq!(network["outputs"], serde_json::json!([[1, 4, 2, 2]]));
    let module = |name: &str| {
        let modules = network["modules"].as_array().unwrap();
        modules.iter().find(|module| module["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let conv = module("2.conv");
    assert_eq!((&conv["class"], &conv["key"]), (&"Conv2d".into(), &"model.modules[2].conv_cfg".into()));
    assert_eq!(conv["key_is_default"], true);
    assert_eq!(conv["calls"][0]["inputs"], serde_json::json!([[1, 8, 4, 4]]));
    assert_eq!(conv["multiply_adds"], 8 * 9 * 4 * 4 + 4 * 4);
    assert_eq!(conv["tensors"][0]["shape"], serde_json::json!([4, 8, 3, 3]));
    let norm = module("0.bn");
    assert_eq!((&norm["key"], &norm["key_is_default"]), (&"model.modules[0].norm_cfg".into(), &false.into()));
    // The rule comes first, and the ConvModule initialises its norm again.
    assert_eq!(norm["tensors"][0]["values"], "constant(1)");
    assert_eq!(norm["tensors"][0]["initialised_by"], "init_weights of ConvModule");
    assert_eq!(norm["tensors"][2]["kind"], "buffer");
}

#[test]
fn an_empty_checkpoint_is_a_placeholder() {
    let backbone = "{type: ImageClassifier, backbone: {type: MobileNetV2, widen_factor: 0.1, init_cfg: RULES}}";
    let rule = "{type: Pretrained, checkpoint: '', prefix: backbone}";
    for rules in [rule.to_owned(), format!("[{rule}, {{type: Constant, layer: Linear, val: 1}}]")] {
        let said = on(&backbone.replace("RULES", &rules), &["build"]);
        assert!(said.stderr.contains("checkpoint is empty, so no weights are loaded"), "{}", said.stderr);
        assert!(said.done().contains("parameters: "));
    }
}

#[test]
fn a_rule_is_named_by_its_key() {
    let text = "{type: Sequential, modules: [{type: Linear, in_features: 2, out_features: 3}], \
                init_cfg: [{type: Normal, layer: Linear, std: 0.5}]}";
    let said = on(text, &["build", "--explain"]).done();
    assert!(said.contains("weight [3x2]: normal(0, 0.5000) by init_cfg[0] (Normal)"), "{said}");
    assert!(said.contains("bias [3]: constant(0) by init_cfg[0] (Normal)"), "{said}");
    assert!(said.contains("Linear of modules[0]"), "{said}");
    assert!(said.contains("parameters: 9"), "{said}");
}

#[test]
fn a_shape_that_does_not_fit_is_said_with_the_key_to_change() {
    let options = ["--cfg-options", "model.modules.2.in_channels=16"];
    assert_eq!(on(NETWORK, &[&["build"], &options[..]].concat()).code, 0, "without an input nothing can be said");
    let error = on(NETWORK, &[&["build", "--input", "1x3x8x8"], &options[..]].concat()).failed();
    assert!(error.contains("model.modules[2].in_channels: 16 does not fit"), "{error}");
    assert!(error.contains("(the output of 1) has 8 channels; set in_channels to 8"), "{error}");
    let error = on(NETWORK, &["build", "--input", "1x3x3x3"]).failed();
    assert!(error.contains("model.modules[2].kernel_size") && error.contains("at least 1"), "{error}");
    let error = on(NETWORK, &["build", "--input", "1x3x8x8x8"]).failed();
    assert!(error.contains("model.modules[0]") && error.contains("4D input"), "{error}");
    let error = on(NETWORK, &["build", "--input", "1x3x8"]).failed();
    assert!(error.contains("without a batch dimension"), "{error}");
    let groups = ["build", "--cfg-options", "model.modules.0.norm_cfg={'type': 'GN', 'num_groups': 3}"];
    let error = on(NETWORK, &groups).failed();
    let expected = "model.modules[0].norm_cfg.num_groups: 3 does not divide num_channels 8; 1, 2, 4, 8 do";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_rule_that_matches_nothing_is_a_warning_or_an_error() {
    let options = ["--cfg-options", "model.init_cfg.layer=BN"];
    let said = on(NETWORK, &[&["build"], &options[..]].concat());
    assert!(
        said.stderr.contains("warning: model.init_cfg (Constant): no module in Sequential is of class BN"),
        "{said:?}"
    );
    assert!(said.stderr.contains("BatchNorm2d"), "{said:?}");
    said.done();
    let error = on(NETWORK, &[&["build", "--strict-init"], &options[..]].concat()).failed();
    assert!(error.contains("of class BN"), "{error}");
}

#[test]
fn the_summary_counts_what_is_inside() {
    let said = on(NETWORK, &["summary", "--input", "1x3x8x8"]).done();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["layer", "output", "shape", "parameters", "multiply-adds", "share"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][2]), ("Sequential", "1x4x2x2", "524"));
    assert!(said.contains("    conv: Conv2d"), "{said}");
    let short = on(NETWORK, &["summary", "--input", "1x3x8x8", "--depth", "1", "--json"]).done();
    let lines: Value = serde_json::from_str(&short).unwrap();
    let total = |key: &str| lines.as_array().unwrap()[1..].iter().map(|line| line[key].as_u64().unwrap()).sum::<u64>();
    for key in ["parameters", "multiply_adds"] {
        assert_eq!(lines[0][key], total(key), "{key}");
    }
    assert_eq!(lines.as_array().unwrap().len(), 4);
    let error = on(NETWORK, &["summary"]).failed();
    assert!(error.contains("--input"), "{error}");
}

#[test]
fn the_summary_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("network.svg");
    on(NETWORK, &["summary", "--input", "1x3x8x8", "--svg", file.to_str().unwrap()]).done();
    let drawing = std::fs::read_to_string(&file).unwrap();
    assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n"), "{drawing}");
    for expected in ["conv: Conv2d", "1x8x8x8", "100.0 %"] {
        assert!(drawing.contains(expected), "{expected}");
    }
    // A bar for each module, and the background.
    assert_eq!(drawing.matches("<rect ").count(), 1 + 8, "{drawing}");
}

#[test]
fn a_size_of_the_recipe_is_the_default_input() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../model_zoo/configs/mobilenet_v2.yaml");
    let said = run(["summary", config, "--depth", "0"]).done();
    assert!(said.contains("1x1000") && said.contains("3,504,872"), "{said}");
}

/// The command on the first of these files.
fn on_files(files: &[(&str, &[u8])], arguments: &[&str]) -> Said {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let (command, options) = arguments.split_first().unwrap();
    Said::by(mmcv(home.path(), [Path::new(command)]).arg(home.path().join(files[0].0)).args(options))
}

const BASE: &[u8] =
    b"model: {type: ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3, norm_cfg: {type: GN, num_groups: 2}}";

#[test]
fn configs_are_merged_with_their_bases() {
    let child: &[u8] =
        b"_base_: ./base.yaml\nmodel: {type: ConvModule, in_channels: 3, out_channels: 8, kernel_size: 5}\n";
    for (text, parameters) in [
        (child, 3 * 8 * 25 + 16),
        (b"_base_: [base.yaml]\nmodel: {norm_cfg: {_delete_: true, type: BN}, out_channels: 4}", 3 * 4 * 9 + 8),
        (b"_base_: base.yaml\nmodel: {norm_cfg: null}", 3 * 8 * 9 + 8),
        (b"_base_: base.yaml", 3 * 8 * 9 + 16),
    ] {
        for command in ["build", "summary"] {
            let said =
                on_files(&[("child.yaml", text), ("base.yaml", BASE)], &[command, "--input", "1x3x8x8", "--json"]);
            let read: Value = serde_json::from_str(&said.done()).unwrap();
            let found = if command == "build" { &read["parameters"] } else { &read[0]["parameters"] };
            assert_eq!(*found, parameters, "{command} {}", String::from_utf8_lossy(text));
        }
    }
    let said = on_files(&[("child.yaml", b"_base_: nowhere.yaml")], &["build"]).failed();
    assert!(said.contains("child.yaml: the base \"nowhere.yaml\" is not there"), "{said}");
}

#[test]
fn options_make_dicts_and_slips_are_named() {
    let config: &[u8] = b"model: {type: ConvModule, in_channels: 3, out_channels: 8, kernel_size: 3, act_cfg: null}";
    let made = ["build", "--cfg-options", "model.norm_cfg.type=BN", "model.act_cfg.type=PReLU"];
    let said = on_files(&[("a.yaml", config)], &made).done();
    assert!(said.contains("(bn): BatchNorm2d") && said.contains("PReLU("), "{said}");
    for (option, told) in [
        ("modl.norm_cfg.type=BN", "modl: unknown key, did you mean \"model\"?"),
        ("model.norm_cgf.type=BN", "model.norm_cgf: unknown key, did you mean \"norm_cfg\"?"),
        ("model.kernel_sise=3", "model.kernel_sise: unknown key, did you mean \"kernel_size\"?"),
        ("model.in_channels.x=3", "model.in_channels"),
    ] {
        let said = on_files(&[("a.yaml", config)], &["build", "--cfg-options", option]).failed();
        assert!(said.contains(told), "{option}: {said}");
    }
}

#[test]
fn files_that_are_no_config_are_told_as_such() {
    let said = on_files(&[("a.py", b"model = dict(type='ReLU', inplace=True)")], &["build"]).done();
    assert!(said.starts_with("ReLU(inplace=True)"), "{said}");
    let said = on_files(&[("a.py", b"import torch\nmodel = torch.nn.ReLU()")], &["build"]).failed();
    assert!(said.contains("a.py:2:9: not allowed in a config: calling `ReLU`"), "{said}");
    let said = on_files(&[("bom.yaml", b"\xef\xbb\xbftype: LeakyReLU\nnegative_slope: 0.2\n")], &["build"]).done();
    assert!(said.starts_with("LeakyReLU(negative_slope=0.2)"), "{said}");
    let deep = format!("{}1{}", "{a: ".repeat(100_000), "}".repeat(100_000));
    let said = on_files(&[("deep.yaml", deep.as_bytes())], &["build"]).failed();
    assert!(said.contains("deep.yaml:1:1021: limit exceeded: values are nested more than 200 deep"), "{said}");
    let long = format!("type: {}", "x".repeat(5 << 20));
    let said = on_files(&[("long.yaml", long.as_bytes())], &["build"]).failed();
    assert!(said.len() < 5000, "{}", said.len());
    for device in ["/dev/zero", "/dev/null"] {
        let home = tempfile::tempdir().unwrap();
        let said = Said::by(&mut mmcv(home.path(), ["build", device])).failed();
        assert!(said.contains("it is not a regular file"), "{said}");
    }
}
