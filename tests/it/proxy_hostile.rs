//! The proxy among strangers and broken servers: what is no clean request is refused with words, what reaches the
//! origin has one reading, and nobody else notices.
//!
//! | id | promise | test |
//! |---|---|---|
//! | I12 | no request hides in another | `no_request_hides_in_another` |
//! | L3 | strangers neither end, block nor bloat it | `strangers_…` |
//! | L6 | no way to the addresses of the machine's own network | `no_credential_goes_to_link_local_…` |

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::support::eventually;
use crate::support::hostile::strangers;
use crate::support::hostile::tls::{Authority, GOOD, Leaf};
use crate::support::lending::{KEY, Lending, Reply, acme, config, replies};
use crate::support::origin::{Origin, Seen};
use crate::support::sandbox::Sandbox;

const BEARER: &str = concat!("Bearer real-Qm4tZ81/", "xYw+0aLk9PvBn3Ts");

fn scene() -> (Origin, Sandbox, Lending) {
    let origin = Origin::start();
    origin.wants("authorization", BEARER);
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    (origin, sandbox, lending)
}

/// A hidden request.
const HIDDEN: &str = "GET /acme/hidden HTTP/1.1\r\nHost: HOST\r\nAuthorization: KEY\r\n\r\n";

/// What must be refused as it stands: `HOST` and `KEY` are filled in.
fn refused() -> Vec<Vec<u8>> {
    let post = |fields: &str, rest: &str| {
        format!(
            "POST /acme/outer HTTP/1.1\r\nHost: HOST\r\nAuthorization: KEY\r\n{fields}\r\n\r\n{rest}{HIDDEN}"
        )
    };
    let fields = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "transfer-encoding: chunked\r\nX: y\r\ncontent-length: 0",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 5",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3;x",
        "Content-Length: 1e1",
        "Content-Length:",
        "Content-Length: \u{663}",
        "Content-Length: 99999999999999999999",
        "Content-Length: 3\r\n 4",
        "Content-Length : 3",
        " Content-Length: 3",
        "\tContent-Length: 3",
        "Content-Length\t: 3",
        "Content-Length\0: 3",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunk\0ed",
        "Transfer_Encoding\r\nX: y",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\0",
        "X: y\r\n folded",
        "X y: z",
        "X(y): z",
        ": nameless",
        "\u{e4}: z",
        "no colon",
        "X: \u{7f}",
    ];
    let mut all: Vec<String> = fields.iter().map(|fields| post(fields, "abc")).collect();
    let lines = [
        "GET /acme/x\r\n",
        "GET /acme/x HTTP/0.9\r\n",
        "GET /acme/x HTTP/1.2\r\n",
        "GET /acme/x HTTP/2.0\r\n",
        "GET /acme/x HTTP/1.1 x\r\n",
        "GET  /acme/x HTTP/1.1\r\n",
        "GET /acme/x  HTTP/1.1\r\n",
        "GET\t/acme/x\tHTTP/1.1\r\n",
        " GET /acme/x HTTP/1.1\r\n",
        "GET /acme/\0x HTTP/1.1\r\n",
        "GET /acme/ x HTTP/1.1\r\n",
        "GET /acme/x http/1.1\r\n",
        "GET /acme/x HTTP/1.1\n",
        "GET /acme/x HTTP/1.1\r",
        "G(T /acme/x HTTP/1.1\r\n",
        "/acme/x HTTP/1.1\r\n",
        "GET HTTP/1.1\r\n",
        "GET acme/x HTTP/1.1\r\n",
        "GET http://127.0.0.1:PORT@evil.example/acme/x HTTP/1.1\r\n",
        "GET http://user:password@HOST/acme/x HTTP/1.1\r\n",
        "GET ftp://evil.example/acme/x HTTP/1.1\r\n",
        "GET http:///acme/x HTTP/1.1\r\n",
        "GET //evil.example/acme/x HTTP/1.1\r\n",
        "GET * HTTP/1.1\r\n",
        "CONNECT /acme/x HTTP/1.1\r\n",
        "CONNECT 127.0.0.1 HTTP/1.1\r\n",
        "CONNECT user@127.0.0.1:443 HTTP/1.1\r\n",
        "CONNECT 127.0.0.1:99999 HTTP/1.1\r\n",
        "CONNECT http://HOST/ HTTP/1.1\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "{\"jsonrpc\":\"2.0\"}\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ];
    let headers =
        "Host: HOST\r\nAuthorization: KEY\r\nProxy-Authorization: KEY\r\nConnection: close\r\n\r\n";
    all.extend(lines.iter().map(|line| format!("{line}{headers}{HIDDEN}")));
    all.push(format!("POST /acme/outer HTTP/1.0\r\nHost: HOST\r\nAuthorization: KEY\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"));
    all.push("GET /acme/x HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\nAuthorization: KEY\r\nConnection: close\r\n\r\n".to_owned());
    all.push("GET /acme/x HTTP/1.1\r\nAuthorization: KEY\r\nConnection: close\r\n\r\n".to_owned());
    all.push("\x16\x03\x01\x02\0\x01\0\x01".to_owned());
    all.push("\0\0\0\0\0\0\0\0\r\n\r\n".to_owned());
    all.into_iter().map(String::into_bytes).collect()
}

fn filled(lending: &Lending, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let host = format!("127.0.0.1:{}", lending.port);
    let text = text.replace("HOST", &host).replace("PORT", &lending.port.to_string());
    text.replace("KEY", &format!("Bearer {}", lending.key)).into_bytes()
}

#[track_caller]
fn is_own_refusal(reply: &Reply, of: &[u8]) {
    assert!((400..500).contains(&reply.status), "{}: {reply:?}", of.escape_ascii());
    assert!(reply.value("authctl-error").is_some(), "{}: {reply:?}", of.escape_ascii());
    let said: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert!(said["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{said}");
}

#[test]
fn no_request_hides_in_another() {
    let (origin, _sandbox, lending) = scene();
    let corpus = refused();
    assert!(corpus.len() >= 60);
    for case in &corpus {
        let bytes = filled(&lending, case);
        let answers = replies(&lending.say(&bytes));
        assert_eq!(answers.len(), 1, "{}: {answers:?}", bytes.escape_ascii());
        is_own_refusal(&answers[0], &bytes);
        // The same behind a request that is in order.
        let first = filled(&lending, b"POST /acme/first HTTP/1.1\r\nHost: HOST\r\nAuthorization: KEY\r\nContent-Length: 2\r\n\r\nab");
        let before = origin.seen().len();
        let answers = replies(&lending.say(&[first, bytes.clone()].concat()));
        assert_eq!(answers.len(), 2, "{}: {answers:?}", bytes.escape_ascii());
        assert_eq!(answers[0].status, 200);
        is_own_refusal(&answers[1], &bytes);
        assert_eq!(origin.seen().len(), before + 1, "{}", bytes.escape_ascii());
    }
    let seen = origin.seen();
    assert!(seen.iter().all(|seen| seen.line() == "POST /first HTTP/1.1"), "{seen:?}");
    assert!(origin.complaints().is_empty(), "{:?}", origin.complaints());
    assert_eq!(lending.get("/acme/x").status, 200);
}

#[test]
fn what_looks_odd_and_has_one_reading_passes_in_that_reading() {
    let (origin, _sandbox, lending) = scene();
    let head = "POST /acme/echo HTTP/1.1\r\nHost: HOST\r\nAuthorization: KEY\r\n";
    let hidden = "GET /acme/hidden HTTP/1.1\r\nX: y\r\n\r\n";
    let last =
        "GET /acme/last HTTP/1.1\r\nHost: HOST\r\nAuthorization: KEY\r\nConnection: close\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let cases = [
        (format!("{head}Content-Length: {}\r\n\r\n{hidden}", hidden.len()), hidden.to_owned()),
        (format!("{head}Content-Length: 00003\r\n\r\nabc"), "abc".into()),
        (format!("\r\n{head}Content-Length: 3\r\n\r\nabc"), "abc".into()),
        (format!("{head}Content-Length:3\t\r\n\r\nabc").replace('\t', ""), "abc".into()),
        (format!("{head}{chunked}{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()), hidden.to_owned()),
        (format!("{head}{chunked}3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n"), "abc".into()),
        (
            format!("{head}{chunked}0003\r\nabc\r\n000\r\nX-T: GET /acme/hidden HTTP/1.1\r\n\r\n"),
            "abc".into(),
        ),
        (format!("{head}transfer-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "abc".into()),
        (format!("{head}X-A:  b  \r\nX-B:\r\n{chunked}0\r\n\r\n"), String::new()),
    ];
    for (case, body) in cases {
        let before = origin.seen().len();
        let answers = replies(&lending.say(&filled(&lending, format!("{case}{last}").as_bytes())));
        assert_eq!(answers.len(), 2, "{}: {answers:?}", case.escape_default());
        assert_eq!((answers[0].status, answers[0].text()), (200, body), "{case}");
        let lines: Vec<_> = origin.seen()[before..].iter().map(Seen::line).collect();
        assert_eq!(lines, ["POST /echo HTTP/1.1", "GET /last HTTP/1.1"], "{case}");
    }
    assert!(origin.complaints().is_empty(), "{:?}", origin.complaints());
}

#[test]
fn a_body_that_breaks_off_or_is_not_framed_is_no_request() {
    let (origin, _sandbox, lending) = scene();
    let head = "POST /acme/echo HTTP/1.1\r\nHost: HOST\r\nAuthorization: KEY\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for body in [
        "Content-Length: 10\r\n\r\nabc".to_owned(),
        format!("{chunked}5\r\nabc"),
        format!("{chunked}3\r\nabc\r\n"),
        format!("{chunked}3\r\nabcd\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}ffffffffffffffff\r\nabc{HIDDEN}"),
        format!("{chunked}10000000000000000\r\nabc{HIDDEN}"),
        format!("{chunked}-3\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}+3\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}0x3\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked} 3\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}\r\n3\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}3\nabc\n0\n\n{HIDDEN}"),
        format!("{chunked}3;x\ny\r\nabc\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}{}\r\n", "3".repeat(100)),
        format!("{chunked}3;{}\r\nabc", "x".repeat(100_000)),
        format!("{chunked}3\r\nabcX\r\n0\r\n\r\n{HIDDEN}"),
        format!("{chunked}zz\r\n{HIDDEN}"),
    ] {
        let mut connection = lending.connect();
        let _ = connection.write_all(&filled(&lending, format!("{head}{body}").as_bytes()));
        let _ = connection.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let is_fine = replies(&answer).iter().any(|reply| reply.status < 400);
        assert!(!is_fine, "{}: {}", body.escape_default(), answer.escape_ascii());
    }
    let seen = origin.seen();
    assert!(seen.iter().all(|seen| !seen.is_whole && !seen.line().contains("hidden")), "{seen:?}");
    assert!(origin.complaints().is_empty(), "{:?}", origin.complaints());
    assert_eq!(lending.get("/acme/x").status, 200);
}

#[test]
fn heads_without_measure_are_refused_with_words() {
    let (origin, _sandbox, lending) = scene();
    let long = "x".repeat(70_000);
    let many = "X-A: b\r\n".repeat(120);
    for (line, headers) in [
        (format!("GET /acme/{long}"), String::new()),
        ("GET /acme/x".to_owned(), format!("X-Long: {long}\r\n")),
        ("GET /acme/x".to_owned(), format!("{long}: y\r\n")),
        ("GET /acme/x".to_owned(), many),
        ("GET /acme/x".to_owned(), format!("X-Long: {}\r\n", "x".repeat(3_000_000))),
    ] {
        let reply = lending.ask(&line, &(headers + &lending.bearer()), b"");
        reply.refusal(431, "head_too_long");
    }
    let fine = format!("X-Long: {}\r\n{}", "x".repeat(60_000), lending.bearer());
    assert_eq!(lending.ask("GET /acme/x", &fine, b"").status, 200);
    assert_eq!(origin.seen().len(), 1);
    let said = lending.end().stderr;
    assert!(said.contains("longer than 64 KiB"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn strangers_neither_end_block_nor_bloat_it() {
    let (origin, _sandbox, lending) = scene();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", lending.pid()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    assert_eq!(lending.get("/acme/x").status, 200);
    let before = resident();
    for size in [1, 10, 100, 1_000, 100_000] {
        for _ in 0..20 {
            let mut stranger = lending.connect();
            let _ = stranger.write_all(&strangers::random(size));
            let _ = stranger.shutdown(Shutdown::Write);
            let _ = stranger.read_to_end(&mut Vec::new());
        }
    }
    let slow: Vec<TcpStream> = (0..400)
        .map(|at| {
            let mut stranger = lending.connect();
            if at % 2 == 0 {
                stranger.write_all(b"GET /acme/x HTTP/1.1\r\nX-Slow: ").unwrap();
            }
            stranger
        })
        .collect();
    assert_eq!(lending.get("/acme/x").status, 200);
    for mut stranger in slow {
        // Each is sent away, sooner or later.
        assert!(matches!(stranger.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    assert_eq!(lending.get("/acme/x").status, 200);
    assert!(resident() < before + 16 * 1024, "{before} kB, then {} kB", resident());
    assert_eq!(origin.seen().len(), 3);
}

/// A person's shell grants 1,024 file descriptors.
#[cfg(target_os = "linux")]
#[test]
fn strangers_that_take_every_descriptor_do_not_keep_others_out() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let mut shell = sandbox.program("sh");
    let script = "ulimit -n 64; exec \"$@\"";
    let lending = Lending::started(&sandbox, {
        shell.args([
            "-c",
            script,
            "sh",
            crate::support::sandbox::AUTHCTL,
            "--json",
            "proxy",
            "--with",
            "acme",
        ]);
        shell
    });
    let idle: Vec<TcpStream> = (0..100).map(|_| lending.connect()).collect();
    assert_eq!(lending.get("/acme/x").status, 200);
    drop(idle);
}

#[test]
fn servers_that_break_off_are_told_apart() {
    let (origin, _sandbox, lending) = scene();
    for path in ["/cut", "/cut-chunked"] {
        let reply = lending.get(&format!("/acme{path}"));
        assert!(reply.status == 200 && !reply.is_whole && reply.body.len() <= 1000, "{path}");
    }
    let said = lending.get("/acme/die").refusal(502, "upstream_interrupted");
    assert!(said.contains("127.0.0.1"), "{said}");
    lending.get("/acme/garbage").refusal(502, "upstream_invalid");
    assert_eq!(lending.get("/acme/x").status, 200);
    // Who goes away takes the request along.
    let mut client = lending.connect();
    let head = format!(
        "GET /acme/hang HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
        lending.port,
        lending.bearer()
    );
    client.write_all(head.as_bytes()).unwrap();
    let hanging = || origin.seen().into_iter().find(|seen| seen.line().contains("/hang"));
    eventually("the request", hanging);
    drop(client);
    eventually("the end of the request", || hanging().filter(|seen| seen.is_abandoned));
    assert_eq!(lending.get("/acme/x").status, 200);
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sandbox = acme(&format!("http://127.0.0.1:{port}"));
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let said = lending.get("/acme/x").refusal(502, "upstream_unreachable");
    assert!(said.contains(&port.to_string()), "{said}");
    let line = lending.end().stderr;
    assert!(line.contains("GET /acme/x") && line.contains(&port.to_string()), "{line}");
}

#[test]
fn a_server_whose_certificate_is_not_its_own_gets_nothing() {
    if !crate::real_parts::present(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let leaves = [
        Leaf { name: "DNS:other.example", ..GOOD },
        Leaf { life: ["20200101000000Z", "20200201000000Z"], ..GOOD },
        Leaf { self_signed: true, ..GOOD },
        Leaf { usage: "clientAuth", ..GOOD },
    ];
    for leaf in leaves {
        let origin = Origin::secure(&authority, leaf);
        let mut sandbox = acme(&origin.url());
        sandbox.env("SSL_CERT_FILE", authority.file());
        let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
        let said = lending.get("/acme/x").refusal(502, "upstream_certificate");
        assert!(said.contains("certificate"), "{said}");
        assert!(origin.seen().is_empty());
    }
    let origin = Origin::secure(&authority, GOOD);
    origin.wants("authorization", BEARER);
    let mut sandbox = acme(&origin.url());
    sandbox.env("SSL_CERT_FILE", authority.file());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    assert_eq!(lending.get("/acme/x").status, 200);
}

#[test]
fn no_credential_goes_to_link_local_addresses() {
    for host in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0", "224.0.0.1"] {
        let mut sandbox = Sandbox::new();
        sandbox.write_config(&config(&[("acme", &format!("https://{host}"))]));
        sandbox.env("AUTHCTL_ACME_TOKEN", KEY);
        let output = sandbox.run(["status"]);
        if !output.status.success() {
            continue; // the configuration refuses it already
        }
        let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
        lending.get("/acme/x").refusal(403, "address_forbidden");
    }
}
