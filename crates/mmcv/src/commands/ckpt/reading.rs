//! How the files of `mmcv ckpt` are read.

use clap::{Args, ValueEnum};
use mmcv_pth::{OpenOptions, UnknownClasses};

/// What happens to classes that are on no list.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// What happens to objects of classes that are on no list, such as a config of one's own, or a whole network that was
    /// pickled. Nothing is imported or called either way.
    #[arg(long, value_name = "HOW", default_value = "refuse")]
    unknown_classes: Unknown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unknown {
    /// The file is refused, with the name of the class.
    Refuse,
    /// The name of the class stands in the object's place; the tensors in it are read, a network's as of its state_dict().
    Opaque,
}

impl Reading {
    pub(super) fn options(&self) -> OpenOptions {
        OpenOptions::new().unknown_classes(match self.unknown_classes {
            Unknown::Refuse => UnknownClasses::Refuse,
            Unknown::Opaque => UnknownClasses::Opaque,
        })
    }
}
