//! `FFN`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::drop::DropoutConfig;
use mmcv_layers::linear::{Linear, LinearConfig};
use mmcv_layers::scale::LayerScaleConfig;
use mmcv_layers::{
    Builder, Error, Forward, Identity, InitCfg, Layer, LayerConfig, Module, ModuleExt, Output, Registry, Result,
    Sequential, no_options,
};
use mmcv_registry::{Config, Dict, dict};
use tch::Tensor;

use super::{build_dropout, optional};

/// Arguments of `FFN`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "FFN", layer = FFN)]
pub struct FFNConfig {
    /// Length of a position's vector.
    #[config(default = 256)]
    pub embed_dims: i64,
    /// Length of the hidden vectors.
    #[config(default = 1024)]
    pub feedforward_channels: i64,
    /// Number of linear layers, at least 2.
    #[config(default = 2)]
    pub num_fcs: i64,
    /// The activation after each linear layer but the last.
    #[config(default = dict! { type: "ReLU", inplace: true })]
    pub act_cfg: Dict,
    /// Probability that an element becomes 0 in training, after each linear layer.
    #[config(default = 0.0)]
    pub ffn_drop: f64,
    /// The dropout before the shortcut is added; null for none.
    #[config(default = None)]
    pub dropout_layer: Option<Dict>,
    /// Whether the input is added to the output.
    #[config(default = true)]
    pub add_identity: bool,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
    /// Initial value of the learned factor of each output channel; 0 for no factors.
    #[config(default = 0.0)]
    pub layer_scale_init_value: f64,
}

/// A feed-forward network: linear layers applied to each position, whose output is added to the input.
///
/// Inputs in order: `x`, and optionally `identity`, which is added in place of `x`.
///
/// Shapes: input `[*, E]`, output the same. State: `layers.0.0.*`, ..., `layers.N.*`, `gamma2.weight`.
///
/// ```
/// use mmcv_bricks::transformer::FFNConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let ffn = FFNConfig::new().with_embed_dims(32).with_feedforward_channels(64).build()?;
/// let output = ffn.forward(&Tensor::zeros([2, 10, 32], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 10, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct FFN {
    #[module(child)]
    layers: Sequential,
    #[module(child)]
    dropout_layer: Box<dyn Module>,
    #[module(child)]
    gamma2: Box<dyn Module>,
    add_identity: bool,
    init_cfg: InitCfg,
}

impl FFN {
    fn run(&self, input: &Tensor, identity: Option<&Tensor>) -> Result<Tensor> {
        let output = self.run_child(&self.layers, input)?;
        let output = self.run_child(&self.gamma2, &output)?;
        let output = self.run_child(&self.dropout_layer, &output)?;
        if !self.add_identity {
            return Ok(output);
        }
        Ok(identity.unwrap_or(input).f_add(&output)?)
    }
}

impl Layer for FFN {
    const NAME: &'static str = "FFN";
    type Config = FFNConfig;
    type Module = Self;

    fn build(config: &FFNConfig, builder: &Builder<'_>) -> Result<Self> {
        const MOST_LAYERS: i64 = 1000;
        let FFNConfig { embed_dims, feedforward_channels, num_fcs, ffn_drop, .. } = *config;
        if !(2..=MOST_LAYERS).contains(&num_fcs) {
            return Err(Error::argument("num_fcs", num_fcs, format!("expected 2 to {MOST_LAYERS}")));
        }
        let dropout = DropoutConfig { drop_prob: ffn_drop, ..DropoutConfig::new() };
        let mut layers = Sequential::default();
        let mut inputs = embed_dims;
        for _ in 1..num_fcs {
            let fc = Linear::wrapper(&LinearConfig::new(inputs, feedforward_channels))?;
            let activation = builder.key("act_cfg").activation(&Config::Dict(config.act_cfg.clone()))?;
            layers.push(Sequential::new(vec![Box::new(fc), activation, Box::new(dropout.build()?)]));
            inputs = feedforward_channels;
        }
        layers.push(Linear::wrapper(&LinearConfig::new(feedforward_channels, embed_dims))?);
        layers.push(dropout.build()?);
        let dropout_layer = build_dropout(&builder.key("dropout_layer"), config.dropout_layer.as_ref())?;
        let scale = config.layer_scale_init_value;
        let mut gamma2: Box<dyn Module> = Box::new(Identity::default());
        if scale > 0.0 {
            gamma2 = Box::new(LayerScaleConfig::new(embed_dims).with_scale(scale).build()?);
        }
        Ok(Self {
            layers,
            gamma2,
            dropout_layer,
            add_identity: config.add_identity,
            init_cfg: builder.init_cfg(&config.init_cfg)?,
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for FFN {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(input, None)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        match optional(inputs, 0) {
            Some(input) if inputs.len() <= 2 => self.run(input, optional(inputs, 1)).map(Output::Tensor),
            _ => Err(Error::input("one or two inputs", format!("{} inputs", inputs.len()))),
        }
    }
}
