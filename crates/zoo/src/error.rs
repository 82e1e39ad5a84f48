//! The one error type of the crate: which model it is about, and what is wrong.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::source::escape;

/// What went wrong ([`ErrorKind`]), and the name, URL or file that it is about.
///
/// What may be a secret in a URL (user, password, query) appears neither in the message nor in the causes.
#[derive(Debug)]
pub struct Error {
    subject: String,
    place: Option<String>,
    kind: Box<ErrorKind>,
}

impl Error {
    pub(crate) fn new(subject: impl Into<String>, kind: ErrorKind) -> Self {
        Self { subject: subject.into(), place: None, kind: Box::new(kind) }
    }

    /// An I/O failure of `action` on `path`, the path being what the error is about.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::new(path.display().to_string(), ErrorKind::Io { action, source })
    }

    /// The same error, said of what the caller asked for; the file it was said of stays in the message.
    pub(crate) fn about(mut self, subject: &str) -> Self {
        if self.subject != subject {
            let place = std::mem::replace(&mut self.subject, subject.to_owned());
            self.place = self.place.or(Some(place).filter(|place| !place.is_empty()));
        }
        self
    }

    /// The name or URL asked for, or the file at fault; without secrets.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What is wrong, as data.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The message followed by its causes, one indented line each: what a command prints after `error: `.
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
        for part in [Some(&self.subject), self.place.as_ref()].into_iter().flatten() {
            if !part.is_empty() {
                write!(f, "{}: ", escape(part))?;
            }
        }
        // Names of files may hold anything.
        f.write_str(&escape(&self.kind.to_string()))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

/// The ways in which a model cannot be named, found, fetched or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Neither `MMCV_HOME`, `XDG_CACHE_HOME` nor a home directory is there, or `~` cannot be expanded.
    #[error("the cache folder is not known: {reason}; set MMCV_HOME to a folder")]
    NoCacheFolder {
        /// Which part is missing.
        reason: &'static str,
    },
    /// A table of names is not JSON.
    #[error("line {line}, column {column}: {reason}")]
    MalformedTable {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 at the end of a line.
        column: usize,
        /// What the parser says, without the place.
        reason: String,
    },
    /// An entry of `config.json` or of a bundle's lock file is not as it has to be.
    #[error("`{key}`: {reason}")]
    InvalidEntry {
        /// The entry.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name is in no table.
    #[error("no such model in the {table} table{}", nearest_names(.nearest))]
    UnknownName {
        /// `open-mmlab`, `torchvision` or `mmcls`.
        table: &'static str,
        /// Similar names that exist, best first.
        nearest: Vec<String>,
    },
    /// The name is deprecated, and the name that replaces it is in no table.
    #[error(
        "this deprecated name stands for `{target}`, which was never published{}; \
         an `open_mmlab.json` in the cache folder may define it", nearest_names(.nearest)
    )]
    DeprecatedTarget {
        /// The name that should have replaced it.
        target: String,
        /// Similar names that exist, best first.
        nearest: Vec<String>,
    },
    /// The table has the name, but neither a URL nor a path for it.
    #[error("the table holds {found} for this name, not a URL or a path{}", nearest_names(.nearest))]
    NoUrl {
        /// What the table has: `null`, `a number` and the like.
        found: &'static str,
        /// Similar names that exist, best first.
        nearest: Vec<String>,
    },
    /// A relative path of the table does not stay in the cache folder.
    #[error("the path `{path}` leaves the cache folder: only a relative path without `..` inside it is allowed")]
    OutsideCacheFolder {
        /// The path as the table has it.
        path: String,
    },
    /// A path of the table cannot be the name of a file.
    #[error("the path `{path}` holds a control character")]
    UnusablePath {
        /// The path as the table has it, control characters escaped.
        path: String,
    },
    /// The scheme of the URL or name is none of those that are read.
    #[error(
        "unknown scheme `{scheme}://`; known are http://, https://, open-mmlab://, openmmlab://, torchvision://, \
         modelzoo:// and mmcls://"
    )]
    UnknownScheme {
        /// The scheme without `://`.
        scheme: String,
    },
    /// The URL cannot be used.
    #[error("not a usable URL: {reason}")]
    InvalidUrl {
        /// Why.
        reason: String,
    },
    /// Nothing says which content is right.
    #[error(
        "the file name `{file_name}` carries no digest, so the download cannot be verified; give the file's SHA-256 \
         with `--sha256 HEX`, or accept any content with `--no-verify`"
    )]
    NoDigest {
        /// Last segment of the URL's path.
        file_name: String,
    },
    /// The digest that was given is not the one in the file name.
    #[error("the given digest {given} contradicts the digest {named} in the file name")]
    DigestConflict {
        /// Digest given by the caller.
        given: Digest,
        /// Digest of the file name.
        named: Digest,
    },
    /// The content is not the published one.
    #[error("wrong digest of {}: expected SHA-256 {expected}, found {found}", .file.display())]
    WrongDigest {
        /// The local file, or where it was to be.
        file: PathBuf,
        /// The digest or its prefix that was asked for.
        expected: Digest,
        /// The whole digest of the content.
        found: String,
    },
    /// A local file that a table names is not there or not a regular file.
    #[error("{} is not a regular file: {reason}", .file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
        /// What is there instead.
        reason: &'static str,
    },
    /// The file is not cached and requests are forbidden.
    #[error("not in the cache, and MMCV_OFFLINE forbids requests; expected at {}", .file.display())]
    Offline {
        /// Where the file would be.
        file: PathBuf,
    },
    /// The server answered with a status that is no success.
    #[error("the server answered {status}{}", reason_phrase(*.status))]
    Status {
        /// HTTP status code.
        status: u16,
    },
    /// A redirect was refused.
    #[error("redirect refused: {reason}")]
    Redirect {
        /// Why.
        reason: String,
    },
    /// The answer cannot be the file as published.
    #[error("the server's answer cannot be used: {reason}")]
    BadAnswer {
        /// Why.
        reason: String,
    },
    /// The connection failed or broke.
    #[error("the connection failed: {reason}")]
    Connection {
        /// What the transport says.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("time-out: {reason}")]
    TimeOut {
        /// While doing what.
        reason: String,
    },
    /// What may pass did not pass.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// Attempts made.
        attempts: u32,
        /// What the last one died of.
        source: Error,
    },
    /// Another process has the lock of the file, and makes no progress.
    #[error(
        "another process has held the lock {} for {seconds} s without progress; end it, or try again later", .lock.display()
    )]
    Busy {
        /// The lock.
        lock: PathBuf,
        /// Seconds without progress.
        seconds: u64,
    },
    /// The certificates that a variable of the environment names cannot be read.
    #[error("no certificates are found by {variable}: {reason}")]
    Certificates {
        /// `SSL_CERT_FILE` or `SSL_CERT_DIR`.
        variable: &'static str,
        /// Why.
        reason: String,
    },
    /// A proxy variable of the environment is not usable.
    #[error("the proxy in the variable {variable} is not usable")]
    Proxy {
        /// Name of the variable.
        variable: &'static str,
    },
    /// A mirror is not written as `PREFIX=MIRROR`.
    #[error(
        "`{pair}` is no mirror: write PREFIX=MIRROR, both beginning with http:// or https://; the mirror may be \
         file:///FOLDER/, too"
    )]
    InvalidMirror {
        /// The text at fault.
        pair: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action}")]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

fn nearest_names(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; nearest: {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn reason_phrase(status: u16) -> String {
    let reason = ureq::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map(|reason| format!(" {reason}")).unwrap_or_default()
}
