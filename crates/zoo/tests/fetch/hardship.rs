//! The command where the machine does not play along: folders that cannot be written, a full disk, killed processes.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::mpsc;

use crate::command::{command, partial_length, run, stderr, stdout, test_command};
use crate::server::{Server, content, sha256};

/// A user who owns nothing: root itself may write everywhere, so that the command is run as this one.
const NOBODY: u32 = 65_534;

/// Whether this is root's process, by the owner of a folder that it has made.
fn is_root(folder: &Path) -> bool {
    fs::metadata(folder).unwrap().uid() == 0
}

/// Runs the command as a user who may not write into folders of mode 0555; `None` where that user cannot start it,
/// because the build folder is root's own.
fn run_restricted(home: &Path, arguments: &[&str]) -> Option<Output> {
    let mut command = command(home, arguments);
    if is_root(home) {
        command.uid(NOBODY).gid(NOBODY);
        let mut probe = Command::new(test_command());
        probe.uid(NOBODY).gid(NOBODY).output().ok()?;
    }
    Some(command.output().unwrap())
}

/// Gives every folder of `folders` the mode, so that the temporary folder can be removed at the end.
fn set_mode(folders: &[&Path], mode: u32) {
    for folder in folders {
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_read_only_home_is_an_error_for_new_files_only() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(5000);
    let served = body.clone();
    let server = Server::start(move |_, answer| {
        answer.file(&served);
    });
    let folder = home.path().join("checkpoints");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(&name), body).unwrap();
    set_mode(&[&folder, home.path()], 0o555);
    let cached = run_restricted(home.path(), &["fetch", &server.url(&name)]);
    let new = run_restricted(home.path(), &["fetch", &server.url("model-012345.pth")]);
    set_mode(&[home.path(), &folder], 0o755);
    let (Some(cached), Some(new)) = (cached, new) else {
        println!("did not run: only root may start {}", test_command().display());
        return;
    };
    assert_eq!(cached.status.code(), Some(0), "{}", stderr(&cached));
    assert_eq!((new.status.code(), stdout(&new)), (Some(1), ""));
    assert!(stderr(&new).contains("cannot create the folder"), "{}", stderr(&new));
    assert!(server.requests().is_empty());
}

/// In a mount namespace of its own: a disk of 512 kB as cache folder, a fetch, the folder's content, a larger disk, a
/// fetch, and the sum of what it gave.
#[cfg(target_os = "linux")]
const FULL_DISK: &str = r#"
    mount -t tmpfs -o size=512k zoo "$MMCV_HOME" || exit 77
    "$0" fetch "$1"; echo "first $?"
    find "$MMCV_HOME/checkpoints" -name '*.pth' -o -name '*.part' | sed 's/^/named /'
    mount -o remount,size=8m "$MMCV_HOME" || exit 77
    file=$("$0" fetch "$1"); echo "second $?"
    sha256sum < "$file"
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_file_and_the_next_run_recovers() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(2_000_000);
    let digest = sha256(&body);
    let server = Server::start(move |request, answer| {
        answer.file_or_range(request, &body);
    });
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--map-root-user", "sh", "-c", FULL_DISK]).arg(test_command()).arg(server.url(&name));
    shell.env_remove("http_proxy").env_remove("HTTP_PROXY").env_remove("all_proxy").env_remove("ALL_PROXY");
    let output = match shell.env("MMCV_HOME", home.path()).output() {
        Ok(output) if output.status.code() != Some(77) && !stderr(&output).contains("unshare") => output,
        Ok(output) => return println!("did not run: this user may not mount a disk: {}", stderr(&output)),
        Err(error) => return println!("did not run: there is no `unshare`: {error}"),
    };
    assert_eq!(stdout(&output), format!("first 1\nsecond 0\n{digest}  -\n"), "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
}

#[test]
fn when_the_one_that_downloads_is_killed_another_goes_on() {
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
    let mut first = command(home.path(), &["fetch", &url]).spawn().unwrap();
    wait.recv().unwrap();
    while partial_length(home.path()) < 100_000 {
        std::thread::yield_now();
    }
    let others: Vec<Child> = (0..7).map(|_| command(home.path(), &["fetch", &url]).spawn().unwrap()).collect();
    assert_eq!(server.requests().len(), 1);
    first.kill().unwrap();
    first.wait().unwrap();
    for other in others {
        let output = other.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(fs::read(stdout(&output).trim_end()).unwrap(), body);
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].range_start().is_some_and(|start| start >= 100_000));
}

#[test]
fn a_folder_that_is_cleared_meanwhile_is_an_error_and_no_wrong_file() {
    let home = tempfile::tempdir().unwrap();
    let (body, name) = content(300_000);
    let served = body.clone();
    let (half_sent, wait) = mpsc::channel();
    let (go_on, cleared) = mpsc::channel::<()>();
    let cleared = std::sync::Mutex::new(cleared);
    let server = Server::start(move |request, answer| {
        if request.number > 0 {
            answer.file(&served);
            return;
        }
        answer.send(200, &[("Content-Length", "300000")], &served[..150_000]);
        half_sent.send(()).unwrap();
        cleared.lock().unwrap().recv().unwrap();
        answer.raw(&served[150_000..]);
    });
    let url = server.url(&name);
    let child = command(home.path(), &["fetch", &url]).spawn().unwrap();
    wait.recv().unwrap();
    // By then it has made all the files that it makes before the end.
    while partial_length(home.path()) < 100_000 {
        std::thread::yield_now();
    }
    fs::remove_dir_all(home.path().join("checkpoints")).unwrap();
    go_on.send(()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{}", stderr(&output));
    let file: PathBuf = home.path().join("checkpoints").join(&name);
    assert!(!file.exists());
    assert_eq!(run(home.path(), &["fetch", &url]).status.code(), Some(0));
    assert_eq!(fs::read(file).unwrap(), body);
}

/// The file of the cache that belongs to the model `name`.
fn state_file(home: &Path, name: &str, purpose: &str) -> PathBuf {
    let key = &sha256(format!("checkpoints/{name}").as_bytes())[..32];
    home.join("checkpoints/.state").join(format!("{key}.{purpose}"))
}

#[test]
fn links_and_pipes_in_the_cache_lead_nowhere() {
    let (body, name) = content(5000);
    let served = body.clone();
    let server = Server::start(move |_, answer| {
        answer.file(&served);
    });
    for purpose in ["part", "origin", "stamp", "lock"] {
        for link in [true, false] {
            let home = tempfile::tempdir().unwrap();
            let precious = home.path().join("precious");
            fs::write(&precious, "precious").unwrap();
            let file = state_file(home.path(), &name, purpose);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            match link {
                true => std::os::unix::fs::symlink(&precious, &file).unwrap(),
                false => assert!(Command::new("mkfifo").arg(&file).status().unwrap().success()),
            }
            let output = run(home.path(), &["fetch", &server.url(&name)]);
            assert_eq!(output.status.code(), Some(0), "{purpose}: {}", stderr(&output));
            let fetched = Path::new(stdout(&output).trim_end());
            assert!(fs::symlink_metadata(fetched).unwrap().is_file(), "{purpose}");
            assert_eq!(fs::read(fetched).unwrap(), body, "{purpose}");
            assert_eq!(fs::read(&precious).unwrap(), b"precious", "{purpose}");
        }
    }
}

#[test]
fn a_link_under_the_final_name_is_followed_if_good_and_replaced_if_not() {
    let (body, name) = content(5000);
    let served = body.clone();
    let server = Server::start(move |_, answer| {
        answer.file(&served);
    });
    let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = home.path().join("checkpoints").join(&name);
    fs::create_dir(file.parent().unwrap()).unwrap();
    for (target, content, requests) in [("good", Some(&body[..]), 0), ("bad", Some(b"other"), 1), ("none", None, 2)] {
        let target = outside.path().join(target);
        content.map_or(Ok(()), |content| fs::write(&target, content)).unwrap();
        let _ = fs::remove_file(&file);
        std::os::unix::fs::symlink(&target, &file).unwrap();
        assert_eq!(run(home.path(), &["fetch", &server.url(&name)]).status.code(), Some(0));
        assert_eq!((fs::read(&file).unwrap(), server.requests().len()), (body.clone(), requests));
        assert_eq!(fs::read(&target).ok().as_deref(), content, "what the link led to stays as it was");
    }
}

#[test]
fn tables_that_are_no_files_are_errors() {
    for table in ["open_mmlab.json", "config.json", "zoo.lock.json"] {
        let home = tempfile::tempdir().unwrap();
        assert!(Command::new("mkfifo").arg(home.path().join(table)).status().unwrap().success());
        let output = run(home.path(), &["path", "open-mmlab://vgg16_caffe"]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
        assert!(stderr(&output).contains(table) && stderr(&output).contains("no regular file"), "{}", stderr(&output));
    }
}
