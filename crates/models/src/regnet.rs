//! `RegNet`: [`ResNet`] whose widths follow from a line. Radosavovic et al., Designing Network Design Spaces (2020).
//!
//! Reference: mmpretrain/models/backbones/regnet.py.

use mmcv_layers::{Builder, Error, KeyMapping, Layer, Registry, Result};
use mmcv_registry::{Config, ConfigError, ConfigStruct, FromConfig, KeyPath, one_of};

use crate::resnet::{AvgDown, Plan, ResNet, ResNetOptions, StagePlan, StemKind, at_least_one};
use crate::resnext::GroupedBottleneck;

/// Table 2 of the paper: initial width, slope, quantisation, width of a group, depth.
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

/// The parameters of a RegNet: block `i` is about `w0 + wa * i` channels wide.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct RegNetArch {
    /// Width of the first block, in channels; a multiple of 8.
    pub w0: f64,
    /// Slope of the width, in channels for each block; at least 0.
    pub wa: f64,
    /// Factor between the widths of neighbouring stages; greater than 1.
    pub wm: f64,
    /// Channels of a group.
    pub group_w: i64,
    /// Number of blocks, up to 1000.
    pub depth: i64,
    /// Channels inside of a block for each channel of its output; greater than 0.
    pub bot_mul: f64,
}

/// A RegNet of the paper's table, or another one.
#[derive(Debug, Clone, PartialEq)]
pub enum Arch {
    /// One of the table: its name, such as `regnetx_400mf`.
    Named(&'static str),
    /// Another one.
    Given(RegNetArch),
}

impl FromConfig for Arch {
    fn expected() -> String {
        format!("{}, or a dict", one_of(&ARCHS.map(|arch| arch.0)))
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        if let Config::Dict(dict) = value {
            return RegNetArch::decode(dict, path).map(Self::Given);
        }
        let known = ARCHS.iter().find(|(name, ..)| value.as_str() == Some(name));
        known.map(|arch| Self::Named(arch.0)).ok_or_else(|| ConfigError::wrong_type(path, Self::expected(), value))
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Named(name) => (*name).into(),
            Self::Given(arch) => arch.to_config(),
        }
    }
}

/// Arguments of `RegNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "RegNet", layer = RegNet)]
pub struct RegNetConfig {
    /// A network of the paper's table, such as `regnetx_400mf`, or the parameters of another one.
    pub arch: Arch,
    /// The arguments that several types have.
    #[config(flatten(stem_channels = Some(32),
            base_channels = 32,
            strides = vec![2, 2, 2, 2],
            init_cfg = Config::Null), without(expansion, num_stages, drop_path_rate))]
    pub options: ResNetOptions,
}

impl Arch {
    /// The parameters.
    fn parameters(&self) -> Option<RegNetArch> {
        match self {
            Self::Given(arch) => Some(arch.clone()),
            Self::Named(name) => ARCHS
                .iter()
                .find(|arch| arch.0 == *name)
                .map(|&(_, w0, wa, wm, group_w, depth)| RegNetArch { w0, wa, wm, group_w, depth, bot_mul: 1.0 }),
        }
    }
}

/// A stage: width and groups that fit to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    blocks: usize,
    width: i64,
    groups: i64,
    width_per_group: i64,
}

impl RegNetArch {
    fn check(&self) -> Result<()> {
        let Self { w0, wa, wm, group_w, depth, bot_mul } = *self;
        let wrong = |name, value: f64, reason: &str| Err(Error::argument(name, value, reason));
        if !(w0 > 0.0 && w0 % DIVISOR == 0.0) {
            return wrong("w0", w0, "expected a positive multiple of 8");
        }
        if !(wa >= 0.0 && wa.is_finite()) {
            return wrong("wa", wa, "expected at least 0");
        }
        if !(wm > 1.0 && wm.is_finite()) {
            return wrong("wm", wm, "expected more than 1");
        }
        if !(bot_mul > 0.0 && bot_mul.is_finite()) {
            return wrong("bot_mul", bot_mul, "expected more than 0");
        }
        if !(1..=MOST_BLOCKS).contains(&depth) {
            return Err(Error::argument("depth", depth, format!("expected 1 to {MOST_BLOCKS} blocks")));
        }
        at_least_one(&KeyPath::root().key("group_w"), group_w)
    }

    /// Section 3.3 of the paper: the line, rounded to powers of `wm` times `w0` and then to multiples of 8.
    fn widths(&self) -> Vec<i64> {
        let width = |block: i64| {
            let power = ((block as f64 * self.wa + self.w0) / self.w0).ln() / self.wm.ln();
            let width = self.w0 * self.wm.powf(power.round_ties_even());
            ((width / DIVISOR).round_ties_even() * DIVISOR) as i64
        };
        (0..self.depth).map(width).collect()
    }

    /// The stages: runs of blocks of the same width, which is changed so that groups divide it.
    fn stages(&self) -> Result<Vec<Stage>> {
        self.check()?;
        let widths = self.widths();
        widths.chunk_by(|one, next| one == next).map(|run| self.stage(run)).collect()
    }

    fn stage(&self, run: &[i64]) -> Result<Stage> {
        let narrow = || Error::argument("bot_mul", self.bot_mul, "expected at least one channel inside of each block");
        let width = run.first().copied().unwrap_or_default();
        let inside = (width as f64 * self.bot_mul) as i64;
        let width_per_group = self.group_w.min(inside);
        let groups = inside.checked_div(width_per_group).map(|_| inside as f64 / width_per_group as f64);
        let inside = (groups.ok_or_else(narrow)?.round_ties_even() * width_per_group as f64) as i64;
        let width = (inside as f64 / self.bot_mul) as i64;
        let groups = (width as f64 * self.bot_mul).round_ties_even() as i64 / width_per_group;
        if width < 1 || groups < 1 {
            return Err(narrow());
        }
        Ok(Stage { blocks: run.len(), width, groups, width_per_group })
    }
}

/// Builds `RegNet`; `builder`'s path is where the config stands.
///
/// # Errors
/// Where the parameters are out of range or give more than 4 stages, and as [`ResNet::new`].
pub fn regnet(builder: &Builder<'_>, config: &RegNetConfig) -> Result<ResNet> {
    let RegNetConfig { arch, options } = config;
    let path = builder.path.key("arch");
    let parameters = arch.parameters().ok_or_else(|| Error::argument("arch", format!("{arch:?}"), Arch::expected()));
    let stages = parameters.and_then(|arch| arch.stages().map_err(|error| error.below(&path)))?;
    if stages.len() > MOST_STAGES {
        let widths: Vec<i64> = stages.iter().map(|stage| stage.width).collect();
        let reason = format!("expected parameters that give at most {MOST_STAGES} stages");
        return Err(ConfigError::invalid(&path, format!("stages of widths {widths:?}"), reason).into());
    }
    if options.deep_stem {
        let reason = "RegNet has no deep stem: expected false";
        return Err(Error::argument("deep_stem", "true", reason).below(&builder.path));
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

/// torchvision's names: a block of stage 1 is `trunk_output.block1.block1-0`, and the convolutions and norms inside are `a`,
/// `b` and `c` of `f`.
fn torchvision(blocks: &[usize]) -> KeyMapping {
    let pair = |theirs: String, ours: [String; 2]| {
        ours.into_iter().enumerate().map(move |(part, ours)| (format!("{theirs}.{part}."), ours))
    };
    let mut pairs: Vec<(String, String)> = pair("stem".to_owned(), ["conv1.".to_owned(), "bn1.".to_owned()]).collect();
    for (stage, blocks) in (1..).zip(blocks) {
        for block in 0..*blocks {
            let (theirs, ours) =
                (format!("trunk_output.block{stage}.block{stage}-{block}"), format!("layer{stage}.{block}"));
            for (part, letter) in ["a", "b", "c"].into_iter().enumerate().map(|(part, letter)| (part + 1, letter)) {
                let own = [format!("{ours}.conv{part}."), format!("{ours}.bn{part}.")];
                pairs.extend(pair(format!("{theirs}.f.{letter}"), own));
            }
            pairs.push((format!("{theirs}.proj."), format!("{ours}.downsample.")));
        }
    }
    KeyMapping::new("torchvision").with_head("fc.").with(pairs)
}

impl From<Stage> for StagePlan {
    fn from(Stage { blocks, width, groups, width_per_group }: Stage) -> Self {
        let kind = GroupedBottleneck { groups, width_per_group, base_channels: width };
        Self { kind: Box::new(kind), blocks, out_channels: width, expansion: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::{ARCHS, Arch};

    /// Table 2 of the paper has these too.
    #[test]
    fn stages_of_the_table() {
        let stages = |name: &'static str| {
            let stages = Arch::Named(name).parameters().unwrap().stages().unwrap();
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

/// The type `RegNet`.
#[derive(Debug)]
pub enum RegNet {}

impl Layer for RegNet {
    const NAME: &'static str = "RegNet";
    type Config = RegNetConfig;
    type Module = ResNet;

    fn build(config: &RegNetConfig, builder: &Builder<'_>) -> Result<ResNet> {
        regnet(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}
