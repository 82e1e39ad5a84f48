//! `SyncBN` over the processes of a group.

use std::sync::{Arc, Weak};

use mmcv_layers::norm::{SyncGroup, SyncNorm, set_sync_group};
use tch::Tensor;

use crate::bridge::{self, NormArguments};
use crate::group::Inner;

/// The group, as mmcv-layers sees it.
#[derive(Debug)]
struct Connection {
    world_size: usize,
    group: Weak<Inner>,
}

/// Makes every `SyncBN` of this program use the group, until it is gone.
pub(crate) fn connect(group: &Arc<Inner>) {
    set_sync_group(Some(Arc::new(Connection { world_size: group.world_size, group: Arc::downgrade(group) })));
}

impl SyncGroup for Connection {
    fn world_size(&self) -> usize {
        self.world_size
    }

    fn batch_norm(&self, input: &Tensor, norm: &SyncNorm<'_>) -> mmcv_layers::Result<Tensor> {
        let Some(group) = self.group.upgrade() else {
            return Err(mmcv_layers::Error::unsupported("the group of this SyncBN is gone"));
        };
        group.enter("the forward pass of a SyncBN")?;
        let arguments = NormArguments {
            weight: &bridge::references(norm.weight),
            bias: &bridge::references(norm.bias),
            running_mean: &bridge::references(norm.running_mean),
            running_variance: &bridge::references(norm.running_var),
            momentum: norm.momentum,
            eps: norm.eps,
        };
        let output = bridge::sync_batch_norm(&group.native, input, &arguments)
            .map_err(|error| group.fail("SyncBN", error.what(), group.timeout()))?;
        group.leave();
        output.ok_or_else(|| mmcv_layers::Error::unsupported("SyncBN returned nothing"))
    }
}
