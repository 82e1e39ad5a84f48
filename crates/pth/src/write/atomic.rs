//! A file that appears under its name only when it is complete. Everything that is written goes this way.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind};
use crate::write::Progress;

static COUNTER: AtomicU64 = AtomicU64::new(0);
/// Links that lead to links.
const MAX_LINKS: usize = 40;

/// Where a file that is written to `path` comes to lie: what a link leads to, or would lead to.
///
/// # Errors
/// There is a pipe, a device, a socket or a folder, which no file replaces, or links lead in a circle.
pub fn destination(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let path = path.as_ref();
    resolve(path).map(|(place, _)| place).map_err(|kind| Error::new(path, kind))
}

/// Writes a file through `write`, which is handed another name in the same folder: what it wrote there gets the name
/// `path` when it is complete, and is removed when `write` fails. A link stays, and what it leads to is replaced. Nothing but
/// a regular file is replaced.
///
/// # Errors
/// As [`destination`], the file cannot be written, or `write` fails.
pub fn replace_file<T, E: From<Error>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let path = path.as_ref();
    let fail = |kind| E::from(Error::new(path, kind));
    let (pending, file) = Pending::beside(path).map_err(fail)?;
    drop(file);
    let made = write(&pending.temporary)?;
    let finish = || {
        File::open(&pending.temporary)?.sync_all()?;
        pending.finish()
    };
    finish().map_err(fail)?;
    Ok(made)
}

/// Writes `path` through `write`: to a temporary name in the same folder, which is synced and renamed at the end, and
/// removed on failure.
pub(super) fn write_file(
    path: &Path,
    progress: Progress<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), ErrorKind>,
) -> Result<(), ErrorKind> {
    let (pending, file) = Pending::beside(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, Watched { file, written: 0, progress });
    write(&mut writer)?;
    writer.flush()?;
    writer.get_ref().file.sync_all()?;
    pending.finish()
}

/// What a file is written through.
pub(super) type Writer<'a> = BufWriter<Watched<'a>>;

/// A file whose growth is told.
pub(super) struct Watched<'a> {
    file: File,
    written: u64,
    progress: Progress<'a>,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        if let Some(progress) = self.progress {
            progress(self.written);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file under a temporary name, which is removed where it gets no other.
struct Pending {
    temporary: PathBuf,
    place: PathBuf,
    /// Those of the file that is replaced.
    permissions: Option<fs::Permissions>,
}

impl Pending {
    fn beside(path: &Path) -> Result<(Self, File), ErrorKind> {
        let (place, replaced) = resolve(path)?;
        let (temporary, file) = create_beside(&place)?;
        Ok((Self { temporary, place, permissions: replaced.map(|metadata| metadata.permissions()) }, file))
    }

    fn finish(mut self) -> Result<(), ErrorKind> {
        if let Some(permissions) = self.permissions.take() {
            fs::set_permissions(&self.temporary, permissions)?;
        }
        fs::rename(&self.temporary, &self.place)?;
        sync_folder(&self.place);
        self.temporary.clear();
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            // The first error is the one to report.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// What links at `path` lead to, and the file that is there.
fn resolve(path: &Path) -> Result<(PathBuf, Option<fs::Metadata>), ErrorKind> {
    // Links of /proc lead to pipes without names.
    if let Ok(metadata) = fs::metadata(path)
        && !metadata.is_file()
    {
        return Err(ErrorKind::Destination { found: kind(&metadata) });
    }
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let metadata = match fs::symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok((place, None)),
            Err(error) => return Err(error.into()),
        };
        if metadata.is_symlink() {
            let target = fs::read_link(&place)?;
            place = place.parent().unwrap_or(Path::new("")).join(target);
            continue;
        }
        let found = kind(&metadata);
        return if metadata.is_file() { Ok((place, Some(metadata))) } else { Err(ErrorKind::Destination { found }) };
    }
    Err(ErrorKind::Destination { found: "a circle of links" })
}

/// What is there that is no regular file, in words.
fn kind(metadata: &fs::Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let found = metadata.file_type();
        if found.is_fifo() {
            return "a named pipe";
        } else if found.is_socket() {
            return "a socket";
        } else if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    if metadata.is_dir() { "a folder" } else { "no regular file" }
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(IoErrorKind::InvalidInput, "no file name"))?;
    loop {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        temporary.push(format!(".{}-{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // A leftover of a process that had the same number.
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes the new name durable, where folders can be synced. The file itself is complete either way.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
