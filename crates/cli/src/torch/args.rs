//! Arguments that several commands for networks share.

use std::str::FromStr;

use clap::Args;
use tch::{Cuda, Device};

/// Changes to the config.
#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    /// Overrides config values: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub(crate) cfg_options: Vec<String>,
}

/// A shape such as `1x3x224x224`.
#[derive(Debug, Clone)]
pub(crate) struct Shape(pub(crate) Vec<i64>);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut sizes = Vec::new();
        for size in text.split(['x', ',']) {
            match size.trim().parse::<u32>() {
                Ok(size) => sizes.push(i64::from(size)),
                Err(_) => return Err("expected sizes such as 1x3x224x224".to_owned()),
            }
        }
        Ok(Self(sizes))
    }
}

/// A device: `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceName {
    pub(crate) device: Device,
    /// Whether it is `cuda`, without a number.
    is_any: bool,
}

impl DeviceName {
    /// For one of several processes on a machine: the device with its number, if the name has none.
    pub(crate) fn use_local(&mut self, index: usize) {
        let count = usize::try_from(Cuda::device_count()).unwrap_or_default();
        // The launcher may have left one device to each process.
        if self.is_any && count > 0 {
            self.device = Device::Cuda(index % count);
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "cpu" {
            return Ok(Self { device: Device::Cpu, is_any: false });
        }
        if name == "cuda" {
            return Ok(Self { device: Device::Cuda(0), is_any: true });
        }
        // libtorch truncates an index that does not fit a byte.
        if let Some(index) = name.strip_prefix("cuda:")
            && let Ok(index) = index.parse::<u8>()
        {
            return Ok(Self { device: Device::Cuda(usize::from(index)), is_any: false });
        }
        Err("expected cpu, cuda or cuda:N".to_owned())
    }
}
