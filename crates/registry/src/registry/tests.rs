//! Tests of the registry.

use super::*;
use crate::config;

fn registry() -> Registry<u8> {
    let registry = Registry::new("mmengine");
    registry.add(Spec { aliases: &["Conv"], ..Spec::new("Conv2d", 1) }).unwrap();
    registry.add(Spec::new("ReLU", 2)).unwrap();
    registry
}

#[test]
fn add_refuses_and_replace_replaces() {
    let registry = registry();
    let taken = registry.add(Spec::new("Conv", 9)).unwrap_err();
    assert!(taken.to_string().contains("\"Conv\" is already in registry \"mmengine\""), "{taken}");
    registry.replace(Spec::new("Conv", 9));
    assert_eq!(registry.get("Conv").map(|spec| spec.build), Some(9));
    assert_eq!(registry.get("Conv2d").map(|spec| spec.build), Some(1));
    assert_eq!(registry.names(), ["Conv2d", "ReLU", "Conv"]);
}

#[test]
fn aliases_lead_to_the_type() {
    let registry = registry();
    registry.alias("Convolution", "Conv").unwrap();
    assert_eq!(registry.get("Convolution").map(|spec| spec.name), Some("Conv2d"));
    assert!(registry.alias("Convolution", "ReLU").is_err());
    assert!(registry.alias("X", "Nothing").is_err());
}

#[test]
fn scopes_as_in_mmengine() {
    let root = registry();
    let mmdet = root.child("mmdet").unwrap();
    let inner = mmdet.child("inner").unwrap();
    mmdet.add(Spec::new("ReLU", 20)).unwrap();
    inner.add(Spec::new("Own", 30)).unwrap();
    let build = |registry: &Registry<u8>, name: &str| registry.get(name).map(|spec| spec.build);
    assert_eq!(build(&root, "ReLU"), Some(2));
    assert_eq!(build(&root, "mmdet.ReLU"), Some(20));
    assert_eq!(build(&mmdet, "ReLU"), Some(20));
    assert_eq!(build(&mmdet, "mmengine.ReLU"), Some(2));
    assert_eq!(build(&mmdet, "Conv2d"), Some(1), "falls back to the parent");
    assert_eq!(build(&root, "mmdet.Conv2d"), Some(1), "a scope falls back too");
    assert_eq!(build(&root, "inner.Own"), Some(30));
    assert_eq!(build(&root, "Own"), None);
    root.set_default_scope(Some("mmdet"));
    assert_eq!(build(&root, "ReLU"), Some(20));
    assert_eq!(build(&root, "Conv2d"), Some(1));
    root.set_default_scope(None);
    let scoped = config! { type: "ReLU", _scope_: "mmdet" };
    let (spec, arguments) = root.resolve(&scoped, &KeyPath::root()).unwrap();
    assert_eq!((spec.build, arguments.is_empty()), (20, true));
    assert_eq!(build(&root, "ReLU"), Some(2));
    assert!(root.child("mmdet").is_err());
    drop((mmdet, inner));
    assert_eq!(build(&root, "mmdet.ReLU"), None);
}

#[test]
fn types_of_other_libraries_are_taken_for_ours() {
    let root = registry();
    root.accept_scope("mmdet", |name, arguments| {
        if name == "ReLU" {
            arguments.set_default("slope", 2);
        }
    });
    root.accept_scope("mmcv.cnn", |_, _| {});
    root.note_absent(&["DCN", "mmcv.ops"], "it is of mmcv.ops, which is not here");
    let build = |registry: &Registry<u8>, name: &str| registry.get(name).map(|spec| spec.build);
    for name in ["mmdet.ReLU", "mmdet.models.ReLU", "mmcv.cnn.ReLU", "mmcv.cnn.bricks.activation.ReLU"] {
        assert_eq!(build(&root, name), Some(2), "{name}");
    }
    for name in ["mmdetection.ReLU", "mmcv.ReLU", ".ReLU", "ReLU.", "mmdet..", "nosuch.ReLU"] {
        assert_eq!(build(&root, name), None, "{name}");
    }
    let arguments = |cfg: Config| root.resolve(&cfg, &KeyPath::root()).map(|(_, arguments)| arguments.to_string());
    assert_eq!(arguments(config! { type: "mmdet.ReLU" }).unwrap(), "{slope: 2}");
    assert_eq!(arguments(config! { type: "mmdet.ReLU", slope: 3 }).unwrap(), "{slope: 3}");
    assert_eq!(arguments(config! { type: "ReLU", _scope_: "mmdet" }).unwrap(), "{slope: 2}");
    assert_eq!(arguments(config! { type: "mmdet.Conv2d" }).unwrap(), "{}");
    assert_eq!(arguments(config! { type: "ReLU" }).unwrap(), "{}");
    let message = |cfg: Config| arguments(cfg).unwrap_err().to_string();
    assert!(
        message(config! { type: "nosuch.ReLU" })
            .contains("there is no scope \"nosuch\"; the scopes are mmengine, mmdet")
    );
    assert!(message(config! { type: "ReLU", _scope_: "nosuch" }).starts_with("_scope_: expected the name of a scope"));
    assert!(message(config! { type: "mmdet.ReLUU" }).contains("did you mean \"ReLU\""));
    for name in ["DCN", "mmcv.ops.DCN", "mmcv.ops.RoIAlign", "mmdet.DCN"] {
        assert!(message(config! { type: name }).contains("it is of mmcv.ops"), "{name}");
    }
    // A registered scope is looked up first, and has no other defaults.
    let own = root.child("mmdet").unwrap();
    own.add(Spec::new("ReLU", 20)).unwrap();
    assert_eq!(build(&root, "mmdet.ReLU"), Some(20));
    assert_eq!(root.resolve(&config! { type: "mmdet.ReLU" }, &KeyPath::root()).unwrap().1, Dict::new());
}

#[test]
fn errors_say_what_where_and_what_else() {
    let path = KeyPath::root().key("conv_cfg");
    let registry = registry();
    let message = |cfg: Config| registry.resolve(&cfg, &path).unwrap_err().to_string();
    assert_eq!(
        message(config! { type: "Conv2D" }),
        "conv_cfg.type: \"Conv2D\" is not in registry \"mmengine\", did you mean \"Conv2d\"?"
    );
    assert!(message(config! { type: "Zzz" }).contains("it holds Conv2d, ReLU, Conv"));
    assert!(message(config! { typ: "ReLU" }).starts_with("conv_cfg.type: missing"));
    assert!(message(config! { typ: "ReLU" }).ends_with("under the key \"type\" (not \"typ\")"));
    assert!(message(config! { type: 3 }).contains("got 3"));
    assert!(message(Config::from("ReLU")).contains("expected a dict with the key \"type\", such as {type: \"ReLU\"}"));
}
