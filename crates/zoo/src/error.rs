//! [`Error`]: what failed, and why.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::redact::escape;

/// Why a model could not be named, found, fetched or verified, with the name, URL or file concerned.
///
/// Neither the message nor its causes contain the parts of a URL that may be secrets: user, password and query.
#[derive(Debug)]
pub struct Error {
    context: String,
    /// The file at fault, if the context is what the caller asked for.
    file: Option<String>,
    kind: Box<ErrorKind>,
}

impl Error {
    pub(crate) fn new(context: impl Into<String>, kind: ErrorKind) -> Self {
        Self { context: context.into(), file: None, kind: Box::new(kind) }
    }

    /// An I/O failure of `action` on `path`.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::new(path.display().to_string(), ErrorKind::Io { action, source })
    }

    /// Sets the context to what the caller asked for. The previous one is kept as the file at fault.
    pub(crate) fn about(mut self, context: &str) -> Self {
        if self.context == context {
            return self;
        }
        let previous = std::mem::replace(&mut self.context, context.to_owned());
        if self.file.is_none() && !previous.is_empty() {
            self.file = Some(previous);
        }
        self
    }

    /// The requested name or URL, or the file at fault; without secrets.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The reason.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The message, followed by its causes on indented lines.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n  caused by: {}", escape(&error.to_string())));
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.context.is_empty() {
            write!(f, "{}: ", escape(&self.context))?;
        }
        if let Some(file) = &self.file {
            write!(f, "{}: ", escape(file))?;
        }
        // The names of files may contain anything.
        f.write_str(&escape(&self.kind.to_string()))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

/// The reason of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `MMCV_HOME`, `XDG_CACHE_HOME` and the home directory are all missing, or `~` cannot be expanded.
    #[error("the cache folder is unknown: {reason}; set MMCV_HOME to a folder")]
    NoCacheFolder {
        /// What is missing.
        reason: &'static str,
    },
    /// A JSON file is malformed.
    #[error("line {line}, column {column}: {reason}")]
    MalformedTable {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 at the end of a line.
        column: usize,
        /// The parser's message, without the position.
        reason: String,
    },
    /// An entry of `config.json` or of a lockfile is invalid.
    #[error("`{key}`: {reason}")]
    InvalidEntry {
        /// The entry.
        key: String,
        /// The problem.
        reason: String,
    },
    /// The name is in no table.
    #[error("no such model in the {table} table{}", nearest_names(.nearest))]
    UnknownName {
        /// The scheme of the table, such as `torchvision`.
        table: &'static str,
        /// Similar names that exist, best match first.
        nearest: Vec<String>,
    },
    /// The name is deprecated, and its replacement is in no table.
    #[error(
        "this name is deprecated in favor of `{target}`, which was never published{}; \
         an `open_mmlab.json` in the cache folder may define it", nearest_names(.nearest)
    )]
    DeprecatedTarget {
        /// The replacement.
        target: String,
        /// Similar names that exist, best match first.
        nearest: Vec<String>,
    },
    /// The table has neither a URL nor a path for the name.
    #[error("the table has {found} for this name instead of a URL or path{}", nearest_names(.nearest))]
    NoUrl {
        /// The value in the table: `null`, `a number` and so on.
        found: &'static str,
        /// Similar names that exist, best match first.
        nearest: Vec<String>,
    },
    /// A path in the table leads out of the cache folder.
    #[error("the path `{path}` leaves the cache folder: only relative paths without `..` are allowed")]
    OutsideCacheFolder {
        /// The path in the table.
        path: String,
    },
    /// A path in the table cannot be used.
    #[error("the path `{path}` contains a control character")]
    UnusablePath {
        /// The path in the table, escaped.
        path: String,
    },
    /// The scheme of the URL or name is unknown.
    #[error("unknown scheme `{scheme}://`; known are {}", list(.known))]
    UnknownScheme {
        /// The scheme, without `://`.
        scheme: String,
        /// The known schemes, without `://`.
        known: Vec<String>,
    },
    /// A scheme cannot be added.
    #[error("cannot add the scheme `{scheme}`: {reason}")]
    InvalidScheme {
        /// The scheme, without `://`.
        scheme: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The URL cannot be used.
    #[error("not a usable URL: {reason}")]
    InvalidUrl {
        /// The reason.
        reason: String,
    },
    /// Neither the name, nor a table, nor the caller provides a digest.
    #[error("the file name `{file_name}` contains no digest, so the file cannot be verified")]
    NoDigest {
        /// The last segment of the URL's path.
        file_name: String,
    },
    /// The digest from the caller contradicts the one in the file name.
    #[error("the digest {requested} contradicts the digest {named} in the file name")]
    DigestConflict {
        /// The digest from the caller.
        requested: Digest,
        /// The digest in the file name.
        named: Digest,
    },
    /// The content differs from the published file.
    #[error("wrong digest of {}: expected SHA-256 {expected}, found {found}", .file.display())]
    WrongDigest {
        /// The local path of the file.
        file: PathBuf,
        /// The expected digest or prefix.
        expected: Digest,
        /// The whole digest of the content.
        found: Digest,
    },
    /// A local file is missing or not a regular file.
    #[error("{} is not a regular file: {reason}", .file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
        /// What is there instead.
        reason: &'static str,
    },
    /// The file is not cached, and requests are forbidden.
    #[error("not in the cache, and MMCV_OFFLINE forbids requests; expected at {}", .file.display())]
    Offline {
        /// The local path of the file.
        file: PathBuf,
    },
    /// The file is not cached, and the program cannot make requests.
    #[error(
        "not in the cache, and this program is built without downloads (the feature `network` of mmcv-zoo); expected at {}",
        .file.display()
    )]
    NoNetwork {
        /// The local path of the file.
        file: PathBuf,
    },
    /// The server returned an error status.
    #[error("the server returned {status}{}", reason_phrase(*.status))]
    Status {
        /// The HTTP status code.
        status: u16,
    },
    /// A redirect was refused.
    #[error("redirect refused: {reason}")]
    Redirect {
        /// The reason.
        reason: String,
    },
    /// The response cannot be the published file.
    #[error("unusable response: {reason}")]
    BadResponse {
        /// The reason.
        reason: String,
    },
    /// The connection failed or broke.
    #[error("the connection failed: {reason}")]
    Connection {
        /// The message of the transport.
        reason: String,
    },
    /// No data arrived for too long.
    #[error("time-out: {reason}")]
    TimeOut {
        /// What timed out.
        reason: String,
    },
    /// A transient failure persisted.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// The number of attempts.
        attempts: u32,
        /// The last failure.
        source: Error,
    },
    /// Another process holds the lock of the file and makes no progress.
    #[error(
        "another process has held the lock {} for {seconds} s without progress; stop it or try again later", .lock.display()
    )]
    Busy {
        /// The lock.
        lock: PathBuf,
        /// Seconds without progress.
        seconds: u64,
    },
    /// The certificates named by an environment variable cannot be read.
    #[error("no certificates found through {variable}: {reason}")]
    Certificates {
        /// `SSL_CERT_FILE` or `SSL_CERT_DIR`.
        variable: &'static str,
        /// The reason.
        reason: String,
    },
    /// The proxy in an environment variable is invalid.
    #[error("the proxy in the variable {variable} is invalid")]
    Proxy {
        /// The name of the variable.
        variable: &'static str,
    },
    /// A mirror does not have the form `PREFIX=MIRROR`.
    #[error(
        "`{pair}` is no mirror: expected PREFIX=MIRROR, both starting with http:// or https://; the mirror may also be \
         file:///FOLDER/"
    )]
    InvalidMirror {
        /// The invalid text.
        pair: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action}")]
    Io {
        /// The failed action, such as `write`.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

fn nearest_names(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("; nearest: {}", names.join(", "))
}

/// `http://, https:// and mmcls://`.
fn list(schemes: &[String]) -> String {
    let mut text = String::new();
    for (index, scheme) in schemes.iter().enumerate() {
        let separator = match index {
            0 => "",
            _ if index + 1 == schemes.len() => " and ",
            _ => ", ",
        };
        text.push_str(&format!("{separator}{scheme}://"));
    }
    text
}

fn reason_phrase(status: u16) -> String {
    #[cfg(feature = "network")]
    if let Ok(status) = ureq::http::StatusCode::from_u16(status)
        && let Some(reason) = status.canonical_reason()
    {
        return format!(" {reason}");
    }
    String::new()
}
