//! Inference rewriting: batch norm folding.
