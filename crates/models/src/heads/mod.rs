//! Heads: the last layers of classifiers and of segmentation networks.

mod aspp;
mod cls;
mod csra;
mod decode;
mod fcn;
mod psp;

pub use aspp::{ASPPHead, ASPPHeadConfig};
pub use cls::{
    ClsHead, ClsHeadConfig, LinearClsHead, LinearClsHeadConfig, MultiLabelClsHead, MultiLabelClsHeadConfig,
    MultiLabelLinearClsHead, MultiLabelLinearClsHeadConfig,
};
pub use csra::{CSRAClsHead, CSRAClsHeadConfig};
pub use decode::{DecodeHeadOptions, InputTransform, OneOrMore};
pub use fcn::{FCNHead, FCNHeadConfig};
pub use psp::{PSPHead, PSPHeadConfig};
