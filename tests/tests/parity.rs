//! Each committed parity case as a test of its own name, `GROUP::NAME`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use mmcv_tests::{device, parity};

fn main() {
    let mut arguments = Arguments::from_args();
    // The cases seed the one generator of the process.
    arguments.test_threads = Some(1);
    let cases = parity::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap();
    assert!(!cases.is_empty(), "no case was found");
    let trials = cases.into_iter().map(|file| Trial::test(name(&file), move || replay(&file))).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn name(file: &Path) -> String {
    let group = file.parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}::{}", group.display(), file.file_stem().unwrap_or_default().display())
}

fn replay(file: &Path) -> Result<(), Failed> {
    let Err(error) = parity::replay(file, device()?) else { return Ok(()) };
    Err(format!("{error:#}\n{}", parity::details(file)?.join("\n")).into())
}
