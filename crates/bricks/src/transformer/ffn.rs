//! `FFN`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::drop::{Dropout, DropoutConfig};
use mmcv_layers::linear::{Linear, LinearConfig};
use mmcv_layers::scale::{LayerScale, LayerScaleConfig};
use mmcv_layers::{
    Builder, Error, Identity, InitCfg, Layer, Module, Output, Parts, Registry, Result, Sequential, no_options,
    run_child,
};
use mmcv_registry::{Config, Dict, dict};
use tch::Tensor;

use super::{build_dropout, optional};

/// Arguments of `FFN`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "FFN", layer = FFN)]
pub struct FFNConfig {
    /// Size of a position's vector.
    #[config(default = 256)]
    pub embed_dims: i64,
    /// Size of the hidden vectors.
    #[config(default = 1024)]
    pub feedforward_channels: i64,
    /// Number of linear layers, at least 2.
    #[config(default = 2)]
    pub num_fcs: i64,
    /// The activation after each linear layer but the last.
    #[config(default = dict! { type: "ReLU", inplace: true })]
    pub act_cfg: Dict,
    /// Probability with which an element becomes 0 in training, after each linear layer.
    #[config(default = 0.0)]
    pub ffn_drop: f64,
    /// The dropout before the shortcut is added; null for none.
    #[config(default = None)]
    pub dropout_layer: Option<Dict>,
    /// Whether the input is added to the output.
    #[config(default = true)]
    pub add_identity: bool,
    /// Rules of initialisation.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
    /// Initial factor of the output, for each channel; 0 for no such factors.
    #[config(default = 0.0)]
    pub layer_scale_init_value: f64,
}

/// Linear layers on each position alone, to which the input is added.
///
/// Inputs by place: `x`, and optionally `identity`, which is added in its place.
///
/// Shapes: input `[*, E]`, output the same. State: `layers.0.0.*`, ..., `layers.N.*`, `gamma2.weight`.
#[derive(Debug)]
pub struct FFN {
    layers: Sequential,
    gamma2: Box<dyn Module>,
    dropout_layer: Box<dyn Module>,
    add_identity: bool,
    init_cfg: InitCfg,
}

impl FFN {
    /// A feed-forward network with PyTorch's initial values; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where there are fewer than 2 layers, or a part cannot be built.
    pub fn new(builder: &Builder<'_>, config: &FFNConfig) -> Result<Self> {
        const MOST_LAYERS: i64 = 1000;
        let FFNConfig { embed_dims, feedforward_channels, num_fcs, ffn_drop, .. } = *config;
        let here = |error: Error| error.below(&builder.path);
        if !(2..=MOST_LAYERS).contains(&num_fcs) {
            return Err(here(Error::argument("num_fcs", num_fcs, format!("expected 2 to {MOST_LAYERS}"))));
        }
        let at = |key: &str| Builder { path: builder.path.key(key), ..builder.clone() };
        let drop_config = DropoutConfig { drop_prob: ffn_drop, ..DropoutConfig::new() };
        let dropout = || Dropout::new(&drop_config).map_err(here);
        let linear = |inputs: i64, outputs: i64| Linear::wrapper(&LinearConfig::new(inputs, outputs)).map_err(here);
        let mut layers = Sequential::default();
        let mut inputs = embed_dims;
        for _ in 1..num_fcs {
            let fc = linear(inputs, feedforward_channels)?;
            let activation = at("act_cfg").activation(&Config::Dict(config.act_cfg.clone()))?;
            layers.push(Sequential::new(vec![Box::new(fc), activation, Box::new(dropout()?)]));
            inputs = feedforward_channels;
        }
        layers.push(linear(feedforward_channels, embed_dims)?);
        layers.push(dropout()?);
        let scale = config.layer_scale_init_value;
        let layer_scale = LayerScaleConfig { scale, ..LayerScaleConfig::new(embed_dims) };
        Ok(Self {
            layers,
            dropout_layer: build_dropout(&at("dropout_layer"), config.dropout_layer.as_ref())?,
            gamma2: if scale > 0.0 {
                Box::new(LayerScale::new(&layer_scale).map_err(here)?)
            } else {
                Box::new(Identity)
            },
            add_identity: config.add_identity,
            init_cfg: InitCfg::decode(&config.init_cfg, &builder.path.key("init_cfg"))?,
        })
    }

    fn run(&self, input: &Tensor, identity: Option<&Tensor>) -> Result<Tensor> {
        let output = run_child("layers", &self.layers, input)?;
        let output = run_child("gamma2", &*self.gamma2, &output)?;
        let output = run_child("dropout_layer", &*self.dropout_layer, &output)?;
        Ok(if self.add_identity { identity.unwrap_or(input).f_add(&output)? } else { output })
    }
}

impl Layer for FFN {
    const NAME: &'static str = "FFN";
    type Config = FFNConfig;
    type Module = Self;

    fn build(config: &FFNConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Module for FFN {
    fn class(&self) -> &'static [&'static str] {
        &["FFN", "BaseModule"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(input, None)
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(self.name(), options)?;
        let (Some(input), true) = (optional(inputs, 0), inputs.len() <= 2) else {
            return Err(Error::input("one or two inputs", format!("{} inputs", inputs.len())));
        };
        self.run(input, optional(inputs, 1)).map(Output::Tensor)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("layers", &self.layers);
        parts.child("dropout_layer", &*self.dropout_layer);
        parts.child("gamma2", &*self.gamma2);
    }
}
