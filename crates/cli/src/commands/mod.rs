//! The subcommands that need no libtorch, one file each.

pub mod ckpt;
pub mod config;
pub mod launch;
pub mod merge;
pub mod zoo;
