//! A crate of another workspace, made of the blocks of `docs/downstream.md`, depends on mmcv-rs in each of three ways.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The profile of this workspace: with the same one, cargo takes torch-sys as it has been compiled for these tests.
const PROFILE: &str = "
[workspace]

[profile.dev]
debug = \"line-tables-only\"

[profile.dev.package.\"*\"]
debug = false
";

/// The parts of the page.
struct Page {
    manifests: [String; 3],
    main: String,
    build: String,
}

impl Page {
    fn read() -> Self {
        let page = fs::read_to_string(root().join("docs/downstream.md")).unwrap();
        let manifests = blocks(&page, "toml").try_into().expect("the page has three manifests");
        let [main, build] = blocks(&page, "rust").try_into().expect("the page has main.rs and build.rs");
        Self { manifests, main, build }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The blocks of code in a language, in the order of the page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fences = page.split("```").skip(1).step_by(2);
    fences.filter_map(|block| Some(block.strip_prefix(language)?.strip_prefix('\n')?.to_owned())).collect()
}

/// The folder of a crate.
fn write_crate(manifest: &str, main: &str, build: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    write("Cargo.toml", &(manifest.replace("/path/to/mmcv-rs", root().to_str().unwrap()) + PROFILE));
    write("src/main.rs", main);
    write("build.rs", build);
    // The versions of this workspace, which are here already: the test needs no network.
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    folder
}

/// Builds the crate and runs its program, which must find libtorch by itself.
fn build_and_run(manifest: &str, main: &str, build: &str) {
    let folder = write_crate(manifest, main, build);
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

/// What `cargo metadata` says about the packages of a workspace, by their names. It needs no network.
fn packages(folder: &Path) -> BTreeMap<String, Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(folder);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), package.clone())).collect()
}

#[test]
fn a_crate_of_another_workspace_finds_libtorch() {
    let Page { manifests: [facade, _, layers], main, build } = Page::read();
    build_and_run(&facade, &main, &build);
    let imports = "use mmcv_layers::build_activation_layer;\nuse mmcv_registry::config;";
    build_and_run(&layers, &main.replace("use mmcv::prelude::*;", imports), &build);
}

/// The download itself needs a network, and 200 MB of it, so the test stops before: it checks that the manifest asks for the
/// feature, and that the feature leads from each crate to tch, which downloads.
#[test]
fn libtorch_is_downloaded_by_a_feature_of_every_crate() {
    let Page { manifests: [_, download, _], main, build } = Page::read();
    let folder = write_crate(&download, &main, &build);
    let dependencies = packages(folder.path())["downstream"]["dependencies"].clone();
    let facade = dependencies.as_array().unwrap().iter().find(|dependency| dependency["name"] == "mmcv").unwrap();
    assert_eq!(facade["features"], serde_json::json!(["download-libtorch"]));

    let packages = packages(&root());
    for feature in ["download-libtorch", "doc-only"] {
        let has_feature =
            |name: &str| name == "tch" || packages.get(name).is_some_and(|it| !it["features"][feature].is_null());
        for (name, package) in &packages {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            for dependency in dependencies.filter(|dependency| dependency["kind"].is_null()) {
                let dependency = dependency["name"].as_str().unwrap();
                // Nobody depends on the command and on the tests.
                if !has_feature(dependency) || ["mmcv-cli", "mmcv-tests"].contains(&name.as_str()) {
                    continue;
                }
                let leads_to = package["features"][feature].as_array().expect(name);
                let [plain, optional] = [format!("{dependency}/{feature}"), format!("{dependency}?/{feature}")];
                assert!(leads_to.iter().any(|next| *next == *plain || *next == *optional), "{name}: {plain}");
            }
        }
    }
}
