//! What the cache does before and after a transfer: names, digests, changed files, mirrors, import.

use std::fs;
use std::path::Path;

use mmcv_zoo::{ErrorKind, FetchOptions, Progress};

use crate::server::{Server, content, sha256};
use crate::setup::{LENGTH, setup};

#[test]
fn a_file_is_fetched_once_and_then_found() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |_, answer| {
        answer.file(&served);
    });
    let path = setup.fetch(&name).unwrap();
    assert_eq!(fs::read(&path).unwrap(), body);
    assert_eq!(path, setup.zoo.home().join("checkpoints").join(&name));
    assert_eq!(setup.fetch(&name).unwrap(), path);
    assert_eq!(setup.request_count(), 1);
    assert_eq!(setup.server.requests()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(setup.partials(), [""; 0]);
}

#[test]
fn progress_is_told() {
    let (body, name) = content(LENGTH);
    let setup = setup(move |_, answer| {
        answer.file(&body);
    });
    let seen = std::cell::RefCell::new(Vec::new());
    let tell = |progress: Progress| seen.borrow_mut().push(progress);
    let options = FetchOptions { progress: Some(&tell), ..FetchOptions::default() };
    setup.zoo.fetch(&setup.server.url(&name), &options).unwrap();
    let total = Some(LENGTH as u64);
    assert_eq!(seen.borrow().first(), Some(&Progress { received: 0, total }));
    assert_eq!(seen.borrow().last(), Some(&Progress { received: LENGTH as u64, total }));
}

#[test]
fn names_without_a_digest_are_refused_before_any_request() {
    let (body, _) = content(100);
    let digest = sha256(&body);
    let setup = setup(move |_, answer| {
        answer.file(&body);
    });
    let error = setup.fail("model_20200130.pth");
    assert!(matches!(error.kind(), ErrorKind::NoDigest { .. }), "{error}");
    assert!(error.to_string().contains("`model_20200130.pth` contains no digest"), "{error}");
    assert_eq!(setup.request_count(), 0);

    let url = setup.server.url("model_20200130.pth");
    let wrong = FetchOptions { sha256: "0123456789".parse().ok(), ..FetchOptions::default() };
    assert!(matches!(setup.zoo.fetch(&url, &wrong).unwrap_err().kind(), ErrorKind::WrongDigest { .. }));
    let right = FetchOptions { sha256: digest.parse().ok(), ..FetchOptions::default() };
    assert_eq!(setup.zoo.fetch(&url, &right).unwrap(), setup.zoo.path(&url).unwrap());
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    assert!(setup.zoo.fetch(&url, &any).is_ok());
    assert_eq!(setup.request_count(), 2);
    let other = setup.server.url("other/model_20200130.pth");
    assert_ne!(setup.zoo.fetch(&other, &any).unwrap(), setup.zoo.path(&url).unwrap());
}

#[test]
fn a_digest_in_the_name_is_checked_whatever_is_asked_for() {
    let setup = setup(|_, answer| {
        answer.file(b"something else");
    });
    let url = setup.server.url("model-012345.pth");
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    assert!(matches!(setup.zoo.fetch(&url, &any).unwrap_err().kind(), ErrorKind::WrongDigest { .. }));
    let conflict = FetchOptions { sha256: "fedcba987".parse().ok(), ..FetchOptions::default() };
    assert!(matches!(setup.zoo.fetch(&url, &conflict).unwrap_err().kind(), ErrorKind::DigestConflict { .. }));
    assert_eq!(setup.request_count(), 1);
}

#[test]
fn a_changed_file_in_the_cache_is_fetched_again() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |_, answer| {
        answer.file(&served);
    });
    let path = setup.fetch(&name).unwrap();
    for damage in [&b"short"[..], b"", &[1; LENGTH], &[2; LENGTH + 1]] {
        fs::write(&path, damage).unwrap();
        assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
    }
    assert_eq!(setup.request_count(), 5);
}

#[test]
fn a_changed_file_is_never_given_out_when_it_cannot_be_fetched_again() {
    let (body, name) = content(LENGTH);
    let setup = setup(move |request, answer| {
        if request.number == 0 {
            answer.file(&body);
        } else {
            answer.send(404, &[("Content-Length", "0")], &[]);
        }
    });
    let path = setup.fetch(&name).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[LENGTH / 2] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    setup.fail(&name);
}

#[test]
fn offline_only_the_cache_serves() {
    let (body, name) = content(1000);
    let setup = setup(move |_, answer| {
        answer.file(&body);
    });
    let url = setup.server.url(&name);
    let offline = setup.zoo.clone().with_offline(true);
    let error = offline.fetch(&url, &FetchOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Offline { .. }), "{error}");
    let path = setup.fetch(&name).unwrap();
    assert_eq!(offline.fetch(&url, &FetchOptions::default()).unwrap(), path);
    assert_eq!(setup.request_count(), 1);
}

#[test]
fn mirrors_come_first_and_the_digest_decides() {
    let (body, name) = content(1000);
    let served = body.clone();
    let wrong = Server::start(|_, answer| {
        answer.file(b"wrong");
    });
    let good = Server::start(move |_, answer| {
        answer.file(&served);
    });
    let setup = setup(|_, answer| {
        answer.send(404, &[("Content-Length", "0")], &[]);
    });
    let pairs = [wrong.url(""), good.url("")].map(|mirror| format!("{}={mirror}", setup.server.url("")));
    let zoo = setup.zoo.clone().with_mirrors(&pairs.join(",")).unwrap();
    let path = zoo.fetch(&setup.server.url(&name), &FetchOptions::default()).unwrap();
    assert_eq!(fs::read(path).unwrap(), body);
    assert_eq!((wrong.requests().len(), good.requests().len(), setup.request_count()), (1, 1, 0));

    // Without a digest nothing would tell a wrong mirror.
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    assert!(zoo.fetch(&setup.server.url("model.pth"), &any).is_err());
    assert_eq!(setup.request_count(), 1);
}

#[test]
fn a_local_copy_is_imported_like_a_download() {
    let (body, name) = content(1000);
    let setup = setup(|_, _| {});
    let url = setup.server.url(&name);
    let (good, bad) = (setup.home.path().join("good"), setup.home.path().join("bad"));
    fs::write(&good, &body).unwrap();
    fs::write(&bad, &body[1..]).unwrap();
    let error = setup.zoo.import(&url, &bad, &FetchOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongDigest { .. }), "{error}");
    assert!(setup.zoo.import(&url, Path::new("/nonexistent"), &FetchOptions::default()).is_err());
    let path = setup.zoo.import(&url, &good, &FetchOptions::default()).unwrap();
    assert_eq!(setup.fetch(&name).unwrap(), path);
    assert_eq!(fs::read(path).unwrap(), body);
    assert_eq!(setup.request_count(), 0);
}

#[test]
fn files_of_the_users_own_table_are_verified_and_left_alone() {
    let (body, name) = content(1000);
    let setup = setup(|_, _| {});
    let home = setup.home.path();
    let table = format!(r#"{{"mine": "{name}", "plain": "plain.pth", "gone": "gone.pth", "folder": "checkpoints"}}"#);
    fs::write(home.join("open_mmlab.json"), table).unwrap();
    fs::write(home.join(&name), &body).unwrap();
    fs::write(home.join("plain.pth"), &body).unwrap();
    let fetch = |name: &str| setup.zoo.fetch(name, &FetchOptions::default());
    assert_eq!(fetch("mine").unwrap(), setup.zoo.home().join(&name));
    assert_eq!(fetch("open-mmlab://plain").unwrap(), setup.zoo.home().join("plain.pth"));
    for missing in ["gone", "folder"] {
        assert!(matches!(fetch(missing).unwrap_err().kind(), ErrorKind::NotAFile { .. }), "{missing}");
    }
    fs::write(home.join(&name), "changed").unwrap();
    assert!(matches!(fetch("mine").unwrap_err().kind(), ErrorKind::WrongDigest { .. }));
    assert!(home.join(&name).exists());
}
