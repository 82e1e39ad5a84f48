//! One comparison: a network, what is done with it, and who takes part.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::engine::{Contender, ENGINES, Engine};
use super::peer::Peer;
use super::random::Random;
use super::{Network, Setting};
use crate::process::stage;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Forward passes with 32 bits.
    Inference,
    /// Forward passes with 16 bits, and with 32 for comparison.
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

/// What was measured in a case.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) case: Case,
    /// For each contender; a reason where it could not run.
    pub(super) results: Vec<Result<Measured, String>>,
}

/// What was measured of one contender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The median, in milliseconds.
    pub(super) time: f64,
    /// The most memory that the process had, in bytes; `None` where the system does not tell.
    pub(super) memory: Option<u64>,
}

/// How long the rounds of one case may take; the least number of them takes as long as it takes.
const BUDGET: Duration = Duration::from_secs(25);
const LEAST_ROUNDS: u32 = 5;
/// How often the contenders of a start-up are started.
const STARTS: u32 = 7;
/// Measurements of one contender in one round, where they are short.
const MOST_PASSES: usize = 5;
/// From this time on a pass is long: there is one in a round, and none before it to warm the caches.
const LONG: f64 = 200.0;
/// How long the threads of an engine may go on waiting for work after a pass.
const PAUSE: Duration = Duration::from_millis(10);
/// Passes before the first measurement.
const WARM_UP: u32 = 3;

impl Case {
    /// A comparison of all who can take part, and are in `chosen` where that is not empty.
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

    /// What is measured, for people.
    pub(super) fn title(&self) -> String {
        let Self { network, batch, kind, .. } = self;
        let what = match kind {
            Kind::Inference => "",
            Kind::Bf16 => ", bf16",
            Kind::Training => ", training",
            Kind::StartUp => ", start-up",
        };
        format!("{}, batch {batch}{what}", network.title)
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
                Ok(Measured { time, .. }) => eprintln!("    {engine:<16} {dtype:<5} {time:>9.2} ms"),
                Err(reason) => eprintln!("    {engine:<16} {dtype:<5} {reason}"),
            }
        }
        Outcome { case: self, results }
    }

    /// Starts every contender once; then they take turns.
    fn passes(&self, setting: &Setting) -> Vec<Result<Measured, String>> {
        // Loading takes no turns: it is not measured here, and much of it is waiting.
        let started: Vec<_> = self.contenders.iter().map(|contender| self.start(*contender, setting)).collect();
        let warm = |mut peer: Peer| {
            peer.ready()?;
            (0..WARM_UP).try_for_each(|_| peer.pass().map(drop))?;
            Ok(peer)
        };
        let mut peers: Vec<Result<Peer, String>> = started.into_iter().map(|peer| peer.and_then(warm)).collect();
        let mut times = vec![Vec::new(); peers.len()];
        let mut order: Vec<usize> = (0..peers.len()).collect();
        let (mut random, start) = (Random::new(), Instant::now());
        for round in 0..setting.rounds {
            if round >= LEAST_ROUNDS && start.elapsed() > BUDGET {
                break;
            }
            random.shuffle(&mut order);
            for &index in &order {
                let (Some(slot), Some(times)) = (peers.get_mut(index), times.get_mut(index)) else { continue };
                if let Ok(peer) = slot {
                    match turn(peer, times) {
                        Ok(()) => std::thread::sleep(PAUSE),
                        Err(reason) => *slot = Err(reason),
                    }
                }
            }
        }
        let measured = |(peer, times): (Result<Peer, String>, Vec<f64>)| {
            peer.map(|peer| Measured { time: median(&times), memory: peer.peak_memory() })
        };
        peers.into_iter().zip(times).map(measured).collect()
    }

    /// Starts the contenders again and again; the first time is not counted, since it reads files that are cached later.
    fn starts(&self, setting: &Setting) -> Vec<Result<Measured, String>> {
        let mut times: Vec<Result<Vec<f64>, String>> = vec![Ok(Vec::new()); self.contenders.len()];
        let mut memory = vec![None; self.contenders.len()];
        for round in 0..=setting.rounds.min(STARTS) {
            for ((contender, slot), memory) in self.contenders.iter().zip(&mut times).zip(&mut memory) {
                let Ok(times) = slot else { continue };
                let start = Instant::now();
                let first = self.start(*contender, setting).and_then(|mut peer| {
                    peer.ready()?;
                    peer.pass()?;
                    *memory = peer.peak_memory();
                    Ok(1e3 * start.elapsed().as_secs_f64())
                });
                match first {
                    Ok(time) => times.extend((round > 0).then_some(time)),
                    Err(reason) => *slot = Err(reason),
                }
            }
        }
        let measured =
            |(times, memory): (Result<Vec<f64>, _>, _)| times.map(|times| Measured { time: median(&times), memory });
        times.into_iter().zip(memory).map(measured).collect()
    }

    fn start(&self, contender: Contender, setting: &Setting) -> Result<Peer, String> {
        let name = format!("{}-{}-{}", self.title(), contender.engine.name(), contender.dtype.name());
        let log = setting.folder.join("logs").join(name.replace([' ', ','], "_")).with_extension("txt");
        Peer::start(contender.command(self, setting), &log)
    }
}

/// Some passes of one contender; the first is for the caches, which the others have filled.
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
    let middle = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (middle(sorted.len().saturating_sub(1) / 2) + middle(sorted.len() / 2)) / 2.0
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
