//! `mmcv launch`: several processes of one program on this machine.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::Failure;

/// Ports below those that the system gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long the output of a program that has ended is waited for; a process that it started may keep it open.
const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// Ends the processes of the ranks, whose groups are the arguments, unless it is told that they are done: also if this program is
/// killed, for then its input ends. Those that do not heed it within 5 s are killed.
const GUARD: &str = r#"read -r word
[ "$word" = done ] && exit 0
kill -s TERM -- "$@" 2> /dev/null
for second in 1 2 3 4 5; do
    sleep 1
    left=0
    for group; do
        kill -s 0 -- "$group" 2> /dev/null && left=1
    done
    [ $left = 0 ] && exit 0
done
kill -s KILL -- "$@" 2> /dev/null"#;

/// Starts N processes of a program that train together on this machine, each with its number in RANK, as torchrun does.
///
/// Each line of their output begins with the number. If one fails, the others are ended, and the status is that of the first
/// that failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv launch -n 4 -- target/release/train --config my.yaml
  mmcv launch -n 2 --port 29500 -- python train.py")]
pub struct Launch {
    /// Number of processes.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    nproc: u16,
    /// The port at which rank 0 waits for the others (MASTER_PORT) [default: a free one].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Launch {
    pub fn run(&self) -> Result<(), Failure> {
        let port = match self.port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut guard = None;
        let mut children = Vec::new();
        for rank in 0..self.nproc {
            match self.start(rank, port) {
                Ok(child) => children.push(child),
                Err(error) => {
                    let _ = Guard::start(&children);
                    return Err(error.into());
                }
            }
            // A new guard before the old one goes: no moment without.
            let previous = guard.replace(Guard::start(&children)?);
            if let Some(previous) = previous {
                previous.dismiss();
            }
        }
        let first = wait(children);
        let Some(guard) = guard else { return Ok(()) };
        match first {
            Some((rank, status)) => {
                guard.end_all();
                Err(failure(rank, status))
            }
            None => {
                guard.dismiss();
                Ok(())
            }
        }
    }

    fn start(&self, rank: u16, port: u16) -> Result<Child> {
        let (program, arguments) = self.command.split_first().context("no program is given")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("RANK", rank.to_string())
            .env("LOCAL_RANK", rank.to_string())
            .env("WORLD_SIZE", self.nproc.to_string())
            .env("LOCAL_WORLD_SIZE", self.nproc.to_string())
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .env_remove("TORCHELASTIC_USE_AGENT_STORE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, with which the processes that it starts are ended too.
            .process_group(0);
        if std::env::var_os("OMP_NUM_THREADS").is_none() {
            command.env("OMP_NUM_THREADS", threads(self.nproc).to_string());
        }
        command.spawn().with_context(|| format!("cannot start {}", program.display()))
    }
}

/// The threads of a process, which share the cores.
fn threads(processes: u16) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / usize::from(processes)).max(1)
}

fn free_port() -> Result<u16> {
    // Programs that start at the same time begin at different ports.
    let count = usize::from(PORTS.end - PORTS.start);
    let start = usize::try_from(std::process::id()).unwrap_or_default().wrapping_mul(37) % count;
    for port in PORTS.cycle().skip(start).take(count) {
        if TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() || TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from {} to {} is free: give one with --port", PORTS.start, PORTS.end - 1)
}

/// The process that ends the ranks; see [`GUARD`].
struct Guard {
    child: Child,
    input: ChildStdin,
}

impl Guard {
    fn start(ranks: &[Child]) -> Result<Self> {
        let groups = ranks.iter().map(|child| format!("-{}", child.id()));
        let mut child = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .args(groups)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        let input = child.stdin.take().context("sh has no input")?;
        Ok(Self { child, input })
    }

    fn dismiss(mut self) {
        let _ = self.input.write_all(b"done\n");
        drop(self.input);
        let _ = self.child.wait();
    }

    fn end_all(mut self) {
        drop(self.input);
        let _ = self.child.wait();
    }
}

/// Passes the output on until all have ended, or one has failed: that one.
fn wait(children: Vec<Child>) -> Option<(usize, ExitStatus)> {
    let (ends, ended) = channel();
    let (outputs, output_ended) = channel::<()>();
    let count = children.len();
    for (rank, mut child) in children.into_iter().enumerate() {
        if let Some(output) = child.stdout.take() {
            pass_on(rank, output, std::io::stdout(), outputs.clone());
        }
        if let Some(output) = child.stderr.take() {
            pass_on(rank, output, std::io::stderr(), outputs.clone());
        }
        let ends: Sender<(usize, ExitStatus)> = ends.clone();
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                let _ = ends.send((rank, status));
            }
        });
    }
    drop((ends, outputs));
    for _ in 0..count {
        if let Ok((rank, status)) = ended.recv()
            && !status.success()
        {
            wait_for_output(&output_ended);
            return Some((rank, status));
        }
    }
    wait_for_output(&output_ended);
    None
}

fn wait_for_output(ended: &Receiver<()>) {
    // It ends without a message once all have ended.
    let _ = ended.recv_timeout(LAST_OUTPUT);
}

/// Writes each line with the number of its rank.
fn pass_on(rank: usize, from: impl Read + Send + 'static, mut to: impl Write + Send + 'static, ends: Sender<()>) {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = lines.read_until(b'\n', &mut line) {
            let mut text = format!("[{rank}] ").into_bytes();
            text.append(&mut line);
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            // If the stream is closed, the program goes on.
            let _ = to.write_all(&text).and_then(|()| to.flush());
        }
        drop(ends);
    });
}

fn failure(rank: usize, status: ExitStatus) -> Failure {
    let (end, code) = match (status.code(), status.signal()) {
        (Some(code), _) => (format!("with status {code}"), u8::try_from(code).unwrap_or(1)),
        (None, Some(signal)) => (format!("by signal {signal}"), u8::try_from(128 + signal).unwrap_or(1)),
        (None, None) => (status.to_string(), 1),
    };
    Failure::Status(format!("rank {rank} was the first to fail and ended {end}; the others were ended"), code)
}
