//! One request with its redirects, and what its failure means: final, or worth another attempt.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body};
use url::Url;

use crate::certificates;
use crate::credentials;
use crate::error::{Error, ErrorKind};
use crate::interim::InterimConnector;
use crate::options::Network;
use crate::partial::Partial;
use crate::proxy;
use crate::retry_after;
use crate::source::{SourceUrl, is_http, redact, without_credentials};

/// Redirects that are followed.
const REDIRECTS: u32 = 10;
/// Even the last attempt may take so long for each step.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt would end the same.
    Final(Error),
    /// It may pass; not before so much time, if the server said so.
    Passing(Error, Option<Duration>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Asks for the file, or for what `partial` lacks of it, and follows redirects. The answer's status is a success.
pub(crate) fn get(
    network: &Network,
    asked: &SourceUrl,
    partial: &Partial<'_>,
    deadline: Instant,
) -> Result<Response<Body>, Failure> {
    let mut url = asked.url().clone();
    for hop in 0..=REDIRECTS {
        if hop > 0 && Instant::now() >= deadline {
            return Err(of_kind(ErrorKind::TimeOut { reason: "the redirects took too long".to_owned() }).into());
        }
        let response = request(network, &url, partial, deadline)?;
        match response.status().as_u16() {
            301 | 302 | 303 | 307 | 308 => url = redirect_target(&url, response.headers())?,
            200 | 206 => return Ok(response),
            status @ (429 | 500..) => {
                return Err(Failure::Passing(of_kind(ErrorKind::Status { status }), retry_after(response.headers())));
            }
            status => return Err(of_kind(ErrorKind::Status { status }).into()),
        }
    }
    Err(refused(format!("more than {REDIRECTS} of them")).into())
}

fn request(network: &Network, url: &Url, partial: &Partial<'_>, deadline: Instant) -> Result<Response<Body>, Failure> {
    let left = deadline.saturating_duration_since(Instant::now()).max(SHORTEST_TIMEOUT);
    let (connect, idle) = (network.connect_timeout.min(left), network.idle_timeout.min(left));
    let authorization = credentials::of_url(url);
    let url = without_credentials(url);
    let proxy = match network.proxy_from_environment {
        true => proxy::for_url(&url, |name| std::env::var(name).ok())?,
        false => None,
    };
    // Without them a request for https is not made.
    let roots = match url.scheme() {
        "https" => certificates::roots(|name| std::env::var_os(name))?,
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
    let agent = Agent::with_parts(config, connector, DefaultResolver::default());
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

/// Where a redirect leads, if it may be followed.
fn redirect_target(from: &Url, headers: &HeaderMap) -> Result<Url, Error> {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| refused("it has no usable `Location`".to_owned()))?;
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

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after::parse(headers.get(header::RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

/// The meaning of an error while the body is read.
pub(crate) fn read_failure(error: io::Error) -> Failure {
    transport_failure(ureq::Error::from(error))
}

/// Messages of the transport that may hold a URL are left out.
fn transport_failure(error: ureq::Error) -> Failure {
    let connection = |mut reason: String| {
        if reason.contains("UnknownIssuer") {
            reason.push_str(
                "; where your organization has certificates of its own, SSL_CERT_FILE names a file with them",
            );
        }
        of_kind(ErrorKind::Connection { reason })
    };
    match error {
        ureq::Error::Timeout(step) => of_kind(ErrorKind::TimeOut { reason: waiting_for(step) }).into(),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            of_kind(ErrorKind::TimeOut { reason: error.to_string() }).into()
        }
        ureq::Error::Io(error) if may_pass(error.kind()) => Failure::Passing(connection(error.to_string()), None),
        ureq::Error::ConnectionFailed => Failure::Passing(connection("no address answered".to_owned()), None),
        ureq::Error::Protocol(error) => Failure::Passing(connection(error.to_string()), None),
        ureq::Error::BadUri(_) => {
            of_kind(ErrorKind::InvalidUrl { reason: "the HTTP library refuses it".to_owned() }).into()
        }
        other => connection(redact(&other.to_string())).into(),
    }
}

fn waiting_for(step: ureq::Timeout) -> String {
    use ureq::Timeout::*;
    let what = match step {
        Resolve => "the host's name was not found in time",
        Connect => "no connection came about in time",
        PerRead => "no byte came for too long",
        RecvResponse => "no answer came in time",
        other => return other.to_string(),
    };
    what.to_owned()
}

fn may_pass(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
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

fn of_kind(kind: ErrorKind) -> Error {
    Error::new("", kind)
}

fn refused(reason: String) -> Error {
    of_kind(ErrorKind::Redirect { reason })
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
