//! A process that measures when it is told to: `ready`, and then for each line `run` the milliseconds.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long loading may take; `torch.compile` compiles.
const LOADING: Duration = Duration::from_secs(600);
/// How long one pass may take.
const PASS: Duration = Duration::from_secs(120);

/// A running engine. It is ended when this is dropped. Errors are one line for people.
#[derive(Debug)]
pub(super) struct Peer {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Peer {
    /// Starts it; what it writes to stderr goes to the file `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let folder = log.parent().map_or(Ok(()), fs::create_dir_all);
        let file = folder.and_then(|()| File::create(log)).map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{program} has no stdin or stdout"));
        };
        let (sender, lines) = channel();
        // Reading has no time limit, so another thread does it; it ends with the process.
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, input, lines, log: log.to_owned() })
    }

    /// Waits until it is loaded. What libraries print before that is passed over.
    pub(super) fn ready(&mut self) -> Result<(), String> {
        while self.line(LOADING)? != "ready" {}
        Ok(())
    }

    /// The milliseconds of one pass.
    pub(super) fn pass(&mut self) -> Result<f64, String> {
        let asked = writeln!(self.input, "run").and_then(|()| self.input.flush());
        asked.map_err(|_| self.last_words())?;
        let line = self.line(PASS)?;
        line.parse().map_err(|_| line)
    }

    /// The most memory that it had so far, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        kilobytes.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
    }

    fn line(&mut self, limit: Duration) -> Result<String, String> {
        self.lines.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("gave no answer in {} seconds", limit.as_secs()),
            RecvTimeoutError::Disconnected => self.last_words(),
        })
    }

    /// Why it ended: what it wrote to stderr from `error: ` on, or else the last line.
    fn last_words(&mut self) -> String {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let error = lines.iter().position(|line| line.starts_with("error: ")).unwrap_or(lines.len().saturating_sub(1));
        match lines.get(error..) {
            None | Some([]) => status,
            Some(words) => words.join("; "),
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
