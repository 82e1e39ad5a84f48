//! The arguments of `HRNet`, and the networks of the paper.

use mmcv_layers::upsample::Interpolation;
use mmcv_layers::{Error, Result};
use mmcv_registry::{Config, Dict, KeyPath, config, dict};

/// The paper's networks: name, and channels of the branch with the highest resolution; each further branch has twice the
/// channels of the one before. Stages 2 to 4 have 1, 4 and 3 modules of 2, 3 and 4 branches.
const WIDTHS: [(&str, i64); 7] =
    [("w18", 18), ("w30", 30), ("w32", 32), ("w40", 40), ("w44", 44), ("w48", 48), ("w64", 64)];
/// Modules and branches of the stages 2 to 4, and blocks of each branch.
const STAGES: [(i64, i64); 3] = [(1, 2), (4, 3), (3, 4)];
const BLOCKS: i64 = 4;
/// Inner channels of the first stage's bottlenecks.
const FIRST_CHANNELS: i64 = 64;
/// Limits on branches, and on modules and blocks of a stage: larger numbers are mistakes.
const MOST_BRANCHES: i64 = 16;
const MOST_PARTS: i64 = 1000;

/// The blocks of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum HRBlock {
    /// Two 3x3 convolutions.
    #[config(word = "BASIC")]
    Basic,
    /// A 3x3 convolution between two 1x1 convolutions; the output has four times the inner channels.
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
    /// Channels of each branch; for bottlenecks the inner channels.
    pub num_channels: Vec<i64>,
    /// In the fourth stage, as in mmpose: whether the network outputs all branches rather than only the one with the
    /// highest resolution; null for the network's `multiscale_output`. Accepted and without effect in the others.
    #[config(default = None)]
    pub multiscale_output: Option<bool>,
}

/// The interpolation of branches to a higher resolution, as in mmpose.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct HRUpsampleConfig {
    /// The interpolation: `nearest` or `bilinear`.
    #[config(default = Interpolation::Nearest)]
    pub mode: Interpolation,
    /// Whether to align the centers of the corner pixels; only for `bilinear`.
    #[config(default = None)]
    pub align_corners: Option<bool>,
}

/// The four stages of `HRNet`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct HRNetExtra {
    /// The first stage, of which only the first branch is used.
    pub stage1: HRStageConfig,
    /// The second stage.
    pub stage2: HRStageConfig,
    /// The third stage.
    pub stage3: HRStageConfig,
    /// The fourth stage.
    pub stage4: HRStageConfig,
    /// The interpolation of branches to a higher resolution.
    #[config(default = HRUpsampleConfig::new())]
    pub upsample: HRUpsampleConfig,
}

/// Arguments of `HRNet`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "HRNet", layer = super::HRNet)]
pub struct HRNetConfig {
    /// One of the paper's networks: w18, w30, w32, w40, w44, w48 or w64; `extra` overrides it.
    #[config(default = "w32".to_owned())]
    pub arch: String,
    /// The stages, `stage1` to `stage4`; null for those of `arch`.
    #[config(default = None)]
    pub extra: Option<HRNetExtra>,
    /// Channels of the input.
    #[config(default = 3)]
    pub in_channels: i64,
    /// The convolutions, except those of the first stage; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalizations, except those of the first stage.
    #[config(default = dict! { type: "BN" })]
    pub norm_cfg: Dict,
    /// Whether batch norms stay in evaluation mode in training.
    #[config(default = false)]
    pub norm_eval: bool,
    /// Accepted for the reference's configs, and without effect. In the reference it saves memory in training by running
    /// each block twice in a step, so that its batch norms update their statistics twice; outputs and gradients are the
    /// same.
    #[config(default = false)]
    pub with_cp: bool,
    /// Adds a rule for the last norms of the blocks, which is never applied, as in the reference.
    #[config(default = false)]
    pub zero_init_residual: bool,
    /// Whether to output all branches rather than only the one with the highest resolution; `extra.stage4` overrides it.
    #[config(default = true)]
    pub multiscale_output: bool,
    /// Initialization rules.
    #[config(default = Config::List(vec![
                config! { type: "Kaiming", layer: "Conv2d" },
                config! { type: "Constant", val: 1, layer: ["_BatchNorm", "GroupNorm"] },
            ]))]
    pub init_cfg: Config,
    /// The checkpoint that `init_weights` loads instead of applying the rules of `init_cfg`, as in mmdetection.
    #[config(default = None)]
    pub pretrained: Option<String>,
}

impl HRStageConfig {
    /// The number of blocks of a branch.
    pub(super) fn blocks(&self, branch: usize) -> usize {
        let blocks = self.num_blocks.get(branch).copied().unwrap_or(0);
        usize::try_from(blocks).unwrap_or(0)
    }

    /// The output channels of each branch.
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
            for item in items {
                if !(1..=most).contains(item) {
                    let reason = "expected positive integers, and no more than memory holds";
                    return Err(Error::argument(name, item, reason));
                }
            }
        }
        Ok(())
    }
}

impl HRNetConfig {
    /// The stages, checked.
    pub(super) fn stages(&self) -> Result<HRNetExtra> {
        let Some(extra) = &self.extra else { return published_stages(&self.arch) };
        for (name, stage) in
            [("stage1", &extra.stage1), ("stage2", &extra.stage2), ("stage3", &extra.stage3), ("stage4", &extra.stage4)]
        {
            let path = KeyPath::root().key("extra").key(name);
            stage.check().map_err(|error| error.below(&path))?;
        }
        Ok(extra.clone())
    }
}

/// The stages of one of the paper's networks.
fn published_stages(arch: &str) -> Result<HRNetExtra> {
    let Some((_, width)) = WIDTHS.iter().find(|(name, _)| *name == arch) else {
        let known = WIDTHS.map(|(name, _)| name).join(", ");
        return Err(Error::argument("arch", format!("{arch:?}"), format!("expected one of {known}, or `extra`")));
    };
    let first = HRStageConfig::new(1, 1, HRBlock::Bottleneck, vec![BLOCKS], vec![FIRST_CHANNELS]);
    let [second, third, fourth] = STAGES.map(|(modules, branches)| {
        let channels = (0..branches).map(|branch| width << branch).collect();
        let blocks = (0..branches).map(|_| BLOCKS).collect();
        HRStageConfig::new(modules, branches, HRBlock::Basic, blocks, channels)
    });
    Ok(HRNetExtra::new(first, second, third, fourth))
}
