//! The measurement of a case: its contenders take turns.

use std::time::{Duration, Instant};

use super::case::{Case, Kind, Measured};
use super::deviation::deviation;
use super::engine::{Contender, Sharing};
use super::load::BusyLoop;
use super::peer::Peer;
use super::random::Random;
use super::{Setting, throughput};

/// The time for the rounds of one case, after the first [`LEAST_ROUNDS`].
const BUDGET: Duration = Duration::from_secs(25);
const LEAST_ROUNDS: u32 = 5;
/// The number of starts of each contender in a start-up case.
const STARTS: u32 = 7;
/// The most passes of one contender in one round.
const MOST_PASSES: usize = 5;
/// Milliseconds from which a pass is long: it is then the only one of its round, without one before it to warm the caches, except in
/// training, where a step follows another.
const LONG: f64 = 200.0;
/// A pause for the threads of an engine, which may busy-wait after a pass.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// Passes before the first measurement.
const WARM_UP: u32 = 3;

/// A contender that takes turns, and its times so far.
struct Runner {
    /// Its processes, usually one; the reason if they could not run.
    peers: Result<Vec<Peer>, String>,
    started: Instant,
    /// The seconds from the start to the first output.
    ready: f64,
    times: Vec<f64>,
}

/// Starts every contender once; then they take turns.
pub(super) fn passes(case: &Case, setting: &Setting) -> Vec<Result<Measured, String>> {
    let mut runners = warm_runners(case, setting);
    let load = if case.kind == Kind::Load { Some(BusyLoop::start()) } else { None };
    let mut order: Vec<usize> = (0..runners.len()).collect();
    let mut random = Random::new();
    let start = Instant::now();
    for round in 0..setting.rounds {
        if round >= LEAST_ROUNDS && start.elapsed() > BUDGET {
            break;
        }
        random.shuffle(&mut order);
        for &index in &order {
            if let Some(runner) = runners.get_mut(index) {
                runner.take_turn(case);
            }
        }
    }
    drop(load);
    runners.into_iter().map(|runner| runner.finish(case, setting)).collect()
}

/// Starts all contenders, and warms them up.
fn warm_runners(case: &Case, setting: &Setting) -> Vec<Runner> {
    let mut runners = Vec::new();
    for contender in &case.contenders {
        if case.kind == Kind::Growth {
            // The first start is not measured, because it reads files that are cached later. The next one tells if it fails.
            let _ = start_up(case, *contender, setting);
        }
        let mut runner = Runner::start(case, *contender, setting);
        // All are started at once, because loading includes much waiting, except where it is measured.
        if case.kind == Kind::Growth {
            runner.warm_up();
        }
        runners.push(runner);
    }
    if case.kind != Kind::Growth {
        runners.iter_mut().for_each(Runner::warm_up);
    }
    runners
}

impl Runner {
    fn start(case: &Case, contender: Contender, setting: &Setting) -> Self {
        let started = Instant::now();
        let count = if contender.sharing == Sharing::Processes { setting.threads } else { 1 };
        let peers = (0..count).map(|number| case.start(contender, number, setting)).collect();
        Self { peers, started, ready: 0.0, times: Vec::new() }
    }

    fn warm_up(&mut self) {
        let Ok(peers) = &mut self.peers else { return };
        match warm_up(peers, self.started) {
            Ok(ready) => self.ready = ready,
            Err(reason) => self.peers = Err(reason),
        }
    }

    /// Some passes, unless it failed before.
    fn take_turn(&mut self, case: &Case) {
        let Ok(peers) = &mut self.peers else { return };
        let result = match (case.kind, &mut peers[..]) {
            (Kind::Throughput, peers) => throughput::turn(peers, case.batch).map(|time| self.times.push(time)),
            (kind, [peer]) => turn(peer, kind, &mut self.times),
            (_, peers) => Err(format!("{} processes cannot share a pass", peers.len())),
        };
        match result {
            Ok(()) => std::thread::sleep(PAUSE),
            Err(reason) => self.peers = Err(reason),
        }
    }

    fn finish(self, case: &Case, setting: &Setting) -> Result<Measured, String> {
        let mut peers = self.peers?;
        // Before the comparison of scores, which needs memory.
        let memory = peers.iter().map(Peer::peak_memory).sum();
        let mut measured = Measured { memory, ready: Some(self.ready), ..Measured::new(&self.times) };
        if case.kind.has_scores()
            && let Some(peer) = peers.first_mut()
        {
            measured.deviation = Some(deviation(peer, case, setting)?);
        }
        Ok(measured)
    }
}

/// Waits until all are loaded, and warms them up. Returns the seconds until the first outputs.
fn warm_up(peers: &mut [Peer], started: Instant) -> Result<f64, String> {
    for peer in &mut *peers {
        peer.ready()?;
        peer.pass()?;
    }
    let ready = started.elapsed().as_secs_f64();
    for peer in peers {
        for _ in 1..WARM_UP {
            peer.pass()?;
        }
    }
    Ok(ready)
}

/// Some passes of one contender. The first one only refills the caches, which others have used in the meantime.
fn turn(peer: &mut Peer, kind: Kind, times: &mut Vec<f64>) -> Result<(), String> {
    let first = peer.pass()?;
    if first >= LONG && kind != Kind::Training {
        times.push(first);
        return Ok(());
    }
    let passes = ((LONG / first.max(0.001)) as usize).clamp(1, MOST_PASSES);
    for _ in 0..passes {
        times.push(peer.pass()?);
    }
    Ok(())
}

/// Starts the contenders repeatedly. The first time is not counted, because it reads files that are cached later.
pub(super) fn starts(case: &Case, setting: &Setting) -> Vec<Result<Measured, String>> {
    let mut results: Vec<Result<Starts, String>> = vec![Ok(Starts::default()); case.contenders.len()];
    for round in 0..=setting.rounds.min(STARTS) {
        for (contender, slot) in case.contenders.iter().zip(&mut results) {
            let Ok(starts) = slot else { continue };
            match start_up(case, *contender, setting) {
                Ok((time, memory)) if round > 0 => {
                    starts.times.push(time);
                    starts.memory = memory;
                }
                Ok(_) => {}
                Err(reason) => *slot = Err(reason),
            }
        }
    }
    results.into_iter().map(|starts| Ok(starts?.finish())).collect()
}

/// The starts of a contender so far.
#[derive(Clone, Default)]
struct Starts {
    /// In milliseconds.
    times: Vec<f64>,
    memory: Option<u64>,
}

impl Starts {
    fn finish(self) -> Measured {
        Measured { memory: self.memory, ..Measured::new(&self.times) }
    }
}

/// The milliseconds from the start of a process to its first output, and its peak memory.
fn start_up(case: &Case, contender: Contender, setting: &Setting) -> Result<(f64, Option<u64>), String> {
    let start = Instant::now();
    let mut peer = case.start(contender, 0, setting)?;
    peer.ready()?;
    peer.pass()?;
    let memory = peer.peak_memory();
    Ok((1e3 * start.elapsed().as_secs_f64(), memory))
}
