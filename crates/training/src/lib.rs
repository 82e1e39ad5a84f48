//! What training needs and tch lacks.
//!
//! - [`Autocast`] computes convolutions and linear layers in half precision, on the CPU too.
//! - [`Sgd`] and [`AdamW`] are PyTorch's optimizers in their fused form: one pass over the memory of each parameter. Their states can
//!   be read and written, so that a training resumes where it stopped.
//! - [`clip_grad_norm`] limits gradients.
//!
//! ```no_run
//! use mmcv_layers::{Forward, ModuleExt};
//! use mmcv_registry::{config, dict};
//! use mmcv_training::{Autocast, Sgd, SgdOptions};
//! use tch::{Device, Kind, Tensor};
//!
//! let network = mmcv_layers::build_conv_layer(&config! { type: "Conv2d" }, &dict! { in_channels: 3, out_channels: 8, kernel_size: 3 })?;
//! network.to_channels_last()?;
//! let mut optimizer = Sgd::new(network.named_parameters(), SgdOptions { lr: 0.1, momentum: 0.9, ..SgdOptions::default() })?;
//! let autocast = Autocast::new(Device::Cpu, Kind::BFloat16)?;
//! let images = mmcv_layers::channels_last(&Tensor::randn([8, 3, 32, 32], tch::kind::FLOAT_CPU))?;
//! for _ in 0..10 {
//!     optimizer.zero_grad()?;
//!     let output = autocast.run(|| network.forward(&images))??;
//!     output.f_to_kind(Kind::Float)?.f_square()?.f_mean(Kind::Float)?.f_backward()?;
//!     optimizer.step()?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod autocast;
mod bridge;
mod error;
mod gradients;
mod optimizer;

pub use autocast::Autocast;
pub use error::{Error, Result};
pub use gradients::clip_grad_norm;
pub use optimizer::{AdamW, AdamWOptions, Optimizer, Rule, Sgd, SgdOptions};
