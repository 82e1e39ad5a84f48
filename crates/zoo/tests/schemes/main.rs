//! A toy scheme, added by following `docs/adding-a-scheme.md`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use mmcv_zoo::{ErrorKind, FetchOptions, NameTable, Resolved, Scheme, Zoo};

// Step 1 and 2 of the page: the names and the entry.
static NAMES: NameTable = NameTable::new(
    "toy.json",
    r#"{"resnet50": "https://models.example/resnet50-ba7816bf.pth", "resnet101": "https://models.example/r101.pth"}"#,
);
static TOY: Scheme = Scheme::table("toy", &NAMES)
    .with_aliases(&["toys"])
    .with_deprecated_aliases(&["oldtoy"])
    .with_normalization(str::to_lowercase)
    .with_prefix("backbone.");

fn zoo(home: &std::path::Path) -> Zoo {
    Zoo::new(home).unwrap().with_offline(true).with_scheme(&TOY).unwrap()
}

#[test]
fn names_of_the_scheme_are_fetched() {
    let home = tempfile::tempdir().unwrap();
    let zoo = zoo(home.path());
    let file = home.path().join("checkpoints/resnet50-ba7816bf.pth");
    for source in ["toy://resnet50", "TOYS://resnet50", "oldtoy://ResNet50"] {
        assert_eq!(zoo.path(source).unwrap(), file, "{source}");
        let Resolved::Url(url) = zoo.resolve(source).unwrap() else { panic!("{source} is no URL") };
        assert_eq!(url.as_str(), "https://models.example/resnet50-ba7816bf.pth");
    }
    // The local file has the digest in its name, so no request is needed.
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "abc").unwrap();
    assert_eq!(zoo.fetch("toy://resnet50", &FetchOptions::default()).unwrap(), file);
    assert_eq!(zoo.scheme("toys://resnet50").unwrap().prefix(), Some("backbone."));
    assert_eq!(zoo.canonical_name("toys://resnet50"), "toy://resnet50");
}

#[test]
fn errors_list_the_scheme_and_its_names() {
    let home = tempfile::tempdir().unwrap();
    let zoo = zoo(home.path());
    let unknown = zoo.resolve("toy://resnet5").unwrap_err();
    assert!(unknown.to_string().contains("no such model in the toy table; nearest: `resnet50`"), "{unknown}");
    let elsewhere = zoo.resolve("resnet50").unwrap_err();
    assert!(elsewhere.to_string().contains("`toy://resnet50`"), "{elsewhere}");
    let scheme = zoo.resolve("s3://a").unwrap_err();
    assert!(scheme.to_string().ends_with("mmcls://, toy://, toys:// and oldtoy://"), "{scheme}");
}

#[test]
fn a_scheme_needs_a_valid_name_of_its_own() {
    static TAKEN: Scheme = Scheme::table("mine", &NAMES).with_aliases(&["torchvision"]);
    static FILE: Scheme = Scheme::table("file", &NAMES);
    static INVALID: Scheme = Scheme::table("My", &NAMES);
    for (scheme, words) in [(&TAKEN, "taken"), (&FILE, "taken"), (&INVALID, "lowercase"), (&TOY, "taken")] {
        let home = tempfile::tempdir().unwrap();
        let error = zoo(home.path()).with_scheme(scheme).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidScheme { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
