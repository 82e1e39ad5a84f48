//! The CNN building blocks of MMCV for Rust: facade and the mmcv command.
