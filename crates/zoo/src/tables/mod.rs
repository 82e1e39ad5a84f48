//! JSON files of the cache folder and of the program: names, settings, digests, lockfiles of bundles.

pub(crate) mod expected_digest;
pub(crate) mod json;
pub(crate) mod lockfile;
pub(crate) mod mirrors;
pub(crate) mod settings;
pub(crate) mod user_files;
