//! `mmcv zoo` with a server on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::server::Server;
use crate::{Said, mmcv, run};

const BODY: &[u8] = b"abc";
const NAME: &str = "model-ba7816bf.pth";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn zoo(home: &Path, arguments: &[&str]) -> Said {
    Said::by(mmcv(home, ["zoo"]).args(arguments))
}

#[test]
fn fetch_prints_the_path_that_path_told_before() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let told = zoo(home.path(), &["path", &server.url(NAME)]).done();
    assert_eq!(server.requests(), 0);
    for _ in 0..2 {
        assert_eq!(zoo(home.path(), &["fetch", &server.url(NAME)]).done(), told);
        assert_eq!(server.requests(), 1);
    }
    let file = Path::new(told.strip_suffix('\n').unwrap());
    assert!(file.is_absolute() && file.starts_with(home.path()));
    assert_eq!(fs::read(file).unwrap(), BODY);
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let url = server.url("model-012345.pth");
    let error = zoo(home.path(), &["fetch", &url]).failed();
    for words in [url.as_str(), "wrong digest", "012345", SHA256] {
        assert!(error.contains(words), "{error}");
    }
    let path = zoo(home.path(), &["path", &url]).done();
    assert!(!Path::new(path.trim_end()).exists());
}

#[test]
fn a_name_without_a_digest_is_refused_before_any_request() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let url = server.url("model_20200130.pth");
    let error = zoo(home.path(), &["fetch", &url]).failed();
    assert!(error.contains("--sha256") && error.contains("--no-verify"), "{error}");
    assert_eq!(server.requests(), 0);
    for arguments in [&["--sha256", SHA256][..], &["--no-verify"]] {
        let file = zoo(home.path(), &[&["fetch", &url][..], arguments].concat()).done();
        assert_eq!(fs::read(file.trim_end()).unwrap(), BODY);
    }
}

#[test]
fn a_flipped_byte_in_the_cache_is_noticed_and_repaired() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let fetched = zoo(home.path(), &["fetch", &server.url(NAME)]).done();
    let file = fs::File::options().write(true).open(fetched.trim_end()).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    fs::write(fetched.trim_end(), b"abd").unwrap();
    file.set_modified(modified + std::time::Duration::from_secs(1)).unwrap();
    let offline = Said::by(mmcv(home.path(), ["zoo", "fetch", &server.url(NAME)]).env("MMCV_OFFLINE", "1"));
    assert!(offline.failed().contains("MMCV_OFFLINE"));
    assert_eq!(zoo(home.path(), &["fetch", &server.url(NAME)]).done(), fetched);
    assert_eq!(fs::read(fetched.trim_end()).unwrap(), BODY);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_local_copy_is_imported_if_its_digest_is_right() {
    let home = tempfile::tempdir().unwrap();
    let copy = home.path().join("copy");
    let copy = copy.to_str().unwrap();
    fs::write(copy, "abd").unwrap();
    let url = format!("https://example.invalid/{NAME}");
    assert!(zoo(home.path(), &["import", &url, copy]).failed().contains("wrong digest"));
    fs::write(copy, BODY).unwrap();
    let file = zoo(home.path(), &["import", &url, copy]).done();
    assert_eq!(fs::read(file.trim_end()).unwrap(), BODY);
    assert_eq!(zoo(home.path(), &["fetch", &url]).done(), file);
}

#[test]
fn the_list_is_the_merged_map() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("open_mmlab.json"), r#"{"mine": "sub/a.pth", "resnet50_v1c": "b.pth"}"#).unwrap();
    let text = zoo(home.path(), &["list", "--json"]).done();
    let map: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert_eq!((map["mine"].as_str(), map["resnet50_v1c"].as_str()), ("sub/a.pth", "b.pth"));
    assert!(map["vgg16_caffe"].starts_with("https://"));
    assert!(zoo(home.path(), &["list", "vgg16"]).done().contains("vgg16_caffe"));
}

#[test]
fn the_cache_folder_is_printed_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("zoo");
    assert_eq!(zoo(&home, &["path"]).done(), format!("{}\n", home.display()));
    assert!(!home.exists());
    let user = folder.path().to_str().unwrap();
    let mut tilde = mmcv(Path::new("~"), ["zoo", "path"]);
    assert_eq!(Said::by(tilde.env("HOME", user)).done(), format!("{user}\n"));
}

#[test]
fn names_that_lead_nowhere_say_why() {
    let unknown = run(["zoo", "fetch", "resnet50_v1d"]).failed();
    assert!(unknown.contains("resnet50_v1d") && unknown.contains("`resnet50_v1c`"), "{unknown}");
    let secret = run(["zoo", "fetch", "ftp://user:secret@host/model-012345.pth"]).failed();
    assert!(secret.contains("unknown scheme") && !secret.contains("secret"), "{secret}");
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("open_mmlab.json"), "{\n  \"a\": \"../b\",\n  \"c\": null\n}").unwrap();
    assert!(zoo(home.path(), &["fetch", "a"]).failed().contains("leaves the cache folder"));
    assert!(zoo(home.path(), &["fetch", "c"]).failed().contains("null"));
    fs::write(home.path().join("open_mmlab.json"), "{\n  \"a\": \"b\",\n}").unwrap();
    let malformed = zoo(home.path(), &["list"]).failed();
    assert!(malformed.contains("open_mmlab.json: line 3, column 1"), "{malformed}");
}
