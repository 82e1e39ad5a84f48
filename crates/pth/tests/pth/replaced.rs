//! What is written over, and what is not.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mmcv_pth::{Checkpoint, ConvertOptions, Dtype, Error, ErrorKind, OutputFormat, PthItem, TensorData};
use mmcv_pth::{convert, replace_file, resolve_destination, write_pth, write_safetensors};
use serde_json::json;

const BYTES: [u8; 4] = [1, 2, 3, 4];

fn tensor() -> TensorData<'static> {
    TensorData::new(Dtype::Float32, &[1], &BYTES).unwrap()
}

type Writer = fn(&Path) -> Result<(), Error>;

/// Everything that writes a file.
const WRITERS: [Writer; 4] = [
    |path| write_pth(path, &PthItem::mapping([("w", tensor().into())])),
    |path| write_safetensors(path, &[("w".to_owned(), tensor())], &[]),
    |path| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.pth");
        write_pth(&source, &PthItem::mapping([("w", tensor().into())])).unwrap();
        convert(&Checkpoint::open(source).unwrap(), path, OutputFormat::Pth, &ConvertOptions::default()).map(drop)
    },
    |path| replace_file(path, |temporary| fs::write(temporary, "x").map_err(|_| panic!("it can be written"))),
];

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn only_regular_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    fs::create_dir(path("folder")).unwrap();
    for (link, target) in [("to_pipe", "pipe"), ("to_null", "/dev/null"), ("to_folder", "folder"), ("circle", "circle")]
    {
        symlink(target, path(link)).unwrap();
    }
    let before = count(folder.path());
    for (name, found) in [
        ("pipe", "a named pipe"),
        ("socket", "a socket"),
        ("folder", "a folder"),
        ("to_pipe", "a named pipe"),
        ("to_null", "a device"),
        ("to_folder", "a folder"),
        ("circle", "a circle of links"),
    ] {
        for write in WRITERS {
            let error = write(&path(name)).unwrap_err();
            assert!(matches!(*error.kind, ErrorKind::Destination { .. }), "{error}");
            assert!(error.to_string().contains(&format!("{name}: {found} is there")), "{error}");
        }
    }
    assert!(resolve_destination("/dev/null").is_err() && resolve_destination("/dev/stdout").is_err());
    assert_eq!(count(folder.path()), before, "nothing was replaced, and nothing is left");
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (links, files) = (folder.path().join("links"), folder.path().join("files"));
    fs::create_dir(&links).unwrap();
    fs::create_dir(&files).unwrap();
    symlink("../files/a.pth", links.join("a.pth")).unwrap();
    symlink("a.pth", links.join("again.pth")).unwrap();
    symlink(files.join("new.pth"), links.join("new.pth")).unwrap();
    for write in WRITERS {
        for (link, file) in [("a.pth", "a.pth"), ("again.pth", "a.pth"), ("new.pth", "new.pth")] {
            fs::write(files.join("a.pth"), "old").unwrap();
            let _ = fs::remove_file(files.join("new.pth"));
            write(&links.join(link)).unwrap();
            assert!(links.join(link).symlink_metadata().unwrap().is_symlink());
            assert!(files.join(file).symlink_metadata().unwrap().is_file());
            assert_ne!(fs::read(files.join(file)).unwrap(), b"old");
        }
        assert_eq!(count(&links), 3);
        assert!(count(&files) <= 2, "no temporary file is left");
    }
    assert_eq!(resolve_destination(links.join("again.pth")).unwrap(), links.join("../files/a.pth"));
}

#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for write in WRITERS {
        write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    fs::write(&path, "old").unwrap();
    let twice = PthItem::mapping([("a", json!(1).into()), ("a", json!(2).into())]);
    let failed = replace_file(&path, |temporary| {
        fs::write(temporary, "half").unwrap();
        write_pth(folder.path().join("b.pth"), &twice)
    });
    assert!(failed.is_err());
    assert_eq!((fs::read(&path).unwrap(), count(folder.path())), (b"old".to_vec(), 1));
}
