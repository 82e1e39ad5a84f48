//! `MultiheadAttention`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::drop::{Dropout, DropoutConfig};
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, LayerConfig, Module, ModuleExt, Output, Parts, Registry, Result,
    no_options, run_child_with,
};
use mmcv_registry::{Config, Dict, dict};
use tch::Tensor;

use super::multihead::{Masks, Multihead};
use super::{build_dropout, optional};

/// Arguments of `MultiheadAttention`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "MultiheadAttention", layer = MultiheadAttention)]
pub struct MultiheadAttentionConfig {
    /// Length of a position's vector; divisible by `num_heads`.
    pub embed_dims: i64,
    /// Number of heads.
    pub num_heads: i64,
    /// Probability that an attention weight becomes 0 in training.
    #[config(default = 0.0)]
    pub attn_drop: f64,
    /// Probability that an element of the output becomes 0 in training.
    #[config(default = 0.0)]
    pub proj_drop: f64,
    /// The dropout before the shortcut is added; null for none.
    #[config(default = Some(dict! { type: "Dropout", drop_prob: 0.0 }))]
    pub dropout_layer: Option<Dict>,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
    /// Whether inputs are `[N, L, E]` rather than `[L, N, E]`.
    #[config(default = false)]
    pub batch_first: bool,
    /// Whether the linear layers have biases.
    #[config(default = true)]
    pub bias: bool,
    /// Whether a learned key and value are appended.
    #[config(default = false)]
    pub add_bias_kv: bool,
    /// Whether a key and a value of 0 are appended.
    #[config(default = false)]
    pub add_zero_attn: bool,
    /// Length of a key; null for `embed_dims`.
    #[config(default = None)]
    pub kdim: Option<i64>,
    /// Length of a value; null for `embed_dims`.
    #[config(default = None)]
    pub vdim: Option<i64>,
}

/// Multi-head attention whose output is added to the query.
///
/// Inputs in order, all but the first optional: `query`, `key`, `value`, `identity` (added in place of the query),
/// `query_pos`, `key_pos` (added to query and key), `attn_mask` `[L, S]` or `[N heads, L, S]`, `key_padding_mask`
/// `[N, S]`. Numeric masks are added; boolean masks exclude the keys for which they are true. An undefined tensor counts
/// as missing.
///
/// Shapes: query `[L, N, E]`, key and value `[S, N, E]`, output `[L, N, E]`; `N` first with `batch_first`. State:
/// `attn.in_proj_weight`, `attn.in_proj_bias`, `attn.out_proj.*`.
///
/// ```
/// use mmcv_bricks::transformer::MultiheadAttentionConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_registry::Dict;
/// use tch::{Device, Kind, Tensor};
///
/// let attention = MultiheadAttentionConfig::new(32, 4).with_batch_first(true).build()?;
/// let query = Tensor::zeros([2, 10, 32], (Kind::Float, Device::Cpu));
/// let key = Tensor::zeros([2, 20, 32], (Kind::Float, Device::Cpu));
/// let output = attention.call(&[&query, &key], &Dict::new())?.single()?;
/// assert_eq!(output.size(), [2, 10, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct MultiheadAttention {
    attn: Multihead,
    proj_drop: Dropout,
    dropout_layer: Box<dyn Module>,
    embed_dims: i64,
    batch_first: bool,
    init_cfg: InitCfg,
}

impl MultiheadAttention {
    fn attend(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let Some(query) = optional(inputs, 0) else { return Err(Error::input("a query", "no input")) };
        let key = optional(inputs, 1).unwrap_or(query);
        let value = optional(inputs, 2).unwrap_or(key);
        let identity = optional(inputs, 3).unwrap_or(query);
        let query_pos = optional(inputs, 4);
        let key_pos = match (optional(inputs, 5), query_pos) {
            (None, Some(position)) if position.size() == key.size() => Some(position),
            (key_pos, _) => key_pos,
        };
        let masks = Masks { attention: optional(inputs, 6), key_padding: optional(inputs, 7) };
        // A tensor that stays as it is keeps its address: equal inputs are projected only once.
        let changed_query = self.prepare(query, query_pos)?;
        let changed_key = self.prepare(key, key_pos)?;
        let changed_value = self.prepare(value, None)?;
        let query = changed_query.as_ref().unwrap_or(query);
        let key = changed_key.as_ref().unwrap_or(key);
        let value = changed_value.as_ref().unwrap_or(value);
        let mut output =
            run_child_with("attn", &self.attn, &[query, key, value], || self.attn.attend(query, key, value, &masks))?;
        if self.batch_first {
            output = output.f_transpose(0, 1)?;
        }
        let output = self.run_child(&self.proj_drop, &output)?;
        let output = self.run_child(&self.dropout_layer, &output)?;
        Ok(identity.f_add(&output)?)
    }

    /// Adds a position, and puts the length first; `None` if neither changes anything.
    fn prepare(&self, tensor: &Tensor, position: Option<&Tensor>) -> Result<Option<Tensor>> {
        let mut prepared = None;
        if let Some(position) = position {
            prepared = Some(tensor.f_add(position)?);
        }
        if self.batch_first {
            prepared = Some(prepared.as_ref().unwrap_or(tensor).f_transpose(0, 1)?);
        }
        Ok(prepared)
    }
}

impl Layer for MultiheadAttention {
    const NAME: &'static str = "MultiheadAttention";
    type Config = MultiheadAttentionConfig;
    type Module = Self;

    fn build(config: &MultiheadAttentionConfig, builder: &Builder<'_>) -> Result<Self> {
        if !(0.0..=1.0).contains(&config.attn_drop) {
            return Err(Error::argument("attn_drop", config.attn_drop, "expected a number between 0 and 1"));
        }
        Ok(Self {
            attn: Multihead::new(config)?,
            proj_drop: DropoutConfig::new().with_drop_prob(config.proj_drop).build()?,
            dropout_layer: build_dropout(&builder.key("dropout_layer"), config.dropout_layer.as_ref())?,
            embed_dims: config.embed_dims,
            batch_first: config.batch_first,
            init_cfg: builder.init_cfg(&config.init_cfg)?,
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for MultiheadAttention {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.attend(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.attend(inputs).map(Output::Tensor)
    }
}

impl Module for MultiheadAttention {
    fn class(&self) -> &'static [&'static str] {
        &["MultiheadAttention", "BaseModule"]
    }

    fn embed_dims(&self) -> Option<i64> {
        Some(self.embed_dims)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("attn", &self.attn);
        parts.child("proj_drop", &self.proj_drop);
        parts.child("dropout_layer", &*self.dropout_layer);
    }
}
