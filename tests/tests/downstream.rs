//! A crate of another workspace, made of the blocks of `docs/downstream.md`, is built and finds libtorch when it starts.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The profile of this workspace: with the same one, cargo takes torch-sys as it has been compiled for these tests.
const PROFILE: &str = "
[workspace]

[profile.dev]
debug = \"line-tables-only\"

[profile.dev.package.\"*\"]
debug = false
";

#[test]
fn a_crate_of_another_workspace_finds_libtorch() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let page = fs::read_to_string(root.join("docs/downstream.md")).unwrap();
    let [manifest] = &blocks(&page, "toml")[..] else { panic!("the page has one manifest") };
    let [main, build] = &blocks(&page, "rust")[..] else { panic!("the page has main.rs and build.rs") };

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    write("Cargo.toml", &(manifest.replace("/path/to/mmcv-rs", root.to_str().unwrap()) + PROFILE));
    write("src/main.rs", main);
    write("build.rs", build);
    // The versions of this workspace, which are here already: the test needs no network.
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    // The folder into which these tests were built: cargo's `tmp` folder for tests lies in it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline"]).current_dir(folder.path()).env("CARGO_TARGET_DIR", target);
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let program = target.join("debug/downstream");
    let run = Command::new(program).current_dir("/").env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(String::from_utf8_lossy(&run.stdout), "[0.0, 2.0]\n");
}

/// The blocks of code in a language, in the order of the page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fences = page.split("```").skip(1).step_by(2);
    fences.filter_map(|block| Some(block.strip_prefix(language)?.strip_prefix('\n')?.to_owned())).collect()
}
