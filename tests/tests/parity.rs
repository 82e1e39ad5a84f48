//! The committed cases, which the Python reference made (`tests/parity/generate.py`).

use std::path::Path;

use mmcv_tests::{device, parity};

fn replay(group: &str) {
    let device = device().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(group);
    let cases = parity::find(&folder).unwrap();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| parity::replay(case, device).err().map(|error| format!("{}: {error:#}", case.display())))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

macro_rules! groups {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        /// A folder without a test would never be replayed.
        #[test]
        fn every_folder_of_cases_has_a_test() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
            for entry in std::fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!([$(stringify!($name)),*].contains(&name.as_str()), "{name} has no test");
            }
        }
    };
}

groups! { activation bricks classifier containers conv conv_module dtypes hrnet initialisation mobilenet_v2 norm padding plugins regnet res2net resnet resnext transformer upsample vgg wrappers }
