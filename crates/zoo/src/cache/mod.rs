//! The cache folder: where files are, whether they are good, and how they get there.

pub(crate) mod cache_dir;
pub(crate) mod entry;
pub(crate) mod file_lock;
pub(crate) mod leftovers;
pub(crate) mod partial;
pub(crate) mod stamp;
