//! Stamps: what the system reported about a file when it was hashed, so that unchanged files are not hashed again.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::digest::Digest;
use crate::fs_util::{read_regular, remove_special};

/// Writes a stamp: one line with the file's identity and its whole digest. A failure is only logged.
pub(crate) fn write(stamp: &Path, metadata: &Metadata, digest: &Digest) {
    if let Err(error) = try_write(stamp, &format!("{} {digest}\n", identity(metadata))) {
        log::debug!("cannot write the stamp {}: {error}", stamp.display());
    }
}

fn try_write(stamp: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    remove_special(stamp)?;
    fs::write(stamp, text)
}

/// The identity and the digest in a stamp.
pub(crate) fn read(stamp: &Path) -> Option<(String, Digest)> {
    let text = read_regular(stamp)?;
    let (identity, digest) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    let digest: Digest = digest.parse().ok()?;
    if !digest.is_whole() {
        return None;
    }
    Some((identity.to_owned(), digest))
}

/// Length, modification time, inode, and the time of the last change of any attribute, which no program can set.
pub(crate) fn identity(metadata: &Metadata) -> String {
    format!("{}{}", content_identity(metadata), changed(metadata))
}

/// The part of [`identity`] that renaming does not change.
pub(crate) fn content_identity(metadata: &Metadata) -> String {
    let mut nanoseconds = 0;
    if let Ok(modified) = metadata.modified()
        && let Ok(since) = modified.duration_since(UNIX_EPOCH)
    {
        nanoseconds = since.as_nanos();
    }
    format!("{} {nanoseconds}{}", metadata.len(), inode(metadata))
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(" {}", metadata.ino())
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(" {}.{}", metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> String {
    String::new()
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> String {
    String::new()
}
