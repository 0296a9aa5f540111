//! A long run of the proxy (A11): however many requests pass while tokens end and are renewed, it stays as it was.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::support::lending::Lending;
use crate::support::origin::Origin;
use crate::support::signed_in::{self, SignedIn};
use crate::support::{eventually, rounds};

/// Connections at once.
const AT_ONCE: usize = 16;
/// How much resident memory may grow, in KiB.
const GROWTH: u64 = 10 << 10;

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// So many requests, all of which succeed: most on connections that are kept, some on new ones.
fn requests(lending: &Lending, count: usize) {
    let ask = format!(
        "POST /demo/open/echo HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 12\r\n{}\r\nhere you are",
        lending.port,
        lending.bearer()
    );
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut client = lending.connect();
                for at in 1..=count / AT_ONCE {
                    client.write_all(ask.as_bytes()).unwrap();
                    read_answer(&mut client);
                    if at % 100 == 0 {
                        client = lending.connect();
                    }
                }
            });
        }
    });
}

fn read_answer(client: &mut TcpStream) {
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\nhere you are") {
        let mut chunk = [0; 4096];
        let read = client.read(&mut chunk).unwrap();
        assert!(read > 0, "ended after {}", all.escape_ascii());
        all.extend_from_slice(&chunk[..read]);
    }
    assert!(all.starts_with(b"HTTP/1.1 200"), "{}", all.escape_ascii());
}

#[test]
fn a_run_of_any_length_takes_no_more_memory_and_no_more_descriptors() {
    // Short enough to end many times, however fast the machine is.
    let person = SignedIn::not_yet("", |server| server.rules(|rules| rules.expires_in = Some(2)));
    let origin = Origin::start();
    let base = format!("[provider.demo]\nbase_url = \"{}\"\n", origin.url());
    person.sandbox.write_config(&(base + &signed_in::config(&person.server, "")));
    signed_in::login(&person.sandbox, &[]).success();
    let lending = Lending::proxy(&person.sandbox, &["--with", "demo"]);
    requests(&lending, 2_000);
    let pid = lending.pid();
    let before = (resident(pid), descriptors(pid), person.refreshes());
    requests(&lending, rounds(10_000, 1_000_000));
    eventually("more refreshes", || {
        requests(&lending, AT_ONCE);
        (person.refreshes() >= before.2 + 2).then_some(())
    });
    let after = resident(pid);
    assert!(after <= before.0 + GROWTH, "{} KiB became {after} KiB", before.0);
    // Its clients have gone; as many connections to the server wait for others as there were requests at once.
    eventually("as many descriptors as before", || {
        (descriptors(pid) <= before.1 + AT_ONCE).then_some(())
    });
    assert_eq!(person.server.reuses(), 0);
    assert!(origin.complaints().is_empty());
    let said = lending.end().stderr;
    assert!(said.is_empty(), "{said}");
}
