//! ConvModule and the other bundles of MMCV.
