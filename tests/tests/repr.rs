//! The tree of modules is shown as Python shows it.

use mmcv::layers::explain;
use mmcv::registry::Config;
use serde::Deserialize;

#[derive(Deserialize)]
struct Shown {
    cfg: Config,
    repr: String,
}

#[test]
fn trees_are_those_of_python() {
    let shown: Vec<Shown> = serde_json::from_str(include_str!("../fixtures/repr/repr.json")).unwrap();
    assert!(shown.len() > 100);
    for Shown { cfg, repr } in shown {
        let module = mmcv::build_model(&cfg).unwrap_or_else(|error| panic!("{cfg}: {error}"));
        assert_eq!(explain::repr(&*module), repr, "{cfg}");
    }
}
