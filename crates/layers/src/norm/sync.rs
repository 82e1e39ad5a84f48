//! The connection of `SyncBN` to a group of processes, and the change of layers between `BN` and `SyncBN`.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use tch::Tensor;

use super::{BatchNorm, BatchNormKind};
use crate::{Module, Parts, Result};

/// A group of processes that train one network, each on its share of a batch: `mmcv_distributed::Group` is one.
pub trait SyncGroup: Debug + Send + Sync {
    /// The number of processes.
    fn world_size(&self) -> usize;

    /// The output of a batch norm with the statistics of the input of all processes, through which gradients flow; the
    /// running statistics are updated. The input has at least two dimensions and may be empty.
    ///
    /// # Errors
    /// Returns an error if the input does not fit, all processes together have at most one value per channel, or another
    /// process fails.
    fn batch_norm(&self, input: &Tensor, norm: &SyncNorm<'_>) -> Result<Tensor>;
}

/// The state and arguments of a `SyncBN` in training.
#[derive(Debug)]
pub struct SyncNorm<'a> {
    /// `[C]`, if the layer has a weight.
    pub weight: Option<&'a Tensor>,
    /// `[C]`, if the layer has a bias.
    pub bias: Option<&'a Tensor>,
    /// `[C]`, if the layer tracks running statistics.
    pub running_mean: Option<&'a Tensor>,
    /// `[C]`, if the layer tracks running statistics.
    pub running_var: Option<&'a Tensor>,
    /// Weight of this batch in the running statistics.
    pub momentum: f64,
    /// Value added to the variance.
    pub eps: f64,
}

static GROUP: RwLock<Option<Arc<dyn SyncGroup>>> = RwLock::new(None);

/// Sets the group over which every `SyncBN` of this program computes its statistics in training; `None` for this process
/// alone, which is the default. Returns the group before.
pub fn set_sync_group(group: Option<Arc<dyn SyncGroup>>) -> Option<Arc<dyn SyncGroup>> {
    std::mem::replace(&mut *GROUP.write().unwrap_or_else(PoisonError::into_inner), group)
}

/// The group of [`set_sync_group`], if it has more than one process.
pub(super) fn group() -> Option<Arc<dyn SyncGroup>> {
    let group = GROUP.read().unwrap_or_else(PoisonError::into_inner);
    group.as_ref().filter(|group| group.world_size() > 1).cloned()
}

/// Makes every batch norm in the module, itself included, a `SyncBN` with the same tensors. Returns how many there are.
///
/// ```
/// use mmcv_layers::norm::{BatchNormConfig, convert_sync_batchnorm, revert_sync_batchnorm};
/// use mmcv_layers::{LayerConfig, Module};
///
/// let norm = BatchNormConfig::new().with_num_features(8).build()?;
/// assert_eq!(convert_sync_batchnorm(&norm), 1);
/// assert_eq!(norm.name(), "SyncBatchNorm");
/// assert_eq!(revert_sync_batchnorm(&norm), 1);
/// assert_eq!(norm.name(), "_BatchNormXd");
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
///
/// Reference: `mmengine.model.convert_sync_batchnorm`, `torch.nn.SyncBatchNorm.convert_sync_batchnorm`.
pub fn convert_sync_batchnorm(module: &dyn Module) -> usize {
    change(module, |kind| kind != BatchNormKind::Sync, BatchNormKind::Sync)
}

/// Makes every `SyncBN` in the module, itself included, a batch norm of this process alone, which takes input of any
/// dimension, with the same tensors. Returns how many there are.
///
/// Reference: `mmengine.model.revert_sync_batchnorm`.
pub fn revert_sync_batchnorm(module: &dyn Module) -> usize {
    change(module, |kind| kind == BatchNormKind::Sync, BatchNormKind::Any)
}

fn change(module: &dyn Module, changes: fn(BatchNormKind) -> bool, kind: BatchNormKind) -> usize {
    let mut count = 0;
    if let Some(norm) = module.downcast_ref::<BatchNorm>()
        && changes(norm.kind())
    {
        norm.set_kind(kind);
        count += 1;
    }
    for (_, child) in Parts::of(module).children {
        count += change(child, changes, kind);
    }
    count
}
