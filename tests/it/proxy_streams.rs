//! The proxy and time on the wire: what streams is passed on at once, what ends on one side ends on the other, and
//! nothing grows; and what a command beside the proxy gets and leaves.
//!
//! | id | promise | test |
//! |---|---|---|
//! | A9 | events pass at once, disconnects too | `events_pass_one_by_one_…` |
//! | A10 | signals and exit status are the command's own | `signals_and_the_exit_status_…` |
//! | A11 | flat memory | `many_requests_and_large_bodies_…` |
//! | S9 | the log tells what happened, without a value | `every_request_is_a_line_of_the_log` |

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::support::launcher::pid;
use crate::support::lending::{KEY, Lending, acme, only, replies, until};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;
use crate::support::{PATIENCE, eventually, rounds};

const BEARER: &str = concat!("Bearer real-Qm4tZ81/", "xYw+0aLk9PvBn3Ts");

fn scene() -> (Origin, Sandbox, Lending) {
    let origin = Origin::start();
    origin.wants("authorization", BEARER);
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    (origin, sandbox, lending)
}

fn open(lending: &Lending, line: &str, headers: &str) -> TcpStream {
    let mut connection = lending.connect();
    let key = lending.bearer();
    let head = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{key}{headers}\r\n", lending.port);
    connection.write_all(head.as_bytes()).unwrap();
    connection
}

#[test]
fn events_pass_one_by_one_and_the_end_of_a_reader_too() {
    let (origin, _sandbox, lending) = scene();
    let mut reader = open(&lending, "GET /acme/events", "");
    // The head, before there is any event.
    let head = until(&mut reader, b"\r\n\r\n");
    assert!(String::from_utf8_lossy(&head).contains("text/event-stream"));
    for at in 0..20 {
        let text = format!("event {at}");
        origin.event(&text);
        until(&mut reader, format!("data: {text}\n\n").as_bytes());
    }
    assert!(!origin.seen()[0].is_abandoned);
    drop(reader);
    eventually("the end of the stream", || origin.seen()[0].is_abandoned.then_some(()));
    let mut reader = open(&lending, "GET /acme/events", "");
    until(&mut reader, b"data: event 19\n\n");
    origin.end_events();
    until(&mut reader, b"0\r\n\r\n");
}

#[test]
fn a_body_streams_both_ways_at_once() {
    let (_origin, _sandbox, lending) = scene();
    let mut client = open(&lending, "POST /acme/pipe", "Transfer-Encoding: chunked\r\n");
    until(&mut client, b"\r\n\r\n");
    for at in 0..20 {
        let text = format!("piece {at};");
        client.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).unwrap();
        until(&mut client, text.as_bytes());
    }
    client.write_all(b"0\r\n\r\n").unwrap();
    until(&mut client, b"0\r\n\r\n");
}

#[test]
fn a_server_that_answers_early_still_gets_the_rest_of_the_request() {
    const LENGTH: usize = 300_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = acme(&format!("http://{}", listener.local_addr().unwrap()));
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let head = until(&mut connection, b"\r\n\r\n");
        let end = head.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        let mut got = head.len() - end;
        while got < LENGTH {
            let read = connection.read(&mut [0; 16_384]).unwrap();
            assert!(read > 0, "ended after {got}");
            got += read;
        }
    });
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let mut client = open(&lending, "POST /acme/x", &format!("Content-Length: {LENGTH}\r\n"));
    client.write_all(&[b'x'; 1_000]).unwrap();
    until(&mut client, b"ok");
    client.write_all(&vec![b'x'; LENGTH - 1_000]).unwrap();
    server.join().unwrap();
}

#[test]
fn a_client_that_waits_for_an_invitation_gets_it_from_the_server() {
    let (origin, _sandbox, lending) = scene();
    let expect = "Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n";
    let mut client = open(&lending, "POST /acme/echo", expect);
    until(&mut client, b"100 Continue\r\n\r\n");
    client.write_all(b"abc").unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(only(&rest).text(), "abc");
    // A server that does not want it says so before anything was sent.
    let mut client = open(&lending, "POST /acme/refuse", expect);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(replies(&answer)[0].status, 417);
    assert!(origin.complaints().is_empty(), "{:?}", origin.complaints());
}

/// A server of one connection, by hand: `deed` gets it with the head of its first request.
fn by_hand(
    deed: impl FnOnce(&mut TcpStream, String) + Send + 'static,
) -> (Sandbox, Lending, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sandbox = acme(&format!("http://{}", listener.local_addr().unwrap()));
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = until(&mut connection, b"\r\n\r\n");
        deed(&mut connection, String::from_utf8(head).unwrap());
    });
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    (sandbox, lending, server)
}

const EXPECTING: &str = "Expect: 100-Continue\r\nContent-Length: 3\r\n";

#[test]
fn a_body_that_the_server_does_not_want_never_gets_there() {
    let (_sandbox, lending, server) = by_hand(|connection, head| {
        assert!(head.contains("expect: 100-continue\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        connection.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno").unwrap();
        // The connection can carry nothing else: it is given up.
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let more = connection.read(&mut [0; 100]);
        assert!(matches!(more, Ok(0)), "{more:?}");
    });
    let mut client = open(&lending, "POST /acme/x", EXPECTING);
    let answer = until(&mut client, b"no");
    assert!(answer.starts_with(b"HTTP/1.1 417"), "{}", answer.escape_ascii());
    // It may send it all the same (RFC 9110, section 10.1.1).
    let _ = client.write_all(b"abc");
    server.join().unwrap();
}

#[test]
fn hints_are_no_invitation_and_a_server_that_gives_none_gets_the_body_all_the_same() {
    let (go, gone) = mpsc::channel();
    let (_sandbox, lending, server) = by_hand(move |connection, _| {
        connection.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").unwrap();
        gone.recv().unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    });
    let mut client = open(&lending, "POST /acme/x", EXPECTING);
    // The proxy has done much else since the hints came.
    for _ in 0..20 {
        lending.get("/nobody").refusal(404, "route_unknown");
    }
    go.send(()).unwrap();
    let answer = until(&mut client, b"ok");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", answer.escape_ascii());
    server.join().unwrap();

    let (_sandbox, lending, server) = by_hand(|connection, _| {
        until(connection, b"abc");
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    });
    let mut client = open(&lending, "POST /acme/x", EXPECTING);
    until(&mut client, b"100 Continue\r\n\r\n");
    client.write_all(b"abc").unwrap();
    until(&mut client, b"ok");
    server.join().unwrap();
}

/// HTTP/2 is settled between two neighbours; what a client offers is not the server's business.
#[test]
fn an_offer_of_http_2_in_passing_goes_no_further() {
    let (origin, _sandbox, lending) = scene();
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let mut client = open(&lending, "GET /acme/x", offer);
    let answer = until(&mut client, b"here you are");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    let seen = origin.only();
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(seen.values(name), [""; 0], "{}", seen.text());
    }
}

#[test]
fn web_sockets_are_joined() {
    let (origin, _sandbox, lending) = scene();
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut client = open(&lending, "GET /acme/ws", upgrade);
    let head = until(&mut client, b"\r\n\r\n");
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{head}"
    );
    for text in ["hello", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "x"] {
        let length = u8::try_from(text.len()).unwrap();
        // With a mask of zeros the payload stays as it is.
        client.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
        until(&mut client, &[&[0x81, length], text.as_bytes()].concat());
    }
    assert_eq!(origin.seen()[0].value("authorization").as_deref(), Some(BEARER));
    drop(client);
    eventually("the end of the socket", || origin.seen()[0].is_abandoned.then_some(()));
    // One that the server does not want is an ordinary answer, and the connection goes on.
    let mut client = open(&lending, "GET /acme/x", upgrade);
    until(&mut client, b"here you are");
    let again = format!(
        "GET /acme/y HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
        lending.port,
        lending.bearer()
    );
    client.write_all(again.as_bytes()).unwrap();
    until(&mut client, b"here you are");
}

#[test]
fn what_follows_a_request_to_change_the_protocol_waits_for_the_answer() {
    let (origin, _sandbox, lending) = scene();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let key = format!("Host: 127.0.0.1:{}\r\n{}", lending.port, lending.bearer());
    // Bytes of the other protocol that look like a request.
    let hidden = format!("GET /acme/hidden HTTP/1.1\r\n{key}\r\n");
    let [high, low] = u16::try_from(hidden.len()).unwrap().to_be_bytes();
    let frame = [&[0x81, 0xfe, high, low, 0, 0, 0, 0], hidden.as_bytes()].concat();
    let mut client = lending.connect();
    let ask = format!("GET /acme/ws HTTP/1.1\r\n{key}{upgrade}\r\n");
    client.write_all(&[ask.as_bytes(), &frame].concat()).unwrap();
    until(&mut client, b"101 Switching");
    until(&mut client, hidden.as_bytes());
    drop(client);
    assert_eq!(origin.seen().len(), 1, "{:?}", origin.seen());
    // A body is none of it.
    let mut client = open(&lending, "POST /acme/echo", &format!("Content-Length: 3\r\n{upgrade}"));
    client.write_all(b"abc").unwrap();
    until(&mut client, b"\r\n\r\nabc");
    // Where the protocol stays, it is the next request.
    let mut client = lending.connect();
    let ask = format!("GET /acme/x HTTP/1.1\r\n{key}{upgrade}\r\n");
    client.write_all(&[ask.as_bytes(), hidden.as_bytes()].concat()).unwrap();
    until(&mut client, b"here you are");
    until(&mut client, b"here you are");
    assert!(origin.seen().last().unwrap().line().contains("/hidden"));
    assert!(origin.complaints().is_empty(), "{:?}", origin.complaints());
}

#[test]
fn many_requests_and_large_bodies_leave_no_trace_in_memory() {
    let (origin, _sandbox, lending) = scene();
    assert_eq!(lending.get("/acme/x").status, 200);
    let before = lending.resident();
    let size = 100_000_000;
    let mut down = open(&lending, &format!("GET /acme/big/{size}"), "Connection: close\r\n");
    let read = std::io::copy(&mut down, &mut std::io::sink()).unwrap();
    assert!(read > size);
    let length = format!("Content-Length: {size}\r\nConnection: close\r\n");
    let mut up = open(&lending, "POST /acme/digest", &length);
    std::io::copy(&mut std::io::repeat(7).take(size), &mut up).unwrap();
    let mut answer = Vec::new();
    up.read_to_end(&mut answer).unwrap();
    assert!(only(&answer).text().contains(&format!("\"length\":{size}")));
    // Nobody reads: nothing is fetched ahead.
    let written = origin.written();
    let idle = open(&lending, "GET /acme/big/100000000", "");
    eventually("an answer on its way", || (origin.written() > written).then_some(()));
    let large = lending.resident();
    assert!(large < before + 24 * 1024, "{before} kB, then {large} kB");
    drop(idle);
    let mut client = lending.connect();
    let ask = format!(
        "GET /acme/x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
        lending.port,
        lending.bearer()
    );
    let mut middle = 0;
    let count = rounds(4_000, 1_000_000);
    for at in 0..count {
        client.write_all(ask.as_bytes()).unwrap();
        until(&mut client, b"here you are");
        if at == count / 2 {
            middle = lending.resident();
        }
    }
    let end = lending.resident();
    assert!(end < middle + 4 * 1024, "{middle} kB, then {end} kB");
}

#[test]
fn it_ends_when_it_is_told_to_also_while_something_streams() {
    let (origin, sandbox, lending) = scene();
    let mut reader = open(&lending, "GET /acme/events", "");
    until(&mut reader, b"\r\n\r\n");
    assert!(std::fs::read_dir(sandbox.path("tmp")).unwrap().next().is_some(), "a bundle");
    let output = lending.end();
    assert!(output.status.success() || output.status.code() == Some(143), "{output:?}");
    assert!(std::fs::read_dir(sandbox.path("tmp")).unwrap().next().is_none(), "left behind");
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a clean end of what was cut");
    eventually("the end of the request", || origin.seen()[0].is_abandoned.then_some(()));
}

#[test]
fn signals_and_the_exit_status_are_those_of_the_command() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let exec = |script: &str| {
        let mut command =
            sandbox.command(["exec", "--proxy", "--with", "acme", "--", "sh", "-c", script]);
        command.stdin(Stdio::piped());
        command
    };
    for code in [0, 1, 7, 126, 255] {
        let output = sandbox.start(exec(&format!("exit {code}"))).finish();
        assert_eq!(output.code(), code);
    }
    let mut running = sandbox.start(exec(
        "trap 'echo got; exit 9' TERM; echo ready; while :; do read x || sleep 0.1; done",
    ));
    eventually("the command", || running.stdout().contains("ready").then_some(()));
    let own = pid(&running.child.id().to_string());
    rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
    drop(running.child.stdin.take());
    let output = running.finish();
    assert_eq!((output.code(), output.stdout.as_str()), (9, "ready\ngot\n"));
    assert!(std::fs::read_dir(sandbox.path("tmp")).unwrap().next().is_none(), "left behind");
}

#[test]
fn every_request_is_a_line_of_the_log() {
    let (_origin, sandbox, lending) = scene();
    let mut ids = Vec::new();
    for path in ["/acme/a?token=secret-query", "/acme/b", "/acme/status/404", "/unknown"] {
        ids.push(lending.get(path).status);
    }
    lending.ask("GET /acme/x", "", b"").refusal(401, "key_unknown");
    assert_eq!(ids, [200, 200, 404, 404]);
    let key = lending.key.clone();
    lending.end();
    let log = sandbox.run(["log", "--json"]).success();
    for secret in [KEY, &key, "secret-query"] {
        assert!(!log.contains(secret), "{log}");
    }
    let log: Value = serde_json::from_str(&log).unwrap();
    let text = log.to_string();
    for path in ["\"/a\"", "\"/b\"", "\"/status/404\""] {
        assert_eq!(text.matches(path).count(), 1, "{path}: {text}");
    }
    assert!(text.contains("\"status\":404") && text.contains("\"method\":\"GET\""), "{text}");
}
