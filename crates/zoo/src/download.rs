//! [`Download`], which `http` runs.

use crate::cache::entry::Entry;
use crate::cache::file_lock::Guard;
use crate::digest::Digest;
use crate::options::{Network, Progress};
use crate::source_url::SourceUrl;

/// One file on its way from a URL to its place in the cache.
pub(crate) struct Download<'a> {
    pub(crate) network: &'a Network,
    pub(crate) url: &'a SourceUrl,
    pub(crate) entry: &'a Entry,
    /// The entry's lock.
    pub(crate) guard: &'a Guard,
    pub(crate) expected: Option<&'a Digest>,
    pub(crate) progress: Option<&'a dyn Fn(Progress)>,
}
