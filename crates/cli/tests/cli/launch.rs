//! `mmcv launch`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::run;

fn launch(count: &str, script: &str) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_mmcv")).args(["launch", "-n", count, "--", "sh", "-c", script]).output().unwrap()
}

#[test]
fn ranks_have_numbers_and_so_have_their_lines() {
    let script = "echo rank $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE; printf end >&2";
    let output = launch("3", script);
    assert!(output.status.success());
    let mut lines: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[0] rank 0 of 3, 0 of 3", "[1] rank 1 of 3, 1 of 3", "[2] rank 2 of 3, 2 of 3"]);
    let mut lines: Vec<_> = std::str::from_utf8(&output.stderr).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[0] end", "[1] end", "[2] end"]);
    let port = "case $MASTER_ADDR:$MASTER_PORT in 127.0.0.1:[0-9]*) ;; *) exit 1;; esac";
    assert!(launch("1", port).status.success());
}

#[test]
fn the_first_that_fails_ends_the_others() {
    let start = Instant::now();
    let output = launch("3", "if [ $RANK = 1 ]; then echo bad >&2; exit 7; fi; sleep 300 & wait");
    assert_eq!(output.status.code(), Some(7));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("[1] bad\n") && error.contains("error: rank 1 was the first to fail and ended with status 7"),
        "{error}"
    );
    // The other one does not heed the request to end.
    let output = launch("2", "if [ $RANK = 0 ]; then kill -KILL $$; fi; trap '' TERM; sleep 300; sleep 300");
    assert_eq!(output.status.code(), Some(137));
    // Not the 300 s of the others.
    assert!(start.elapsed() < Duration::from_secs(150));
}

/// Also if the command itself is killed.
#[test]
fn no_rank_outlives_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 300", file.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mmcv"))
        .args(["launch", "-n", "1", "--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !file.exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    command.kill().unwrap();
    command.wait().unwrap();
    let process = std::fs::read_to_string(&file).unwrap();
    let is_there = |process: &str| {
        // A process that nobody waits for stays in the table as a zombie.
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    while is_there(process.trim()) {
        assert!(start.elapsed() < Duration::from_secs(120), "process {process} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = run(["launch", "-n", "2", "--", "/no/such/program"]).failed();
    assert!(error.contains("cannot start /no/such/program"), "{error}");
}
