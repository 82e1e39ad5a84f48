//! What holds for every registered type.

use std::collections::BTreeSet;
use std::path::Path;

use mmcv::MODELS;
use mmcv::registry::{Config, KeyPath};
use mmcv_tests::parity;

#[test]
fn names_and_aliases_are_unique() {
    let names = MODELS.names();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), unique.len());
}

#[test]
fn every_type_and_argument_is_documented() {
    for spec in MODELS.specs() {
        assert!(!spec.doc.is_empty() && !spec.source.is_empty() && !spec.group.is_empty(), "{}", spec.name);
        for field in spec.fields {
            assert!(!field.doc.trim().is_empty(), "{}.{}", spec.name, field.name);
        }
    }
}

#[test]
fn every_default_is_accepted_by_its_own_decoder() {
    for spec in MODELS.specs().iter().filter(|spec| spec.fields.iter().all(|field| field.default.is_some())) {
        let defaults = spec.fields.iter().filter_map(|field| Some((field.name, field.default?())));
        let mut cfg: mmcv::registry::Dict = defaults.collect();
        cfg.insert("type", spec.name);
        mmcv::build_model(&Config::Dict(cfg)).unwrap_or_else(|error| panic!("{}: {error}", spec.name));
    }
}

#[test]
fn every_type_has_a_parity_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut seen = BTreeSet::new();
    for file in parity::find(&folder).unwrap() {
        let case = parity::Case::read(&file).unwrap();
        if let Some(name) = case.description.cfg.get("type").and_then(Config::as_str) {
            seen.extend(MODELS.lookup(name, &KeyPath::root()).ok().map(|spec| spec.name));
        }
    }
    let without: Vec<_> = MODELS.specs().iter().map(|spec| spec.name).filter(|name| !seen.contains(name)).collect();
    assert!(without.is_empty(), "no case for {without:?}");
}
