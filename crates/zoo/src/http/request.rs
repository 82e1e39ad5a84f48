//! One request with its redirects, and whether a failure is worth another attempt.

use std::env;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body};
use url::Url;

use crate::cache::partial::Partial;
use crate::error::{Error, ErrorKind};
use crate::http::interim::InterimConnector;
use crate::http::{basic_auth, certificates, proxy, retry_after};
use crate::options::Network;
use crate::redact::redact;
use crate::source_url::{SourceUrl, is_http, without_credentials};

/// The maximum number of redirects.
const MAX_REDIRECTS: u32 = 10;
/// The time-out of each step is never shorter, even in the last attempt.
const MIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt would fail too.
    Permanent(Error),
    /// Another attempt may succeed, after the delay that the server asked for.
    Transient(Error, Option<Duration>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Permanent(error)
    }
}

/// Requests the file, or the bytes that `partial` lacks, and follows redirects. The response has a success status.
pub(crate) fn get(
    network: &Network,
    source: &SourceUrl,
    partial: &Partial<'_>,
    deadline: Instant,
) -> Result<Response<Body>, Failure> {
    let mut url = source.url().clone();
    for hop in 0..=MAX_REDIRECTS {
        if hop > 0 && Instant::now() >= deadline {
            return Err(timed_out("the redirects took too long").into());
        }
        let response = send(network, &url, partial, deadline)?;
        match response.status().as_u16() {
            301 | 302 | 303 | 307 | 308 => url = redirect_target(&url, response.headers())?,
            200 | 206 => return Ok(response),
            status @ (429 | 500..) => {
                let error = Error::new("", ErrorKind::Status { status });
                return Err(Failure::Transient(error, requested_delay(response.headers())));
            }
            status => return Err(Error::new("", ErrorKind::Status { status }).into()),
        }
    }
    Err(refused(format!("there are more than {MAX_REDIRECTS}")).into())
}

fn send(network: &Network, url: &Url, partial: &Partial<'_>, deadline: Instant) -> Result<Response<Body>, Failure> {
    let authorization = basic_auth::of_url(url);
    let url = without_credentials(url);
    let agent = agent(network, &url, deadline)?;
    let mut request = agent.get(url.as_str()).header(header::ACCEPT_ENCODING, "identity");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    if partial.length() > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", partial.length()));
        if let Some(validator) = partial.validator() {
            request = request.header(header::IF_RANGE, validator);
        }
    }
    request.call().map_err(transport_failure)
}

fn agent(network: &Network, url: &Url, deadline: Instant) -> Result<Agent, Error> {
    let left = deadline.saturating_duration_since(Instant::now()).max(MIN_TIMEOUT);
    let connect = network.connect_timeout.min(left);
    let idle = network.idle_timeout.min(left);
    let mut proxy = None;
    if network.proxy_from_environment {
        proxy = proxy::for_url(url, |name| env::var(name).ok())?;
    }
    let roots = match url.scheme() {
        "https" => certificates::roots()?,
        _ => RootCerts::WebPki,
    };
    let config = Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(concat!("mmcv-zoo/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .timeout_send_request(Some(idle))
        .timeout_recv_response(Some(idle))
        .timeout_per_read(Some(idle))
        .build();
    let connector = DefaultConnector::new().chain(InterimConnector::default());
    Ok(Agent::with_parts(config, connector, DefaultResolver::default()))
}

/// The target of a redirect, if it may be followed.
fn redirect_target(from: &Url, headers: &HeaderMap) -> Result<Url, Error> {
    let Some(location) = text(headers, header::LOCATION) else {
        return Err(refused("it has no usable `Location`".to_owned()));
    };
    // Only a target on the same host inherits user and password.
    let to = from.join(location).map_err(|error| refused(format!("`{}`: {error}", redact(location))))?;
    if !is_http(&to) {
        return Err(refused(format!("it leads to the scheme `{}`", to.scheme())));
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(refused(format!("it leads from https to http, to {}", redact(to.as_str()))));
    }
    Ok(to)
}

/// The text of a header.
pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn requested_delay(headers: &HeaderMap) -> Option<Duration> {
    retry_after::parse(text(headers, header::RETRY_AFTER)?, SystemTime::now())
}

/// Classifies an error while the body is read.
pub(crate) fn read_failure(error: io::Error) -> Failure {
    transport_failure(ureq::Error::from(error))
}

/// Messages of the transport that may contain a URL are redacted.
fn transport_failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(step) => timed_out(timeout_reason(step)).into(),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => timed_out(error.to_string()).into(),
        ureq::Error::Io(error) if is_transient(error.kind()) => Failure::Transient(disconnected(error), None),
        ureq::Error::ConnectionFailed => Failure::Transient(disconnected("no address is reachable"), None),
        ureq::Error::Protocol(error) => Failure::Transient(disconnected(error), None),
        ureq::Error::BadUri(_) => {
            let reason = "the HTTP library rejects it".to_owned();
            Error::new("", ErrorKind::InvalidUrl { reason }).into()
        }
        other => disconnected(redact(&other.to_string())).into(),
    }
}

fn timeout_reason(step: ureq::Timeout) -> String {
    use ureq::Timeout::{Connect, PerRead, RecvResponse, Resolve};
    let reason = match step {
        Resolve => "the host name was not resolved in time",
        Connect => "no connection was established in time",
        PerRead => "no byte arrived for too long",
        RecvResponse => "no response arrived in time",
        other => return other.to_string(),
    };
    reason.to_owned()
}

fn is_transient(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected, UnexpectedEof,
    };
    matches!(
        kind,
        UnexpectedEof
            | ConnectionReset
            | ConnectionAborted
            | ConnectionRefused
            | BrokenPipe
            | NotConnected
            | Interrupted
    )
}

fn timed_out(reason: impl Into<String>) -> Error {
    Error::new("", ErrorKind::TimeOut { reason: reason.into() })
}

fn disconnected(reason: impl ToString) -> Error {
    let mut reason = reason.to_string();
    if reason.contains("UnknownIssuer") {
        reason
            .push_str("; if your organization has its own certificate authority, set SSL_CERT_FILE to its certificate");
    }
    Error::new("", ErrorKind::Connection { reason })
}

fn refused(reason: String) -> Error {
    Error::new("", ErrorKind::Redirect { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(from: &str, location: &str) -> Result<String, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        redirect_target(&Url::parse(from).unwrap(), &headers).map(String::from)
    }

    #[test]
    fn redirects_never_lose_encryption_or_leave_http() {
        assert_eq!(target("http://h/a", "https://g/b").unwrap(), "https://g/b");
        assert_eq!(target("https://h/a/b", "../c?d").unwrap(), "https://h/c?d");
        assert_eq!(target("https://h/a", "//g/b").unwrap(), "https://g/b");
        for location in ["http://h/a", "ftp://h/a", "file:///etc/passwd", "https://", "data:,x"] {
            let error = target("https://h/a", location).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Redirect { .. }), "{location}: {error}");
        }
        assert!(redirect_target(&Url::parse("http://h/").unwrap(), &HeaderMap::new()).is_err());
    }

    #[test]
    fn passwords_do_not_reach_another_host() {
        assert_eq!(target("https://u:p@h/a", "//g/b").unwrap(), "https://g/b");
        assert_eq!(target("https://u:p@h/a", "/b").unwrap(), "https://u:p@h/b");
        let error = target("https://h/a", "http://u:secret@h/b").unwrap_err();
        assert!(!error.report().contains("secret"), "{error}");
    }
}
