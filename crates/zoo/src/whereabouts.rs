//! Where a name leads, without any request: what `mmcv zoo where` tells.

use std::path::PathBuf;

use crate::cache::{Cached, Entry};
use crate::digest::Digest;
use crate::error::Error;
use crate::resolve::Resolved;
use crate::zoo::Zoo;

/// Where a name leads, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The URL, without a password; `None` for a file of the user.
    pub url: Option<String>,
    /// The places that are asked before the URL, without passwords.
    pub mirrors: Vec<String>,
    /// What is known of the SHA-256.
    pub digest: Option<Digest>,
    /// The local file, which may be missing.
    pub file: PathBuf,
    /// Whether the local file is there and verified.
    pub cached: bool,
}

impl Zoo {
    /// Tells where a name or URL leads. Makes no request; a local file is verified.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and the local file cannot be read.
    pub fn whereabouts(&self, name: &str) -> Result<Whereabouts, Error> {
        Ok(match self.resolve(name)? {
            Resolved::Url(url) => {
                let entry = Entry::new(&self.home, &url)?;
                let cached = entry.check(entry.digest.as_ref())? == Cached::Good;
                let mirrors = self.mirrors_of(&url)?.iter().map(ToString::to_string).collect();
                Whereabouts { url: Some(url.to_string()), mirrors, digest: entry.digest, file: entry.path, cached }
            }
            Resolved::Path(file) => {
                let digest = file.file_name().and_then(|name| name.to_str()).and_then(Digest::of_file_name);
                let cached = crate::cache::check_local(&self.home, &file, digest.as_ref()).is_ok();
                Whereabouts { url: None, mirrors: Vec::new(), digest, file, cached }
            }
        })
    }
}
