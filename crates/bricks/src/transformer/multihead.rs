//! The attention inside `MultiheadAttention`. Reference: `torch.nn.MultiheadAttention`.

use mmcv_layers::explain::product;
use mmcv_layers::init::{self, Distribution};
use mmcv_layers::linear::{Linear, LinearConfig};
use mmcv_layers::{Error, Forward, Module, ModuleExt, Parts, Result, Training, scalar_like};
use tch::{Kind, Tensor};

use super::attention::MultiheadAttentionConfig;

/// Scaled dot-product attention with several heads, and a linear layer after them.
#[derive(Debug)]
pub(super) struct Multihead {
    embed_dims: i64,
    num_heads: i64,
    dropout: f64,
    add_zero_attn: bool,
    /// One weight for query, key and value; or one for each if their lengths differ.
    projections: Projections,
    in_proj_bias: Option<Tensor>,
    out_proj: OutProjection,
    bias_kv: Option<(Tensor, Tensor)>,
    training: Training,
}

#[derive(Debug)]
enum Projections {
    /// `[3 E, E]`
    Packed(Tensor),
    /// `[E, E]`, `[E, length of a key]`, `[E, length of a value]`
    Separate([Tensor; 3]),
}

/// The masks that exclude keys.
pub(super) struct Masks<'a> {
    pub(super) attention: Option<&'a Tensor>,
    pub(super) key_padding: Option<&'a Tensor>,
}

impl Multihead {
    pub(super) fn new(config: &MultiheadAttentionConfig) -> Result<Self> {
        let MultiheadAttentionConfig { embed_dims, num_heads, bias, add_bias_kv, add_zero_attn, .. } = *config;
        for (name, value) in [("embed_dims", embed_dims), ("num_heads", num_heads)] {
            if value <= 0 {
                return Err(Error::argument(name, value, "expected a positive integer"));
            }
        }
        if embed_dims % num_heads != 0 {
            return Err(Error::argument(
                "embed_dims",
                embed_dims,
                format!("must be divisible by num_heads {num_heads}"),
            ));
        }
        let (kdim, vdim) = (config.kdim.unwrap_or(embed_dims), config.vdim.unwrap_or(embed_dims));
        let out_proj = Linear::new(&LinearConfig { bias, ..LinearConfig::new(embed_dims, embed_dims) })?;

        let projections = if (kdim, vdim) == (embed_dims, embed_dims) {
            Projections::Packed(projection(embed_dims.saturating_mul(3), embed_dims)?)
        } else {
            let query = projection(embed_dims, embed_dims)?;
            let key = projection(embed_dims, kdim)?;
            Projections::Separate([query, key, projection(embed_dims, vdim)?])
        };
        let mut in_proj_bias = None;
        if bias {
            let bias = init::parameter(&[embed_dims.saturating_mul(3)])?;
            init::constant(&bias, 0.0)?;
            in_proj_bias = Some(bias);
        }
        if let Some(bias) = Parts::of(&out_proj).find_parameter("bias") {
            init::constant(bias, 0.0)?;
        }
        let bias_kv = if add_bias_kv { Some((appended_row(embed_dims)?, appended_row(embed_dims)?)) } else { None };
        Ok(Self {
            embed_dims,
            num_heads,
            dropout: config.attn_drop,
            add_zero_attn,
            projections,
            in_proj_bias,
            out_proj: OutProjection(out_proj),
            bias_kv,
            training: Training::default(),
        })
    }

    /// Attention of `query` `[L, N, E]` to `key` and `value` `[S, N, ...]`: `[L, N, E]`. All of them, and the padding
    /// mask, may lack the dimension of samples.
    pub(super) fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: &Masks<'_>) -> Result<Tensor> {
        if query.dim() != 2 {
            return self.attend_batch(query, key, value, masks);
        }
        let mut key_padding = None;
        if let Some(mask) = masks.key_padding {
            key_padding = Some(mask.f_unsqueeze(0)?);
        }
        let masks = Masks { attention: masks.attention, key_padding: key_padding.as_ref() };
        let (query, key, value) = (query.f_unsqueeze(1)?, key.f_unsqueeze(1)?, value.f_unsqueeze(1)?);
        Ok(self.attend_batch(&query, &key, &value, &masks)?.f_squeeze_dim(1)?)
    }

    fn attend_batch(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: &Masks<'_>) -> Result<Tensor> {
        let (length, samples, size) = query.size3()?;
        if size != self.embed_dims {
            return Err(Error::input(format!("queries of size {}", self.embed_dims), size));
        }
        let mut attended = self.check_keys(key, value, samples)?;
        let mut mask = self.merge_masks(masks, [samples, length, attended], query.f_kind()?)?;
        let [query, mut key, mut value] = self.project([query, key, value])?;
        if let Some((bias_k, bias_v)) = &self.bias_kv {
            key = Tensor::f_cat(&[key, bias_k.f_repeat([1, samples, 1])?], 0)?;
            value = Tensor::f_cat(&[value, bias_v.f_repeat([1, samples, 1])?], 0)?;
            mask = with_column(mask)?;
            attended += 1;
        }
        let (heads, head_size) = (self.num_heads, self.embed_dims / self.num_heads);
        let query = split_heads(&query, [length, samples * heads, head_size])?;
        let mut key = split_heads(&key, [attended, samples * heads, head_size])?;
        let mut value = split_heads(&value, [attended, samples * heads, head_size])?;
        if self.add_zero_attn {
            let zeros = Tensor::f_zeros([samples * heads, 1, head_size], (key.f_kind()?, key.device()))?;
            key = Tensor::f_cat(&[key, zeros.shallow_clone()], 1)?;
            value = Tensor::f_cat(&[value, zeros], 1)?;
            mask = with_column(mask)?;
            attended += 1;
        }
        let scaled = query.f_mul(&scalar_like((1.0 / head_size as f64).sqrt(), &query)?)?;
        let keys = key.f_transpose(1, 2)?;
        let weights = match mask {
            None => scaled.f_bmm(&keys)?,
            Some(mask) => mask.f_expand_copy([samples * heads, length, attended], false)?.f_baddbmm_(&scaled, &keys)?,
        };
        let mut weights = weights.f_softmax(-1, None::<Kind>)?;
        if self.training.get() && self.dropout > 0.0 {
            weights = weights.f_dropout(self.dropout, true)?;
        }
        let output = weights.f_bmm(&value)?.f_transpose(0, 1)?.f_contiguous()?;
        let output = output.f_view([length * samples, self.embed_dims])?;
        let output = self.run_child(&self.out_proj, &output)?;
        Ok(output.f_view([length, samples, self.embed_dims])?)
    }

    fn project(&self, inputs: [&Tensor; 3]) -> Result<[Tensor; 3]> {
        let weights = match &self.projections {
            Projections::Packed(weight) => return self.project_packed(inputs, weight),
            Projections::Separate(weights) => weights,
        };
        let biases = match &self.in_proj_bias {
            Some(bias) => bias.f_chunk(3, 0)?,
            None => Vec::new(),
        };
        let mut projected = Vec::new();
        for (index, (input, weight)) in inputs.into_iter().zip(weights).enumerate() {
            projected.push(input.f_linear(weight, biases.get(index))?);
        }
        three(projected)
    }

    /// As few products as possible: identical tensors are multiplied by their weights together.
    fn project_packed(&self, [query, key, value]: [&Tensor; 3], weight: &Tensor) -> Result<[Tensor; 3]> {
        let projected: Vec<Tensor> = if !std::ptr::eq(key, value) {
            let query = self.project_rows(query, weight, 0, 1)?;
            let key = self.project_rows(key, weight, 1, 1)?;
            [query, key, self.project_rows(value, weight, 2, 1)?].into_iter().flatten().collect()
        } else if !std::ptr::eq(query, key) {
            let query = self.project_rows(query, weight, 0, 1)?;
            [query, self.project_rows(key, weight, 1, 2)?].into_iter().flatten().collect()
        } else {
            self.project_rows(query, weight, 0, 3)?
        };
        three(projected)
    }

    /// The projections of `input` by `count` of the three packed weights, from number `first` on.
    fn project_rows(&self, input: &Tensor, weight: &Tensor, first: i64, count: i64) -> Result<Vec<Tensor>> {
        let (start, length) = (first * self.embed_dims, count * self.embed_dims);
        let mut bias = None;
        if let Some(packed) = &self.in_proj_bias {
            bias = Some(packed.f_narrow(0, start, length)?);
        }
        let weight = weight.f_narrow(0, start, length)?;
        Ok(input.f_linear(&weight, bias.as_ref())?.f_chunk(count, -1)?)
    }

    /// The number of keys, which has to be that of the values.
    fn check_keys(&self, key: &Tensor, value: &Tensor, samples: i64) -> Result<i64> {
        let (keys, key_samples, _) = key.size3()?;
        let (values, value_samples, _) = value.size3()?;
        if (keys, key_samples) != (values, value_samples) || key_samples != samples {
            let found = format!("keys of shape {:?} and values of shape {:?}", key.size(), value.size());
            return Err(Error::input(format!("as many keys as values, for {samples} samples"), found));
        }
        Ok(keys)
    }

    /// Both masks as one to add to the weights: `[N heads or 1, L or 1, S]`.
    fn merge_masks(&self, masks: &Masks<'_>, sizes: [i64; 3], kind: Kind) -> Result<Option<Tensor>> {
        let [samples, length, keys] = sizes;
        let attention = match masks.attention {
            Some(mask) if mask.size() == [length, keys] => Some(additive(mask, kind)?.f_unsqueeze(0)?),
            Some(mask) if mask.size() == [samples * self.num_heads, length, keys] => Some(additive(mask, kind)?),
            Some(mask) => {
                let whole = [samples * self.num_heads, length, keys];
                let expected = format!("an attn_mask of shape {:?} or {whole:?}", [length, keys]);
                return Err(Error::input(expected, format!("{:?}", mask.size())));
            }
            None => None,
        };
        let Some(padding) = masks.key_padding else { return Ok(attention) };
        if padding.size() != [samples, keys] {
            let expected = format!("a key_padding_mask of shape {:?}", [samples, keys]);
            return Err(Error::input(expected, format!("{:?}", padding.size())));
        }
        let padding = additive(padding, kind)?.f_view([samples, 1, 1, keys])?;
        let padding = padding.f_expand([samples, self.num_heads, 1, keys], false)?;
        let padding = padding.f_reshape([samples * self.num_heads, 1, keys])?;
        Ok(Some(match attention {
            Some(attention) => attention.f_add(&padding)?,
            None => padding,
        }))
    }
}

impl Forward for Multihead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.attend(input, input, input, &Masks { attention: None, key_padding: None })
    }
}

impl Module for Multihead {
    fn class(&self) -> &'static [&'static str] {
        &["MultiheadAttention", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
        match &self.projections {
            Projections::Packed(weight) => parts.parameter("in_proj_weight", weight),
            Projections::Separate([query, key, value]) => {
                parts.parameter("q_proj_weight", query);
                parts.parameter("k_proj_weight", key);
                parts.parameter("v_proj_weight", value);
            }
        }
        parts.parameter("in_proj_bias", &self.in_proj_bias);
        if let Some((bias_k, bias_v)) = &self.bias_kv {
            parts.parameter("bias_k", bias_k);
            parts.parameter("bias_v", bias_v);
        }
        parts.child("out_proj", &self.out_proj);
    }

    /// The projections of query, key and value, and the two products of each head.
    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        let Some(query) = inputs.first() else { return 0 };
        let key = inputs.get(1).unwrap_or(query);
        let value = inputs.get(2).unwrap_or(key);
        let (&[length, samples, _], Some(keys)) = (query.as_slice(), key.first()) else { return 0 };
        let projected = product(query).saturating_add(product(key)).saturating_add(product(value));
        let attended = keys + i64::from(self.bias_kv.is_some()) + i64::from(self.add_zero_attn);
        let products = product(&[2, samples, length, attended]);
        projected.saturating_add(products).saturating_mul(product(&[self.embed_dims]))
    }
}

/// The linear layer after the heads, for which the reference has a separate class.
#[derive(Debug)]
struct OutProjection(Linear);

impl Forward for OutProjection {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.0.forward(input)
    }
}

impl Module for OutProjection {
    fn class(&self) -> &'static [&'static str] {
        &["NonDynamicallyQuantizableLinear", "Linear"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.0.parts(parts);
    }

    fn extra_repr(&self) -> String {
        self.0.extra_repr()
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        self.0.multiply_adds(inputs, outputs)
    }
}

/// A weight for projections, drawn as in PyTorch.
fn projection(outputs: i64, inputs: i64) -> Result<Tensor> {
    let weight = init::parameter(&[outputs, inputs])?;
    init::xavier(&weight, 1.0, Distribution::Uniform)?;
    Ok(weight)
}

/// A learned key or value that is appended to the others.
fn appended_row(embed_dims: i64) -> Result<Tensor> {
    let row = init::parameter(&[1, 1, embed_dims])?;
    init::xavier(&row, 1.0, Distribution::Normal)?;
    Ok(row)
}

/// The mask with a column for an appended key, which is not excluded.
fn with_column(mask: Option<Tensor>) -> Result<Option<Tensor>> {
    match mask {
        Some(mask) => Ok(Some(mask.f_pad([0i64, 1], "constant", 0.0)?)),
        None => Ok(None),
    }
}

/// `[length, N, E]` as `[N heads, length, channels of one head]`.
fn split_heads(tensor: &Tensor, shape: [i64; 3]) -> Result<Tensor> {
    Ok(tensor.f_contiguous()?.f_view(shape)?.f_transpose(0, 1)?)
}

fn three(projected: Vec<Tensor>) -> Result<[Tensor; 3]> {
    <[Tensor; 3]>::try_from(projected).map_err(|_| Error::unsupported("three projections were expected"))
}

/// A mask to add to numbers of type `kind`: a boolean mask becomes minus infinity for true and 0 for false.
fn additive(mask: &Tensor, kind: Kind) -> Result<Tensor> {
    let found = mask.f_kind()?;
    if found == kind {
        return Ok(mask.shallow_clone());
    }
    if found != Kind::Bool {
        return Err(Error::input(format!("a mask of type Bool or {kind:?}"), format!("{found:?}")));
    }
    let zeros = Tensor::f_zeros(mask.size(), (kind, mask.device()))?;
    Ok(zeros.f_masked_fill_tensor(mask, &scalar_like(f64::NEG_INFINITY, &zeros)?)?)
}
