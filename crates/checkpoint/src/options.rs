//! [`LoadOptions`]: what is taken from a checkpoint, and how.

use mmcv_pth::UnknownClasses;
use mmcv_registry::Config;
use tch::Device;

use crate::ReviseKeys;

/// How a checkpoint is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The entry of the file that holds the state dict, such as `ema_state_dict`, or `checkpoint.net` for one inside another.
    /// Default: the first of `state_dict`, `model`, `ema` and `blobs` that holds tensors, else the whole file.
    pub entry: Option<String>,
    /// Only the tensors whose names begin with this are taken, and it is removed, before `revise_keys`. A dot at its end
    /// is added where it is missing. Default: all.
    pub prefix: Option<String>,
    /// Renaming of the file's tensors. Default: a leading `module.` is removed.
    pub revise_keys: ReviseKeys,
    /// The names that the file has, after `revise_keys`: one of the module's [`Module::key_mappings`]. Default: our own or a
    /// dialect, each as it is or under `backbone.`, whichever fits best.
    ///
    /// [`Module::key_mappings`]: mmcv_layers::Module::key_mappings
    pub dialect: Option<String>,
    /// Whether every tensor of the module has to be in the file and the other way round. Where not, what does not fit is
    /// left out and reported; that no parameter fits is an error all the same. Default: true.
    pub strict: bool,
    /// What happens to a tensor whose type is not the module's. Default: [`DtypePolicy::Cast`].
    pub dtype: DtypePolicy,
    /// What happens to a class that the file names and that is on no list, where the file is opened for loading. Default: the
    /// file is refused.
    pub unknown_classes: UnknownClasses,
    /// Where the module is moved before its tensors are written; the reference's `map_location`. Default: it stays where
    /// it is, and tensors of any device are loaded into it.
    pub device: Option<Device>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            entry: None,
            prefix: None,
            revise_keys: ReviseKeys::default(),
            dialect: None,
            strict: true,
            dtype: DtypePolicy::default(),
            unknown_classes: UnknownClasses::default(),
            device: None,
        }
    }
}

/// What happens to a tensor whose type is not the module's.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum DtypePolicy {
    /// It does not fit, and is reported as mismatched.
    Exact,
    /// It is converted to the module's type, and reported as cast; the reference converts without a word.
    ///
    /// Floats become floats of any size. What the module holds as integers or bools, such as the counters of batch norms,
    /// comes from any type as long as its value stays exactly the same, and a single number may have the shape `[1]` in
    /// place of `[]`. A complex number never becomes a real one.
    #[default]
    Cast,
}
