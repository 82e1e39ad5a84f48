//! Looking after a cache: digests from tables, mirrors from files, verify, prune, bundles.

use std::fs;

use mmcv_zoo::{Error, ErrorKind, FetchOptions, PruneOptions, Status, Zoo};

use crate::server::{Server, content, sha256};
use crate::setup::{Setup, setup};

/// A server with one good file under every path.
fn good() -> (Setup, Vec<u8>, String) {
    let (body, name) = content(5000);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        answer.file_or_range(request, &served);
    });
    (setup, body, name)
}

fn fetch(zoo: &Zoo, url: &str) -> Result<std::path::PathBuf, Error> {
    zoo.fetch(url, &FetchOptions::default())
}

#[test]
fn a_digest_of_the_settings_wins_over_a_wrong_name() {
    let (setup, body, _) = good();
    let (plain, wrong) = (setup.server.url("model.pth"), setup.server.url("model-012345.pth"));
    let digests = serde_json::json!({"digests": {&plain: sha256(&body), &wrong: sha256(&body)}});
    fs::write(setup.home.path().join("config.json"), digests.to_string()).unwrap();
    for url in [&plain, &wrong] {
        let file = fetch(&setup.zoo, url).unwrap();
        assert_eq!(file, setup.zoo.path(url).unwrap());
        assert!(file.ends_with("model.pth"), "a wrong digest is not kept in the name: {}", file.display());
        assert_eq!(fs::read(file).unwrap(), body);
    }
    let verified = setup.zoo.verify(&[]).unwrap();
    assert!(verified.iter().all(|file| matches!(file.status, Status::Good { .. })), "{verified:?}");
    assert_eq!(verified.len(), 2);
}

#[test]
fn names_that_are_known_to_be_wrong_need_a_digest_by_hand() {
    let home = tempfile::tempdir().unwrap();
    let zoo = Zoo::new(home.path()).unwrap().with_offline(true);
    let error = fetch(&zoo, "jhu/resnext101_32x4d_gn").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoDigest { .. }), "{error}");
    assert!(zoo.path("jhu/resnext101_32x4d_gn").unwrap().ends_with("resnext101_32x4d_gn.pth"));
    let error = fetch(&zoo, "jhu/resnext50_32x4d_gn").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Offline { .. }), "{error}");
}

#[test]
fn mirrors_of_the_settings_come_after_those_of_the_environment() {
    let (body, name) = content(1000);
    let served = body.clone();
    let last = Server::start(move |_, answer| {
        answer.file(&served);
    });
    let first = Server::start(|_, answer| {
        answer.send(503, &[("Content-Length", "0")], &[]);
    });
    let setup = setup(|_, answer| {
        answer.send(404, &[("Content-Length", "0")], &[]);
    });
    let folder = tempfile::tempdir().unwrap();
    let empty = format!("file://{}/", folder.path().display());
    let mirrors = serde_json::json!({"mirrors": {setup.server.url(""): [empty, last.url("")]}});
    fs::write(setup.home.path().join("config.json"), mirrors.to_string()).unwrap();
    let zoo = setup.zoo.clone().with_mirrors(&format!("{}={}", setup.server.url(""), first.url(""))).unwrap();
    assert_eq!(fs::read(fetch(&zoo, &setup.server.url(&name)).unwrap()).unwrap(), body);
    assert_eq!((first.requests().len(), last.requests().len(), setup.request_count()), (2, 1, 0));
    assert_eq!(zoo.mirrors().unwrap().len(), 3);
    let told = zoo.locate(&setup.server.url(&name)).unwrap();
    assert!(told.cached && told.mirrors.len() == 3 && told.digest.is_some());
}

#[test]
fn verify_hashes_again_and_changes_nothing() {
    let (setup, body, name) = good();
    let file = setup.fetch(&name).unwrap();
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    let unnamed = setup.zoo.fetch(&setup.server.url("model.pth"), &any).unwrap();
    let status = |zoo: &Zoo| zoo.verify(&[]).unwrap().into_iter().map(|file| file.status).collect::<Vec<_>>();
    assert!(status(&setup.zoo).iter().all(|status| matches!(status, Status::Good { .. })));

    // The size and the times stay, as where a disk fails.
    let times = fs::metadata(&file).unwrap().modified().unwrap();
    let mut damaged = body.clone();
    damaged[100] ^= 1;
    fs::write(&file, &damaged).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
    fs::write(&unnamed, &damaged).unwrap();
    let found = status(&setup.zoo);
    assert!(found.iter().all(|status| matches!(status, Status::Wrong { .. })), "{found:?}");
    assert_eq!(fs::read(&file).unwrap(), damaged);
    let url = setup.server.url(&name);
    let named = setup.zoo.verify(&[&url, &setup.server.url("other-012345.pth")]).unwrap();
    assert!(matches!(named[0].status, Status::Wrong { .. }) && named[1].status == Status::Missing);
    fetch(&setup.zoo, &url).unwrap();
    assert!(matches!(setup.zoo.verify(&[&url]).unwrap()[0].status, Status::Good { .. }));
}

#[test]
fn prune_removes_leftovers_and_nothing_else() {
    let (body, name) = content(5000);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        if request.path.ends_with("cut-012345.pth") {
            answer.send(200, &[("Content-Length", "5000"), ("ETag", "\"v\"")], &served[..1000]);
        } else {
            answer.file(&served);
        }
    });
    let kept = setup.fetch(&name).unwrap();
    setup.fail("cut-012345.pth");
    fs::write(setup.home.path().join("open_mmlab.json"), r#"{"mine": "own.pth"}"#).unwrap();
    fs::write(setup.home.path().join("own.pth"), "own").unwrap();
    fetch(&setup.zoo, "mine").unwrap();
    assert_eq!(setup.partials().len(), 1);

    let told = setup.zoo.prune(PruneOptions { dry_run: true, all: false }).unwrap();
    assert_eq!(setup.partials().len(), 1);
    let pruned = setup.zoo.prune(PruneOptions::default()).unwrap();
    assert_eq!(pruned, told);
    assert!(pruned.iter().any(|file| file.size == 1000), "{pruned:?}");
    assert_eq!(setup.partials(), [""; 0]);
    assert_eq!(setup.fetch(&name).unwrap(), kept);
    assert_eq!(setup.zoo.prune(PruneOptions::default()).unwrap(), []);

    let pruned = setup.zoo.prune(PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    assert!(pruned.iter().any(|file| file.file == kept) && !kept.exists());
    assert!(setup.home.path().join("own.pth").exists());
    assert_eq!(setup.zoo.cached().unwrap(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_file_that_another_process_fetches_is_left_alone() {
    let (setup, _, name) = good();
    let file = setup.fetch(&name).unwrap();
    let state = setup.home.path().join("checkpoints/.state");
    let lock = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let lock = lock.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "lock")).unwrap();
    let held = fs::File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    let pruned = setup.zoo.prune(PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    assert_eq!(pruned, []);
    assert!(file.exists() && lock.exists());
}

#[test]
fn a_bundle_serves_without_any_request() {
    let (setup, body, name) = good();
    let table = serde_json::json!({"mine": setup.server.url("plain.pth"), "own": "own.pth"});
    fs::write(setup.home.path().join("open_mmlab.json"), table.to_string()).unwrap();
    fs::write(setup.home.path().join("own.pth"), "own").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("new/bundle");
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    let url = setup.server.url(&name);
    let locked = setup.zoo.bundle(&bundle, &[&url], &FetchOptions::default()).unwrap();
    assert_eq!((locked[0].sha256.as_str(), locked[0].size), (sha256(&body).as_str(), 5000));
    setup.zoo.bundle(&bundle, &["open-mmlab://mine", "own"], &any).unwrap();
    let requests = setup.request_count();

    // As the cache folder of another machine.
    let moved = Zoo::new(&bundle).unwrap().with_offline(true);
    for name in [&*url, "mine", "open-mmlab://own"] {
        let file = moved.fetch(name, &FetchOptions::default()).unwrap();
        assert!(file.starts_with(&bundle), "{}", file.display());
    }
    assert!(moved.verify(&[]).unwrap().iter().all(|file| matches!(file.status, Status::Good { .. })));

    // As a mirror: the lock file says where the files are.
    let home = tempfile::tempdir().unwrap();
    let mirror = format!("http://=file://{}/", bundle.display());
    let other = Zoo::new(home.path()).unwrap().with_offline(true).with_mirrors(&mirror).unwrap();
    let file = fetch(&other, &url).unwrap();
    assert_eq!(fs::read(&file).unwrap(), body);
    assert!(file.starts_with(other.home()));
    assert_eq!(setup.request_count(), requests);

    // The lock file has the digest of a file whose name has none.
    fs::write(moved.path("mine").unwrap(), "changed").unwrap();
    assert!(matches!(fetch(&moved, "mine").unwrap_err().kind(), ErrorKind::Offline { .. }));
}

#[test]
fn a_wrong_file_in_a_bundle_is_not_believed() {
    let (setup, body, name) = good();
    let folder = tempfile::tempdir().unwrap();
    let url = setup.server.url(&name);
    setup.zoo.bundle(folder.path(), &[&url], &FetchOptions::default()).unwrap();
    fs::write(folder.path().join("checkpoints").join(&name), "changed").unwrap();
    let mirror = format!("http://=file://{}/", folder.path().display());
    let home = tempfile::tempdir().unwrap();
    let zoo = Zoo::new(home.path()).unwrap().with_mirrors(&mirror).unwrap();
    let offline = zoo.clone().with_offline(true);
    assert!(matches!(fetch(&offline, &url).unwrap_err().kind(), ErrorKind::Offline { .. }));
    assert!(!zoo.path(&url).unwrap().exists());
    // Again into the same folder repairs it.
    setup.zoo.bundle(folder.path(), &[&url], &FetchOptions::default()).unwrap();
    assert_eq!(fs::read(fetch(&offline, &url).unwrap()).unwrap(), body);
}
