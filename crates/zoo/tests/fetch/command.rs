//! The command, through `test_command.rs`: output, exit codes, many processes, `kill -9`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;

use crate::server::{Server, content};

/// The test command, which cargo builds as an example.
pub(crate) fn test_command() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/zoo_test_command")
}

/// The test command, with a clean environment and `home` as cache folder.
pub(crate) fn command(home: &Path, arguments: &[&str]) -> Command {
    let binary = test_command();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(binary).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("MMCV_HOME", home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home, arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn fetch_prints_one_line_and_path_knows_it_before() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(5000);
    let server = Server::start(move |_, answer| {
        answer.file(&body);
    });
    let url = server.url(&name);
    let path = run(home.path(), &["path", &url]);
    assert!(server.requests().is_empty());
    let fetched = run(home.path(), &["fetch", &url]);
    assert_eq!((fetched.status.code(), stderr(&fetched)), (Some(0), ""));
    assert_eq!(stdout(&fetched), stdout(&path));
    let file = Path::new(stdout(&fetched).strip_suffix('\n').unwrap());
    assert!(file.is_absolute() && file.is_file());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o644);
    }
    let folder = run(home.path(), &["path"]);
    assert_eq!(stdout(&folder), format!("{}\n", home.path().display()));
}

#[test]
fn failures_print_nothing_but_the_error() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("open_mmlab.json"), "{\n\"null\": null,\n\"a\": \"../b\"}").unwrap();
    for (name, words) in [
        ("no_such_model", "no such model"),
        ("null", "null"),
        ("a", "leaves the cache folder"),
        ("resnet50_caffe_bgr", "detectron2/resnet50_caffe_bgr"),
        ("torchvision://shufflenetv2_x1.5", "null"),
        ("https://user:secret@host/model.pth", "--no-verify"),
        ("https://user:secret@host:x/model-012345.pth", "not a usable URL"),
        ("gopher://h/a", "unknown scheme"),
        ("", "no such model"),
    ] {
        let output = run(home.path(), &["fetch", name]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{name}");
        assert!(stderr(&output).starts_with("error: ") && stderr(&output).contains(words), "{}", stderr(&output));
        assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
    }
    for arguments in [&["fetch"][..], &["fetch", "a", "--sha256", "xyz"], &["fetch", "a", "--bad"], &["sing"], &[]] {
        assert_eq!(run(home.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_malformed_table_is_named_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("open_mmlab.json"), "{\n  \"a\" \"b\"\n}").unwrap();
    let output = run(home.path(), &["list", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("open_mmlab.json: line 2, column 7"), "{}", stderr(&output));
}

#[test]
fn the_list_is_the_merged_map() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("open_mmlab.json"), r#"{"darknet53": "mine.pth"}"#).unwrap();
    let output = run(home.path(), &["list", "--json"]);
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((map.len(), map["darknet53"].as_str()), (48, Some("mine.pth")));
}

#[test]
fn a_proxy_of_the_environment_opens_a_tunnel() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(5000);
    let (tell, told) = mpsc::channel();
    let proxy = Server::start(move |_, answer| {
        tell.send(answer.open_tunnel()).unwrap();
        answer.file(&body);
    });
    let url = format!("http://user:p%40ss@no-such-host.invalid:81/{name}");
    let mut fetch = command(home.path(), &["fetch", &url]);
    fetch.env("http_proxy", proxy.url("").replace("://", "://martin:secret@"));
    let output = fetch.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let connect = &proxy.requests()[0];
    assert_eq!(connect.path, "no-such-host.invalid:81");
    assert_eq!(connect.header("proxy-authorization"), Some("Basic bWFydGluOnNlY3JldA=="));
    let inner = told.recv().unwrap().to_lowercase();
    assert!(inner.starts_with(&format!("get /{name} ")), "{inner}");
    assert!(inner.contains("authorization: basic dxnlcjpwqhnz"), "{inner}");
}

#[test]
fn eight_processes_fetch_a_file_once() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(300_000);
    let (all_started, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let server = Server::start(move |_, answer| {
        answer.send(200, &[("Content-Length", "300000")], &body[..1000]);
        wait.lock().unwrap().recv().unwrap();
        answer.raw(&body[1000..]);
    });
    let url = server.url(&name);
    let children: Vec<Child> = (0..8).map(|_| command(home.path(), &["fetch", &url]).spawn().unwrap()).collect();
    all_started.send(()).unwrap();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).ends_with(&format!("{name}\n")));
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_killed_download_leaves_no_file_and_is_continued() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(300_000);
    let served = body.clone();
    let (half_sent, wait) = mpsc::channel();
    let server = Server::start(move |request, answer| {
        if request.number == 0 {
            answer.send(200, &[("Content-Length", "300000"), ("ETag", "\"v1\"")], &served[..150_000]);
            half_sent.send(()).unwrap();
            answer.stall();
        } else {
            answer.file_or_range(request, &served);
        }
    });
    let url = server.url(&name);
    let mut child = command(home.path(), &["fetch", &url]).spawn().unwrap();
    wait.recv().unwrap();
    // Until some bytes are on the disk, there would be nothing to continue.
    while partial_length(home.path()) < 100_000 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!home.path().join("checkpoints").join(&name).exists());

    let output = run(home.path(), &["fetch", &url]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read(stdout(&output).trim_end()).unwrap(), body);
    assert!(server.requests()[1].range_start().is_some_and(|start| start >= 100_000));
    assert_eq!(partial_length(home.path()), 0);
}

pub(crate) fn partial_length(home: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(home.join("checkpoints/.state")) else { return 0 };
    let partial = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "part");
    let paths = entries.flatten().map(|entry| entry.path()).filter(partial);
    paths.filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// Parts of names and URLs, usual ones and odd ones; the first ten are schemes and the like.
const PARTS: &str = "http:// https:// open-mmlab:// torchvision:// modelzoo:// mmcls:// file:// s3:// :// : / // .. ../ . \
    %2e%2e %2f %00 % @ 127.0.0.1:1 [::1] example.invalid resnet50 vgg16_caffe -012345.pth _9e5bac.pth _20200130.pth ?a=b \
    #f ~ \\ \n \u{202e} ü";

#[test]
fn no_name_ends_but_with_a_path_or_an_error() {
    let home = tempfile::tempdir().unwrap();
    let parts: Vec<&str> = PARTS.split(' ').collect();
    let mut seed = 1_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..150 {
        let (scheme, user) = (parts[draw(10)], ["", "user:secret@"][draw(2)]);
        let rest: String = (0..=draw(6)).map(|_| parts[draw(parts.len())]).collect();
        let name = format!("{scheme}{user}{rest}");
        for verb in ["path", "fetch"] {
            let output = command(home.path(), &[verb, &name]).env("MMCV_OFFLINE", "1").output().unwrap();
            let said = format!("{verb} {name:?}: {:?} {} {}", output.status, stdout(&output), stderr(&output));
            assert!(!said.contains("panicked"), "{said}");
            match output.status.code() {
                Some(0) if verb == "path" => {
                    let path = Path::new(stdout(&output).strip_suffix('\n').unwrap());
                    assert!(path.starts_with(home.path()) && !said.contains(".pth\n/"), "{said}");
                    assert!(path.components().all(|part| part.as_os_str() != ".."), "{said}");
                }
                code => {
                    assert_eq!((code, stdout(&output)), (Some(1), ""), "{said}");
                    assert!(stderr(&output).lines().any(|line| line.starts_with("error: ")), "{said}");
                    assert!(!stderr(&output).contains("secret"), "{said}");
                }
            }
        }
    }
    // Locks, and nothing else.
    let names =
        |folder: &Path| -> Vec<_> { fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect() };
    assert_eq!(names(home.path()), [home.path().join("checkpoints")]);
    assert!(names(&home.path().join("checkpoints")).iter().all(|path| path.is_dir()));
}
