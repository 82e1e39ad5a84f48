//! Sources: paths, `file://`, names of the zoo from a cache that is already filled, and schemes of one's own.

use std::fs;

use mmcv_checkpoint::{
    CheckpointLoader, ErrorKind, LoadOptions, Located, load_checkpoint, open_checkpoint, register_scheme,
};
use mmcv_zoo::{FetchOptions, NameTable, Scheme, Zoo};

use crate::setup::{LOADED, entries, network, sum, write};

#[test]
fn names_of_the_users_table_are_loaded() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), &entries(""), Some("state_dict"));
    fs::write(home.path().join("open_mmlab.json"), r#"{"mine": "weights.pth"}"#).unwrap();
    let loader = CheckpointLoader::new().with_zoo(Zoo::new(home.path()).unwrap().with_offline(true));
    for source in ["open-mmlab://mine", "openmmlab://mine", "OPEN-MMLAB://mine"] {
        let module = network();
        loader.load_checkpoint(&module, source, &LoadOptions::default()).unwrap();
        assert_eq!(sum(&module), LOADED, "{source}");
    }
}

#[test]
fn what_the_zoo_refuses_is_told_with_the_source() {
    let home = tempfile::tempdir().unwrap();
    let loader = CheckpointLoader::new().with_zoo(Zoo::new(home.path()).unwrap().with_offline(true));
    for source in [
        "torchvision://resnet50",
        "torchvision://resnet50.default",
        "torchvision://ResNet50_Weights.IMAGENET1K_V1",
        "modelzoo://resnet50",
        "mmcls://vgg11",
        "https://user:secret@example.invalid/a-012345.pth",
        "http://example.invalid/a-012345.pth",
    ] {
        let error = loader.locate(source, &FetchOptions::default()).unwrap_err();
        assert!(error.to_string().contains("MMCV_OFFLINE"), "{source}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let error = loader.locate("torchvision://no_such_model", &FetchOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("torchvision://no_such_model"), "{error}");
}

#[test]
fn paths_and_file_urls_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &entries(""), None);
    for source in [file.display().to_string(), format!("file://{}", file.display())] {
        let module = network();
        load_checkpoint(&module, &source, &LoadOptions::default()).unwrap();
        assert_eq!(sum(&module), LOADED, "{source}");
    }
    let error = open_checkpoint("file://relative/a.pth", &FetchOptions::default()).unwrap_err();
    assert!(error.to_string().contains("file:///absolute/path"), "{error}");
    let error = open_checkpoint("/no/such/file.pth", &FetchOptions::default()).unwrap_err();
    assert!(error.to_string().contains("/no/such/file.pth"), "{error}");
}

#[test]
fn an_unknown_scheme_lists_the_known_ones() {
    let error = open_checkpoint("s3://user:secret@bucket/a.pth", &FetchOptions::default()).unwrap_err();
    let text = error.to_string();
    for known in ["`torchvision`", "`mmcls`", "`https`", "`file`", "`open-mmlab`", "s3"] {
        assert!(text.contains(known), "{text}");
    }
    assert!(matches!(*error.kind, ErrorKind::UnknownScheme { .. }) && !text.contains("secret"), "{text}");
}

#[test]
fn a_scheme_of_ones_own_gives_a_file_and_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &entries("backbone."), None);
    let mut loader = CheckpointLoader::new();
    let found = move |source: &str, _: &FetchOptions<'_>| match source.strip_prefix("mine://") {
        Some("weights") => Ok(Located { file: file.clone(), prefix: Some("backbone".to_owned()) }),
        _ => Err("there is only mine://weights"),
    };
    loader.register_scheme("mine", found.clone()).unwrap();
    let module = network();
    loader.load_checkpoint(&module, "mine://weights", &LoadOptions::default()).unwrap();
    assert_eq!(sum(&module), LOADED);
    let error = loader.open("mine://others", &FetchOptions::default()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().starts_with("mine://others") && cause.contains("only mine://weights"), "{error}");

    for taken in ["mine", "https", "torchvision", "file"] {
        let error = loader.register_scheme(taken, found.clone()).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
    }
    for odd in ["", "My", "1a", "a:b", "a/b"] {
        assert!(loader.register_scheme(odd, found.clone()).is_err(), "{odd}");
    }
    // The free functions have a loader of their own.
    assert!(open_checkpoint("mine://weights", &FetchOptions::default()).is_err());
    register_scheme("mine", found).unwrap();
    open_checkpoint("mine://weights", &FetchOptions::default()).unwrap();
}

#[test]
fn mmcls_keeps_what_is_under_the_backbone() {
    let home = tempfile::tempdir().unwrap();
    let mut tensors = entries("backbone.");
    tensors.extend(entries("head."));
    let file = write(home.path(), &tensors, Some("state_dict"));
    let zoo = Zoo::new(home.path()).unwrap().with_offline(true);
    // The user's config says that this file is the one behind the name.
    let refused = zoo.import("mmcls://vgg11", &file, &FetchOptions::default()).unwrap_err();
    let mmcv_zoo::ErrorKind::WrongDigest { found, .. } = refused.kind() else { panic!("{refused}") };
    let mmcv_zoo::Resolved::Url(url) = zoo.resolve("mmcls://vgg11").unwrap() else { panic!("no URL") };
    let config = format!(r#"{{"digests": {{"{}": "{found}"}}}}"#, url.as_str());
    fs::write(home.path().join("config.json"), config).unwrap();
    // A zoo reads its settings once.
    let zoo = Zoo::new(home.path()).unwrap().with_offline(true);
    zoo.import("mmcls://vgg11", &file, &FetchOptions::default()).unwrap();

    let (module, loader) = (network(), CheckpointLoader::new().with_zoo(zoo));
    let report = loader.load_checkpoint(&module, "mmcls://vgg11", &LoadOptions::default()).unwrap();
    assert_eq!((report.loaded.len(), report.unexpected.len(), sum(&module)), (7, 0, LOADED));
}

/// A toy scheme, added by following `docs/adding-a-scheme.md`.
#[test]
fn a_scheme_of_the_zoo_is_one_of_the_loader() {
    static NAMES: NameTable = NameTable::new("toy.json", r#"{"mine": "https://h/weights.pth"}"#);
    static TOY: Scheme = Scheme::table("toy", &NAMES).with_prefix("backbone.");
    let home = tempfile::tempdir().unwrap();
    let mut tensors = entries("backbone.");
    tensors.extend(entries("head."));
    let file = write(home.path(), &tensors, Some("state_dict"));
    let zoo = Zoo::new(home.path()).unwrap().with_offline(true).with_scheme(&TOY).unwrap();
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    zoo.import("toy://mine", &file, &any).unwrap();

    let (module, loader) = (network(), CheckpointLoader::new().with_zoo(zoo));
    let opened = loader.open("toy://mine", &any).unwrap();
    let report = opened.load_into(&module, &LoadOptions::default()).unwrap();
    assert_eq!((report.loaded.len(), report.unexpected.len(), sum(&module)), (7, 0, LOADED));
    let error = loader.open("s3://a", &any).unwrap_err();
    assert!(error.to_string().contains("`toy`"), "{error}");
}
