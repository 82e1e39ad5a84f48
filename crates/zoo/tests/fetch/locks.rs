//! The command where locks keep nobody out, where there are none, and where somebody holds one for ever.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use mmcv_zoo::{ErrorKind, FetchOptions, Network};
use tempfile::TempDir;

use crate::command::{command, partial_length, stderr, stdout};
use crate::server::{Server, content, sha256};
use crate::setup::setup;

/// A library in whose presence `flock` does what `MMCV_TEST_FLOCK` says; `None` where there is no C compiler.
#[allow(clippy::print_stdout, reason = "says which tests did not run")]
fn library() -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("no_locks.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fetch/no_locks.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    match compiler.status() {
        Ok(status) if status.success() => Some((folder, library)),
        other => {
            println!("did not run: there is no C compiler: {other:?}");
            None
        }
    }
}

/// Starts the command without locks.
fn start(home: &Path, url: &str, library: &Path, kind: &str) -> Child {
    let mut fetch = command(home, &["fetch", url]);
    fetch.env("LD_PRELOAD", library).env("MMCV_TEST_FLOCK", kind).spawn().unwrap()
}

#[test]
fn where_locks_keep_nobody_out_no_file_is_ever_wrong() {
    let Some((_folder, library)) = library() else { return };
    let (body, name) = content(300_000);
    let served = body.clone();
    // Every other answer breaks off, so that files are continued and begun again, too.
    let server = Server::start(move |request, answer| match (request.number % 7, request.range_start()) {
        (0, None) => {
            answer.send(
                200,
                &[("Content-Length", "300000"), ("ETag", "\"v1\"")],
                &served[..100_000 + request.number * 1000],
            );
        }
        _ => {
            answer.file_or_range(request, &served);
        }
    });
    let url = server.url(&name);
    for round in 0..50 {
        let kind = ["granted", "ENOLCK", "EOPNOTSUPP"][round % 3];
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("checkpoints").join(&name);
        let mut fetches: Vec<Child> = (0..2).map(|_| start(home.path(), &url, &library, kind)).collect();
        // Whenever there is a file of this name, it is whole.
        while fetches.iter_mut().any(|fetch| fetch.try_wait().unwrap().is_none()) {
            if let Ok(bytes) = fs::read(&file) {
                assert!(bytes == body, "{kind}: a wrong file of {} bytes", bytes.len());
            }
        }
        for fetch in fetches {
            let output = fetch.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{kind}: {}", stderr(&output));
            assert_eq!(fs::read(stdout(&output).trim_end()).unwrap(), body, "{kind}");
        }
        assert_eq!(partial_length(home.path()), 0, "{kind}");
        // The stamp is that of the file, and a bad one is replaced all the same.
        fs::write(&file, "bad").unwrap();
        let again = start(home.path(), &url, &library, kind).wait_with_output().unwrap();
        assert_eq!(again.status.code(), Some(0), "{kind}: {}", stderr(&again));
        assert_eq!(fs::read(&file).unwrap(), body, "{kind}");
    }
}

#[test]
fn one_that_stops_and_goes_on_harms_no_file() {
    let Some((_folder, library)) = library() else { return };
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(300_000);
    let served = body.clone();
    let (half_sent, wait) = mpsc::channel();
    let (go_on, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let server = Server::start(move |request, answer| match request.number {
        0 => {
            answer.send(200, &[("Content-Length", "300000")], &[0; 150_000]);
            half_sent.send(()).unwrap();
            told.lock().unwrap().recv().unwrap();
            answer.raw(&[0; 150_000]);
        }
        _ => {
            answer.file(&served);
        }
    });
    let url = server.url(&name);
    let slow = start(home.path(), &url, &library, "granted");
    wait.recv().unwrap();
    while partial_length(home.path()) < 100_000 {
        std::thread::yield_now();
    }
    // Another process takes the slow one for dead, since its file is old.
    for entry in fs::read_dir(home.path().join("checkpoints/.state")).unwrap() {
        let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    let fast = start(home.path(), &url, &library, "granted").wait_with_output().unwrap();
    assert_eq!(fast.status.code(), Some(0), "{}", stderr(&fast));
    go_on.send(()).unwrap();
    let slow = slow.wait_with_output().unwrap();
    assert_eq!((slow.status.code(), stdout(&slow)), (Some(1), ""), "{}", stderr(&slow));
    assert_eq!(fs::read(stdout(&fast).trim_end()).unwrap(), body);
}

/// A process that holds the lock of the file `name` until it is killed.
#[allow(clippy::print_stdout, reason = "says which tests did not run")]
fn hold(home: &Path, name: &str) -> Option<Child> {
    let key = &sha256(format!("checkpoints/{name}").as_bytes())[..32];
    let lock = home.join("checkpoints/.state").join(format!("{key}.lock"));
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let mut holder = Command::new("flock");
    holder.arg("--no-fork").arg(&lock).args(["sh", "-c", "echo; exec sleep 100"]).stdout(Stdio::piped());
    let Ok(mut holder) = holder.spawn() else {
        println!("did not run: there is no `flock`");
        return None;
    };
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    Some(holder)
}

#[test]
fn waiting_for_another_process_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(5000);
    let server = Server::start(move |_, answer| {
        answer.file(&body);
    });
    let Some(mut holder) = hold(home.path(), &name) else { return };
    let mut fetch = command(home.path(), &["fetch", &server.url(&name)]).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(fetch.stderr.take().unwrap()));
    let told = lines.next().unwrap().unwrap();
    assert!(told.starts_with("warning: waiting for another process") && told.contains(&name), "{told}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(fetch.wait().unwrap().success());
}

#[test]
fn waiting_has_an_end() {
    let mut setup = setup(|_, _| {});
    let name = "model-012345.pth";
    // The key is that of the URL's name.
    let Some(mut holder) = hold(setup.home.path(), name) else { return };
    let network = Network { lock_timeout: Duration::from_millis(200), ..Network::default() };
    setup.zoo = setup.zoo.with_network(network);
    let error = setup.zoo.fetch(&setup.server.url(name), &FetchOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    assert!(error.to_string().contains(".lock") && error.to_string().contains(name), "{error}");
    assert_eq!(setup.request_count(), 0);
    holder.kill().unwrap();
    holder.wait().unwrap();
}
