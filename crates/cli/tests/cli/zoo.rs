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
fn the_list_shows_no_secrets() {
    let home = tempfile::tempdir().unwrap();
    let table = r#"{"a": "https://user:secret@h/a.pth", "b": "https://secret@h/b.pth", "c": "https://h/c.pth?token=secret",
                    "d": ["https://h/d.pth?secret"], "e": {"url": "https://:secret@h/e.pth"}}"#;
    fs::write(home.path().join("open_mmlab.json"), table).unwrap();
    for arguments in [&["list"][..], &["list", "--json"], &["where", "a"], &["where", "b", "--json"], &["where", "c"]] {
        let told = zoo(home.path(), arguments).done();
        assert!(told.contains("***") && !told.contains("secret"), "{arguments:?}: {told}");
    }
    for name in ["a", "b", "c", "d", "e", "https://secret@h/a.pth", "https://h/a.pth?token=secret"] {
        let mut fetch = mmcv(home.path(), ["zoo", "fetch", name, "--no-verify"]);
        let error = Said::by(fetch.env("MMCV_OFFLINE", "1").env("RUST_LOG", "info")).failed();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_cache_folder_below_a_file_has_nothing_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let home = folder.path().join("file/zoo");
    assert!(zoo(&home, &["list", "vgg16"]).done().contains("vgg16_caffe"));
    assert!(zoo(&home, &["where", "vgg16_caffe"]).done().contains("cached    no"));
    assert!(zoo(&home, &["where"]).done().contains("files     0"));
    assert_eq!(zoo(&home, &["verify"]).done(), "");
    assert!(zoo(&home, &["prune"]).done().starts_with("0 files"));
    let error = zoo(&home, &["fetch", "https://h/model-012345.pth"]).failed();
    assert!(error.contains("cannot create the folder") && error.contains("file/zoo"), "{error}");
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

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn paths_are_told_as_json_too() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let url = server.url(NAME);
    for command in ["path", "fetch"] {
        let told = json(&zoo(home.path(), &[command, &url, "--json"]).done());
        assert_eq!(told["name"], *url);
        assert!(told["path"].as_str().unwrap().ends_with(NAME), "{told}");
    }
    assert_eq!(json(&zoo(home.path(), &["path", "--json"]).done())["path"], home.path().to_str().unwrap());
}

#[test]
fn verify_tells_what_is_wrong_and_ends_with_1() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let url = server.url(NAME);
    let file = zoo(home.path(), &["fetch", &url]).done();
    assert!(zoo(home.path(), &["verify"]).done().starts_with("good "));
    let told = json(&zoo(home.path(), &["verify", &url, "--json"]).done());
    assert_eq!((&told["files"][0]["status"], &told["files"][0]["sha256"]), (&"good".into(), &SHA256.into()));

    fs::write(file.trim_end(), "abd").unwrap();
    let said = zoo(home.path(), &["verify", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.starts_with("error: 1 of 1 files are wrong"), "{said:?}");
    let told = json(&said.stdout);
    assert_eq!((&told["files"][0]["status"], &told["files"][0]["expected"]), (&"wrong".into(), &"ba7816bf".into()));
    assert_eq!(fs::read(file.trim_end()).unwrap(), b"abd", "verify changes nothing");
}

#[test]
fn prune_tells_what_it_removes() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let file = zoo(home.path(), &["fetch", &server.url(NAME)]).done();
    let told = json(&zoo(home.path(), &["prune", "--all", "--dry-run", "--json"]).done());
    assert_eq!((&told["dry_run"], &told["files"][0]["size"]), (&true.into(), &3.into()));
    assert!(Path::new(file.trim_end()).exists());
    assert!(zoo(home.path(), &["prune"]).done().ends_with("0 files, 0 bytes removed\n"));
    assert!(zoo(home.path(), &["prune", "--all"]).done().contains(file.trim_end()));
    assert!(!Path::new(file.trim_end()).exists());
}

#[test]
fn where_makes_no_request_and_shows_no_password() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let url = server.url(NAME).replace("://", "://user:secret@");
    let before = json(&zoo(home.path(), &["where", &url, "--json"]).done());
    assert_eq!((&before["cached"], &before["digest"]), (&false.into(), &"ba7816bf".into()));
    assert!(!before.to_string().contains("secret"), "{before}");
    assert_eq!(server.requests(), 0);
    zoo(home.path(), &["fetch", &url]).done();
    assert!(zoo(home.path(), &["where", &url]).done().contains("cached    yes"));

    fs::write(home.path().join("config.json"), r#"{"mirrors": {"https://h/": "https://u:secret@g/"}}"#).unwrap();
    let mut command = mmcv(home.path(), ["zoo", "where", "--json"]);
    let told = Said::by(command.env("MMCV_OFFLINE", "1").env("MMCV_MIRRORS", "https://h/=http://a/")).done();
    assert!(!told.contains("secret"), "{told}");
    let told = json(&told);
    assert_eq!(told["mirrors"], serde_json::json!(["https://h/=http://a/", "https://h/=https://***:***@g/"]));
    assert_eq!((&told["offline"], &told["files"]), (&true.into(), &1.into()));
}

#[test]
fn a_bundle_serves_another_machine_offline() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::of(BODY));
    let folder = tempfile::tempdir().unwrap();
    let (url, target) = (server.url(NAME), folder.path().to_str().unwrap());
    let told = json(&zoo(home.path(), &["bundle", target, &url, "--json"]).done());
    assert_eq!((&told["files"][0]["sha256"], &told["files"][0]["size"]), (&SHA256.into(), &3.into()));
    let lock = json(&fs::read_to_string(folder.path().join("zoo.lock.json")).unwrap());
    assert_eq!(lock["files"], told["files"]);
    let requests = server.requests();

    let offline = Said::by(mmcv(folder.path(), ["zoo", "fetch", &url]).env("MMCV_OFFLINE", "1")).done();
    assert!(offline.starts_with(target) && offline.ends_with(&format!("{NAME}\n")), "{offline}");
    let other = tempfile::tempdir().unwrap();
    let mut mirrored = mmcv(other.path(), ["zoo", "fetch", &url]);
    mirrored.env("MMCV_OFFLINE", "1").env("MMCV_MIRRORS", format!("http://=file://{target}/"));
    let file = Said::by(&mut mirrored).done();
    assert_eq!(fs::read(file.trim_end()).unwrap(), BODY);
    assert_eq!(server.requests(), requests);
}

#[test]
fn a_pattern_is_found_in_any_case_and_nothing_is_told_as_such() {
    let home = tempfile::tempdir().unwrap();
    let told = zoo(home.path(), &["list", "resNEst50"]).done();
    assert!(told.contains("resnest50_d2-7497a55b.pth"), "{told}");
    let said = zoo(home.path(), &["list", "resnet51", "--json"]);
    assert_eq!((said.code, said.stdout.trim()), (0, "{}"), "{said:?}");
    assert!(said.stderr.contains("no name contains \"resnet51\""), "{said:?}");
}
