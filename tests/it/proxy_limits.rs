//! What the proxy takes from a client, and keeps of an answer, without an end to it: no more than so much, and whoever
//! is refused hears why.
//!
//! | id | promise | test |
//! |---|---|---|
//! | A4 | what is stuck stops nobody | `bytes_of_a_protocol_that_is_not_agreed_on_…` |
//! | A11 | flat memory | `an_answer_without_an_end_…` |
//! | I12 | one reading of a request, or none | `whoever_goes_on_after_a_refusal_…` |

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use crate::support::eventually;
use crate::support::lending::{KEY, Lending, acme, only, until};
use crate::support::origin::Origin;

const MEGABYTE: usize = 1 << 20;

fn head_of(lending: &Lending, line: &str, headers: &str) -> String {
    let key = lending.bearer();
    format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{key}{headers}\r\n", lending.port)
}

/// Closed at once, the connection would be reset under the client, which then never reads the answer.
#[test]
fn whoever_goes_on_after_a_refusal_can_still_read_it() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let both = "Content-Length: 16777216\r\nTransfer-Encoding: chunked\r\n";
    let mut client = lending.connect();
    client.write_all(head_of(&lending, "POST /acme/echo", both).as_bytes()).unwrap();
    // More than the buffers in between hold.
    client.write_all(&vec![b'x'; 16 * MEGABYTE]).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    only(&answer).refusal(400, "framing");
    assert!(origin.seen().is_empty());
}

/// It has had its answer, and time to read it.
#[test]
fn whoever_was_refused_and_stays_is_hung_up_on() {
    let origin = Origin::start();
    origin.wants("authorization", &format!("Bearer {KEY}"));
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let mut client = lending.connect();
    client.write_all(head_of(&lending, "GET /acme/x", "").as_bytes()).unwrap();
    until(&mut client, b"here you are");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    client.write_all(head_of(&lending, "POST /acme/echo", both).as_bytes()).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    only(&answer).refusal(400, "framing");
    eventually("the end of the connection", || client.write(b"x").is_err().then_some(()));
}

/// Heads, lines before chunks and trailers that never end.
#[test]
fn what_does_not_end_is_not_waited_for() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let chunked = head_of(&lending, "POST /acme/echo", "Transfer-Encoding: chunked\r\n");
    for begins in ["3;x=", "3\r\nabc\r\n0\r\nX-Sum: "] {
        let mut client = lending.connect();
        client.write_all(format!("{chunked}{begins}").as_bytes()).unwrap();
        let mut taken = 0;
        while taken < 64 * MEGABYTE {
            let Ok(count) = client.write(&[b'x'; 16 * 1024]) else { break };
            taken += count;
        }
        assert!(taken < 64 * MEGABYTE, "{begins}");
    }
    let open = head_of(&lending, "GET /acme/x", "X-Long: ");
    let mut client = lending.connect();
    client.write_all(format!("{}{}", open.trim_end(), "x".repeat(128 * 1024)).as_bytes()).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    only(&answer).refusal(431, "head_too_long");
    assert!(origin.seen().iter().all(|seen| !seen.is_whole));
    // One byte too many, in a head that ends.
    let bare = head_of(&lending, "GET /acme/x", "X-Long: \r\nConnection: close\r\n");
    let long = "x".repeat(64 * 1024 + 1 - bare.len());
    let head = bare.replace("X-Long: ", &format!("X-Long: {long}"));
    only(&lending.say(head.as_bytes())).refusal(431, "head_too_long");
}

#[test]
fn bytes_of_a_protocol_that_is_not_agreed_on_are_not_taken_without_an_end() {
    let origin = Origin::start();
    origin.wants("authorization", &format!("Bearer {KEY}"));
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: other\r\n";
    let mut client = lending.connect();
    client.write_all(head_of(&lending, "GET /acme/wait", upgrade).as_bytes()).unwrap();
    eventually("the request", || (!origin.seen().is_empty()).then_some(()));
    client.set_nonblocking(true).unwrap();
    // Each answer to another one shows that the proxy has had its turn, and took nothing more.
    let (mut sent, mut refused) = (0, 0);
    while refused < 50 {
        match client.write(&[b'x'; 16 * 1024]) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                lending.get("/nobody").refusal(404, "route_unknown");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 100 * MEGABYTE, "there is no end to it");
    }
    origin.go();
    client.set_nonblocking(false).unwrap();
    let mut answer = Vec::new();
    // What came is no request, and the client may still be sending it.
    let _ = client.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    assert_eq!(origin.seen().len(), 1);
}

/// A server of one answer that ends when it is told to: what comes before its last byte is `body`.
fn endless(kind: &'static str, body: Vec<u8>) -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (end, ended) = mpsc::channel();
    thread::spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        until(&mut connection, b"\r\n\r\n{}");
        let length = body.len() + 1;
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        connection.write_all(head.as_bytes())?;
        connection.write_all(&body)?;
        let _ = ended.recv();
        connection.write_all(b"\n")
    });
    (url, end)
}

/// What MCP servers say is looked at in passing, where it is short.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_without_an_end_is_not_kept_to_be_looked_at() {
    const LENGTH: usize = 64 * MEGABYTE;
    for (kind, begins) in
        [("application/json", &b"{\"x\":\""[..]), ("text/event-stream", b"data: ")]
    {
        let body = [begins, &vec![b'y'; LENGTH - begins.len()]].concat();
        let (url, end) = endless(kind, body);
        let sandbox = acme(&url);
        let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
        lending.get("/nobody").refusal(404, "route_unknown");
        let before = lending.resident();
        let mcp = "Accept: application/json, text/event-stream\r\nContent-Length: 2\r\n";
        let mut client = lending.connect();
        client.write_all(head_of(&lending, "POST /acme/mcp", mcp).as_bytes()).unwrap();
        client.write_all(b"{}").unwrap();
        let read = std::io::copy(&mut (&mut client).take(LENGTH as u64), &mut std::io::sink());
        assert_eq!(read.unwrap(), LENGTH as u64);
        let during = lending.resident();
        assert!(during < before + 24 * 1024, "{kind}: {before} kB, then {during} kB");
        end.send(()).unwrap();
    }
}
