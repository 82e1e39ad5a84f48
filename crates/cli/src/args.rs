//! Arguments that several commands share.

use clap::{Args, ValueEnum};
use mmcv_pth::UnknownClasses;
use mmcv_zoo::{Digest, FetchOptions};

/// How a download is verified.
#[derive(Debug, Args)]
pub struct Verification {
    /// The file's SHA-256 or its first digits (at least 6, hexadecimal), for names without a digest.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Accepts any content if no digest is known.
    #[arg(long)]
    no_verify: bool,
}

impl Verification {
    pub fn options(&self) -> FetchOptions<'static> {
        FetchOptions { sha256: self.sha256.clone(), no_verify: self.no_verify, progress: None }
    }
}

/// What to do about classes that the unpickler does not know.
#[derive(Debug, Args)]
pub struct UnknownClassesOption {
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
    pub fn policy(&self) -> UnknownClasses {
        match self.unknown_classes {
            UnknownClassesChoice::Refuse => UnknownClasses::Refuse,
            UnknownClassesChoice::Opaque => UnknownClasses::Opaque,
        }
    }
}
