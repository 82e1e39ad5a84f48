//! Config values, typed decoding with key paths, and the registry of mmcv-rs.
