//! Help, exit statuses, and streams that are closed.

use std::fs::File;
use std::io;
use std::process::Command;

use crate::{Said, mmcv, run};

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(["zoo", "fetch", "--help"]).done();
    assert!(help.contains("Usage: mmcv zoo fetch") && help.contains("Examples:"), "{help}");
    assert!(run(["--version"]).done().starts_with("mmcv "));
}

/// The loader of Linux lists the libraries of a program instead of running it.
#[cfg(target_os = "linux")]
#[test]
fn the_command_starts_without_libtorch() {
    let libraries = |program: &str| {
        let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let [front, torch] = [env!("CARGO_BIN_EXE_mmcv"), env!("CARGO_BIN_EXE_mmcv-torch")].map(libraries);
    assert!(front.contains("libc.so") && !front.contains("libtorch"), "{front}");
    assert!(torch.contains("libtorch"), "{torch}");
}

#[test]
fn both_programs_give_the_same_help() {
    for command in [&["zoo", "fetch"][..], &["ckpt", "diff"], &["config"]] {
        let help = |program: &str| Command::new(program).args(command).arg("--help").output().unwrap().stdout;
        let [front, torch] = [env!("CARGO_BIN_EXE_mmcv"), env!("CARGO_BIN_EXE_mmcv-torch")].map(help);
        assert_eq!(String::from_utf8(front).unwrap(), String::from_utf8(torch).unwrap(), "{command:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_missing_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("mmcv");
    std::fs::copy(env!("CARGO_BIN_EXE_mmcv"), &alone).unwrap();
    let error = Said::by(Command::new(&alone).args(["layers", "ReLU"])).failed();
    assert!(error.contains("mmcv-torch: No such file") && error.contains("beside it"), "{error}");
    assert!(Said::by(Command::new(&alone).arg("--version")).done().starts_with("mmcv "));
}

#[test]
fn wrong_usage_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["sing"],
        &["zoo"],
        &["zoo", "sing"],
        &["zoo", "fetch"],
        &["zoo", "fetch", "a", "b"],
        &["zoo", "fetch", "a", "--sha256", "xyz"],
        &["zoo", "fetch", "a", "--sha256", "abcde"],
        &["zoo", "import", "a"],
        &["zoo", "bundle", "folder"],
        &["zoo", "where", "a", "b"],
        &["zoo", "prune", "a"],
        &["ckpt", "inspect"],
        &["ckpt", "convert", "a.pth"],
        &["ckpt", "convert", "a.pth", "b.xyz"],
        &["ckpt", "convert", "a.pth", "b.pth", "--to", "onnx"],
        &["ckpt", "diff", "a.pth"],
        &["ckpt", "diff", "a.pth", "b.pth", "--rtol", "-1"],
        &["ckpt", "diff", "a.pth", "b.pth", "--atol", "nan"],
        &["ckpt", "verify"],
        &["ckpt", "verify", "a.pth", "--sha256", "abc"],
        &["build"],
        &["build", "a.yaml", "--input", "3xx3"],
        &["summary", "a.yaml", "--depth", "-1"],
        &["doctor", "--bad"],
        &["predict", "a.yaml"],
        &["predict", "a.yaml", "b.png", "--topk", "0"],
        &["predict", "a.yaml", "b.png", "--device", "gpu"],
        &["predict", "a.yaml", "b.png", "--device", "cuda:4294967296"],
    ] {
        let said = Said::by(&mut mmcv(home.path(), arguments));
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn a_file_that_is_no_checkpoint_is_one_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("notes.pth");
    std::fs::write(&file, "no checkpoint").unwrap();
    let error = Said::by(mmcv(home.path(), ["ckpt", "inspect"]).arg(&file)).failed();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("notes.pth"), "{error}");
    // A name of the zoo is no file, but leads to one.
    let error = Said::by(&mut mmcv(home.path(), ["ckpt", "inspect", "torchvision://resnet50"])).failed();
    assert!(error.lines().count() == 1 && error.contains("mmcv zoo fetch"), "{error}");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let shard = home.path().join("empty.safetensors");
    std::fs::write(&shard, b"\x02\0\0\0\0\0\0\0{}").unwrap();
    let shard = shard.to_str().unwrap();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../model_zoo/configs/mobilenet_v2.yaml");
    for arguments in [
        &["zoo", "list"][..],
        &["zoo", "list", "--json"],
        &["zoo", "path"],
        &["zoo", "where"],
        &["zoo", "show"],
        &["doctor", "--json"],
        &["layers"],
        &["build", config],
        &["summary", config],
        &["ckpt", "inspect", shard],
        &["ckpt", "inspect", shard, "--json"],
        &["--help"],
        &["predict", "--help"],
        &["--version"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let said = Said::by(mmcv(home.path(), arguments).stdout(writer));
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_a_failure() {
    let home = tempfile::tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = Said::by(mmcv(home.path(), ["zoo", "path"]).stdout(full)).failed();
    assert!(error.contains("stdout"), "{error}");
}

/// `mmcv` starts `mmcv-torch` with glibc's pages of 2 MB where the system gives them, and leaves what the user has set.
#[cfg(target_os = "linux")]
#[test]
fn libtorch_gets_pages_of_2_mb() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (mmcv, torch) = (folder.path().join("mmcv"), folder.path().join("mmcv-torch"));
    std::fs::copy(env!("CARGO_BIN_EXE_mmcv"), &mmcv).unwrap();
    std::fs::write(&torch, "#!/bin/sh\nprintf '%s' \"$GLIBC_TUNABLES\"\n").unwrap();
    std::fs::set_permissions(&torch, std::fs::Permissions::from_mode(0o755)).unwrap();
    let tunables = |own: Option<&str>| {
        let mut command = Command::new(&mmcv);
        command.args(["bench", "none.yaml"]).env_remove("GLIBC_TUNABLES").envs(own.map(|own| ("GLIBC_TUNABLES", own)));
        Said::by(&mut command).done()
    };
    let modes = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    assert_eq!(tunables(None), if modes.contains("[madvise]") { "glibc.malloc.hugetlb=1" } else { "" });
    assert_eq!(tunables(Some("glibc.malloc.perturb=0")), "glibc.malloc.perturb=0");
}
