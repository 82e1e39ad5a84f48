//! The download of one file: attempts, resumption, and checks of the response.

use std::io::Read;
use std::thread;
use std::time::Instant;

use ureq::Body;
use ureq::http::{HeaderMap, Response, header};

use crate::cache::partial::Partial;
use crate::digest::BUFFER;
use crate::download::Download;
use crate::error::{Error, ErrorKind};
use crate::http::backoff::Backoff;
use crate::http::request::{self, Failure, text};
use crate::options::Progress;

/// The maximum number of bytes from a server that does not announce a length.
const MAX_UNANNOUNCED: u64 = 4 << 30;

/// A server that sends fewer bytes in twice the idle time-out counts as stalled.
const MIN_BYTES: u64 = 1024;

impl Download<'_> {
    /// Downloads, verifies and names the file. If the digest of a resumed download is wrong, it is repeated once from
    /// the start.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let mut backoff = Backoff::new(self.network);
        let (partial, is_resumed) = self.receive_all(&mut backoff)?;
        match partial.finish(self.expected) {
            Err(error) if is_resumed && matches!(error.kind(), ErrorKind::WrongDigest { .. }) => {
                log::warn!("{}: the resumed download has a wrong digest, starting again", self.url);
                let (partial, _) = self.receive_all(&mut backoff)?;
                partial.finish(self.expected)
            }
            result => result,
        }
    }

    /// Makes attempts until all bytes have arrived. Also returns whether they are from several responses.
    fn receive_all(&self, backoff: &mut Backoff<'_>) -> Result<(Partial<'_>, bool), Error> {
        let mut partial = Partial::open(self.entry, self.guard, &self.url.identity())?;
        if partial.length() > 0 && self.expected.is_none() && partial.validator().is_none() {
            partial.restart(None)?;
        }
        match self.attempts(&mut partial, backoff) {
            Ok(is_resumed) => Ok((partial, is_resumed)),
            Err(error) => {
                // A partial file must not fill the disk forever.
                if partial.length() == 0 || is_disk_full(&error) {
                    partial.discard();
                }
                Err(error)
            }
        }
    }

    fn attempts(&self, partial: &mut Partial<'_>, backoff: &mut Backoff<'_>) -> Result<bool, Error> {
        backoff.note(partial.length());
        loop {
            let (error, requested) = match self.attempt(partial, backoff.deadline()) {
                Ok(is_resumed) => return Ok(is_resumed),
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Transient(error, requested)) => (error, requested.unwrap_or_default()),
            };
            backoff.note(partial.length());
            let Some(delay) = backoff.next(requested) else {
                return Err(Error::new("", ErrorKind::GaveUp { attempts: backoff.attempts, source: error }));
            };
            log::info!("{}: {error}; retrying", self.url);
            thread::sleep(delay);
        }
    }

    /// Makes one request and appends its body if the server resumes the file. Returns whether it did.
    fn attempt(&self, partial: &mut Partial<'_>, deadline: Instant) -> Result<bool, Failure> {
        let response = self.request(partial, deadline)?;
        let headers = response.headers();
        check_encoding(headers)?;
        let mut total = body_length(headers)?;
        if response.status() == 206 {
            total = resumed_total(headers, partial.length());
            if total.is_none() {
                partial.restart(None)?;
                return Err(Failure::Transient(bad_response("it is not the requested range"), None));
            }
        } else {
            partial.restart(validator(headers))?;
        }
        if total.is_none() && self.expected.is_none() && !is_chunked(headers) {
            return Err(
                bad_response("it has no length, and without a digest a truncated file would go unnoticed").into()
            );
        }
        let is_resumed = partial.length() > 0;
        self.receive(response, partial, total)?;
        Ok(is_resumed)
    }

    fn request(&self, partial: &mut Partial<'_>, deadline: Instant) -> Result<Response<Body>, Failure> {
        match request::get(self.network, self.url, partial, deadline) {
            // The server has no such range: the bytes on disk are of another file, or more than all of it.
            Err(Failure::Permanent(error))
                if partial.length() > 0 && matches!(error.kind(), ErrorKind::Status { status: 416 }) =>
            {
                partial.restart(None)?;
                request::get(self.network, self.url, partial, deadline)
            }
            result => result,
        }
    }

    fn receive(&self, response: Response<Body>, partial: &mut Partial<'_>, total: Option<u64>) -> Result<(), Failure> {
        let limit = total.unwrap_or(MAX_UNANNOUNCED);
        let mut reader = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER];
        self.report(partial, total);
        let mut window = Instant::now();
        let mut length_before = partial.length();
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(request::read_failure(error)),
            };
            if partial.length() + count as u64 > limit {
                partial.restart(None)?;
                return Err(bad_response(&format!("it has more than {limit} bytes")).into());
            }
            partial.append(&buffer[..count])?;
            self.report(partial, total);
            if window.elapsed() >= 2 * self.network.idle_timeout {
                let received = partial.length() - length_before;
                if received < MIN_BYTES {
                    let reason = format!("only {received} bytes arrived in {:.0?}", window.elapsed());
                    return Err(Error::new("", ErrorKind::TimeOut { reason }).into());
                }
                window = Instant::now();
                length_before = partial.length();
            }
        }
        match total {
            Some(total) if partial.length() < total => {
                let reason = format!("only {} of {total} bytes arrived", partial.length());
                Err(Failure::Transient(Error::new("", ErrorKind::Connection { reason }), None))
            }
            _ => Ok(()),
        }
    }

    fn report(&self, partial: &Partial<'_>, total: Option<u64>) {
        if let Some(progress) = self.progress {
            progress(Progress { received: partial.length(), total });
        }
    }
}

/// An encoded body is not the file, and its length is not the file's.
fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    match encoding.to_str().unwrap_or("unknown") {
        "" | "identity" => Ok(()),
        encoding => Err(bad_response(&format!("its body is encoded ({encoding}), which was not requested"))),
    }
}

/// The value of `Content-Length`. Chunks have their own lengths and take precedence.
fn body_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    if is_chunked(headers) || !headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(None);
    }
    if let Some(text) = text(headers, header::CONTENT_LENGTH)
        && let Ok(length) = text.parse()
    {
        return Ok(Some(length));
    }
    Err(bad_response("its `Content-Length` is not a number"))
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.get(header::TRANSFER_ENCODING).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// The total of `Content-Range: bytes FIRST-LAST/TOTAL` if the range is everything after `start` bytes.
fn resumed_total(headers: &HeaderMap, start: u64) -> Option<u64> {
    let text = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last: u64 = last.parse().ok()?;
    let total: u64 = total.parse().ok()?;
    if start == 0 || first != start || last.checked_add(1) != Some(total) {
        return None;
    }
    Some(total)
}

/// The value for `If-Range`: a strong `ETag`, else `Last-Modified`.
fn validator(headers: &HeaderMap) -> Option<String> {
    match text(headers, header::ETAG) {
        Some(tag) if tag.starts_with('"') => Some(tag.to_owned()),
        _ => text(headers, header::LAST_MODIFIED).map(str::to_owned),
    }
}

fn is_disk_full(error: &Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        ErrorKind::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge),
        _ => false,
    }
}

fn bad_response(reason: &str) -> Error {
    Error::new("", ErrorKind::BadResponse { reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderName;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_requested_range_is_appended() {
        for (text, expected) in [
            ("bytes 3-9/10", Some(10)),
            ("bytes 0-9/10", None),
            ("bytes 3-8/10", None),
            ("bytes 3-9/*", None),
            ("bytes 3-18446744073709551615/0", None),
            ("items 3-9/10", None),
            ("", None),
        ] {
            assert_eq!(resumed_total(&headers(&[(header::CONTENT_RANGE, text)]), 3), expected, "{text}");
        }
        assert_eq!(resumed_total(&headers(&[(header::CONTENT_RANGE, "bytes 0-9/10")]), 0), None);
    }

    #[test]
    fn chunks_win_over_a_length() {
        let length = (header::CONTENT_LENGTH, "10");
        assert_eq!(body_length(&headers(std::slice::from_ref(&length))).unwrap(), Some(10));
        assert_eq!(body_length(&headers(&[length, (header::TRANSFER_ENCODING, "Chunked")])).unwrap(), None);
        assert!(body_length(&headers(&[(header::CONTENT_LENGTH, "-1")])).is_err());
    }

    #[test]
    fn weak_tags_are_no_validators() {
        let date = (header::LAST_MODIFIED, "Mon, 01 Jan 2024 00:00:00 GMT");
        assert_eq!(validator(&headers(&[(header::ETAG, "\"a\""), date.clone()])).as_deref(), Some("\"a\""));
        assert_eq!(validator(&headers(&[(header::ETAG, "W/\"a\""), date.clone()])).as_deref(), Some(date.1));
        assert_eq!(validator(&headers(&[])), None);
    }

    #[test]
    fn encoded_bodies_are_rejected() {
        assert!(check_encoding(&headers(&[(header::CONTENT_ENCODING, "gzip")])).is_err());
        assert!(check_encoding(&headers(&[(header::CONTENT_ENCODING, "identity")])).is_ok());
        assert!(check_encoding(&headers(&[])).is_ok());
    }
}
