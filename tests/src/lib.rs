//! Tests of the whole workspace against the Python reference.

pub mod parity;

use anyhow::{Result, bail};
use tch::Device;

/// Compiles the examples of the pages in `docs`.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../docs/adding-a-layer.md")]
    struct AddingALayer;
    #[doc = include_str!("../../docs/adding-a-network.md")]
    struct AddingANetwork;
    #[doc = include_str!("../../docs/checkpoints.md")]
    struct Checkpoints;
    #[doc = include_str!("../../docs/config.md")]
    struct Config;
    #[doc = include_str!("../../docs/distributed.md")]
    struct Distributed;
    #[doc = include_str!("../../docs/performance.md")]
    struct Performance;
    #[doc = include_str!("../../README.zh-CN.md")]
    struct Readme;
}

/// The device on which the tests run: `MMCV_TEST_DEVICE`, such as `cuda:0`; the CPU where it is not set.
///
/// # Errors
/// Where the variable is neither `cpu` nor `cuda:N`.
pub fn device() -> Result<Device> {
    match std::env::var("MMCV_TEST_DEVICE").as_deref() {
        Err(_) | Ok("" | "cpu") => Ok(Device::Cpu),
        Ok(name) => match name.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => Ok(Device::Cuda(index)),
            None => bail!("MMCV_TEST_DEVICE is {name:?}; expected cpu or cuda:0"),
        },
    }
}
