//! [`LoadOptions`]: what is loaded from a checkpoint, and how.

use mmcv_pth::UnknownClasses;
use mmcv_registry::Config;
use tch::Device;

use crate::ReviseKeys;

/// Options for loading a checkpoint.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The entry of the file that contains the state dict, such as `ema_state_dict`, or `checkpoint.net` for a nested one.
    /// Default: the first of `state_dict`, `model`, `ema` and `blobs` that contains tensors, else the whole file.
    pub entry: Option<String>,
    /// Load only tensors with this prefix, and remove it before `revise_keys`. A missing trailing dot is added. Default: all
    /// tensors.
    pub prefix: Option<String>,
    /// Renames the file's tensors. Default: removes a leading `module.`.
    pub revise_keys: ReviseKeys,
    /// The dialect of the names in the file, after `revise_keys`: one of the module's [`Module::key_mappings`]. Default: the
    /// module's own names or a dialect, without a prefix or under `backbone.`, whichever fits best.
    ///
    /// [`Module::key_mappings`]: mmcv_layers::Module::key_mappings
    pub dialect: Option<String>,
    /// Whether the file and the module must have exactly the same tensors. Otherwise, tensors that do not fit are skipped and
    /// reported; it is still an error if no parameter fits. Default: true.
    pub strict: bool,
    /// How tensors of another type than the module's are treated. Default: [`DtypePolicy::Cast`].
    pub dtype: DtypePolicy,
    /// How unknown classes in the file are treated when the file is opened for loading. Default: the file is rejected.
    pub unknown_classes: UnknownClasses,
    /// The device to move the module to before its tensors are written; the reference's `map_location`. Default: the module
    /// is not moved.
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

/// How tensors of another type than the module's are treated.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Config)]
pub enum DtypePolicy {
    /// They do not fit, and are reported as mismatched.
    Exact,
    /// They are converted to the module's type, and reported as cast; the reference converts silently.
    ///
    /// Floats are cast between all sizes. Integers and bools, such as the counters of batch norms, are cast from any type
    /// if every value is kept exactly, and a scalar may have the shape `[1]` instead of `[]`. Complex numbers are never
    /// cast to real ones.
    #[default]
    Cast,
}
