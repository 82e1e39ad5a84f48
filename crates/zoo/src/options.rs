//! What a caller may choose: how a file is verified, how progress is told, how patient the network code is.

use std::time::Duration;

use crate::digest::Digest;

/// How one file is fetched; [`Default`] verifies by the digest in the file name and tells no progress.
#[derive(Clone, Default)]
pub struct FetchOptions<'a> {
    /// The file's SHA-256, for names that carry none; where the name has one too, both must hold. Default: none.
    pub sha256: Option<Digest>,
    /// Accept any content where neither the name nor `sha256` tells the digest. A digest that is known is checked all
    /// the same. Default: false.
    pub no_verify: bool,
    /// Is called while bytes arrive. Default: none.
    pub progress: Option<&'a dyn Fn(Progress)>,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are on the disk, those of an earlier, interrupted run included.
    pub received: u64,
    /// Size of the whole file in bytes, where the server tells it.
    pub total: Option<u64>,
}

/// How patient the network code is. The defaults keep every failure under 60 seconds.
#[derive(Clone, Debug)]
pub struct Network {
    /// Longest time for a name look-up and for a connection. Default: 10 s.
    pub connect_timeout: Duration,
    /// Longest time without a byte, and for the head of an answer; in twice this time at least 1 kB has to come. Default:
    /// 30 s.
    pub idle_timeout: Duration,
    /// Attempts after the first one, for failures that may pass. Default: 4.
    pub retries: u32,
    /// Wait before the first retry; doubles each time. Default: 0.5 s.
    pub first_delay: Duration,
    /// Longest wait, also where `Retry-After` asks for more. Default: 15 s.
    pub longest_delay: Duration,
    /// No retry begins when the last new byte is so long ago. Default: 45 s.
    pub patience: Duration,
    /// Longest wait for another process that fetches the same file and makes no progress. Default: 120 s.
    pub lock_timeout: Duration,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are obeyed. Default: true.
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
