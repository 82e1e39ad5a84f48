//! Groups of processes that perform a task together, in turns with other groups.

use std::process::{Command, Stdio};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use super::Setting;
use super::case::Measured;
use super::peer::Peer;
use super::random::Random;
use super::turns::PAUSE;

/// Milliseconds from which a pass is long.
const LONG: f64 = 1000.0;

/// Some processes that perform a task together.
pub(super) struct Side {
    pub(super) title: String,
    pub(super) processes: Processes,
}

pub(super) enum Processes {
    /// They are loaded once, and wait for their turn. A pass ends with the last of them.
    Waiting(Vec<Command>),
    /// They are started for each pass, which includes their start.
    Started(Box<dyn Fn() -> Vec<Command>>),
}

/// Processes that are loaded.
enum Runner {
    Waiting(Vec<Peer>),
    Started(Box<dyn Fn() -> Vec<Command>>),
}

/// The times of a pass of each side, after one that is not counted; the reason if it could not run.
pub(super) fn in_turns(task: &str, sides: Vec<Side>, setting: &Setting) -> Vec<(String, Result<Measured, String>)> {
    let mut titles = Vec::new();
    let mut runners: Vec<Result<(Runner, Vec<f64>), String>> = Vec::new();
    for Side { title, processes } in sides {
        let name = format!("{task}-{title}").replace([' ', ','], "_");
        runners.push(load(processes, &name, setting).map(|runner| (runner, Vec::new())));
        titles.push(title);
    }
    let mut order: Vec<usize> = (0..runners.len()).collect();
    let mut random = Random::new();
    for round in 0..=setting.rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let Some(slot) = runners.get_mut(index) else { continue };
            let Ok((runner, times)) = slot else { continue };
            match runner.turn() {
                Ok(time) if round > 0 => times.push(time),
                Ok(_) => {}
                Err(reason) => *slot = Err(reason),
            }
            thread::sleep(PAUSE);
        }
    }
    let results: Vec<Result<Measured, String>> =
        runners.into_iter().map(|runner| runner.map(|(_, times)| Measured::new(&times))).collect();
    for (title, result) in titles.iter().zip(&results) {
        match result {
            Ok(Measured { time, spread, .. }) => {
                eprintln!("    {title:<36} {time:>9.2} ms, quartiles {:.0} % apart", 100.0 * spread);
            }
            Err(reason) => eprintln!("    {title:<36} {reason}"),
        }
    }
    titles.into_iter().zip(results).collect()
}

fn load(processes: Processes, name: &str, setting: &Setting) -> Result<Runner, String> {
    let commands = match processes {
        Processes::Waiting(commands) => commands,
        Processes::Started(commands) => return Ok(Runner::Started(commands)),
    };
    let mut peers = Vec::new();
    for (number, command) in commands.into_iter().enumerate() {
        let log = setting.folder.join("logs").join(format!("{name}-{number}.txt"));
        peers.push(Peer::start(command, &log)?);
    }
    for peer in &mut peers {
        peer.ready()?;
    }
    Ok(Runner::Waiting(peers))
}

impl Runner {
    /// The milliseconds of a pass. If it is not long, one before it refills the caches, which others have used in the meantime.
    fn turn(&mut self) -> Result<f64, String> {
        let first = self.pass()?;
        if first >= LONG { Ok(first) } else { self.pass() }
    }

    /// The milliseconds until the last process is done.
    fn pass(&mut self) -> Result<f64, String> {
        let peers = match self {
            Self::Waiting(peers) => peers,
            Self::Started(commands) => return run(commands()),
        };
        // All at once: they may wait for each other.
        let times = thread::scope(|scope| {
            let threads: Vec<_> = peers.iter_mut().map(|peer| scope.spawn(|| peer.pass())).collect();
            threads.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut last = 0.0_f64;
        for time in times {
            last = last.max(time.map_err(|_| "a thread panicked".to_owned())??);
        }
        Ok(last)
    }
}

/// Runs these programs at once.
fn run(commands: Vec<Command>) -> Result<f64, String> {
    let start = Instant::now();
    let mut children = Vec::new();
    for mut command in commands {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        children.push(child.map_err(|error| error.to_string())?);
    }
    for child in children {
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(text.lines().collect::<Vec<_>>().join("; "));
        }
    }
    Ok(1e3 * start.elapsed().as_secs_f64())
}
