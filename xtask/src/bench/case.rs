//! One comparison: a network, a task, and the engines that take part.

use std::path::PathBuf;

use super::engine::{Contender, ENGINES, Engine};
use super::peer::Peer;
use super::turns::{passes, starts};
use super::{Network, Setting};
use crate::process::stage;

/// The usual height and width of an image.
pub(super) const SIZE: u32 = 224;

/// The task that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Forward passes in f32.
    Inference,
    /// Forward passes in bf16, and in f32 for comparison.
    Bf16,
    /// Forward passes in int8, and in other types for comparison.
    Int8,
    /// Images per second of several passes at once.
    Throughput,
    /// Forward passes with more and larger images, the time until the first output, and memory.
    Growth,
    /// Forward passes beside a program that keeps one core busy.
    Load,
    /// Forward pass, backward pass, and a step of SGD.
    Training,
    /// From the start of the process to the end of the first forward pass.
    StartUp,
}

/// One comparison.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) network: Network,
    pub(super) kind: Kind,
    pub(super) batch: u32,
    /// Height and width of an image.
    pub(super) size: u32,
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
    /// The median in milliseconds: of a pass, or of an image in [`Kind::Throughput`].
    pub(super) time: f64,
    /// The distance of the quartiles of the times, relative to the median.
    pub(super) spread: f64,
    /// The peak memory of its processes in bytes; `None` if the system does not report it.
    pub(super) memory: Option<u64>,
    /// The seconds from the start of the process to its first output; meaningful in [`Kind::Growth`], where each starts
    /// alone.
    pub(super) ready: Option<f64>,
    /// The largest difference from PyTorch's scores in f32, relative to the largest score.
    pub(super) deviation: Option<f64>,
}

impl Measured {
    /// The result of these times.
    pub(super) fn new(times: &[f64]) -> Self {
        let time = quantile(times, 0.5);
        let spread = (quantile(times, 0.75) - quantile(times, 0.25)) / time;
        Self { time, spread, memory: None, ready: None, deviation: None }
    }
}

impl Kind {
    /// All engines that can take part.
    fn contenders(self) -> Vec<Contender> {
        match self {
            Self::Inference => ENGINES.map(Engine::f32).to_vec(),
            Self::Bf16 => vec![
                Engine::Mmcv.bf16(),
                Engine::Mmcv.f32(),
                Engine::Eager.f32(),
                Engine::Eager.bf16(),
                Engine::Compile.bf16(),
                Engine::Onnxruntime.f32(),
                Engine::Openvino.bf16(),
                Engine::Ncnn.bf16(),
            ],
            Self::Int8 => vec![
                Engine::Mmcv.int8(),
                Engine::Mmcv.f32(),
                Engine::Mmcv.bf16(),
                Engine::Openvino.bf16(),
                Engine::Openvino.int8(),
                Engine::Onnxruntime.int8(),
            ],
            Self::Throughput => vec![
                Engine::Mmcv.f32(),
                Engine::Mmcv.f32().streams(),
                Engine::Mmcv.f32().processes(),
                Engine::Onnxruntime.f32(),
                Engine::Openvino.f32(),
                Engine::Openvino.f32().streams(),
                Engine::Mmcv.bf16(),
                Engine::Mmcv.bf16().streams(),
                Engine::Mmcv.bf16().processes(),
                Engine::Openvino.bf16().streams(),
            ],
            Self::Growth => vec![Engine::Mmcv.f32(), Engine::Onnxruntime.f32(), Engine::Openvino.f32()],
            Self::Load => vec![
                Engine::Mmcv.f32(),
                Engine::Mmcv.f32().streams(),
                Engine::Onnxruntime.f32(),
                Engine::Openvino.f32(),
                Engine::Openvino.f32().streams(),
            ],
            Self::Training => vec![
                Engine::MmcvEager.f32(),
                Engine::MmcvEager.f32().channels_last(),
                Engine::MmcvEager.bf16().channels_last(),
                Engine::Eager.f32(),
                Engine::Eager.f32().channels_last(),
                Engine::Eager.bf16().channels_last(),
            ],
            Self::StartUp => vec![Engine::Mmcv.f32(), Engine::MmcvEager.f32(), Engine::Eager.f32()],
        }
    }

    /// Whether the scores are compared with PyTorch's.
    pub(super) fn has_scores(self) -> bool {
        matches!(self, Self::Inference | Self::Bf16 | Self::Int8 | Self::Growth)
    }
}

impl Case {
    /// A comparison of all engines that can take part, restricted to `chosen` unless that is empty.
    pub(super) fn new(network: Network, kind: Kind, (batch, size): (u32, u32), chosen: &[Engine]) -> Self {
        let mut contenders = kind.contenders();
        contenders.retain(|contender| chosen.is_empty() || chosen.contains(&contender.engine));
        Self { network, kind, batch, size, contenders }
    }

    /// The title of the case.
    pub(super) fn title(&self) -> String {
        let Self { network, batch, size, kind, .. } = self;
        let task = match kind {
            Kind::Inference => "",
            Kind::Bf16 => ", bf16",
            Kind::Int8 => ", int8",
            Kind::Throughput => ", throughput",
            Kind::Growth => return format!("{}, batch {batch}, {size} x {size}", network.title),
            Kind::Load => ", beside a busy program",
            Kind::Training => ", training",
            Kind::StartUp => ", start-up",
        };
        format!("{}, batch {batch}{task}", network.title)
    }

    /// The name of the row in a table of such cases.
    pub(super) fn row(&self) -> String {
        let Self { network, batch, size, .. } = self;
        match self.kind {
            Kind::Int8 => format!("{}, {}", network.title, images(*batch)),
            Kind::Growth => format!("{}, {size} x {size}", images(*batch)),
            _ => network.title.to_owned(),
        }
    }

    /// The part of the names of exported files that depends on the shape of the input.
    pub(super) fn shape(&self) -> String {
        format!("{}x{}", self.batch, self.size)
    }

    /// An exported file, such as `scores`.
    pub(super) fn file(&self, extension: &str, setting: &Setting) -> PathBuf {
        setting.network_folder(self.network).join(format!("{}.{extension}", self.shape()))
    }

    pub(super) fn measure(self, setting: &Setting) -> Outcome {
        stage(self.title());
        let results = match self.kind {
            Kind::StartUp => starts(&self, setting),
            _ => passes(&self, setting),
        };
        for (contender, result) in self.contenders.iter().zip(&results) {
            let title = contender.title();
            match result {
                Ok(Measured { time, spread, .. }) => {
                    eprintln!("    {title:<36} {time:>9.2} ms, quartiles {:.0} % apart", 100.0 * spread);
                }
                Err(reason) => eprintln!("    {title:<36} {reason}"),
            }
        }
        Outcome { case: self, results }
    }

    /// Starts a process of a contender, which may have several: `number` is its index.
    pub(super) fn start(&self, contender: Contender, number: u16, setting: &Setting) -> Result<Peer, String> {
        let name = format!("{}-{}-{number}", self.title(), contender.title());
        let log = setting.folder.join("logs").join(name.replace([' ', ','], "_")).with_extension("txt");
        Peer::start(contender.command(self, setting), &log)
    }
}

/// A number of images in words.
pub(super) fn images(count: u32) -> String {
    match count {
        1 => "one image".to_owned(),
        8 => "eight images".to_owned(),
        _ => format!("{count} images"),
    }
}

/// The number that this share of the numbers is below, interpolated.
fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * sorted.len().saturating_sub(1) as f64;
    match (sorted.get(place.floor() as usize), sorted.get(place.ceil() as usize)) {
        (Some(lower), Some(upper)) => lower + place.fract() * (upper - lower),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::{Measured, quantile};

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0], 0.5), 3.0);
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(Measured::new(&[1.0, 2.0, 3.0, 4.0, 5.0]).spread, 2.0 / 3.0);
    }
}
