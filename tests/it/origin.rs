//! Proves the origin of the proxy's tests, asked straight: that it takes only the right credentials, keeps what comes
//! byte for byte, judges framing, and does what its paths promise.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::eventually;
use crate::support::hostile::tls::{Authority, GOOD};
use crate::support::origin::{Origin, Seen};

/// Sends these bytes; what came until the origin closed.
fn say(origin: &Origin, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    connection.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is an answer too.
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(origin: &Origin, path: &str) -> String {
    say(
        origin,
        format!("GET {path} HTTP/1.1\r\nHost: o\r\nX-Key: k\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )
}

#[test]
fn it_wants_each_header_once_and_keeps_the_head_as_it_came() {
    let origin = Origin::start();
    origin.wants("x-key", "k");
    assert!(get(&origin, "/").starts_with("HTTP/1.1 200"));
    let twice = b"GET / HTTP/1.1\r\nhOst: o\r\nx-key: k\r\nX-KEY:k\r\nconnection: close\r\n\r\n";
    assert!(say(&origin, twice).starts_with("HTTP/1.1 401"));
    origin.wants("x-key", "new");
    assert!(get(&origin, "/").starts_with("HTTP/1.1 401"));
    let seen = origin.seen();
    assert_eq!((&*seen[1].head, &*origin.bytes()[1]), (&twice[..], &twice[..]));
    assert_eq!(seen[0].line(), "GET / HTTP/1.1");
    assert_eq!(
        (seen[1].values("X-Key"), seen[0].value("host")),
        (vec!["k".into(); 2], Some("o".into()))
    );
    assert_eq!(seen.iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn it_digests_bodies_however_they_are_framed() {
    let origin = Origin::start();
    let plain =
        b"POST /echo HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    assert!(say(&origin, plain).ends_with("\r\n\r\nabc"));
    let chunked = b"POST /pipe HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nx-sum: 1\r\n\r\n";
    assert!(say(&origin, chunked).ends_with("0\r\n\r\n"));
    let [plain, chunked]: [Seen; 2] = origin.seen().try_into().unwrap();
    assert_eq!((&plain.sha256, plain.length), (&chunked.sha256, 3));
    assert!(plain.sha256.starts_with("ba7816bf"));
    assert_eq!(chunked.trailers, b"x-sum: 1\r\n");
    assert!(plain.is_whole && chunked.is_whole);
}

#[test]
fn it_complains_of_every_framing_that_two_could_read_differently() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: o\r\n\r\n";
    for fields in [
        "Host: o\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        "Host: o\r\nContent-Length: 3\r\nContent-Length: 4",
        "Host: o\r\nContent-Length: +3",
        "Host: o\r\nTransfer-Encoding: identity, chunked",
        "Host: o\r\nTransfer-Encoding: \x0bchunked",
        "Host: o\r\nContent-Length : 3",
        "Host: o\r\n Content-Length: 3",
        "Host: o\r\nA: b\nContent-Length: 3",
        "Host: o\r\nHost: p",
        "A: b",
    ] {
        let origin = Origin::start();
        let answer =
            say(&origin, format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{smuggled}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{fields:?}: {answer}");
        assert_eq!((origin.complaints().len(), origin.seen().len()), (1, 0), "{fields:?}");
    }
}

#[test]
fn it_breaks_off_in_the_ways_that_are_asked_for() {
    let origin = Origin::start();
    assert_eq!(get(&origin, "/die"), "");
    assert_eq!(get(&origin, "/cut").split("\r\n\r\n").nth(1).map(str::is_empty), Some(false));
    assert!(get(&origin, "/cut-chunked").starts_with("HTTP/1.1 200"));
    assert!(!get(&origin, "/cut-chunked").ends_with("0\r\n\r\n"));
    assert_eq!(get(&origin, "/garbage"), "SSH-2.0-OpenSSH_9.2\r\n");
    assert!(get(&origin, "/close").ends_with("\r\n\r\nto the end"));
    assert!(get(&origin, "/trailers").ends_with("0\r\nx-checksum: 42\r\n\r\n"));
    origin.fails(1);
    assert!(get(&origin, "/").starts_with("HTTP/1.1 503"));
    assert!(get(&origin, "/scope").contains("error=\"insufficient_scope\", scope=\"write\""));
    assert!(get(&origin, "/redirect?http://sink/").contains("\r\nlocation: http://sink/\r\n"));
}

#[test]
fn its_events_come_when_the_test_says_and_it_knows_when_nobody_listens() {
    let origin = Origin::start();
    let mut reader = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    reader.write_all(b"GET /events HTTP/1.1\r\nHost: o\r\n\r\n").unwrap();
    let mut seen = String::new();
    let mut until = |wanted: &str| {
        while !seen.contains(wanted) {
            let mut chunk = [0; 4096];
            let read = reader.read(&mut chunk).unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    };
    until("\r\n\r\n");
    origin.event("one");
    until("data: one\n\n");
    assert!(!origin.seen()[0].is_abandoned);
    drop(reader);
    eventually("the reader's end", || origin.seen()[0].is_abandoned.then_some(()));
    origin.end_events();
    assert!(get(&origin, "/events").ends_with("data: one\n\n\r\n0\r\n\r\n"));
}

#[test]
fn it_stops_writing_to_who_does_not_read() {
    let origin = Origin::start();
    let mut reader = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    reader
        .write_all(b"GET /big/100000000 HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut first = [0; 1];
    reader.read_exact(&mut first).unwrap();
    let mut rest = Vec::new();
    assert!(origin.written() < 50_000_000);
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 100_000_000);
}

#[cfg(unix)]
#[test]
fn behind_tls_it_is_the_same() {
    if !crate::real_parts::present(&["openssl", "curl"]) {
        return;
    }
    let authority = Authority::new();
    let origin = Origin::secure(&authority, GOOD);
    origin.wants("x-key", "k");
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sS", "--max-time", "20", "-H", "x-key: k", "--data-binary", "abc", "--cacert"]);
    let output = curl.arg(authority.file()).arg(format!("{}/echo", origin.url())).output().unwrap();
    assert_eq!(
        (output.stdout, String::from_utf8(output.stderr).unwrap()),
        (b"abc".to_vec(), String::new())
    );
    assert!(origin.only().is_whole);
}
