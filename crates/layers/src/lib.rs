//! Configurable neural network layers on libtorch, with MMCV's names, defaults and initial values.
