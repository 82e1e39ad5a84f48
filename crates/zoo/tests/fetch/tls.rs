//! Servers with a certificate of an authority that no machine knows, as many organizations have.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::command::{command, stderr, stdout};
use crate::server::content;

/// A server on loopback with one file under every path; returns its address and the authority's certificate in PEM.
fn server(body: Vec<u8>) -> (String, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            // A client that does not trust the certificate goes away, which is no error here.
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ =
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (format!("https://localhost:{port}"), authority.pem())
}

#[test]
fn an_organizations_authority_is_trusted_where_the_environment_names_it() {
    let (body, name) = content(5000);
    let (address, authority) = server(body.clone());
    let url = format!("{address}/{name}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    fs::write(&file, authority).unwrap();
    let folders = format!("/no/such/folder:{}", folder.path().display());
    for (variable, value) in [("SSL_CERT_FILE", file.to_str().unwrap()), ("SSL_CERT_DIR", &folders)] {
        let home = tempfile::tempdir().unwrap();
        let output = command(home.path(), &["fetch", &url]).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{variable}: {}", stderr(&output));
        assert_eq!(fs::read(stdout(&output).trim_end()).unwrap(), body);
    }
}

#[test]
fn an_unknown_authority_is_refused_and_the_way_on_told() {
    let (body, name) = content(5000);
    let (address, _) = server(body);
    let url = format!("{address}/{name}");
    let home = tempfile::tempdir().unwrap();
    for value in [None, Some("")] {
        let mut fetch = command(home.path(), &["fetch", &url]);
        let output = fetch.envs(value.map(|value| ("SSL_CERT_FILE", value))).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
        assert!(
            stderr(&output).contains("UnknownIssuer") && stderr(&output).contains("SSL_CERT_FILE"),
            "{}",
            stderr(&output)
        );
    }
    let text = home.path().join("text.pem");
    fs::write(&text, "no certificate").unwrap();
    for (variable, value) in [
        ("SSL_CERT_FILE", Path::new("/no/such/file")),
        ("SSL_CERT_FILE", &text),
        ("SSL_CERT_DIR", Path::new("/no/such/folder")),
    ] {
        let output = command(home.path(), &["fetch", &url]).env(variable, value).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
        assert!(stderr(&output).contains(variable), "{}", stderr(&output));
    }
}
