//! `FFN`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::drop::{Dropout, DropoutConfig};
use mmcv_layers::linear::{Linear, LinearConfig};
use mmcv_layers::scale::{LayerScale, LayerScaleConfig};
use mmcv_layers::{
    Arguments, Builder, Error, Identity, InitCfg, Module, Output, Parts, Result, Sequential, no_options, run_child,
};
use mmcv_registry::{Config, Dict, config_struct, dict};
use tch::Tensor;

use super::{build_dropout, optional};

config_struct! {
    /// Arguments of `FFN`.
    pub struct FFNConfig {
        optional {
            /// Size of a position's vector.
            embed_dims: i64 = 256,
            /// Size of the hidden vectors.
            feedforward_channels: i64 = 1024,
            /// Number of linear layers, at least 2.
            num_fcs: i64 = 2,
            /// The activation after each linear layer but the last.
            act_cfg: Dict = dict! { type: "ReLU", inplace: true },
            /// Probability with which an element becomes 0 in training, after each linear layer.
            ffn_drop: f64 = 0.0,
            /// The dropout before the shortcut is added; null for none.
            dropout_layer: Option<Dict> = None,
            /// Whether the input is added to the output.
            add_identity: bool = true,
            /// Rules of initialisation.
            init_cfg: Config = Config::Null,
            /// Initial factor of the output, for each channel; 0 for no such factors.
            layer_scale_init_value: f64 = 0.0,
        }
    }
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
        parts.child("layers", &self.layers);
        parts.child("dropout_layer", &*self.dropout_layer);
        parts.child("gamma2", &*self.gamma2);
    }

    fn init_cfg(&self) -> Option<&InitCfg> {
        Some(&self.init_cfg)
    }

    fn init_weights(&self) -> Result<()> {
        self.init_cfg.init_weights(self)
    }
}

/// Builds `FFN` from a dict.
pub(super) fn build(arguments: &Arguments<'_>) -> Result<Box<dyn Module>> {
    let config = arguments.decode::<FFNConfig>()?;
    Ok(Box::new(FFN::new(&arguments.here(), &config)?))
}
