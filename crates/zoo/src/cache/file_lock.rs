//! The lock that excludes other processes from a file of the cache.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::entry::Entry;
use crate::cache::leftovers;
use crate::error::{Error, ErrorKind};
use crate::fs_util::{is_at, remove_special};
use crate::options::Network;

/// Delay between attempts to take a lock.
const POLL: Duration = Duration::from_millis(50);
/// After this long, a warning says that another process holds the lock.
const SILENCE: Duration = Duration::from_secs(3);

/// The lock of a file of the cache. Dropping it frees it, and so does the end of the process.
///
/// Some file systems have no locks (`ENOLCK`, `EOPNOTSUPP`); on others everybody gets a lock, or locks hold for one
/// machine only. Correctness never depends on the lock: it saves work.
pub(crate) struct Guard {
    /// `None` without locks.
    _file: Option<File>,
    /// Whether a second process is refused, as far as one process can know.
    pub(crate) excludes: bool,
}

impl Guard {
    /// For file systems without locks.
    pub(crate) fn none() -> Self {
        Self { _file: None, excludes: false }
    }

    fn held(file: File, path: &Path) -> Self {
        Self { _file: Some(file), excludes: is_refused(path) }
    }
}

impl Entry {
    /// Creates the folders and waits until no other process works on this file.
    pub(crate) fn lock(&self, network: &Network) -> Result<Guard, Error> {
        let path = self.state_file("lock");
        for folder in [self.path.parent(), path.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        }
        loop {
            let file = open(&path).map_err(|error| Error::io("open the lock", &path, error))?;
            if !self.wait(&file, &path, network)? {
                return Ok(Guard::none());
            }
            // `prune` may have deleted the file before it was locked; the next process would then create another.
            if is_at(&file, &path).map_err(|error| Error::io("read the lock", &path, error))? {
                return Ok(Guard::held(file, &path));
            }
        }
    }

    /// Takes the lock if it is free; `None` if another process holds it.
    pub(crate) fn try_lock(&self) -> Result<Option<Guard>, Error> {
        let path = self.state_file("lock");
        self.try_lock_at(&path).map_err(|error| Error::io("open the lock", &path, error))
    }

    fn try_lock_at(&self, path: &Path) -> io::Result<Option<Guard>> {
        remove_special(path)?;
        let file = match File::options().write(true).open(path) {
            Ok(file) => file,
            // A process that works on the file would have created it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Guard { _file: None, excludes: true }));
            }
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, path)? => Ok(Some(Guard::held(file, path))),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(_)) => Ok(Some(Guard::none())),
        }
    }

    /// Takes the lock of the open `file`; false if there are no locks.
    ///
    /// Returns an error if the other process, or those after it, make no progress for too long.
    fn wait(&self, file: &File, path: &Path, network: &Network) -> Result<bool, Error> {
        let start = Instant::now();
        let mut has_warned = false;
        let mut sizes = leftovers::sizes(self);
        let mut last_progress = start;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(true),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => {
                    log::info!("there are no locks at {}: {error}", path.display());
                    return Ok(false);
                }
            }
            if !has_warned && start.elapsed() >= SILENCE {
                let file = self.path.display();
                log::warn!("waiting for another process that fetches {file} (it holds {})", path.display());
                has_warned = true;
            }
            let now = leftovers::sizes(self);
            if now != sizes {
                sizes = now;
                last_progress = Instant::now();
            }
            if last_progress.elapsed() >= network.lock_timeout {
                let kind = ErrorKind::Busy { lock: path.to_owned(), seconds: last_progress.elapsed().as_secs() };
                return Err(Error::new(self.path.display().to_string(), kind));
            }
            thread::sleep(POLL);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    remove_special(path)?;
    File::options().create(true).truncate(false).write(true).open(path)
}

/// Whether the lock, which is held, is refused to a second taker.
fn is_refused(path: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(path) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}
