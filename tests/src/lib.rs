//! Tests of the whole workspace against the Python reference.
