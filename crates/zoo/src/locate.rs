//! Where a name leads, without any request.

use std::path::PathBuf;

use serde::Serialize;

use crate::cache::entry::Cached;
use crate::digest::Digest;
use crate::error::Error;
use crate::fs_util::serialize_path;
use crate::resolve::Resolved;
use crate::zoo::Zoo;

/// Where a name leads, and whether the file is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The URL, without secrets; `None` for a file of the user.
    pub url: Option<String>,
    /// The mirrors that are tried before the URL, without secrets.
    pub mirrors: Vec<String>,
    /// The known digest or its prefix.
    pub digest: Option<Digest>,
    /// The local file, which may be missing. Serialized as `path`.
    #[serde(rename = "path", serialize_with = "serialize_path")]
    pub file: PathBuf,
    /// Whether the local file exists and is verified.
    pub cached: bool,
}

impl Zoo {
    /// Returns where a name or URL leads. Makes no request; an existing local file is verified.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`resolve`](Self::resolve), and if the local file cannot be read.
    pub fn locate(&self, source: &str) -> Result<Location, Error> {
        match self.resolve(source)? {
            Resolved::Url(url) => {
                let entry = self.entry(&url)?;
                Ok(Location {
                    url: Some(url.to_string()),
                    mirrors: self.mirrors_of(&url)?.iter().map(ToString::to_string).collect(),
                    cached: entry.check(entry.digest.as_ref())? == Cached::Good,
                    digest: entry.digest,
                    file: entry.path,
                })
            }
            Resolved::Path(file) => {
                let entry = self.user_entry(&file);
                let cached = entry.check_user_file().is_ok();
                Ok(Location { url: None, mirrors: Vec::new(), digest: entry.digest, file, cached })
            }
        }
    }
}
