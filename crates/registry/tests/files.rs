//! Config files: what they are merged from, their encodings, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mmcv_registry::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Whether YAML and JSON files are read by mmcv-pyconfig, in whose words errors are then; `tests/mmengine.rs` has its tests.
const BY_MMENGINE: bool = cfg!(feature = "pyconfig");

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[cfg(not(feature = "pyconfig"))]
fn read(files: &[(&str, &str)]) -> Result<String, String> {
    let folder = folder(files);
    let read = Config::from_file(folder.path().join(files[0].0));
    read.map(|config| config.to_string()).map_err(|error| error.to_string())
}

/// A dict as a list of pairs, since order counts.
fn plain(config: &Config) -> Value {
    match config {
        Config::Null => Value::Null,
        Config::Bool(value) => json!(value),
        Config::Int(value) => json!(value),
        Config::Float(value) => json!(value),
        Config::Str(text) => json!(text),
        Config::List(items) | Config::Tuple(items) => items.iter().map(plain).collect(),
        Config::Dict(dict) => {
            json!({"pairs": dict.iter().map(|(key, value)| json!([key, plain(value)])).collect::<Value>()})
        }
    }
}

#[test]
fn bases_are_merged_as_mmengine_merges_them() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bases.json");
    let file = std::env::var_os("MMCV_BASES").map_or(committed, Into::into);
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(cases.len() >= 120);
    for case in &cases {
        let files: Vec<(&str, &str)> = case["files"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str().unwrap()))
            .collect();
        let folder = folder(&files);
        let found = Config::from_file(folder.path().join("main.yaml"));
        match (case["error"].as_str(), found) {
            (None, Ok(config)) => assert_eq!(plain(&config), case["merged"], "{:#}", case["files"]),
            (Some(kind), Err(error)) => {
                let told = match (kind, BY_MMENGINE) {
                    ("missing", false) => "No such file",
                    ("missing", true) => "does not exist",
                    ("twice", false) => "is in two of its bases",
                    ("twice", true) => "Duplicate key is not allowed among bases",
                    (_, false) => "a dict cannot be merged with what the base has here",
                    (_, true) => "so it cannot inherit",
                };
                assert!(error.to_string().contains(told), "{kind}: {error}\n{:#}", case["files"]);
            }
            (expected, found) => panic!("expected {expected:?}, found {found:?}\n{:#}", case["files"]),
        }
    }
}

#[cfg(not(feature = "pyconfig"))]
#[test]
fn mistakes_in_bases_name_the_files() {
    let cycle =
        read(&[("a.yaml", "_base_: b.yaml"), ("b.yaml", "_base_: [c.json]"), ("c.json", r#"{"_base_": "./a.yaml"}"#)]);
    let cycle = cycle.unwrap_err();
    assert!(cycle.contains("it is a base of itself") && cycle.matches("a.yaml").count() >= 2, "{cycle}");
    let own = read(&[("a.yaml", "_base_: a.yaml")]).unwrap_err();
    assert!(own.contains("it is a base of itself"), "{own}");
    let missing = read(&[("a.yaml", "_base_: [nowhere/b.yaml]")]).unwrap_err();
    assert!(missing.contains("nowhere/b.yaml: No such file") && missing.contains("(a base of "), "{missing}");
    for (text, told) in [
        ("_base_: 3", "_base_: expected the path of a file or a list of them, got 3"),
        ("_base_: [null]", "got null"),
        ("_base_: {a: b.yaml}", "got {a: \"b.yaml\"}"),
        ("_base_: mmdet::faster_rcnn.py", "is a config of a Python package"),
        ("_base_: .", "it is a folder"),
        ("_base_: list.yaml", "list.yaml: a base has to be a dict"),
        ("_base_: broken.yaml", "broken.yaml: a[0]: not a valid YAML config"),
        ("_base_: b.py", "b.py: Python configs are not read"),
    ] {
        let error =
            read(&[("a.yaml", text), ("list.yaml", "[1]"), ("broken.yaml", "a: ["), ("b.py", "a = 1")]).unwrap_err();
        assert!(error.contains(told), "{text}: {error}");
    }
    // Each level doubles the number of files.
    let levels: Vec<(String, String)> =
        (0..40).map(|level| (format!("{level}.yaml"), format!("_base_: [{0}.yaml, {0}.yaml]", level + 1))).collect();
    let mut files: Vec<(&str, &str)> = levels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("40.yaml", "{}"));
    assert!(read(&files).unwrap_err().contains("too many files"));
}

#[cfg(not(feature = "pyconfig"))]
#[test]
fn a_list_has_no_base_and_absolute_paths_are_taken() {
    assert_eq!(read(&[("a.yaml", "[{_base_: b.yaml}]")]).unwrap(), r#"[{_base_: "b.yaml"}]"#);
    let base = folder(&[("b.yaml", "a: {b: 1, c: [1]}")]);
    let text = format!("_base_: {}\na: {{c: 2}}\n", base.path().join("b.yaml").display());
    assert_eq!(read(&[("a.yml", &text)]).unwrap(), "{a: {b: 1, c: 2}}");
}

#[cfg(not(feature = "pyconfig"))]
#[test]
fn a_byte_order_mark_is_passed_by() {
    let expected = "{type: \"LeakyReLU\", x: \"é\"}";
    let texts = ["type: LeakyReLU\nx: é\n", "{\"type\": \"LeakyReLU\", \"x\": \"é\"}"];
    for (name, text) in [("a.yaml", texts[0]), ("a.json", texts[1]), ("a.yaml", texts[1]), ("a", texts[0])] {
        let marked = format!("\u{feff}{text}");
        let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes().to_vec(), marked.clone().into_bytes(), little, big] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(name);
            fs::write(&file, bytes).unwrap();
            assert_eq!(Config::from_file(&file).unwrap().to_string(), expected);
        }
        assert_eq!(Config::from_yaml(&marked).unwrap().to_string(), expected);
    }
    for (bytes, told) in [
        (&[0xff, 0xfe, 0, 0, b'a', 0, 0, 0][..], "UTF-32"),
        (&[0xfe, 0xff, 0, b'a', 0], "odd number of bytes"),
        (&[0xff, 0xfe, 0, 0xd8], "is not; save it as UTF-8"),
        (b"a: \xe9", "byte 3 is not UTF-8"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, bytes).unwrap();
        let error = Config::from_file(&file).unwrap_err().to_string();
        assert!(error.contains("a.yaml") && error.contains(told), "{error}");
    }
}

#[test]
fn json_has_pythons_numbers() {
    let text = r#"{"a": NaN, "b": [Infinity, -Infinity,-Infinity], "c": "NaN, \"Infinity\"", "NaN": -1, "d": {"e":Infinity}, "number ": 1}"#;
    let read = Config::from_json(text).unwrap().to_string();
    let expected = r#"{a: .nan, b: [.inf, -.inf, -.inf], c: "NaN, \"Infinity\"", NaN: -1, d: {e: .inf}, number : 1}"#;
    assert_eq!(read, expected);
    for (text, value) in [("NaN", ".nan"), ("[Infinity]", "[.inf]"), (" -Infinity ", "-.inf"), (r#""NaN""#, r#""NaN""#)]
    {
        assert_eq!(Config::from_json(text).unwrap().to_string(), value);
    }
    for text in ["[NaN NaN]", "[nan]", "[--Infinity]", "{NaN: 1 2}", "[Inf]", "[xNaN]", "[\"NaN]"] {
        let error = Config::from_json(text).unwrap_err().to_string();
        assert!(error.contains("not a valid JSON config"), "{text}: {error}");
    }
}

/// What is refused, and why.
fn hostile() -> Vec<(String, &'static str, &'static str)> {
    let repeated = |part: &str, count: usize| part.repeat(count);
    let line = |part: &str, count: usize| format!("a: {}\n", repeated(part, count));
    let anchors = |levels: usize, use_of: &str| {
        let mut text = "a0: &a0 {x: 1, y: 2}\n".to_owned();
        for level in 1..levels {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} {}\n", use_of.replace('@', &items)));
        }
        text
    };
    let merge = format!(
        "a: &a {{{}}}\nb: {{<<: [{}]}}\n",
        (0..2000).map(|k| format!("k{k}: 1, ")).collect::<String>(),
        vec!["*a"; 60_000].join(", ")
    );
    let string = format!("a: &a {}\nb: [{}]\n", repeated("x", 200_000), vec!["*a"; 50_000].join(", "));
    let quoted = format!("a: \"{}\nb: {}", repeated("]", 1000), repeated("\"\n[ \"", 60_000));
    let hidden = repeated("[']', ", 100_000);
    let breaks = format!("[#\u{2028}{}", repeated("[ #]\u{2028}", 100_000));
    let keys = (0..600_000).map(|key| format!("k{key}: 1\n")).collect::<String>();
    let directives = format!("{}---\na: 1\n", (0..100_000).map(|tag| format!("%TAG !a{tag}! x\n")).collect::<String>());
    let deep = "nested more than 100 levels deep";
    vec![
        (line("{a: ", 100_000), "yaml", deep),
        (line("[", 100_000), "yaml", deep),
        (line("[{b: ", 100_000), "yaml", deep),
        (format!("{}{}", repeated("[", 100_000), repeated("]", 100_000)), "yaml", deep),
        (repeated("- ", 100_000), "yaml", deep),
        (repeated("? ", 100_000), "yaml", "not a valid YAML config"),
        (repeated("{", 9 << 20), "yaml", "double braces"),
        (hidden, "yaml", deep),
        (breaks, "yaml", deep),
        (quoted, "yaml", "not a valid YAML config"),
        (anchors(12, "{<<: [@]}"), "yaml", "not a valid YAML config"),
        (anchors(12, "[@]"), "yaml", "not a valid YAML config"),
        (merge, "yaml", "not a valid YAML config"),
        (string, "yaml", "bytes, counting what aliases repeat"),
        (keys, "yaml", "more than 300000"),
        (directives, "yaml", "directives"),
        (repeated("x", 17 << 20), "yaml", "the most that a config may have"),
        (repeated("[", 100_000), "json", deep),
        (repeated("{\"a\":", 100_000), "json", deep),
        (format!("[{}1]", repeated("1,", 1_000_000)), "json", "more than 300000 values"),
        (format!("[{}1]", repeated("NaN,", 1_000_000)), "json", "more than 300000 values"),
        (repeated(" ", 17 << 20), "json", "the most that a config may have"),
    ]
}

#[test]
fn hostile_texts_end_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (text, extension, told)) in hostile().into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.{extension}"));
        fs::write(&file, &text).unwrap();
        let start = Instant::now();
        let error = match Config::from_file(&file) {
            Err(error) => error.to_string(),
            // Its limits are others.
            Ok(_) if BY_MMENGINE => continue,
            Ok(_) => panic!("{number} is read"),
        };
        assert!(BY_MMENGINE || error.contains(told), "{number}: {error}");
        assert!(error.len() < 1000, "{number}: {}", error.len());
        // Minutes where nothing bounds them; a busy machine and a build without optimization take some seconds.
        assert!(start.elapsed() < Duration::from_secs(60), "{number}: {:?}", start.elapsed());
    }
}

#[test]
fn large_configs_of_the_usual_kind_are_read() {
    let names = (0..21_000).map(|class| format!("- the \"{class}\": [it's] {{a}} # class\n")).collect::<String>();
    let names = names.replace(": [", " [");
    let flow = format!("a: [{}]", vec!["{b: ['x, ]', \"y]\"], c: {d: 'it''s'}}"; 20_000].join(",\n  "));
    let block = "a: |\n  [[[ it's \"\n  {{\n".to_owned() + "b: 1\n";
    for text in [names, flow, block] {
        Config::from_yaml(&text).unwrap();
    }
    let deep = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    Config::from_yaml(&deep).unwrap();
    Config::from_json(&deep).unwrap();
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let link = folder.path().join("link.yaml");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let child = folder.path().join("child.yaml");
    fs::write(&child, "_base_: pipe.yaml").unwrap();
    for file in [pipe.as_path(), &link, &child, Path::new("/dev/zero"), Path::new("/dev/null"), Path::new("/dev/stdin")]
    {
        let error = Config::from_file(file).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
    }
    let good = folder.path().join("good.yaml");
    fs::write(&good, "a: 1").unwrap();
    let link = folder.path().join("good_link.yaml");
    std::os::unix::fs::symlink(&good, &link).unwrap();
    assert_eq!(Config::from_file(&link).unwrap().to_string(), "{a: 1}");
}

#[cfg(not(feature = "pyconfig"))]
#[test]
fn templates_are_filled_or_refused() {
    let text =
        "a: '{{ fileBasename }}'\nb: {{fileBasenameNoExtension}}x\nc: \"{{ fileExtname}}\"\nd: {{ fileDirname }}/y\n";
    let folder = folder(&[("n.x.yaml", text)]);
    let expected = format!("{{a: \"n.x.yaml\", b: \"n.xx\", c: \".yaml\", d: \"{}/y\"}}", folder.path().display());
    assert_eq!(Config::from_file(folder.path().join("n.x.yaml")).unwrap().to_string(), expected);
    for text in ["a: {{ _base_.b }}", "a: '{{$HOME:x}}'", "a: {{'$N:80'}}", "# {{ _base_.b.c }}\na: 1"] {
        let error = read(&[("a.yaml", text)]).unwrap_err();
        assert!(error.contains("mmengine's template {{ ") && error.contains("is not read"), "{error}");
    }
    assert_eq!(read(&[("a.yaml", "a: '{{ other }} {{'")]).unwrap(), "{a: \"{{ other }} {{\"}");
}

#[cfg(not(feature = "pyconfig"))]
#[test]
fn a_python_file_is_told_as_such() {
    let error = read(&[("resnet.py", "model = dict(type='ResNet')")]).unwrap_err();
    assert!(error.contains("resnet.py: Python configs are not read") && error.contains(".dump("), "{error}");
    let error = Config::from_file("/nonexistent/resnet.py").unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn messages_are_short_where_texts_are_long() {
    let long = "x".repeat(5 << 20);
    let mut cfg = Config::from_yaml(&format!("{{type: {long}, {long}: 1}}")).unwrap_or_default();
    let registry = mmcv_registry::Registry::<u8>::new("mine");
    registry.add(mmcv_registry::Spec::new("Known", 1)).unwrap();
    let error =
        registry.resolve(&mmcv_registry::config! { type: long.as_str() }, &mmcv_registry::KeyPath::root()).unwrap_err();
    assert!(error.to_string().len() < 300, "{}", error.to_string().len());
    let error = cfg.set_option(&format!("{long}={{")).unwrap_err().to_string();
    assert!(error.len() < 300, "{}", error.len());
}
