//! The parts of blocks: [`ConvNorm`] and [`Shortcut`].

use std::fmt::Display;

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::drop::{DropPath, DropPathConfig};
use mmcv_layers::{Builder, Identity, Module, Parts, Result, Sequential, run_child};
use mmcv_registry::{Dict, dict};
use tch::Tensor;

/// Up to this probability the reference creates no layer that drops paths.
const LEAST_DROP_PATH_RATE: f64 = 1e-5;

/// A square kernel, padded so that only the stride makes the output smaller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    pub size: i64,
    pub in_channels: i64,
    pub out_channels: i64,
    pub stride: i64,
    pub dilation: i64,
    pub groups: i64,
}

impl Kernel {
    /// A kernel with stride, dilation and groups 1.
    pub(crate) fn new(size: i64, in_channels: i64, out_channels: i64) -> Self {
        Self { size, in_channels, out_channels, stride: 1, dilation: 1, groups: 1 }
    }

    /// Builds the convolution, without a bias.
    pub(crate) fn build(&self, builder: &Builder<'_>, conv_cfg: Option<&Dict>) -> Result<Box<dyn Module>> {
        let mut arguments = dict! {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: self.size,
            stride: self.stride,
            padding: (self.size / 2).saturating_mul(self.dilation),
            dilation: self.dilation,
            bias: false,
        };
        if self.groups != 1 {
            arguments.insert("groups", self.groups);
        }
        builder.part("conv_cfg").conv(&conv_cfg.cloned().into(), &arguments)
    }
}

/// Builds a norm; also returns its name, which ends with `postfix`.
pub(crate) fn norm(
    builder: &Builder<'_>,
    cfg: &Dict,
    channels: i64,
    postfix: impl Display,
) -> Result<(String, Box<dyn Module>)> {
    builder.key("norm_cfg").norm(&cfg.clone().into(), channels, postfix)
}

/// A convolution, its norm, and the plugins after both.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv_name: String,
    conv: Box<dyn Module>,
    norm_name: String,
    norm: Box<dyn Module>,
    pub out_channels: i64,
    pub plugins: Vec<(String, Box<dyn Module>)>,
}

impl ConvNorm {
    /// Builds the convolution `conv{number}` for a norm that is already built.
    pub(crate) fn new(
        number: usize,
        kernel: &Kernel,
        builder: &Builder<'_>,
        conv_cfg: Option<&Dict>,
        (norm_name, norm): (String, Box<dyn Module>),
    ) -> Result<Self> {
        let conv = kernel.build(builder, conv_cfg)?;
        let conv_name = format!("conv{number}");
        Ok(Self { conv_name, conv, norm_name, norm, out_channels: kernel.out_channels, plugins: Vec::new() })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = run_child(&self.conv_name, &*self.conv, input)?;
        run_child(&self.norm_name, &*self.norm, &output)
    }

    pub(crate) fn norm(&self) -> &dyn Module {
        &*self.norm
    }

    pub(crate) fn conv(&self) -> &dyn Module {
        &*self.conv
    }

    pub(crate) fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child(self.conv_name.as_str(), &*self.conv);
        parts.child(self.norm_name.as_str(), &*self.norm);
    }

    /// Runs the plugins in order.
    pub(crate) fn run_plugins(&self, mut output: Tensor) -> Result<Tensor> {
        for (name, plugin) in &self.plugins {
            output = run_child(name, &**plugin, &output)?;
        }
        Ok(output)
    }
}

/// The end of each block: the addition of the block's input, and an activation.
#[derive(Debug)]
pub(crate) struct Shortcut {
    relu: ReLU,
    downsample: Option<Sequential>,
    drop_path: Box<dyn Module>,
}

impl Shortcut {
    pub(crate) fn new(drop_path_rate: f64, downsample: Option<Sequential>) -> Self {
        let drop_path: Box<dyn Module> = if drop_path_rate > LEAST_DROP_PATH_RATE {
            Box::new(DropPath::new(&DropPathConfig { drop_prob: drop_path_rate }))
        } else {
            Box::new(Identity::default())
        };
        Self { relu: ReLU(ReLUConfig { inplace: true }), downsample, drop_path }
    }

    /// The activation, in place.
    pub(crate) fn activate(&self, output: &Tensor) -> Result<Tensor> {
        run_child("relu", &self.relu, output)
    }

    /// Drops `output` at random in training.
    pub(crate) fn drop_path(&self, output: &Tensor) -> Result<Tensor> {
        run_child("drop_path", &*self.drop_path, output)
    }

    /// Adds the block's `input` to `output`, in place, and activates it.
    pub(crate) fn add(&self, input: &Tensor, mut output: Tensor) -> Result<Tensor> {
        let _ = match &self.downsample {
            Some(downsample) => output.f_add_(&run_child("downsample", downsample, input)?)?,
            None => output.f_add_(input)?,
        };
        self.activate(&output)
    }

    pub(crate) fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("relu", &self.relu);
        if let Some(downsample) = &self.downsample {
            parts.child("downsample", downsample);
        }
        parts.child("drop_path", &*self.drop_path);
    }
}
