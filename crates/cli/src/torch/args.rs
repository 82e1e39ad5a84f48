//! Arguments that several commands for networks share.

use std::str::FromStr;

use clap::Args;
use tch::Device;

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
pub(crate) struct DeviceName(pub(crate) Device);

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "cpu" {
            return Ok(Self(Device::Cpu));
        }
        if name == "cuda" {
            return Ok(Self(Device::Cuda(0)));
        }
        // libtorch truncates an index that does not fit a byte.
        if let Some(index) = name.strip_prefix("cuda:")
            && let Ok(index) = index.parse::<u8>()
        {
            return Ok(Self(Device::Cuda(usize::from(index))));
        }
        Err("expected cpu, cuda or cuda:N".to_owned())
    }
}
