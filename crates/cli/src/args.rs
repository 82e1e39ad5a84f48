//! Arguments that several commands share.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use mmcv_pth::UnknownClasses;
use mmcv_zoo::{Digest, FetchOptions};
use tch::Device;

/// Changes to the config.
#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    /// Overrides config values: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub(crate) cfg_options: Vec<String>,
}

/// How a download is verified.
#[derive(Debug, Args)]
pub(crate) struct Verification {
    /// The file's SHA-256 or its first digits (at least 6, hexadecimal), for names without a digest.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Accepts any content if no digest is known.
    #[arg(long)]
    no_verify: bool,
}

impl Verification {
    pub(crate) fn options(&self) -> FetchOptions<'static> {
        FetchOptions { sha256: self.sha256.clone(), no_verify: self.no_verify, progress: None }
    }
}

/// What to do about classes that the unpickler does not know.
#[derive(Debug, Args)]
pub(crate) struct UnknownClassesOption {
    /// What to do about objects of unknown classes, such as a custom config or a whole pickled network. Nothing is
    /// imported or called in either case.
    #[arg(long, value_name = "HOW", default_value = "refuse")]
    unknown_classes: UnknownClassesChoice,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnknownClassesChoice {
    /// Refuses the file and names the class.
    Refuse,
    /// Keeps the name of the class in place of the object and reads its tensors; those of a network are named as in its
    /// state_dict().
    Opaque,
}

impl UnknownClassesOption {
    pub(crate) fn policy(&self) -> UnknownClasses {
        match self.unknown_classes {
            UnknownClassesChoice::Refuse => UnknownClasses::Refuse,
            UnknownClassesChoice::Opaque => UnknownClasses::Opaque,
        }
    }
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
