//! The lock that keeps other processes from a file of the cache, and what to do where locks keep nobody out.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::cache::{Entry, is_named, make_way};
use crate::error::{Error, ErrorKind};
use crate::options::Network;
use crate::partial;

/// How often a lock is tried that another process has.
const POLL: Duration = Duration::from_millis(50);
/// After so long it is told that another process is waited for.
const SILENCE: Duration = Duration::from_secs(3);

/// The lock of a file of the cache. It is freed by dropping it, and by the system when the process dies.
///
/// Some file systems have no locks (`ENOLCK`, `EOPNOTSUPP`), and on some a lock is had by everybody who asks, or holds for one
/// machine only. Nothing that must not happen depends on it: it saves work.
pub(crate) struct Guard {
    /// `None` where there are no locks.
    _file: Option<File>,
    /// Whether a second taker is refused, as far as one process can know.
    pub(crate) excludes: bool,
}

impl Guard {
    /// For where there are no locks.
    pub(crate) fn none() -> Self {
        Self { _file: None, excludes: false }
    }

    /// For what nobody works on.
    pub(crate) fn unneeded() -> Self {
        Self { _file: None, excludes: true }
    }

    /// The lock `file` at `path`, which was taken.
    pub(crate) fn held(file: File, path: &Path) -> Self {
        Self { _file: Some(file), excludes: is_refused(path) }
    }
}

impl Entry {
    /// Makes the folders and waits until no other process works on this file.
    pub(crate) fn lock(&self, network: &Network) -> Result<Guard, Error> {
        for folder in [self.path.parent(), self.state_file("lock").parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        }
        let path = self.state_file("lock");
        loop {
            let file = open(&path)?;
            if !self.wait(&file, &path, network)? {
                return Ok(Guard::none());
            }
            // `prune` may have deleted the file before the lock was had; the next holder would then make another.
            if is_named(&file, &path).map_err(|error| Error::io("read the lock", &path, error))? {
                return Ok(Guard::held(file, &path));
            }
        }
    }

    /// Takes the lock of the open `file`; false where there are no locks. Ends where the other process, or those that come
    /// after it, have not got on for too long.
    fn wait(&self, file: &File, path: &Path, network: &Network) -> Result<bool, Error> {
        let start = Instant::now();
        let (mut seen, mut since, mut told) = (partial::sizes(self), start, false);
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
            if !told && start.elapsed() >= SILENCE {
                log::warn!(
                    "waiting for another process that fetches {} (it has {})",
                    self.path.display(),
                    path.display()
                );
                told = true;
            }
            let now = partial::sizes(self);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() >= network.lock_timeout {
                let kind = ErrorKind::Busy { lock: path.to_owned(), seconds: since.elapsed().as_secs() };
                return Err(Error::new(self.path.display().to_string(), kind));
            }
            thread::sleep(POLL);
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    make_way(path).map_err(|error| Error::io("open the lock", path, error))?;
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.map_err(|error| Error::io("open the lock", path, error))
}

/// Whether the lock, which is held, is refused to one who takes it again.
fn is_refused(path: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(path) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// What this run of the system is called: processes of another one do not see the locks of this one for sure.
pub(crate) fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    crate::digest::of_text(boot.trim())[..12].to_owned()
}

/// How long ago a file was written, by the clock of its file system: that of a file which was written right now.
pub(crate) fn age(file: &Path, now: SystemTime) -> Option<Duration> {
    let written = fs::symlink_metadata(file).ok()?.modified().ok()?;
    Some(now.duration_since(written).unwrap_or_default())
}
