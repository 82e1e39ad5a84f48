//! Options of a fetch: verification, progress, time-outs and retries.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::digest::Digest;

/// Options for fetching one file. The [`Default`] verifies the digest in the file name and reports no progress.
#[derive(Clone, Default)]
pub struct FetchOptions<'a> {
    /// The file's SHA-256, for names that contain none. If the name has one too, both must match. Default: none.
    pub sha256: Option<Digest>,
    /// Accept any content if neither the name nor `sha256` provides a digest. A known digest is always checked.
    /// Default: false.
    pub no_verify: bool,
    /// Called while bytes arrive. Default: none.
    pub progress: Option<&'a dyn Fn(Progress)>,
}

impl fmt::Debug for FetchOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchOptions")
            .field("sha256", &self.sha256)
            .field("no_verify", &self.no_verify)
            .finish_non_exhaustive()
    }
}

/// The progress of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Bytes on disk, including those of an earlier, interrupted run.
    pub received: u64,
    /// Size of the whole file in bytes, if the server announces it.
    pub total: Option<u64>,
}

/// Time-outs and retries. With the defaults, every failure is reported within 60 seconds.
#[derive(Clone, Debug)]
pub struct Network {
    /// Time-out of the name look-up and of the connection. Default: 10 s.
    pub connect_timeout: Duration,
    /// Time-out without a byte, and of the response head. At least 1 kB must arrive in twice this time. Default: 30 s.
    pub idle_timeout: Duration,
    /// Attempts after the first one, for transient failures. Default: 4.
    pub retries: u32,
    /// Delay before the first retry; it doubles each time. Default: 0.5 s.
    pub first_delay: Duration,
    /// Maximum delay, even if `Retry-After` asks for more. Default: 15 s.
    pub longest_delay: Duration,
    /// No retry starts later than this after the last new byte. Default: 45 s.
    pub patience: Duration,
    /// Maximum wait for another process that fetches the same file without making progress. Default: 120 s.
    pub lock_timeout: Duration,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are used. Default: true.
    pub proxy_from_environment: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            retries: 4,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(15),
            patience: Duration::from_secs(45),
            lock_timeout: Duration::from_secs(120),
            proxy_from_environment: true,
        }
    }
}
