//! A file that appears under its name only when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ErrorKind;
use crate::write::Progress;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes `path` through `write`: to a temporary name in the same folder, which is synced and renamed at the end, and
/// removed on failure.
pub(super) fn write_file(
    path: &Path,
    progress: Progress<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), ErrorKind>,
) -> Result<(), ErrorKind> {
    let (temporary, file) = create_beside(path)?;
    let written = (|| {
        let mut writer = BufWriter::with_capacity(1 << 20, Watched { file, written: 0, progress });
        write(&mut writer)?;
        writer.flush()?;
        writer.get_ref().file.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(())
    })();
    match written {
        Ok(()) => sync_folder(path),
        Err(_) => {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
    }
    written
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
