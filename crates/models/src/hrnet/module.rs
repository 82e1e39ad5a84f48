//! [`HRModule`]: branches that exchange features, and [`HRStage`]: modules in sequence.

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::containers::Children;
use mmcv_layers::upsample::{ScaleFactor, Upsample, UpsampleConfig};
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Module, ModuleExt, ModuleList, Output, Parts, Result, Sequential, call_child,
    no_options, run_child,
};
use mmcv_registry::{Config, Dict, config};
use tch::Tensor;

use super::parts::conv_norm;
use super::{HRBlock, HRNetConfig, HRStageConfig, HRUpsampleConfig, Kernel, ResLayer, StageConfig};
use crate::plain_list::PlainList;

/// Branches of several resolutions, and the layers that bring each of them to the resolutions of the others.
///
/// Shapes: one input for each branch, and as many outputs, or one. State: `branches.*`, `fuse_layers.*`.
#[derive(Debug)]
pub(super) struct HRModule {
    branches: ModuleList,
    fuse_layers: FuseLayers,
    relu: ReLU,
    init_cfg: InitCfg,
}

impl HRModule {
    fn new(
        builder: &Builder<'_>,
        config: &HRNetConfig,
        stage: &HRStageConfig,
        upsample: &HRUpsampleConfig,
        multiscale: bool,
    ) -> Result<Self> {
        let widths = stage.widths();
        let mut branches = Vec::<Box<dyn Module>>::new();
        for (index, &width) in widths.iter().enumerate() {
            let layer = StageConfig {
                conv_cfg: config.conv_cfg.as_ref(),
                block_init_cfg: zero_init_rule(config, stage.block),
                ..StageConfig::new(stage.blocks(index), width, width, stage.block.expansion(), &config.norm_cfg)
            };
            branches.push(Box::new(ResLayer::new(builder, stage.block.kind(), &layer)?));
        }
        let mut fuse_layers = Vec::new();
        if widths.len() > 1 {
            for output in 0..if multiscale { widths.len() } else { 1 } {
                fuse_layers.push(exchange(builder, config, upsample, &widths, output)?);
            }
        }
        Ok(Self {
            branches: ModuleList::new(branches),
            fuse_layers: FuseLayers(fuse_layers),
            relu: ReLU(ReLUConfig { inplace: false }),
            init_cfg: InitCfg::default(),
        })
    }

    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut branches = Vec::new();
        for (index, branch) in self.branches.iter().enumerate() {
            let Some(input) = inputs.get(index) else {
                return Err(Error::input("an input for each branch", inputs.len()));
            };
            branches.push(run_child(format!("branches.{index}"), branch, input)?);
        }
        if self.fuse_layers.0.is_empty() {
            return Ok(branches);
        }
        let mut outputs = Vec::new();
        for (output, layers) in self.fuse_layers.0.iter().enumerate() {
            let mut sum: Option<Tensor> = None;
            for (index, branch) in branches.iter().enumerate() {
                let branch = match layers.get(&index.to_string()) {
                    Some(layer) => run_child(format!("fuse_layers.{output}.{index}"), layer, branch)?,
                    None => branch.shallow_clone(),
                };
                sum = Some(match sum {
                    None => branch,
                    Some(sum) => sum.f_add(&branch)?,
                });
            }
            let Some(sum) = sum else { return Err(Error::input("at least one branch", "none")) };
            outputs.push(self.run_child(&self.relu, &sum)?);
        }
        Ok(outputs)
    }
}

/// The rule that the reference passes to the blocks for `zero_init_residual`. It is never applied: no parent initializes
/// the blocks.
fn zero_init_rule(config: &HRNetConfig, block: HRBlock) -> Config {
    let norm = match block {
        HRBlock::Basic => "norm2",
        HRBlock::Bottleneck => "norm3",
    };
    if config.zero_init_residual {
        config! { type: "Constant", val: 0, override: { name: norm } }
    } else {
        Config::Null
    }
}

/// The layers that bring the other branches to the resolution and the channels of the branch `output`.
fn exchange(
    builder: &Builder<'_>,
    config: &HRNetConfig,
    upsample: &HRUpsampleConfig,
    widths: &[i64],
    output: usize,
) -> Result<PlainList> {
    let mut layers = Children::default();
    let to = widths.get(output).copied().unwrap_or(0);
    for (index, &from) in widths.iter().enumerate() {
        let layer = if index > output {
            let mut layer = conv_norm(builder, config, &Kernel::new(1, from, to), None)?;
            let scale = 1_i64 << (index - output);
            let factor = UpsampleConfig {
                scale_factor: Some(ScaleFactor::All(scale as f64)),
                align_corners: upsample.align_corners,
                ..UpsampleConfig::new()
            };
            layer.push(Upsample::new(upsample.mode, &factor)?);
            layer
        } else if index < output {
            let mut halvings = Sequential::default();
            for step in index + 1..=output {
                let last = step == output;
                let kernel = Kernel { stride: 2, ..Kernel::new(3, from, if last { to } else { from }) };
                halvings.push(conv_norm(builder, config, &kernel, if last { None } else { Some(false) })?);
            }
            halvings
        } else {
            continue;
        };
        layers.add(&index.to_string(), Box::new(layer))?;
    }
    Ok(PlainList::new(layers))
}

impl Forward for HRModule {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Output::Tensors(self.run(&[input])?).single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.run(inputs).map(Output::Tensors)
    }
}

impl Module for HRModule {
    fn class(&self) -> &'static [&'static str] {
        &["HRModule", "BaseModule"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("branches", &self.branches);
        if !self.fuse_layers.0.is_empty() {
            parts.child("fuse_layers", &self.fuse_layers);
        }
        parts.child("relu", &self.relu);
    }
}

/// For each output branch, the layers for the other branches: a list of lists.
#[derive(Debug)]
struct FuseLayers(Vec<PlainList>);

impl Forward for FuseLayers {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleList has no forward pass: its parent runs the modules in it"))
    }
}

impl Module for FuseLayers {
    fn class(&self) -> &'static [&'static str] {
        &["ModuleList", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (index, list) in self.0.iter().enumerate() {
            parts.child(index.to_string(), list);
        }
    }
}

/// The modules of a stage. State: `0.*`, `1.*`, ...
#[derive(Debug)]
pub(super) struct HRStage {
    modules: Vec<HRModule>,
    init_cfg: InitCfg,
}

impl HRStage {
    /// Builds the modules; unless `multiscale`, the last one outputs only the branch with the highest resolution.
    pub(super) fn new(
        builder: &Builder<'_>,
        config: &HRNetConfig,
        stage: &HRStageConfig,
        upsample: &HRUpsampleConfig,
        multiscale: bool,
    ) -> Result<Self> {
        let mut modules = Vec::new();
        for index in 1..=stage.num_modules {
            let multiscale = multiscale || index < stage.num_modules;
            modules.push(HRModule::new(builder, config, stage, upsample, multiscale)?);
        }
        Ok(Self { modules, init_cfg: InitCfg::default() })
    }
}

impl Forward for HRStage {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.call(&[input], &Dict::new())?.single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        let mut branches: Vec<Tensor> = inputs.iter().map(|input| input.shallow_clone()).collect();
        for (index, module) in self.modules.iter().enumerate() {
            let inputs: Vec<&Tensor> = branches.iter().collect();
            branches = call_child(index, module, &inputs, options)?.into_vec();
        }
        Ok(Output::Tensors(branches))
    }
}

impl Module for HRStage {
    fn class(&self) -> &'static [&'static str] {
        &["Sequential", "BaseModule", "Sequential"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        for (index, module) in self.modules.iter().enumerate() {
            parts.child(index.to_string(), module);
        }
    }
}
