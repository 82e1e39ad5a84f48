//! The certificates that a server's own is checked against.
//!
//! Those of `SSL_CERT_FILE` and `SSL_CERT_DIR` alone, where these are set, as OpenSSL and curl do; else those of the system,
//! and Mozilla's, which are part of the program, so that machines without any work too.

use std::ffi::OsString;
use std::path::Path;

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use ureq::tls::{Certificate, RootCerts};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::error::{Error, ErrorKind};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// The certificates by the given environment; an empty variable counts as unset.
pub(crate) fn roots(variable: impl Fn(&str) -> Option<OsString>) -> Result<RootCerts, Error> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let (file, folders) = (set(FILE), set(FOLDERS));
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut add = |result: CertificateResult| {
        found.extend(result.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
        problems.extend(result.errors.iter().map(ToString::to_string));
    };
    if file.is_none() && folders.is_none() {
        add(load_native_certs());
        found.extend(TLS_SERVER_ROOT_CERTS.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
        return Ok(RootCerts::new_with_certs(&found));
    }
    if let Some(file) = &file {
        add(load_certs_from_paths(Some(Path::new(file)), None));
    }
    for folder in folders.iter().flat_map(std::env::split_paths) {
        add(load_certs_from_paths(None, Some(&folder)));
    }
    if found.is_empty() {
        let variable = if file.is_some() { FILE } else { FOLDERS };
        let reason = problems.into_iter().next().unwrap_or_else(|| "there are none".to_owned());
        return Err(Error::new("", ErrorKind::Certificates { variable, reason }));
    }
    for problem in problems {
        log::info!("{problem}");
    }
    Ok(RootCerts::new_with_certs(&found))
}
