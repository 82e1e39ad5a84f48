//! `BaseTransformerLayer` and `TransformerLayerSequence`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::{
    Builder, Error, InitCfg, Layer, Module, ModuleList, Output, Parts, Registry, Result, call_child, no_options,
};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, dict};
use tch::Tensor;

use super::optional;

/// Arguments of `BaseTransformerLayer`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "BaseTransformerLayer", layer = BaseTransformerLayer)]
pub struct BaseTransformerLayerConfig {
    /// The attentions: a dict for all, or a list with one for each `self_attn` and `cross_attn`.
    pub attn_cfgs: Config,
    /// What is done in which order: `self_attn`, `cross_attn`, `norm`, `ffn`, each any number of times.
    pub operation_order: Vec<Operation>,
    /// The feed-forward networks: a dict for all, or a list with one for each `ffn`.
    #[config(default = Config::Dict(dict! {
                type: "FFN",
                embed_dims: 256,
                feedforward_channels: 1024,
                num_fcs: 2,
                ffn_drop: 0.0,
                act_cfg: { type: "ReLU", inplace: true },
            }))]
    pub ffn_cfgs: Config,
    /// The normalisations.
    #[config(default = dict! { type: "LN" })]
    pub norm_cfg: Dict,
    /// Rules of initialisation.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
    /// Whether inputs are `[N, L, E]`; else they are `[L, N, E]`.
    #[config(default = false)]
    pub batch_first: bool,
}

/// Arguments of `TransformerLayerSequence`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "TransformerLayerSequence", layer = TransformerLayerSequence)]
pub struct TransformerLayerSequenceConfig {
    /// The layers: a dict for all, or a list with one for each.
    pub transformerlayers: Config,
    /// Number of layers.
    pub num_layers: i64,
    /// Rules of initialisation.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// One step of a transformer layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Operation {
    /// Attention of the query to itself.
    SelfAttn,
    /// Attention of the query to the keys.
    CrossAttn,
    /// Normalisation.
    Norm,
    /// Feed-forward network.
    Ffn,
}

impl Operation {
    fn is_attention(self) -> bool {
        matches!(self, Self::SelfAttn | Self::CrossAttn)
    }
}

/// Attentions, feed-forward networks and norms in a given order.
///
/// Inputs by place, all but the first optional: `query`, `key`, `value`, `query_pos`, `key_pos`, `attn_masks` (one for all
/// attentions), `query_key_padding_mask`, `key_padding_mask`. An undefined tensor counts as missing.
///
/// Shapes: as of [`MultiheadAttention`](super::MultiheadAttention). State: `attentions.N.*`, `ffns.N.*`, `norms.N.*`.
#[derive(Debug)]
pub struct BaseTransformerLayer {
    operations: Vec<Operation>,
    attentions: ModuleList,
    ffns: ModuleList,
    norms: ModuleList,
    init_cfg: InitCfg,
}

impl BaseTransformerLayer {
    /// Builds the parts; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where a list has another length than the order asks for, sizes differ, or a part cannot be built.
    pub fn new(builder: &Builder<'_>, config: &BaseTransformerLayerConfig) -> Result<Self> {
        let operations = config.operation_order.clone();
        let count =
            |wanted: &dyn Fn(Operation) -> bool| operations.iter().filter(|operation| wanted(**operation)).count();
        let at = |key: &str| builder.path.key(key);
        let path = at("attn_cfgs");
        let attn_cfgs = one_for_each(&config.attn_cfgs, count(&Operation::is_attention), &path)?;
        let mut attentions = Vec::new();
        for (mut cfg, path) in attn_cfgs {
            let own = cfg.get("batch_first").map(|own| bool::from_config(own, &path.key("batch_first"))).transpose()?;
            if own.is_some_and(|own| own != config.batch_first) {
                let reason = format!(
                    "batch_first of the layer is {}, and that of its attentions has to be the same",
                    config.batch_first
                );
                return Err(ConfigError::invalid(&path.key("batch_first"), !config.batch_first, reason).into());
            }
            cfg.insert("batch_first", config.batch_first);
            attentions.push(Builder { path, ..builder.clone() }.model(&Config::Dict(cfg))?);
        }
        let embed_dims = embed_dims(&attentions, &path)?;
        let ffn_cfgs =
            one_for_each(&config.ffn_cfgs, count(&|operation| operation == Operation::Ffn), &at("ffn_cfgs"))?;
        let mut ffns = Vec::new();
        for (mut cfg, path) in ffn_cfgs {
            cfg.set_default("type", "FFN");
            cfg.set_default("embed_dims", embed_dims);
            let own = cfg.get("embed_dims").map(|own| i64::from_config(own, &path.key("embed_dims"))).transpose()?;
            if own != Some(embed_dims) {
                let reason = format!("expected {embed_dims}, as the attentions have");
                return Err(ConfigError::invalid(&path.key("embed_dims"), own.unwrap_or(0), reason).into());
            }
            ffns.push(Builder { path, ..builder.clone() }.model(&Config::Dict(cfg))?);
        }
        let norm_cfg = Config::Dict(config.norm_cfg.clone());
        let norm_builder = Builder { path: at("norm_cfg"), ..builder.clone() };
        let norms = (0..count(&|operation| operation == Operation::Norm))
            .map(|_| norm_builder.norm(&norm_cfg, embed_dims, "").map(|(_, norm)| norm))
            .collect::<Result<_>>()?;
        Ok(Self {
            operations,
            attentions: ModuleList::new(attentions),
            ffns: ModuleList::new(ffns),
            norms: ModuleList::new(norms),
            init_cfg: InitCfg::decode(&config.init_cfg, &at("init_cfg"))?,
        })
    }

    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let Some(query) = optional(inputs, 0) else { return Err(Error::input("a query", "no input")) };
        let missing = Tensor::new();
        let input = |place: usize| optional(inputs, place).unwrap_or(&missing);
        let (key, value, query_pos, key_pos) = (input(1), input(2), input(3), input(4));
        let (mask, query_padding, key_padding) = (input(5), input(6), input(7));
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
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Module for BaseTransformerLayer {
    fn class(&self) -> &'static [&'static str] {
        &["BaseTransformerLayer", "BaseModule"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(self.name(), options)?;
        self.run(inputs).map(Output::Tensor)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("attentions", &self.attentions);
        parts.child("ffns", &self.ffns);
        parts.child("norms", &self.norms);
    }
}

/// Transformer layers one after the other; the inputs are those of [`BaseTransformerLayer`].
///
/// State: `layers.N.*`.
#[derive(Debug)]
pub struct TransformerLayerSequence {
    layers: ModuleList,
    init_cfg: InitCfg,
}

impl TransformerLayerSequence {
    /// Builds the layers; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// Where the list has another length than `num_layers`, or a layer cannot be built.
    pub fn new(builder: &Builder<'_>, config: &TransformerLayerSequenceConfig) -> Result<Self> {
        const MOST_LAYERS: i64 = 1000;
        let count = usize::try_from(config.num_layers).ok().filter(|_| (1..=MOST_LAYERS).contains(&config.num_layers));
        let Some(count) = count else {
            let reason = format!("expected 1 to {MOST_LAYERS}");
            return Err(Error::argument("num_layers", config.num_layers, reason).below(&builder.path));
        };
        let layers = one_for_each(&config.transformerlayers, count, &builder.path.key("transformerlayers"))?;
        let layers =
            layers.into_iter().map(|(cfg, path)| Builder { path, ..builder.clone() }.model(&Config::Dict(cfg)));
        Ok(Self {
            layers: ModuleList::new(layers.collect::<Result<_>>()?),
            init_cfg: InitCfg::decode(&config.init_cfg, &builder.path.key("init_cfg"))?,
        })
    }
}

impl Layer for TransformerLayerSequence {
    const NAME: &'static str = "TransformerLayerSequence";
    type Config = TransformerLayerSequenceConfig;
    type Module = Self;

    fn build(config: &TransformerLayerSequenceConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Module for TransformerLayerSequence {
    fn class(&self) -> &'static [&'static str] {
        &["TransformerLayerSequence", "BaseModule"]
    }

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

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        parts.child("layers", &self.layers);
    }
}

/// The configs of `count` parts with their paths: a dict stands for all, a list has one for each.
fn one_for_each(cfgs: &Config, count: usize, path: &KeyPath) -> Result<Vec<(Dict, KeyPath)>> {
    match cfgs {
        Config::Dict(cfg) => Ok(vec![(cfg.clone(), path.clone()); count]),
        Config::List(items) if items.len() == count => {
            let items = items.iter().enumerate();
            let item = |(index, item): (usize, &Config)| {
                let path = path.index(index);
                Ok((Dict::from_config(item, &path)?, path))
            };
            items.map(item).collect()
        }
        other => {
            let expected = format!("a dict, or a list of {count} dicts");
            Err(ConfigError::wrong_type(path, expected, other).into())
        }
    }
}

/// The size of the vectors of the first attention.
fn embed_dims(attentions: &[Box<dyn Module>], path: &KeyPath) -> Result<i64> {
    let Some(first) = attentions.first() else {
        let reason = "a transformer layer needs at least one attention, such as MultiheadAttention";
        return Err(ConfigError::invalid(path, "none", reason).into());
    };
    first.embed_dims().ok_or_else(|| {
        let reason = "expected an attention, such as MultiheadAttention: a module whose `embed_dims` is known";
        ConfigError::invalid(path, first.name(), reason).into()
    })
}
