//! `mmcv layers`.

use std::path::Path;

use serde_json::Value;

use crate::run;

#[test]
fn the_page_is_what_the_registry_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/layers.md");
    let committed = std::fs::read_to_string(page).unwrap();
    let made = run(["layers", "--markdown"]).done();
    assert!(committed == made, "docs/layers.md is out of step: `mmcv layers --markdown > docs/layers.md` makes it");
}

#[test]
fn a_type_is_shown_with_its_arguments() {
    let text = run(["layers", "BN"]).done();
    assert!(text.starts_with("BN2d: ") && text.contains("also: BN"), "{text}");
    assert!(text.contains("eps (a number): `1e-5`") && text.contains("num_features (an integer): required"), "{text}");
    let json: Value = serde_json::from_str(&run(["layers", "ConvModule", "--json"]).done()).unwrap();
    assert_eq!(json[0]["arguments"][0]["name"], "in_channels");
    let message = run(["layers", "ConvModul"]).failed();
    assert!(message.contains("did you mean \"ConvModule\"?"), "{message}");
}
