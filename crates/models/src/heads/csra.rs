//! `CSRAClsHead`. Reference: mmpretrain/models/heads/multi_label_csra_head.py; Zhu and Wu, Residual Attention: A Simple but
//! Effective Method for Multi-Label Recognition (2021).

use mmcv_layers::activation::Softmax;
use mmcv_layers::{
    Builder, Error, Forward, InitCfg, Layer, Module, ModuleExt, ModuleList, Output, Parts, Registry, Result, run_child,
    scalar_like,
};
use mmcv_registry::{Config, Dict, KeyPath, config, dict};
use tch::Tensor;

use super::cls::last_input;
use crate::resnet::at_least_one;
use crate::training_part::TrainingPart;

/// The paper's temperatures for each number of heads.
const TEMPERATURES: [(i64, &[i64]); 5] = [
    (1, &[1]),
    (2, &[1, MAXIMUM]),
    (4, &[1, 2, 4, MAXIMUM]),
    (6, &[1, 2, 3, 4, 5, MAXIMUM]),
    (8, &[1, 2, 3, 4, 5, 6, 7, MAXIMUM]),
];
/// The temperature at which attention is the maximum over all pixels.
const MAXIMUM: i64 = 99;

/// Arguments of `CSRAClsHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "CSRAClsHead", layer = CSRAClsHead)]
pub struct CSRAClsHeadConfig {
    /// Number of classes.
    pub num_classes: i64,
    /// Channels of the input.
    pub in_channels: i64,
    /// Number of attentions with a temperature each: 1, 2, 4, 6 or 8.
    pub num_heads: i64,
    /// Weight of the attention beside the mean over all pixels, above 0.
    pub lam: f64,
    /// Initialization rules.
    #[config(default = config! { type: "Normal", layer: "Linear", std: 0.01 })]
    pub init_cfg: Config,
    /// Accepted for the reference's configs; the forward pass returns scores.
    #[config(default = config! { type: "CrossEntropyLoss", use_sigmoid: true })]
    pub loss: Config,
    /// Accepted for the reference's configs: the score from which a class is predicted.
    #[config(default = None)]
    pub thr: Option<f64>,
    /// Accepted for the reference's configs: the number of classes that are predicted.
    #[config(default = None)]
    pub topk: Option<i64>,
}

/// Scores for images that may have several classes: for each class the mean score over all pixels, and the score where the
/// class is seen best.
///
/// Shapes: input `[N, in_channels, H, W]`, the last stage of the backbone; output `[N, num_classes]`. State:
/// `csra_heads.*.head.weight`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::CSRAClsHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = CSRAClsHeadConfig::new(10, 64, 2, 0.1).build()?;
/// let scores = head.forward(&Tensor::zeros([2, 64, 7, 7], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [2, 10]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct CSRAClsHead {
    loss_module: Option<TrainingPart>,
    csra_heads: ModuleList,
    init_cfg: InitCfg,
}

impl Layer for CSRAClsHead {
    const NAME: &'static str = "CSRAClsHead";
    type Config = CSRAClsHeadConfig;
    type Module = Self;

    fn build(config: &CSRAClsHeadConfig, builder: &Builder<'_>) -> Result<Self> {
        let CSRAClsHeadConfig { num_classes, in_channels, num_heads, lam, .. } = *config;
        at_least_one(&KeyPath::root().key("num_classes"), num_classes)?;
        at_least_one(&KeyPath::root().key("in_channels"), in_channels)?;
        if lam.is_nan() || lam <= 0.0 {
            return Err(Error::argument("lam", lam, "expected a number above 0"));
        }
        let Some((_, temperatures)) = TEMPERATURES.iter().find(|(heads, _)| *heads == num_heads) else {
            return Err(Error::argument("num_heads", num_heads, "expected 1, 2, 4, 6 or 8"));
        };
        let mut heads = Vec::<Box<dyn Module>>::new();
        for temperature in *temperatures {
            let arguments = dict! { in_channels: in_channels, out_channels: num_classes, kernel_size: 1, bias: false };
            heads.push(Box::new(CSRAModule {
                temperature: *temperature,
                lam,
                head: builder.conv(&Config::Null, &arguments)?,
                softmax: Softmax { dim: 2 },
                init_cfg: InitCfg::default(),
            }));
        }
        let default = CSRAClsHeadConfig::new(1, 1, 1, 1.0).init_cfg;
        Ok(Self {
            loss_module: TrainingPart::loss(&config.loss)?,
            csra_heads: ModuleList::new(heads),
            init_cfg: builder.init_cfg(&config.init_cfg)?.by_default(config.init_cfg == default),
        })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for CSRAClsHead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (index, head) in self.csra_heads.iter().enumerate() {
            let scores = run_child(format!("csra_heads.{index}"), head, input)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&scores)?,
                None => scores,
            });
        }
        match sum {
            Some(sum) => Ok(sum),
            None => Err(Error::unsupported("there is no head")),
        }
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        self.forward(last_input(inputs)?).map(Output::Tensor)
    }
}

impl Module for CSRAClsHead {
    fn class(&self) -> &'static [&'static str] {
        &["CSRAClsHead", "MultiLabelClsHead"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        if let Some(loss) = &self.loss_module {
            parts.child("loss_module", loss);
        }
        parts.child("csra_heads", &self.csra_heads);
    }
}

/// One attention.
#[derive(Debug, Module)]
struct CSRAModule {
    temperature: i64,
    lam: f64,
    #[module(child)]
    head: Box<dyn Module>,
    #[module(child)]
    softmax: Softmax,
    init_cfg: InitCfg,
}

impl Forward for CSRAModule {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let scores = self.run_child(&self.head, input)?;
        let Some(conv) = self.head.as_convolution() else {
            return Err(Error::unsupported("the head is no convolution"));
        };
        let lengths = conv.effective_weight()?.f_norm_scalaropt_dim(2.0, [1], true)?.f_transpose(0, 1)?;
        let scores = scores.f_div(&lengths)?.f_flatten(2, -1)?;
        let mean = scores.f_mean_dim([2_i64].as_slice(), false, None)?;
        let attention = if self.temperature == MAXIMUM {
            scores.f_max_dim(2, false)?.0
        } else {
            let scaled = scores.f_mul(&scalar_like(self.temperature as f64, &scores)?)?;
            let weights = self.run_child(&self.softmax, &scaled)?;
            scores.f_mul(&weights)?.f_sum_dim_intlist([2_i64].as_slice(), false, None)?
        };
        Ok(mean.f_add(&attention.f_mul(&scalar_like(self.lam, &attention)?)?)?)
    }
}
