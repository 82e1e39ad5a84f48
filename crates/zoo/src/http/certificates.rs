//! The certificate authorities that servers are checked against.
//!
//! If `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, only those are trusted, as by OpenSSL and curl. Otherwise the system's
//! are, and Mozilla's, which are built in for machines that have none.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use ureq::tls::{Certificate, RootCerts};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::error::{Error, ErrorKind};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// The certificates found so far, and the problems on the way.
#[derive(Default)]
struct Found {
    certificates: Vec<Certificate<'static>>,
    problems: Vec<String>,
}

impl Found {
    fn add(&mut self, result: CertificateResult) {
        for certificate in &result.certs {
            self.certificates.push(Certificate::from_der(certificate).to_owned());
        }
        for error in result.errors {
            self.problems.push(error.to_string());
        }
    }
}

/// The trusted authorities.
pub(crate) fn roots() -> Result<RootCerts, Error> {
    let (file, folders) = (variable(FILE), variable(FOLDERS));
    let mut found = Found::default();
    let name = match (&file, &folders) {
        (None, None) => {
            found.add(load_native_certs());
            for certificate in TLS_SERVER_ROOT_CERTS {
                found.certificates.push(Certificate::from_der(certificate).to_owned());
            }
            return Ok(RootCerts::new_with_certs(&found.certificates));
        }
        (Some(_), _) => FILE,
        (None, Some(_)) => FOLDERS,
    };
    if let Some(file) = &file {
        found.add(load_certs_from_paths(Some(Path::new(file)), None));
    }
    if let Some(folders) = &folders {
        for folder in env::split_paths(folders) {
            found.add(load_certs_from_paths(None, Some(&folder)));
        }
    }
    if found.certificates.is_empty() {
        let reason = found.problems.into_iter().next().unwrap_or_else(|| "there are none".to_owned());
        return Err(Error::new("", ErrorKind::Certificates { variable: name, reason }));
    }
    for problem in found.problems {
        log::info!("{problem}");
    }
    Ok(RootCerts::new_with_certs(&found.certificates))
}

/// An environment variable; an empty one counts as unset.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
