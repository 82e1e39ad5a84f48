//! [`Inference`]: a network that computes outputs, fused or as it is.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use mmcv_fuse::{FuseOptions, Fused, StreamOptions, Streams, fuse, fuse_owned};
use mmcv_layers::{Forward, Module, Output, memory};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::allocator;
use crate::commands::quantize::read_quantization;
use crate::weights::CheckedShapes;

/// When a network is fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fuse {
    /// If there are many images of one size, or a list of them.
    Auto,
    Always,
    Never,
}

/// What computes the outputs.
pub(crate) enum Inference {
    Module(Box<dyn Module>, CheckedShapes),
    Fused(Fused),
    /// For all cores.
    Streams(Arc<Streams>),
}

/// How a network is fused.
pub(crate) struct Fusing<'a> {
    /// Whether an error is one, or leaves the network as it is.
    pub(crate) is_required: bool,
    /// A file with integers of 8 bits.
    pub(crate) quantized: Option<&'a Path>,
    /// Whether all cores work on one image each.
    pub(crate) streams: Option<StreamOptions>,
}

impl Inference {
    pub(crate) fn new(network: Box<dyn Module>) -> Self {
        Self::Module(network, CheckedShapes::default())
    }

    /// Fuses a network for inputs of a shape.
    pub(crate) fn fuse(network: Box<dyn Module>, shape: &[i64], fusing: &Fusing<'_>) -> Result<Self> {
        memory::check_forward(&*network, &[shape.to_vec()])?;
        let mut options = FuseOptions::default();
        let fused = if let Some(file) = fusing.quantized {
            options.quantization = Some(read_quantization(file)?.into());
            fuse_owned(network, shape, &options).context("--quantized")?
        } else if fusing.is_required {
            fuse_owned(network, shape, &options).context("--fuse")?
        } else {
            match fuse(&*network, shape, &options) {
                Ok(fused) => fused,
                Err(error) => {
                    log::warn!("the network was not fused: {error}");
                    return Ok(Self::new(network));
                }
            }
        };
        let fused = match &fusing.streams {
            Some(options) => Self::Streams(Arc::new(Streams::new(&fused, options)?)),
            None => Self::Fused(fused),
        };
        allocator::release_freed_memory();
        Ok(fused)
    }

    pub(crate) fn is_fused(&self) -> bool {
        !matches!(self, Self::Module(..))
    }

    pub(crate) fn call(&mut self, input: &Tensor) -> Result<mmcv_layers::Result<Output>> {
        Ok(match self {
            Self::Module(module, checked) => {
                checked.check(&**module, input)?;
                module.call(&[input], &Dict::new())
            }
            Self::Fused(fused) => fused.call(&[input], &Dict::new()),
            Self::Streams(streams) => streams.call(&[input], &Dict::new()),
        })
    }

    /// The network for several threads, if it is for several.
    pub(crate) fn streams(&self) -> Option<Arc<Streams>> {
        match self {
            Self::Streams(streams) => Some(streams.clone()),
            Self::Module(..) | Self::Fused(_) => None,
        }
    }
}

/// Streams of one thread each, so that numbers do not depend on how many there are.
pub(crate) fn stream_options(count: usize) -> StreamOptions {
    let mut options = StreamOptions::default();
    options.streams = NonZeroUsize::new(count);
    options
}
