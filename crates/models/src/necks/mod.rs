//! Necks: the layers between a backbone and a head.

mod fpn;
mod gap;
mod gem;

pub use fpn::{ExtraConvs, FPN, FPNConfig, FPNUpsampleConfig};
pub use gap::{GlobalAveragePooling, GlobalAveragePoolingConfig};
pub use gem::{GeneralizedMeanPooling, GeneralizedMeanPoolingConfig};
