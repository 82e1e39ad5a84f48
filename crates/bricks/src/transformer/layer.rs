//! `BaseTransformerLayer` and `TransformerLayerSequence`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, Module, ModuleList, Output, Registry, Result, call_child, no_options,
};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, dict};
use tch::Tensor;

use super::optional;

/// Arguments of `BaseTransformerLayer`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "BaseTransformerLayer", layer = BaseTransformerLayer)]
pub struct BaseTransformerLayerConfig {
    /// The attentions: one dict for all, or a list with one for each `self_attn` and `cross_attn`.
    pub attn_cfgs: Config,
    /// The operations in order: `self_attn`, `cross_attn`, `norm`, `ffn`, each any number of times.
    pub operation_order: Vec<Operation>,
    /// The feed-forward networks: one dict for all, or a list with one for each `ffn`.
    #[config(default = Config::Dict(dict! {
                type: "FFN",
                embed_dims: 256,
                feedforward_channels: 1024,
                num_fcs: 2,
                ffn_drop: 0.0,
                act_cfg: { type: "ReLU", inplace: true },
            }))]
    pub ffn_cfgs: Config,
    /// The normalizations.
    #[config(default = dict! { type: "LN" })]
    pub norm_cfg: Dict,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
    /// Whether inputs are `[N, L, E]` rather than `[L, N, E]`.
    #[config(default = false)]
    pub batch_first: bool,
}

/// Arguments of `TransformerLayerSequence`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "TransformerLayerSequence", layer = TransformerLayerSequence)]
pub struct TransformerLayerSequenceConfig {
    /// The layers: one dict for all, or a list with one for each.
    pub transformerlayers: Config,
    /// Number of layers.
    pub num_layers: i64,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// One operation of a transformer layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Operation {
    /// Attention of the query to itself.
    SelfAttn,
    /// Attention of the query to the keys.
    CrossAttn,
    /// Normalization.
    Norm,
    /// Feed-forward network.
    Ffn,
}

impl Operation {
    fn is_attention(self) -> bool {
        matches!(self, Self::SelfAttn | Self::CrossAttn)
    }
}

/// Attentions, feed-forward networks and norms in a configurable order.
///
/// Inputs in order, all but the first optional: `query`, `key`, `value`, `query_pos`, `key_pos`, `attn_masks` (one for
/// all attentions), `query_key_padding_mask`, `key_padding_mask`. An undefined tensor counts as missing.
///
/// Shapes: those of [`MultiheadAttention`](super::MultiheadAttention). State: `attentions.N.*`, `ffns.N.*`, `norms.N.*`.
///
/// ```
/// use mmcv_bricks::transformer::{BaseTransformerLayerConfig, FFNConfig, MultiheadAttentionConfig, Operation};
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let attention = MultiheadAttentionConfig::new(32, 4);
/// let ffn = FFNConfig::new().with_embed_dims(32);
/// let operations = vec![Operation::SelfAttn, Operation::Norm, Operation::Ffn, Operation::Norm];
/// let layer = BaseTransformerLayerConfig::new(attention, operations).with_ffn_cfgs(ffn).build()?;
/// let output = layer.forward(&Tensor::zeros([10, 2, 32], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [10, 2, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct BaseTransformerLayer {
    operations: Vec<Operation>,
    #[module(child)]
    attentions: ModuleList,
    #[module(child)]
    ffns: ModuleList,
    #[module(child)]
    norms: ModuleList,
    init_cfg: InitCfg,
}

impl BaseTransformerLayer {
    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let Some(query) = optional(inputs, 0) else { return Err(Error::input("a query", "no input")) };
        let missing = Tensor::new();
        let mut optionals = [&missing; 7];
        for (position, tensor) in (1..).zip(&mut optionals) {
            *tensor = optional(inputs, position).unwrap_or(&missing);
        }
        let [key, value, query_pos, key_pos, mask, query_padding, key_padding] = optionals;
        let pre_norm = self.operations.first() == Some(&Operation::Norm);
        let (mut attentions, mut ffns) = (self.attentions.iter().enumerate(), self.ffns.iter().enumerate());
        let mut norms = self.norms.iter().enumerate();
        let (mut query, mut identity) = (query.shallow_clone(), query.shallow_clone());
        for operation in &self.operations {
            let shortcut = if pre_norm { &identity } else { &missing };
            let (list, part) = match operation {
                Operation::Norm => ("norms", norms.next()),
                Operation::Ffn => ("ffns", ffns.next()),
                Operation::SelfAttn | Operation::CrossAttn => ("attentions", attentions.next()),
            };
            let Some((index, module)) = part else {
                return Err(Error::unsupported("the layer lacks one of its parts"));
            };
            let inputs: &[&Tensor] = match operation {
                Operation::Norm => &[&query],
                Operation::Ffn => &[&query, shortcut],
                Operation::SelfAttn => &[&query, &query, &query, shortcut, query_pos, query_pos, mask, query_padding],
                Operation::CrossAttn => &[&query, key, value, shortcut, query_pos, key_pos, mask, key_padding],
            };
            query = call_child(format_args!("{list}.{index}"), module, inputs, &Dict::new())?.single()?;
            if operation.is_attention() {
                identity = query.shallow_clone();
            }
        }
        Ok(query)
    }
}

impl Layer for BaseTransformerLayer {
    const NAME: &'static str = "BaseTransformerLayer";
    type Config = BaseTransformerLayerConfig;
    type Module = Self;

    fn build(config: &BaseTransformerLayerConfig, builder: &Builder<'_>) -> Result<Self> {
        let operations = config.operation_order.clone();
        let attn_path = builder.path.key("attn_cfgs");
        let count = operations.iter().filter(|operation| operation.is_attention()).count();
        let mut attentions = Vec::new();
        for (cfg, path) in one_for_each(&config.attn_cfgs, count, &attn_path)? {
            attentions.push(build_attention(&builder.at(|_| path), cfg, config.batch_first)?);
        }
        let embed_dims = embed_dims(&attentions, &attn_path)?;
        let mut ffns = Vec::new();
        let count = operations.iter().filter(|operation| **operation == Operation::Ffn).count();
        for (cfg, path) in one_for_each(&config.ffn_cfgs, count, &builder.path.key("ffn_cfgs"))? {
            ffns.push(build_ffn(&builder.at(|_| path), cfg, embed_dims)?);
        }
        let norm_cfg = Config::Dict(config.norm_cfg.clone());
        let mut norms = Vec::new();
        for operation in &operations {
            if *operation == Operation::Norm {
                let (_, norm) = builder.part("norm_cfg").norm(&norm_cfg, embed_dims, "")?;
                norms.push(norm);
            }
        }
        Ok(Self {
            operations,
            attentions: ModuleList::new(attentions),
            ffns: ModuleList::new(ffns),
            norms: ModuleList::new(norms),
            init_cfg: builder.init_cfg(&config.init_cfg)?,
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for BaseTransformerLayer {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.run(inputs).map(Output::Tensor)
    }
}

/// Transformer layers in sequence; the inputs are those of [`BaseTransformerLayer`].
///
/// Shapes: those of [`BaseTransformerLayer`]. State: `layers.N.*`.
///
/// ```
/// use mmcv_bricks::transformer::{
///     BaseTransformerLayerConfig, MultiheadAttentionConfig, Operation, TransformerLayerSequenceConfig,
/// };
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let operations = vec![Operation::SelfAttn, Operation::Norm, Operation::Ffn, Operation::Norm];
/// let layer = BaseTransformerLayerConfig::new(MultiheadAttentionConfig::new(256, 8), operations);
/// let layers = TransformerLayerSequenceConfig::new(layer, 2).build()?;
/// let output = layers.forward(&Tensor::zeros([10, 2, 256], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [10, 2, 256]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct TransformerLayerSequence {
    #[module(child)]
    layers: ModuleList,
    init_cfg: InitCfg,
}

impl Layer for TransformerLayerSequence {
    const NAME: &'static str = "TransformerLayerSequence";
    type Config = TransformerLayerSequenceConfig;
    type Module = Self;

    fn build(config: &TransformerLayerSequenceConfig, builder: &Builder<'_>) -> Result<Self> {
        const MOST_LAYERS: usize = 1000;
        let count = match usize::try_from(config.num_layers) {
            Ok(count @ 1..=MOST_LAYERS) => count,
            _ => {
                let reason = format!("expected 1 to {MOST_LAYERS}");
                return Err(Error::argument("num_layers", config.num_layers, reason));
            }
        };
        let mut layers = Vec::new();
        for (cfg, path) in one_for_each(&config.transformerlayers, count, &builder.path.key("transformerlayers"))? {
            layers.push(builder.at(|_| path).model(&Config::Dict(cfg))?);
        }
        Ok(Self { layers: ModuleList::new(layers), init_cfg: builder.init_cfg(&config.init_cfg)? })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for TransformerLayerSequence {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.call(&[input], &Dict::new())?.single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let Some((query, others)) = inputs.split_first() else { return Err(Error::input("a query", "no input")) };
        let mut query = query.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            let inputs = [&[&query], others].concat();
            query = call_child(format_args!("layers.{index}"), layer, &inputs, options)?.single()?;
        }
        Ok(Output::Tensor(query))
    }
}

/// Builds an attention, whose `batch_first` is that of the transformer layer.
fn build_attention(builder: &Builder<'_>, mut cfg: Dict, batch_first: bool) -> Result<Box<dyn Module>> {
    let path = builder.path.key("batch_first");
    if let Some(value) = cfg.get("batch_first")
        && bool::from_config(value, &path)? != batch_first
    {
        let reason =
            format!("batch_first of the layer is {batch_first}, and that of its attentions has to be the same");
        return Err(ConfigError::invalid(&path, !batch_first, reason).into());
    }
    cfg.insert("batch_first", batch_first);
    builder.model(&Config::Dict(cfg))
}

/// Builds a feed-forward network, by default an `FFN`, for vectors of length `embed_dims`.
fn build_ffn(builder: &Builder<'_>, mut cfg: Dict, embed_dims: i64) -> Result<Box<dyn Module>> {
    cfg.set_default("type", "FFN");
    let path = builder.path.key("embed_dims");
    if let Some(value) = cfg.get("embed_dims") {
        let found = i64::from_config(value, &path)?;
        if found != embed_dims {
            let reason = format!("expected {embed_dims}, as the attentions have");
            return Err(ConfigError::invalid(&path, found, reason).into());
        }
    }
    cfg.set_default("embed_dims", embed_dims);
    builder.model(&Config::Dict(cfg))
}

/// The configs of `count` parts with their paths: one dict for all, or a list with one for each.
fn one_for_each(cfgs: &Config, count: usize, path: &KeyPath) -> Result<Vec<(Dict, KeyPath)>> {
    match cfgs {
        Config::Dict(cfg) => Ok(vec![(cfg.clone(), path.clone()); count]),
        Config::List(items) | Config::Tuple(items) if items.len() == count => {
            let mut parts = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let path = path.index(index);
                parts.push((Dict::from_config(item, &path)?, path));
            }
            Ok(parts)
        }
        other => {
            let expected = format!("a dict, or a list of {count} dicts");
            Err(ConfigError::wrong_type(path, expected, other).into())
        }
    }
}

/// The `embed_dims` of the first attention.
fn embed_dims(attentions: &[Box<dyn Module>], path: &KeyPath) -> Result<i64> {
    let Some(first) = attentions.first() else {
        let reason = "a transformer layer needs at least one attention, such as MultiheadAttention";
        return Err(ConfigError::invalid(path, "none", reason).into());
    };
    match first.embed_dims() {
        Some(embed_dims) => Ok(embed_dims),
        None => {
            let reason = "expected an attention, such as MultiheadAttention: a module whose `embed_dims` is known";
            Err(ConfigError::invalid(path, first.name(), reason).into())
        }
    }
}
