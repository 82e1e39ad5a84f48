//! `GeneralizedAttention`. Reference: mmcv/cnn/bricks/generalized_attention.py; Zhu et al., An Empirical Study of Spatial
//! Attention Mechanisms in Deep Networks (2019).

use mmcv_layers::conv::{Conv, ConvConfig};
use mmcv_layers::explain::product;
use mmcv_layers::init::{self, Distribution, FanMode, Nonlinearity};
use mmcv_layers::linear::{Linear, LinearConfig};
use mmcv_layers::pool::AvgPool2d;
use mmcv_layers::{Builder, Error, Forward, Layer, Module, ModuleExt, Parts, Result, Size, run_child, scalar_like};
use mmcv_registry::{Config, ConfigError, FromConfig, KeyPath};
use tch::{Device, Kind, Tensor};

/// Arguments of `GeneralizedAttention`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "GeneralizedAttention", layer = GeneralizedAttention)]
pub struct GeneralizedAttentionConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Largest distance in pixels between a query and a key; -1 for any. With a limit, `in_channels` is 256 or 512.
    #[config(default = -1)]
    pub spatial_range: i64,
    /// Number of heads.
    #[config(default = 9)]
    pub num_heads: i64,
    /// Length of a position embedding; -1 for `in_channels`.
    #[config(default = -1)]
    pub position_embedding_dim: i64,
    /// Factor applied to the distances.
    #[config(default = 1.0)]
    pub position_magnitude: f64,
    /// Stride in pixels of the keys and values.
    #[config(default = 2)]
    pub kv_stride: i64,
    /// Stride in pixels of the queries.
    #[config(default = 1)]
    pub q_stride: i64,
    /// Four digits, 1 for each term to use: query and key, query and position, key, position.
    #[config(default = AttentionType([true; 4]))]
    pub attention_type: AttentionType,
}

/// The terms of the attention in use: query and key, query and position, key alone, position alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionType(pub [bool; 4]);

impl FromConfig for AttentionType {
    fn expected() -> String {
        "a string of four digits, 0 or 1, such as \"1111\"".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        if let Config::Str(digits) = value
            && let Ok(digits) = <[u8; 4]>::try_from(digits.as_bytes())
            && digits.iter().all(|digit| matches!(digit, b'0' | b'1'))
        {
            return Ok(Self(digits.map(|digit| digit == b'1')));
        }
        Err(ConfigError::wrong_type(path, Self::expected(), value))
    }

    fn to_config(&self) -> Config {
        self.0.iter().map(|used| if *used { '1' } else { '0' }).collect::<String>().into()
    }
}

/// Attention between pixels with terms for content and for position.
///
/// Shapes: input `[N, in_channels, H, W]`, output the same. State: `appr_bias`, `geom_bias`, `gamma`,
/// `local_constraint_map`, `query_conv.weight`, `key_conv.weight`, `value_conv.weight`, `appr_geom_fc_x.weight`,
/// `appr_geom_fc_y.weight`, `proj_conv.*`; those that the attention type uses.
///
/// ```
/// use mmcv_bricks::GeneralizedAttentionConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let attention = GeneralizedAttentionConfig::new(16).with_num_heads(4).build()?;
/// let output = attention.forward(&Tensor::zeros([2, 16, 8, 8], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 16, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct GeneralizedAttention {
    config: GeneralizedAttentionConfig,
    /// Channels of one head.
    head_channels: i64,
    embedding_dim: i64,
    query_conv: Option<Conv>,
    key_conv: Option<Conv>,
    value_conv: Conv,
    appr_geom_fc_x: Option<Linear>,
    appr_geom_fc_y: Option<Linear>,
    appr_bias: Option<Tensor>,
    geom_bias: Option<Tensor>,
    proj_conv: Conv,
    gamma: Tensor,
    local_constraint_map: Option<Tensor>,
    q_downsample: Option<AvgPool2d>,
    kv_downsample: Option<AvgPool2d>,
}

impl GeneralizedAttention {
    /// The embeddings of all horizontal and vertical distances: `[W, W of the keys, dim]` and `[H, H of the keys, dim]`.
    fn position_embeddings(&self, queries: Grid, keys: Grid, like: &Tensor) -> Result<(Tensor, Tensor)> {
        const WAVE_LENGTH: f64 = 1000.0;
        let frequencies = self.embedding_dim / 4 + i64::from(self.embedding_dim % 4 != 0);
        let exponents = scaled(&count(frequencies, like)?, 4.0 / self.embedding_dim as f64)?;
        let base = scalar_like(WAVE_LENGTH, like)?.f_to_kind(like.f_kind()?)?.f_view([1])?;
        let waves = base.f_pow(&exponents)?.f_view([1, 1, -1])?;
        let x = self.embed_distances(queries.width, keys.width, &waves)?;
        let y = self.embed_distances(queries.height, keys.height, &waves)?;
        Ok((x, y))
    }

    /// Sine and cosine of all distances between queries and keys of one dimension: `[queries, keys, dim]`.
    fn embed_distances(&self, queries: i64, keys: i64, waves: &Tensor) -> Result<Tensor> {
        let query = scaled(&count(queries, waves)?, self.config.q_stride as f64)?.f_view([-1, 1, 1])?;
        let key = scaled(&count(keys, waves)?, self.config.kv_stride as f64)?.f_view([1, -1, 1])?;
        let distance = scaled(&query.f_sub(&key)?, self.config.position_magnitude)?;
        let angle = distance.f_div(waves)?;
        Ok(Tensor::f_cat(&[angle.f_sin()?, angle.f_cos()?], 2)?)
    }

    /// The horizontal and vertical position features of each head: `[1, heads, W, W of the keys, channels]`.
    fn position_features(&self, queries: Grid, keys: Grid, like: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        let (Some(fc_x), Some(fc_y)) = (&self.appr_geom_fc_x, &self.appr_geom_fc_y) else { return Ok(None) };
        let (x, y) = self.position_embeddings(queries, keys, like)?;
        let x = self.run_child(fc_x, &x)?;
        let x = self.split_position(&x, queries.width, keys.width)?;
        let y = self.run_child(fc_y, &y)?;
        let y = self.split_position(&y, queries.height, keys.height)?;
        Ok(Some((x, y)))
    }

    /// Position features split into heads and divided by the root of 2: `[1, heads, queries, keys, channels]`.
    fn split_position(&self, features: &Tensor, queries: i64, keys: i64) -> Result<Tensor> {
        let features = features.f_view([1, queries, keys, self.config.num_heads, self.head_channels])?;
        Ok(features.f_permute([0, 3, 1, 2, 4])?.f_div(&scalar_like(2f64.sqrt(), &features)?)?)
    }

    /// The output of a projection split into heads: `[N, heads, channels, pixels]`.
    fn project(&self, name: &str, conv: &Conv, map: &Tensor, samples: i64, pixels: i64) -> Result<Tensor> {
        let projected = run_child(name, conv, map)?;
        Ok(projected.f_reshape([samples, self.config.num_heads, self.head_channels, pixels])?)
    }

    /// A bias as `[1, heads, 1, channels of one head]`.
    fn per_head(&self, bias: Option<&Tensor>) -> Result<Option<Tensor>> {
        match bias {
            Some(bias) => Ok(Some(bias.f_view([1, self.config.num_heads, 1, self.head_channels])?)),
            None => Ok(None),
        }
    }

    /// The terms of content: `[N, heads, H W or 1, H W of the keys]`.
    fn content_energy(&self, query: Option<&Tensor>, key: Option<&Tensor>) -> Result<Option<Tensor>> {
        let AttentionType([query_key, ..]) = self.config.attention_type;
        let Some(key) = key else { return Ok(None) };
        let bias = self.per_head(self.appr_bias.as_ref())?;
        Ok(match (query, bias) {
            (Some(query), Some(bias)) if query_key => Some(query.f_add(&bias)?.f_matmul(key)?),
            (Some(query), None) if query_key => Some(query.f_matmul(key)?),
            (_, Some(bias)) => Some(bias.f_matmul(key)?),
            (_, None) => None,
        })
    }

    /// The terms of position: `[N or 1, heads, H, W, H of the keys, W of the keys]`.
    fn position_energy(
        &self,
        query: Option<&Tensor>,
        features: Option<&(Tensor, Tensor)>,
        queries: Grid,
    ) -> Result<Option<Tensor>> {
        let AttentionType([_, query_position, _, _]) = self.config.attention_type;
        let Some((x, y)) = features else { return Ok(None) };
        let bias = self.per_head(self.geom_bias.as_ref())?;
        let source = match (query, &bias) {
            (Some(query), Some(bias)) if query_position => query.f_add(bias)?,
            (Some(query), None) if query_position => query.shallow_clone(),
            _ => return Ok(Some(self.bias_energy(x, y)?)),
        };
        let heads = self.config.num_heads;
        let by_row = source.f_reshape([-1, heads, queries.height, queries.width, self.head_channels])?;
        let by_column = by_row.f_permute([0, 1, 3, 2, 4])?;
        let energy_x = by_column.f_matmul(&x.f_transpose(3, 4)?)?.f_permute([0, 1, 3, 2, 4])?.f_unsqueeze(4)?;
        // Without the position term the reference multiplies the transposed query, which works for square maps only.
        let vertical = if bias.is_some() { by_row } else { by_column };
        let energy_y = vertical.f_matmul(&y.f_transpose(3, 4)?)?.f_unsqueeze(5)?;
        Ok(Some(energy_x.f_add(&energy_y)?))
    }

    /// The term of position alone.
    fn bias_energy(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let Some(bias) = &self.geom_bias else {
            return Err(Error::unsupported("the attention type has no position term"));
        };
        let bias = bias.f_view([1, self.config.num_heads, 1, self.head_channels, 1])?;
        let energy_x = x.f_matmul(&bias)?.f_squeeze_dim(-1)?.f_unsqueeze(2)?.f_unsqueeze(4)?;
        let energy_y = y.f_matmul(&bias)?.f_squeeze_dim(-1)?.f_unsqueeze(3)?.f_unsqueeze(5)?;
        Ok(energy_x.f_add(&energy_y)?)
    }

    /// Excludes the keys that are farther away than `spatial_range`.
    fn mask_distant(&self, energy: Tensor, rows: Grid, keys: Grid) -> Result<Tensor> {
        let Some(map) = &self.local_constraint_map else { return Ok(energy) };
        let map = map.f_slice(0, 0, rows.height, 1)?.f_slice(1, 0, rows.width, 1)?;
        let map = map.f_slice(2, 0, keys.height, 1)?.f_slice(3, 0, keys.width, 1)?.f_contiguous()?;
        let map = map.f_view([1, 1, rows.pixels(), keys.pixels()])?.f_to_kind(Kind::Bool)?;
        Ok(energy.f_masked_fill_tensor(&map, &scalar_like(f64::NEG_INFINITY, &energy)?)?)
    }
}

/// Height and width of a map.
#[derive(Debug, Clone, Copy)]
struct Grid {
    height: i64,
    width: i64,
}

impl Grid {
    fn of_map(map: &Tensor) -> Result<Self> {
        let (_, _, height, width) = map.size4()?;
        Ok(Self { height, width })
    }

    fn pixels(self) -> i64 {
        self.height * self.width
    }
}
impl Layer for GeneralizedAttention {
    const NAME: &'static str = "GeneralizedAttention";
    type Config = GeneralizedAttentionConfig;
    type Module = Self;

    fn build(config: &GeneralizedAttentionConfig, _: &Builder<'_>) -> Result<Self> {
        let GeneralizedAttentionConfig { in_channels, num_heads, kv_stride, q_stride, spatial_range, .. } = *config;
        for (name, value) in [("num_heads", num_heads), ("kv_stride", kv_stride), ("q_stride", q_stride)] {
            if value < 1 {
                return Err(Error::argument(name, value, "expected a positive integer"));
            }
        }
        let head_channels = in_channels / num_heads;
        let channels = head_channels * num_heads;
        if channels < 1 {
            let reason = format!("expected at most as many heads as channels ({in_channels})");
            return Err(Error::argument("num_heads", num_heads, reason));
        }
        let embedding_dim = if config.position_embedding_dim > 0 { config.position_embedding_dim } else { in_channels };
        let AttentionType([query_key, query_position, key, position]) = config.attention_type;
        let bound = 1.0 / ((head_channels * 2) as f64).sqrt();
        let fc = LinearConfig { bias: false, ..LinearConfig::new(embedding_dim / 2, channels) };
        let embeds_position = query_position || position;
        // In the reference's order, on which the initial values depend.
        let query_conv =
            if query_key || query_position { Some(pointwise(in_channels, channels, false)?) } else { None };
        let key_conv = if query_key || key { Some(pointwise(in_channels, channels, false)?) } else { None };
        let value_conv = pointwise(in_channels, channels, false)?;
        let appr_geom_fc_x = if embeds_position { Some(Linear::new(&fc)?) } else { None };
        let appr_geom_fc_y = if embeds_position { Some(Linear::new(&fc)?) } else { None };
        let appr_bias = if key { Some(random_bias(channels, bound)?) } else { None };
        let geom_bias = if position { Some(random_bias(channels, bound)?) } else { None };
        let proj_conv = pointwise(channels, in_channels, true)?;
        let gamma = init::parameter(&[1])?;
        init::constant(&gamma, 0.0)?;
        let local_constraint_map = if spatial_range >= 0 { Some(constraint_map(config)?) } else { None };
        let block = Self {
            config: config.clone(),
            head_channels,
            embedding_dim,
            query_conv,
            key_conv,
            value_conv,
            appr_geom_fc_x,
            appr_geom_fc_y,
            appr_bias,
            geom_bias,
            proj_conv,
            gamma,
            local_constraint_map,
            q_downsample: subsample(q_stride),
            kv_downsample: subsample(kv_stride),
        };
        block.init_weights()?;
        Ok(block)
    }
}

impl Forward for GeneralizedAttention {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let heads = self.config.num_heads;
        let (samples, _, height, width) = input.size4()?;
        let query_input = run_pool("q_downsample", self.q_downsample.as_ref(), input)?;
        let key_input = run_pool("kv_downsample", self.kv_downsample.as_ref(), input)?;
        let (queries, keys) = (Grid::of_map(&query_input)?, Grid::of_map(&key_input)?);
        let mut query = None;
        if let Some(conv) = &self.query_conv {
            let projected = self.project("query_conv", conv, &query_input, samples, queries.pixels())?;
            query = Some(projected.f_permute([0, 1, 3, 2])?);
        }
        let mut key = None;
        if let Some(conv) = &self.key_conv {
            key = Some(self.project("key_conv", conv, &key_input, samples, keys.pixels())?);
        }
        let features = self.position_features(queries, keys, input)?;

        let content = self.content_energy(query.as_ref(), key.as_ref())?;
        let position = self.position_energy(query.as_ref(), features.as_ref(), queries)?;
        let only_key = self.config.attention_type == AttentionType([false, false, true, false]);
        let rows = if only_key { Grid { height: 1, width: 1 } } else { queries };
        let shape = [samples, heads, rows.pixels(), keys.pixels()];
        let mut energy = Tensor::f_zeros(shape, (input.f_kind()?, input.device()))?;
        if let Some(content) = content {
            energy = energy.f_add(&content)?;
        }
        if let Some(position) = position {
            energy = energy.f_add(&position.f_reshape([-1, heads, rows.pixels(), keys.pixels()])?)?;
        }
        let attention = self.mask_distant(energy, rows, keys)?.f_softmax(3, None::<Kind>)?;
        let value = self.project("value_conv", &self.value_conv, &key_input, samples, keys.pixels())?;
        let value = value.f_permute([0, 1, 3, 2])?;
        let output = attention.f_matmul(&value)?.f_permute([0, 1, 3, 2])?.f_contiguous()?;
        let output = output.f_view([samples, self.head_channels * heads, rows.height, rows.width])?;
        let mut output = self.run_child(&self.proj_conv, &output)?;
        if self.q_downsample.is_some() {
            output = output.f_upsample_bilinear2d([height, width], false, None, None)?;
        }
        Ok(self.gamma.f_mul(&output)?.f_add(input)?)
    }
}

impl Module for GeneralizedAttention {
    fn class(&self) -> &'static [&'static str] {
        &["GeneralizedAttention", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("appr_bias", &self.appr_bias);
        parts.parameter("geom_bias", &self.geom_bias);
        parts.parameter("gamma", &self.gamma);
        parts.parameter("local_constraint_map", &self.local_constraint_map);
        for (name, conv) in [("query_conv", &self.query_conv), ("key_conv", &self.key_conv)] {
            if let Some(conv) = conv {
                parts.child(name, conv);
            }
        }
        parts.child("value_conv", &self.value_conv);
        for (name, fc) in [("appr_geom_fc_x", &self.appr_geom_fc_x), ("appr_geom_fc_y", &self.appr_geom_fc_y)] {
            if let Some(fc) = fc {
                parts.child(name, fc);
            }
        }
        parts.child("proj_conv", &self.proj_conv);
        for (name, pool) in [("q_downsample", &self.q_downsample), ("kv_downsample", &self.kv_downsample)] {
            if let Some(pool) = pool {
                parts.child(name, pool);
            }
        }
    }

    /// The products of the terms in use, and the weighted sum of the values.
    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        let Some(&[samples, _, height, width]) = inputs.first().map(Vec::as_slice) else { return 0 };
        let [queries, keys] = [self.config.q_stride, self.config.kv_stride]
            .map(|stride| Grid { height: (height - 1) / stride + 1, width: (width - 1) / stride + 1 });
        let AttentionType([query_key, query_position, key, position]) = self.config.attention_type;
        let only_key = self.config.attention_type == AttentionType([false, false, true, false]);
        let channels = self.head_channels * self.config.num_heads;
        let (pixels, attended) = (queries.pixels(), keys.pixels());
        let content = match (query_key, key) {
            (true, _) => product(&[samples, channels, pixels, attended]),
            (false, true) => product(&[samples, channels, attended]),
            (false, false) => 0,
        };
        let position = match (query_position, position) {
            (true, _) => product(&[samples, channels, pixels, keys.height + keys.width]),
            (false, true) => product(&[channels, queries.height * keys.height + queries.width * keys.width]),
            (false, false) => 0,
        };
        let rows = if only_key { 1 } else { pixels };
        content.saturating_add(position).saturating_add(product(&[samples, channels, rows, attended]))
    }

    fn init_weights(&self) -> Result<()> {
        let nonlinearity = Nonlinearity::LeakyRelu(1.0);
        for (_, child) in Parts::of(self).children {
            init::kaiming_init(child, FanMode::FanIn, nonlinearity, 0.0, Distribution::Uniform)?;
        }
        Ok(())
    }

    fn has_init_weights(&self) -> bool {
        true
    }
}

fn pointwise(inputs: i64, outputs: i64, bias: bool) -> Result<Conv> {
    Conv::new(2, &ConvConfig { bias: Some(bias), ..ConvConfig::new(inputs, outputs, Size::All(1)) })
}

/// A pooling that keeps every `stride`-th pixel; `None` for a stride of 1.
fn subsample(stride: i64) -> Option<AvgPool2d> {
    if stride <= 1 {
        return None;
    }
    Some(AvgPool2d { kernel_size: 1, stride, padding: 0, ceil_mode: false, count_include_pad: true })
}

fn run_pool(name: &str, pool: Option<&AvgPool2d>, input: &Tensor) -> Result<Tensor> {
    match pool {
        Some(pool) => run_child(name, pool, input),
        None => Ok(input.shallow_clone()),
    }
}

/// The numbers from 0 to `end`, exclusive, with the type and device of `like`.
fn count(end: i64, like: &Tensor) -> Result<Tensor> {
    let numbers: Vec<f64> = (0..end).map(|number| number as f64).collect();
    Ok(Tensor::f_from_slice(&numbers)?.f_to_kind(like.f_kind()?)?.f_to_device(like.device())?)
}

fn scaled(tensor: &Tensor, factor: f64) -> Result<Tensor> {
    Ok(tensor.f_mul(&scalar_like(factor, tensor)?)?)
}
/// A parameter with values from `(-bound, bound]`.
fn random_bias(length: i64, bound: f64) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let drawn = Tensor::f_rand([length], (Kind::Float, Device::Cpu))?;
    let scaled = drawn.f_mul(&scalar_like(-2.0 * bound, &drawn)?)?;
    Ok(scaled.f_add(&scalar_like(bound, &drawn)?)?.f_set_requires_grad(true)?)
}

/// 1 for each pair of a pixel and a key that is farther away than the range: `[H, W, H of the keys, W of the keys]`.
fn constraint_map(config: &GeneralizedAttentionConfig) -> Result<Tensor> {
    let GeneralizedAttentionConfig { in_channels, spatial_range: range, kv_stride, .. } = *config;
    let size: i64 = match in_channels {
        256 => 84,
        512 => 42,
        _ => {
            let reason = "with spatial_range only 256 or 512 channels are possible";
            return Err(Error::argument("in_channels", in_channels, reason));
        }
    };
    let keys = ((size as f64 - 1.0) / kv_stride as f64 + 1.0) as i64;
    let mut near = Vec::new();
    for pixel in 0..size {
        let first = pixel.saturating_sub(range).div_euclid(kv_stride).max(0);
        let end = (pixel.saturating_add(range).saturating_add(1).div_euclid(kv_stride) + 1).min(size);
        near.extend((0..keys).map(|key| u8::from((first..end).contains(&key))));
    }
    let near = Tensor::f_from_slice(&near)?.f_view([size, keys])?;
    let (rows, columns) = (near.f_view([size, 1, keys, 1])?, near.f_view([1, size, 1, keys])?);
    Ok(rows.f_mul(&columns)?.f_logical_not()?.f_to_kind(Kind::Uint8)?)
}
