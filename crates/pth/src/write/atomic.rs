//! Atomic replacement: a file gets its name only when it is complete. All writing in this crate goes this way.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempPath};

use crate::error::{Error, ErrorKind};
use crate::write::Progress;

/// The longest chain of symbolic links.
const MAX_LINKS: usize = 40;

/// Returns the path of the file that is created or replaced by writing to `path`: `path` itself, or the target of a symbolic
/// link.
///
/// # Errors
/// Returns an error if the destination is a pipe, device, socket or directory, which are never replaced, or if links form a
/// circle.
pub fn resolve_destination(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let path = path.as_ref();
    let (place, _) = resolve(path).map_err(|kind| Error::new(path, kind))?;
    Ok(place)
}

/// Writes a file with the callback `write`, which receives a temporary path in the same directory. The file is renamed to
/// `path` when it is complete, and removed if `write` fails. A symbolic link is kept and its target replaced. Only regular
/// files are replaced.
///
/// # Errors
/// Returns the error of `write`, an error as for [`resolve_destination`], or an error if the file cannot be written.
pub fn replace_file<T, E: From<Error>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let path = path.as_ref();
    let pending = Pending::create(path).map_err(|kind| Error::new(path, kind))?;
    let (temporary, destination) = pending.close();
    let result = write(&temporary)?;
    destination.sync_and_persist(temporary).map_err(|kind| Error::new(path, kind))?;
    Ok(result)
}

/// Writes `path` with the callback `write`, as [`replace_file`] does.
pub(super) fn write_file(
    path: &Path,
    progress: Progress<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), ErrorKind>,
) -> Result<(), ErrorKind> {
    let mut pending = Pending::create(path)?;
    let output = ProgressWriter { file: pending.file.as_file_mut(), written: 0, progress };
    let mut writer = BufWriter::with_capacity(1 << 20, output);
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    let (temporary, destination) = pending.close();
    destination.sync_and_persist(temporary)
}

/// The writer of a pending file.
pub(super) type Writer<'a> = BufWriter<ProgressWriter<'a>>;

/// A file that reports its growth.
pub(super) struct ProgressWriter<'a> {
    file: &'a mut File,
    written: u64,
    progress: Progress<'a>,
}

impl Write for ProgressWriter<'_> {
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

/// A file with a temporary name. It is removed unless it is persisted.
struct Pending {
    file: NamedTempFile,
    destination: Destination,
}

/// The final name of a pending file.
struct Destination {
    path: PathBuf,
    /// The permissions of the file that is replaced.
    permissions: Option<fs::Permissions>,
}

impl Pending {
    fn create(path: &Path) -> Result<Self, ErrorKind> {
        let (path, replaced) = resolve(path)?;
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(IoErrorKind::InvalidInput, "no file name").into());
        };
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // Like any new file, and unlike a temporary one, it may be read by others, within the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory_of(&path))?;
        let permissions = replaced.map(|metadata| metadata.permissions());
        Ok(Self { file, destination: Destination { path, permissions } })
    }

    fn close(self) -> (TempPath, Destination) {
        (self.file.into_temp_path(), self.destination)
    }
}

impl Destination {
    fn sync_and_persist(self, temporary: TempPath) -> Result<(), ErrorKind> {
        File::open(&temporary)?.sync_all()?;
        if let Some(permissions) = self.permissions {
            fs::set_permissions(&temporary, permissions)?;
        }
        temporary.persist(&self.path).map_err(|error| error.error)?;
        // Makes the new name durable, where directories can be synced. The file itself is complete in any case.
        if let Ok(directory) = File::open(directory_of(&self.path)) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Follows symbolic links at `path`. Returns the final path, and the metadata of the file there if it exists.
fn resolve(path: &Path) -> Result<(PathBuf, Option<fs::Metadata>), ErrorKind> {
    // Links in /proc may lead to pipes without a name.
    if let Ok(metadata) = fs::metadata(path)
        && !metadata.is_file()
    {
        return Err(ErrorKind::Destination { found: file_kind(&metadata) });
    }
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let metadata = match fs::symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok((place, None)),
            Err(error) => return Err(error.into()),
        };
        if metadata.is_file() {
            return Ok((place, Some(metadata)));
        }
        if !metadata.is_symlink() {
            return Err(ErrorKind::Destination { found: file_kind(&metadata) });
        }
        let target = fs::read_link(&place)?;
        place = place.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(ErrorKind::Destination { found: "a circle of links" })
}

/// The kind of a file that is not a regular file.
fn file_kind(metadata: &fs::Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let file_type = metadata.file_type();
        if file_type.is_fifo() {
            return "a named pipe";
        } else if file_type.is_socket() {
            return "a socket";
        } else if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    if metadata.is_dir() { "a folder" } else { "a special file" }
}
