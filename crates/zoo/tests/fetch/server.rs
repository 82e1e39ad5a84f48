//! An HTTP server on loopback that does what a test wants, right or wrong, and remembers what it was asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};

/// One request: the path and the headers, their names in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    /// How many requests came before this one.
    pub(crate) number: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// N of `Range: bytes=N-`.
    pub(crate) fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// The answering side of one connection. Failures to write mean that the client has gone, which is no error here.
pub(crate) struct Answer(TcpStream);

impl Answer {
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).is_ok()
    }

    /// Status, headers, and the given bytes as body, with no length unless the headers tell one.
    pub(crate) fn send(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> bool {
        let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{head}\r\n").as_bytes()) && self.raw(body)
    }

    /// The whole body with its right length.
    pub(crate) fn file(&mut self, body: &[u8]) -> bool {
        self.send(200, &[("Content-Length", &body.len().to_string())], body)
    }

    /// What a correct server does, with ranges and a validator.
    pub(crate) fn file_or_range(&mut self, request: &Request, body: &[u8]) -> bool {
        match request.range_start() {
            Some(start) if start < body.len() => {
                let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
                let length = (body.len() - start).to_string();
                self.send(206, &[("Content-Range", &range), ("Content-Length", &length)], &body[start..])
            }
            _ => self.send(200, &[("Content-Length", &body.len().to_string()), ("ETag", "\"v1\"")], body),
        }
    }

    /// Opens the tunnel that a `CONNECT` asked for, and returns the head of the request that comes through it.
    pub(crate) fn open_tunnel(&mut self) -> String {
        self.raw(b"HTTP/1.1 200 OK\r\n\r\n");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && self.0.read(&mut byte).is_ok_and(|count| count == 1) {
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Sends nothing more until the client goes away.
    pub(crate) fn stall(&mut self) {
        let _ = self.0.read(&mut [0; 1]);
    }
}

/// A running server; it lives as long as the test's process.
pub(crate) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request, &mut Answer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&requests), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                thread::spawn(move || {
                    if let Some(request) = read_request(&stream, &log) {
                        handler(&request, &mut Answer(stream));
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream, log: &Mutex<Vec<Request>>) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.to_owned())));
    let headers = headers.collect();
    let mut log = log.lock().unwrap();
    let request = Request { path, headers, number: log.len() };
    log.push(request.clone());
    Some(request)
}

/// Bytes that no two offsets share, and the file name that their digest gives them.
pub(crate) fn content(length: usize) -> (Vec<u8>, String) {
    let bytes: Vec<u8> = (0_u32..).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(length).collect();
    let name = format!("model-{}.pth", &sha256(&bytes)[..8]);
    (bytes, name)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
