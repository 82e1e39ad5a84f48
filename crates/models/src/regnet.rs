//! `RegNet`: a [`ResNet`] whose widths grow linearly. Radosavovic et al., Designing Network Design Spaces (2020).
//!
//! Reference: mmpretrain/models/backbones/regnet.py.

use mmcv_layers::{Builder, Error, KeyMapping, Layer, Registry, Result};
use mmcv_registry::{Config, ConfigError, ConfigStruct, FromConfig, KeyPath, one_of};

use crate::resnet::{AvgDown, Plan, ResNet, ResNetOptions, StagePlan, StemKind, at_least_one};
use crate::resnext::GroupedBottleneck;

/// Table 2 of the paper: initial width, slope, quantization, group width, depth.
const ARCHS: [(&str, f64, f64, f64, i64, i64); 8] = [
    ("regnetx_400mf", 24.0, 24.48, 2.54, 16, 22),
    ("regnetx_800mf", 56.0, 35.73, 2.28, 16, 16),
    ("regnetx_1.6gf", 80.0, 34.01, 2.25, 24, 18),
    ("regnetx_3.2gf", 88.0, 26.31, 2.25, 48, 25),
    ("regnetx_4.0gf", 96.0, 38.65, 2.43, 40, 23),
    ("regnetx_6.4gf", 184.0, 60.83, 2.07, 56, 17),
    ("regnetx_8.0gf", 80.0, 49.56, 2.88, 120, 23),
    ("regnetx_12gf", 168.0, 73.36, 2.37, 112, 19),
];

/// Widths are multiples of this.
const DIVISOR: f64 = 8.0;
/// The largest number of blocks.
const MOST_BLOCKS: i64 = 1000;
/// The largest number of stages.
const MOST_STAGES: usize = 4;

/// The parameters of a RegNet: block `i` has about `w0 + wa * i` channels.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct RegNetParams {
    /// Width of the first block, in channels; a multiple of 8.
    pub w0: f64,
    /// Slope of the width, in channels for each block; at least 0.
    pub wa: f64,
    /// Factor between the widths of neighboring stages; greater than 1.
    pub wm: f64,
    /// Channels of each group.
    pub group_w: i64,
    /// Number of blocks, up to 1000.
    pub depth: i64,
    /// Ratio of a block's inner channels to its output channels; greater than 0.
    pub bot_mul: f64,
}

/// A RegNet of the paper's table, or the parameters of another one.
#[derive(Debug, Clone, PartialEq)]
pub enum RegNetArch {
    /// The name of a network in the table, such as `regnetx_400mf`.
    Named(&'static str),
    /// The parameters of another network.
    Custom(RegNetParams),
}

impl FromConfig for RegNetArch {
    fn expected() -> String {
        format!("{}, or a dict", one_of(&ARCHS.map(|arch| arch.0)))
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        if let Config::Dict(dict) = value {
            return RegNetParams::decode(dict, path).map(Self::Custom);
        }
        for (name, ..) in ARCHS {
            if value.as_str() == Some(name) {
                return Ok(Self::Named(name));
            }
        }
        Err(ConfigError::wrong_type(path, Self::expected(), value))
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Named(name) => (*name).into(),
            Self::Custom(params) => params.to_config(),
        }
    }
}

/// Arguments of `RegNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "RegNet", layer = RegNet)]
pub struct RegNetConfig {
    /// The name of a network in the paper's table, such as `regnetx_400mf`, or the parameters of another one.
    pub arch: RegNetArch,
    /// The arguments that all networks of the family share.
    #[config(flatten(stem_channels = Some(32),
            base_channels = 32,
            strides = vec![2, 2, 2, 2],
            init_cfg = Config::Null), without(expansion, num_stages, drop_path_rate))]
    pub options: ResNetOptions,
}

impl RegNetArch {
    /// The parameters.
    ///
    /// # Errors
    /// Returns an error if the name is not in the table.
    fn parameters(&self) -> Result<RegNetParams> {
        let found = match self {
            Self::Custom(params) => return Ok(params.clone()),
            Self::Named(found) => *found,
        };
        for (name, w0, wa, wm, group_w, depth) in ARCHS {
            if name == found {
                return Ok(RegNetParams { w0, wa, wm, group_w, depth, bot_mul: 1.0 });
            }
        }
        Err(Error::argument("arch", format!("{self:?}"), Self::expected()))
    }
}

/// A stage, with a width that its groups divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    blocks: usize,
    width: i64,
    groups: i64,
    width_per_group: i64,
}

impl RegNetParams {
    fn check(&self) -> Result<()> {
        let Self { w0, wa, wm, group_w, depth, bot_mul } = *self;
        if !(w0 > 0.0 && w0 % DIVISOR == 0.0) {
            return Err(Error::argument("w0", w0, "expected a positive multiple of 8"));
        }
        if !(wa >= 0.0 && wa.is_finite()) {
            return Err(Error::argument("wa", wa, "expected at least 0"));
        }
        if !(wm > 1.0 && wm.is_finite()) {
            return Err(Error::argument("wm", wm, "expected more than 1"));
        }
        if !(bot_mul > 0.0 && bot_mul.is_finite()) {
            return Err(Error::argument("bot_mul", bot_mul, "expected more than 0"));
        }
        if !(1..=MOST_BLOCKS).contains(&depth) {
            return Err(Error::argument("depth", depth, format!("expected 1 to {MOST_BLOCKS} blocks")));
        }
        at_least_one(&KeyPath::root().key("group_w"), group_w)
    }

    /// Section 3.3 of the paper: the linear widths, rounded to powers of `wm` times `w0` and then to multiples of 8.
    fn widths(&self) -> Vec<i64> {
        let mut widths = Vec::new();
        for block in 0..self.depth {
            let power = ((block as f64 * self.wa + self.w0) / self.w0).ln() / self.wm.ln();
            let width = self.w0 * self.wm.powf(power.round_ties_even());
            widths.push(((width / DIVISOR).round_ties_even() * DIVISOR) as i64);
        }
        widths
    }

    /// The stages: runs of blocks of the same width, which is adjusted so that the groups divide it.
    fn stages(&self) -> Result<Vec<Stage>> {
        self.check()?;
        let widths = self.widths();
        widths.chunk_by(|one, next| one == next).map(|run| self.stage(run)).collect()
    }

    fn stage(&self, run: &[i64]) -> Result<Stage> {
        let width = run.first().copied().unwrap_or_default();
        let inner = (width as f64 * self.bot_mul) as i64;
        let width_per_group = self.group_w.min(inner);
        if width_per_group != 0 {
            let groups = (inner as f64 / width_per_group as f64).round_ties_even();
            let inner = (groups * width_per_group as f64) as i64;
            let width = (inner as f64 / self.bot_mul) as i64;
            let groups = (width as f64 * self.bot_mul).round_ties_even() as i64 / width_per_group;
            if width >= 1 && groups >= 1 {
                return Ok(Stage { blocks: run.len(), width, groups, width_per_group });
            }
        }
        Err(Error::argument("bot_mul", self.bot_mul, "expected at least one channel inside each block"))
    }
}

/// The type `RegNet`: a [`ResNet`] whose widths grow linearly.
///
/// ```no_run
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::{RegNetArch, RegNetConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let network = RegNetConfig::new(RegNetArch::Named("regnetx_400mf")).build()?;
/// let features = network.forward(&Tensor::zeros([1, 3, 224, 224], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(features.size(), [1, 384, 7, 7]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub enum RegNet {}

impl Layer for RegNet {
    const NAME: &'static str = "RegNet";
    type Config = RegNetConfig;
    type Module = ResNet;

    fn build(config: &RegNetConfig, builder: &Builder<'_>) -> Result<ResNet> {
        let RegNetConfig { arch, options } = config;
        let path = KeyPath::root().key("arch");
        let stages = arch.parameters()?.stages().map_err(|error| error.below(&path))?;
        if stages.len() > MOST_STAGES {
            let widths: Vec<i64> = stages.iter().map(|stage| stage.width).collect();
            let reason = format!("expected parameters that lead to at most {MOST_STAGES} stages");
            return Err(ConfigError::invalid(&path, format!("stages of widths {widths:?}"), reason).into());
        }
        if options.deep_stem {
            return Err(Error::argument("deep_stem", "true", "RegNet has no deep stem: expected false"));
        }
        let blocks: Vec<usize> = stages.iter().map(|stage| stage.blocks).collect();
        let options = ResNetOptions { num_stages: i64::try_from(stages.len()).unwrap_or(i64::MAX), ..options.clone() };
        let plan = Plan {
            class: &["RegNet", "ResNet"],
            stage_class: None,
            options: &options,
            stem: StemKind::Three,
            avg_down: if options.avg_down { AvgDown::WithStride } else { AvgDown::No },
            stages: stages.into_iter().map(StagePlan::from).collect(),
        };
        let mut network = ResNet::assemble(builder, &plan)?;
        network.key_mappings.push(torchvision(&blocks));
        Ok(network)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

/// torchvision's names: a block of stage 1 is `trunk_output.block1.block1-0`, and its convolutions with their norms are
/// `f.a`, `f.b` and `f.c`.
fn torchvision(blocks: &[usize]) -> KeyMapping {
    let mut pairs = Vec::from(conv_and_norm("stem", ["conv1.".to_owned(), "bn1.".to_owned()]));
    for (stage, blocks) in (1..).zip(blocks) {
        for block in 0..*blocks {
            let theirs = format!("trunk_output.block{stage}.block{stage}-{block}");
            let ours = format!("layer{stage}.{block}");
            for (number, letter) in [(1, "a"), (2, "b"), (3, "c")] {
                let names = [format!("{ours}.conv{number}."), format!("{ours}.bn{number}.")];
                pairs.extend(conv_and_norm(&format!("{theirs}.f.{letter}"), names));
            }
            pairs.push((format!("{theirs}.proj."), format!("{ours}.downsample.")));
        }
    }
    KeyMapping::new("torchvision").with_head("fc.").with(pairs)
}

/// The prefixes of a convolution and its norm: torchvision's and ours.
fn conv_and_norm(theirs: &str, [conv, norm]: [String; 2]) -> [(String, String); 2] {
    [(format!("{theirs}.0."), conv), (format!("{theirs}.1."), norm)]
}

impl From<Stage> for StagePlan {
    fn from(Stage { blocks, width, groups, width_per_group }: Stage) -> Self {
        let kind = GroupedBottleneck { groups, width_per_group, base_channels: width };
        Self { kind: Box::new(kind), blocks, out_channels: width, expansion: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::{ARCHS, RegNetArch};

    /// Table 2 of the paper lists the same stages.
    #[test]
    fn stages_of_the_table() {
        let stages = |name: &'static str| {
            let stages = RegNetArch::Named(name).parameters().unwrap().stages().unwrap();
            stages.iter().map(|stage| (stage.blocks, stage.width)).collect::<Vec<_>>()
        };
        assert_eq!(stages("regnetx_400mf"), [(1, 32), (2, 64), (7, 160), (12, 384)]);
        assert_eq!(stages("regnetx_3.2gf"), [(2, 96), (6, 192), (15, 432), (2, 1008)]);
        assert_eq!(stages("regnetx_12gf"), [(2, 224), (5, 448), (11, 896), (1, 2240)]);
        for arch in ARCHS {
            assert_eq!(stages(arch.0).iter().map(|(blocks, _)| *blocks as i64).sum::<i64>(), arch.5, "{}", arch.0);
        }
    }
}
