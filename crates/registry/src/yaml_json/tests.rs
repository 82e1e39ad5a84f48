//! Tests of texts.

use crate::Config;

#[test]
fn yaml_gives_ordered_values_of_the_right_type() {
    let text = "b: 1\na: [1.5, 1e-3, yes, 'x', ~]\nc: &base {type: BN, eps: 1.0e-5}\nd: {<<: *base, eps: 2}\n0: z\n";
    let config = Config::from_yaml(text).unwrap();
    assert_eq!(
        config.to_string(),
        r#"{b: 1, a: [1.5, 0.001, "yes", "x", null], c: {type: "BN", eps: 1e-5}, d: {type: "BN", eps: 2}, 0: "z"}"#
    );
}

#[test]
fn python_tuples_are_lists_and_other_tags_are_refused() {
    assert_eq!(Config::from_yaml("a: !!python/tuple [1, 2]").unwrap().to_string(), "{a: [1, 2]}");
    let error = Config::from_yaml("a: {b: !path [1]}").unwrap_err().to_string();
    assert!(error.starts_with("a.b: ") && error.contains("!path"), "{error}");
    for tag in ["!!python/object/apply:os.system", "!<tag:yaml.org,2002:python/object:x.Y>", "!!python/name:x"] {
        let error = Config::from_yaml(&format!("b: 1\na: {tag} ['ls']")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("runs code"), "{error}");
    }
    let harmless =
        "a: [!!python/tuple [1], !!python/unicode x] # !!python/object/apply:os.system\nb: '!!python/name:x'\n";
    assert_eq!(Config::from_yaml(harmless).unwrap().to_string(), r#"{a: [[1], "x"], b: "!!python/name:x"}"#);
}

#[test]
fn mistakes_have_line_and_column() {
    let error = Config::from_yaml("a: [1, 2\nb: 3").unwrap_err().to_string();
    assert!(error.contains("YAML") && error.contains("line 2"), "{error}");
    let error = Config::from_yaml("a: 1\na: 2").unwrap_err().to_string();
    assert!(error.contains("the key \"a\" appears twice in one dict"), "{error}");
    for text in ["{\"a\": 1,}", "{\"a\": 1, \"a\": 2}", "{\"a\": 18446744073709551615}"] {
        let error = Config::from_json(text).unwrap_err().to_string();
        assert!(error.contains("JSON") && error.contains("line 1 column"), "{error}");
    }
}

#[test]
fn json_and_yaml_come_back() {
    let config = crate::config! { type: "BN", eps: 1e-5, sizes: [1, 2], act_cfg: null, inner: { flag: true } };
    assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
    assert_eq!(Config::from_yaml(&config.to_yaml()).unwrap(), config);
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::from_file("/nonexistent/x.yaml").unwrap_err().to_string();
    assert!(error.contains("/nonexistent/x.yaml"), "{error}");
}
