//! The arguments of `HRNet`, and the networks of the paper.

use mmcv_layers::{Error, Result};
use mmcv_registry::{Config, Dict, config, dict};

/// The paper's networks: their name and the channels of the branch with the highest resolution; each further branch has twice
/// the channels of the one before. Stages 2 to 4 have 1, 4 and 3 modules of 2, 3 and 4 branches.
const WIDTHS: [(&str, i64); 7] =
    [("w18", 18), ("w30", 30), ("w32", 32), ("w40", 40), ("w44", 44), ("w48", 48), ("w64", 64)];
/// Modules and branches of the stages 2 to 4, and blocks of each branch.
const STAGES: [(i64, usize); 3] = [(1, 2), (4, 3), (3, 4)];
const BLOCKS: i64 = 4;
/// Channels inside of the first stage's bottlenecks.
const FIRST_CHANNELS: i64 = 64;
/// Most branches of a stage, and most modules and blocks: more is a slip.
const MOST_BRANCHES: i64 = 16;
const MOST_PARTS: i64 = 1000;

/// The blocks of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum HRBlock {
    /// Two 3x3 convolutions.
    #[config(word = "BASIC")]
    Basic,
    /// A 3x3 convolution between two 1x1 convolutions, which give four times as many channels.
    #[config(word = "BOTTLENECK")]
    Bottleneck,
}

/// One stage of `HRNet`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct HRStageConfig {
    /// Number of modules.
    pub num_modules: i64,
    /// Number of branches in each module.
    pub num_branches: i64,
    /// The blocks: `BASIC` or `BOTTLENECK`.
    pub block: HRBlock,
    /// Number of blocks in each branch.
    pub num_blocks: Vec<i64>,
    /// Channels of each branch; of bottlenecks the channels inside.
    pub num_channels: Vec<i64>,
}

/// The four stages of `HRNet`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct HRNetExtra {
    /// The first stage, of which the blocks of the first branch are used.
    pub stage1: HRStageConfig,
    /// The second stage.
    pub stage2: HRStageConfig,
    /// The third stage.
    pub stage3: HRStageConfig,
    /// The fourth stage.
    pub stage4: HRStageConfig,
}

/// Arguments of `HRNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "HRNet", layer = super::HRNet)]
pub struct HRNetConfig {
    /// One of the paper's networks: w18, w30, w32, w40, w44, w48 or w64; `extra` is stronger.
    #[config(default = "w32".to_owned())]
    pub arch: String,
    /// The stages, `stage1` to `stage4`; null for those of `arch`.
    #[config(default = None)]
    pub extra: Option<HRNetExtra>,
    /// Channels of the input.
    #[config(default = 3)]
    pub in_channels: i64,
    /// The convolutions, but for those of the first stage; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalisations, but for those of the first stage.
    #[config(default = dict! { type: "BN" })]
    pub norm_cfg: Dict,
    /// Whether batch norms stay in evaluation mode in training.
    #[config(default = false)]
    pub norm_eval: bool,
    /// Accepted for the reference's configs, and without effect: there it saves memory in training and runs each block twice
    /// in a step, so that its batch norms update their statistics twice and count 2; outputs and gradients are the same.
    #[config(default = false)]
    pub with_cp: bool,
    /// As in the reference: a rule for the last norms of the blocks, which is never applied.
    #[config(default = false)]
    pub zero_init_residual: bool,
    /// Whether all branches are given, or the one with the highest resolution alone.
    #[config(default = true)]
    pub multiscale_output: bool,
    /// Rules of initialisation.
    #[config(default = Config::List(vec![
                config! { type: "Kaiming", layer: "Conv2d" },
                config! { type: "Constant", val: 1, layer: ["_BatchNorm", "GroupNorm"] },
            ]))]
    pub init_cfg: Config,
    /// The checkpoint that `init_weights` loads in place of the rules of `init_cfg`, as in mmdetection.
    #[config(default = None)]
    pub pretrained: Option<String>,
}

impl HRStageConfig {
    /// The number of blocks of a branch.
    pub(super) fn blocks(&self, branch: usize) -> usize {
        self.num_blocks.get(branch).and_then(|blocks| usize::try_from(*blocks).ok()).unwrap_or(0)
    }

    /// The channels that each branch gives.
    pub(super) fn widths(&self) -> Vec<i64> {
        self.num_channels.iter().map(|channels| channels.saturating_mul(self.block.expansion())).collect()
    }

    fn check(&self) -> Result<()> {
        let branches = usize::try_from(self.num_branches).unwrap_or(0);
        if !(1..=MOST_BRANCHES).contains(&self.num_branches) {
            let reason = format!("expected 1 to {MOST_BRANCHES}");
            return Err(Error::argument("num_branches", self.num_branches, reason));
        }
        if !(1..=MOST_PARTS).contains(&self.num_modules) {
            return Err(Error::argument("num_modules", self.num_modules, format!("expected 1 to {MOST_PARTS}")));
        }
        for (name, items, most) in
            [("num_blocks", &self.num_blocks, MOST_PARTS), ("num_channels", &self.num_channels, i64::MAX)]
        {
            if items.len() != branches {
                let reason = format!("expected {branches} of them, one for each of num_branches");
                return Err(Error::argument(name, format!("{items:?}"), reason));
            }
            if let Some(item) = items.iter().find(|item| !(1..=most).contains(*item)) {
                return Err(Error::argument(name, item, "expected positive integers, and no more than memory holds"));
            }
        }
        Ok(())
    }
}

impl HRNetConfig {
    /// The stages, checked.
    pub(super) fn stages(&self) -> Result<HRNetExtra> {
        let Some(extra) = &self.extra else { return of_arch(&self.arch) };
        let stages = [&extra.stage1, &extra.stage2, &extra.stage3, &extra.stage4];
        for (number, stage) in (1..).zip(stages) {
            let path = mmcv_registry::KeyPath::root().key("extra").key(format!("stage{number}"));
            stage.check().map_err(|error| error.below(&path))?;
        }
        Ok(extra.clone())
    }
}

/// The stages of one of the paper's networks.
fn of_arch(arch: &str) -> Result<HRNetExtra> {
    let Some((_, width)) = WIDTHS.iter().find(|(name, _)| *name == arch) else {
        let known = WIDTHS.map(|(name, _)| name).join(", ");
        return Err(Error::argument("arch", format!("{arch:?}"), format!("expected one of {known}, or `extra`")));
    };
    let stage = |index: usize| {
        let (modules, branches) = STAGES.get(index).copied().unwrap_or_default();
        let channels = (0..branches).map(|branch| width << branch).collect();
        let count = i64::try_from(branches).unwrap_or(0);
        HRStageConfig::new(modules, count, HRBlock::Basic, vec![BLOCKS; branches], channels)
    };
    let first = HRStageConfig::new(1, 1, HRBlock::Bottleneck, vec![BLOCKS], vec![FIRST_CHANNELS]);
    Ok(HRNetExtra::new(first, stage(0), stage(1), stage(2)))
}
