//! One comparison: a network, a task, and the engines that take part.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::engine::{Contender, ENGINES, Engine};
use super::peer::Peer;
use super::random::Random;
use super::{Network, Setting};
use crate::process::stage;

/// The task that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Forward passes in f32.
    Inference,
    /// Forward passes in bf16, and in f32 for comparison.
    Bf16,
    /// Forward pass, backward pass, and a step of SGD.
    Training,
    /// From the start of the process to the end of the first forward pass.
    StartUp,
}

/// One comparison.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) network: Network,
    pub(super) batch: u32,
    pub(super) kind: Kind,
    pub(super) contenders: Vec<Contender>,
}

/// The results of a case.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) case: Case,
    /// For each contender; the reason if it could not run.
    pub(super) results: Vec<Result<Measured, String>>,
}

/// The result of one contender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The median, in milliseconds.
    pub(super) time: f64,
    /// The peak memory of the process in bytes; `None` if the system does not report it.
    pub(super) memory: Option<u64>,
}

/// The time for the rounds of one case, after the first [`LEAST_ROUNDS`].
const BUDGET: Duration = Duration::from_secs(25);
const LEAST_ROUNDS: u32 = 5;
/// The number of starts of each contender in a start-up case.
const STARTS: u32 = 7;
/// The most passes of one contender in one round.
const MOST_PASSES: usize = 5;
/// Milliseconds from which a pass is long: it is then the only one of its round, without one before it to warm the caches.
const LONG: f64 = 200.0;
/// A pause for the threads of an engine, which may busy-wait after a pass.
const PAUSE: Duration = Duration::from_millis(10);
/// Passes before the first measurement.
const WARM_UP: u32 = 3;

impl Case {
    /// A comparison of all engines that can take part, restricted to `chosen` unless that is empty.
    pub(super) fn new(network: Network, batch: u32, kind: Kind, chosen: &[Engine]) -> Self {
        let mut contenders = match kind {
            Kind::Inference => ENGINES.map(Engine::f32).to_vec(),
            Kind::Bf16 => vec![
                Engine::Mmcv.bf16(),
                Engine::Mmcv.f32(),
                Engine::Eager.f32(),
                Engine::Eager.bf16(),
                Engine::Compile.bf16(),
                Engine::Onnxruntime.f32(),
                Engine::Openvino.bf16(),
            ],
            Kind::Training => vec![Engine::MmcvEager.f32(), Engine::Eager.f32()],
            Kind::StartUp => vec![Engine::Mmcv.f32(), Engine::MmcvEager.f32(), Engine::Eager.f32()],
        };
        contenders.retain(|contender| chosen.is_empty() || chosen.contains(&contender.engine));
        Self { network, batch, kind, contenders }
    }

    /// The title of the case.
    pub(super) fn title(&self) -> String {
        let Self { network, batch, kind, .. } = self;
        let task = match kind {
            Kind::Inference => "",
            Kind::Bf16 => ", bf16",
            Kind::Training => ", training",
            Kind::StartUp => ", start-up",
        };
        format!("{}, batch {batch}{task}", network.title)
    }

    pub(super) fn measure(self, setting: &Setting) -> Outcome {
        stage(self.title());
        let results = match self.kind {
            Kind::StartUp => self.starts(setting),
            _ => self.passes(setting),
        };
        for (contender, result) in self.contenders.iter().zip(&results) {
            let (engine, dtype) = (contender.engine.title(), contender.dtype.name());
            match result {
                Ok(measured) => eprintln!("    {engine:<16} {dtype:<5} {:>9.2} ms", measured.time),
                Err(reason) => eprintln!("    {engine:<16} {dtype:<5} {reason}"),
            }
        }
        Outcome { case: self, results }
    }

    /// Starts every contender once; then they take turns.
    fn passes(&self, setting: &Setting) -> Vec<Result<Measured, String>> {
        let mut runners = self.warm_runners(setting);
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
                    runner.take_turn();
                }
            }
        }
        runners.into_iter().map(Runner::finish).collect()
    }

    /// Starts all contenders at once, because loading is not measured and includes much waiting, and warms them up.
    fn warm_runners(&self, setting: &Setting) -> Vec<Runner> {
        let started: Vec<_> = self.contenders.iter().map(|contender| self.start(*contender, setting)).collect();
        let mut runners = Vec::new();
        for peer in started {
            let peer = match peer {
                Ok(peer) => warm_up(peer),
                Err(reason) => Err(reason),
            };
            runners.push(Runner { peer, times: Vec::new() });
        }
        runners
    }

    /// Starts the contenders repeatedly. The first time is not counted, because it reads files that are cached later.
    fn starts(&self, setting: &Setting) -> Vec<Result<Measured, String>> {
        let mut times: Vec<Result<Vec<Measured>, String>> = vec![Ok(Vec::new()); self.contenders.len()];
        for round in 0..=setting.rounds.min(STARTS) {
            for (contender, slot) in self.contenders.iter().zip(&mut times) {
                let Ok(times) = slot else { continue };
                match self.start_up(*contender, setting) {
                    Ok(first) if round > 0 => times.push(first),
                    Ok(_) => {}
                    Err(reason) => *slot = Err(reason),
                }
            }
        }
        let mut results = Vec::new();
        for starts in times {
            results.push(match starts {
                Ok(starts) => {
                    let times: Vec<f64> = starts.iter().map(|start| start.time).collect();
                    let memory = starts.last().and_then(|start| start.memory);
                    Ok(Measured { time: median(&times), memory })
                }
                Err(reason) => Err(reason),
            });
        }
        results
    }

    /// One process from its start to its first output.
    fn start_up(&self, contender: Contender, setting: &Setting) -> Result<Measured, String> {
        let start = Instant::now();
        let mut peer = self.start(contender, setting)?;
        peer.ready()?;
        peer.pass()?;
        let memory = peer.peak_memory();
        Ok(Measured { time: 1e3 * start.elapsed().as_secs_f64(), memory })
    }

    fn start(&self, contender: Contender, setting: &Setting) -> Result<Peer, String> {
        let name = format!("{}-{}-{}", self.title(), contender.engine.name(), contender.dtype.name());
        let log = setting.folder.join("logs").join(name.replace([' ', ','], "_")).with_extension("txt");
        Peer::start(contender.command(self, setting), &log)
    }
}

/// A contender of a case that takes turns, and its times so far.
struct Runner {
    /// The process; the reason if it could not run.
    peer: Result<Peer, String>,
    times: Vec<f64>,
}

impl Runner {
    /// Some passes, unless it failed before.
    fn take_turn(&mut self) {
        let Ok(peer) = &mut self.peer else { return };
        match turn(peer, &mut self.times) {
            Ok(()) => std::thread::sleep(PAUSE),
            Err(reason) => self.peer = Err(reason),
        }
    }

    fn finish(self) -> Result<Measured, String> {
        let memory = self.peer?.peak_memory();
        Ok(Measured { time: median(&self.times), memory })
    }
}

fn warm_up(mut peer: Peer) -> Result<Peer, String> {
    peer.ready()?;
    for _ in 0..WARM_UP {
        peer.pass()?;
    }
    Ok(peer)
}

/// Some passes of one contender. The first one only refills the caches, which others have used in the meantime.
fn turn(peer: &mut Peer, times: &mut Vec<f64>) -> Result<(), String> {
    let first = peer.pass()?;
    if first >= LONG {
        times.push(first);
        return Ok(());
    }
    let passes = ((LONG / first.max(0.001)) as usize).clamp(1, MOST_PASSES);
    for _ in 0..passes {
        times.push(peer.pass()?);
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
