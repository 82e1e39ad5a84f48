//! `Zoo::fetch` against every kind of bad server. Time-outs and waits are short; nothing is timed.

use std::fs;
use std::time::Duration;

use mmcv_zoo::{ErrorKind, FetchOptions, Network};

use crate::server::{Server, content, sha256};
use crate::setup::{LENGTH, setup};

#[test]
fn wrong_bytes_are_refused_with_both_digests() {
    let (mut body, name) = content(LENGTH);
    body[7] ^= 1;
    let found = sha256(&body);
    let setup = setup(move |_, answer| {
        answer.file(&body);
    });
    let error = setup.fail(&name);
    let expected = &name["model-".len()..][..8];
    assert!(error.to_string().contains(expected) && error.to_string().contains(&found), "{error}");
    assert_eq!(setup.request_count(), 1);
    assert_eq!(setup.partials(), [""; 0]);
}

#[test]
fn a_cut_is_continued_where_it_was() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        if request.number == 0 {
            answer.send(200, &[("Content-Length", "300000"), ("ETag", "\"v1\"")], &served[..100_000]);
        } else {
            answer.file_or_range(request, &served);
        }
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].range_start(), Some(100_000));
    assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn a_server_that_ignores_ranges_starts_the_file_again() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        let end = if request.number == 0 { 100_000 } else { LENGTH };
        answer.send(200, &[("Content-Length", "300000")], &served[..end]);
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_again_as_a_whole() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        if request.number == 0 {
            answer.send(200, &[("Content-Length", "300000")], &[0; 1000]);
        } else {
            answer.file_or_range(request, &served);
        }
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
    assert_eq!(setup.server.requests().last().unwrap().range_start(), None);
}

#[test]
fn a_rest_that_is_always_wrong_ends_the_download() {
    let (body, name) = content(LENGTH);
    let setup = setup(move |request, answer| match request.range_start() {
        Some(_) => {
            answer.file_or_range(request, &[0; LENGTH]);
        }
        None => {
            answer.send(200, &[("Content-Length", "300000")], &body[..100_000]);
        }
    });
    let error = setup.fail(&name);
    assert!(matches!(error.kind(), ErrorKind::WrongDigest { .. }), "{error}");
    assert_eq!(setup.request_count(), 4);
    assert!(setup.partials().is_empty());
}

#[test]
fn a_range_that_was_not_asked_for_is_not_used() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |request, answer| match request.number {
        0 => {
            answer.send(200, &[("Content-Length", "300000")], &served[..1000]);
        }
        1 => {
            answer.send(206, &[("Content-Range", "bytes 0-9/300000"), ("Content-Length", "10")], &served[..10]);
        }
        2 => {
            answer.send(206, &[("Content-Length", "10")], &served[..10]);
        }
        _ => {
            answer.file(&served);
        }
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
}

#[test]
fn a_range_beyond_the_end_starts_again() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |request, answer| match request.number {
        0 => {
            answer.send(200, &[("Content-Length", "900000")], &served);
        }
        1 => {
            answer.send(416, &[("Content-Length", "0")], &[]);
        }
        _ => {
            answer.file(&served);
        }
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
}

#[test]
fn constant_cuts_end_after_a_few_attempts() {
    let (body, name) = content(LENGTH);
    let setup = setup(move |_, answer| {
        answer.send(200, &[("Content-Length", "300000")], &body[..1000]);
    });
    let error = setup.fail(&name);
    assert!(matches!(error.kind(), ErrorKind::GaveUp { attempts: 5, .. }), "{error}");
    assert_eq!(setup.request_count(), 5);
}

#[test]
fn connections_closed_without_an_answer_are_tried_again() {
    let (body, name) = content(LENGTH);
    let setup = setup(move |request, answer| {
        if request.number > 1 {
            answer.file(&body);
        }
    });
    setup.fetch(&name).unwrap();
    assert_eq!(setup.request_count(), 3);
}

#[test]
fn server_errors_are_tried_again_and_client_errors_are_not() {
    for (status, count) in [(500, 5), (503, 5), (429, 5), (404, 1), (403, 1), (408, 1), (416, 1), (204, 1), (304, 1)] {
        let setup = setup(move |_, answer| {
            answer.send(status, &[("Content-Length", "0"), ("Retry-After", "3600")], &[]);
        });
        let error = setup.fail("model-012345.pth");
        assert_eq!(setup.request_count(), count, "{status}: {error}");
        assert!(error.report().contains(&status.to_string()), "{}", error.report());
        assert_eq!(setup.partials(), [""; 0]);
    }
}

#[test]
fn a_server_error_may_pass() {
    let (body, name) = content(LENGTH);
    let setup = setup(move |request, answer| {
        if request.number < 3 {
            answer.send(503, &[("Content-Length", "0"), ("Retry-After", "0")], &[]);
        } else {
            answer.file(&body);
        }
    });
    setup.fetch(&name).unwrap();
}

#[test]
fn a_stalled_server_is_a_time_out_and_the_next_fetch_continues() {
    let (body, name) = content(LENGTH);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        if request.number == 0 {
            answer.send(200, &[("Content-Length", "300000"), ("ETag", "\"v1\"")], &served[..100_000]);
            answer.stall();
        } else {
            answer.file_or_range(request, &served);
        }
    });
    let hurried =
        Network { idle_timeout: Duration::from_millis(300), proxy_from_environment: false, ..Network::default() };
    let url = setup.server.url(&name);
    let error = setup.zoo.clone().with_network(hurried).fetch(&url, &FetchOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimeOut { .. }), "{error}");
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
    assert_eq!(setup.request_count(), 2);
}

#[test]
fn a_server_that_never_answers_is_a_time_out() {
    let mut setup = setup(|_, answer| answer.stall());
    let network =
        Network { idle_timeout: Duration::from_millis(200), proxy_from_environment: false, ..Network::default() };
    setup.zoo = setup.zoo.with_network(network);
    let error = setup.fail("model-012345.pth");
    assert!(matches!(error.kind(), ErrorKind::TimeOut { .. }), "{error}");
}

#[test]
fn a_trickle_is_a_time_out() {
    let mut setup = setup(|_, answer| {
        answer.send(200, &[("Content-Length", "300000")], &[]);
        while answer.raw(b"x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let network =
        Network { idle_timeout: Duration::from_millis(400), proxy_from_environment: false, ..Network::default() };
    setup.zoo = setup.zoo.with_network(network);
    let error = setup.fail("model-012345.pth");
    assert!(matches!(error.kind(), ErrorKind::TimeOut { .. }), "{error}");
    assert_eq!(setup.request_count(), 1);
}

#[test]
fn a_slow_server_is_no_failure() {
    let (body, name) = content(2000);
    let setup = setup(move |_, answer| {
        answer.send(200, &[("Content-Length", "2000")], &[]);
        for piece in body.chunks(100) {
            answer.raw(piece);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    setup.fetch(&name).unwrap();
}

#[test]
fn lengths_that_lie_change_nothing_on_the_disk() {
    for announced in ["1000", "9999999999999999", "18446744073709551615", "18446744073709551616", "-1", "abc"] {
        let (body, name) = content(LENGTH);
        let setup = setup(move |_, answer| {
            answer.send(200, &[("Content-Length", announced)], &body);
        });
        setup.fail(&name);
        let used: u64 = fs::read_dir(setup.home.path().join("checkpoints/.state"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(used <= LENGTH as u64 + 1000, "{announced}: {used} bytes");
    }
}

#[test]
fn bodies_without_a_length_are_verified_by_their_digest() {
    let (body, name) = content(1000);
    let served = body.clone();
    let setup = setup(move |request, answer| {
        if request.path.ends_with("chunked") {
            let mut text = format!("{:x}\r\n", served.len()).into_bytes();
            text.extend_from_slice(&served);
            text.extend_from_slice(b"\r\n0\r\n\r\n");
            answer.send(200, &[("Transfer-Encoding", "chunked")], &text);
        } else {
            answer.send(200, &[], &served);
        }
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
    let any = FetchOptions { no_verify: true, ..FetchOptions::default() };
    let error = setup.zoo.fetch(&setup.server.url("model.pth"), &any).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BadResponse { .. }), "{error}");
    let chunked = setup.zoo.fetch(&setup.server.url("chunked"), &any).unwrap();
    assert_eq!(fs::read(chunked).unwrap(), body);
}

#[test]
fn chunks_are_believed_and_not_a_length_beside_them() {
    let (body, name) = content(LENGTH);
    let mut chunks = format!("{LENGTH:x}\r\n").into_bytes();
    chunks.extend_from_slice(&body);
    chunks.extend_from_slice(b"\r\n0\r\n\r\n");
    let setup = setup(move |_, answer| {
        answer.send(200, &[("Content-Length", "10"), ("Transfer-Encoding", "chunked")], &chunks);
    });
    assert_eq!(fs::read(setup.fetch(&name).unwrap()).unwrap(), body);
}

#[test]
fn encoded_bodies_are_not_mistaken_for_the_file() {
    let (body, name) = content(1000);
    let setup = setup(move |_, answer| {
        answer.send(200, &[("Content-Encoding", "gzip"), ("Content-Length", "1000")], &body);
    });
    let error = setup.fail(&name);
    assert!(error.to_string().contains("gzip"), "{error}");
}

#[test]
fn garbage_is_no_answer() {
    for garbage in [&b"\0\xff\xfe\r\n\r\n"[..], b"HTTP/9.9 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length"] {
        let setup = setup(move |_, answer| {
            answer.raw(garbage);
        });
        setup.fail("model-012345.pth");
    }
    let endless = setup(|_, answer| {
        answer.raw(b"HTTP/1.1 200 OK\r\n");
        while answer.raw(&[b'a'; 1000]) {}
    });
    endless.fail("model-012345.pth");
}

#[test]
fn redirects_are_followed_and_the_asked_name_counts() {
    let (body, name) = content(1000);
    let hop = Server::start(move |_, answer| {
        answer.file(&body);
    });
    let target = hop.url("elsewhere");
    let setup = setup(move |request, answer| {
        let location = if request.number < 9 { format!("hop{}?x=y", request.number) } else { target.clone() };
        answer.send(302, &[("Location", &location), ("Content-Length", "0")], &[]);
    });
    let path = setup.fetch(&name).unwrap();
    assert!(path.ends_with(&name));
    assert_eq!((setup.request_count(), hop.requests().len()), (10, 1));
}

#[test]
fn endless_and_foreign_redirects_are_refused_at_once() {
    for (location, count) in [("loop", 11), ("ftp://h/a", 1), ("file:///etc/passwd", 1), ("http://", 1)] {
        let setup = setup(move |_, answer| {
            answer.send(301, &[("Location", location), ("Content-Length", "0")], &[]);
        });
        let error = setup.fail("model-012345.pth");
        assert!(matches!(error.kind(), ErrorKind::Redirect { .. }), "{location}: {error}");
        assert_eq!(setup.request_count(), count, "{location}");
    }
}

#[test]
fn redirects_share_one_patience() {
    let mut setup = setup(|_, answer| {
        answer.send(302, &[("Location", "/next"), ("Content-Length", "0")], b"");
    });
    let network = Network { patience: Duration::ZERO, proxy_from_environment: false, ..Network::default() };
    setup.zoo = setup.zoo.with_network(network);
    let error = setup.fail("model-012345.pth");
    assert!(matches!(error.kind(), ErrorKind::TimeOut { .. }), "{error}");
    assert_eq!(setup.request_count(), 1);
}

#[test]
fn a_password_is_sent_but_never_told() {
    let setup = setup(|_, answer| {
        answer.send(302, &[("Location", "ftp://user:secret@h/"), ("Content-Length", "0")], &[]);
    });
    let url = setup.server.url("model-012345.pth").replace("://", "://user:secret@");
    let error = setup.zoo.fetch(&url, &FetchOptions::default()).unwrap_err();
    assert!(!error.report().contains("secret") && !format!("{error:?}").contains("secret"), "{}", error.report());
    assert!(setup.server.requests()[0].header("authorization").is_some());
}

#[test]
fn what_a_server_says_before_its_answer_is_passed_by() {
    for before in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 199 X\r\n\r\n",
    ] {
        for apart in [false, true] {
            let (body, name) = content(LENGTH);
            let served = body.clone();
            let setup = setup(move |_, answer| {
                answer.raw(before.as_bytes());
                if apart {
                    std::thread::sleep(Duration::from_millis(50));
                }
                answer.file(&served);
            });
            let path = setup.fetch(&name).unwrap_or_else(|error| panic!("{before:?}: {}", error.report()));
            assert_eq!(fs::read(path).unwrap(), body);
            assert_eq!(setup.request_count(), 1);
        }
    }
}
