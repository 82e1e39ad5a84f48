//! The configs in `cases/*.txt`, compared with what mmengine makes of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::fs;
use std::path::{Path, PathBuf};

use mmcv_pyconfig::{Config, Error, ErrorKind, LoadOptions, load, load_each};
use tempfile::TempDir;

/// Configs of which mmengine makes something else, and why. All others that mmengine reads give the same text here.
const DIFFERENT: [(&str, &str); 14] = [
    ("builtin_hash_left.py", "hashes differ from run to run"),
    ("builtin_range.py", "ranges of 64 bits"),
    ("class_not_used.py", "classes"),
    ("func_async.py", "async functions"),
    ("func_generator.py", "yield"),
    ("lazy_lazyobject_call.py", "mmengine's own classes"),
    ("lazy_mmengine_config_import.py", "mmengine as a module"),
    ("lazy_set_attribute_of_class.py", "attributes of imported classes"),
    ("match_statement.py", "match statements"),
    ("str_bytes_used.py", "bytes"),
    ("str_encode_decode.py", "bytes"),
    ("str_surrogate.py", "half of a surrogate pair"),
    ("str_unicode_text.py", "letters with a case of their own for titles"),
    ("tpl_base_star.py", "a placeholder, which is random there, taken apart"),
];

/// The folder with all configs.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(cases()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        for part in fs::read_to_string(path).unwrap().split("\n=== ") {
            let (name, text) = part.trim_start_matches("=== ").split_once('\n').unwrap();
            let file = folder.path().join(name.trim());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let end = if text.ends_with('\n') { "" } else { "\n" };
            fs::write(file, format!("{text}{end}")).unwrap();
        }
    }
    folder
}

fn cases() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"))
}

#[test]
fn configs_are_read_as_mmengine_reads_them() {
    let folder = folder();
    let options = LoadOptions { package_path: vec![folder.path().join("site")], ..LoadOptions::default() };
    let expected = fs::read_to_string(cases().join("expected.jsonl")).unwrap();
    let mut wrong = Vec::new();
    let (mut same, mut refused) = (0, 0);
    for line in expected.lines() {
        // As text: serde_json has no whole numbers of any size.
        let (name, rest) = line.strip_prefix("{\"file\": \"").unwrap().split_once("\", ").unwrap();
        let is_refused = rest.starts_with("\"error\": ");
        let outcome = load(&folder.path().join(name), &options).and_then(|config| config.to_typed_json());
        let is_different = DIFFERENT.iter().any(|(different, _)| *different == name);
        match outcome {
            Err(_) if is_refused => refused += 1,
            Ok(text) if line == format!("{{\"file\": {:?}, \"config\": {text}}}", name) => {
                assert!(!is_different, "{name} gives the same");
                same += 1;
            }
            outcome if !is_different => wrong.push(format!("{name}: {outcome:?}\n  expected {line}")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} configs differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(same >= 400 && refused >= 300, "{same} are the same, {refused} are refused by both");
}

#[test]
fn a_generator_is_assigned_to_a_slice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.py");
    fs::write(&file, "x = [1, 2, 3]\nx[1:2] = (i * 10 for i in x)\n").unwrap();
    let config = load(&file, &LoadOptions::default()).unwrap();
    assert_eq!(config.to_json().unwrap(), "{\"x\": [1, 10, 20, 30, 3]}");
}

/// PyYAML keeps a block of text as it is if the file ends in it.
#[test]
fn a_block_of_text_at_the_end_of_a_yaml_file_has_no_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    for (text, value) in
        [("a: |\n  x", "x"), ("a: >\n  x\n  y", "x y"), ("a: |\n  x\n ", "x\\n"), ("a: |\n  x\n# b", "x\\n")]
    {
        fs::write(&file, text).unwrap();
        let config = load(&file, &LoadOptions::default()).unwrap();
        assert_eq!(config.to_json().unwrap(), format!("{{\"a\": \"{value}\"}}"));
    }
}

#[test]
fn errors_show_the_line_and_a_caret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.py");
    fs::write(&file, "x = 1\nmodel = dict(depth=x,\n             type=y)\n").unwrap();
    let error = load(&file, &LoadOptions::default()).unwrap_err().to_string();
    let expected = format!(
        "{}:3:19: NameError: name 'y' is not defined\n                 type=y)\n                      ^",
        file.display()
    );
    assert_eq!(error, expected);
}

/// What a base takes of the limits does not depend on who has read it before, and each config has its own error.
#[test]
fn several_configs_are_read_as_one_by_one() {
    let folder = folder();
    let mut files: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "py"));
    // The last of the chain is too far from the first, also if all between them are known.
    for number in 0..120 {
        let file = folder.path().join(format!("chain_{number:03}.py"));
        fs::write(&file, format!("_base_ = 'chain_{:03}.py'\n", number + 1)).unwrap();
        files.push(file);
    }
    fs::write(folder.path().join("chain_120.py"), "x = 1\n").unwrap();
    files.sort();
    files.reverse();
    assert!(files.len() > 600, "{}", files.len());
    let options = LoadOptions::default();
    let text = |_: &Path, config: Result<Config, Error>| config.and_then(|config| config.to_typed_json());
    let mut together = Vec::new();
    load_each(&files, &options, text, |text| together.push(text));
    let limits =
        together.iter().filter(|text| text.as_ref().is_err_and(|error| error.kind == ErrorKind::Limit)).count();
    assert!(limits >= 19, "{limits}");
    for (file, together) in files.iter().zip(together) {
        let alone = text(file, load(file, &options));
        let kinds = (alone.as_ref().map_err(|error| error.kind), together.as_ref().map_err(|error| error.kind));
        assert_eq!(kinds.0, kinds.1, "{}", file.display());
    }
}

/// Each would take minutes, all memory, or the process.
#[test]
fn hostile_configs_end_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.py");
    let deep = format!("x = {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let minus = format!("x = {}1", "-".repeat(200_000));
    let sum = format!("x = {}1", "1 + ".repeat(100_000));
    let long_name = format!("{} = 1", "x".repeat(2_000));
    for text in [
        "x = 10 ** 10 ** 10",
        "x = 1 << 10 ** 11",
        "x = 'a' * 10 ** 11",
        "x = [0] * 10 ** 10",
        "x = list(range(10 ** 12))",
        "while True: pass",
        "x = [1]\nfor i in x: x.append(i)",
        "def f(n): return f(n)\nx = f(1)",
        "f = lambda n: f(n + 1)\nx = f(1)",
        "x = []\nfor i in range(60): x = [x, x]",
        "x = []\nx.append(x)",
        "x = []\nfor i in range(10 ** 6): x = [x]",
        "x = '%1000000000d' % 1",
        "x = f'{1:1000000000}'",
        "x = 'a'.center(10 ** 11)",
        "x = '{0:{1}}'.format(1, 10 ** 9)",
        "x = open('/etc/passwd').read()",
        "x = __import__('os').system('true')",
        "import subprocess",
        "import os\nx = os.environ",
        "x = ().__class__.__bases__[0].__subclasses__()",
        "x = '{0.__class__}'.format(1)",
        "x = getattr(1, '__class__')",
        "x = eval('1')",
        "_base_ = 'a.py'",
        "t = ()\nfor i in range(60): t = (t, t)\nx = isinstance(1, t)",
        "t = ()\nfor i in range(10 ** 6): t = (t,)\nx = isinstance(1, t)",
        "t = (1,)\nfor i in range(60): t = (t, t)\nx = {t: 1}",
        "t = tuple(range(10 ** 6))\nd = {}\nfor i in range(10 ** 6): d[t] = i",
        "a = [0] * 10 ** 6\nb = [0] * 10 ** 6\nx = [a == b for i in a]",
        "a = [0] * 10 ** 6\nfor i in range(10 ** 6): a.reverse()",
        "import os.path as osp\na = 'x'\nfor i in range(64): a = osp.join(a, a)",
        "a = [('\\n' * 10 ** 7).splitlines() for i in range(1000)]",
        "a = [1, 2]\na.sort(key=lambda x: a.append(x))",
        "a = {}\na['b'] = [a]",
        "a = vars()",
        long_name.as_str(),
        deep.as_str(),
        minus.as_str(),
        sum.as_str(),
    ] {
        fs::write(&file, text).unwrap();
        let outcome = load(&file, &LoadOptions::default());
        let error = outcome.expect_err(&text.chars().take(60).collect::<String>()).to_string();
        assert!(error.len() < 2_000 && error.contains("a.py"), "{error}");
    }
}
