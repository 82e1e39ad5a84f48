//! The download engine: attempts, resumption, and the checks of what a server announces.

use std::io::Read;
use std::thread;
use std::time::Instant;

use ureq::Body;
use ureq::http::{HeaderMap, Response, header};

use crate::cache::Entry;
use crate::digest::{BUFFER, Digest};
use crate::error::{Error, ErrorKind};
use crate::guard::Guard;
use crate::http::{self, Failure};
use crate::options::{Network, Progress};
use crate::partial::Partial;
use crate::patience::Patience;
use crate::source::SourceUrl;

/// Most bytes that are taken from a server that does not say how many will come.
const LARGEST_UNANNOUNCED: u64 = 4 << 30;

/// A server that sends fewer bytes than this in twice the longest time without a byte is as good as stalled.
const LEAST_BYTES: u64 = 1024;

/// One file on its way from a URL to its place in the cache. While `guard` holds the entry's lock, where there are locks.
pub(crate) struct Download<'a> {
    pub(crate) network: &'a Network,
    pub(crate) url: &'a SourceUrl,
    pub(crate) entry: &'a Entry,
    pub(crate) guard: &'a Guard,
    pub(crate) expected: Option<&'a Digest>,
    pub(crate) progress: Option<&'a dyn Fn(Progress)>,
}

impl Download<'_> {
    /// Fetches, verifies and names the file. A content whose digest is wrong is fetched once more if its beginning was
    /// from an earlier attempt.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let mut patience = Patience::new(self.network);
        match self.fetch(&mut patience)? {
            (true, Err(error)) if matches!(error.kind(), ErrorKind::WrongDigest { .. }) => {
                log::warn!("{}: the continued download has a wrong digest, starting again", self.url);
                self.fetch(&mut patience)?.1
            }
            (_, result) => result,
        }
    }

    /// Attempts until the file is whole, then verifies it; tells whether it was put together from more than one answer.
    fn fetch(&self, patience: &mut Patience<'_>) -> Result<(bool, Result<(), Error>), Error> {
        let mut partial = Partial::open(self.entry, self.guard, &self.url.identity())?;
        if partial.length() > 0 && self.expected.is_none() && partial.validator().is_none() {
            partial.restart(None)?;
        }
        match self.attempts(&mut partial, patience) {
            Ok(resumed) => Ok((resumed, partial.finish(self.expected))),
            Err(error) => {
                // On a full disk it would stay for ever, and take the room from others.
                if partial.length() == 0 || is_full(&error) {
                    partial.discard();
                }
                Err(error)
            }
        }
    }

    fn attempts(&self, partial: &mut Partial<'_>, patience: &mut Patience<'_>) -> Result<bool, Error> {
        patience.note(partial.length());
        loop {
            let (error, retry_after) = match self.attempt(partial, patience.deadline()) {
                Ok(resumed) => return Ok(resumed),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error, retry_after)) => (error, retry_after),
            };
            patience.note(partial.length());
            let Some(wait) = patience.next(retry_after.unwrap_or_default()) else {
                return Err(Error::new("", ErrorKind::GaveUp { attempts: patience.attempts, source: error }));
            };
            log::info!("{}: {error}; another attempt follows", self.url);
            thread::sleep(wait);
        }
    }

    /// One request and its body, appended to what is there if the server continues it.
    fn attempt(&self, partial: &mut Partial<'_>, deadline: Instant) -> Result<bool, Failure> {
        let response = match http::get(self.network, self.url, partial, deadline) {
            Err(Failure::Final(error))
                if partial.length() > 0 && matches!(error.kind(), ErrorKind::Status { status: 416 }) =>
            {
                // The rest is not there: what is here is of another file, or more than all of it.
                partial.restart(None)?;
                http::get(self.network, self.url, partial, deadline)?
            }
            answer => answer?,
        };
        refuse_encoded(response.headers())?;
        let announced = body_length(response.headers())?;
        let total = match response.status().as_u16() {
            206 => match continued_total(response.headers(), partial.length()) {
                Some(total) => Some(total),
                None => {
                    partial.restart(None)?;
                    return Err(Failure::Passing(bad_answer("it is a range that was not asked for"), None));
                }
            },
            _ => {
                partial.restart(validator(response.headers()))?;
                announced
            }
        };
        if total.is_none() && self.expected.is_none() && !is_chunked(response.headers()) {
            return Err(bad_answer("it tells no length, and without a digest a cut would go unnoticed").into());
        }
        let resumed = partial.length() > 0;
        self.receive(response, partial, total)?;
        Ok(resumed)
    }

    fn receive(&self, response: Response<Body>, partial: &mut Partial<'_>, total: Option<u64>) -> Result<(), Failure> {
        let limit = total.unwrap_or(LARGEST_UNANNOUNCED);
        let mut reader = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER];
        self.report(partial, total);
        let (mut since, mut before) = (Instant::now(), partial.length());
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(http::read_failure(error)),
            };
            if partial.length() + count as u64 > limit {
                partial.restart(None)?;
                return Err(bad_answer(&format!("more than {limit} bytes came")).into());
            }
            partial.append(&buffer[..count])?;
            self.report(partial, total);
            if since.elapsed() >= 2 * self.network.idle_timeout {
                if partial.length() - before < LEAST_BYTES {
                    let reason = format!("only {} bytes came in {:.0?}", partial.length() - before, since.elapsed());
                    return Err(Error::new("", ErrorKind::TimeOut { reason }).into());
                }
                (since, before) = (Instant::now(), partial.length());
            }
        }
        match total {
            Some(total) if partial.length() < total => {
                let reason = format!("{} of {total} bytes came", partial.length());
                Err(Failure::Passing(Error::new("", ErrorKind::Connection { reason }), None))
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
fn refuse_encoded(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("unknown")) {
        None | Some("" | "identity") => Ok(()),
        Some(encoding) => Err(bad_answer(&format!("its body is encoded ({encoding}) although that was not asked for"))),
    }
}

/// What `Content-Length` says; chunks have their own lengths, and win.
fn body_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get(header::CONTENT_LENGTH).filter(|_| !is_chunked(headers)) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| bad_answer("its `Content-Length` is not a number"))
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.get(header::TRANSFER_ENCODING).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// The total of `Content-Range: bytes START-END/TOTAL`, if the range is the rest after `start` bytes.
fn continued_total(headers: &HeaderMap, start: u64) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (start > 0 && first == start && last.checked_add(1) == Some(total)).then_some(total)
}

/// What `If-Range` may carry: a strong `ETag`, else `Last-Modified`.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    text(header::ETAG).filter(|tag| tag.starts_with('"')).or_else(|| text(header::LAST_MODIFIED))
}

/// Whether there is no room for the file.
fn is_full(error: &Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        ErrorKind::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge),
        _ => false,
    }
}

fn bad_answer(reason: &str) -> Error {
    Error::new("", ErrorKind::BadAnswer { reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderName;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_rest_that_was_asked_for_is_appended() {
        for (text, expected) in [
            ("bytes 3-9/10", Some(10)),
            ("bytes 0-9/10", None),
            ("bytes 3-8/10", None),
            ("bytes 3-9/*", None),
            ("bytes 3-18446744073709551615/0", None),
            ("items 3-9/10", None),
            ("", None),
        ] {
            assert_eq!(continued_total(&headers(&[(header::CONTENT_RANGE, text)]), 3), expected, "{text}");
        }
        assert_eq!(continued_total(&headers(&[(header::CONTENT_RANGE, "bytes 0-9/10")]), 0), None);
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
    fn encoded_bodies_are_refused() {
        assert!(refuse_encoded(&headers(&[(header::CONTENT_ENCODING, "gzip")])).is_err());
        assert!(refuse_encoded(&headers(&[(header::CONTENT_ENCODING, "identity")])).is_ok());
        assert!(refuse_encoded(&headers(&[])).is_ok());
    }
}
