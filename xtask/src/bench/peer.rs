//! A process that prints `ready`, and then the milliseconds of one pass for each line `run` that it reads.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// The time limit for loading, in which `torch.compile` compiles.
const LOADING: Duration = Duration::from_secs(600);
/// The time limit for one pass.
const PASS: Duration = Duration::from_secs(120);

/// A running engine, killed on drop. Errors are one line of text.
#[derive(Debug)]
pub(super) struct Peer {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Peer {
    /// Starts it with stderr redirected to the file `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let file = create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{program} has no stdin or stdout"));
        };
        let (sender, lines) = channel();
        // Reading has no time limit, so another thread does it. It ends with the process.
        thread::spawn(move || forward_lines(output, &sender));
        Ok(Self { child, input, lines, log: log.to_owned() })
    }

    /// Waits until it is loaded, and ignores what libraries print before that.
    pub(super) fn ready(&mut self) -> Result<(), String> {
        while self.line(LOADING)? != "ready" {}
        Ok(())
    }

    /// The milliseconds of one pass.
    pub(super) fn pass(&mut self) -> Result<f64, String> {
        let line = self.ask("run")?;
        line.parse().map_err(|_| line)
    }

    /// The scores of the images in a file.
    pub(super) fn scores(&mut self, images: &Path) -> Result<Vec<f64>, String> {
        let line = self.ask(&format!("output {}", images.display()))?;
        scores(&line).ok_or(line)
    }

    fn ask(&mut self, request: &str) -> Result<String, String> {
        if writeln!(self.input, "{request}").is_err() || self.input.flush().is_err() {
            return Err(self.last_words());
        }
        self.line(PASS)
    }

    /// Its peak memory so far, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        for line in status.lines() {
            if let Some(peak) = line.strip_prefix("VmHWM:") {
                let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
                return Some(1024 * kilobytes);
            }
        }
        None
    }

    fn line(&mut self, limit: Duration) -> Result<String, String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(format!("no answer within {} seconds", limit.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err(self.last_words()),
        }
    }

    /// Why it ended: its stderr from `error: ` on, or else the last line.
    fn last_words(&mut self) -> String {
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut lines: Vec<&str> = log.lines().map(str::trim).collect();
        lines.retain(|line| !line.is_empty());
        let Some(last) = lines.last() else { return status };
        for (index, line) in lines.iter().enumerate() {
            if line.starts_with("error: ") {
                return lines.split_off(index).join("; ");
            }
        }
        (*last).to_owned()
    }
}

/// The numbers of a line; `None` if it has anything else.
pub(super) fn scores(line: &str) -> Option<Vec<f64>> {
    line.split_whitespace().map(|word| word.parse().ok()).collect()
}

/// Creates the file and its folder.
fn create(file: &Path) -> io::Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(file)
}

/// Sends each line until the output or the receiver ends.
fn forward_lines(output: ChildStdout, sender: &Sender<String>) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        if sender.send(line).is_err() {
            return;
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Peer, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let name = format!("mmcv-xtask-peer-{}-{:?}.txt", std::process::id(), thread::current().id());
        Peer::start(command, &std::env::temp_dir().join(name))
    }

    #[test]
    fn a_pass_is_asked_for_and_answered() -> Result<(), String> {
        let mut peer = shell("echo loading; echo ready; while read word; do echo 1.5; done")?;
        assert_eq!(peer.ready(), Ok(()));
        assert_eq!((peer.pass(), peer.pass()), (Ok(1.5), Ok(1.5)));
        assert!(!cfg!(target_os = "linux") || peer.peak_memory().is_some_and(|bytes| bytes > 10_000));
        Ok(())
    }

    #[test]
    fn scores_are_numbers() -> Result<(), String> {
        let mut peer = shell("echo ready; read word; echo \"1e-3 $word\"; read word file; echo \"-2.5 $file\"")?;
        assert_eq!(peer.ready(), Ok(()));
        assert_eq!(peer.scores(Path::new("a b")), Err("1e-3 output a b".to_owned()));
        assert_eq!(peer.scores(Path::new("4")), Ok(vec![-2.5, 4.0]));
        Ok(())
    }

    #[test]
    fn an_engine_that_fails_says_why() -> Result<(), String> {
        let mut peer = shell("echo trace >&2; echo 'no such network' >&2; exit 1")?;
        assert_eq!(peer.ready(), Err("no such network".to_owned()));
        let mut peer = shell("echo trace >&2; echo 'error: a.yaml' >&2; echo '  caused by: b' >&2; exit 1")?;
        assert_eq!(peer.ready(), Err("error: a.yaml; caused by: b".to_owned()));
        let mut peer = shell("echo ready; read word; echo 'error: too large'")?;
        assert_eq!(peer.ready(), Ok(()));
        assert_eq!(peer.pass(), Err("error: too large".to_owned()));
        assert!(peer.pass().is_err());
        Ok(())
    }
}
